package recipient_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/store"
	"twofa/internal/testing/rig"
	"twofa/internal/window"
)

func TestErase_NothingIsLeftOfAnAddressButTheTimesOfItsLimits(t *testing.T) {
	b, s := newBook(t)
	v := start(t, b, 1)
	wantKind(t, check(t, b, v.ID, "no", noon), problem.WrongCode)
	if err := b.Erase(t.Context(), alice, noon); err != nil {
		t.Fatal(err)
	}
	left := load(t, b)
	if left.Address != "" || len(left.Verifications)+len(left.Replays) != 0 || left.Good != (otp.Good{}) {
		t.Errorf("left: %+v", left)
	}
	// R4: an erasure gives nobody new tries.
	if len(left.Sends) != 1 || len(left.Failures) != 1 {
		t.Errorf("%d sends and %d failures are counted, want 1 and 1", len(left.Sends), len(left.Failures))
	}
	code, _ := v.Code(b.Keys)
	wantKind(t, check(t, b, v.ID, code, noon), problem.NotFound)
	if row := s.rows[store.Key(b.RowKey(alice))]; !row.KeepUntil.Equal(noon.Add(window.Day + window.MaxSkew)) {
		t.Errorf("kept until %v", row.KeepUntil)
	}
	// A day later nothing is left to count, and the row goes as soon as no write
	// can be under way.
	if err := b.Erase(t.Context(), alice, noon.Add(window.Day)); err != nil {
		t.Fatal(err)
	}
}

func TestCancelUser_EndsWhatIsPendingForThatUserAlone(t *testing.T) {
	b, _ := newBook(t)
	v := start(t, b, 1)
	if err := b.CancelUser(t.Context(), alice, "u1", noon); err != nil {
		t.Fatal(err)
	}
	code, _ := v.Code(b.Keys)
	if err := check(t, b, v.ID, code, noon); err != nil {
		t.Errorf("another's verification was ended: %v", err)
	}
	v = start(t, b, 2)
	if err := b.CancelUser(t.Context(), alice, "", noon); err != nil { // started for the address
		t.Fatal(err)
	}
	code, _ = v.Code(b.Keys)
	wantKind(t, check(t, b, v.ID, code, noon), problem.Canceled)
	if err := b.CancelUser(t.Context(), rig.Bob, "u1", noon); err != nil {
		t.Errorf("an address that nobody knows: %v", err)
	}
}

func TestErase_TheAddressMayComeBack(t *testing.T) {
	b, _ := newBook(t)
	start(t, b, 1)
	if err := b.Erase(t.Context(), alice, noon); err != nil {
		t.Fatal(err)
	}
	v := start(t, b, 2)
	code, _ := v.Code(b.Keys)
	if err := check(t, b, v.ID, code, noon); err != nil {
		t.Error(err)
	}
}

func TestErase_WhereNothingIsNothingIsWritten(t *testing.T) {
	b, s := newBook(t)
	if err := b.Erase(t.Context(), alice, noon); err != nil || s.writes != 0 || len(s.rows) != 0 {
		t.Errorf("unknown: %v, %d writes", err, s.writes)
	}
	start(t, b, 1)
	for range 2 {
		if err := b.Erase(t.Context(), alice, noon); err != nil {
			t.Fatal(err)
		}
	}
	if s.writes != 2 {
		t.Errorf("%d writes, want the start's and one erasure's", s.writes)
	}
}

// Two addresses may share a row's key: the one must not erase the other.
func TestErase_TheRowOfAnotherAddressStays(t *testing.T) {
	b, s := newBook(t)
	start(t, b, 1)
	key := b.RowKey(alice)
	_, _, err := b.Change(t.Context(), key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		old.Address = rig.Bob
		return old, otp.Verification{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	writes, before := s.writes, bytes.Clone(s.rows[store.Key(key)].Data)
	if err := b.Erase(t.Context(), alice, noon); err != nil || s.writes != writes || !bytes.Equal(before, s.rows[store.Key(key)].Data) {
		t.Errorf("%v, %d writes more", err, s.writes-writes)
	}
}

// Only the person's latest state counts: whoever starts in between is erased too.
func TestErase_WhatIsWrittenInBetweenIsErasedToo(t *testing.T) {
	b, s := newBook(t)
	start(t, b, 1)
	s.conflict = func() { start(t, b, 2) }
	if err := b.Erase(t.Context(), alice, noon); err != nil {
		t.Fatal(err)
	}
	if r := load(t, b); len(r.Verifications) != 0 {
		t.Errorf("left: %+v", r)
	}
}

func TestErase_FaultsAreTold(t *testing.T) {
	b, s := newBook(t)
	start(t, b, 1)
	s.lost = true
	if e := wantKind(t, b.Erase(t.Context(), alice, noon), problem.StorageUnavailable); e.RetryAfter <= 0 || !errors.Is(e, store.ErrUnavailable) {
		t.Errorf("lost: %+v", e)
	}
	s.lost = false
	start(t, b, 2)
	rotated := &recipient.Book{Table: oldKeyed{s, b.RowKey(alice)}, Keys: ring(t, 90)} // a secret was lost
	wantKind(t, rotated.Erase(t.Context(), alice, noon), problem.Internal)
	if r := load(t, b); len(r.Verifications) != 1 {
		t.Errorf("a row that could not be read was written over: %+v", r)
	}
}

// oldKeyed finds the row of an address under the key that another secret gave it.
type oldKeyed struct {
	*table
	key string
}

func (o oldKeyed) Update(ctx context.Context, _ store.Key, fn func([]byte) (store.Row, error)) error {
	return o.table.Update(ctx, store.Key(o.key), fn)
}

// A row costs two round trips, and one where it is left as it is.
func TestRoundTrips(t *testing.T) {
	r := rig.New(t)
	key := r.Book.RowKey(alice)
	change := func(ctx context.Context) error {
		_, _, err := r.Book.Change(ctx, key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
			old.Address, old.Sends = alice, []time.Time{noon}
			return old, otp.Verification{}, nil
		})
		return err
	}
	erase := func(ctx context.Context) error { return r.Book.Erase(ctx, alice, noon) }
	for _, step := range []struct {
		name string
		want int64
		call func(ctx context.Context) error
	}{
		{"change", 2, change},
		{"change nothing", 1, change},
		{"load", 1, func(ctx context.Context) error { _, err := r.Book.Load(ctx, key); return err }},
		{"erase", 2, erase},
		{"erase nothing", 1, erase},
	} {
		got := r.Trips(func(ctx context.Context) {
			if err := step.call(ctx); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
		})
		if got != step.want {
			t.Errorf("%s: %d round trips, want %d", step.name, got, step.want)
		}
	}
}
