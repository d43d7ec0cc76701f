package otpverify_test

import (
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// exhaust types wrong codes until none are left, and returns the last refusal.
func exhaust(r *rig.Rig, id otp.ID) (last *problem.Error) {
	r.TB.Helper()
	for {
		last = r.RefuseCheck(rig.ByID(id, r.Wrong(id)), problem.WrongCode)
		if *last.ChecksLeft == 0 {
			return last
		}
		if last.Alerted {
			r.TB.Errorf("alerted with %d checks left", *last.ChecksLeft)
		}
	}
}

// alerts returns the warnings that were sent over a channel.
func alerts(r *rig.Rig, c channel.Channel) (sent []notify.Message) {
	r.TB.Helper()
	for _, m := range r.Sender(c).Sent() {
		if m.Alert {
			sent = append(sent, m)
		}
	}
	return sent
}

// wantAlerts fails the test unless that many warnings were sent over the channel.
func wantAlerts(r *rig.Rig, c channel.Channel, want int) {
	r.TB.Helper()
	if got := alerts(r, c); len(got) != want {
		r.TB.Errorf("alerts over %s: %+v, want %d", c, got, want)
	}
}

// The last wrong code warns the person once, and the warning has no code.
func TestTheLastWrongCodeWarnsThePerson(t *testing.T) {
	r := newRig(t)
	r.Delivery.Deniable = map[channel.Route]bool{{Channel: channel.WhatsApp}: true}
	v, _ := begin(r, otpsend.Request{To: alice, Locale: "de", Transaction: otp.Transaction{Amount: "EUR 1"}})
	if e := exhaust(r, v.ID); !e.Alerted {
		t.Error("not alerted")
	}
	want := notify.Message{To: alice, Alert: true, Brand: "Acme", Purpose: "login", Locale: "de"}
	if got := alerts(r, channel.WhatsApp); len(got) != 1 || got[0] != want {
		t.Errorf("alerts %+v", got)
	}
	if e := r.RefuseCheck(rig.ByID(v.ID, r.Wrong(v.ID)), problem.TooManyChecks); e.Alerted {
		t.Error("alerted again")
	}
	wantAlerts(r, channel.WhatsApp, 1)
}

// An attacker must not be able to cause warnings without end.
func TestOneWarningAnHour(t *testing.T) {
	r := newRig(t)
	r.Policy(func(p *otp.Policy) { p.MaxFailuresPerDay = otp.MaxCounted })
	for _, step := range []struct {
		at      time.Duration
		alerted bool
	}{{0, true}, {time.Minute, false}, {time.Hour - time.Millisecond, false}, {time.Hour, true}} {
		r.Set(noon.Add(step.at))
		v, _ := begin(r, toAlice)
		if e := exhaust(r, v.ID); e.Alerted != step.alerted {
			t.Errorf("after %v: alerted: %t", step.at, e.Alerted)
		}
	}
	wantAlerts(r, channel.WhatsApp, 2)
}

// The address can reach its daily limit before the verification reaches its own.
func TestTheLastWrongCodeOfADayWarnsToo(t *testing.T) {
	r := newRig(t)
	r.Policy(func(p *otp.Policy) { p.MaxFailuresPerDay = 3 })
	v, _ := begin(r, toAlice)
	if e := exhaust(r, v.ID); !e.Alerted {
		t.Errorf("%+v", e)
	}
	wantAlerts(r, channel.WhatsApp, 1)
}

// The warning is sent over the channel that last reached the person.
func TestTheWarningIsSentOverTheChannelThatLastWorked(t *testing.T) {
	r := newUserRig(t, nil, channel.WhatsApp, channel.SMS, channel.Email)
	v, code := begin(r, otpsend.Request{User: canary, Channels: []channel.Channel{"email", "sms"}})
	r.Approve(rig.ByID(v.ID, code))
	v, _ = begin(r, otpsend.Request{User: canary, Channels: []channel.Channel{"whatsapp", "email"}})
	r.MustResend(v.ID, "whatsapp")
	exhaust(r, v.ID)
	wantAlerts(r, channel.WhatsApp, 0)
	wantAlerts(r, channel.Email, 1)
	if to := r.Sender(channel.Email).Last().To; to != mail {
		t.Errorf("sent to %s", to)
	}
	// This verification has no e-mail address, although the row's last one had.
	r.Advance(time.Hour)
	r.Policy(func(p *otp.Policy) { p.MaxFailuresPerDay = otp.MaxCounted })
	v, _ = begin(r, toAlice)
	exhaust(r, v.ID)
	wantAlerts(r, channel.Email, 1)
	wantAlerts(r, channel.WhatsApp, 1)
}

func TestAWarningThatFails(t *testing.T) {
	for name, tc := range map[string]struct {
		// What the channel that last worked answers, and the one of the last
		// message.
		preferred, last error
		alerted         bool
		messages        int
	}{
		"both refuse":                {undeliverable, undeliverable, false, 2},
		"the second accepts":         {undeliverable, nil, true, 2},
		"the first is unclear":       {unclear, nil, true, 1},
		"no failure of the contract": {quoting{}, nil, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, channel.SMS, channel.WhatsApp)
			v, code := begin(r, toAlice)
			r.Approve(rig.ByID(v.ID, code))
			v, _ = begin(r, otpsend.Request{To: alice, Channel: "whatsapp"})
			r.Sender(channel.SMS).Always(tc.preferred)
			r.Sender(channel.WhatsApp).Always(tc.last)
			e := exhaust(r, v.ID)
			if got := len(alerts(r, channel.SMS)) + len(alerts(r, channel.WhatsApp)); e.Alerted != tc.alerted || got != tc.messages {
				t.Errorf("alerted: %t, %d messages", e.Alerted, got)
			}
		})
	}
}

// A warning that a channel refused is tried over the next one, not again over the
// same.
func TestAWarningIsTriedOnceOverEachChannel(t *testing.T) {
	r := newRig(t, channel.SMS, channel.WhatsApp)
	v, code := begin(r, toAlice)
	r.Approve(rig.ByID(v.ID, code))
	v, _ = begin(r, toAlice)
	r.Sender(channel.SMS).Always(undeliverable)
	if e := exhaust(r, v.ID); !e.Alerted {
		t.Error("not alerted")
	}
	wantAlerts(r, channel.SMS, 1)
	wantAlerts(r, channel.WhatsApp, 1)
}

// Attack 1: of many wrong codes at once, one is the last.
func TestManyWrongCodesAtOnceWarnOnce(t *testing.T) {
	r := newRig(t)
	v, code := begin(r, toAlice)
	wrong := r.Wrong(v.ID)
	var alerted atomic.Int64
	kinds := r.ChecksAtOnce(25, func(int) otpverify.Request { return rig.ByID(v.ID, wrong) }, func(e *problem.Error) {
		if e.Alerted {
			alerted.Add(1)
		}
	})
	if kinds[problem.WrongCode] != 5 || kinds[problem.TooManyChecks] != 20 || alerted.Load() != 1 {
		t.Errorf("%v, %d alerted", kinds, alerted.Load())
	}
	wantAlerts(r, channel.WhatsApp, 1)
	r.RefuseCheck(rig.ByID(v.ID, code), problem.TooManyChecks)
}

// Attack 3: of many right codes at once, one is approved.
func TestManyRightCodesAtOnceApproveOnce(t *testing.T) {
	r := newUserRig(t, nil, channel.SMS, channel.Email)
	v, code := begin(r, toUser)
	kinds := r.ChecksAtOnce(20, func(i int) otpverify.Request {
		if i%2 == 1 {
			return byUser(code)
		}
		return rig.ByID(v.ID, code)
	})
	if kinds[""] != 1 || kinds[problem.AlreadyUsed] != 19 {
		t.Errorf("%v", kinds)
	}
	wantVerified(r, true, false)
}

// A test number is nobody's, so there is nobody to warn.
func TestATestNumberIsNotWarned(t *testing.T) {
	r := newRig(t)
	testNumber(r, "WXYZ234567")
	v, _ := begin(r, toAlice)
	if e := exhaust(r, v.ID); e.Alerted || r.Sent() != 0 {
		t.Errorf("%+v, %d messages", e, r.Sent())
	}
}

// If it is unknown whether a wrong code was counted, nobody is warned.
func TestAWrongCodeThatMayNotBeCountedWarnsNobody(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		r := newUserRig(t, nil)
		r.Policy(func(p *otp.Policy) { p.MaxChecks = 1 })
		v, _ := begin(r, toUser)
		r.Table.Break(rig.FaultFrom(1, fault))
		if e := r.RefuseCheck(rig.ByID(v.ID, r.Wrong(v.ID)), problem.StorageUnavailable); e.Alerted {
			t.Errorf("%+v", e)
		}
		wantAlerts(r, channel.WhatsApp, 0)
	}
}
