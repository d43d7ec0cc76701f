package otpverify_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/internal/window"
	"twofa/otpsend"
	"twofa/otpverify"
)

// shared is a service with n users who have numbers of their own and one mail address.
func shared(t *testing.T, n int) (*rig.Rig, []string) {
	t.Helper()
	r := newRig(t, channel.SMS, channel.Email)
	r.Policy(func(p *otp.Policy) { p.MaxSends, p.MaxSendsPerDay = otp.MaxCounted, otp.MaxCounted })
	var names []string
	for i := range n {
		name := fmt.Sprintf("canary-%02d", i)
		r.User(user.User{Name: name, Phone: fmt.Sprintf("+141555501%02d", i), Email: mail})
		names = append(names, name)
	}
	return r, names
}

// judged returns how many wrong codes of these requests are compared, and fails the
// test on any answer but a wrong code or a limit.
func judged(r *rig.Rig, requests ...otpverify.Request) (n int) {
	r.TB.Helper()
	for _, req := range requests {
		_, err := r.Check(req)
		switch {
		case problem.Is(err, problem.WrongCode):
			n++
		case !problem.Is(err, problem.TooManyChecks):
			r.TB.Errorf("got %v", err)
		}
	}
	return n
}

// The mail address of many users is the second address of each. Wrong codes of it are
// counted there, however the verification is named, and however the code went there.
func TestR18_WrongCodesCountAtTheSecondAddress(t *testing.T) {
	mailFirst := []channel.Channel{"email", "sms"}
	for name, tc := range map[string]struct {
		channels []channel.Channel
		begun    func(r *rig.Rig, id otp.ID)
		request  func(name string, id otp.ID) otpverify.Request
	}{
		"by id": {channels: mailFirst, request: func(_ string, id otp.ID) otpverify.Request { return rig.ByID(id, "") }},
		"by user": {channels: mailFirst, request: func(name string, _ otp.ID) otpverify.Request {
			return otpverify.Request{User: name}
		}},
		"by id and user": {channels: mailFirst, request: func(name string, id otp.ID) otpverify.Request {
			return otpverify.Request{ID: string(id), User: name}
		}},
		"by user and purpose": {channels: mailFirst, request: func(name string, _ otp.ID) otpverify.Request {
			return otpverify.Request{User: name, Purpose: "login", Factor: "message"}
		}},
		"resent over e-mail": {
			channels: []channel.Channel{"sms", "email"}, begun: func(r *rig.Rig, id otp.ID) { r.MustResend(id, "email") },
			request: func(_ string, id otp.ID) otpverify.Request { return rig.ByID(id, "") },
		},
		"fallen back to e-mail": {
			channels: []channel.Channel{"sms", "email"}, begun: func(r *rig.Rig, id otp.ID) { r.MustReport(id, 1, otp.Failed, undeliverable) },
			request: func(_ string, id otp.ID) otpverify.Request { return rig.ByID(id, "") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, names := shared(t, 6)
			var requests []otpverify.Request
			for _, name := range names {
				a := r.MustStart(otpsend.Request{User: name, Channels: tc.channels})
				if tc.begun != nil {
					tc.begun(r, a.ID)
				}
				req := tc.request(name, a.ID)
				req.Code = r.Wrong(a.ID)
				requests = append(requests, req, req, req, req, req, req)
			}
			if n := len(r.Sender(channel.Email).Sent()); n != len(names) {
				t.Fatalf("%d mails", n)
			}
			n, want := judged(r, requests...), r.Verify.Policy.MaxFailuresPerDay
			if failures := len(r.Recipient(mail).Tally(otp.Caller{}).Failures); n != want || failures != want {
				t.Errorf("%d wrong codes were compared, %d are counted at the mail address, want %d", n, failures, want)
			}
			// The address's own verifications are held, too, for a day.
			r.RefuseStart(otpsend.Request{To: mail}, problem.TooManyChecks)
			r.Advance(window.Day)
			r.MustStart(otpsend.Request{To: mail})
		})
	}
}

// A right code spends nothing at the second address, however often.
func TestR18_ARightCodeSpendsNothingAtTheSecondAddress(t *testing.T) {
	r, names := shared(t, 12)
	for i, name := range names {
		v, code := begin(r, otpsend.Request{User: name, Channels: []channel.Channel{"email", "sms"}})
		if i%2 == 0 {
			r.Approve(rig.ByID(v.ID, code))
		} else {
			r.Approve(otpverify.Request{User: name, Code: code})
		}
	}
	if n := len(r.Recipient(mail).Tally(otp.Caller{}).Failures); n != 0 {
		t.Errorf("%d wrong codes are counted", n)
	}
	// Nor does a check that compares no code.
	v, code := begin(r, otpsend.Request{User: names[0], Channels: []channel.Channel{"email", "sms"}})
	r.MustCancel(v.ID)
	r.RefuseCheck(rig.ByID(v.ID, code), problem.Canceled)
	r.RefuseCheck(otpverify.Request{User: names[0], Code: code}, problem.Canceled)
	if n := len(r.Recipient(mail).Tally(otp.Caller{}).Failures); n != 0 {
		t.Errorf("%d wrong codes are counted", n)
	}
}

// On a full day not even the right code is compared.
func TestR18_AFullSecondAddressComparesNothing(t *testing.T) {
	r, names := shared(t, 1)
	v, code := begin(r, otpsend.Request{User: names[0], Channels: []channel.Channel{"email", "sms"}})
	for range 2 {
		own := r.MustStart(otpsend.Request{To: mail})
		judged(r, rig.ByID(own.ID, r.Wrong(own.ID)), rig.ByID(own.ID, r.Wrong(own.ID)), rig.ByID(own.ID, r.Wrong(own.ID)),
			rig.ByID(own.ID, r.Wrong(own.ID)), rig.ByID(own.ID, r.Wrong(own.ID)))
	}
	for _, req := range []otpverify.Request{rig.ByID(v.ID, code), {User: names[0], Code: code}} {
		if e := r.RefuseCheck(req, problem.TooManyChecks); e.RetryAfter != window.Day || *e.ChecksLeft != 0 {
			t.Errorf("%+v", e)
		}
	}
	if home, kept := r.Verification(v.ID); kept.Checks != 0 || kept.Status != otp.Pending || len(home.Tally(otp.Caller{}).Failures) != 0 {
		t.Errorf("%+v", kept)
	}
}

// Attack 1, over many verifications: at most a day's wrong codes of the second address
// are compared, although each is in a row of its own.
func TestAttack01_ManyWrongCodesAtOnceAtOneSecondAddress(t *testing.T) {
	r, names := shared(t, 12)
	var requests []otpverify.Request
	for _, name := range names {
		v, _ := begin(r, otpsend.Request{User: name, Channels: []channel.Channel{"email", "sms"}})
		requests = append(requests, rig.ByID(v.ID, r.Wrong(v.ID)))
	}
	var alerted atomic.Int64
	kinds := r.ChecksAtOnce(60, func(i int) otpverify.Request { return requests[i%len(requests)] }, func(e *problem.Error) {
		if e.Alerted {
			alerted.Add(1)
		}
	})
	if kinds[problem.WrongCode] != 10 || kinds[problem.TooManyChecks] != 50 {
		t.Errorf("%v", kinds)
	}
	if n := len(alerts(r, channel.Email)); n > 1 || int64(n+len(alerts(r, channel.SMS))) != alerted.Load() {
		t.Errorf("%d alerts by mail, %d alerted", n, alerted.Load())
	}
}

// A lost reservation or a lost give-back never approves, and never frees a try.
func TestAttack16_StorageFaultsAroundAReservation(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		for at := 1; at <= 6; at++ {
			for _, right := range []bool{false, true} {
				r := newUserRig(t, nil, channel.SMS, channel.Email)
				v, code := begin(r, otpsend.Request{User: canary, Channels: []channel.Channel{"email", "sms"}})
				if !right {
					code = r.Wrong(v.ID)
				}
				r.Table.Break(rig.FaultFrom(at, fault))
				_, err := r.Check(rig.ByID(v.ID, code))
				r.Table.Break(nil)
				home, kept := r.Verification(v.ID)
				failures := len(r.Recipient(mail).Tally(otp.Caller{}).Failures)
				if err == nil && (!right || kept.Status != otp.Approved) || failures > 1 || failures < len(home.Tally(otp.Caller{}).Failures) {
					t.Errorf("fault %d from call %d, right %t: %v, %s, %d and %d failures", fault, at, right, err, kept.Status, len(home.Tally(otp.Caller{}).Failures), failures)
				}
			}
		}
	}
}

// An alert counts, and is limited to one an hour, at the address that it goes to.
func TestR18_AlertsAreLimitedAtTheAddressTheyReach(t *testing.T) {
	r, names := shared(t, 5)
	r.Policy(func(p *otp.Policy) { p.MaxFailuresPerDay = otp.MaxCounted })
	told := 0
	for _, name := range names {
		v, _ := begin(r, otpsend.Request{User: name, Channels: []channel.Channel{"email", "sms"}})
		if exhaust(r, v.ID).Alerted {
			told++
		}
	}
	// One mail in this hour; the others are warned at their numbers.
	wantAlerts(r, channel.Email, 1)
	wantAlerts(r, channel.SMS, 4)
	if row := r.Recipient(mail); told != 5 || len(row.Notices) != 1 || !row.Tally(otp.Caller{}).AlertedAt.Equal(noon) || len(row.Tally(otp.Caller{}).Sends) != 5 {
		t.Errorf("%d alerted, the mail address's row has %d notices", told, len(row.Notices))
	}
	// The mail address's own verification shares that hour.
	own := r.MustStart(otpsend.Request{To: mail})
	if exhaust(r, own.ID).Alerted {
		t.Error("a second mail in the hour")
	}
	r.Advance(time.Hour)
	own = r.MustStart(otpsend.Request{To: mail})
	if !exhaust(r, own.ID).Alerted {
		t.Error("no mail after the hour")
	}
	wantAlerts(r, channel.Email, 2)
}

// An alert costs two round trips more.
func TestAnAlertsRoundTrips(t *testing.T) {
	r := newRig(t, channel.SMS)
	r.Policy(func(p *otp.Policy) { p.MaxChecks = 1 })
	v, _ := begin(r, toAlice)
	wrong := r.Wrong(v.ID)
	if got := r.Trips(func(ctx context.Context) { _, _ = r.Verify.Check(ctx, rig.ByID(v.ID, wrong)) }); got != 4 {
		t.Errorf("%d round trips, want 4", got)
	}
}
