package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/otpsend"
)

// together runs all of them at once, in random order.
func together(jobs ...func()) {
	rand.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for _, job := range jobs {
		wg.Go(func() {
			<-begin
			job()
		})
	}
	close(begin)
	wg.Wait()
}

func times(n int, job func()) []func() {
	jobs := make([]func(), n)
	for i := range jobs {
		jobs[i] = job
	}
	return jobs
}

// tolerate fails the test for an error that is none of the kinds.
func (b *bench) tolerate(err error, kinds ...problem.Kind) {
	if err == nil {
		return
	}
	e, ok := err.(*problem.Error)
	for _, kind := range kinds {
		if ok && e.Kind == kind {
			return
		}
	}
	b.t.Error(err)
}

// Attack 11: many equal reports at once are followed by one message.
func TestEqualReportsAtOnceAreFollowedOnce(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS, notify.Call)
	id := b.mustStart(otpsend.Request{To: alice})
	together(times(20, func() { b.tolerate(b.report(id, 1, otp.Failed, notOnWhatsApp)) })...)
	if got := b.trace(id); got != "whatsapp failed 63024, sms queued" || b.Sent() != 2 || len(b.Recipient(alice).Sends) != 2 {
		t.Errorf("messages: %s; %d in all, %d sends", got, b.Sent(), len(b.Recipient(alice).Sends))
	}
	if got := b.logged("message failed"); len(got) != 1 {
		t.Errorf("logged %q", got)
	}
}

// Attacks 3 and 11: reports come while a person types and a client resends.
// Nothing is lost, one message follows the failed one at most, and one check is
// approved.
func TestReportsChecksAndResendsAtOnce(t *testing.T) {
	for round := range 10 {
		b := newBench(t, notify.WhatsApp, notify.SMS, notify.Call)
		b.Policy(func(p *otp.Policy) { p.MaxSends, p.MaxChecks, p.MaxFailuresPerDay = 50, 50, 50 })
		id := b.mustStart(otpsend.Request{To: alice, Channels: []string{"whatsapp", "sms"}})
		code, wrong := b.Code(id), b.Wrong(id)
		var approved, failures, resent atomic.Int64
		var jobs []func()
		jobs = append(jobs, times(5, func() { b.tolerate(b.report(id, 1, otp.Failed, notOnWhatsApp)) })...)
		jobs = append(jobs, times(2, func() { b.tolerate(b.report(id, 1, otp.Sent, nil)) })...)
		jobs = append(jobs, times(4, func() {
			err := b.check(id, code)
			if b.tolerate(err, problem.AlreadyUsed); err == nil {
				approved.Add(1)
			}
		})...)
		jobs = append(jobs, times(3, func() {
			err := b.check(id, wrong)
			b.tolerate(err, problem.AlreadyUsed, problem.WrongCode)
			if e, ok := err.(*problem.Error); ok && e.Kind == problem.WrongCode {
				failures.Add(1)
			}
		})...)
		jobs = append(jobs, times(3, func() {
			err := b.resend(id, "call")
			if b.tolerate(err, problem.AlreadyUsed); err == nil {
				resent.Add(1)
			}
		})...)
		together(jobs...)

		kept, v := b.Verification(id)
		calls, texts := len(b.Sender(notify.Call).Sent()), len(b.Sender(notify.SMS).Sent())
		if approved.Load() != 1 || v.Status != otp.Approved {
			t.Errorf("round %d: %d approved, it is %s", round, approved.Load(), v.Status)
		}
		if texts > 1 || calls != int(resent.Load()) || len(v.Attempts) != 1+texts+calls || len(kept.Sends) != len(v.Attempts) {
			t.Errorf("round %d: %d SMS, %d calls of %d resends, %d sends, %+v", round, texts, calls, resent.Load(), len(kept.Sends), v.Attempts)
		}
		if got := int(failures.Load()); len(kept.Failures) != got || v.Checks != got+1 {
			t.Errorf("round %d: %d failures and %d checks kept, of %d wrong codes", round, len(kept.Failures), v.Checks, got)
		}
		if v.Attempts[0].Status != otp.Failed {
			t.Errorf("round %d: the first message is %s", round, v.Attempts[0].Status)
		}
		for _, m := range b.messages(id) {
			if m.Code != code {
				t.Errorf("round %d: another code", round)
			}
		}
	}
}

// No update is lost: of each message the furthest news stays, whatever else is
// written.
func TestNoReportIsLost(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	b.Policy(func(p *otp.Policy) { p.MaxSends, p.MaxChecks, p.MaxFailuresPerDay = 50, 50, 50 })
	id := b.mustStart(otpsend.Request{To: alice})
	for range 4 {
		if err := b.resend(id, "whatsapp"); err != nil {
			t.Fatal(err)
		}
	}
	furthest := []otp.DeliveryStatus{otp.Sent, otp.Failed, otp.Delivered, otp.Read, otp.Failed}
	wrong := b.Wrong(id)
	jobs := times(6, func() { b.tolerate(b.check(id, wrong), problem.WrongCode) })
	for i, last := range furthest {
		for _, status := range []otp.DeliveryStatus{otp.Sent, otp.Failed, otp.Delivered, otp.Read} {
			jobs = append(jobs, func() { b.tolerate(b.report(id, i+1, status, notOnWhatsApp)) })
			if status == last {
				break
			}
		}
	}
	together(jobs...)
	kept, v := b.Verification(id)
	for i, want := range furthest {
		if got := v.Attempts[i].Status; got != want {
			t.Errorf("message %d is %s, want %s", i+1, got, want)
		}
	}
	// Message 4 failed before it was read, message 3 likewise: while all had
	// failed that were known of, one may have followed.
	if len(kept.Failures) != 6 || v.Checks != 6 || len(v.Attempts) > 6 || b.Sent() != len(v.Attempts) {
		t.Errorf("%d failures, %d checks, %d attempts, %d messages", len(kept.Failures), v.Checks, len(v.Attempts), b.Sent())
	}
}

// A report can come before the provider's answer to the message that it is on.
func TestAReportThatOvertakesTheAnswer(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	b.Sender(notify.WhatsApp).During(func(m notify.Message) {
		b.mustReport(m.Verification, m.Attempt, otp.Failed, notOnWhatsApp)
	})
	b.Sender(notify.SMS).During(func(m notify.Message) {
		b.mustReport(m.Verification, m.Attempt, otp.Delivered, nil)
	})
	id := b.mustStart(otpsend.Request{To: alice})
	if got := b.trace(id); got != "whatsapp failed 63024, sms delivered" || b.Sent() != 2 {
		t.Errorf("messages: %s; %d in all", got, b.Sent())
	}

	// The same, where the answer is lost as well: the message that followed is
	// not followed by another.
	b = newBench(t, notify.WhatsApp, notify.SMS)
	b.Sender(notify.WhatsApp).During(func(m notify.Message) {
		b.mustReport(m.Verification, m.Attempt, otp.Failed, notOnWhatsApp)
	})
	b.Sender(notify.WhatsApp).Always(unclear)
	_, err := b.start(otpsend.Request{To: alice})
	e := b.Refused(err, problem.ProviderUnavailable)
	if got := b.trace(otp.ID(e.ID)); got != "whatsapp failed 63024, sms queued" || b.Sent() != 2 {
		t.Errorf("messages: %s; %d in all", got, b.Sent())
	}
}

// A person approves while the next message is on its way to the provider.
func TestACodeThatIsTypedDuringAFallback(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS, notify.Call)
	id := b.mustStart(otpsend.Request{To: alice})
	code := b.Code(id)
	b.Sender(notify.SMS).Always(landline)
	b.Sender(notify.SMS).During(func(notify.Message) {
		if err := b.check(id, code); err != nil {
			t.Error(err)
		}
	})
	b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
	if _, v := b.Verification(id); v.Status != otp.Approved || b.Sent() != 2 || len(v.Attempts) != 2 || v.Attempts[1].Status != otp.Failed {
		t.Errorf("%s, %d messages, %+v", v.Status, b.Sent(), v.Attempts)
	}
}

// Attack 7: many people with one e-mail address, all at once.
func TestASecondAddressIsCountedExactlyAtOnce(t *testing.T) {
	b := newBench(t, notify.Email, notify.SMS)
	var jobs []func()
	for i := range 12 {
		to := fmt.Sprint("canary-", i)
		b.User(userOf(to, fmt.Sprintf("+141555501%02d", 30+i)))
		jobs = append(jobs, func() {
			_, err := b.start(otpsend.Request{User: to})
			b.tolerate(err)
		})
	}
	together(jobs...)
	if emails, texts := len(b.Sender(notify.Email).Sent()), len(b.Sender(notify.SMS).Sent()); emails != 5 || texts != 7 || len(b.Recipient(mail).Sends) != 5 {
		t.Errorf("%d e-mails, %d SMS, %d e-mails counted; want 5, 7, 5", emails, texts, len(b.Recipient(mail).Sends))
	}
}
