package delivery_test

import (
	"context"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
)

// Attack 11: reports come twice, late and out of order. The status of a message
// never goes back.
func TestReportsNeverTakeAMessageBack(t *testing.T) {
	order := []otp.DeliveryStatus{otp.Queued, otp.Sent, otp.Failed, otp.Delivered, otp.Read}
	for i, first := range order {
		for j, second := range order {
			r := newRig(t)
			id := r.MustStart(toAlice).ID
			for _, status := range []otp.DeliveryStatus{first, second, first} {
				var f *notify.Failure
				if status == otp.Failed {
					f = notOnWhatsApp
				}
				r.MustReport(id, 1, status, f)
			}
			_, v := r.Verification(id)
			if got, want := v.Attempts[0].Status, order[max(i, j)]; got != want || len(v.Attempts) != 1 {
				t.Errorf("%s, then %s: %s, want %s", first, second, got, want)
			}
			if wasOver := v.Status == otp.Undeliverable; wasOver != (first == otp.Failed || second == otp.Failed && i < j) {
				t.Errorf("%s, then %s: the verification is %s", first, second, v.Status)
			}
		}
	}
}

// Attack 11: the same report ten times has one effect, and one line in the log.
func TestARepeatedReportHasOneEffect(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS, channel.Call)
	id := r.MustStart(toAlice).ID
	for range 10 {
		r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
	}
	wantTrace(r, id, "whatsapp failed 63024, sms queued", 2)
	if got := r.Logged("message failed", "provider_error=63024"); len(got) != 1 {
		t.Errorf("logged %q", got)
	}
}

func TestReportsOnUnknownMessagesChangeNothing(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS)
	id := r.MustStart(toAlice).ID
	unknown := r.Recipients.NewID(r.Recipients.Key(alice), [8]byte{1})
	elsewhere := r.Recipients.NewID(r.Recipients.Key(bob), [8]byte{1})
	inbound, _ := r.StartInbound(otpsend.Request{To: bob})
	for _, tc := range []struct {
		id      otp.ID
		attempt int
	}{{unknown, 1}, {elsewhere, 1}, {id, 2}, {id, 0}, {id, -1}, {inbound, 1}} {
		r.Refused(r.Report(tc.id, tc.attempt, otp.Failed, notOnWhatsApp), problem.NotFound)
	}
	wantTrace(r, id, "whatsapp queued", 1)
	if got := r.Recipient(bob).Preferred; len(got) != 0 {
		t.Errorf("the channel that worked: %+v", got)
	}
}

// The provider sends several reports on each message: their round trips are as
// documented.
func TestRoundTripsOfReports(t *testing.T) {
	failed := notify.Report{Attempt: 1, Status: otp.Failed, Failure: notOnWhatsApp}
	delivered := notify.Report{Attempt: 1, Status: otp.Delivered}
	sent := notify.Report{Attempt: 1, Status: otp.Sent}
	whatsApp, both := []channel.Channel{"whatsapp"}, []channel.Channel{"whatsapp", "sms"}
	for _, tc := range []struct {
		name     string
		channels []channel.Channel
		sms      error
		before   []notify.Report
		report   notify.Report
		want     int64
	}{
		{"delivered", both, nil, nil, delivered, 2},
		{"delivered again", both, nil, []notify.Report{delivered}, delivered, 1},
		{"sent after delivered", both, nil, []notify.Report{delivered}, sent, 1},
		{"failed, nothing follows", whatsApp, nil, nil, failed, 2},
		{"failed, an SMS follows", both, nil, nil, failed, 2},
		{"failed again", both, nil, []notify.Report{failed}, failed, 1},
		{"failed, an undeliverable SMS follows", both, landline, nil, failed, 4},
		{"failed, an e-mail follows", []channel.Channel{"whatsapp", "email"}, nil, nil, failed, 4},
		{"on an unknown message", whatsApp, nil, nil, notify.Report{Attempt: 9, Status: otp.Delivered}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, channel.Sending...)
			r.Sender(channel.SMS).Always(tc.sms)
			id := r.MustStart(otpsend.Request{User: canary, Channels: tc.channels}).ID
			for _, report := range tc.before {
				r.MustReport(id, report.Attempt, report.Status, report.Failure)
			}
			tc.report.Verification = id
			if got := r.Trips(func(ctx context.Context) { _ = r.Delivery.Report(ctx, tc.report) }); got != tc.want {
				t.Errorf("%d round trips, want %d", got, tc.want)
			}
		})
	}
}

// A message follows a failed one only if it can help, and if the limits allow it.
func TestWhenNothingFollowsAFailedMessage(t *testing.T) {
	const failed, followed = "whatsapp failed 63024", "whatsapp failed 63024, sms queued"
	for name, tc := range map[string]struct {
		before func(r *rig.Rig, id otp.ID)
		status otp.Status
		want   string
	}{
		"approved":        {func(r *rig.Rig, id otp.ID) { r.Approve(rig.ByID(id, r.Code(id))) }, otp.Approved, failed},
		"canceled":        {(*rig.Rig).MustCancel, otp.Canceled, failed},
		"denied":          {func(r *rig.Rig, _ otp.ID) { r.Receive(notify.Inbound{From: alice, Text: "NO"}) }, otp.Denied, failed},
		"expired":         {func(r *rig.Rig, _ otp.ID) { r.Advance(10 * time.Minute) }, otp.Expired, failed},
		"about to expire": {func(r *rig.Rig, _ otp.ID) { r.Advance(9*time.Minute + time.Millisecond) }, otp.Pending, failed},
		"time enough":     {func(r *rig.Rig, _ otp.ID) { r.Advance(9 * time.Minute) }, otp.Pending, followed},
		"resent before":   {func(r *rig.Rig, id otp.ID) { r.MustResend(id, "whatsapp") }, otp.Pending, "whatsapp failed 63024, whatsapp queued"},
		"the address is at its limit of messages": {func(r *rig.Rig, _ otp.ID) { startFour(r) }, otp.Pending, failed},
		"too many wrong codes": {func(r *rig.Rig, id otp.ID) {
			for range r.Verify.Policy.MaxFailuresPerDay {
				r.RefuseCheck(rig.ByID(id, r.Wrong(id)), problem.WrongCode)
			}
		}, otp.Pending, failed},
		"blocked": {func(r *rig.Rig, _ otp.ID) {
			r.Sender(channel.WhatsApp).Answer(fraud)
			r.RefuseStart(otpsend.Request{To: alice, Purpose: "other"}, problem.DestinationRefused)
		}, otp.Pending, failed},
		"nothing of the kind": {func(*rig.Rig, otp.ID) {}, otp.Pending, followed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, channel.WhatsApp, channel.SMS)
			r.Policy(func(p *otp.Policy) { p.MaxChecks, p.MaxFailuresPerDay = 20, 4 })
			id := r.MustStart(toAlice).ID
			tc.before(r, id)
			texts := len(r.Sender(channel.SMS).Sent())
			r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
			a := r.Status(id)
			if got := trace(r, id); got != tc.want || a.Status != tc.status {
				t.Errorf("%s, messages: %s; want %s, %s", a.Status, got, tc.status, tc.want)
			}
			if got := len(r.Sender(channel.SMS).Sent()) - texts; got != len(a.Delivery.Attempts)-1 && name != "resent before" {
				t.Errorf("%d SMS", got)
			}
		})
	}
}

// startFour brings an address to its limit, of which one message was spent.
func startFour(r *rig.Rig) {
	r.TB.Helper()
	for _, purpose := range []string{"a", "b", "c", "c"} {
		r.MustStart(otpsend.Request{To: alice, Purpose: purpose})
	}
}

// If a limit forbade a message when the report came, a repetition of the report
// does not cause it later: the person may be gone.
func TestARepeatedReportCausesNothingAfterTheLimits(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS)
	r.Policy(func(p *otp.Policy) { p.TTL = time.Hour })
	id := r.MustStart(toAlice).ID
	startFour(r)
	for range 2 {
		r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
		r.Advance(otp.SendWindow)
	}
	wantTrace(r, id, "whatsapp failed 63024", 5)
	r.MustResend(id, "")
	wantTrace(r, id, "whatsapp failed 63024, sms queued", 6)
}

// While one of two messages may arrive, nothing follows the other. The code stays
// the same.
func TestAFallbackWaitsForEveryMessageThatMayArrive(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS)
	id := r.MustStart(toAlice).ID
	r.MustResend(id, "")
	r.MustReport(id, 2, otp.Failed, notOnWhatsApp)
	if r.Sent() != 2 {
		t.Errorf("%d messages while the first may arrive", r.Sent())
	}
	r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
	wantTrace(r, id, "whatsapp failed 63024, whatsapp failed 63024, sms queued", 3)
	r.MustReport(id, 1, otp.Delivered, nil) // after all
	r.MustReport(id, 3, otp.Failed, landline)
	if got := r.Status(id).Status; got != otp.Pending {
		t.Errorf("the verification is %s, although a message arrived", got)
	}
	r.Approve(rig.ByID(id, r.Code(id)))
}

// The provider that reports is not to blame for the next message, so its report
// is accepted.
func TestAReportIsAcceptedIfItsFallbackFails(t *testing.T) {
	for _, failure := range []error{landline, busy, fraud, noTemplate, unclear, errQuoting{}} {
		r := newRig(t, channel.WhatsApp, channel.SMS)
		id := r.MustStart(toAlice).ID
		r.Sender(channel.SMS).Always(failure)
		r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
		if r.Sent() != 2 || len(r.Logged("attempt=2 channel=sms")) != 1 {
			t.Errorf("%v: %d messages, logged %q", failure, r.Sent(), r.Logged())
		}
	}
}

// A report that may not be stored is refused, so that the provider repeats it.
// Nothing follows before.
func TestAReportThatIsNotStoredIsRefused(t *testing.T) {
	// A lost answer leaves a message in the row that was never sent. That is one
	// message too few, and never one too many.
	for fault, want := range map[rig.Fault]int{rig.Down: 2, rig.Lost: 1} {
		r := newRig(t, channel.WhatsApp, channel.SMS)
		id := r.MustStart(toAlice).ID
		r.Table.Break(rig.FaultFrom(1, fault))
		r.Refused(r.Report(id, 1, otp.Failed, notOnWhatsApp), problem.StorageUnavailable)
		r.Table.Break(nil)
		if r.Sent() != 1 {
			t.Errorf("fault %d: %d messages", fault, r.Sent())
		}
		if r.MustReport(id, 1, otp.Failed, notOnWhatsApp); r.Sent() != want {
			t.Errorf("fault %d, reported again: %d messages, want %d", fault, r.Sent(), want)
		}
	}
}
