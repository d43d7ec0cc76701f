package otp_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// called returns a rig with a verification by a call of Plivo's, which has asked nothing yet, and
// the first question about it.
func called(t rapid.TB) (*rig, otp.Question) {
	p := quiet()
	p.Routes = channel.Routes{channel.Call: {"plivo"}}
	r, v := begin(t, p, "call", "sms")
	return r, otp.Question{ID: v.ID, Attempt: 1, Provider: "plivo", To: []string{fixture.Alice}, Call: otp.NewMessageHash("a call")}
}

func (r *rig) ask(q otp.Question) (err error) {
	r.kept, _, err = otp.Answer(r.kept, q, r.now)
	return err
}

// Attack 11. What a call says is told for that call and number only, soon after it was placed, and
// three times.
func TestAttack11_QuestionsWhatACallSays(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before func(r *rig, q otp.Question)
		change func(q otp.Question) otp.Question
		want   problem.Kind
	}{
		"the first one":              {},
		"another spelling":           {change: func(q otp.Question) otp.Question { q.To = []string{"+15005550001", fixture.Alice}; return q }},
		"a repetition":               {before: func(r *rig, q otp.Question) { wantKind(r.t, r.ask(q), "") }},
		"after ringing for a minute": {before: func(r *rig, _ otp.Question) { r.now = r.now.Add(otp.AskedWithin) }},
		"by a clock a minute behind": {before: func(r *rig, _ otp.Question) { r.now = r.now.Add(-otp.AskedWithin) }},
		"after ringing":              {before: func(r *rig, q otp.Question) { r.report(r.found(otp.Verification{ID: q.ID}), 1, otp.Sent) }},

		"the fourth one": {before: func(r *rig, q otp.Question) {
			for range 3 {
				wantKind(r.t, r.ask(q), "")
			}
		}, want: problem.Forbidden},
		"late":             {before: func(r *rig, _ otp.Question) { r.now = r.now.Add(otp.AskedWithin + ms) }, want: problem.Forbidden},
		"early":            {before: func(r *rig, _ otp.Question) { r.now = r.now.Add(-otp.AskedWithin - ms) }, want: problem.Forbidden},
		"after the call":   {before: func(r *rig, q otp.Question) { r.report(r.found(otp.Verification{ID: q.ID}), 1, otp.Delivered) }, want: problem.Forbidden},
		"after its end":    {before: func(r *rig, q otp.Question) { r.fail(otp.Verification{ID: q.ID}, 1, otp.NextChannel) }, want: problem.Forbidden},
		"another call":     {before: func(r *rig, q otp.Question) { q.Call = otp.NewMessageHash("b"); wantKind(r.t, r.ask(q), "") }, want: problem.Forbidden},
		"another number":   {change: func(q otp.Question) otp.Question { q.To = []string{"+15005550001"}; return q }, want: problem.NotFound},
		"no number":        {change: func(q otp.Question) otp.Question { q.To = nil; return q }, want: problem.NotFound},
		"another provider": {change: func(q otp.Question) otp.Question { q.Provider = "twilio"; return q }, want: problem.NotFound},
		"an SMS":           {before: func(r *rig, q otp.Question) { r.fail(otp.Verification{ID: q.ID}, 1, otp.NextChannel) }, change: func(q otp.Question) otp.Question { q.Attempt = 2; q.Provider = ""; return q }, want: problem.NotFound},
		"a call to come":   {change: func(q otp.Question) otp.Question { q.Attempt = 2; return q }, want: problem.NotFound},
		"call 0":           {change: func(q otp.Question) otp.Question { q.Attempt = 0; return q }, want: problem.NotFound},
		"unknown":          {change: func(q otp.Question) otp.Question { q.ID = newID(fixture.Alice, 77); return q }, want: problem.NotFound},
		"a code of before": {before: func(r *rig, _ otp.Question) { r.start("login") }, want: problem.NotFound},
		"a used code": {before: func(r *rig, q otp.Question) {
			v := r.found(otp.Verification{ID: q.ID})
			wantKind(r.t, r.check(v, codeOf(r.t, v)), "")
		}, want: problem.NotFound},
		"an expired code": {before: func(r *rig, _ otp.Question) { r.now = r.now.Add(10 * time.Minute) }, want: problem.NotFound},
		"nothing":         {change: func(otp.Question) otp.Question { return otp.Question{} }, want: problem.NotFound},
	} {
		r, q := called(t)
		if tc.before != nil {
			tc.before(r, q)
		}
		if tc.change != nil {
			q = tc.change(q)
		}
		before := r.kept
		err := r.ask(q)
		if tc.want != "" && !problem.Is(err, tc.want) || tc.want == "" && err != nil {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if asked := func(r otp.Recipient) (n int) {
			for _, v := range r.Verifications {
				for _, a := range v.Attempts {
					n += a.Asked
				}
			}
			return n
		}; tc.want != "" && asked(r.kept) != asked(before) {
			t.Errorf("%s: a refused question was counted", name)
		}
	}
}

// A call that ended before its provider asked what it says has told nobody the code, so that the
// next message follows. It has, if the provider asked.
func TestFollow_ACallThatSaidNothing(t *testing.T) {
	t.Parallel()
	for asked, want := range [][]string{{"call/plivo", "sms/"}, {"call/plivo"}} {
		r, q := called(t)
		for range asked {
			wantKind(t, r.ask(q), "")
		}
		v, begun := r.follow(otp.Progress{ID: q.ID, Attempt: 1, Status: otp.Delivered, Provider: "plivo", Asks: true})
		if !slices.Equal(taken(v), want) || begun != (asked == 0) {
			t.Errorf("asked %d times: %v, begun %t", asked, taken(v), begun)
		}
		if got := v.Attempts[0]; got.MayRecover != (asked == 0) || (got.Status == otp.Failed) != (asked == 0) {
			t.Errorf("asked %d times: %+v", asked, got)
		}
	}
}
