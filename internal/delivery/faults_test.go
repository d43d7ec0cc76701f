package delivery_test

import (
	"fmt"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// story is a request of a client, a provider or a person.
type story struct {
	name   string
	before func(r *rig.Rig) otp.ID
	run    func(r *rig.Rig, id otp.ID) error
	calls  int // of the store, if nothing goes wrong
	// approves is true if a run without an error is an approval.
	approves bool
	// first is how many calls are made before anything is sent or answered: a
	// fault in one of them has to be the answer.
	first int
	// read is a call in a decision: the rig runs a decision twice, so that one fault
	// there does no harm. 0: none.
	read int
}

// begun starts a verification before a story.
func begun(req otpsend.Request, a answers) func(*rig.Rig) otp.ID {
	return func(r *rig.Rig) otp.ID {
		a.set(r)
		return r.MustStart(req).ID
	}
}

// starting is a story's start, over senders that answer so.
func starting(req otpsend.Request, key string, a answers) func(*rig.Rig, otp.ID) error {
	return func(r *rig.Rig, _ otp.ID) error {
		a.set(r)
		_, _, err := r.Send.Start(r.Ctx(), req, key)
		return err
	}
}

func resending(c channel.Channel) func(*rig.Rig, otp.ID) error {
	return func(r *rig.Rig, id otp.ID) error {
		_, err := r.Resend(id, c)
		return err
	}
}

func reporting(status otp.DeliveryStatus, f *notify.Failure) func(*rig.Rig, otp.ID) error {
	return func(r *rig.Rig, id otp.ID) error { return r.Report(id, 1, status, f) }
}

// checking checks a code by the user's name, or by the verification's id if user
// is empty.
func checking(code func(*rig.Rig, otp.ID) string, user string) func(*rig.Rig, otp.ID) error {
	return func(r *rig.Rig, id otp.ID) error {
		req := rig.ByID(id, code(r, id))
		if user != "" {
			req = otpverify.Request{User: user, Code: req.Code}
		}
		_, err := r.Check(req)
		return err
	}
}

var stories = []story{
	{name: "start", run: starting(toAlice, "", nil), calls: 1, first: 1},
	{name: "start for a user", run: starting(toUser, "key", nil), calls: 3, first: 2},
	{name: "start over e-mail first", run: starting(otpsend.Request{User: canary, Channels: []channel.Channel{"email", "sms"}}, "key", nil), calls: 4, first: 2},
	{name: "start, fallback", run: starting(toUser, "key", answers{"whatsapp": notOnWhatsApp, "sms": landline}), calls: 6, first: 2},
	{name: "start, all undeliverable", run: starting(toUser, "key", answers{"whatsapp": notOnWhatsApp, "sms": landline, "email": notOnWhatsApp}), calls: 6, first: 2},
	{name: "start, unclear", run: starting(toAlice, "key", answers{"whatsapp": unclear}), calls: 2, first: 1},
	{name: "resend", before: begun(toAlice, nil), run: resending(""), calls: 1, first: 1},
	{name: "resend over e-mail", before: begun(toUser, nil), run: resending("email"), calls: 2, first: 1},
	{name: "cancel", before: begun(toAlice, nil), run: func(r *rig.Rig, id otp.ID) error {
		_, err := r.Send.Cancel(r.Ctx(), string(id))
		return err
	}, calls: 1, first: 1},
	{name: "report of a failure", before: begun(toUser, nil), run: reporting(otp.Failed, notOnWhatsApp), calls: 1, first: 1},
	{name: "report, the fallback undeliverable", before: begun(toUser, answers{"sms": landline}), run: reporting(otp.Failed, notOnWhatsApp), calls: 3, first: 1},
	{name: "report of a delivery", before: begun(toAlice, nil), run: reporting(otp.Delivered, nil), calls: 1, first: 1},
	{name: "a denial", before: begun(toAlice, nil), run: func(r *rig.Rig, _ otp.ID) error {
		_, err := r.Inbox.Receive(r.Ctx(), notify.Inbound{From: alice, Text: "NO"})
		return err
	}, calls: 1, first: 1},
	{name: "a right code", before: begun(toUser, nil), run: checking((*rig.Rig).Code, ""), calls: 3, approves: true, first: 2, read: 1},
	{name: "a right code of the second address", before: begun(otpsend.Request{User: canary, Channels: []channel.Channel{"email", "sms"}}, nil),
		run: checking((*rig.Rig).Code, ""), calls: 6, approves: true, first: 4, read: 3},
	{name: "a wrong code of the second address", before: begun(otpsend.Request{User: canary, Channels: []channel.Channel{"email", "sms"}}, nil),
		run: checking((*rig.Rig).Wrong, ""), calls: 3, first: 3},
	{name: "a right code by user", before: begun(toUser, nil), run: checking((*rig.Rig).Code, canary), calls: 5, approves: true, first: 4},
	{name: "a right code for e-mail alone, by user", before: begun(otpsend.Request{User: canary, Channel: "email"}, nil),
		run: checking((*rig.Rig).Code, canary), calls: 5, approves: true, first: 4},
	{name: "a wrong code", before: begun(toAlice, nil), run: checking((*rig.Rig).Wrong, ""), calls: 1, first: 1},
	{name: "the last wrong code", before: func(r *rig.Rig) otp.ID {
		r.Policy(func(p *otp.Policy) { p.MaxChecks = 1 })
		return r.MustStart(toAlice).ID
	}, run: checking((*rig.Rig).Wrong, ""), calls: 2, first: 1},
}

// Attack 16: storage fails at each step, once or from that step on. Nothing is
// approved that is not stored, nothing is sent that no row has (the rig's senders
// check that), and an unknown result is a StorageUnavailable.
func TestStorageFaultsAtEveryStep(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			r, id := s.begin(t)
			_ = s.run(r, id)
			if got := r.Table.Calls(); got != s.calls {
				t.Fatalf("%d calls of the store, want %d", got, s.calls)
			}
			for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
				for at := 1; at <= s.calls; at++ {
					s.breakAt(t, fmt.Sprintf("fault %d at call %d", fault, at), rig.FaultAt(at, fault), at)
					if at < s.calls {
						s.breakAt(t, fmt.Sprintf("fault %d from call %d on", fault, at), rig.FaultFrom(at, fault), at)
					}
				}
			}
		})
	}
}

func (s story) begin(t *testing.T) (*rig.Rig, otp.ID) {
	r := newRig(t, channel.WhatsApp, channel.SMS, channel.Email)
	var id otp.ID
	if s.before != nil {
		id = s.before(r)
	}
	r.Table.Break(nil)
	return r, id
}

func (s story) breakAt(t *testing.T, where string, fault func(call int) rig.Fault, at int) {
	t.Helper()
	r, id := s.begin(t)
	before := r.Sent()
	r.Table.Break(fault)
	err := s.run(r, id)
	r.Table.Break(nil)
	switch once := fault(at+1) == rig.None; {
	case once && at == s.read && err == nil:
	case at <= s.first:
		r.Refused(err, problem.StorageUnavailable)
		if r.Sent() != before {
			t.Errorf("%s: %d messages were sent", where, r.Sent()-before)
		}
	case err != nil: // of a known kind, and without a quotation
		e, ok := err.(*problem.Error)
		if !ok || e.Kind == problem.Internal {
			t.Fatalf("%s: %v", where, err)
		}
		r.Refused(err, e.Kind)
	}
	s.examine(r, where, s.approves && err == nil)
}

// examine checks the rows after a fault: the status of each verification is the
// one that the client was told, and the service goes on.
func (s story) examine(r *rig.Rig, where string, approved bool) {
	r.TB.Helper()
	for _, address := range []string{alice, mail} {
		for _, v := range r.Recipient(address).Verifications {
			code := r.Code(v.ID)
			if approved && v.Status != otp.Approved || v.Status == otp.Approved && !s.approves {
				r.TB.Errorf("%s: the verification is %s; answered as approved: %t", where, v.Status, approved)
			}
			for _, m := range messages(r, v.ID) {
				if m.Code != "" && m.Code != code {
					r.TB.Errorf("%s: another code", where)
				}
			}
			approvals := 0
			for range 2 {
				if _, err := r.Check(rig.ByID(v.ID, code)); err == nil {
					approvals++
				}
			}
			if v.Status != otp.Pending && approvals != 0 || approvals > 1 {
				r.TB.Errorf("%s: a verification that was %s was approved %d times", where, v.Status, approvals)
			}
		}
	}
	r.Advance(otp.SendWindow)
	for c := range r.Delivery.Senders {
		r.Sender(c).Always(nil)
	}
	r.MustStart(toAlice)
}

// If storage fails after the provider answered, the client gets the provider's
// answer.
func TestAFailureThatCannotBeStoredIsAnswered(t *testing.T) {
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
			r := newRig(t)
			r.Sender(channel.WhatsApp).Always(tc.answer)
			r.Table.Break(rig.FaultFrom(2, fault))
			_, _, err := r.Send.Start(r.Ctx(), toAlice, "key")
			if e := r.Refused(err, tc.kind); e.ID == "" || r.Table.Calls() != 2 || len(r.Logged("message failed")) != 1 {
				t.Errorf("%s: %+v, %d calls, logged %q", name, e, r.Table.Calls(), r.Logged())
			}
		}
	}
}
