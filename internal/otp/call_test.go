package otp_test

import (
	"errors"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// A delivery of the same call is told to wait, for as long as the first one can be under
// way. A client's repetition is another call: it is refused.
func TestReplay_AnotherDeliveryOfTheCallWaits(t *testing.T) {
	call, other := [16]byte{1}, [16]byte{2}
	for name, repeat := range repetitions {
		for after, left := range map[time.Duration]time.Duration{
			0: otp.MaxRequest, time.Second: otp.MaxRequest - time.Second, otp.MaxRequest - ms: ms, otp.MaxRequest: 0,
		} {
			r := newRig(t, quiet())
			first := known(1)
			first.Call = call
			r.startWith(func(req *otp.StartRequest) { req.Idempotency = first })
			r.now = fixture.Noon.Add(after)
			kept, _, err := repeat(r, first)
			if left == 0 {
				if replay, ok := errors.AsType[*otp.Replay](err); !ok || replay.ID == "" {
					t.Errorf("%s after %v: %v, want the answer", name, after, err)
				}
				continue
			}
			if waits, ok := errors.AsType[*otp.UnderWayError](err); !ok || waits.Left != left || !same(kept, r.kept) {
				t.Errorf("%s after %v: %+v, want a wait of %v", name, after, err, left)
			}
			for _, c := range [][16]byte{other, {}} {
				i := known(1)
				i.Call = c
				_, _, err := repeat(r, i)
				wantKind(t, err, problem.IdempotencyConflict)
			}
			i := conflicting(1)
			i.Call = call
			_, _, err = repeat(r, i)
			wantKind(t, err, problem.IdempotencyConflict)
		}
	}
	// Without a call, no request waits for another one.
	r := newRig(t, quiet())
	r.startAs(1)
	_, _, err := repetitions["start"](r, known(1))
	wantKind(t, err, problem.IdempotencyConflict)
}

func TestNotifyOnce_CountsACallOnce(t *testing.T) {
	r := newRig(t, otp.DefaultPolicy())
	count := func(call [16]byte) (err error) {
		r.kept, err = otp.NotifyOnce(r.kept, fixture.Alice, call, r.now)
		return err
	}
	for range 40 {
		if err := count([16]byte{1}); err != nil || len(r.kept.Notices) != 1 {
			t.Fatalf("%d notices, %v", len(r.kept.Notices), err)
		}
	}
	r.kept = r.kept.Forgotten(all, r.now) // erased between two deliveries
	if err := count([16]byte{1}); err != nil || len(r.kept.Notices) != 1 {
		t.Errorf("after an erasure: %d notices, %v", len(r.kept.Notices), err)
	}
	for range otp.MaxNoticesPerDay - 1 {
		wantKind(t, count([16]byte{}), "")
	}
	wantKind(t, count([16]byte{}), problem.TooManyChanges)
	wantKind(t, count([16]byte{2}), problem.TooManyChanges)
	if _, err := otp.NotifyOnce(r.kept, fixture.Bob, r.kept.NoticeCall, r.now); err == nil {
		t.Error("a notice to another address was counted in the row")
	}
}
