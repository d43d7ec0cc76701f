package delivery_test

import (
	"fmt"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// story is something that a client, a provider or a person has the service do.
type story struct {
	name   string
	before func(b *bench) otp.ID
	run    func(b *bench, id otp.ID) error
	calls  int // of the store, where nothing goes wrong
	// approves is true where a run without an error is an approval.
	approves bool
	// first says how many of the calls are made before anything is sent or
	// told: a fault in one of them has to be answered as such.
	first int
}

func begun(req otpsend.Request) func(*bench) otp.ID {
	return func(b *bench) otp.ID { return b.mustStart(req) }
}

func starting(req otpsend.Request, key string) func(*bench, otp.ID) error {
	return func(b *bench, _ otp.ID) error {
		_, _, err := b.Send.Start(b.Ctx(), req, key)
		return err
	}
}

// refusing has channels refuse, before a story begins.
func refusing(answers map[notify.Channel]error) func(*bench) otp.ID {
	return func(b *bench) otp.ID {
		b.always(answers)
		return ""
	}
}

var (
	toAlice = otpsend.Request{To: alice}
	toUser  = otpsend.Request{User: canary}
	stories = []story{
		{name: "start", run: starting(toAlice, ""), calls: 1, first: 1},
		{name: "start for a user", run: starting(toUser, "key"), calls: 2, first: 2},
		{name: "start over e-mail first", run: starting(otpsend.Request{User: canary, Channels: []string{"email", "sms"}}, "key"), calls: 3, first: 2},
		{name: "start, fallback", before: refusing(map[notify.Channel]error{"whatsapp": notOnWhatsApp, "sms": landline}),
			run: starting(toUser, "key"), calls: 5, first: 2},
		{name: "start, all refused", before: refusing(map[notify.Channel]error{"whatsapp": notOnWhatsApp, "sms": landline, "email": notOnWhatsApp}),
			run: starting(toUser, "key"), calls: 6, first: 2},
		{name: "start, unclear", before: refusing(map[notify.Channel]error{"whatsapp": unclear}), run: starting(toAlice, "key"), calls: 2, first: 1},
		{name: "resend", before: begun(toAlice), run: func(b *bench, id otp.ID) error { return b.resend(id, "") }, calls: 1, first: 1},
		{name: "resend over e-mail", before: begun(toUser), run: func(b *bench, id otp.ID) error { return b.resend(id, "email") }, calls: 2, first: 1},
		{name: "cancel", before: begun(toAlice), run: func(b *bench, id otp.ID) error {
			_, err := b.Send.Cancel(b.Ctx(), string(id))
			return err
		}, calls: 1, first: 1},
		{name: "report of a failure", before: begun(toUser), run: func(b *bench, id otp.ID) error {
			return b.report(id, 1, otp.Failed, notOnWhatsApp)
		}, calls: 1, first: 1},
		{name: "report, the fallback refused", before: func(b *bench) otp.ID {
			b.always(map[notify.Channel]error{"sms": landline})
			return b.mustStart(toUser)
		}, run: func(b *bench, id otp.ID) error { return b.report(id, 1, otp.Failed, notOnWhatsApp) }, calls: 3, first: 1},
		{name: "report of a delivery", before: begun(toAlice), run: func(b *bench, id otp.ID) error {
			return b.report(id, 1, otp.Delivered, nil)
		}, calls: 1, first: 1},
		{name: "a no", before: begun(toAlice), run: func(b *bench, _ otp.ID) error {
			_, err := b.Inbox.Receive(b.Ctx(), notify.Inbound{From: alice, Text: "NO"})
			return err
		}, calls: 1, first: 1},
		{name: "a right code", before: begun(toUser), run: func(b *bench, id otp.ID) error { return b.check(id, b.Code(id)) },
			calls: 2, approves: true, first: 1},
		{name: "a right code by user", before: begun(toUser), run: func(b *bench, id otp.ID) error {
			_, err := b.Verify.Check(b.Ctx(), otpverify.Request{User: canary, Code: b.Code(id)})
			return err
		}, calls: 5, approves: true, first: 4},
		{name: "a right code for e-mail alone, by user", before: begun(otpsend.Request{User: canary, Channel: "email"}), run: func(b *bench, id otp.ID) error {
			_, err := b.Verify.Check(b.Ctx(), otpverify.Request{User: canary, Code: b.Code(id)})
			return err
		}, calls: 5, approves: true, first: 4},
		{name: "a wrong code", before: begun(toAlice), run: func(b *bench, id otp.ID) error { return b.check(id, b.Wrong(id)) }, calls: 1, first: 1},
		{name: "the last wrong code", before: func(b *bench) otp.ID {
			b.Policy(func(p *otp.Policy) { p.MaxChecks = 1 })
			return b.mustStart(toAlice)
		}, run: func(b *bench, id otp.ID) error { return b.check(id, b.Wrong(id)) }, calls: 1, first: 1},
	}
)

// Attack 16: storage fails at every step, alone and from there on. Nothing is
// approved that was not kept, nothing is sent that no row knows of (the senders
// hold that), and what cannot be told is a 503.
func TestStorageFaultsAtEveryStep(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			b, id := s.begin(t)
			_ = s.run(b, id)
			if got := b.Table.Calls(); got != s.calls {
				t.Fatalf("%d calls of the store, want %d", got, s.calls)
			}
			for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
				for at := 1; at <= s.calls; at++ {
					for _, onwards := range []bool{false, true} {
						if onwards && at == s.calls {
							continue // the same
						}
						s.breakAt(t, fault, at, onwards)
					}
				}
			}
		})
	}
}

func (s story) begin(t *testing.T) (*bench, otp.ID) {
	b := newBench(t, notify.WhatsApp, notify.SMS, notify.Email)
	var id otp.ID
	if s.before != nil {
		id = s.before(b)
	}
	b.Table.Break(nil)
	return b, id
}

func (s story) breakAt(t *testing.T, fault rig.Fault, at int, onwards bool) {
	t.Helper()
	where := fmt.Sprintf("fault %d at call %d, onwards: %t", fault, at, onwards)
	b, id := s.begin(t)
	before := b.Sent()
	b.Table.Break(func(call int) rig.Fault {
		if call == at || onwards && call > at {
			return fault
		}
		return rig.None
	})
	err := s.run(b, id)
	b.Table.Break(nil)
	if at <= s.first {
		b.Refused(err, problem.StorageUnavailable)
		if b.Sent() != before {
			t.Errorf("%s: %d messages were sent", where, b.Sent()-before)
		}
	} else if err != nil { // of a kind that is known, and quoting nothing
		e, ok := err.(*problem.Error)
		if !ok || e.Kind == problem.Internal {
			t.Fatalf("%s: %v", where, err)
		}
		b.Refused(err, e.Kind)
	}
	s.look(b, where, s.approves && err == nil)
}

// look judges what a fault has left: each verification is one that its client was
// told of as it is, and the service goes on.
func (s story) look(b *bench, where string, told bool) {
	b.t.Helper()
	for _, address := range []string{alice, mail} {
		for _, v := range b.Recipient(address).Verifications {
			code := b.Code(v.ID)
			if told && v.Status != otp.Approved || v.Status == otp.Approved && !s.approves {
				b.t.Errorf("%s: it is %s; told of as approved: %t", where, v.Status, told)
			}
			for _, m := range b.messages(v.ID) {
				if m.Code != "" && m.Code != code {
					b.t.Errorf("%s: another code", where)
				}
			}
			approvals := 0
			for range 2 {
				if err := b.check(v.ID, code); err == nil {
					approvals++
				}
			}
			if v.Status != otp.Pending && approvals != 0 || approvals > 1 {
				b.t.Errorf("%s: from %s it was approved %d times", where, v.Status, approvals)
			}
		}
	}
	b.Wait(otp.SendWindow)
	for c := range b.Carrier.Senders {
		b.Sender(c).Always(nil)
	}
	b.mustStart(otpsend.Request{To: alice})
}

// What a client was told of its message is not taken back by storage.
func TestWhatCannotBeNotedIsAnsweredAllTheSame(t *testing.T) {
	for name, tc := range map[string]struct {
		answer error
		kind   problem.Kind
	}{
		"undeliverable": {notOnWhatsApp, problem.Undeliverable},
		"misconfigured": {noTemplate, problem.ProviderMisconfigured},
		"fraud":         {fraud, problem.DestinationRefused},
		"unclear":       {unclear, problem.ProviderUnavailable},
	} {
		for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
			b := newBench(t)
			b.Sender(notify.WhatsApp).Always(tc.answer)
			b.Table.Break(func(call int) rig.Fault {
				if call > 1 {
					return fault
				}
				return rig.None
			})
			_, _, err := b.Send.Start(b.Ctx(), toAlice, "key")
			if e := b.Refused(err, tc.kind); e.ID == "" || b.Table.Calls() != 2 || len(b.logged("message failed")) != 1 {
				t.Errorf("%s: %+v, %d calls, logged %q", name, e, b.Table.Calls(), b.Logged())
			}
		}
	}
}
