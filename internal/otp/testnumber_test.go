package otp_test

import (
	"slices"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

const fixed = "424242"

func (r *rig) play(ending otp.Ending, workflow ...channel.Channel) otp.Verification {
	r.t.Helper()
	return r.startWith(func(req *otp.StartRequest) {
		req.Workflow, req.Scenario = workflow, otp.Scenario{Ending: ending, Code: fixed}
	})
}

func TestScenario_Endings(t *testing.T) {
	delivered := func(c channel.Channel) otp.Attempt {
		return otp.Attempt{Channel: c, At: fixture.Noon, Status: otp.Delivered}
	}
	failed := func(c channel.Channel, number int) otp.Attempt {
		return otp.Attempt{Channel: c, At: fixture.Noon, Status: otp.Failed, Error: number}
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
			r := newRig(t, otp.DefaultPolicy())
			for round := range 3 { // each one goes as the first one did
				v := r.play(tc.ending, "whatsapp", "sms")
				if !slices.Equal(v.Attempts, tc.want) || v.TestCode != fixed {
					t.Fatalf("round %d: got %+v", round, v)
				}
				wantKind(t, r.check(v, fixed), tc.kind)
				if got := r.status(v); got != tc.then {
					t.Errorf("round %d: is %s, want %s", round, got, tc.then)
				}
			}
			if len(r.kept.Tally(server).Sends) != 0 {
				t.Errorf("%d sends are counted", len(r.kept.Tally(server).Sends))
			}
		})
	}
}

func TestScenario_TheFixedCodeIsAcceptedOnce(t *testing.T) {
	r := newRig(t, quiet())
	v := r.play(otp.EndsDelivered, "sms")
	derived := v
	derived.TestCode = ""
	wantKind(t, r.check(v, codeOf(t, derived)), problem.WrongCode)
	wantKind(t, r.check(v, fixed), "")
	for range 3 {
		wantKind(t, r.check(v, fixed), problem.AlreadyUsed)
	}
	wantKind(t, r.check(r.start("login"), fixed), problem.WrongCode) // the number is no test number any more
}

// Nothing is sent, so that no limit on sends holds, no pause and no block.
func TestScenario_LimitsOnSendingDoNotHold(t *testing.T) {
	r := newRig(t, otp.DefaultPolicy())
	r.kept = otp.Recipient{Address: fixture.Alice, BlockedUntil: fixture.Noon.Add(time.Hour)}
	r.policy.MaxSends, r.policy.MaxSendsPerDay = 1, 1
	var v otp.Verification
	for range 20 {
		v = r.play(otp.EndsDelivered, "whatsapp", "sms")
		r.resendOver(v, "sms")
	}
	want := []otp.Attempt{{Channel: "whatsapp", At: fixture.Noon, Status: otp.Delivered}, {Channel: "sms", At: fixture.Noon, Status: otp.Delivered}}
	if got := r.found(v); !slices.Equal(got.Attempts, want) || len(r.kept.Tally(server).Sends) != 0 {
		t.Errorf("%d sends, %+v", len(r.kept.Tally(server).Sends), got.Attempts)
	}
}

func TestScenario_AVerificationHas32Messages(t *testing.T) {
	r := newRig(t, quiet())
	v := r.play(otp.EndsDelivered, "sms")
	r.now = fixture.Noon.Add(time.Minute)
	for range 31 {
		wantKind(t, r.resend(v, ""), "")
	}
	r.unchanged("the refusal", func() { wantRefusal(t, r.resend(v, ""), problem.TooManySends, 9*time.Minute) })
	wantKind(t, r.check(v, fixed), "")
}

func TestScenario_LimitsOnWrongCodesHold(t *testing.T) {
	r := newRig(t, quiet())
	for range 2 {
		v := r.play(otp.EndsDelivered, "sms")
		for range 5 {
			wantKind(t, r.check(v, "424243"), problem.WrongCode)
		}
		wantKind(t, r.check(v, fixed), problem.TooManyChecks)
	}
	v := r.play(otp.EndsDelivered, "sms")
	wantRefusal(t, r.check(v, fixed), problem.TooManyChecks, window.Day)
	if r.status(v) != otp.Pending {
		t.Errorf("is %s", r.status(v))
	}
}

func TestScenario_SetsNoPreferredChannel(t *testing.T) {
	r := newRig(t, quiet())
	v := r.play(otp.EndsFallback, "whatsapp", "sms")
	r.report(v, 1, otp.Delivered)
	r.report(v, 2, otp.Read)
	wantKind(t, r.check(v, fixed), "")
	r.wantPreferred("", time.Time{})
}
