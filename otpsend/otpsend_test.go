package otpsend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/texts"
	"twofa/otpsend"
)

func TestTheSenderGetsWhatThePersonHasToSee(t *testing.T) {
	r := rig.New(t)
	r.Set(noon.Add(300 * time.Millisecond))
	r.Policy(func(p *otp.Policy) { p.TTL = 5 * time.Minute })
	r.Delivery.Deniable = map[channel.Route]bool{{Channel: channel.WhatsApp}: true}
	a := r.MustStart(otpsend.Request{
		To: "+1 415 555 0123", Purpose: "payment", Locale: "de-AT", Transaction: otp.Transaction{Amount: "EUR 25.00", Payee: "Acme Bikes"},
	})
	m := whatsApp(r).Sent()[0]
	if len(m.Code) != 6 || strings.Trim(m.Code, "0123456789") != "" {
		t.Errorf("code %q", m.Code)
	}
	m.Code = ""
	if want := (notify.Message{
		To: alice, Brand: "Acme", Purpose: "payment", Locale: "de-AT", ValidFor: 5 * time.Minute,
		Amount: "EUR 25.00", Payee: "Acme Bikes", CanDeny: true, Verification: a.ID, Attempt: 1,
	}); m != want {
		t.Errorf("message %+v, want %+v", m, want)
	}
	if want := "+1******0123"; a.To != want || a.To != phone.Mask(alice) {
		t.Errorf("answered %s", a.To)
	}
	// The answer never promises more time than there is.
	if !a.ExpiresAt.Equal(noon.Add(5*time.Minute)) || !a.ResendAfter.Equal(noon.Add(31*time.Second)) {
		t.Errorf("expires %v, resend after %v", a.ExpiresAt, a.ResendAfter)
	}
}

// A person who approves a payment has to see it in each message.
func TestAContextThatTheChannelCannotShowIsRefused(t *testing.T) {
	r := rig.New(t)
	paying := otpsend.Request{To: alice, Transaction: otp.Transaction{Amount: "EUR 25.00"}}
	whatsApp(r).Blind(true)
	wantField(t, r.RefuseStart(paying, problem.InvalidRequest), "context: ")
	wantUntouched(r, 0)
	r.MustStart(toAlice) // without a context, the message is sent

	r = rig.New(t)
	a := r.MustStart(paying)
	whatsApp(r).Blind(true) // the operator has set another template
	pause(r)
	wantField(t, r.RefuseResend(a.ID, "", problem.InvalidRequest), "context: ")
	if got := r.Status(a.ID); got.SendsLeft != 4 || len(got.Delivery.Attempts) != 1 || r.Sent() != 1 {
		t.Errorf("a refused resend was counted: %+v, %d messages", got, r.Sent())
	}
}

// plainSender is no notify.TransactionShower.
type plainSender struct{ inner *rig.Sender }

func (p plainSender) Send(ctx context.Context, m notify.Message) error { return p.inner.Send(ctx, m) }

func TestASenderShowsTheContextUnlessItSaysOtherwise(t *testing.T) {
	r := rig.New(t)
	sender := whatsApp(r)
	r.Delivery.Senders[channel.WhatsApp] = plainSender{sender}
	r.MustStart(otpsend.Request{To: alice, Transaction: otp.Transaction{Payee: "Acme"}})
	if m := sender.Last(); m.Payee != "Acme" {
		t.Errorf("message %+v", m)
	}
}

// If no message can arrive, the verification is over. If one may arrive, or if
// the service is at fault, its code goes on working.
func TestWhatAFailureMakesOfTheVerification(t *testing.T) {
	for _, tc := range []struct {
		name    string
		failure error
		kind    problem.Kind
		status  otp.Status
	}{
		{"invalid address", &notify.Failure{Outcome: otp.OutcomeInvalidAddress}, problem.InvalidRequest, otp.Undeliverable},
		{"undeliverable", undeliverable, problem.Undeliverable, otp.Undeliverable},
		{"refused", &notify.Failure{Outcome: otp.OutcomeRefused, Next: otp.NextNone}, problem.DestinationRefused, otp.Undeliverable},
		{"undeliverable after a try that may have sent", &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024, MayHaveSent: true}, problem.ProviderUnavailable, otp.Pending},
		{"misconfigured", &notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "TWILIO_CONTENT_SID"}, problem.ProviderMisconfigured, otp.Pending},
		{"unavailable", &notify.Failure{Outcome: otp.OutcomeUnavailable}, problem.ProviderUnavailable, otp.Pending},
		{"time-out", fmt.Errorf("%w: %w", &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true}, context.DeadlineExceeded), problem.ProviderUnavailable, otp.Pending},
		{"no failure of the contract", errors.New("what"), problem.ProviderUnavailable, otp.Pending},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rig.New(t)
			whatsApp(r).Always(tc.failure)
			e := r.RefuseStart(toAlice, tc.kind)
			if got := r.Status(otp.ID(e.ID)).Status; got != tc.status {
				t.Errorf("the verification is %s, want %s", got, tc.status)
			}
			if _, ok := errors.AsType[*notify.Failure](e); !ok || len(r.Logged()) != 1 || len(r.Logged(e.ID)) != 1 {
				t.Errorf("the log does not tell why: %v, %q", e.Err, r.Logged())
			}
			// The message was counted: a failure must not be a way around the
			// limits.
			again, wait := problem.ResendTooSoon, 30*time.Second
			if tc.name == "refused" {
				again, wait = problem.DestinationRefused, otp.BlockedFor
			}
			if e := r.RefuseStart(otpsend.Request{To: alice, Purpose: "p"}, again); e.RetryAfter != wait {
				t.Errorf("retry after %v", e.RetryAfter)
			}
		})
	}
}

// The person has the first message, whatever happens to the second.
func TestAResendThatFailsLeavesTheCodeAlive(t *testing.T) {
	for _, outcome := range []otp.Outcome{otp.OutcomeInvalidAddress, otp.OutcomeUndeliverable, otp.OutcomeRefused} {
		r := rig.New(t)
		a := r.MustStart(toAlice)
		whatsApp(r).Always(&notify.Failure{Outcome: outcome})
		pause(r)
		if _, err := r.Resend(a.ID, ""); err == nil {
			t.Errorf("%s: the resend was answered as sent", outcome)
		}
		if got := r.Status(a.ID).Status; got != otp.Pending {
			t.Errorf("%s: the verification is %s", outcome, got)
		}
	}
}

// If the provider's pause is longer than the code works, only a new verification
// helps.
func TestAProviderThatAsksForMoreTimeThanTheCodeHas(t *testing.T) {
	r := rig.New(t)
	whatsApp(r).Always(&notify.Failure{Outcome: otp.OutcomeUnavailable, RetryAfter: time.Hour})
	if e := r.RefuseStart(toAlice, problem.ProviderUnavailable); !strings.Contains(e.Detail, "Start a new verification") {
		t.Errorf("detail %q", e.Detail)
	}
}

// Attack 18: a person who gets two messages gets the same code twice.
func TestAResendAfterAProvidersFaultHasTheSameCode(t *testing.T) {
	for name, failure := range map[string]*notify.Failure{
		"time-out": {Outcome: otp.OutcomeUnavailable, MayHaveSent: true},
		"429":      {Outcome: otp.OutcomeUnavailable, RetryAfter: 45 * time.Second},
		"500":      {Outcome: otp.OutcomeUnavailable, MayHaveSent: true, Code: 20500},
	} {
		t.Run(name, func(t *testing.T) {
			r := rig.New(t)
			whatsApp(r).Always(failure)
			e := r.RefuseStart(toAlice, problem.ProviderUnavailable)
			if e.RetryAfter != max(30*time.Second, failure.RetryAfter) || strings.Contains(e.Detail, "may arrive") != failure.MayHaveSent {
				t.Errorf("retry after %v: %s", e.RetryAfter, e.Detail)
			}
			whatsApp(r).Always(nil)
			r.Advance(e.RetryAfter)
			r.MustResend(otp.ID(e.ID), "")
			if sent := whatsApp(r).Sent(); len(sent) != 2 || sent[0].Code != sent[1].Code {
				t.Errorf("%d messages", len(sent))
			}
		})
	}
}

// The client gets the provider's answer even if it cannot be stored.
func TestAFailureThatCannotBeStoredIsAnswered(t *testing.T) {
	r := rig.New(t)
	whatsApp(r).Always(undeliverable)
	r.Table.Break(rig.FaultAt(2, rig.Down))
	e := r.RefuseStart(toAlice, problem.Undeliverable)
	if got := r.Status(otp.ID(e.ID)).Status; got != otp.Pending {
		t.Errorf("the verification is %s", got)
	}
}

// A country that is closed after a start is closed for its resends, too.
func TestAResendChecksTheCountryAgain(t *testing.T) {
	r := rig.New(t)
	a := r.MustStart(toAlice)
	r.Send.Countries = map[string]bool{"IN": true}
	pause(r)
	r.RefuseResend(a.ID, "", problem.DestinationRefused)
	if r.Sent() != 1 {
		t.Errorf("%d messages", r.Sent())
	}
}

// With several channels a request may choose, and a resend stays on the last one.
func TestARequestChoosesTheChannel(t *testing.T) {
	r := rig.New(t, channel.WhatsApp, channel.SMS)
	r.Policy(withoutPause)
	r.Workflow(channel.WhatsApp)
	chat, sms := whatsApp(r), r.Sender(channel.SMS)
	e := r.RefuseStart(otpsend.Request{To: alice, Channel: "fax"}, problem.InvalidRequest)
	if got := e.Fields[0].Message; !strings.Contains(got, "sms, whatsapp") {
		t.Errorf("message %q", got)
	}
	a := r.MustStart(toAlice)
	got := []channel.Channel{a.Channel}
	for _, c := range []channel.Channel{"", "sms", ""} {
		got = append(got, r.MustResend(a.ID, c).Channel)
	}
	if !slices.Equal(got, []channel.Channel{"whatsapp", "whatsapp", "sms", "sms"}) || len(chat.Sent()) != 2 || len(sms.Sent()) != 2 {
		t.Errorf("channels %q, %d and %d messages", got, len(chat.Sent()), len(sms.Sent()))
	}
	if sms.Sent()[0].Code != chat.Sent()[0].Code {
		t.Error("another channel, another code")
	}

	delete(r.Delivery.Senders, channel.SMS) // the operator has taken it out of service
	if got := r.MustResend(a.ID, "").Channel; got != "whatsapp" || len(chat.Sent()) != 3 {
		t.Errorf("without SMS: resent over %s", got)
	}
}

// Rotation: a code whose secret was taken out of service cannot be made again.
func TestAResendOfACodeWithoutItsSecretIsRefused(t *testing.T) {
	r := rig.New(t)
	a := r.MustStart(toAlice)
	r.LoseSecret(a.ID)
	pause(r)
	if e := r.RefuseResend(a.ID, "", problem.Expired); !strings.Contains(e.Detail, "Start a new") || r.Sent() != 1 {
		t.Errorf("%s, %d messages", e.Detail, r.Sent())
	}
}

// No two starts share a nonce or an id, so that their codes are independent, and
// no code can be derived from the id, which the client knows.
func TestEveryStartHasItsOwnIDNonceAndCode(t *testing.T) {
	r := rig.New(t)
	r.Policy(func(p *otp.Policy) { p.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric} })
	ids, codes, nonces := make(map[otp.ID]bool), make(map[string]bool), make(map[[16]byte]bool)
	for range 50 {
		id := r.MustStart(toAlice).ID
		_, v := r.Verification(id)
		ids[id], codes[whatsApp(r).Last().Code], nonces[v.Nonce] = true, true, true
		r.Advance(3 * time.Hour)
	}
	if len(ids) != 50 || len(codes) != 50 || len(nonces) != 50 || nonces[[16]byte{}] {
		t.Errorf("%d ids, %d codes and %d nonces of 50 starts", len(ids), len(codes), len(nonces))
	}
}

// A status is the one of now, even if the row was not written since.
func TestStatusIsTheOneOfNow(t *testing.T) {
	r := rig.New(t)
	id := r.MustStart(toAlice).ID
	for after, want := range map[time.Duration]otp.Status{10*time.Minute - 1: otp.Pending, 10 * time.Minute: otp.Expired} {
		r.Set(noon.Add(after))
		if got := r.Status(id).Status; got != want {
			t.Errorf("after %v: %s, want %s", after, got, want)
		}
	}
	r.Set(noon.Add(24*time.Hour + 10*time.Minute))
	_, err := r.Send.Status(r.Ctx(), string(id))
	r.Refused(err, problem.NotFound)
}

// Messages show an accepted context in full: nobody approves a payee that was cut.
func TestMessagesShowAnAcceptedContextInFull(t *testing.T) {
	r := rig.New(t)
	catalogue, err := texts.Load(texts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	longest := otp.Transaction{Amount: strings.Repeat("€", otp.MaxAmount), Payee: strings.Repeat("ä", otp.MaxPayee)}
	r.MustStart(otpsend.Request{To: alice, Transaction: longest})
	m := whatsApp(r).Last()
	for name, text := range map[string]string{
		"chat": catalogue.Chat(m), "SMS": catalogue.SMS(m), "speech": catalogue.Speech(m).Before, "ask": catalogue.Ask(m),
	} {
		if !strings.Contains(text, longest.Amount) || !strings.Contains(text, longest.Payee) {
			t.Errorf("%s: %s", name, text)
		}
	}
	for _, longer := range []otp.Transaction{{Amount: longest.Amount + "€"}, {Payee: longest.Payee + "ä"}} {
		r.RefuseStart(otpsend.Request{To: alice, Transaction: longer}, problem.InvalidRequest)
	}
}
