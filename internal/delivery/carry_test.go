package delivery_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/otpsend"
)

func traceOf(a otpsend.Answer) string {
	var steps []string
	for _, s := range a.Delivery.Attempts {
		step := s.Channel + " " + string(s.Status)
		if s.Error != 0 {
			step += fmt.Sprint(" ", s.Error)
		}
		steps = append(steps, step)
	}
	return strings.Join(steps, ", ")
}

// The story of the service: not on WhatsApp, a landline, and so a call. It is one
// request, one code, and one message of the limits.
func TestACodeFallsBackUntilAProviderTakesIt(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS, notify.Email, notify.Call)
	b.always(map[notify.Channel]error{notify.WhatsApp: notOnWhatsApp, notify.SMS: landline})
	a, err := b.start(otpsend.Request{User: canary})
	if err != nil || a.Channel != "call" || a.To != "+1******0123" || a.SendsLeft != 4 || a.Status != otp.Pending {
		t.Fatalf("%+v %v", a, err)
	}
	if got := b.trace(a.ID); got != "whatsapp failed 63024, sms failed 21614, call queued" {
		t.Errorf("messages: %s", got)
	}
	sent := b.messages(a.ID)
	for i, m := range sent {
		if m.Code != sent[0].Code || m.Attempt != i+1 || m.To != alice || m.Verification != a.ID {
			t.Errorf("message %d: attempt %d to %s, another code: %t", i+1, m.Attempt, m.To, m.Code != sent[0].Code)
		}
	}
	if got := len(b.Recipient(alice).Sends); got != 1 || b.Sent() != 3 {
		t.Errorf("%d sends spent, %d messages", got, b.Sent())
	}
	if err := b.check(a.ID, sent[0].Code); err != nil {
		t.Error(err)
	}
}

// The same, where the provider takes each message and tells of it later: then
// each was a message, and each is spent.
func TestACodeFallsBackAfterReports(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS, notify.Email, notify.Call)
	b.Policy(func(p *otp.Policy) { p.ResendAfter = time.Minute }) // it is not asked for
	id := b.mustStart(otpsend.Request{User: canary})
	b.Wait(time.Second)
	b.mustReport(id, 1, otp.Sent, nil)
	b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
	b.Wait(time.Second)
	b.mustReport(id, 2, otp.Failed, landline)
	if got := b.trace(id); got != "whatsapp failed 63024, sms failed 21614, call queued" {
		t.Errorf("messages: %s", got)
	}
	sent := b.messages(id)
	for i, m := range sent {
		if m.Code != sent[0].Code || m.Attempt != i+1 {
			t.Errorf("message %d: attempt %d, another code: %t", i+1, m.Attempt, m.Code != sent[0].Code)
		}
	}
	if m := sent[2]; m.ValidFor != 10*time.Minute-2*time.Second {
		t.Errorf("the call says that the code works for %v", m.ValidFor)
	}
	if got := len(b.Recipient(alice).Sends); got != 3 {
		t.Errorf("%d sends spent, want 3", got)
	}
	b.mustReport(id, 3, otp.Delivered, nil)
	if err := b.check(id, sent[0].Code); err != nil {
		t.Error(err)
	}
	if good := b.Recipient(alice).Good; good.Channel != "call" {
		t.Errorf("the channel that worked: %+v", good)
	}
}

// What a mixture of failures means for the answer, the verification and the log.
func TestWhatFailuresMeanTogether(t *testing.T) {
	type answers = map[notify.Channel]error
	for _, tc := range []struct {
		name    string
		answers answers
		kind    problem.Kind // "" for an answer
		wait    time.Duration
		status  otp.Status
		trace   string
	}{
		{"misconfigured, then taken", answers{"whatsapp": noTemplate}, "", 0, otp.Pending, "whatsapp failed 21655, sms queued"},
		{"busy, then taken", answers{"whatsapp": busy}, "", 0, otp.Pending, "whatsapp failed 20429, sms queued"},
		{"filtered, then called", answers{"whatsapp": filtered}, "", 0, otp.Pending, "whatsapp failed 30007, call queued"},
		{"unclear", answers{"whatsapp": unclear}, problem.ProviderUnavailable, 30 * time.Second, otp.Pending, "whatsapp queued"},
		{"refused, then unclear", answers{"whatsapp": notOnWhatsApp, "sms": unclear}, problem.ProviderUnavailable, 30 * time.Second, otp.Pending, "whatsapp failed 63024, sms queued"},
		{"fraud", answers{"whatsapp": fraud}, problem.DestinationRefused, time.Hour, otp.Undeliverable, "whatsapp failed 30450"},
		{"refused, then fraud", answers{"whatsapp": notOnWhatsApp, "sms": fraud}, problem.DestinationRefused, time.Hour, otp.Undeliverable, "whatsapp failed 63024, sms failed 30450"},
		{"no such number", answers{"whatsapp": noSuchNumber}, problem.InvalidRequest, 0, otp.Undeliverable, "whatsapp failed 21211"},
		{"all refused", answers{"whatsapp": notOnWhatsApp, "sms": landline, "call": landline}, problem.Undeliverable, 0, otp.Undeliverable,
			"whatsapp failed 63024, sms failed 21614, call failed 21614"},
		{"all refused but a wrong setting", answers{"whatsapp": noTemplate, "sms": landline, "call": landline}, problem.ProviderMisconfigured, 0, otp.Pending,
			"whatsapp failed 21655, sms failed 21614, call failed 21614"},
		{"all refused but a busy one", answers{"whatsapp": notOnWhatsApp, "sms": busy, "call": landline}, problem.ProviderUnavailable, 45 * time.Second, otp.Pending,
			"whatsapp failed 63024, sms failed 20429, call failed 21614"},
		{"a wrong setting and a busy one", answers{"whatsapp": noTemplate, "sms": busy, "call": busy}, problem.ProviderMisconfigured, 0, otp.Pending,
			"whatsapp failed 21655, sms failed 20429, call failed 20429"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, notify.WhatsApp, notify.SMS, notify.Call)
			b.Policy(func(p *otp.Policy) { p.ResendAfter = 30 * time.Second })
			b.always(tc.answers)
			a, err := b.start(otpsend.Request{To: alice})
			id := a.ID
			if tc.kind == "" && err != nil {
				t.Fatal(err)
			}
			if tc.kind != "" {
				e := b.Refused(err, tc.kind)
				if id = otp.ID(e.ID); e.RetryAfter != tc.wait {
					t.Errorf("retry after %v, want %v", e.RetryAfter, tc.wait)
				}
			}
			if got := b.trace(id); got != tc.trace {
				t.Errorf("messages: %s, want %s", got, tc.trace)
			}
			_, v := b.Verification(id)
			if v.Status != tc.status || b.Sent() != len(v.Attempts) || len(b.Recipient(alice).Sends) != 1 {
				t.Errorf("it is %s; %d messages of %d attempts, %d sends", v.Status, b.Sent(), len(v.Attempts), len(b.Recipient(alice).Sends))
			}
			for _, m := range b.messages(id) {
				if m.Code != b.Code(id) {
					t.Error("another channel, another code")
				}
			}
			// The code of what may have arrived works; of what has not, it is over.
			err = b.check(id, b.Code(id))
			if tc.status == otp.Undeliverable {
				b.Refused(err, problem.Undeliverable)
				b.Refused(b.resend(id, ""), problem.Undeliverable)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// An operator has to learn of a wrong setting, whatever made up for it.
func TestEachFailureIsLoggedByWhomItConcerns(t *testing.T) {
	for name, tc := range map[string]struct {
		failure error
		want    string
	}{
		"misconfigured": {noTemplate, `level=ERROR msg="message failed" verification=ID attempt=1 channel=whatsapp reason=misconfigured provider_error=21655 detail="the template does not exist" setting=TWILIO_CONTENT_SID`},
		"busy":          {busy, `level=WARN msg="message failed" verification=ID attempt=1 channel=whatsapp reason=unavailable provider_error=20429 detail=""`},
		"filtered":      {filtered, `level=WARN msg="message failed" verification=ID attempt=1 channel=whatsapp reason=undeliverable provider_error=30007 detail=""`},
		"fraud":         {fraud, `level=WARN msg="message failed" verification=ID attempt=1 channel=whatsapp reason=refused provider_error=30450 detail=""`},
		"unclear":       {unclear, `level=WARN msg="message failed" verification=ID attempt=1 channel=whatsapp reason=unavailable provider_error=0 detail=""`},
		"undeliverable": {notOnWhatsApp, `level=INFO msg="message failed" verification=ID attempt=1 channel=whatsapp reason=undeliverable provider_error=63024 detail=""`},
		"no number":     {noSuchNumber, `level=INFO msg="message failed" verification=ID attempt=1 channel=whatsapp reason=invalid_address provider_error=21211 detail=""`},
		"wrapped":       {fmt.Errorf("%w: to %s", busy, alice), `level=WARN msg="message failed" verification=ID attempt=1 channel=whatsapp reason=unavailable provider_error=20429 detail=""`},
		"anything else": {errQuoting{}, `level=WARN msg="message failed" verification=ID attempt=1 channel=whatsapp reason=unavailable provider_error=0 detail="the sender failed with a delivery_test.errQuoting"`},
	} {
		b := newBench(t, notify.WhatsApp, notify.SMS)
		b.Sender(notify.WhatsApp).Always(tc.failure)
		a, err := b.start(otpsend.Request{To: alice})
		id := a.ID
		if e, ok := err.(*problem.Error); ok {
			id = otp.ID(b.Refused(err, e.Kind).ID) // which must not quote, either
		}
		if got := b.Logged(); len(got) != 1 || got[0] != strings.Replace(tc.want, "ID", string(id), 1) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// errQuoting is an error that no sender may return: it quotes the address.
type errQuoting struct{}

func (errQuoting) Error() string { return "cannot send to " + alice }

// A sender outside of its contract may have sent: its message is not repeated.
func TestAnErrorThatSaysNothingMayHaveSent(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	b.Sender(notify.WhatsApp).Always(errQuoting{})
	_, err := b.start(otpsend.Request{To: alice})
	if e := b.Refused(err, problem.ProviderUnavailable); !strings.Contains(e.Detail, "may arrive") || len(b.Sender(notify.SMS).Sent()) != 0 {
		t.Errorf("%s; %d SMS", e.Detail, len(b.Sender(notify.SMS).Sent()))
	}
}

// An address that the provider takes for fraud is left alone for an hour, by all
// channels and for every purpose.
func TestAnAddressThatTheProviderBlocksIsLeftAlone(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	before := b.mustStart(otpsend.Request{To: alice, Purpose: "before"})
	b.Sender(notify.WhatsApp).Answer(fraud)
	_, err := b.start(otpsend.Request{To: alice})
	b.Refused(err, problem.DestinationRefused)
	for _, at := range []time.Duration{0, time.Minute, 5 * time.Minute, time.Hour - time.Millisecond} {
		b.SetTime(noon.Add(at))
		_, err := b.start(otpsend.Request{To: alice, Purpose: "after", Channel: "sms"})
		if e := b.Refused(err, problem.DestinationRefused); e.RetryAfter != time.Hour-at {
			t.Errorf("after %v: retry after %v", at, e.RetryAfter)
		}
		if at < 9*time.Minute {
			b.Refused(b.resend(before, "sms"), problem.DestinationRefused)
		}
	}
	b.SetTime(noon.Add(time.Minute))
	b.mustReport(before, 1, otp.Failed, notOnWhatsApp)
	if b.Sent() != 2 || b.trace(before) != "whatsapp failed 63024" {
		t.Errorf("a fallback: %s", b.trace(before))
	}
	b.SetTime(noon.Add(time.Hour))
	b.mustStart(otpsend.Request{To: alice})
	b.mustStart(otpsend.Request{To: bob})
}

// What the number cannot get, the e-mail address can; its own limits hold.
func TestTheSecondAddressIsCountedInItsOwnRow(t *testing.T) {
	b := newBench(t, notify.SMS, notify.Email)
	b.Sender(notify.SMS).Always(noSuchNumber)
	a, err := b.start(otpsend.Request{User: canary})
	if err != nil || a.Channel != "email" || a.To != "a******@example.com" {
		t.Fatalf("%+v %v", a, err)
	}
	if home, second := b.Recipient(alice), b.Recipient(mail); len(home.Sends) != 1 || len(second.Sends) != 1 || len(second.Verifications) != 0 {
		t.Errorf("%d and %d sends, %d verifications in the second row", len(home.Sends), len(second.Sends), len(second.Verifications))
	}
	if err := b.resend(a.ID, ""); err != nil {
		t.Fatal(err)
	}
	if home, second := b.Recipient(alice), b.Recipient(mail); len(home.Sends) != 2 || len(second.Sends) != 2 {
		t.Errorf("after a resend: %d and %d sends", len(home.Sends), len(second.Sends))
	}
}

// A second address that has had its messages is left alone; what it stands in
// the way of is said truly.
func TestASecondAddressThatIsFull(t *testing.T) {
	for _, tc := range []struct {
		name     string
		channels []string
		sms      error
		kind     problem.Kind // "" for an answer
		trace    string
	}{
		{"first, then taken", []string{"email", "sms"}, nil, "", "email failed, sms queued"},
		{"first, then refused", []string{"email", "sms"}, landline, problem.TooManySends, "email failed, sms failed 21614"},
		{"after a refusal", []string{"sms", "email"}, landline, problem.TooManySends, "sms failed 21614, email failed"},
		{"after fraud", []string{"sms", "email"}, fraud, problem.DestinationRefused, "sms failed 30450"},
		{"after a wrong setting", []string{"sms", "email"}, noTemplate, problem.ProviderMisconfigured, "sms failed 21655, email failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, notify.SMS, notify.Email)
			for range b.Carrier.Policy.MaxSends {
				b.mustStart(otpsend.Request{To: mail})
				b.Wait(time.Second)
			}
			b.Sender(notify.SMS).Always(tc.sms)
			a, err := b.start(otpsend.Request{User: canary, Channels: tc.channels})
			if tc.kind == "" && err != nil {
				t.Fatal(err)
			}
			if tc.kind != "" {
				e := b.Refused(err, tc.kind)
				a.ID = otp.ID(e.ID)
				if want := otp.SendWindow - 5*time.Second; tc.kind == problem.TooManySends && e.RetryAfter != want {
					t.Errorf("retry after %v, want %v", e.RetryAfter, want)
				}
				if _, v := b.Verification(otp.ID(e.ID)); tc.kind != problem.DestinationRefused && v.Status != otp.Pending {
					t.Errorf("it is %s, though the e-mail was never tried", v.Status)
				}
			}
			if got := b.trace(a.ID); got != tc.trace || len(b.Sender(notify.Email).Sent()) != 5 {
				t.Errorf("messages: %s; %d e-mails", got, len(b.Sender(notify.Email).Sent()))
			}
		})
	}
}

// Between a start and its fallback an operator may publish other settings.
func TestAChannelThatIsGoneIsPassedOver(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS, notify.Call)
	id := b.mustStart(otpsend.Request{To: alice})
	delete(b.Carrier.Senders, notify.SMS)
	b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
	if got := b.trace(id); got != "whatsapp failed 63024, sms failed, call queued" {
		t.Errorf("messages: %s", got)
	}
}

// Rotation: a code whose secret is gone cannot be sent again, and no other is.
func TestACodeWhoseSecretIsGoneIsNotSent(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	id := b.mustStart(otpsend.Request{To: alice})
	_, _, err := b.Kept.Change(b.Ctx(), id.RowKey(), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		r.Verifications[0].Key = [4]byte{1, 2, 3, 4}
		return r, otp.Verification{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
	if b.Sent() != 1 {
		t.Errorf("%d messages", b.Sent())
	}
	if e := b.Refused(b.resend(id, "sms"), problem.Expired); e.ID != string(id) {
		t.Errorf("%+v", e)
	}
}

// A client can go on with what a failed start has kept.
func TestARefusalNamesTheVerificationThatIsKept(t *testing.T) {
	for _, failure := range []*notify.Failure{notOnWhatsApp, noSuchNumber, fraud, noTemplate, busy, unclear} {
		b := newBench(t)
		b.Sender(notify.WhatsApp).Always(failure)
		_, err := b.start(otpsend.Request{To: alice})
		e, ok := err.(*problem.Error)
		if !ok || otp.ID(e.ID).RowKey() != b.Book.RowKey(alice) || e.Detail == "" && len(e.Fields) == 0 {
			t.Errorf("%s: %+v", failure.Reason, err)
			continue
		}
		b.Verification(otp.ID(e.ID)) // which is kept
	}
}
