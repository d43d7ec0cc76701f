package otp_test

import (
	"slices"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/window"
)

const fixed = "424242"

func (b *bench) play(ending otp.Ending, workflow ...string) otp.Verification {
	b.t.Helper()
	return b.startWith(func(req *otp.StartRequest) {
		req.Workflow, req.Script = workflow, otp.Script{Ending: ending, Code: fixed}
	})
}

func TestScript_Endings(t *testing.T) {
	delivered := func(channel string) otp.Attempt {
		return otp.Attempt{Channel: channel, At: noon, Status: otp.Delivered}
	}
	failed := func(channel string, number int) otp.Attempt {
		return otp.Attempt{Channel: channel, At: noon, Status: otp.Failed, Error: number}
	}
	for _, tc := range []struct {
		name   string
		ending otp.Ending
		want   []otp.Attempt
		kind   problem.Kind // of a check with the fixed code
		then   otp.Status
	}{
		{"delivered", otp.EndsDelivered, []otp.Attempt{delivered("whatsapp")}, "", otp.Approved},
		{"undeliverable", otp.EndsUndeliverable, []otp.Attempt{failed("whatsapp", 63024), failed("sms", 21614)}, problem.Undeliverable, otp.Undeliverable},
		{"fallback", otp.EndsFallback, []otp.Attempt{failed("whatsapp", 63024), delivered("sms")}, "", otp.Approved},
		{"expired", otp.EndsExpired, []otp.Attempt{delivered("whatsapp")}, problem.Expired, otp.Expired},
		{"exhausted", otp.EndsExhausted, []otp.Attempt{delivered("whatsapp")}, problem.TooManyChecks, otp.Exhausted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, otp.DefaultPolicy())
			for round := range 3 { // each one goes as the first one did
				v := b.play(tc.ending, "whatsapp", "sms")
				if !slices.Equal(v.Attempts, tc.want) || v.TestCode != fixed {
					t.Fatalf("round %d: got %+v", round, v)
				}
				wantKind(t, b.check(v, fixed), tc.kind)
				if got := b.status(v); got != tc.then {
					t.Errorf("round %d: is %s, want %s", round, got, tc.then)
				}
			}
			if len(b.r.Sends) != 0 {
				t.Errorf("%d sends are counted", len(b.r.Sends))
			}
		})
	}
}

func TestScript_TheFixedCodeIsAcceptedOnce(t *testing.T) {
	b := newBench(t, quiet())
	v := b.play(otp.EndsDelivered, "sms")
	derived := v
	derived.TestCode = ""
	wantKind(t, b.check(v, codeOf(t, derived)), problem.WrongCode)
	wantKind(t, b.check(v, fixed), "")
	for range 3 {
		wantKind(t, b.check(v, fixed), problem.AlreadyUsed)
	}
	wantKind(t, b.check(b.start("login"), fixed), problem.WrongCode) // it is no test number any more
}

// Nothing is sent: the limits and the pause of sends do not hold, nor a block.
func TestScript_LimitsOnSendingDoNotHold(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	b.r = otp.Recipient{Address: alice, BlockedUntil: noon.Add(time.Hour)}
	b.p.MaxSends, b.p.MaxSendsPerDay = 1, 1
	var v otp.Verification
	for range 20 {
		v = b.play(otp.EndsDelivered, "whatsapp", "sms")
		wantKind(t, b.resend(v, "sms"), "")
	}
	want := []otp.Attempt{{Channel: "whatsapp", At: noon, Status: otp.Delivered}, {Channel: "sms", At: noon, Status: otp.Delivered}}
	if got := b.found(v); !slices.Equal(got.Attempts, want) || len(b.r.Sends) != 0 {
		t.Errorf("%d sends, %+v", len(b.r.Sends), got.Attempts)
	}
}

func TestScript_AVerificationHas32Messages(t *testing.T) {
	b := newBench(t, quiet())
	v := b.play(otp.EndsDelivered, "sms")
	b.now = noon.Add(time.Minute)
	for range 31 {
		wantKind(t, b.resend(v, ""), "")
	}
	before := deepCopy(b.r)
	wantRefusal(t, b.resend(v, ""), problem.TooManySends, 9*time.Minute)
	if !same(b.r, before) {
		t.Error("the refusal changed the recipient")
	}
	wantKind(t, b.check(v, fixed), "")
}

func TestScript_LimitsOnWrongCodesHold(t *testing.T) {
	b := newBench(t, quiet())
	for range 2 {
		v := b.play(otp.EndsDelivered, "sms")
		for range 5 {
			wantKind(t, b.check(v, "424243"), problem.WrongCode)
		}
		wantKind(t, b.check(v, fixed), problem.TooManyChecks)
	}
	v := b.play(otp.EndsDelivered, "sms")
	wantRefusal(t, b.check(v, fixed), problem.TooManyChecks, window.Day)
	if b.status(v) != otp.Pending {
		t.Errorf("is %s", b.status(v))
	}
}

func TestScript_TeachesNothingOfTheChannels(t *testing.T) {
	b := newBench(t, quiet())
	v := b.play(otp.EndsFallback, "whatsapp", "sms")
	b.report(v, 1, otp.Delivered)
	b.report(v, 2, otp.Read)
	wantKind(t, b.check(v, fixed), "")
	if b.r.Good != (otp.Good{}) {
		t.Errorf("got %+v", b.r.Good)
	}
}
