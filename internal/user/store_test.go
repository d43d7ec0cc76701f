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
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/row"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/internal/window"
)

func TestKey_HidesTheNameAndIsNoRecipientsKey(t *testing.T) {
	users := &user.Store{Keys: fixture.Keys(t, 1)}
	// By Python's hmac, from the bytes of the secret.
	if got, want := users.Key("main", "Am\u00e9lie"), otp.UserKey("u8d2131647cdf68851010981969339841"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	seen := map[otp.UserKey]string{}
	for _, name := range []string{"alice", "Alice", "alice ", "", "+14155550123", "user\x00alice"} {
		key := users.Key("main", name)
		if !regexp.MustCompile(`^u[0-9a-f]{32}$`).MatchString(string(key)) || !store.Key(key).Valid() {
			t.Errorf("%q has the key %q", name, key)
		}
		if other, taken := seen[key]; taken {
			t.Errorf("%q and %q have the same key", name, other)
		}
		seen[key] = name
		index := users.Keys.Index(name)
		if strings.Contains(string(key), hex.EncodeToString(index[:8])) {
			t.Errorf("%q has the index of the address of that name", name)
		}
	}
	if users.Key("main", "alice") == (&user.Store{Keys: fixture.Keys(t, 2)}).Key("main", "alice") {
		t.Error("the key does not depend on the secret")
	}
	if users.Key("main", "alice") != (&user.Store{Keys: fixture.Keys(t, 50, 1)}).Key("main", "alice") {
		t.Error("a rotated secret moves the rows")
	}
}

func TestStore_RoundTrips(t *testing.T) {
	r := newRig(t)
	key := r.Users.Key("main", sample.Name)
	load := func(ctx context.Context) error { _, err := r.Users.Load(ctx, key); return err }
	put := func(old user.User) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			got, err := r.Users.Put(ctx, key, func(found user.User) (user.User, error) {
				if !reflect.DeepEqual(found, old) {
					t.Errorf("decides on %+v", found)
				}
				return sample, nil
			})
			if !reflect.DeepEqual(got, sample) {
				t.Errorf("got %+v", got)
			}
			return err
		}
	}
	change := func(ctx context.Context) error { _, err := r.Users.Change(ctx, key, always(sample)); return err }
	confirm := func(ctx context.Context) error { return r.Users.Confirm(ctx, key, sample.Email) }
	erase := func(ctx context.Context) error { return r.Users.Erase(ctx, key, fixture.Noon, agree) }
	for i, step := range []struct {
		want  int64
		found bool
		call  func(ctx context.Context) error
	}{
		{1, false, load}, {1, false, change},
		{2, true, put(user.User{})}, {1, true, put(sample)}, {1, true, load}, // the second Put changes nothing
		{2, true, confirm}, {1, true, confirm}, // verified before
		{2, true, erase}, {1, false, erase},
	} {
		r.wantTrips(step.want, func(ctx context.Context) {
			err := step.call(ctx)
			if step.found {
				if err != nil {
					t.Errorf("step %d: %v", i, err)
				}
			} else if e := fixture.Problem(t, err, problem.NotFound); !strings.Contains(e.Detail, "Register the user first.") {
				t.Errorf("step %d: the detail does not say what to do: %q", i, e.Detail)
			}
		})
	}
}

// secretfile looks for rows up to 9999-01-01 before it makes a new secret.
func TestPut_KeepsAUserForAsLongAsASecretIsLookedFor(t *testing.T) {
	r := newRig(t)
	key := r.keep(sample)
	for until, want := range map[time.Time]int{
		time.Date(9990, 1, 1, 0, 0, 0, 0, time.UTC): 0,
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC): 1,
	} {
		page, err := r.Table.Expired(t.Context(), until, "")
		if err != nil || len(page.Rows) != want || want == 1 && page.Rows[0].Key != store.Key(key) {
			t.Errorf("until %v: %+v, %v", until, page, err)
		}
	}
}

func TestPut_KeepsNothingThatIsDiscarded(t *testing.T) {
	r := newRig(t)
	key := r.keep(sample)
	for _, refusal := range []error{&problem.Error{Kind: problem.PreconditionFailed}, errors.New("no")} {
		got, err := r.Users.Put(t.Context(), key, func(old user.User) (user.User, error) {
			old.Phone = "+14155550199"
			return old, row.Discard(refusal)
		})
		if !errors.Is(err, refusal) || !reflect.DeepEqual(got, user.User{}) {
			t.Errorf("got %+v, %v", got, err)
		}
		r.wantKept(sample)
	}
	_, err := r.Users.Put(t.Context(), key, always(user.User{}))
	fixture.Problem(t, err, problem.Internal)
	r.wantKept(sample)
	_, err = r.Users.Put(t.Context(), r.Users.Key("main", "bob"), always(user.User{}))
	fixture.Problem(t, err, problem.Internal)
}

// Clients see the revision as the entity tag.
func TestPut_DrawsARevision(t *testing.T) {
	r := newRig(t)
	var seen [][8]byte
	alice := user.User{Directory: "main", Name: "alice", Phone: fixture.Alice}
	key := r.Users.Key("main", alice.Name)
	change := func(text string, err error) func(old user.User) (user.User, error) {
		return func(old user.User) (user.User, error) {
			old.Locale = text
			return old.Revised(), err
		}
	}
	check := func(what string, trips int64, fresh bool, decide func(old user.User) (user.User, error)) {
		t.Helper()
		var u user.User
		r.wantTrips(trips, func(ctx context.Context) { u, _ = r.Users.Put(ctx, key, decide) })
		switch known := slices.Index(seen, u.Revision); {
		case u.Revision == [8]byte{}:
			t.Errorf("%s: there is no revision", what)
		case fresh && known >= 0:
			t.Errorf("%s: the revision %d came back", what, known)
		case fresh:
			seen = append(seen, u.Revision)
		case known != len(seen)-1:
			t.Errorf("%s: the revision has changed", what)
		}
		r.wantKept(u)
	}
	check("a new user", 2, true, always(alice))
	check("a change", 2, true, change("de", nil))
	check("another change", 2, true, change("fr", nil))
	check("a change beside an error", 2, false, change("it", errors.New("no")))
	if u := r.Registered(alice.Name); u.Locale != "it" {
		t.Errorf("%+v is kept", u)
	}
	check("no change", 1, false, func(old user.User) (user.User, error) { return old, nil })
	check("a change that no client sees", 2, false, func(old user.User) (user.User, error) {
		old.TOTP.Failures = []time.Time{fixture.Noon}
		return old, nil
	})
	r.erase(key)
	check("the same user again", 2, true, always(alice))
}

func TestPut_OnlyTheLastDecisionCounts(t *testing.T) {
	r := newRig(t)
	other := sample
	other.Phone = "+14155550199"
	r.conflict(func() { r.keep(other) })
	var founds []bool
	got, err := r.Users.Put(t.Context(), r.Users.Key("main", sample.Name), func(old user.User) (user.User, error) {
		founds = append(founds, old.Name != "")
		if old.Name == "" {
			return old, row.Discard(&problem.Error{Kind: problem.PreconditionFailed})
		}
		old.Locale = "de"
		return old, nil
	})
	if want := []bool{false, true}; err != nil || !slices.Equal(founds, want) || got.Phone != other.Phone || got.Locale != "de" {
		t.Errorf("got %+v, %v after %v", got, err, founds)
	}

	// The user is erased, and then registered, between the two decisions.
	key := r.Users.Key("main", sample.Name)
	r.conflict(func() { r.erase(key) })
	fixture.Problem(t, r.Users.Erase(t.Context(), key, fixture.Noon, agree), problem.NotFound)
	r.conflict(func() { r.keep(sample) })
	var asked []user.User
	err = r.Users.Erase(t.Context(), key, fixture.Noon, func(u user.User) error { asked = append(asked, u); return nil })
	if err != nil || !reflect.DeepEqual(asked, []user.User{sample}) {
		t.Errorf("asked about %+v, %v", asked, err)
	}
}

func TestConfirm_VerifiesTheUsersOwnAddressOnly(t *testing.T) {
	unverified := sample
	unverified.PhoneVerified = false
	nowhere := user.User{Directory: "main", Name: "x", Revision: sample.Revision}
	for name, tc := range map[string]struct {
		user         user.User
		address      string
		phone, email bool
	}{
		"the number":                    {user: unverified, address: sample.Phone, phone: true},
		"the e-mail address":            {user: unverified, address: sample.Email, email: true},
		"another number":                {user: unverified, address: "+14155550199"},
		"no address":                    {user: unverified},
		"no address, of a user without": {user: nowhere},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			key := r.keep(tc.user)
			if err := r.Users.Confirm(t.Context(), key, tc.address); err != nil {
				t.Fatal(err)
			}
			u, changed := r.Registered(tc.user.Name), tc.phone || tc.email
			if u.PhoneVerified != tc.phone || u.EmailVerified != tc.email || (u.Revision != tc.user.Revision) != changed || !u.UpdatedAt.Equal(tc.user.UpdatedAt) {
				t.Errorf("got %+v", u)
			}
		})
	}
	t.Run("of no user", func(t *testing.T) {
		r := newRig(t)
		key := r.Users.Key("main", "bob")
		if err := r.Users.Confirm(t.Context(), key, sample.Phone); err != nil {
			t.Fatal(err)
		}
		_, err := r.Users.Load(t.Context(), key)
		fixture.Problem(t, err, problem.NotFound)
	})
}

func TestErase_LeavesNothingAndIsDueForThePurge(t *testing.T) {
	r := newRig(t)
	key := r.keep(sample)
	for _, answer := range []error{errors.New("no"), nil} {
		err := r.Users.Erase(t.Context(), key, fixture.Noon, func(u user.User) error {
			if !reflect.DeepEqual(u, sample) {
				t.Errorf("asked about %+v", u)
			}
			return answer
		})
		if !errors.Is(err, answer) {
			t.Fatalf("got %v", err)
		}
		if answer != nil {
			r.wantKept(sample)
		}
	}
	_, err := r.Users.Load(t.Context(), key)
	fixture.Problem(t, err, problem.NotFound)

	kept, err := r.Table.Get(t.Context(), store.Key(key))
	if err != nil || len(kept.Data) != secret.Overhead+1 || kept.KeepUntil.After(fixture.Noon.Add(window.MaxSkew)) {
		t.Errorf("%d bytes until %v, %v", len(kept.Data), kept.KeepUntil, err)
	}
	page, err := r.Table.Expired(t.Context(), fixture.Noon.Add(time.Hour), "")
	if err != nil || len(page.Rows) != 1 {
		t.Fatalf("due for the purge: %+v, %v", page, err)
	}
	// A user who registers again before the purge is not purged.
	r.keep(sample)
	if removed, err := r.Table.Delete(t.Context(), page.Rows[0]); err != nil || removed {
		t.Errorf("removed: %v, %v", removed, err)
	}
	r.wantKept(sample)
}

// The row of a user's key is never returned, changed or erased if it cannot be
// read, or belongs to another user.
func TestStore_ARowThatWasTamperedWithIsInternalAndStays(t *testing.T) {
	for name, spoil := range map[string]func(r rig, row []byte) []byte{
		"a flipped bit":          func(_ rig, row []byte) []byte { row[40] ^= 1; return row },
		"of another key":         func(r rig, _ []byte) []byte { return r.seal(mustEncode(t, sample), "bob") },
		"erased, at another key": func(r rig, _ []byte) []byte { return r.seal([]byte{0}, "bob") },
		"not a user":             func(r rig, _ []byte) []byte { return r.seal([]byte{99}, sample.Name) },
		"another user": func(r rig, _ []byte) []byte {
			return r.seal(mustEncode(t, user.User{Directory: "main", Name: "bob"}), sample.Name)
		},
		"another directory's user": func(r rig, _ []byte) []byte {
			u := sample
			u.Directory = "shop"
			return r.seal(mustEncode(t, u), sample.Name)
		},
		"an unknown secret": func(r rig, _ []byte) []byte {
			return fixture.Keys(t, 77).Seal([]byte{0}, string(r.Users.Key("main", sample.Name)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			key := r.keep(sample)
			var spoiled []byte
			err := r.Table.Table.Update(t.Context(), store.Key(key), func(old []byte) (store.Row, error) {
				spoiled = spoil(r, old)
				return store.Row{Data: spoiled, KeepUntil: fixture.Noon}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			u, err := r.Users.Load(t.Context(), key)
			_, putErr := r.Users.Put(t.Context(), key, always(sample))
			_, changeErr := r.Users.Change(t.Context(), key, always(sample))
			for _, err := range []error{
				err, putErr, changeErr, r.Users.Erase(t.Context(), key, fixture.Noon, agree), r.Users.Confirm(t.Context(), key, sample.Phone),
			} {
				fixture.Problem(t, err, problem.Internal)
			}
			if !reflect.DeepEqual(u, user.User{}) {
				t.Errorf("returns %+v beside the error", u)
			}
			if row, err := r.Table.Get(t.Context(), store.Key(key)); err != nil || !bytes.Equal(row.Data, spoiled) {
				t.Error("the row was overwritten")
			}
		})
	}
}

func TestRotation_AnyChangeSealsTheRowWithTheNewSecret(t *testing.T) {
	r := newRig(t)
	key := r.keep(sample)
	rotated := &user.Store{Table: r.Table, Keys: fixture.Keys(t, 50, 1)}
	unchanged := func() {
		t.Helper()
		if got, err := rotated.Load(t.Context(), key); err != nil || !reflect.DeepEqual(got, sample) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	unchanged()
	r.wantTrips(2, func(ctx context.Context) {
		if err := rotated.Confirm(ctx, key, sample.Phone); err != nil { // changes nothing
			t.Error(err)
		}
	})
	row, err := r.Table.Get(t.Context(), store.Key(key))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fixture.Keys(t, 50).Open(row.Data, string(key)); err != nil {
		t.Errorf("the new secret alone: %v", err)
	}
	unchanged()
}

func TestStorageErrors_AreOfKnownKindsAndQuoteNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		broken error
		want   problem.Kind
	}{
		"unavailable":     {fmt.Errorf("%w: no answer", store.ErrUnavailable), problem.StorageUnavailable},
		"a lost answer":   {nil, problem.StorageUnavailable},
		"our own fault":   {store.ErrInvalid, problem.Internal},
		"out of contract": {errors.New("canary"), problem.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			key := r.keep(sample)
			if tc.broken == nil {
				r.Table.Break(func(int) testrig.Fault { return testrig.Lost })
			} else {
				r.Table.Before(func(testrig.Call) error { return tc.broken })
			}
			changed := sample
			changed.Locale = "de"
			u, err := r.Users.Change(t.Context(), key, always(changed))
			_, loadErr := r.Users.Load(t.Context(), key)
			for what, err := range map[string]error{
				"change":  err,
				"load":    loadErr,
				"confirm": r.Users.Confirm(t.Context(), key, sample.Email),
				"erase":   r.Users.Erase(t.Context(), key, fixture.Noon, agree),
			} {
				e := fixture.Problem(t, err, tc.want)
				if (e.RetryAfter > 0) != (tc.want == problem.StorageUnavailable) || strings.Contains(e.Error()+e.Detail, "canary") {
					t.Errorf("%s: %+v", what, e)
				}
			}
			if !reflect.DeepEqual(u, user.User{}) {
				t.Errorf("returns %+v, which may not be kept", u)
			}
		})
	}
}

func TestRows_HideThePerson(t *testing.T) {
	r := newRig(t)
	key := r.keep(sample)
	row, err := r.Table.Get(t.Context(), store.Key(key))
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{sample.Name, sample.Phone, sample.Phone[4:], sample.Email, "amelie", "example", sample.Locale, "email"} {
		for form, text := range map[string]string{
			"plain":       canary,
			"hexadecimal": hex.EncodeToString([]byte(canary)),
			"base64":      strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canary)), "="),
		} {
			if bytes.Contains(row.Data, []byte(text)) || strings.Contains(string(key), text) {
				t.Errorf("the row has %q, %s", canary, form)
			}
		}
	}
}
