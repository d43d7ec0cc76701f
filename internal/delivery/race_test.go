package delivery_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
)

// tolerate fails the test for an error that has none of the kinds.
func tolerate(r *rig.Rig, err error, kinds ...problem.Kind) {
	if err != nil && !problem.Is(err, kinds...) {
		r.TB.Error(err)
	}
}

// generous sets limits that these tests do not reach.
func generous(p *otp.Policy) { p.MaxSends, p.MaxChecks, p.MaxFailuresPerDay = 50, 50, 50 }

// Attack 11: one message follows many equal reports at once.
func TestEqualReportsAtOnceAreFollowedOnce(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS, channel.Call)
	id := r.MustStart(toAlice).ID
	rig.AtOnce(rig.Times(20, func(int) { tolerate(r, r.Report(id, 1, otp.Failed, notOnWhatsApp)) })...)
	wantTrace(r, id, "whatsapp failed 63024, sms queued", 2)
	if sends, logged := len(r.Recipient(alice).Tally(otp.Caller{}).Sends), r.Logged("message failed"); sends != 2 || len(logged) != 1 {
		t.Errorf("%d sends, logged %q", sends, logged)
	}
}

// Attacks 3 and 11: reports come while a person types and a client resends. No
// update is lost, at most one message follows the failed one, and one check is
// approved.
func TestReportsChecksAndResendsAtOnce(t *testing.T) {
	for round := range 10 {
		r := newRig(t, channel.WhatsApp, channel.SMS, channel.Call)
		r.Policy(generous)
		id := r.MustStart(otpsend.Request{To: alice, Channels: []channel.Channel{"whatsapp", "sms"}}).ID
		code, wrong := r.Code(id), r.Wrong(id)
		var approved, failures, resent atomic.Int64
		jobs := rig.Times(5, func(int) { tolerate(r, r.Report(id, 1, otp.Failed, notOnWhatsApp)) })
		jobs = append(jobs, rig.Times(2, func(int) { tolerate(r, r.Report(id, 1, otp.Sent, nil)) })...)
		jobs = append(jobs, rig.Times(4, func(int) {
			_, err := r.Check(rig.ByID(id, code))
			if tolerate(r, err, problem.AlreadyUsed); err == nil {
				approved.Add(1)
			}
		})...)
		jobs = append(jobs, rig.Times(3, func(int) {
			_, err := r.Check(rig.ByID(id, wrong))
			if err == nil {
				t.Errorf("round %d: a wrong code was approved", round)
			}
			if tolerate(r, err, problem.AlreadyUsed, problem.WrongCode); problem.Is(err, problem.WrongCode) {
				failures.Add(1)
			}
		})...)
		jobs = append(jobs, rig.Times(3, func(int) {
			_, err := r.Resend(id, "call")
			if tolerate(r, err, problem.AlreadyUsed); err == nil {
				resent.Add(1)
			}
		})...)
		rig.AtOnce(jobs...)

		kept, v := r.Verification(id)
		calls, texts := len(r.Sender(channel.Call).Sent()), len(r.Sender(channel.SMS).Sent())
		if approved.Load() != 1 || v.Status != otp.Approved {
			t.Errorf("round %d: %d approved, the verification is %s", round, approved.Load(), v.Status)
		}
		if texts > 1 || calls != int(resent.Load()) || len(v.Attempts) != 1+texts+calls || len(kept.Tally(otp.Caller{}).Sends) != len(v.Attempts) {
			t.Errorf("round %d: %d SMS, %d calls of %d resends, %d sends, %+v", round, texts, calls, resent.Load(), len(kept.Tally(otp.Caller{}).Sends), v.Attempts)
		}
		if got := int(failures.Load()); len(kept.Tally(otp.Caller{}).Failures) != got || v.Checks != got+1 {
			t.Errorf("round %d: %d failures and %d checks stored for %d wrong codes", round, len(kept.Tally(otp.Caller{}).Failures), v.Checks, got)
		}
		if v.Attempts[0].Status != otp.Failed {
			t.Errorf("round %d: the first message is %s", round, v.Attempts[0].Status)
		}
		sameCode(r, id)
	}
}

// No update is lost: the row has the most advanced status of each message,
// whatever else is written at the same time.
func TestNoReportIsLost(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS)
	r.Policy(generous)
	id := r.MustStart(toAlice).ID
	for range 4 {
		r.MustResend(id, "whatsapp")
	}
	last := []otp.DeliveryStatus{otp.Sent, otp.Failed, otp.Delivered, otp.Read, otp.Failed}
	wrong := r.Wrong(id)
	jobs := rig.Times(6, func(int) {
		_, err := r.Check(rig.ByID(id, wrong))
		tolerate(r, err, problem.WrongCode)
	})
	for i, last := range last {
		for _, status := range []otp.DeliveryStatus{otp.Sent, otp.Failed, otp.Delivered, otp.Read} {
			jobs = append(jobs, func() { tolerate(r, r.Report(id, i+1, status, notOnWhatsApp)) })
			if status == last {
				break
			}
		}
	}
	rig.AtOnce(jobs...)
	kept, v := r.Verification(id)
	for i, want := range last {
		if got := v.Attempts[i].Status; got != want {
			t.Errorf("message %d is %s, want %s", i+1, got, want)
		}
	}
	// Messages 3 and 4 failed before they arrived. While all known messages had
	// failed, one more may have followed.
	if len(kept.Tally(otp.Caller{}).Failures) != 6 || v.Checks != 6 || len(v.Attempts) > 6 || r.Sent() != len(v.Attempts) {
		t.Errorf("%d failures, %d checks, %d attempts, %d messages", len(kept.Tally(otp.Caller{}).Failures), v.Checks, len(v.Attempts), r.Sent())
	}
}

// A report on a message can come before the provider's answer to it.
func TestAReportBeforeTheAnswer(t *testing.T) {
	report := func(r *rig.Rig, c channel.Channel, status otp.DeliveryStatus, f *notify.Failure) {
		r.Sender(c).During(func(m notify.Message) { r.MustReport(m.Verification, m.Attempt, status, f) })
	}
	r := newRig(t, channel.WhatsApp, channel.SMS)
	report(r, channel.WhatsApp, otp.Failed, notOnWhatsApp)
	report(r, channel.SMS, otp.Delivered, nil)
	wantTrace(r, r.MustStart(toAlice).ID, "whatsapp failed 63024, sms delivered", 2)

	// If the answer is lost as well, nothing follows the message that followed.
	r = newRig(t, channel.WhatsApp, channel.SMS)
	report(r, channel.WhatsApp, otp.Failed, notOnWhatsApp)
	r.Sender(channel.WhatsApp).Always(unclear)
	e := r.RefuseStart(toAlice, problem.ProviderUnavailable)
	wantTrace(r, otp.ID(e.ID), "whatsapp failed 63024, sms queued", 2)
}

// A person approves while the next message is on its way to the provider.
func TestAnApprovalDuringAFallback(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS, channel.Call)
	id := r.MustStart(toAlice).ID
	code := r.Code(id)
	r.Sender(channel.SMS).Always(landline)
	r.Sender(channel.SMS).During(func(notify.Message) { r.Approve(rig.ByID(id, code)) })
	r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
	if _, v := r.Verification(id); v.Status != otp.Approved || r.Sent() != 2 || len(v.Attempts) != 2 || v.Attempts[1].Status != otp.Failed {
		t.Errorf("%s, %d messages, %+v", v.Status, r.Sent(), v.Attempts)
	}
}

// Attack 7: many users share one e-mail address, and all start at once.
func TestASecondAddressIsCountedExactlyAtOnce(t *testing.T) {
	r := newRig(t, channel.Email, channel.SMS)
	var jobs []func()
	for i := range 12 {
		name := fmt.Sprint("canary-", i)
		r.User(user.User{Name: name, Phone: fmt.Sprintf("+141555501%02d", 30+i), Email: mail})
		jobs = append(jobs, func() {
			_, err := r.Start(otpsend.Request{User: name})
			tolerate(r, err)
		})
	}
	rig.AtOnce(jobs...)
	if emails, texts := len(r.Sender(channel.Email).Sent()), len(r.Sender(channel.SMS).Sent()); emails != 5 || texts != 7 || len(r.Recipient(mail).Tally(otp.Caller{}).Sends) != 5 {
		t.Errorf("%d e-mails, %d SMS, %d e-mails counted; want 5, 7, 5", emails, texts, len(r.Recipient(mail).Tally(otp.Caller{}).Sends))
	}
}
