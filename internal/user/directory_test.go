package user_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/user"
	"twofa/internal/window"
)

func TestKey_IsNoRecipientsAndTellsNoName(t *testing.T) {
	d := &user.Directory{Keys: ring(t, 1)}
	// By Python's hmac, from the secret's bytes 1 to 32.
	if got, want := d.Key("Am\u00e9lie"), "ud2315e9a21dd19b34db99ee6fed52ae2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[string]string{}
	for _, name := range []string{"alice", "Alice", "alice ", "", "+14155550123", "user\x00alice"} {
		key := d.Key(name)
		if !regexp.MustCompile(`^u[0-9a-f]{32}$`).MatchString(key) || !store.Key(key).Valid() {
			t.Errorf("%q has the key %q", name, key)
		}
		if other, taken := seen[key]; taken {
			t.Errorf("%q and %q have one key", name, other)
		}
		seen[key] = name
		index := d.Keys.Index(name)
		if strings.Contains(key, hex.EncodeToString(index[:8])) {
			t.Errorf("%q has the index of the address of that name", name)
		}
	}
	if d.Key("alice") == (&user.Directory{Keys: ring(t, 2)}).Key("alice") {
		t.Error("the key does not depend on the secret")
	}
	if d.Key("alice") != (&user.Directory{Keys: ring(t, 50, 1)}).Key("alice") {
		t.Error("a rotated secret moves the rows")
	}
}

func TestDirectory_KeepsWhatWasDecidedInSoManyRoundTrips(t *testing.T) {
	d, _ := newDirectory(t)
	key := d.Key(sample.Name)
	trips(t, 1, func(ctx context.Context) {
		_, err := d.Load(ctx, key)
		if e := wantKind(t, err, problem.NotFound); !strings.Contains(e.Detail, "PUT /api/users/{name}") {
			t.Errorf("the detail names no mend: %q", e.Detail)
		}
	})
	change := func(ctx context.Context, wantFound bool) {
		got, err := d.Change(ctx, key, func(old user.User, found bool) (user.User, error) {
			if found != wantFound || found && !reflect.DeepEqual(old, sample) || !found && !reflect.DeepEqual(old, user.User{}) {
				t.Errorf("decides on %+v, %v", old, found)
			}
			return sample, nil
		})
		if err != nil || !reflect.DeepEqual(got, sample) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	trips(t, 2, func(ctx context.Context) { change(ctx, false) })
	trips(t, 1, func(ctx context.Context) { change(ctx, true) }) // nothing changed
	trips(t, 1, func(ctx context.Context) {
		if got, err := d.Load(ctx, key); err != nil || !reflect.DeepEqual(got, sample) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	trips(t, 2, func(ctx context.Context) {
		if err := d.Confirm(ctx, key, sample.Email); err != nil {
			t.Error(err)
		}
	})
	trips(t, 1, func(ctx context.Context) { // known before
		if err := d.Confirm(ctx, key, sample.Email); err != nil {
			t.Error(err)
		}
	})
	trips(t, 2, func(ctx context.Context) {
		if _, err := d.Erase(ctx, key, noon, anybody); err != nil {
			t.Error(err)
		}
	})
	trips(t, 1, func(ctx context.Context) {
		_, err := d.Erase(ctx, key, noon, anybody)
		wantKind(t, err, problem.NotFound)
	})
}

// main looks for rows up to 9999-01-01 before it makes a new secret.
func TestChange_KeepsAUserForAsLongAsASecretIsLookedFor(t *testing.T) {
	d, s := newDirectory(t)
	key := keep(t, d, sample)
	for until, want := range map[time.Time]int{
		time.Date(9990, 1, 1, 0, 0, 0, 0, time.UTC): 0,
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC): 1,
	} {
		page, err := s.Expired(t.Context(), until, "")
		if err != nil || len(page.Rows) != want || want == 1 && page.Rows[0].Key != store.Key(key) {
			t.Errorf("until %v: %+v, %v", until, page, err)
		}
	}
}

func TestChange_KeepsNothingThatWasRefused(t *testing.T) {
	d, _ := newDirectory(t)
	key := keep(t, d, sample)
	for _, refusal := range []error{&problem.Error{Kind: problem.PreconditionFailed}, errors.New("no")} {
		got, err := d.Change(t.Context(), key, func(old user.User, _ bool) (user.User, error) {
			old.Phone = "+14155550199"
			return old, refusal
		})
		if !errors.Is(err, refusal) || !reflect.DeepEqual(got, user.User{}) || !reflect.DeepEqual(load(t, d, key), sample) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	_, err := d.Change(t.Context(), key, func(user.User, bool) (user.User, error) { return user.User{}, nil })
	wantKind(t, err, problem.Internal)
}

func TestChange_OnlyTheLastDecisionCounts(t *testing.T) {
	d, s := newDirectory(t)
	key := d.Key(sample.Name)
	other := sample
	other.Phone = "+14155550199"
	s.conflict = func() { keep(t, d, other) }
	var founds []bool
	got, err := d.Change(t.Context(), key, func(old user.User, found bool) (user.User, error) {
		founds = append(founds, found)
		if !found {
			return user.User{}, &problem.Error{Kind: problem.PreconditionFailed}
		}
		old.Locale = "de"
		return old, nil
	})
	if want := []bool{false, true}; err != nil || !reflect.DeepEqual(founds, want) || got.Phone != other.Phone || got.Locale != "de" {
		t.Errorf("got %+v, %v after %v", got, err, founds)
	}

	// Refused at first, gone by then; and the other way round.
	s.conflict = func() { erase(t, d, key) }
	_, err = d.Erase(t.Context(), key, noon, anybody)
	wantKind(t, err, problem.NotFound)
	s.conflict = func() { keep(t, d, sample) }
	if u, err := d.Erase(t.Context(), key, noon, anybody); err != nil || !reflect.DeepEqual(u, sample) {
		t.Errorf("got %+v, %v", u, err)
	}
}

func erase(t *testing.T, d *user.Directory, key string) {
	t.Helper()
	if _, err := d.Erase(t.Context(), key, noon, anybody); err != nil {
		t.Fatal(err)
	}
}

func TestConfirm_OfTheUsersOwnAddressAndNoOther(t *testing.T) {
	for name, tc := range map[string]struct {
		address      string
		phone, email bool
		changed      bool
	}{
		"the number":     {address: sample.Phone, phone: true, changed: true},
		"the e-mail":     {address: sample.Email, email: true, changed: true},
		"another number": {address: "+14155550199"},
		"nothing":        {address: ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := newDirectory(t)
			before := sample
			before.PhoneVerified = false
			key := keep(t, d, before)
			if err := d.Confirm(t.Context(), key, tc.address); err != nil {
				t.Fatal(err)
			}
			u := load(t, d, key)
			if u.PhoneVerified != tc.phone || u.EmailVerified != tc.email || (u.Revision != before.Revision) != tc.changed || !u.UpdatedAt.Equal(before.UpdatedAt) {
				t.Errorf("got %+v", u)
			}
		})
	}
	t.Run("nothing, of a user who has none", func(t *testing.T) {
		d, _ := newDirectory(t)
		key := keep(t, d, user.User{Name: "x"})
		if err := d.Confirm(t.Context(), key, ""); err != nil {
			t.Fatal(err)
		}
		if u := load(t, d, key); u.PhoneVerified || u.EmailVerified {
			t.Errorf("got %+v", u)
		}
	})
	t.Run("of nobody", func(t *testing.T) {
		d, _ := newDirectory(t)
		if err := d.Confirm(t.Context(), d.Key("nobody"), sample.Phone); err != nil {
			t.Fatal(err)
		}
		_, err := d.Load(t.Context(), d.Key("nobody"))
		wantKind(t, err, problem.NotFound)
	})
}

func TestErase_LeavesNothingAndIsDueForThePurge(t *testing.T) {
	d, s := newDirectory(t)
	key := keep(t, d, sample)
	refusal := errors.New("no")
	if _, err := d.Erase(t.Context(), key, noon, func(u user.User) error {
		if !reflect.DeepEqual(u, sample) {
			t.Errorf("asked about %+v", u)
		}
		return refusal
	}); !errors.Is(err, refusal) || !reflect.DeepEqual(load(t, d, key), sample) {
		t.Fatalf("got %v", err)
	}
	if u, err := d.Erase(t.Context(), key, noon, anybody); err != nil || !reflect.DeepEqual(u, sample) {
		t.Fatalf("got %+v, %v", u, err)
	}
	_, err := d.Load(t.Context(), key)
	wantKind(t, err, problem.NotFound)

	row, err := s.Table.Get(t.Context(), store.Key(key))
	if err != nil || len(row.Data) != secret.Overhead+1 || row.KeepUntil.After(noon.Add(window.MaxSkew)) {
		t.Errorf("%d bytes until %v, %v", len(row.Data), row.KeepUntil, err)
	}
	page, err := s.Expired(t.Context(), noon.Add(time.Hour), "")
	if err != nil || len(page.Rows) != 1 {
		t.Fatalf("due for the purge: %+v, %v", page, err)
	}
	// Somebody who registers again before the purge comes is not purged.
	keep(t, d, sample)
	if removed, err := s.Delete(t.Context(), page.Rows[0]); err != nil || removed {
		t.Errorf("removed: %v, %v", removed, err)
	}
	if got := load(t, d, key); !reflect.DeepEqual(got, sample) {
		t.Errorf("got %+v", got)
	}
}

func TestOpen_ARowThatWasTamperedWithIsInternalAndStays(t *testing.T) {
	for name, spoil := range map[string]func(d *user.Directory, row []byte) []byte{
		"a flipped bit":        func(_ *user.Directory, row []byte) []byte { row[40] ^= 1; return row },
		"of another user":      func(d *user.Directory, _ []byte) []byte { return d.Keys.Seal(mustEncode(t, sample), d.Key("bob")) },
		"erased, but not here": func(d *user.Directory, _ []byte) []byte { return d.Keys.Seal([]byte{0}, d.Key("bob")) },
		"sealed, but no user":  func(d *user.Directory, _ []byte) []byte { return d.Keys.Seal([]byte{99}, d.Key(sample.Name)) },
		"an unknown secret":    func(d *user.Directory, _ []byte) []byte { return ring(t, 77).Seal([]byte{0}, d.Key(sample.Name)) },
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newDirectory(t)
			key := keep(t, d, sample)
			var spoiled []byte
			err := s.Table.Update(t.Context(), store.Key(key), func(old []byte) (store.Row, error) {
				spoiled = spoil(d, old)
				return store.Row{Data: spoiled, KeepUntil: noon}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = d.Load(t.Context(), key)
			wantKind(t, err, problem.Internal)
			_, err = d.Change(t.Context(), key, func(user.User, bool) (user.User, error) { return sample, nil })
			wantKind(t, err, problem.Internal)
			_, err = d.Erase(t.Context(), key, noon, anybody)
			wantKind(t, err, problem.Internal)
			wantKind(t, d.Confirm(t.Context(), key, sample.Phone), problem.Internal)
			if row, err := s.Table.Get(t.Context(), store.Key(key)); err != nil || !bytes.Equal(row.Data, spoiled) {
				t.Error("the row was written over")
			}
		})
	}
}

func TestRotation_WhatAnOlderSecretSealedIsSealedAnewAtAnyChange(t *testing.T) {
	d, s := newDirectory(t)
	key := keep(t, d, sample)
	rotated := &user.Directory{Table: s, Keys: ring(t, 50, 1)}
	if got := load(t, rotated, key); !reflect.DeepEqual(got, sample) {
		t.Errorf("got %+v", got)
	}
	trips(t, 2, func(ctx context.Context) {
		if err := rotated.Confirm(ctx, key, sample.Phone); err != nil { // changes nothing
			t.Error(err)
		}
	})
	row, err := s.Table.Get(t.Context(), store.Key(key))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring(t, 50).Open(row.Data, key); err != nil {
		t.Errorf("the new secret alone: %v", err)
	}
	if got := load(t, rotated, key); !reflect.DeepEqual(got, sample) {
		t.Errorf("got %+v", got)
	}
}

func TestStorageErrors_AreOfKnownKindsAndQuoteNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		broken error
		want   problem.Kind
	}{
		"unavailable":     {fmt.Errorf("%w: no answer", store.ErrUnavailable), problem.StorageUnavailable},
		"our own fault":   {store.ErrInvalid, problem.Internal},
		"out of contract": {errors.New("canary"), problem.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newDirectory(t)
			key := keep(t, d, sample)
			s.broken = tc.broken
			changed := sample
			changed.Locale = "de"
			u, err := d.Change(t.Context(), key, func(user.User, bool) (user.User, error) { return changed, nil })
			for what, err := range map[string]error{
				"change":  err,
				"load":    second(d.Load(t.Context(), key)),
				"confirm": d.Confirm(t.Context(), key, sample.Email),
				"erase":   second(d.Erase(t.Context(), key, noon, anybody)),
			} {
				e := wantKind(t, err, tc.want)
				if (e.RetryAfter > 0) != (tc.want == problem.StorageUnavailable) || strings.Contains(e.Error()+e.Detail, "canary") {
					t.Errorf("%s: %+v", what, e)
				}
			}
			if !reflect.DeepEqual(u, user.User{}) {
				t.Errorf("tells %+v, which may not be kept", u)
			}
		})
	}
}

func second(_ user.User, err error) error { return err }

func TestRows_TellNothingOfAPerson(t *testing.T) {
	d, s := newDirectory(t)
	key := keep(t, d, sample)
	row, err := s.Table.Get(t.Context(), store.Key(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{sample.Name, sample.Phone, sample.Phone[4:], sample.Email, "amelie", "example", sample.Locale, "email"} {
		for form, text := range map[string]string{
			"plain":       canary,
			"hexadecimal": hex.EncodeToString([]byte(canary)),
			"base64":      strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canary)), "="),
		} {
			if bytes.Contains(row.Data, []byte(text)) || strings.Contains(key, text) {
				t.Errorf("the row has %q, %s", canary, form)
			}
		}
	}
}
