package otpsend_test

import (
	"context"
	"testing"
	"time"

	"twofa/internal/deadline"
	"twofa/internal/hostcall"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
)

// A resend under the Functions host costs what one with a client's key costs.
func TestAResendOfTheHostHasTheTripsOfAKey(t *testing.T) {
	r := newRig(t)
	r.Policy(withoutPause)
	id := r.MustStart(toAlice).ID
	resend := func(ctx context.Context, key string) {
		if _, _, err := r.Send.Resend(ctx, string(id), otpsend.ResendRequest{}, key); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		call, key string
		want      int64
	}{
		"alone": {"", "", 2}, "a key": {"", "key", 4}, "a call": {"1", "", 4}, "both": {"2", "another", 4},
	} {
		if got := r.Trips(func(ctx context.Context) { resend(hostcall.With(ctx, tc.call), tc.key) }); got != tc.want {
			t.Errorf("%s: %d round trips, want %d", name, got, tc.want)
		}
	}
	if got := r.Trips(func(ctx context.Context) { resend(hostcall.With(ctx, "1"), "") }); got != 1 {
		t.Errorf("a further delivery: %d round trips, want 1", got)
	}
}

// The first delivery died. The next one waits in growing pauses until the first one cannot
// be under way, and answers with what is stored. If its own time ends before, it is a
// conflict.
func TestADeliveryWaitsUntilTheFirstOneCannotBeUnderWay(t *testing.T) {
	for _, ends := range []bool{false, true} {
		r := newRig(t)
		r.Policy(withoutPause)
		id := r.MustStart(toAlice).ID
		r.Table.Break(rig.FaultFrom(2, rig.Down)) // the resend is stored, its outcome is not
		ctx, cancel := context.WithTimeout(hostcall.With(r.Ctx(), "1"), deadline.Request)
		defer cancel()
		resend := func() (otpsend.Answer, bool, error) {
			return r.Send.Resend(ctx, string(id), otpsend.ResendRequest{}, "")
		}
		first, _, err := resend()
		if err != nil {
			t.Fatal(err)
		}
		r.Table.Break(nil)
		var waited, last time.Duration
		r.Send.Wait = func(_ context.Context, d time.Duration) {
			if d > 2*time.Second || d < last && waited+d < otp.MaxRequest {
				t.Errorf("a pause of %v after one of %v", d, last)
			}
			last = d
			waited += d
			r.Advance(d)
			if ends {
				cancel()
			}
		}
		again, replayed, err := resend()
		if ends {
			if e := r.Refused(err, problem.IdempotencyConflict); replayed || e.RetryAfter <= 0 {
				t.Errorf("%+v", e)
			}
			continue
		}
		if err != nil || !replayed || again != first || waited != otp.MaxRequest || r.Sent() != 2 {
			t.Errorf("replayed: %t, %v after %v, %d messages\n%+v, the first time\n%+v", replayed, err, waited, r.Sent(), again, first)
		}
		if calls := r.Table.Calls(); calls > 20 {
			t.Errorf("%d looks", calls)
		}
	}
}

// Sending ends before the request no longer counts as under way.
func TestSendingHasALimitOfItsOwn(t *testing.T) {
	r := newRig(t)
	begun := time.Now()
	r.Delivery.Senders["whatsapp"] = timedSender{whatsApp(r), func(ctx context.Context) {
		at, ok := ctx.Deadline()
		if !ok || at.Before(begun.Add(deadline.Sending)) || at.After(time.Now().Add(deadline.Sending)) {
			t.Errorf("sends until %v, %t", at, ok)
		}
	}}
	if _, _, err := r.Send.Start(r.Ctx(), toAlice, ""); err != nil {
		t.Fatal(err)
	}
}

type timedSender struct {
	*rig.Sender
	look func(context.Context)
}

func (s timedSender) Send(ctx context.Context, m notify.Message) error {
	s.look(ctx)
	return s.Sender.Send(ctx, m)
}
