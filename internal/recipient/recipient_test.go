package recipient_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/window"
)

const (
	alice = "+14155550123"
	mail  = "alice@example.com"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// table keeps rows in a map. It is not safe for concurrent use.
type table struct {
	store.Table // nil: the methods that a Book does not use
	rows        map[store.Key]store.Row
	writes      int

	// conflict, if set, runs after the first call of an Update's function, as
	// another process that was faster; the function is then called again.
	conflict func()
	// lost: every call fails as if the store had not answered, a write after
	// it was made.
	lost bool
}

var errLost = fmt.Errorf("%w: no answer", store.ErrUnavailable)

func (s *table) Get(_ context.Context, key store.Key) (store.Row, error) {
	if s.lost {
		return store.Row{}, errLost
	}
	row, ok := s.rows[key]
	if !ok {
		return store.Row{}, store.ErrNotFound
	}
	return row, nil
}

func (s *table) Update(_ context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	row, err := fn(s.rows[key].Data)
	if conflict := s.conflict; conflict != nil {
		s.conflict = nil
		conflict()
		row, err = fn(s.rows[key].Data)
	}
	if errors.Is(err, store.SkipWrite) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := store.CheckRow(key, row); err != nil {
		return err
	}
	s.rows[key] = row
	s.writes++
	if s.lost {
		return errLost
	}
	return nil
}

func ring(t *testing.T, seeds ...byte) *secret.Keyring {
	t.Helper()
	var entries []string
	for _, seed := range seeds {
		b := make([]byte, 32)
		for i := range b {
			b[i] = seed + byte(i)
		}
		entries = append(entries, base64.StdEncoding.EncodeToString(b))
	}
	r, err := secret.Parse(strings.Join(entries, ","))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newBook(t *testing.T) (*recipient.Book, *table) {
	s := &table{rows: map[store.Key]store.Row{}}
	return &recipient.Book{Table: s, Keys: ring(t, 1)}, s
}

// start keeps a new verification in the book.
func start(t *testing.T, b *recipient.Book, random byte) otp.Verification {
	t.Helper()
	key := b.RowKey(alice)
	_, v, err := b.Change(t.Context(), key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		p := otp.DefaultPolicy()
		p.ResendAfter = 0
		return otp.Start(old, otp.StartRequest{
			ID: otp.NewID(key, [8]byte{random}), Key: b.Keys.Current(), Address: alice, Purpose: "login", Workflow: []string{"sms", "email"}, Other: mail,
			Context: otp.Context{Payee: "Acme Canary"},
		}, p, noon)
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// check spends a check in the book.
func check(t *testing.T, b *recipient.Book, id otp.ID, code string, now time.Time) error {
	t.Helper()
	_, _, err := b.Change(t.Context(), b.RowKey(alice), func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return otp.Check(old, otp.CheckRequest{
			ID: id, Code: code, Context: otp.Context{Payee: "Acme Canary"},
		}, b.Keys, otp.DefaultPolicy(), now)
	})
	return err
}

func load(t *testing.T, b *recipient.Book) otp.Recipient {
	t.Helper()
	r, err := b.Load(t.Context(), b.RowKey(alice))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantKind(t *testing.T, err error, want problem.Kind) *problem.Error {
	t.Helper()
	var e *problem.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %q", err, want)
	}
	if e.Kind != want {
		t.Errorf("got %q, want %q", e.Kind, want)
	}
	return e
}

func TestLoad_AnUnknownAddressIsTheZeroRecipient(t *testing.T) {
	b, _ := newBook(t)
	if r := load(t, b); r.Address != "" || len(r.Verifications)+len(r.Sends)+len(r.Failures) != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestChange_KeepsWhatWasDecided(t *testing.T) {
	b, s := newBook(t)
	v := start(t, b, 1)
	got, err := load(t, b).Find(v.ID)
	if err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("got %+v, %v; want %+v", got, err, v)
	}
	if s.writes != 1 {
		t.Errorf("%d writes, want 1", s.writes)
	}
}

func TestChange_ARefusalThatChangedTheRowIsKeptAndReturned(t *testing.T) {
	b, s := newBook(t)
	v := start(t, b, 1)
	wantKind(t, check(t, b, v.ID, "no", noon), problem.WrongCode)
	r := load(t, b)
	if got, _ := r.Find(v.ID); got.Checks != 1 || len(r.Failures) != 1 || s.writes != 2 {
		t.Errorf("%d checks, %d failures, %d writes; want 1, 1, 2", got.Checks, len(r.Failures), s.writes)
	}
}

func TestChange_ARefusalThatChangedNothingIsNotWritten(t *testing.T) {
	b, s := newBook(t)
	start(t, b, 1)
	before := s.rows[store.Key(b.RowKey(alice))]
	wantKind(t, check(t, b, otp.NewID(b.RowKey(alice), [8]byte{9}), "no", noon), problem.NotFound)
	after := s.rows[store.Key(b.RowKey(alice))]
	if s.writes != 1 || !bytes.Equal(before.Data, after.Data) {
		t.Errorf("%d writes, want 1", s.writes)
	}
}

func TestChange_ACheckOfAnUnknownAddressMakesNoRow(t *testing.T) {
	b, s := newBook(t)
	wantKind(t, check(t, b, otp.NewID(b.RowKey(alice), [8]byte{9}), "no", noon), problem.NotFound)
	if s.writes != 0 || len(s.rows) != 0 {
		t.Errorf("%d writes, %d rows; want none", s.writes, len(s.rows))
	}
}

// Whoever sweeps may have a clock that is ahead by MaxSkew.
func TestChange_KeepsTheRowForMaxSkewLongerThanItCounts(t *testing.T) {
	b, s := newBook(t)
	v := start(t, b, 1)
	row := s.rows[store.Key(b.RowKey(alice))]
	if want := v.ExpiresAt.Add(window.Day + window.MaxSkew); !row.KeepUntil.Equal(want) {
		t.Errorf("kept until %v, want %v", row.KeepUntil, want)
	}
}

func TestChange_WhatTheStoreDidNotConfirmIsNotTold(t *testing.T) {
	for name, right := range map[string]bool{"a right code": true, "a wrong code": false} {
		t.Run(name, func(t *testing.T) {
			b, s := newBook(t)
			v := start(t, b, 1)
			code := "no"
			if right {
				code, _ = v.Code(b.Keys)
			}
			s.lost = true // the write is made, its answer is not heard
			e := wantKind(t, check(t, b, v.ID, code, noon), problem.StorageUnavailable)
			if e.RetryAfter <= 0 || e.ChecksLeft != nil || !errors.Is(e, store.ErrUnavailable) {
				t.Errorf("got %+v", e)
			}
			if s.writes != 2 {
				t.Errorf("%d writes, want 2: nothing was lost", s.writes)
			}
			_, err := b.Load(t.Context(), b.RowKey(alice))
			wantKind(t, err, problem.StorageUnavailable)
		})
	}
}

func TestChange_OnlyTheLastDecisionCounts(t *testing.T) {
	b, s := newBook(t)
	v := start(t, b, 1)
	code, _ := v.Code(b.Keys)

	t.Run("approved at first, canceled by then", func(t *testing.T) {
		s.conflict = func() {
			_, _, err := b.Change(t.Context(), b.RowKey(alice), func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
				return otp.Cancel(old, v.ID, noon)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		wantKind(t, check(t, b, v.ID, code, noon), problem.Canceled)
		if got, _ := load(t, b).Find(v.ID); got.Status != otp.Canceled {
			t.Errorf("is %s, want canceled", got.Status)
		}
	})
	t.Run("refused at first, right by then", func(t *testing.T) {
		key := b.RowKey(alice)
		id := otp.NewID(key, [8]byte{2})
		var second otp.Verification
		s.conflict = func() { second = start(t, b, 2) }
		calls := 0
		_, _, err := b.Change(t.Context(), key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
			calls++
			code := "none yet"
			if second.ID != "" {
				code, _ = second.Code(b.Keys)
			}
			return otp.Check(old, otp.CheckRequest{
				ID: id, Code: code, Context: otp.Context{Payee: "Acme Canary"},
			}, b.Keys, otp.DefaultPolicy(), noon)
		})
		if err != nil || calls != 2 {
			t.Errorf("got %v after %d calls, want no error after 2", err, calls)
		}
	})
	t.Run("decided at first, unreadable by then", func(t *testing.T) {
		third := start(t, b, 3)
		code, _ := third.Code(b.Keys)
		key := store.Key(b.RowKey(alice))
		row := s.rows[key]
		s.conflict = func() { s.rows[key] = store.Row{Data: []byte("spoiled"), KeepUntil: row.KeepUntil} }
		wantKind(t, check(t, b, third.ID, code, noon), problem.Internal)
	})
}

func TestOpen_ARowThatWasTamperedWithIsInternalAndStays(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, b *recipient.Book, s *table){
		"moved from another key": func(t *testing.T, b *recipient.Book, s *table) {
			other := b.RowKey("+14155550124")
			_, _, err := b.Change(t.Context(), other, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
				return otp.Start(old, otp.StartRequest{
					ID: otp.NewID(other, [8]byte{1}), Key: b.Keys.Current(), Address: "+14155550124", Workflow: []string{"sms"},
				}, otp.DefaultPolicy(), noon)
			})
			if err != nil {
				t.Fatal(err)
			}
			s.rows[store.Key(b.RowKey(alice))] = s.rows[store.Key(other)]
		},
		"a flipped bit": func(_ *testing.T, b *recipient.Book, s *table) {
			s.rows[store.Key(b.RowKey(alice))].Data[40] ^= 1
		},
		"sealed, but no recipient": func(_ *testing.T, b *recipient.Book, s *table) {
			key := b.RowKey(alice)
			s.rows[store.Key(key)] = store.Row{Data: b.Keys.Seal([]byte{99}, key), KeepUntil: noon}
		},
		"sealed with a secret that was removed": func(t *testing.T, b *recipient.Book, s *table) {
			key := b.RowKey(alice)
			s.rows[store.Key(key)] = store.Row{Data: ring(t, 77).Seal([]byte{1}, key), KeepUntil: noon}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := newBook(t)
			v := start(t, b, 1)
			spoil(t, b, s)
			key := store.Key(b.RowKey(alice))
			before, writes := bytes.Clone(s.rows[key].Data), s.writes
			_, err := b.Load(t.Context(), string(key))
			wantKind(t, err, problem.Internal)
			code, _ := v.Code(b.Keys)
			wantKind(t, check(t, b, v.ID, code, noon), problem.Internal)
			if s.writes != writes || !bytes.Equal(s.rows[key].Data, before) {
				t.Error("the row was written over")
			}
		})
	}
}

func TestChange_ARecipientThatCannotBeKeptIsInternal(t *testing.T) {
	b, s := newBook(t)
	start(t, b, 1)
	_, _, err := b.Change(t.Context(), b.RowKey(alice), func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		old.Address = strings.Repeat("x", 256)
		return old, otp.Verification{}, nil
	})
	wantKind(t, err, problem.Internal)
	if s.writes != 1 {
		t.Errorf("%d writes, want 1", s.writes)
	}
}

func TestRows_TellNothingOfAPerson(t *testing.T) {
	b, s := newBook(t)
	v := start(t, b, 1)
	code, _ := v.Code(b.Keys)
	wantKind(t, check(t, b, v.ID, "no", noon), problem.WrongCode)
	for key, row := range s.rows {
		for _, canary := range []string{alice, alice[1:], alice[4:], "Acme", "Canary", "login", "sms", "email", mail, "alice", "example", code, string(v.ID), string(v.ID[18:])} {
			for form, text := range map[string]string{
				"plain":       canary,
				"hexadecimal": hex.EncodeToString([]byte(canary)),
				"base64":      strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canary)), "="),
			} {
				if len(text) > 3 && (bytes.Contains(row.Data, []byte(text)) || strings.Contains(string(key), text)) {
					t.Errorf("the row has %q, %s", canary, form)
				}
			}
		}
	}
}

func TestRotation_RowsStayWhereTheyAreAndAreSealedAnewWhenChanged(t *testing.T) {
	b, s := newBook(t)
	v := start(t, b, 1)
	code, _ := v.Code(b.Keys)
	rotated := &recipient.Book{Table: s, Keys: ring(t, 50, 1)}
	if err := check(t, rotated, v.ID, code, noon); err != nil {
		t.Fatalf("a code that was on its way: %v", err)
	}
	if len(s.rows) != 1 {
		t.Errorf("%d rows, want 1", len(s.rows))
	}
	key := rotated.RowKey(alice)
	if _, err := ring(t, 50).Open(s.rows[store.Key(key)].Data, key); err != nil {
		t.Errorf("the new secret alone: %v", err)
	}
}

func TestStorageErrors_EveryOtherFaultIsInternal(t *testing.T) {
	b, _ := newBook(t)
	_, _, err := b.Change(t.Context(), "not a key!", func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		old.Sends = []time.Time{noon}
		return old, otp.Verification{}, nil
	})
	wantKind(t, err, problem.Internal)
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// An error that no store of ours returns may quote anything.
func TestStorageErrors_UnknownTextsAreLeftOut(t *testing.T) {
	b, _ := newBook(t)
	b.Table = oddTable{b.Table}
	_, err := b.Load(t.Context(), b.RowKey(alice))
	wantKind(t, err, problem.Internal)
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the error quotes the store's: %v", err)
	}
}

type oddTable struct{ store.Table }

func (oddTable) Get(context.Context, store.Key) (store.Row, error) {
	return store.Row{}, errors.New("canary")
}

// What was found must not be told of where it may not have been kept.
func TestChange_ReturnsWhatWasDecidedOnlyWhereItIsKept(t *testing.T) {
	for name, tc := range map[string]struct {
		refusal error
		lost    bool
		spoiled bool
		want    bool
	}{
		"approved":               {want: true},
		"refused, and kept":      {refusal: &problem.Error{Kind: problem.WrongCode}, want: true},
		"approved, perhaps kept": {lost: true},
		"refused, perhaps kept":  {refusal: &problem.Error{Kind: problem.AlreadyUsed}, lost: true},
		"a row that cannot be read any more at the second look": {spoiled: true},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := newBook(t)
			key := b.RowKey(alice)
			v := start(t, b, 1)
			s.lost = tc.lost
			if tc.spoiled {
				s.conflict = func() { s.rows[store.Key(key)] = store.Row{Data: []byte("spoiled"), KeepUntil: noon} }
			}
			r, got, err := b.Change(t.Context(), key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
				old.Sends = append(old.Sends, noon)
				return old, v, tc.refusal
			})
			if told := r.Address != "" || got.ID != ""; told != tc.want || tc.want && (r.Address != alice || got.ID != v.ID) {
				t.Errorf("returned %+v and %+v, %v", r, got, err)
			}
			if (err == nil) != (tc.want && tc.refusal == nil) {
				t.Errorf("error %v", err)
			}
		})
	}
}
