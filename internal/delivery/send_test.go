package delivery_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
)

// sameCode fails the test unless all messages of the verification have its code,
// their number and its address. It returns the messages.
func sameCode(r *rig.Rig, id otp.ID) []notify.Message {
	r.TB.Helper()
	sent := messages(r, id)
	for i, m := range sent {
		if m.Code != r.Code(id) || m.Attempt != i+1 || m.To != alice || m.Verification != id {
			r.TB.Errorf("message %d: attempt %d to %s, another code: %t", i+1, m.Attempt, m.To, m.Code != r.Code(id))
		}
	}
	return sent
}

// The number is not on WhatsApp, and a landline cannot get an SMS, so a call says
// the code. This is one request, one code and one send of the limits.
func TestACodeFallsBackUntilAProviderAcceptsIt(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS, channel.Email, channel.Call)
	answers{"whatsapp": notOnWhatsApp, "sms": landline}.set(r)
	a := r.MustStart(toUser)
	if a.Channel != "call" || a.To != "+1******0123" || a.SendsLeft != 4 || a.Status != otp.Pending {
		t.Fatalf("%+v", a)
	}
	wantTrace(r, a.ID, "whatsapp failed 63024, sms failed 21614, call queued", 3)
	sameCode(r, a.ID)
	if got := len(r.Recipient(alice).Tally(otp.Caller{}).Sends); got != 1 {
		t.Errorf("%d sends counted, want 1", got)
	}
	r.Approve(rig.ByID(a.ID, r.Code(a.ID)))
}

// The provider accepts each message and reports its failure later. Then each
// message counts as a send.
func TestACodeFallsBackAfterReports(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS, channel.Email, channel.Call)
	r.Policy(func(p *otp.Policy) { p.ResendAfter = time.Minute }) // does not hold for a fallback
	id := r.MustStart(toUser).ID
	r.Advance(time.Second)
	r.MustReport(id, 1, otp.Sent, nil)
	r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
	r.Advance(time.Second)
	r.MustReport(id, 2, otp.Failed, landline)
	wantTrace(r, id, "whatsapp failed 63024, sms failed 21614, call queued", 3)
	if call := sameCode(r, id)[2]; call.ValidFor != 10*time.Minute-2*time.Second {
		t.Errorf("the call says that the code works for %v", call.ValidFor)
	}
	if got := len(r.Recipient(alice).Tally(otp.Caller{}).Sends); got != 3 {
		t.Errorf("%d sends counted, want 3", got)
	}
	r.MustReport(id, 3, otp.Delivered, nil)
	r.Approve(rig.ByID(id, r.Code(id)))
	if preferred := r.Recipient(alice).PreferredBy(""); preferred != "call" {
		t.Errorf("the channel that worked: %+v", preferred)
	}
}

// What several failures mean together for the answer and the verification.
func TestWhatFailuresMeanTogether(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answers answers
		kind    problem.Kind // "": accepted
		wait    time.Duration
		status  otp.Status
		trace   string
	}{
		{"misconfigured, then accepted", answers{"whatsapp": noTemplate}, "", 0, otp.Pending, "whatsapp failed 21655, sms queued"},
		{"busy, then accepted", answers{"whatsapp": busy}, "", 0, otp.Pending, "whatsapp failed 20429, sms queued"},
		{"filtered, then called", answers{"whatsapp": filtered}, "", 0, otp.Pending, "whatsapp failed 30007, call queued"},
		{"unclear", answers{"whatsapp": unclear}, problem.ProviderUnavailable, 30 * time.Second, otp.Pending, "whatsapp queued"},
		{"undeliverable, then unclear", answers{"whatsapp": notOnWhatsApp, "sms": unclear}, problem.ProviderUnavailable, 30 * time.Second, otp.Pending, "whatsapp failed 63024, sms queued"},
		{"fraud", answers{"whatsapp": fraud}, problem.DestinationRefused, time.Hour, otp.Undeliverable, "whatsapp failed 30450"},
		{"undeliverable, then fraud", answers{"whatsapp": notOnWhatsApp, "sms": fraud}, problem.DestinationRefused, time.Hour, otp.Undeliverable, "whatsapp failed 63024, sms failed 30450"},
		{"no such number", answers{"whatsapp": noSuchNumber}, problem.InvalidRequest, 0, otp.Undeliverable, "whatsapp failed 21211"},
		{"all undeliverable", answers{"whatsapp": notOnWhatsApp, "sms": landline, "call": landline}, problem.Undeliverable, 0, otp.Undeliverable,
			"whatsapp failed 63024, sms failed 21614, call failed 21614"},
		{"all undeliverable but a wrong setting", answers{"whatsapp": noTemplate, "sms": landline, "call": landline}, problem.ProviderMisconfigured, 0, otp.Pending,
			"whatsapp failed 21655, sms failed 21614, call failed 21614"},
		{"all undeliverable but a busy one", answers{"whatsapp": notOnWhatsApp, "sms": busy, "call": landline}, problem.ProviderUnavailable, 45 * time.Second, otp.Pending,
			"whatsapp failed 63024, sms failed 20429, call failed 21614"},
		{"a wrong setting and a busy one", answers{"whatsapp": noTemplate, "sms": busy, "call": busy}, problem.ProviderMisconfigured, 0, otp.Pending,
			"whatsapp failed 21655, sms failed 20429, call failed 20429"},
		{"an outcome outside the contract", answers{"whatsapp": &notify.Failure{}, "sms": landline, "call": landline}, problem.ProviderUnavailable, 30 * time.Second, otp.Undeliverable,
			"whatsapp failed, sms failed 21614, call failed 21614"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, channel.WhatsApp, channel.SMS, channel.Call)
			r.Policy(func(p *otp.Policy) { p.ResendAfter = 30 * time.Second })
			tc.answers.set(r)
			a, err := r.Start(toAlice)
			id := a.ID
			if tc.kind == "" && err != nil {
				t.Fatal(err)
			}
			if tc.kind != "" {
				e := r.Refused(err, tc.kind)
				if id = otp.ID(e.ID); e.RetryAfter != tc.wait {
					t.Errorf("retry after %v, want %v", e.RetryAfter, tc.wait)
				}
			}
			_, v := r.Verification(id)
			wantTrace(r, id, tc.trace, len(v.Attempts))
			if v.Status != tc.status || len(r.Recipient(alice).Tally(otp.Caller{}).Sends) != 1 {
				t.Errorf("the verification is %s after %d sends", v.Status, len(r.Recipient(alice).Tally(otp.Caller{}).Sends))
			}
			sameCode(r, id)
			// The code works if a message may have arrived, and else is over.
			if tc.status == otp.Undeliverable {
				r.RefuseCheck(rig.ByID(id, r.Code(id)), problem.Undeliverable)
				r.RefuseResend(id, "", problem.Undeliverable)
			} else {
				r.Approve(rig.ByID(id, r.Code(id)))
			}
		})
	}
}

// An operator has to learn of a wrong setting even if another channel worked.
func TestTheLevelOfTheLogTellsWhomAFailureConcerns(t *testing.T) {
	for name, tc := range map[string]struct {
		failure     error
		level, want string
	}{
		"misconfigured": {noTemplate, "ERROR", `reason=misconfigured provider_error=21655 detail="the template does not exist" setting=TWILIO_CONTENT_SID`},
		"busy":          {busy, "WARN", `reason=unavailable provider_error=20429 detail=""`},
		"filtered":      {filtered, "WARN", `reason=undeliverable provider_error=30007 detail=""`},
		"fraud":         {fraud, "WARN", `reason=refused provider_error=30450 detail=""`},
		"unclear":       {unclear, "WARN", `reason=unavailable provider_error=0 detail=""`},
		"undeliverable": {notOnWhatsApp, "INFO", `reason=undeliverable provider_error=63024 detail=""`},
		"no number":     {noSuchNumber, "INFO", `reason=invalid_address provider_error=21211 detail=""`},
		"wrapped":       {fmt.Errorf("%w: to %s", busy, alice), "WARN", `reason=unavailable provider_error=20429 detail=""`},
		"anything else": {errQuoting{}, "WARN", `reason=unavailable provider_error=0 detail="the sender failed with a delivery_test.errQuoting"`},
	} {
		r := newRig(t, channel.WhatsApp, channel.SMS)
		r.Sender(channel.WhatsApp).Always(tc.failure)
		a, err := r.Start(toAlice)
		id := a.ID
		if e, ok := err.(*problem.Error); ok {
			id = otp.ID(r.Refused(err, e.Kind).ID) // the error must not quote, either
		}
		want := fmt.Sprintf(`level=%s msg="message failed" verification=%s attempt=1 channel=whatsapp %s provider=rig`, tc.level, id, tc.want)
		if got := r.Logged(); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// errQuoting is an error that no sender may return: its text is an address.
type errQuoting struct{}

func (errQuoting) Error() string { return "cannot send to " + alice }

// After an error outside the contract of senders, the message may have gone out:
// nothing is sent again.
func TestAnErrorOutsideTheContractMayHaveSent(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS)
	r.Sender(channel.WhatsApp).Always(errQuoting{})
	e := r.RefuseStart(toAlice, problem.ProviderUnavailable)
	if sms := len(r.Sender(channel.SMS).Sent()); !strings.Contains(e.Detail, "may arrive") || sms != 0 {
		t.Errorf("%s; %d SMS", e.Detail, sms)
	}
}

// Nothing is sent for an hour to an address that the provider blocks as fraud,
// over any channel and for any purpose.
func TestABlockedAddressIsSentNothing(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS)
	before := r.MustStart(otpsend.Request{To: alice, Purpose: "before"}).ID
	r.Sender(channel.WhatsApp).Answer(fraud)
	r.RefuseStart(toAlice, problem.DestinationRefused)
	for _, at := range []time.Duration{0, time.Minute, 5 * time.Minute, time.Hour - time.Millisecond} {
		r.Set(fixture.Noon.Add(at))
		e := r.RefuseStart(otpsend.Request{To: alice, Purpose: "after", Channel: "sms"}, problem.DestinationRefused)
		if e.RetryAfter != time.Hour-at {
			t.Errorf("after %v: retry after %v", at, e.RetryAfter)
		}
		if at < 9*time.Minute {
			r.RefuseResend(before, "sms", problem.DestinationRefused)
		}
	}
	r.Set(fixture.Noon.Add(time.Minute))
	r.MustReport(before, 1, otp.Failed, notOnWhatsApp)
	wantTrace(r, before, "whatsapp failed 63024", 2) // no fallback
	r.Set(fixture.Noon.Add(time.Hour))
	r.MustStart(toAlice)
	r.MustStart(otpsend.Request{To: bob})
}

// A message to the second address counts for both addresses.
func TestTheSecondAddressIsCountedInItsOwnRow(t *testing.T) {
	r := newRig(t, channel.SMS, channel.Email)
	r.Sender(channel.SMS).Always(noSuchNumber)
	a := r.MustStart(toUser)
	if a.Channel != "email" || a.To != "a******@example.com" {
		t.Fatalf("%+v", a)
	}
	for want := 1; want <= 2; want++ {
		if want == 2 {
			r.MustResend(a.ID, "")
		}
		first, second := r.Recipient(alice), r.Recipient(mail)
		if len(first.Tally(otp.Caller{}).Sends) != want || len(second.Tally(otp.Caller{}).Sends) != want || len(second.Verifications) != 0 {
			t.Errorf("%d and %d sends, want %d; %d verifications in the second row", len(first.Tally(otp.Caller{}).Sends), len(second.Tally(otp.Caller{}).Sends), want, len(second.Verifications))
		}
	}
}

// The second address has reached its limit and gets no message. The answer says
// which failure kept the code from the person.
func TestASecondAddressAtItsLimit(t *testing.T) {
	for _, tc := range []struct {
		name     string
		channels []channel.Channel
		sms      error
		kind     problem.Kind // "": accepted
		trace    string
	}{
		{"first, then accepted", []channel.Channel{"email", "sms"}, nil, "", "email failed, sms queued"},
		{"first, then undeliverable", []channel.Channel{"email", "sms"}, landline, problem.TooManySends, "email failed, sms failed 21614"},
		{"after undeliverable", []channel.Channel{"sms", "email"}, landline, problem.TooManySends, "sms failed 21614, email failed"},
		{"after fraud", []channel.Channel{"sms", "email"}, fraud, problem.DestinationRefused, "sms failed 30450"},
		{"after a wrong setting", []channel.Channel{"sms", "email"}, noTemplate, problem.ProviderMisconfigured, "sms failed 21655, email failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, channel.SMS, channel.Email)
			for range r.Verify.Policy.MaxSends {
				r.MustStart(otpsend.Request{To: mail})
				r.Advance(time.Second)
			}
			r.Sender(channel.SMS).Always(tc.sms)
			a, err := r.Start(otpsend.Request{User: canary, Channels: tc.channels})
			if tc.kind == "" && err != nil {
				t.Fatal(err)
			}
			if tc.kind != "" {
				e := r.Refused(err, tc.kind)
				a.ID = otp.ID(e.ID)
				if want := otp.SendWindow - 5*time.Second; tc.kind == problem.TooManySends && e.RetryAfter != want {
					t.Errorf("retry after %v, want %v", e.RetryAfter, want)
				}
				if _, v := r.Verification(a.ID); tc.kind != problem.DestinationRefused && v.Status != otp.Pending {
					t.Errorf("the verification is %s, although no e-mail was tried", v.Status)
				}
			}
			if got := trace(r, a.ID); got != tc.trace || len(r.Sender(channel.Email).Sent()) != 5 {
				t.Errorf("messages: %s; %d e-mails", got, len(r.Sender(channel.Email).Sent()))
			}
		})
	}
}

// Between a start and its fallback, an operator may take a channel out of the
// settings.
func TestAFallbackSkipsAChannelThatTheServiceNoLongerHas(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS, channel.Call)
	id := r.MustStart(toAlice).ID
	delete(r.Delivery.Senders, channel.SMS)
	r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
	if got := trace(r, id); got != "whatsapp failed 63024, sms failed, call queued" {
		t.Errorf("messages: %s", got)
	}
}

// Rotation: a code whose secret was taken out of service is not sent again, and
// no other code is sent.
func TestACodeWithoutItsSecretIsNotSent(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS)
	id := r.MustStart(toAlice).ID
	r.LoseSecret(id)
	r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
	if r.Sent() != 1 {
		t.Errorf("%d messages", r.Sent())
	}
	if e := r.RefuseResend(id, "sms", problem.Expired); e.ID != string(id) {
		t.Errorf("%+v", e)
	}
}

// A client can go on with the verification of a start that failed.
func TestARefusalNamesTheStoredVerification(t *testing.T) {
	for _, failure := range []*notify.Failure{notOnWhatsApp, noSuchNumber, fraud, noTemplate, busy, unclear} {
		r := newRig(t)
		r.Sender(channel.WhatsApp).Always(failure)
		_, err := r.Start(toAlice)
		e, ok := err.(*problem.Error)
		if !ok || !r.Recipient(alice).Knows(otp.ID(e.ID)) || e.Detail == "" && len(e.Fields) == 0 {
			t.Errorf("%s: %+v", failure.Outcome, err)
			continue
		}
		r.Verification(otp.ID(e.ID)) // fails the test unless it is stored
	}
}
