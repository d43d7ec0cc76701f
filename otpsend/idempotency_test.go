package otpsend_test

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/internal/window"
	"twofa/otpsend"
)

func TestAnIdempotencyKeyIsPrintableASCII(t *testing.T) {
	for key, ok := range map[string]bool{
		"a": true, "!~": true, strings.Repeat("k", 64): true, "8e03978e-40d5-43e8-bc93-6894a57f9324": true,
		strings.Repeat("k", 65): false, "a b": false, " a": false, "a\t": false, "é": false, "a\x7f": false, "a\n": false, "a\x00": false,
	} {
		b := newBench(t)
		_, _, err := b.s.Start(b.Ctx(), otpsend.Request{To: alice}, key)
		if ok {
			if err != nil {
				t.Errorf("%q: %v", key, err)
			}
			continue
		}
		if e := b.Refused(err, problem.InvalidRequest); e.Fields[0].Name != "Idempotency-Key" || b.Table.Calls() != 0 || b.Sent() != 0 {
			t.Errorf("%q: %+v, %d calls of the store", key, e.Fields, b.Table.Calls())
		}
		_, _, err = b.s.Resend(b.Ctx(), "VE0123456789abcdef0123456789abcdef", otpsend.ResendRequest{}, key)
		if e := b.Refused(err, problem.InvalidRequest); e.Fields[0].Name != "Idempotency-Key" {
			t.Errorf("resend, %q: %+v", key, e.Fields)
		}
	}
}

// outcome is an answer, or the problem in its place, as its client reads it.
type outcome struct {
	answer  otpsend.Answer
	problem problem.Error
}

func asOutcome(a otpsend.Answer, err error) outcome {
	o := outcome{answer: a}
	if e, ok := err.(*problem.Error); ok {
		o.problem = *e
		o.problem.Err = nil // for the log alone
		o.problem.RetryAfter = (e.RetryAfter + time.Second - 1).Truncate(time.Second)
	}
	return o
}

// A client that got no answer asks again, and learns what it missed.
func TestARepetitionIsAnsweredAsTheFirstTime(t *testing.T) {
	landline := &notify.Failure{Reason: notify.Undeliverable, Code: 21614, Next: otp.NextCall}
	busy := &notify.Failure{Reason: notify.Unavailable, Code: 20429, RetryAfter: 90*time.Second + 300*time.Millisecond}
	for name, tc := range map[string]struct {
		req      otpsend.Request
		script   func(b *bench)
		messages int
		kind     problem.Kind
	}{
		"sent":          {otpsend.Request{To: alice}, func(*bench) {}, 1, ""},
		"with a lot":    {otpsend.Request{To: alice, Purpose: "pay", Locale: "de", Channels: []string{"sms", "call"}, Context: otp.Context{Amount: "EUR 1"}}, func(*bench) {}, 1, ""},
		"inbound":       {otpsend.Request{To: alice, Channel: "inbound"}, func(*bench) {}, 0, ""},
		"for a user":    {otpsend.Request{User: "canary-name"}, func(*bench) {}, 1, ""},
		"second e-mail": {otpsend.Request{User: "canary-name", Channels: []string{"email", "sms"}}, func(*bench) {}, 1, ""},
		"fallen back": {otpsend.Request{To: alice}, func(b *bench) {
			b.wa.Always(landline)
		}, 2, ""},
		"fallen back to e-mail": {otpsend.Request{User: "canary-name", Channels: []string{"sms", "email"}}, func(b *bench) {
			b.Sender(notify.SMS).Always(landline)
		}, 2, ""},
		"invalid address": {otpsend.Request{To: alice, Channel: "sms"}, func(b *bench) {
			b.Sender(notify.SMS).Always(&notify.Failure{Reason: notify.InvalidAddress, Next: otp.NextAddress})
		}, 1, problem.InvalidRequest},
		"undeliverable": {otpsend.Request{To: alice}, func(b *bench) {
			for _, c := range every {
				b.Sender(c).Always(landline)
			}
		}, 3, problem.Undeliverable},
		"refused": {otpsend.Request{To: alice}, func(b *bench) {
			b.wa.Always(&notify.Failure{Reason: notify.Refused, Next: otp.NextNone})
		}, 1, problem.DestinationRefused},
		"misconfigured": {otpsend.Request{To: alice, Channel: "sms"}, func(b *bench) {
			b.Sender(notify.SMS).Always(&notify.Failure{Reason: notify.Misconfigured, Setting: "TWILIO_SMS_FROM"})
		}, 1, problem.ProviderMisconfigured},
		"unavailable": {otpsend.Request{To: alice, Channel: "sms"}, func(b *bench) {
			b.Sender(notify.SMS).Always(busy)
		}, 1, problem.ProviderUnavailable},
		"unclear": {otpsend.Request{To: alice}, func(b *bench) {
			b.wa.Always(&notify.Failure{Reason: notify.Unavailable, MayHaveSent: true, RetryAfter: 40*time.Second + 300*time.Millisecond})
		}, 1, problem.ProviderUnavailable},
		"longer than the code lives": {otpsend.Request{To: alice, Channel: "sms"}, func(b *bench) {
			b.Sender(notify.SMS).Always(&notify.Failure{Reason: notify.Unavailable, RetryAfter: time.Hour})
		}, 1, problem.ProviderUnavailable},
		"a test number's script": {otpsend.Request{To: alice}, func(b *bench) {
			b.s.Carrier.Scripts = map[string]otp.Script{alice: {Ending: otp.EndsUndeliverable, Code: "424242"}}
			b.s.Carrier.ScriptsEnd = noon.Add(window.Day)
		}, 0, problem.Undeliverable},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, every...)
			b.SetTime(noon.Add(123 * time.Millisecond))
			b.s.Inbound = &otpsend.Inbound{SMS: ownSMS, Brand: "Acme", Texts: asker{}}
			b.User(user.User{Name: "canary-name", Phone: alice, Email: rig.AliceMail})
			tc.script(b)
			a, replayed, err := b.s.Start(b.Ctx(), tc.req, "key")
			if replayed || b.Sent() != tc.messages {
				t.Fatalf("the first: replayed: %t, %d messages, want %d", replayed, b.Sent(), tc.messages)
			}
			if tc.kind != "" {
				b.Refused(err, tc.kind)
			} else if err != nil {
				t.Fatal(err)
			}
			for _, c := range every { // the provider is well again
				b.Sender(c).Always(nil)
			}
			first := asOutcome(a, err)
			for range 3 {
				b.Wait(5 * time.Minute) // beyond the code's life at last
				a, replayed, err = b.s.Start(b.Ctx(), tc.req, "key")
				if again := asOutcome(a, err); !replayed || !reflect.DeepEqual(again, first) {
					t.Errorf("replayed: %t\n%+v, the first time\n%+v", replayed, again, first)
				}
			}
			if b.Sent() != tc.messages {
				t.Errorf("%d messages, want %d", b.Sent(), tc.messages)
			}
		})
	}
}

// Whatever became of the verification, the answer to the start is what it was.
func TestARepetitionAfterTheVerificationEndedIsAnsweredAlike(t *testing.T) {
	for name, end := range map[string]func(b *bench, id otp.ID) error{
		"approved": func(b *bench, id otp.ID) error {
			_, err := b.Verify.Check(b.Ctx(), verifyRequest(id, b.Code(id)))
			return err
		},
		"canceled": func(b *bench, id otp.ID) error {
			_, err := b.s.Cancel(b.Ctx(), string(id))
			return err
		},
		"resent": func(b *bench, id otp.ID) error {
			_, err := b.resend(id, "next")
			return err
		},
		"forgotten": func(b *bench, _ otp.ID) error {
			b.Policy(func(p *otp.Policy) { p.MaxSends, p.ResendAfter = 90, 0 })
			for range 9 {
				b.start(otpsend.Request{To: alice})
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, every...)
			req := otpsend.Request{To: alice}
			a, _, err := b.s.Start(b.Ctx(), req, "key")
			if err != nil {
				t.Fatal(err)
			}
			if err := end(b, a.ID); err != nil {
				t.Fatal(err)
			}
			sent := b.Sent()
			again, replayed, err := b.s.Start(b.Ctx(), req, "key")
			if err != nil || !replayed || !reflect.DeepEqual(again, a) || b.Sent() != sent {
				t.Errorf("replayed: %t, %v\n%+v, the first time\n%+v", replayed, err, again, a)
			}
		})
	}
}

func TestARepeatedResendSendsOnce(t *testing.T) {
	b := newBench(t, every...)
	b.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	id := b.start(otpsend.Request{To: alice}).ID
	resend := func(channel string) (otpsend.Answer, bool, error) {
		return b.s.Resend(b.Ctx(), string(id), otpsend.ResendRequest{Channel: channel}, "key")
	}
	first, replayed, err := resend("next")
	if err != nil || replayed || first.Channel != "sms" {
		t.Fatalf("%+v %v, replayed: %t", first, err, replayed)
	}
	again, replayed, err := resend("next")
	if err != nil || !replayed || !reflect.DeepEqual(again, first) || b.Sent() != 2 {
		t.Errorf("%+v %v, replayed: %t, %d messages", again, err, replayed, b.Sent())
	}
	_, _, err = resend("")
	b.Refused(err, problem.IdempotencyConflict)
	id = b.start(otpsend.Request{To: alice, Purpose: "pay"}).ID // asked alike, and yet for another one
	_, _, err = resend("next")
	b.Refused(err, problem.IdempotencyConflict)
}

// One key for two requests is a mistake, and neither may pass for the other.
func TestAKeyOfAnotherRequestIsAConflict(t *testing.T) {
	original := otpsend.Request{User: "canary-name", Purpose: "pay", Locale: "de", Context: otp.Context{Amount: "EUR 1"}, ClientIP: "203.0.113.9"}
	for name, other := range map[string]func(r *otpsend.Request){
		"purpose": func(r *otpsend.Request) { r.Purpose = "login" }, "locale": func(r *otpsend.Request) { r.Locale = "" },
		"amount": func(r *otpsend.Request) { r.Context.Amount = "EUR 9" }, "payee": func(r *otpsend.Request) { r.Context.Payee = "Acme" },
		"channel": func(r *otpsend.Request) { r.Channel = "sms" }, "channels": func(r *otpsend.Request) { r.Channels = []string{"sms"} },
		"client_ip": func(r *otpsend.Request) { r.ClientIP = "" },
		"whom":      func(r *otpsend.Request) { r.User, r.To = "", alice },
	} {
		b := newBench(t, every...)
		b.User(user.User{Name: "canary-name", Phone: alice})
		if _, _, err := b.s.Start(b.Ctx(), original, "key"); err != nil {
			t.Fatal(err)
		}
		b.Wait(time.Minute)
		req := original
		other(&req)
		_, replayed, err := b.s.Start(b.Ctx(), req, "key")
		if b.Refused(err, problem.IdempotencyConflict); replayed || b.Sent() != 1 {
			t.Errorf("%s: replayed: %t, %d messages", name, replayed, b.Sent())
		}
		if _, replayed, err := b.s.Start(b.Ctx(), req, "another"); err != nil || replayed || b.Sent() != 2 {
			t.Errorf("%s, with a key of its own: %v, replayed: %t", name, err, replayed)
		}
	}
}

// Without a key, and a day later, equal requests are two.
func TestRequestsWithoutAKeyAreNotTakenForOneAnother(t *testing.T) {
	b := newBench(t)
	for _, key := range []string{"", "", "key"} {
		if _, replayed, err := b.s.Start(b.Ctx(), otpsend.Request{To: alice}, key); err != nil || replayed {
			t.Errorf("%q: %v, replayed: %t", key, err, replayed)
		}
		b.Wait(time.Minute)
	}
	b.SetTime(noon.Add(2*time.Minute + window.Day - 1))
	if _, replayed, _ := b.s.Start(b.Ctx(), otpsend.Request{To: alice}, "key"); !replayed {
		t.Error("a moment before a day is over the key is forgotten")
	}
	b.SetTime(noon.Add(2*time.Minute + window.Day))
	if _, replayed, err := b.s.Start(b.Ctx(), otpsend.Request{To: alice}, "key"); err != nil || replayed {
		t.Errorf("a day later: %v, replayed: %t", err, replayed)
	}
}

// What a limit refused did not begin: its repetition is judged by the limits of
// then.
func TestARequestThatALimitRefusedIsJudgedAnew(t *testing.T) {
	b := newBench(t)
	b.start(otpsend.Request{To: alice})
	_, _, err := b.s.Start(b.Ctx(), otpsend.Request{To: alice}, "key")
	b.Refused(err, problem.ResendTooSoon)
	b.Wait(time.Minute)
	if _, replayed, err := b.s.Start(b.Ctx(), otpsend.Request{To: alice}, "key"); err != nil || replayed || b.Sent() != 2 {
		t.Errorf("%v, replayed: %t", err, replayed)
	}
}

// The same holds where the limit is the second address's own.
func TestAResendThatTheSecondAddressIsTooFullForIsJudgedAnew(t *testing.T) {
	b := newBench(t, notify.SMS, notify.Email)
	b.User(user.User{Name: "canary-name", Phone: alice, Email: rig.AliceMail})
	for range 5 {
		b.start(otpsend.Request{To: rig.AliceMail})
		b.Wait(30 * time.Second)
	}
	id := b.start(otpsend.Request{User: "canary-name"}).ID
	b.Wait(30 * time.Second)
	resend := func() error {
		_, replayed, err := b.s.Resend(b.Ctx(), string(id), otpsend.ResendRequest{Channel: "email"}, "key")
		if replayed {
			t.Error("replayed")
		}
		return err
	}
	if e := b.Refused(resend(), problem.TooManySends); e.ID != string(id) || e.RetryAfter <= 0 {
		t.Errorf("%+v", e)
	}
	b.Wait(30 * time.Second)
	b.Refused(resend(), problem.TooManySends)
	b.Wait(9 * time.Minute)
	b.Refused(resend(), problem.Expired)
}

// A client that repeats in haste gets one message.
func TestEqualRequestsAtOnceSendOnce(t *testing.T) {
	b := newBench(t)
	var wg sync.WaitGroup
	var first atomic.Int64
	answers := make([]otpsend.Answer, 12)
	for i := range answers {
		wg.Go(func() {
			a, replayed, err := b.s.Start(b.Ctx(), otpsend.Request{To: alice}, "key")
			if err != nil {
				t.Error(err)
			}
			if answers[i] = a; !replayed {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	for _, a := range answers {
		if !reflect.DeepEqual(a, answers[0]) {
			t.Errorf("answers %+v and %+v", a, answers[0])
		}
	}
	if first.Load() != 1 || b.Sent() != 1 {
		t.Errorf("%d were the first, %d messages", first.Load(), b.Sent())
	}
}
