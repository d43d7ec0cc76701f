package delivery_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

const (
	alice  = rig.Alice
	bob    = rig.Bob
	mail   = rig.AliceMail
	canary = "canary-name"
)

var noon = rig.Noon

// What providers say. The numbers are Twilio's.
var (
	notOnWhatsApp = &notify.Failure{Reason: notify.Undeliverable, Code: 63024}
	landline      = &notify.Failure{Reason: notify.Undeliverable, Code: 21614, Next: otp.NextCall}
	noSuchNumber  = &notify.Failure{Reason: notify.InvalidAddress, Code: 21211, Next: otp.NextAddress}
	fraud         = &notify.Failure{Reason: notify.Refused, Code: 30450, Next: otp.NextNone}
	noTemplate    = &notify.Failure{Reason: notify.Misconfigured, Code: 21655, Setting: "TWILIO_CONTENT_SID", Detail: "the template does not exist"}
	busy          = &notify.Failure{Reason: notify.Unavailable, Code: 20429, RetryAfter: 45 * time.Second}
	filtered      = &notify.Failure{Reason: notify.Undeliverable, Code: 30007, Next: otp.NextCall, Warn: true}
	unclear       = &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true}
)

type bench struct {
	*rig.Rig
	t *testing.T
}

// newBench has a user with both addresses, and no pause between messages.
func newBench(t *testing.T, channels ...notify.Channel) *bench {
	t.Helper()
	b := &bench{Rig: rig.New(t, channels...), t: t}
	b.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	b.User(user.User{Name: canary, Phone: alice, Email: mail})
	return b
}

// always has channels answer alike.
func (b *bench) always(answers map[notify.Channel]error) {
	b.t.Helper()
	for c, answer := range answers {
		b.Sender(c).Always(answer)
	}
}

func (b *bench) start(req otpsend.Request) (otpsend.Answer, error) {
	b.t.Helper()
	a, _, err := b.Send.Start(b.Ctx(), req, "")
	return a, err
}

func (b *bench) mustStart(req otpsend.Request) otp.ID {
	b.t.Helper()
	a, err := b.start(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return a.ID
}

func (b *bench) resend(id otp.ID, channel string) error {
	b.t.Helper()
	_, _, err := b.Send.Resend(b.Ctx(), string(id), otpsend.ResendRequest{Channel: channel}, "")
	return err
}

func (b *bench) check(id otp.ID, code string) error {
	_, err := b.Verify.Check(b.Ctx(), otpverify.Request{ID: string(id), Code: code})
	return err
}

// report has the provider tell what became of a message.
func (b *bench) report(id otp.ID, attempt int, status otp.DeliveryStatus, f *notify.Failure) error {
	return b.Carrier.Report(b.Ctx(), notify.Report{Verification: id, Attempt: attempt, Status: status, Failure: f})
}

func (b *bench) mustReport(id otp.ID, attempt int, status otp.DeliveryStatus, f *notify.Failure) {
	b.t.Helper()
	if err := b.report(id, attempt, status, f); err != nil {
		b.t.Fatal(err)
	}
}

// trace is the messages of a verification, as "whatsapp failed 63024, sms queued".
func (b *bench) trace(id otp.ID) string {
	b.t.Helper()
	a, err := b.Send.Status(context.Background(), string(id))
	if err != nil {
		b.t.Fatal(err)
	}
	return traceOf(a)
}

// messages is all messages over the channels, in the order of their attempts.
func (b *bench) messages(id otp.ID) []notify.Message {
	b.t.Helper()
	_, v := b.Verification(id)
	all := make([]notify.Message, len(v.Attempts))
	for i, a := range v.Attempts {
		for _, m := range b.Sender(notify.Channel(a.Channel)).Sent() {
			if m.Verification == id && m.Attempt == i+1 {
				all[i] = m
			}
		}
	}
	return all
}

// logged is the lines of the operator's log that have all the texts.
func (b *bench) logged(texts ...string) (lines []string) {
	for _, line := range b.Logged() {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			lines = append(lines, line)
		}
	}
	return lines
}

// userOf is a person with a number of their own and Alice's e-mail address.
func userOf(name, phone string) user.User {
	return user.User{Name: name, Phone: phone, Email: mail}
}
