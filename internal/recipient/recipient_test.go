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

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/window"
)

// bound is the transaction of all verifications.
var bound = otp.Transaction{Payee: "Acme Canary"}

// counted returns the recipient with a message at that time.
func counted(r otp.Recipient, at time.Time) otp.Recipient {
	r.Tallies = []otp.Tally{{Sends: []time.Time{at}}}
	return r
}

// start starts a verification and keeps it in the store.
func start(r *rig.Rig, s *recipient.Store, random byte) otp.Verification {
	r.TB.Helper()
	p := otp.DefaultPolicy()
	p.ResendAfter = 0
	key := s.Key(fixture.Alice)
	_, v, err := s.Change(r.Ctx(), key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return otp.Start(old, otp.StartRequest{
			ID: s.NewID(key, [8]byte{random}), Key: s.Keys.Current(), Address: fixture.Alice, Purpose: "login",
			Workflow: []channel.Channel{"sms", "email"}, Other: fixture.AliceMail, Transaction: bound,
		}, p, r.Now())
	})
	if err != nil {
		r.TB.Fatal(err)
	}
	return v
}

// begin returns a rig and a verification that its store has.
func begin(t *testing.T) (*rig.Rig, otp.Verification) {
	r := rig.New(t)
	return r, start(r, r.Recipients, 1)
}

// check spends a check.
func check(r *rig.Rig, s *recipient.Store, id otp.ID, code string) error {
	_, _, err := s.Change(r.Ctx(), s.Key(fixture.Alice), func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return otp.Check(old, otp.CheckRequest{ID: id, Code: code, Transaction: bound}, s.Keys, otp.DefaultPolicy(), r.Now())
	})
	return err
}

// raw is Alice's row in the table, the zero Row if there is none.
func raw(r *rig.Rig) store.Row {
	r.TB.Helper()
	row, err := r.Kept.Table.Get(context.Background(), store.Key(r.Kept.Key(fixture.Alice)))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		r.TB.Fatal(err)
	}
	return row
}

// unwritten fails the test if f writes Alice's row: each seal has a new nonce.
func unwritten(r *rig.Rig, what string, f func()) {
	r.TB.Helper()
	before := raw(r)
	if f(); !bytes.Equal(before.Data, raw(r).Data) {
		r.TB.Errorf("%s: the row was written", what)
	}
}

// between makes f a write of another process, after the first call of the next
// Update's function.
func between(r *rig.Rig, f func()) {
	r.Table.Break(func(call int) rig.Fault {
		if call == 1 {
			f()
		}
		return rig.None
	})
}

func TestLoad_AnUnknownAddressIsTheZeroRecipient(t *testing.T) {
	r := rig.New(t)
	got, err := r.Recipients.Load(r.Ctx(), r.Recipients.Key(fixture.Alice))
	if err != nil || !reflect.DeepEqual(got, otp.Recipient{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestChange_KeepsTheVerification(t *testing.T) {
	r, v := begin(t)
	if _, got := r.Verification(v.ID); !reflect.DeepEqual(got, v) {
		t.Errorf("got %+v, want %+v", got, v)
	}
}

// A result that may be lost is neither answered nor logged.
func TestChange_ReturnsAndLogsTheResultOnlyIfItIsKept(t *testing.T) {
	refusal := &problem.Error{Kind: problem.WrongCode}
	for name, tc := range map[string]struct {
		change func(old otp.Recipient) otp.Recipient
		fault  rig.Fault
		want   bool
	}{
		"kept":            {func(old otp.Recipient) otp.Recipient { return counted(old, fixture.Noon) }, rig.None, true},
		"no change":       {func(old otp.Recipient) otp.Recipient { return old }, rig.None, true},
		"nothing to keep": {func(otp.Recipient) otp.Recipient { return otp.Recipient{} }, rig.None, false},
		"perhaps kept":    {func(old otp.Recipient) otp.Recipient { return old }, rig.Lost, false},
		"not kept":        {func(old otp.Recipient) otp.Recipient { return old }, rig.Down, false},
	} {
		for _, decided := range []error{nil, refusal} {
			r, v := begin(t)
			r.Table.Break(func(int) rig.Fault { return tc.fault })
			ctx, line := reqlog.With(r.Ctx())
			got, found, err := r.Recipients.Change(ctx, r.Recipients.Key(fixture.Alice), func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
				return tc.change(old), v, decided
			})
			logged := strings.Contains(fmt.Sprint(line.Attrs()), string(v.ID))
			if told := got.Address == fixture.Alice && found.ID == v.ID; told != tc.want || logged != tc.want {
				t.Errorf("%s, %v: returned %+v and %+v, logged %v", name, decided, got, found, logged)
			}
			if !tc.want && (got.Address != "" || !reflect.DeepEqual(found, otp.Verification{}) || len(line.Attrs()) > 0) {
				t.Errorf("%s, %v: returned %+v and %+v, logged %v", name, decided, got, found, line.Attrs())
			}
			if tc.fault == rig.None && err != decided {
				t.Errorf("%s: got %v, want %v", name, err, decided)
			} else if tc.fault != rig.None {
				r.Refused(err, problem.StorageUnavailable)
			}
		}
	}
}

func TestChange_KeepsAndReturnsARefusalThatChangedTheRow(t *testing.T) {
	r, v := begin(t)
	r.Refused(check(r, r.Recipients, v.ID, r.Wrong(v.ID)), problem.WrongCode)
	if kept, got := r.Verification(v.ID); got.Checks != 1 || len(kept.Tally(otp.Caller{}).Failures) != 1 {
		t.Errorf("%d checks, %d failures; want 1 and 1", got.Checks, len(kept.Tally(otp.Caller{}).Failures))
	}
}

func TestChange_ARefusalThatChangedNothingIsNotWritten(t *testing.T) {
	r := rig.New(t)
	unknown := r.Recipients.NewID(r.Recipients.Key(fixture.Alice), [8]byte{9})
	for range 2 { // of an unknown address, and of one with another verification
		unwritten(r, "a check of an unknown verification", func() {
			r.Refused(check(r, r.Recipients, unknown, "no"), problem.NotFound)
		})
		start(r, r.Recipients, 1)
	}
}

// The clock of the process that purges may be ahead by MaxSkew.
func TestChange_KeepsTheRowForMaxSkewLongerThanItCounts(t *testing.T) {
	r, v := begin(t)
	if got, want := raw(r).KeepUntil, v.ExpiresAt.Add(window.Day+window.MaxSkew); !got.Equal(want) {
		t.Errorf("kept until %v, want %v", got, want)
	}
}

func TestChange_ReturnsNothingWithoutTheStoresAnswer(t *testing.T) {
	for name, right := range map[string]bool{"a right code": true, "a wrong code": false} {
		t.Run(name, func(t *testing.T) {
			r, v := begin(t)
			code := r.Wrong(v.ID)
			if right {
				code = r.Code(v.ID)
			}
			before := raw(r)
			r.Table.Break(func(int) rig.Fault { return rig.Lost })
			err := check(r, r.Recipients, v.ID, code)
			if e := r.Refused(err, problem.StorageUnavailable); e.RetryAfter <= 0 || e.ChecksLeft != nil || !errors.Is(e, store.ErrUnavailable) {
				t.Errorf("got %+v", e)
			}
			if bytes.Equal(before.Data, raw(r).Data) {
				t.Error("the test lost the write, not its answer")
			}
			_, err = r.Recipients.Load(r.Ctx(), r.Recipients.Key(fixture.Alice))
			r.Refused(err, problem.StorageUnavailable)
		})
	}
}

func TestChange_OnlyTheLastDecisionCounts(t *testing.T) {
	r, v := begin(t)
	code := r.Code(v.ID)
	key := r.Recipients.Key(fixture.Alice)
	t.Run("first approved, then canceled", func(t *testing.T) {
		between(r, func() {
			_, _, err := r.Kept.Change(r.Ctx(), key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
				return otp.Cancel(old, otp.Owner{}, v.ID, r.Now())
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		r.Refused(check(r, r.Recipients, v.ID, code), problem.Canceled)
		if _, got := r.Verification(v.ID); got.Status != otp.Canceled {
			t.Errorf("status %s, want canceled", got.Status)
		}
	})
	t.Run("first refused, then right", func(t *testing.T) {
		id := r.Recipients.NewID(key, [8]byte{2})
		between(r, func() { start(r, r.Kept, 2) })
		calls := 0
		_, _, err := r.Recipients.Change(r.Ctx(), key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
			calls++
			code := "none yet"
			if v, err := old.Find(id); err == nil {
				code, _ = v.Code(r.Keys)
			}
			return otp.Check(old, otp.CheckRequest{ID: id, Code: code, Transaction: bound}, r.Keys, otp.DefaultPolicy(), r.Now())
		})
		if err != nil || calls != 2 {
			t.Errorf("got %v after %d calls, want no error after 2", err, calls)
		}
	})
}

func TestRow_SealedDataThatIsNoRecipientIsInternalAndStays(t *testing.T) {
	r, v := begin(t)
	code, key := r.Code(v.ID), r.Recipients.Key(fixture.Alice)
	err := r.Kept.Table.Update(r.Ctx(), store.Key(key), func([]byte) (store.Row, error) {
		return store.Row{Data: r.Keys.Seal([]byte{99}, string(key)), KeepUntil: r.Now()}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	unwritten(r, "a row that cannot be read", func() {
		_, err := r.Recipients.Load(r.Ctx(), key)
		r.Refused(err, problem.Internal)
		r.Refused(check(r, r.Recipients, v.ID, code), problem.Internal)
	})
}

// A row that was moved to another address's key does not open.
func TestRow_OfAnotherKeyIsInternal(t *testing.T) {
	r, v := begin(t)
	row, other := raw(r), r.Recipients.Key(fixture.Bob)
	if err := r.Kept.Table.Update(r.Ctx(), store.Key(other), func([]byte) (store.Row, error) { return row, nil }); err != nil {
		t.Fatal(err)
	}
	_, err := r.Recipients.Load(r.Ctx(), other)
	r.Refused(err, problem.Internal)
	r.Verification(v.ID) // the row itself can be read
}

func TestChange_ARecipientThatCannotBeEncodedIsInternal(t *testing.T) {
	r, _ := begin(t)
	unwritten(r, "a text that is too long", func() {
		_, _, err := r.Recipients.Change(r.Ctx(), r.Recipients.Key(fixture.Alice), func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
			old.Address = strings.Repeat("x", 256)
			return old, otp.Verification{}, nil
		})
		r.Refused(err, problem.Internal)
	})
}

func TestRow_RevealsNothingOfAPerson(t *testing.T) {
	r, v := begin(t)
	code := r.Code(v.ID)
	r.Refused(check(r, r.Recipients, v.ID, r.Wrong(v.ID)), problem.WrongCode)
	key, data := string(r.Recipients.Key(fixture.Alice)), raw(r).Data
	const alice, mail = fixture.Alice, fixture.AliceMail
	for _, canary := range []string{alice, alice[1:], alice[4:], "Acme", "Canary", "login", "sms", "email", mail, "alice", "example", code, string(v.ID), string(v.ID[18:])} {
		for form, text := range map[string]string{
			"plain":       canary,
			"hexadecimal": hex.EncodeToString([]byte(canary)),
			"base64":      strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canary)), "="),
		} {
			if len(text) > 3 && (bytes.Contains(data, []byte(text)) || strings.Contains(key, text)) {
				t.Errorf("the row has %q, %s", canary, form)
			}
		}
	}
}

func TestRotation_TheRowKeepsItsKeyAndIsSealedWithTheNewSecret(t *testing.T) {
	r, v := begin(t)
	code := r.Code(v.ID)
	rotated := &recipient.Store{Table: r.Table, Keys: fixture.Keys(t, 50, 1)}
	if err := check(r, rotated, v.ID, code); err != nil {
		t.Fatalf("a pending code: %v", err)
	}
	key := rotated.Key(fixture.Alice)
	if want := r.Recipients.Key(fixture.Alice); key != want {
		t.Errorf("the row is at %s, was at %s", key, want)
	}
	if _, err := fixture.Keys(t, 50).Open(raw(r).Data, string(key)); err != nil {
		t.Errorf("the new secret alone: %v", err)
	}
}

// The row costs two round trips, and one if it is not written.
func TestRoundTrips(t *testing.T) {
	r := rig.New(t)
	key := r.Recipients.Key(fixture.Alice)
	change := func(ctx context.Context) error {
		_, _, err := r.Recipients.Change(ctx, key, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
			old.Address = fixture.Alice
			return counted(old, r.Now()), otp.Verification{}, nil
		})
		return err
	}
	erase := func(ctx context.Context) error {
		return r.Recipients.Erase(ctx, fixture.Alice, client.MainDirectory, r.Now())
	}
	for _, step := range []struct {
		name string
		want int64
		call func(ctx context.Context) error
	}{
		{"change", 2, change},
		{"change nothing", 1, change},
		{"load", 1, func(ctx context.Context) error { _, err := r.Recipients.Load(ctx, key); return err }},
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
