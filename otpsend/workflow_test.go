package otpsend_test

import (
	"context"
	"slices"
	"strings"
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

// every is all channels, in the order of the default workflow.
var every = notify.Channels

// workflowOf is the workflow that a start keeps.
func (b *bench) workflowOf(req otpsend.Request) []string {
	b.t.Helper()
	_, v := b.Verification(b.start(req).ID)
	return v.Workflow
}

// A request that names no channel takes the service's own that fit the address.
func TestTheDefaultWorkflowIsWhatTheAddressCanTake(t *testing.T) {
	for _, tc := range []struct {
		to   string
		want []string
	}{
		{alice, []string{"whatsapp", "sms", "call"}},
		{rig.AliceMail, []string{"email"}},
		{strings.ToUpper(rig.AliceMail), []string{"email"}},
	} {
		b := newBench(t, every...)
		if got := b.workflowOf(otpsend.Request{To: tc.to}); !slices.Equal(got, tc.want) || b.Sent() != 1 {
			t.Errorf("%s: %q, %d messages; want %q", tc.to, got, b.Sent(), tc.want)
		}
	}
}

func TestANamedWorkflowIsTakenAsItIs(t *testing.T) {
	for _, tc := range []struct {
		req  otpsend.Request
		want []string
	}{
		{otpsend.Request{To: alice, Channel: "call"}, []string{"call"}},
		{otpsend.Request{To: alice, Channels: []string{"call", "whatsapp"}}, []string{"call", "whatsapp"}},
		{otpsend.Request{To: rig.AliceMail, Channels: []string{"email"}}, []string{"email"}},
	} {
		b := newBench(t, every...)
		b.s.Carrier.Workflow = []notify.Channel{notify.SMS}
		if got := b.workflowOf(tc.req); !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %q", tc.req, got)
		}
	}
}

// A mistake in a request is told with its field, before anything is stored.
func TestChannelsThatDoNotFitAreRefusedByField(t *testing.T) {
	for name, tc := range map[string]struct {
		req  otpsend.Request
		want string // field: part of the message
	}{
		"unknown":              {otpsend.Request{To: alice, Channel: "fax"}, "channel: This service has the channels: call, email, sms, whatsapp."},
		"unknown in a list":    {otpsend.Request{To: alice, Channels: []string{"sms", "fax"}}, "channels: This service has the channels: call, email, sms, whatsapp."},
		"twice":                {otpsend.Request{To: alice, Channels: []string{"sms", "call", "sms"}}, "channels: A workflow has each channel once."},
		"one and a list":       {otpsend.Request{To: alice, Channel: "sms", Channels: []string{"sms"}}, "channels: Give either"},
		"e-mail to a number":   {otpsend.Request{To: alice, Channel: "email"}, "channel: The channel email needs an e-mail address."},
		"SMS to an e-mail":     {otpsend.Request{To: rig.AliceMail, Channel: "sms"}, "channel: The channel sms needs a phone number."},
		"a list that fits not": {otpsend.Request{To: alice, Channels: []string{"sms", "email"}}, "channels: The channel email needs an e-mail address."},
		"the person's message": {otpsend.Request{To: alice, Channel: "inbound"}, "channel: This service does not take people's messages"},
		"inbound in a list":    {otpsend.Request{To: alice, Channels: []string{"inbound"}}, "channels: This service has the channels: call"},
		"next":                 {otpsend.Request{To: alice, Channel: "next"}, "channel: This service has the channels: call"},
		"nobody":               {otpsend.Request{}, "to: "},
		"two":                  {otpsend.Request{To: alice, User: "canary-name"}, "user: Give either to or user."},
		"client_ip":            {otpsend.Request{To: alice, ClientIP: "203.0.113"}, "client_ip: "},
		"locale":               {otpsend.Request{To: alice, Locale: "e"}, "locale: "},
		"purpose":              {otpsend.Request{To: alice, Purpose: "Login"}, "purpose: "},
		"amount":               {otpsend.Request{To: alice, Context: otp.Context{Amount: "a\nb"}}, "context.amount: "},
	} {
		b := newBench(t, every...)
		b.s.Inbound = nil
		e := b.refused(tc.req, problem.InvalidRequest)
		if got := fields(e); !strings.HasPrefix(got, tc.want) || len(e.Fields) != 1 {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
		if b.Table.Calls() != 0 || b.Sent() != 0 {
			t.Errorf("%s: %d calls of the store, %d messages", name, b.Table.Calls(), b.Sent())
		}
	}
}

func TestAllFaultsOfARequestAreToldAtOnce(t *testing.T) {
	b := newBench(t, every...)
	e := b.refused(otpsend.Request{To: "415", Channel: "fax", Purpose: "A", Locale: "e", ClientIP: "x", Context: otp.Context{Payee: " "}}, problem.InvalidRequest)
	var names []string
	for _, f := range e.Fields {
		names = append(names, f.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"channel", "client_ip", "context.payee", "locale", "purpose", "to"}) {
		t.Errorf("fields %q", names)
	}
}

func TestAServiceWithoutAChannelForAnAddressSaysSo(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	if e := b.refused(otpsend.Request{To: rig.AliceMail}, problem.InvalidRequest); e.Fields[0].Name != "to" || b.Table.Calls() != 0 {
		t.Errorf("%+v, %d calls of the store", e.Fields, b.Table.Calls())
	}
}

// What cannot show an amount is left out of a workflow, and refused by name.
func TestAChannelThatCannotShowTheContextIsLeftOut(t *testing.T) {
	paying := otp.Context{Amount: "EUR 25.00", Payee: "Acme Bikes"}
	for _, tc := range []struct {
		name  string
		req   otpsend.Request
		blind []notify.Channel
		want  []string // nil: refused
	}{
		{"the first of the default", otpsend.Request{To: alice}, []notify.Channel{notify.WhatsApp}, []string{"sms", "call"}},
		{"one of a list", otpsend.Request{To: alice, Channels: []string{"call", "sms"}}, []notify.Channel{notify.SMS}, []string{"call"}},
		{"named", otpsend.Request{To: alice, Channel: "whatsapp"}, []notify.Channel{notify.WhatsApp}, nil},
		{"all of a list", otpsend.Request{To: alice, Channels: []string{"sms", "call"}}, []notify.Channel{notify.SMS, notify.Call}, nil},
		{"all of the default", otpsend.Request{To: rig.AliceMail}, []notify.Channel{notify.Email}, nil},
	} {
		b := newBench(t, every...)
		for _, c := range tc.blind {
			b.Sender(c).Blind(true)
		}
		tc.req.Context = paying
		if tc.want == nil {
			if e := b.refused(tc.req, problem.InvalidRequest); e.Fields[0].Name != "context" || b.Table.Calls() != 0 {
				t.Errorf("%s: %+v, %d calls of the store", tc.name, e.Fields, b.Table.Calls())
			}
			continue
		}
		if got := b.workflowOf(tc.req); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// The channel that last reached the person comes first, where it may be used.
func TestTheChannelThatLastWorkedComesFirst(t *testing.T) {
	b := newBench(t, every...)
	b.Sender(notify.WhatsApp).Answer(&notify.Failure{Reason: notify.Undeliverable, Code: 63024})
	first := b.start(otpsend.Request{To: alice})
	if first.Channel != "sms" {
		t.Fatalf("the first code went over %s", first.Channel)
	}
	if _, err := b.Verify.Check(b.Ctx(), verifyRequest(first.ID, b.Code(first.ID))); err != nil {
		t.Fatal(err)
	}
	b.Wait(80 * window.Day)
	if got := b.workflowOf(otpsend.Request{To: alice}); !slices.Equal(got, []string{"sms", "whatsapp", "call"}) {
		t.Errorf("the next time: %q", got)
	}
	b.Wait(time.Minute)
	if got := b.workflowOf(otpsend.Request{To: alice, Channel: "whatsapp"}); !slices.Equal(got, []string{"whatsapp"}) {
		t.Errorf("a named channel: %q", got)
	}
	b.Wait(time.Minute)
	if got := b.workflowOf(otpsend.Request{To: rig.Bob}); !slices.Equal(got, []string{"whatsapp", "sms", "call"}) {
		t.Errorf("another person: %q", got)
	}
	b.Wait(10 * window.Day)
	if got := b.workflowOf(otpsend.Request{To: alice}); !slices.Equal(got, []string{"whatsapp", "sms", "call"}) {
		t.Errorf("when it is long ago: %q", got)
	}
}

// A resend may name any channel for the address, or ask for the next one.
func TestAResendGoesThroughTheWorkflow(t *testing.T) {
	b := newBench(t, every...)
	b.User(user.User{Name: "canary-name", Phone: alice, Email: rig.AliceMail})
	a := b.start(otpsend.Request{User: "canary-name", Channels: []string{"whatsapp", "email"}})
	next, err := b.resend(a.ID, "next")
	if err != nil || next.Channel != "email" || next.To != "a******@example.com" || b.Sender(notify.Email).Last().To != rig.AliceMail {
		t.Fatalf("next: %+v %v", next, err)
	}
	_, err = b.resend(a.ID, "next")
	if e := b.Refused(err, problem.InvalidRequest); e.Fields[0].Name != "channel" {
		t.Errorf("beyond the last: %s", fields(e))
	}
	if got, err := b.resend(a.ID, "call"); err != nil || got.Channel != "call" || got.To != "+1******0123" {
		t.Errorf("outside of the workflow: %+v %v", got, err)
	}
	_, err = b.resend(a.ID, "fax")
	if e := b.Refused(err, problem.InvalidRequest); !strings.HasPrefix(fields(e), "channel: This service has the channels: call, email, sms, whatsapp, next.") {
		t.Errorf("unknown: %s", fields(e))
	}

	b.Wait(time.Minute)
	a = b.start(otpsend.Request{To: alice})
	_, err = b.resend(a.ID, "email")
	if e := b.Refused(err, problem.InvalidRequest); fields(e) != "channel: The channel email needs an e-mail address." {
		t.Errorf("without an e-mail address: %s", fields(e))
	}
	if got := b.status(a.ID); len(got.Delivery.Attempts) != 1 {
		t.Errorf("a refused resend was counted: %+v", got)
	}
}

// One storage round trip reads, one writes; a client pays for no more.
func TestStorageRoundTrips(t *testing.T) {
	refusal := &notify.Failure{Reason: notify.Undeliverable, Code: 63024}
	for _, tc := range []struct {
		name   string
		before func(b *bench) otp.ID
		call   func(b *bench, ctx context.Context, id otp.ID) error
		want   int64
	}{
		{"start", nil, start(otpsend.Request{To: alice}, ""), 2},
		{"start with a key", nil, start(otpsend.Request{To: alice}, "key"), 2},
		{"start for a user", nil, start(otpsend.Request{User: "canary-name"}, ""), 3},
		{"start, refused once", refuse(1, refusal), start(otpsend.Request{To: alice}, ""), 4},
		{"start, refused twice", refuse(2, refusal), start(otpsend.Request{To: alice}, ""), 6},
		{"start over e-mail, to the second address", nil, start(otpsend.Request{User: "canary-name", Channels: []string{"email", "sms"}}, ""), 5},
		{"start over e-mail alone", nil, start(otpsend.Request{User: "canary-name", Channel: "email"}, ""), 3},
		{"repetition", func(b *bench) otp.ID {
			_ = start(otpsend.Request{To: alice}, "key")(b, b.Ctx(), "")
			return ""
		}, start(otpsend.Request{To: alice}, "key"), 1},
		{"repetition, when the code is over", func(b *bench) otp.ID {
			_ = start(otpsend.Request{To: alice}, "key")(b, b.Ctx(), "")
			b.Wait(b.Carrier.Policy.TTL)
			return ""
		}, start(otpsend.Request{To: alice}, "key"), 1},
		{"resend", begin, func(b *bench, ctx context.Context, id otp.ID) error {
			_, _, err := b.s.Resend(ctx, string(id), otpsend.ResendRequest{}, "")
			return err
		}, 2},
		{"status", begin, func(b *bench, ctx context.Context, id otp.ID) error {
			_, err := b.s.Status(ctx, string(id))
			return err
		}, 1},
		{"cancel", begin, func(b *bench, ctx context.Context, id otp.ID) error {
			_, err := b.s.Cancel(ctx, string(id))
			return err
		}, 2},
		{"start of the person's own message", nil, start(otpsend.Request{To: alice, Channel: "inbound"}, ""), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, every...)
			b.s.Inbound = &otpsend.Inbound{SMS: ownSMS, Brand: "Acme", Texts: asker{}}
			b.User(user.User{Name: "canary-name", Phone: alice, Email: rig.AliceMail})
			var id otp.ID
			if tc.before != nil {
				id = tc.before(b)
			}
			b.Wait(time.Minute)
			b.Table.Break(nil)
			got := b.Trips(func(ctx context.Context) {
				if err := tc.call(b, ctx, id); err != nil {
					t.Error(err)
				}
			})
			if got != tc.want {
				t.Errorf("%d round trips, want %d", got, tc.want)
			}
		})
	}
}

func start(req otpsend.Request, key string) func(*bench, context.Context, otp.ID) error {
	return func(b *bench, ctx context.Context, _ otp.ID) error {
		_, _, err := b.s.Start(ctx, req, key)
		return err
	}
}

func begin(b *bench) otp.ID { return b.start(otpsend.Request{To: alice}).ID }

// refuse has the first n channels refuse.
func refuse(n int, f *notify.Failure) func(*bench) otp.ID {
	return func(b *bench) otp.ID {
		for _, c := range every[:n] {
			b.Sender(c).Always(f)
		}
		return ""
	}
}
