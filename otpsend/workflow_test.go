package otpsend_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/window"
	"twofa/otpsend"
)

type list = []channel.Channel

// wantWorkflow fails the test unless a start stores this workflow.
func wantWorkflow(r *rig.Rig, req otpsend.Request, want ...channel.Channel) {
	r.TB.Helper()
	if _, v := r.Verification(r.MustStart(req).ID); !slices.Equal(v.Workflow, want) {
		r.TB.Errorf("%+v: %q, want %q", req, v.Workflow, want)
	}
}

func TestTheWorkflowOfARequest(t *testing.T) {
	for _, tc := range []struct {
		req           otpsend.Request
		service, want list
	}{
		// A request without channels: those of the service that fit the address.
		{toAlice, channel.Sending, list{"whatsapp", "sms", "call"}},
		{otpsend.Request{To: mail}, channel.Sending, list{"email"}},
		{otpsend.Request{To: strings.ToUpper(mail)}, channel.Sending, list{"email"}},
		// A request with channels: exactly these.
		{otpsend.Request{To: alice, Channel: "call"}, list{"sms"}, list{"call"}},
		{otpsend.Request{To: alice, Channels: list{"call", "whatsapp"}}, list{"sms"}, list{"call", "whatsapp"}},
		{otpsend.Request{To: mail, Channels: list{"email"}}, list{"sms"}, list{"email"}},
	} {
		r := newRig(t)
		r.Workflow(tc.service...)
		if wantWorkflow(r, tc.req, tc.want...); r.Sent() != 1 {
			t.Errorf("%+v: %d messages", tc.req, r.Sent())
		}
	}
}

// A fault of a request is answered with its field, before anything is stored.
func TestChannelsThatDoNotFitAreRefusedByField(t *testing.T) {
	for name, tc := range map[string]struct {
		req  otpsend.Request
		want string // field: the message's beginning
	}{
		"unknown":             {otpsend.Request{To: alice, Channel: "fax"}, "channel: This service has the channels: call, email, sms, whatsapp."},
		"unknown in a list":   {otpsend.Request{To: alice, Channels: list{"sms", "fax"}}, "channels: This service has the channels: call, email, sms, whatsapp."},
		"twice":               {otpsend.Request{To: alice, Channels: list{"sms", "call", "sms"}}, "channels: A workflow has each channel once."},
		"one and a list":      {otpsend.Request{To: alice, Channel: "sms", Channels: list{"sms"}}, "channels: Give either"},
		"e-mail to a number":  {otpsend.Request{To: alice, Channel: "email"}, "channel: The channel email needs an e-mail address."},
		"SMS to an e-mail":    {otpsend.Request{To: mail, Channel: "sms"}, "channel: The channel sms needs a phone number."},
		"one of a list":       {otpsend.Request{To: alice, Channels: list{"sms", "email"}}, "channels: The channel email needs an e-mail address."},
		"inbound":             {otpsend.Request{To: alice, Channel: "inbound"}, "channel: This service cannot receive messages"},
		"inbound in a list":   {otpsend.Request{To: alice, Channels: list{"inbound"}}, "channels: This service has the channels: call"},
		"next":                {otpsend.Request{To: alice, Channel: "next"}, "channel: This service has the channels: call"},
		"no recipient":        {otpsend.Request{}, "to: "},
		"an address and user": {otpsend.Request{To: alice, User: canary}, "user: Give either to or user."},
		"purpose":             {otpsend.Request{To: alice, Purpose: "Login"}, "purpose: "},
		"amount":              {otpsend.Request{To: alice, Transaction: otp.Transaction{Amount: "a\nb"}}, "context.amount: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Table.Break(nil)
			r.Send.Inbound = nil
			wantField(t, r.RefuseStart(tc.req, problem.InvalidRequest), tc.want)
			wantUntouched(r, 0)
		})
	}
}

func TestAllFaultsOfARequestAreAnsweredAtOnce(t *testing.T) {
	r := newRig(t)
	names := fixture.FieldNames(r.RefuseStart(otpsend.Request{
		To: "415", Channel: "fax", Purpose: "A", Transaction: otp.Transaction{Payee: " "},
	}, problem.InvalidRequest))
	if slices.Sort(names); !slices.Equal(names, []string{"channel", "context.payee", "purpose", "to"}) {
		t.Errorf("fields %q", names)
	}
}

func TestAServiceWithoutAChannelForAnAddressSaysSo(t *testing.T) {
	r := rig.New(t, "whatsapp", "sms")
	wantField(t, r.RefuseStart(otpsend.Request{To: mail}, problem.InvalidRequest), "to: ")
	wantUntouched(r, 0)
}

// A workflow skips a channel that cannot show an amount. If none is left, the
// start is refused.
func TestAChannelThatCannotShowTheContextIsSkipped(t *testing.T) {
	for _, tc := range []struct {
		name  string
		req   otpsend.Request
		blind list
		want  list // nil: refused
	}{
		{"the first of the default", toAlice, list{"whatsapp"}, list{"sms", "call"}},
		{"one of a list", otpsend.Request{To: alice, Channels: list{"call", "sms"}}, list{"sms"}, list{"call"}},
		{"the request's channel", otpsend.Request{To: alice, Channel: "whatsapp"}, list{"whatsapp"}, nil},
		{"all of a list", otpsend.Request{To: alice, Channels: list{"sms", "call"}}, list{"sms", "call"}, nil},
		{"all of the default", otpsend.Request{To: mail}, list{"email"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.Table.Break(nil)
			for _, c := range tc.blind {
				r.Sender(c).Blind(true)
			}
			tc.req.Transaction = otp.Transaction{Amount: "EUR 25.00", Payee: "Acme Bikes"}
			if tc.want != nil {
				wantWorkflow(r, tc.req, tc.want...)
				return
			}
			wantField(t, r.RefuseStart(tc.req, problem.InvalidRequest), "context: ")
			wantUntouched(r, 0)
		})
	}
}

// The channel that last reached the person comes first, if it may be used.
func TestTheChannelThatLastWorkedComesFirst(t *testing.T) {
	r := newRig(t)
	whatsApp(r).Answer(undeliverable)
	first := r.MustStart(toAlice)
	if first.Channel != "sms" {
		t.Fatalf("the first code was sent over %s", first.Channel)
	}
	r.Approve(rig.ByID(first.ID, r.Code(first.ID)))
	r.Advance(80 * window.Day)
	wantWorkflow(r, toAlice, "sms", "whatsapp", "call")
	r.Advance(time.Minute)
	wantWorkflow(r, otpsend.Request{To: alice, Channel: "whatsapp"}, "whatsapp")
	r.Advance(time.Minute)
	wantWorkflow(r, otpsend.Request{To: fixture.Bob}, "whatsapp", "sms", "call")
	r.Advance(10 * window.Day) // too long ago
	wantWorkflow(r, toAlice, "whatsapp", "sms", "call")
}

// A resend may name any channel for the address, or ask for the next one.
func TestAResendGoesThroughTheWorkflow(t *testing.T) {
	r := newRig(t)
	a := r.MustStart(otpsend.Request{User: canary, Channels: list{"whatsapp", "email"}})
	pause(r)
	next := r.MustResend(a.ID, "next")
	if next.Channel != "email" || next.To != "a******@example.com" || r.Sender(channel.Email).Last().To != mail {
		t.Fatalf("next: %+v", next)
	}
	pause(r)
	wantField(t, r.RefuseResend(a.ID, "next", problem.InvalidRequest), "channel: ")
	if got := r.MustResend(a.ID, "call"); got.Channel != "call" || got.To != "+1******0123" {
		t.Errorf("outside of the workflow: %+v", got)
	}
	pause(r)
	wantField(t, r.RefuseResend(a.ID, "fax", problem.InvalidRequest), "channel: This service has the channels: call, email, sms, whatsapp, next.")

	r.Advance(time.Minute)
	a = r.MustStart(toAlice)
	pause(r)
	wantField(t, r.RefuseResend(a.ID, "email", problem.InvalidRequest), "channel: The channel email needs an e-mail address.")
	if got := r.Status(a.ID); len(got.Delivery.Attempts) != 1 {
		t.Errorf("a refused resend was counted: %+v", got)
	}
}

// One storage round trip reads, and one writes; there are no others.
func TestStorageRoundTrips(t *testing.T) {
	type call = func(r *rig.Rig, ctx context.Context, id otp.ID) error
	start := func(req otpsend.Request, key string) call {
		return func(r *rig.Rig, ctx context.Context, _ otp.ID) error {
			_, _, err := r.Send.Start(ctx, req, key)
			return err
		}
	}
	repeat := func(after time.Duration) call {
		return func(r *rig.Rig, ctx context.Context, _ otp.ID) error {
			if err := start(toAlice, "key")(r, r.Ctx(), ""); err != nil {
				return err
			}
			r.Advance(after)
			return start(toAlice, "key")(r, ctx, "")
		}
	}
	for _, tc := range []struct {
		name    string
		refuse  int  // how many channels refuse
		started bool // a verification
		call    call
		want    int64
	}{
		{"start", 0, false, start(toAlice, ""), 2},
		{"start with a key", 0, false, start(toAlice, "key"), 4},
		{"start with a key, refused once", 1, false, start(toAlice, "key"), 6},
		{"start with a key, inbound", 0, false, start(otpsend.Request{To: alice, Channel: "inbound"}, "key"), 2},
		{"start for a user", 0, false, start(toUser, ""), 3},
		{"start, refused once", 1, false, start(toAlice, ""), 4},
		{"start, refused twice", 2, false, start(toAlice, ""), 6},
		{"start over e-mail, to the second address", 0, false, start(otpsend.Request{User: canary, Channels: list{"email", "sms"}}, ""), 5},
		{"start over e-mail alone", 0, false, start(otpsend.Request{User: canary, Channel: "email"}, ""), 3},
		{"repetition", 0, false, repeat(time.Minute), 1},
		{"repetition, after the code expired", 0, false, repeat(otp.DefaultPolicy().TTL + time.Minute), 1},
		{"resend", 0, true, func(r *rig.Rig, ctx context.Context, id otp.ID) error {
			_, _, err := r.Send.Resend(ctx, string(id), otpsend.ResendRequest{}, "")
			return err
		}, 2},
		{"status", 0, true, func(r *rig.Rig, ctx context.Context, id otp.ID) error {
			_, err := r.Send.Status(ctx, string(id))
			return err
		}, 1},
		{"cancel", 0, true, func(r *rig.Rig, ctx context.Context, id otp.ID) error {
			_, err := r.Send.Cancel(ctx, string(id))
			return err
		}, 2},
		{"inbound start", 0, false, start(otpsend.Request{To: alice, Channel: "inbound"}, ""), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			for _, c := range channel.Sending[:tc.refuse] {
				r.Sender(c).Always(undeliverable)
			}
			var id otp.ID
			if tc.started {
				id = r.MustStart(toAlice).ID
			}
			r.Advance(time.Minute)
			got := r.Trips(func(ctx context.Context) {
				if err := tc.call(r, ctx, id); err != nil {
					t.Error(err)
				}
			})
			if got != tc.want {
				t.Errorf("%d round trips, want %d", got, tc.want)
			}
		})
	}
}
