package otpverify_test

import (
	"sync"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// exhaust types wrong codes until none are left, and returns the last refusal.
func (b *bench) exhaust(id otp.ID) (last *problem.Error) {
	b.t.Helper()
	for {
		last = b.refused(otpverify.Request{ID: string(id), Code: b.Wrong(id)}, problem.WrongCode)
		if *last.ChecksLeft == 0 {
			return last
		}
		if last.Alerted {
			b.t.Errorf("alerted with %d checks left", *last.ChecksLeft)
		}
	}
}

// alerts is the warnings that went out over a channel.
func (b *bench) alerts(channel notify.Channel) (alerts []notify.Message) {
	b.t.Helper()
	for _, m := range b.Sender(channel).Sent() {
		if m.Alert {
			alerts = append(alerts, m)
		}
	}
	return alerts
}

// Who is attacked learns of it, without the code, once.
func TestTheWrongCodeThatIsTheLastOneWarnsThePerson(t *testing.T) {
	b := newBench(t)
	b.Carrier.Deniable = map[notify.Channel]bool{notify.WhatsApp: true}
	v, _ := b.mustStart(otpsend.Request{To: alice, Locale: "de", Context: otp.Context{Amount: "EUR 1"}})
	if e := b.exhaust(v.ID); !e.Alerted {
		t.Error("not alerted")
	}
	want := notify.Message{To: alice, Alert: true, Brand: "Acme", Purpose: "login", Locale: "de"}
	if got := b.alerts(notify.WhatsApp); len(got) != 1 || got[0] != want {
		t.Errorf("alerts %+v", got)
	}
	e := b.refused(otpverify.Request{ID: string(v.ID), Code: b.Wrong(v.ID)}, problem.TooManyChecks)
	if e.Alerted || len(b.alerts(notify.WhatsApp)) != 1 {
		t.Error("alerted again")
	}
}

// An attacker must not be able to have the person warned without end.
func TestOneWarningAnHour(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.MaxFailuresPerDay = otp.MaxCounted })
	for _, step := range []struct {
		at      time.Duration
		alerted bool
	}{{0, true}, {time.Minute, false}, {time.Hour - time.Millisecond, false}, {time.Hour, true}} {
		b.SetTime(noon.Add(step.at))
		v, _ := b.mustStart(otpsend.Request{To: alice})
		if e := b.exhaust(v.ID); e.Alerted != step.alerted {
			t.Errorf("after %v: alerted: %t", step.at, e.Alerted)
		}
	}
	if got := len(b.alerts(notify.WhatsApp)); got != 2 {
		t.Errorf("%d alerts, want 2", got)
	}
}

// The address's day can be over before a verification's checks are.
func TestTheLastWrongCodeOfADayWarnsToo(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.MaxFailuresPerDay = 3 })
	v, _ := b.mustStart(otpsend.Request{To: alice})
	if e := b.exhaust(v.ID); !e.Alerted || len(b.alerts(notify.WhatsApp)) != 1 {
		t.Errorf("%+v, %d alerts", e, len(b.alerts(notify.WhatsApp)))
	}
}

// The warning goes where the person is known to read.
func TestTheWarningGoesOverTheChannelThatLastWorked(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS, notify.Email)
	everyone(b)
	v, code := b.mustStart(otpsend.Request{User: canary, Channels: []string{"email", "sms"}})
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
		t.Fatal(err)
	}
	v, _ = b.mustStart(otpsend.Request{User: canary, Channels: []string{"whatsapp", "email"}})
	if _, _, err := b.Send.Resend(b.Ctx(), string(v.ID), otpsend.ResendRequest{Channel: "whatsapp"}, ""); err != nil {
		t.Fatal(err)
	}
	b.exhaust(v.ID)
	if got := b.alerts(notify.Email); len(got) != 1 || got[0].To != mail || len(b.alerts(notify.WhatsApp)) != 0 {
		t.Errorf("alerts %+v", got)
	}
	// Somebody else's e-mail address is none of this verification's.
	b.Wait(time.Hour)
	b.Policy(func(p *otp.Policy) { p.MaxFailuresPerDay = otp.MaxCounted })
	v, _ = b.mustStart(otpsend.Request{To: alice})
	b.exhaust(v.ID)
	if len(b.alerts(notify.Email)) != 1 || len(b.alerts(notify.WhatsApp)) != 1 {
		t.Errorf("%d and %d alerts", len(b.alerts(notify.Email)), len(b.alerts(notify.WhatsApp)))
	}
}

func TestAWarningThatFailed(t *testing.T) {
	unclear := &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true}
	refused := &notify.Failure{Reason: notify.Undeliverable, Code: 63024}
	for name, tc := range map[string]struct {
		good, last error // what the channel that last worked answers, and that of the last message
		alerted    bool
		messages   int
	}{
		"both refused":               {refused, refused, false, 2},
		"the second taken":           {refused, nil, true, 2},
		"the first unclear":          {unclear, nil, true, 1},
		"no failure of the contract": {quoting{}, nil, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, notify.SMS, notify.WhatsApp)
			v, code := b.mustStart(otpsend.Request{To: alice})
			if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
				t.Fatal(err)
			}
			v, _ = b.mustStart(otpsend.Request{To: alice, Channel: "whatsapp"})
			b.Sender(notify.SMS).Always(tc.good)
			b.Sender(notify.WhatsApp).Always(tc.last)
			e := b.exhaust(v.ID)
			if got := len(b.alerts(notify.SMS)) + len(b.alerts(notify.WhatsApp)); e.Alerted != tc.alerted || got != tc.messages {
				t.Errorf("alerted: %t, %d messages", e.Alerted, got)
			}
		})
	}
}

// What was refused over a channel is not tried over it again, but over the next.
func TestAWarningIsTriedOnceOverEachChannel(t *testing.T) {
	b := newBench(t, notify.SMS, notify.WhatsApp)
	v, code := b.mustStart(otpsend.Request{To: alice})
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
		t.Fatal(err)
	}
	v, _ = b.mustStart(otpsend.Request{To: alice})
	b.Sender(notify.SMS).Always(&notify.Failure{Reason: notify.Undeliverable})
	if e := b.exhaust(v.ID); !e.Alerted || len(b.alerts(notify.SMS)) != 1 || len(b.alerts(notify.WhatsApp)) != 1 {
		t.Errorf("alerted: %t, %d and %d messages", e.Alerted, len(b.alerts(notify.SMS)), len(b.alerts(notify.WhatsApp)))
	}
}

// quoting is an error that no sender may return: it quotes the address.
type quoting struct{}

func (quoting) Error() string { return alice }

// Attack 1: of many wrong codes at once one is the last.
func TestManyWrongCodesAtOnceWarnOnce(t *testing.T) {
	b := newBench(t)
	v, code := b.mustStart(otpsend.Request{To: alice})
	wrong := b.Wrong(v.ID)
	var wg sync.WaitGroup
	var mu sync.Mutex
	kinds, alerted := make(map[problem.Kind]int), 0
	for range 25 {
		wg.Go(func() {
			_, err := b.check(otpverify.Request{ID: string(v.ID), Code: wrong})
			e, ok := err.(*problem.Error)
			if !ok {
				t.Errorf("error %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if kinds[e.Kind]++; e.Alerted {
				alerted++
			}
		})
	}
	wg.Wait()
	if kinds[problem.WrongCode] != 5 || kinds[problem.TooManyChecks] != 20 || alerted != 1 || len(b.alerts(notify.WhatsApp)) != 1 {
		t.Errorf("%v, %d alerted, %d alerts", kinds, alerted, len(b.alerts(notify.WhatsApp)))
	}
	b.refused(otpverify.Request{ID: string(v.ID), Code: code}, problem.TooManyChecks)
}

// Attack 3: of many right codes at once one is approved.
func TestManyRightCodesAtOnceApproveOnce(t *testing.T) {
	b := newBench(t, notify.SMS, notify.Email)
	everyone(b)
	v, code := b.mustStart(otpsend.Request{User: canary})
	var wg sync.WaitGroup
	var mu sync.Mutex
	kinds := make(map[problem.Kind]int)
	for i := range 20 {
		req := otpverify.Request{ID: string(v.ID), Code: code}
		if i%2 == 1 {
			req = otpverify.Request{User: canary, Code: code}
		}
		wg.Go(func() {
			_, err := b.check(req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				kinds["approved"]++
			} else {
				kinds[kindOf(err)]++
			}
		})
	}
	wg.Wait()
	if kinds["approved"] != 1 || kinds[problem.AlreadyUsed] != 19 {
		t.Errorf("%v", kinds)
	}
	if u := b.Registered(canary); !u.PhoneVerified || u.EmailVerified {
		t.Errorf("proven: number %t, e-mail %t", u.PhoneVerified, u.EmailVerified)
	}
}

// A test number is nobody who could be warned.
func TestATestNumberIsNotWarned(t *testing.T) {
	b := newBench(t)
	b.Carrier.Scripts = map[string]otp.Script{alice: {Ending: otp.EndsDelivered, Code: "WXYZ234567"}}
	b.Carrier.ScriptsEnd = noon.Add(time.Hour)
	v, _ := b.mustStart(otpsend.Request{To: alice})
	if e := b.exhaust(v.ID); e.Alerted || b.Sent() != 0 {
		t.Errorf("%+v, %d messages", e, b.Sent())
	}
}

// Whether the wrong code was counted is not known, so nobody is told of it.
func TestAWrongCodeThatMayNotHaveBeenCountedWarnsNobody(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		b := newBench(t)
		b.User(user.User{Name: canary, Phone: alice})
		b.Policy(func(p *otp.Policy) { p.MaxChecks = 1 })
		v, _ := b.mustStart(otpsend.Request{User: canary})
		b.Table.Break(func(int) rig.Fault { return fault })
		if e := b.refused(otpverify.Request{ID: string(v.ID), Code: b.Wrong(v.ID)}, problem.StorageUnavailable); e.Alerted || len(b.alerts(notify.WhatsApp)) != 0 {
			t.Errorf("%+v, %d alerts", e, len(b.alerts(notify.WhatsApp)))
		}
	}
}
