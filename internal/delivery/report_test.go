package delivery_test

import (
	"context"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
)

// Attack 11: reports come twice, late and out of order, and a message never
// goes back by it.
func TestReportsNeverTakeAMessageBack(t *testing.T) {
	order := []otp.DeliveryStatus{otp.Queued, otp.Sent, otp.Failed, otp.Delivered, otp.Read}
	for i, first := range order {
		for j, second := range order {
			b := newBench(t)
			id := b.mustStart(otpsend.Request{To: alice})
			for _, status := range []otp.DeliveryStatus{first, second, first} {
				var f *notify.Failure
				if status == otp.Failed {
					f = notOnWhatsApp
				}
				b.mustReport(id, 1, status, f)
			}
			_, v := b.Verification(id)
			if got, want := v.Attempts[0].Status, order[max(i, j)]; got != want || len(v.Attempts) != 1 {
				t.Errorf("%s, then %s: %s, want %s", first, second, got, want)
			}
			if wasOver := v.Status == otp.Undeliverable; wasOver != (first == otp.Failed || second == otp.Failed && i < j) {
				t.Errorf("%s, then %s: it is %s", first, second, v.Status)
			}
		}
	}
}

// Attack 11: the same report ten times has one effect, and one line in the log.
func TestARepeatedReportHasOneEffect(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS, notify.Call)
	id := b.mustStart(otpsend.Request{To: alice})
	for range 10 {
		b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
	}
	if got := b.trace(id); got != "whatsapp failed 63024, sms queued" || b.Sent() != 2 {
		t.Errorf("messages: %s, %d in all", got, b.Sent())
	}
	if got := b.logged("message failed", "provider_error=63024"); len(got) != 1 {
		t.Errorf("logged %q", got)
	}
}

func TestReportsOfWhatIsNotThereChangeNothing(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	id := b.mustStart(otpsend.Request{To: alice})
	unknown := otp.NewID(id.RowKey(), [8]byte{1})
	elsewhere := otp.NewID(b.Book.RowKey(bob), [8]byte{1})
	for _, tc := range []struct {
		id      otp.ID
		attempt int
	}{{unknown, 1}, {elsewhere, 1}, {id, 2}, {id, 0}, {id, -1}} {
		b.Refused(b.report(tc.id, tc.attempt, otp.Failed, notOnWhatsApp), problem.NotFound)
	}
	inbound, err := b.start(otpsend.Request{To: bob, Channel: "inbound"})
	if err != nil {
		t.Fatal(err)
	}
	b.Refused(b.report(inbound.ID, 1, otp.Failed, notOnWhatsApp), problem.NotFound)
	if got := b.trace(id); got != "whatsapp queued" || b.Sent() != 1 || b.Recipient(bob).Good != (otp.Good{}) {
		t.Errorf("messages: %s, %d in all", got, b.Sent())
	}
}

// What a report costs is what is said of it: the provider sends several for each
// message.
func TestRoundTripsOfReports(t *testing.T) {
	for _, tc := range []struct {
		name     string
		channels []string
		sms      error
		report   notify.Report
		before   func(b *bench, id otp.ID)
		want     int64
	}{
		{"delivered", []string{"whatsapp", "sms"}, nil, notify.Report{Attempt: 1, Status: otp.Delivered}, nil, 2},
		{"delivered again", []string{"whatsapp", "sms"}, nil, notify.Report{Attempt: 1, Status: otp.Delivered}, func(b *bench, id otp.ID) {
			b.mustReport(id, 1, otp.Delivered, nil)
		}, 1},
		{"sent after delivered", []string{"whatsapp", "sms"}, nil, notify.Report{Attempt: 1, Status: otp.Sent}, func(b *bench, id otp.ID) {
			b.mustReport(id, 1, otp.Delivered, nil)
		}, 1},
		{"failed, nothing to follow", []string{"whatsapp"}, nil, notify.Report{Attempt: 1, Status: otp.Failed, Failure: notOnWhatsApp}, nil, 2},
		{"failed, followed", []string{"whatsapp", "sms"}, nil, notify.Report{Attempt: 1, Status: otp.Failed, Failure: notOnWhatsApp}, nil, 2},
		{"failed again", []string{"whatsapp", "sms"}, nil, notify.Report{Attempt: 1, Status: otp.Failed, Failure: notOnWhatsApp}, func(b *bench, id otp.ID) {
			b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
		}, 1},
		{"failed, followed by one that is refused", []string{"whatsapp", "sms"}, landline, notify.Report{Attempt: 1, Status: otp.Failed, Failure: notOnWhatsApp}, nil, 4},
		{"failed, followed by e-mail", []string{"whatsapp", "email"}, nil, notify.Report{Attempt: 1, Status: otp.Failed, Failure: notOnWhatsApp}, nil, 4},
		{"of nothing", []string{"whatsapp"}, nil, notify.Report{Attempt: 9, Status: otp.Delivered}, nil, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, notify.Channels...)
			b.Sender(notify.SMS).Always(tc.sms)
			tc.report.Verification = b.mustStart(otpsend.Request{User: canary, Channels: tc.channels})
			if tc.before != nil {
				tc.before(b, tc.report.Verification)
			}
			got := b.Trips(func(ctx context.Context) { _ = b.Carrier.Report(ctx, tc.report) })
			if got != tc.want {
				t.Errorf("%d round trips, want %d", got, tc.want)
			}
		})
	}
}

// A message follows a failed one only where it can be of use, and may be sent.
func TestWhenNothingFollowsAFailedMessage(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(b *bench, id otp.ID)
		status otp.Status
		want   string
	}{
		"approved": {func(b *bench, id otp.ID) {
			if err := b.check(id, b.Code(id)); err != nil {
				b.t.Fatal(err)
			}
		}, otp.Approved, "whatsapp failed 63024"},
		"canceled": {func(b *bench, id otp.ID) {
			if _, err := b.Send.Cancel(b.Ctx(), string(id)); err != nil {
				b.t.Fatal(err)
			}
		}, otp.Canceled, "whatsapp failed 63024"},
		"denied": {func(b *bench, _ otp.ID) {
			if _, err := b.Inbox.Receive(b.Ctx(), notify.Inbound{From: alice, Text: "NO"}); err != nil {
				b.t.Fatal(err)
			}
		}, otp.Denied, "whatsapp failed 63024"},
		"expired":         {func(b *bench, _ otp.ID) { b.Wait(10 * time.Minute) }, otp.Expired, "whatsapp failed 63024"},
		"about to expire": {func(b *bench, _ otp.ID) { b.Wait(9*time.Minute + time.Millisecond) }, otp.Pending, "whatsapp failed 63024"},
		"time enough":     {func(b *bench, _ otp.ID) { b.Wait(9 * time.Minute) }, otp.Pending, "whatsapp failed 63024, sms queued"},
		"resent meanwhile": {func(b *bench, id otp.ID) {
			if err := b.resend(id, "whatsapp"); err != nil {
				b.t.Fatal(err)
			}
		}, otp.Pending, "whatsapp failed 63024, whatsapp queued"},
		"the address has had its messages": {func(b *bench, _ otp.ID) {
			for _, purpose := range []string{"a", "b", "c", "c"} {
				b.mustStart(otpsend.Request{To: alice, Purpose: purpose})
			}
		}, otp.Pending, "whatsapp failed 63024"},
		"too many wrong codes": {func(b *bench, id otp.ID) {
			for range b.Carrier.Policy.MaxFailuresPerDay {
				b.Refused(b.check(id, b.Wrong(id)), problem.WrongCode)
			}
		}, otp.Pending, "whatsapp failed 63024"},
		"blocked": {func(b *bench, _ otp.ID) {
			b.Sender(notify.WhatsApp).Answer(fraud)
			_, err := b.start(otpsend.Request{To: alice, Purpose: "other"})
			b.Refused(err, problem.DestinationRefused)
		}, otp.Pending, "whatsapp failed 63024"},
		"nothing of the kind": {func(*bench, otp.ID) {}, otp.Pending, "whatsapp failed 63024, sms queued"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, notify.WhatsApp, notify.SMS)
			b.Policy(func(p *otp.Policy) { p.MaxChecks, p.MaxFailuresPerDay = 20, 4 })
			id := b.mustStart(otpsend.Request{To: alice})
			tc.before(b, id)
			texts := len(b.Sender(notify.SMS).Sent())
			b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
			if got := b.trace(id); got != tc.want {
				t.Errorf("messages: %s, want %s", got, tc.want)
			}
			a, err := b.Send.Status(b.Ctx(), string(id))
			if err != nil || a.Status != tc.status {
				t.Errorf("it is %s %v, want %s", a.Status, err, tc.status)
			}
			if got := len(b.Sender(notify.SMS).Sent()) - texts; got != len(a.Delivery.Attempts)-1 && name != "resent meanwhile" {
				t.Errorf("%d SMS", got)
			}
		})
	}
}

// What was not followed when the report came is not followed by its repetition,
// when the person may have gone long since.
func TestARepeatedReportIsNoNewsWhenTheLimitsAreOver(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	b.Policy(func(p *otp.Policy) { p.TTL = time.Hour })
	id := b.mustStart(otpsend.Request{To: alice})
	for _, purpose := range []string{"a", "b", "c", "c"} {
		b.mustStart(otpsend.Request{To: alice, Purpose: purpose})
	}
	for range 2 {
		b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
		b.Wait(otp.SendWindow)
	}
	if got := b.trace(id); got != "whatsapp failed 63024" || b.Sent() != 5 {
		t.Errorf("messages: %s; %d in all", got, b.Sent())
	}
	if err := b.resend(id, ""); err != nil || b.trace(id) != "whatsapp failed 63024, sms queued" {
		t.Errorf("a resend: %v, %s", err, b.trace(id))
	}
}

// Of two messages that fail, the last one is followed; the code stays the same.
func TestAFallbackWaitsForEveryMessageThatMayArrive(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	id := b.mustStart(otpsend.Request{To: alice})
	if err := b.resend(id, ""); err != nil {
		t.Fatal(err)
	}
	b.mustReport(id, 2, otp.Failed, notOnWhatsApp)
	if b.Sent() != 2 {
		t.Errorf("%d messages while the first may arrive", b.Sent())
	}
	b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
	if got := b.trace(id); got != "whatsapp failed 63024, whatsapp failed 63024, sms queued" {
		t.Errorf("messages: %s", got)
	}
	b.mustReport(id, 1, otp.Delivered, nil) // after all
	b.mustReport(id, 3, otp.Failed, landline)
	a, err := b.Send.Status(b.Ctx(), string(id))
	if err != nil || a.Status != otp.Pending {
		t.Errorf("it is %s %v, though a message arrived", a.Status, err)
	}
	if err := b.check(id, b.Code(id)); err != nil {
		t.Error(err)
	}
}

// The provider that reports is not to blame for the next one.
func TestAFallbackThatFailsIsNotThePostmansFault(t *testing.T) {
	for _, failure := range []error{landline, busy, fraud, noTemplate, unclear, errQuoting{}} {
		b := newBench(t, notify.WhatsApp, notify.SMS)
		id := b.mustStart(otpsend.Request{To: alice})
		b.Sender(notify.SMS).Always(failure)
		b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
		if b.Sent() != 2 || len(b.logged("attempt=2 channel=sms")) != 1 {
			t.Errorf("%v: %d messages, logged %q", failure, b.Sent(), b.Logged())
		}
	}
}

// A report that could not be kept is reported again: nothing follows before.
func TestAReportThatWasNotKeptIsAskedForAgain(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		b := newBench(t, notify.WhatsApp, notify.SMS)
		id := b.mustStart(otpsend.Request{To: alice})
		b.Table.Break(func(int) rig.Fault { return fault })
		b.Refused(b.report(id, 1, otp.Failed, notOnWhatsApp), problem.StorageUnavailable)
		b.Table.Break(nil)
		if b.Sent() != 1 {
			t.Errorf("fault %d: %d messages", fault, b.Sent())
		}
		b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
		// A lost answer leaves a message in the row that is not on its way. It
		// is one too few, and never one too many.
		if want := map[rig.Fault]int{rig.Down: 2, rig.Lost: 1}[fault]; b.Sent() != want {
			t.Errorf("fault %d, reported again: %d messages, want %d", fault, b.Sent(), want)
		}
	}
}
