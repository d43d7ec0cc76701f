package otpverify_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// digits6 gives messages the codes of the default settings.
func digits6(p *otp.Policy) { p.Shape = otp.Shape{Length: 6, Alphabet: otp.Digits} }

// A field that checks at each key, a wrong field, an amount: what cannot be the code
// spends no try and writes nothing, also if the settings have changed since the start.
func TestR6_ATextThatCannotBeTheCodeSpendsNoTry(t *testing.T) {
	r := newRig(t)
	r.Policy(digits6)
	v, code := begin(r, toAlice)
	r.Policy(func(p *otp.Policy) { p.Shape.Length = 8 })
	before, _ := r.Verification(v.ID)
	texts := []string{
		"!", "12345678", code + "0", "0" + code, code[:5] + "O", "ABCDEF", "1234.56", "EUR 123456", "+" + code, "hello", "alice@example.com", "+14155550123",
		"123456 or, 654321", "Code " + code + ", order 555555", strings.Repeat("1", 6000), code + "\x00",
	}
	for i := range code {
		texts = append(texts, code[:i+1])
	}
	for _, text := range texts[:len(texts)-1] { // the last one is the whole code
		for _, req := range []otpverify.Request{rig.ByID(v.ID, text), {To: alice, Code: text}} {
			e := r.RefuseCheck(req, problem.InvalidRequest)
			if len(e.Fields) != 1 || e.Fields[0].Name != "code" || !strings.Contains(e.Fields[0].Message, "No try was spent.") || e.ChecksLeft != nil {
				t.Errorf("%q: %+v", text, e)
			}
		}
	}
	if after, _ := r.Verification(v.ID); !reflect.DeepEqual(after, before) {
		t.Errorf("the row has changed:\n%+v\n%+v", before, after)
	}
	if e := r.RefuseCheck(rig.ByID(v.ID, r.Wrong(v.ID)), problem.WrongCode); *e.ChecksLeft != 4 {
		t.Errorf("%d checks left", *e.ChecksLeft)
	}
	r.Approve(rig.ByID(v.ID, code))
}

// What autofill and people add is taken off, and the code that is right is approved.
func TestCheck_ReadsThePastedMessage(t *testing.T) {
	for _, form := range []string{
		"G-%s", "Acme-%s", "Acme: %s", "%s.", "“%s”", "\u200e%s\u200f", "%s is your Acme sign-in code. Expires in 10 min. Don't share it with anyone.",
		"%s is your code.\n@acme.example #%[1]s", "Amount: EUR 1,234.56. Your code is %s.", "您的验证码是%s，10分钟内有效。",
	} {
		r := newRig(t)
		r.Policy(digits6)
		v, code := begin(r, toAlice)
		r.Approve(rig.ByID(v.ID, fmt.Sprintf(form, code)))
		r.RefuseCheck(rig.ByID(v.ID, fmt.Sprintf(form, code)), problem.AlreadyUsed) // attack 4
	}
}

// Without a factor, a text is refused only if it is no code of any kind that the user
// may have, and the answer is the same whatever the user has.
func TestR6_WithoutAFactorATextIsRefusedIfItCanBeNothing(t *testing.T) {
	noApp := func(u *user.User) { u.TOTP = totp.State{} }
	details := map[string]bool{}
	for name, tc := range map[string]struct {
		user         func(*user.User)
		start        bool
		text         string
		kind         problem.Kind
		app, message int // tries
	}{
		"an app and a message, neither":                {nil, true, "1234567", problem.InvalidRequest, 0, 0},
		"an app and a message, a word":                 {nil, true, "PLEASE", problem.InvalidRequest, 0, 0},
		"an app and a message, two codes":              {nil, true, "code 123456, 12345678", problem.InvalidRequest, 0, 0},
		"an app, too short":                            {nil, false, "123456", problem.InvalidRequest, 0, 0},
		"an app, an amount":                            {nil, false, "123456.78", problem.InvalidRequest, 0, 0},
		"a message, too long":                          {noApp, true, "12345678", problem.InvalidRequest, 0, 0},
		"a message, a date":                            {noApp, true, "26/11/26", problem.InvalidRequest, 0, 0},
		"nothing":                                      {noApp, false, "1234567", problem.NotFound, 0, 0},
		"an app and a message, of the app's form":      {nil, true, "00000000", problem.WrongCode, 1, 0},
		"an app and a message, of the message's form":  {nil, true, "Acme: WRONG!", problem.WrongCode, 0, 1},
		"an app, of its form, in words":                {nil, false, "Your code is 00000000.", problem.WrongCode, 1, 0},
		"an app and a message, nearly a recovery code": {nil, true, "ABCD-EFGH-JKLM-NPQ", problem.InvalidRequest, 0, 0},
	} {
		f := newFactors(t, tc.user, channel.SMS)
		f.Policy(digits6)
		var v otp.Verification
		if tc.start {
			v, _ = begin(f.Rig, bySMS(""))
			tc.text = strings.ReplaceAll(tc.text, "WRONG!", f.Wrong(v.ID))
		}
		before := f.Registered(canary)
		e := f.RefuseCheck(byUser(tc.text), tc.kind)
		app, recovery := f.failures()
		message := 0
		if tc.start {
			_, v = f.Verification(v.ID)
			message = v.Checks
		}
		if app != tc.app || message != tc.message || recovery != 0 {
			t.Errorf("%s: app %d, message %d, recovery %d tries", name, app, message, recovery)
		}
		if tc.kind == problem.InvalidRequest {
			if !reflect.DeepEqual(f.Registered(canary), before) {
				t.Errorf("%s: the user's row has changed", name)
			}
			if _, readable := otp.ReadTyped(tc.text); readable && name != "an app and a message, nearly a recovery code" {
				details[e.Fields[0].Message] = true
			}
		}
	}
	if len(details) != 1 {
		t.Errorf("the answers differ: %v", details)
	}
}

// After ten wrong codes, the check and the start tell the same: until when nothing
// helps. No answer advises to start again in vain.
func TestR4_ALockedAddressIsToldTheSameEverywhere(t *testing.T) {
	r := newRig(t)
	r.Policy(digits6)
	var v otp.Verification
	var last *problem.Error
	for range 2 {
		v, _ = begin(r, toAlice)
		for range 5 {
			last = r.RefuseCheck(rig.ByID(v.ID, r.Wrong(v.ID)), problem.WrongCode)
			r.Advance(time.Second)
		}
	}
	const until = "until 2026-03-02T12:00:00Z"
	if last.RetryAfter != 24*time.Hour-9*time.Second || *last.ChecksLeft != 0 || !strings.Contains(last.Detail, until) {
		t.Errorf("the last wrong code: %+v", last)
	}
	r.Advance(time.Minute)
	wait := r.RefuseStart(toAlice, problem.TooManyChecks).RetryAfter
	for name, e := range map[string]*problem.Error{
		"start":       r.RefuseStart(toAlice, problem.TooManyChecks),
		"check by id": r.RefuseCheck(rig.ByID(v.ID, "123456"), problem.TooManyChecks),
		"check by to": r.RefuseCheck(otpverify.Request{To: alice, Code: "123456"}, problem.TooManyChecks),
		"resend":      r.RefuseResend(v.ID, "", problem.TooManyChecks),
		"of an hour":  func() *problem.Error { r.Advance(0); return r.RefuseStart(toAlice, problem.TooManyChecks) }(),
	} {
		if e.RetryAfter != wait || wait == 0 || !strings.Contains(e.Detail, until) || strings.Contains(e.Detail, "Start a new") {
			t.Errorf("%s: %+v, want to wait %v", name, e, wait)
		}
	}
	r.Advance(wait)
	w, code := begin(r, toAlice) // what was told is true
	r.Approve(rig.ByID(w.ID, code))
}

// An expired or canceled verification of a locked address does not advise a start.
func TestR4_AnEndedVerificationOfALockedAddressTellsTheLock(t *testing.T) {
	for kind, end := range map[problem.Kind]func(r *rig.Rig, id otp.ID){
		problem.Expired:  func(r *rig.Rig, _ otp.ID) { r.Advance(time.Hour) },
		problem.Canceled: func(r *rig.Rig, id otp.ID) { r.MustCancel(id) },
	} {
		r := newRig(t)
		r.Policy(func(p *otp.Policy) { digits6(p); p.MaxFailuresPerDay = 3 })
		v, code := begin(r, toAlice)
		for range 3 {
			r.RefuseCheck(rig.ByID(v.ID, r.Wrong(v.ID)), problem.WrongCode)
		}
		if e := r.RefuseCheck(rig.ByID(v.ID, code), problem.TooManyChecks); e.RetryAfter != 24*time.Hour {
			t.Errorf("%+v", e)
		}
		end(r, v.ID)
		wait := r.RefuseStart(toAlice, problem.TooManyChecks).RetryAfter
		if e := r.RefuseCheck(rig.ByID(v.ID, code), kind); e.RetryAfter != wait || strings.Contains(e.Detail, "Start a new") || !strings.Contains(e.Detail, "until ") {
			t.Errorf("%s: %+v", kind, e)
		}
	}
}

// The code of a message that a newer start has replaced is counted as wrong, and the
// answer says that a newer one was sent. Nothing else is said to be replaced.
func TestCheck_SaysThatANewerCodeWasSent(t *testing.T) {
	paying := otp.Transaction{Amount: "EUR 5", Payee: "Acme"}
	for name, tc := range map[string]struct {
		first, second otpsend.Request
		between       func(r *rig.Rig, first otp.ID)
		late          time.Duration     // between the second start and the check
		request       otpverify.Request // beside id and code
		want          bool
	}{
		"a second start":                  {first: toAlice, second: toAlice, want: true},
		"a third start":                   {first: toAlice, second: toAlice, between: func(r *rig.Rig, _ otp.ID) { r.MustStart(toAlice) }, want: true},
		"canceled before":                 {first: toAlice, second: toAlice, between: func(r *rig.Rig, id otp.ID) { r.MustCancel(id) }, want: true},
		"for a user":                      {first: bySMS(""), second: bySMS(""), want: true},
		"the same payment":                {first: otpsend.Request{To: alice, Transaction: paying}, second: otpsend.Request{To: alice, Transaction: paying}, request: otpverify.Request{Transaction: paying}, want: true},
		"another payment":                 {first: otpsend.Request{To: alice, Transaction: otp.Transaction{Amount: "EUR 6", Payee: "Acme"}}, second: otpsend.Request{To: alice, Transaction: paying}, request: otpverify.Request{Transaction: paying}},
		"the first payment is asked for":  {first: otpsend.Request{To: alice, Transaction: paying}, second: otpsend.Request{To: alice}, request: otpverify.Request{Transaction: paying}},
		"the same payment, another check": {first: otpsend.Request{To: alice, Transaction: paying}, second: otpsend.Request{To: alice, Transaction: paying}},
		"another purpose":                 {first: otpsend.Request{To: alice, Purpose: "pay"}, second: toAlice},
		"another person":                  {first: otpsend.Request{To: bob}, second: toAlice},
		"a user, then the address":        {first: bySMS(""), second: toAlice},
		"after it has expired":            {first: toAlice, second: toAlice, between: func(r *rig.Rig, _ otp.ID) { r.Advance(11 * time.Minute) }},
		"expired, after it was replaced":  {first: toAlice, second: toAlice, between: func(r *rig.Rig, _ otp.ID) { r.Advance(5 * time.Minute) }, late: 6 * time.Minute},
		"another purpose, canceled":       {first: otpsend.Request{To: alice, Purpose: "pay"}, second: toAlice, between: func(r *rig.Rig, id otp.ID) { r.MustCancel(id) }},
		"denied before":                   {first: toAlice, second: toAlice, between: func(r *rig.Rig, _ otp.ID) { receive(r, alice, "NO") }},
		"approved before": {first: toAlice, second: toAlice, between: func(r *rig.Rig, id otp.ID) {
			r.Approve(rig.ByID(id, r.Code(id)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newUserRig(t, nil, channel.SMS)
			old, oldCode := begin(r, tc.first)
			if tc.between != nil {
				tc.between(r, old.ID)
			}
			v, code := begin(r, tc.second)
			r.Advance(tc.late)
			req := tc.request
			req.ID, req.Code = string(v.ID), oldCode
			e := r.RefuseCheck(req, problem.WrongCode)
			if e.Replaced != tc.want || strings.Contains(e.Detail, "newer code was sent") != tc.want || *e.ChecksLeft != 4 {
				t.Errorf("%+v, %d left", e, *e.ChecksLeft)
			}
			if row, now := r.Verification(v.ID); now.Checks != 1 || len(row.Tally(otp.Caller{}).Failures) != 1 {
				t.Errorf("it spent %d checks, %d of the day", now.Checks, len(row.Tally(otp.Caller{}).Failures))
			}
			if e := r.RefuseCheck(otpverify.Request{ID: string(v.ID), Code: r.Wrong(v.ID), Transaction: req.Transaction}, problem.WrongCode); e.Replaced {
				t.Errorf("any wrong code is said to be replaced: %+v", e)
			}
			r.Approve(otpverify.Request{ID: string(v.ID), Code: code, Transaction: v.Transaction})
		})
	}
}

// Replaced codes cost tries like all wrong ones: the last try ends the verification.
func TestR6_ReplacedCodesAreCountedAndWarn(t *testing.T) {
	r := newRig(t)
	_, old := begin(r, toAlice)
	v, _ := begin(r, toAlice)
	for left := 4; left >= 0; left-- {
		if e := r.RefuseCheck(rig.ByID(v.ID, old), problem.WrongCode); !e.Replaced || *e.ChecksLeft != left || e.Alerted != (left == 0) {
			t.Errorf("%+v, %d left; want %d", e, *e.ChecksLeft, left)
		}
	}
	r.RefuseCheck(rig.ByID(v.ID, old), problem.TooManyChecks)
}

// An older sign-in does not answer for a newer one that was started in the other way.
func TestCheck_AnOlderLoginDoesNotAnswerForANewerStart(t *testing.T) {
	approve := func(r *rig.Rig, id otp.ID) { r.Approve(rig.ByID(id, r.Code(id))) }
	for name, tc := range map[string]struct {
		first, second otpsend.Request
		end           func(r *rig.Rig, id otp.ID)
		check         otpverify.Request
		kind          problem.Kind
		says          string
	}{
		"by to, approved, then by user":     {toAlice, bySMS(""), approve, otpverify.Request{To: alice}, problem.NotFound, "started for a user. Check it by user or by id."},
		"by to, exhausted, then by user":    {toAlice, bySMS(""), func(r *rig.Rig, id otp.ID) { exhaust(r, id) }, otpverify.Request{To: alice}, problem.NotFound, "started for a user"},
		"by to, expired, then by user":      {toAlice, bySMS(""), func(r *rig.Rig, _ otp.ID) { r.Advance(time.Hour) }, otpverify.Request{To: alice}, problem.NotFound, "started for a user"},
		"by to, denied, then by user":       {toAlice, bySMS(""), func(r *rig.Rig, _ otp.ID) { receive(r, alice, "NO") }, otpverify.Request{To: alice}, problem.NotFound, "started for a user"},
		"by to, never, then by user":        {bySMS("pay"), bySMS(""), approve, otpverify.Request{To: alice}, problem.NotFound, "started for a user"},
		"by user, approved, then by to":     {bySMS(""), toAlice, approve, otpverify.Request{User: canary}, problem.NotFound, "started without the user. Check it by to or by id."},
		"by to, replaced by one by user":    {toAlice, bySMS(""), func(*rig.Rig, otp.ID) {}, otpverify.Request{To: alice}, problem.Canceled, "Start a new one"},
		"by to, approved, then another one": {toAlice, otpsend.Request{User: canary, Channel: "sms", Purpose: "pay"}, approve, otpverify.Request{To: alice}, problem.AlreadyUsed, "approved before"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newUserRig(t, func(u *user.User) { u.Email = "" }, channel.SMS)
			first, _ := begin(r, tc.first)
			tc.end(r, first.ID)
			v, code := begin(r, tc.second)
			req := tc.check
			req.Code = code
			if e := r.RefuseCheck(req, tc.kind); !strings.Contains(e.Detail, tc.says) {
				t.Errorf("%+v", e)
			}
			if row, now := r.Verification(v.ID); now.Checks != 0 || now.Status != otp.Pending || len(row.Tally(otp.Caller{}).Failures) > 5 {
				t.Errorf("%+v", now)
			}
			r.Approve(rig.ByID(v.ID, code))
		})
	}
}

// Who confirms an app and signs in with the same code is told to wait for the next one.
func TestAttack19_AUsedCodeOfAnAppIsNamed(t *testing.T) {
	f := newFactors(t, nil, channel.SMS)
	f.Advance(10 * time.Second)
	code := f.appCode(0)
	f.Approve(byTOTP(code))
	for _, req := range []otpverify.Request{byTOTP(code), byUser(code)} {
		e := f.RefuseCheck(req, problem.WrongCode)
		if e.RetryAfter != 20*time.Second || !strings.Contains(e.Detail, "used before") || !strings.Contains(e.Detail, "in 20 seconds") {
			t.Errorf("%+v", e)
		}
	}
	f.wantFailures(2, 0)
	f.Advance(20 * time.Second)
	f.Approve(byTOTP(f.appCode(0)))
}

// The same beside a pending message, whose tries the answer counts.
func TestAttack19_AUsedCodeOfAnAppIsNamedBesideAMessage(t *testing.T) {
	f := bothRig(t)
	v, _ := begin(f.Rig, bySMS(""))
	code := f.appCode(0)
	f.Approve(byUser(code))
	for left := 4; left >= 0; left-- {
		e := f.RefuseCheck(byUser(code), problem.WrongCode)
		if e.RetryAfter != 30*time.Second || !strings.Contains(e.Detail, "used before") || *e.ChecksLeft != left {
			t.Errorf("%+v", e)
		}
	}
	if got := f.spent(v.ID); got != "app 5, message 5 of 5" {
		t.Errorf("spent: %s", got)
	}
	if e := f.RefuseCheck(byUser(f.unlike(v.ID)), problem.WrongCode); e.RetryAfter != 0 || strings.Contains(e.Detail, "used") {
		t.Errorf("%+v", e)
	}
}
