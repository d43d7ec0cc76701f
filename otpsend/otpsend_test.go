package otpsend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/texts"
	"twofa/otpsend"
)

func TestTheSenderIsGivenWhatThePersonHasToSee(t *testing.T) {
	b := newBench(t)
	b.SetTime(noon.Add(300 * time.Millisecond))
	b.Policy(func(p *otp.Policy) { p.TTL = 5 * time.Minute })
	b.Carrier.Deniable = map[notify.Channel]bool{notify.WhatsApp: true}
	a := b.start(otpsend.Request{
		To: "+1 415 555 0123", Purpose: "payment", Locale: "de-AT", Context: otp.Context{Amount: "EUR 25.00", Payee: "Acme Bikes"},
	})
	m := b.wa.Sent()[0]
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
	// What is told never promises more than holds.
	if !a.ExpiresAt.Equal(noon.Add(5*time.Minute)) || !a.ResendAfter.Equal(noon.Add(31*time.Second)) {
		t.Errorf("expires %v, resend after %v", a.ExpiresAt, a.ResendAfter)
	}
}

// Who approves a payment has to see what it is, on every message.
func TestAContextThatTheChannelCannotShowIsRefused(t *testing.T) {
	b := newBench(t)
	paying := otpsend.Request{To: alice, Context: otp.Context{Amount: "EUR 25.00"}}
	b.wa.Blind(true)
	if e := b.refused(paying, problem.InvalidRequest); e.Fields[0].Name != "context" || b.Table.Calls() != 0 {
		t.Errorf("%+v, %d calls of the store", e.Fields, b.Table.Calls())
	}
	b.start(otpsend.Request{To: alice}) // without one it is sent

	b = newBench(t)
	a := b.start(paying)
	b.wa.Blind(true) // the operator set a template meanwhile
	_, err := b.resend(a.ID, "")
	if e := b.Refused(err, problem.InvalidRequest); e.Fields[0].Name != "context" || b.Sent() != 1 {
		t.Errorf("%+v, %d messages", e.Fields, b.Sent())
	}
	if got := b.status(a.ID); got.SendsLeft != 4 || len(got.Delivery.Attempts) != 1 {
		t.Errorf("a refused resend was counted: %+v", got)
	}
}

// plainSender says nothing of what it shows.
type plainSender struct{ inner *rig.Sender }

func (p plainSender) Send(ctx context.Context, m notify.Message) error { return p.inner.Send(ctx, m) }

func TestASenderThatSaysNothingOfItIsTakenToShowAContext(t *testing.T) {
	b := newBench(t)
	b.Carrier.Senders[notify.WhatsApp] = plainSender{b.wa}
	b.start(otpsend.Request{To: alice, Context: otp.Context{Payee: "Acme"}})
	if b.wa.Last().Payee != "Acme" {
		t.Errorf("message %+v", b.wa.Last())
	}
}

// Where no message can arrive, the verification is over; where one may arrive
// or the fault is ours, its code keeps working.
func TestWhatAFailureMakesOfTheVerification(t *testing.T) {
	for _, tc := range []struct {
		name    string
		failure error
		kind    problem.Kind
		status  otp.Status
	}{
		{"invalid address", &notify.Failure{Reason: notify.InvalidAddress}, problem.InvalidRequest, otp.Undeliverable},
		{"undeliverable", &notify.Failure{Reason: notify.Undeliverable, Code: 63024}, problem.Undeliverable, otp.Undeliverable},
		{"refused", &notify.Failure{Reason: notify.Refused, Next: otp.NextNone}, problem.DestinationRefused, otp.Undeliverable},
		{"undeliverable after a try that may have sent", &notify.Failure{Reason: notify.Undeliverable, Code: 63024, MayHaveSent: true}, problem.ProviderUnavailable, otp.Pending},
		{"misconfigured", &notify.Failure{Reason: notify.Misconfigured, Setting: "TWILIO_CONTENT_SID"}, problem.ProviderMisconfigured, otp.Pending},
		{"unavailable", &notify.Failure{Reason: notify.Unavailable}, problem.ProviderUnavailable, otp.Pending},
		{"time-out", fmt.Errorf("%w: %w", &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true}, context.DeadlineExceeded), problem.ProviderUnavailable, otp.Pending},
		{"no failure of the contract", errors.New("what"), problem.ProviderUnavailable, otp.Pending},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			b.wa.Always(tc.failure)
			e := b.refused(otpsend.Request{To: alice}, tc.kind)
			if got := b.status(otp.ID(e.ID)).Status; got != tc.status {
				t.Errorf("the verification is %s, want %s", got, tc.status)
			}
			if _, ok := errors.AsType[*notify.Failure](e); !ok || len(b.Logged()) != 1 || !strings.Contains(b.Logged()[0], string(e.ID)) {
				t.Errorf("the log is not told why: %v, %q", e.Err, b.Logged())
			}
			// The message was spent all the same: failing must not be a way
			// around the limits.
			again, wait := problem.ResendTooSoon, 30*time.Second
			if tc.name == "refused" {
				again, wait = problem.DestinationRefused, otp.BlockedFor
			}
			if e := b.refused(otpsend.Request{To: alice, Purpose: "p"}, again); e.RetryAfter != wait {
				t.Errorf("retry after %v", e.RetryAfter)
			}
		})
	}
}

// The first message is with the person, whatever becomes of the second.
func TestAResendThatCannotArriveLeavesTheCodeAlive(t *testing.T) {
	for _, reason := range []notify.Reason{notify.InvalidAddress, notify.Undeliverable, notify.Refused} {
		b := newBench(t)
		a := b.start(otpsend.Request{To: alice})
		b.wa.Always(&notify.Failure{Reason: reason})
		if _, err := b.resend(a.ID, ""); err == nil {
			t.Errorf("%s: the resend was answered as sent", reason)
		}
		if got := b.status(a.ID).Status; got != otp.Pending {
			t.Errorf("%s: the verification is %s", reason, got)
		}
	}
}

// A pause that outlives the code asks for a new one.
func TestAProviderThatAsksForMoreTimeThanTheCodeHas(t *testing.T) {
	b := newBench(t)
	b.wa.Always(&notify.Failure{Reason: notify.Unavailable, RetryAfter: time.Hour})
	if e := b.refused(otpsend.Request{To: alice}, problem.ProviderUnavailable); !strings.Contains(e.Detail, "Start a new verification") {
		t.Errorf("detail %q", e.Detail)
	}
}

// Attack 18: a person who gets two messages gets the same code twice.
func TestAResendAfterAProvidersFaultHasTheSameCode(t *testing.T) {
	for name, failure := range map[string]*notify.Failure{
		"time-out": {Reason: notify.Unavailable, MayHaveSent: true},
		"429":      {Reason: notify.Unavailable, RetryAfter: 45 * time.Second},
		"500":      {Reason: notify.Unavailable, MayHaveSent: true, Code: 20500},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.wa.Always(failure)
			e := b.refused(otpsend.Request{To: alice}, problem.ProviderUnavailable)
			if e.RetryAfter != max(30*time.Second, failure.RetryAfter) || strings.Contains(e.Detail, "may arrive") != failure.MayHaveSent {
				t.Errorf("retry after %v: %s", e.RetryAfter, e.Detail)
			}
			b.wa.Always(nil)
			b.Wait(e.RetryAfter)
			if _, _, err := b.s.Resend(b.Ctx(), string(e.ID), otpsend.ResendRequest{}, ""); err != nil {
				t.Fatal(err)
			}
			if b.Sent() != 2 || b.wa.Sent()[0].Code != b.wa.Sent()[1].Code {
				t.Errorf("%d messages", b.Sent())
			}
		})
	}
}

// The client is told of the address what is true, even if storage cannot note it.
func TestAFailureThatCannotBeNotedIsStillAnswered(t *testing.T) {
	b := newBench(t)
	b.wa.Always(&notify.Failure{Reason: notify.Undeliverable})
	b.Table.Break(func(call int) rig.Fault {
		if call == 2 {
			return rig.Down
		}
		return rig.None
	})
	e := b.refused(otpsend.Request{To: alice}, problem.Undeliverable)
	if got := b.status(otp.ID(e.ID)).Status; got != otp.Pending {
		t.Errorf("the verification is %s", got)
	}
}

// A country that is closed after a start is closed for its resends too.
func TestAResendAsksAgainWhetherTheNumberMayBeSentTo(t *testing.T) {
	b := newBench(t)
	a := b.start(otpsend.Request{To: alice})
	b.s.Countries = map[string]bool{"IN": true}
	_, err := b.resend(a.ID, "")
	b.Refused(err, problem.DestinationRefused)
	if b.Sent() != 1 {
		t.Errorf("%d messages went out", b.Sent())
	}
}

// With several channels a request may choose, and a resend stays on the last.
func TestChannelsAreChosenByTheRequest(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	b.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	b.s.Carrier.Workflow = []notify.Channel{notify.WhatsApp}
	sms := b.Sender(notify.SMS)
	e := b.refused(otpsend.Request{To: alice, Channel: "fax"}, problem.InvalidRequest)
	if got := e.Fields[0].Message; !strings.Contains(got, "sms, whatsapp") {
		t.Errorf("message %q", got)
	}
	a := b.start(otpsend.Request{To: alice})
	resend := func(channel string) otpsend.Answer {
		t.Helper()
		a, err := b.resend(a.ID, channel)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	got := []string{a.Channel, resend("").Channel, resend("sms").Channel, resend("").Channel}
	if !slices.Equal(got, []string{"whatsapp", "whatsapp", "sms", "sms"}) || len(b.wa.Sent()) != 2 || len(sms.Sent()) != 2 {
		t.Errorf("channels %q, %d and %d messages", got, len(b.wa.Sent()), len(sms.Sent()))
	}
	if sms.Sent()[0].Code != b.wa.Sent()[0].Code {
		t.Error("another channel, another code")
	}

	delete(b.Carrier.Senders, notify.SMS) // the operator took it out of service
	if got := resend("").Channel; got != "whatsapp" || len(b.wa.Sent()) != 3 {
		t.Errorf("a channel that is gone: resent over %s", got)
	}
}

// Rotation: a code of a secret that was taken out cannot be made again.
func TestAResendOfACodeWhoseSecretIsGoneSaysSo(t *testing.T) {
	b := newBench(t)
	a := b.start(otpsend.Request{To: alice})
	_, _, err := b.Book.Change(context.Background(), a.ID.RowKey(), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		r.Verifications[0].Key = [4]byte{1, 2, 3, 4}
		return r, otp.Verification{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.resend(a.ID, "")
	if e := b.Refused(err, problem.Expired); !strings.Contains(e.Detail, "Start a new") || b.Sent() != 1 {
		t.Errorf("%s, %d messages", e.Detail, b.Sent())
	}
}

// A start's nonce and id are its own, so that no two codes hang together and
// none can be derived from the id, which the client knows.
func TestEveryStartHasItsOwnIDNonceAndCode(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	b.Policy(func(p *otp.Policy) { p.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric} })
	ids, codes, nonces := make(map[otp.ID]bool), make(map[string]bool), make(map[[16]byte]bool)
	for range 50 {
		id := b.start(otpsend.Request{To: alice}).ID
		ids[id] = true
		codes[b.wa.Last().Code] = true
		_, v := b.Verification(id)
		nonces[v.Nonce] = true
		b.Wait(3 * time.Hour)
	}
	if len(ids) != 50 || len(codes) != 50 || len(nonces) != 50 || nonces[[16]byte{}] {
		t.Errorf("%d ids, %d codes and %d nonces of 50 starts", len(ids), len(codes), len(nonces))
	}
}

// A status is as of now, whether or not anybody has written the row since.
func TestStatusSaysWhatTimeHasDone(t *testing.T) {
	b := newBench(t)
	id := b.start(otpsend.Request{To: alice}).ID
	b.SetTime(noon.Add(10*time.Minute - 1))
	if got := b.status(id).Status; got != otp.Pending {
		t.Errorf("a nanosecond before its end: %s", got)
	}
	b.SetTime(noon.Add(10 * time.Minute))
	if got := b.status(id).Status; got != otp.Expired {
		t.Errorf("at its end: %s", got)
	}
	b.SetTime(noon.Add(24*time.Hour + 10*time.Minute))
	_, err := b.s.Status(b.Ctx(), string(id))
	b.Refused(err, problem.NotFound)
}

// What is accepted is shown whole: a cut payee is a payee that nobody approved.
func TestWhatMayBeAskedForIsWhatAMessageShows(t *testing.T) {
	b := newBench(t)
	catalogue, err := texts.Load(texts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	longest := otp.Context{Amount: strings.Repeat("€", otp.MaxAmount), Payee: strings.Repeat("ä", otp.MaxPayee)}
	b.start(otpsend.Request{To: alice, Context: longest})
	m := b.wa.Last()
	for name, text := range map[string]string{
		"chat": catalogue.Chat(m), "SMS": catalogue.SMS(m), "speech": catalogue.Speech(m).Before, "ask": catalogue.Ask(m),
	} {
		if !strings.Contains(text, longest.Amount) || !strings.Contains(text, longest.Payee) {
			t.Errorf("%s: %s", name, text)
		}
	}
	b.refused(otpsend.Request{To: alice, Context: otp.Context{Amount: longest.Amount + "€"}}, problem.InvalidRequest)
	b.refused(otpsend.Request{To: alice, Context: otp.Context{Payee: longest.Payee + "ä"}}, problem.InvalidRequest)
}
