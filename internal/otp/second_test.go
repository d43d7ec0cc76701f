package otp_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// toBoth starts a verification whose code goes over those channels.
func toBoth(t *testing.T, first channel.Channel, more ...channel.Channel) (*rig, otp.Verification) {
	r := newRig(t, quiet())
	v := r.startOver(append([]channel.Channel{first}, more...)...)
	for _, c := range more {
		wantKind(t, r.resend(v, c), "")
	}
	return r, r.found(v)
}

// A code that went to the second address is compared only after a wrong code was
// reserved there.
func TestR18_ACodeAtTheSecondAddressNeedsAReservationThere(t *testing.T) {
	for name, tc := range map[string]struct {
		workflow []channel.Channel
		news     []otp.DeliveryStatus
		want     bool
	}{
		"to the number":                {[]channel.Channel{"whatsapp"}, nil, false},
		"to the number, not yet mail":  {[]channel.Channel{"sms", "call"}, nil, false},
		"to the mail first":            {[]channel.Channel{"email", "sms"}, nil, true},
		"to the mail last":             {[]channel.Channel{"sms", "email"}, nil, true},
		"to the mail, delivered":       {[]channel.Channel{"sms", "email"}, []otp.DeliveryStatus{otp.Failed, otp.Delivered}, true},
		"the mail failed":              {[]channel.Channel{"sms", "email"}, []otp.DeliveryStatus{otp.Sent, otp.Failed}, false},
		"the mail failed, and arrived": {[]channel.Channel{"email", "sms"}, []otp.DeliveryStatus{otp.Read}, true},
	} {
		r, v := toBoth(t, tc.workflow[0], tc.workflow[1:]...)
		r.reportAll(v, tc.news...)
		for _, code := range []string{codeOf(t, v), wrongCode(codeOf(t, v))} {
			for _, reserved := range []*otp.Reservation{nil, {Address: fixture.Bob, Left: 9}, {Left: 9}} {
				kept, _, err := otp.Check(r.kept, otp.CheckRequest{ID: v.ID, Code: code, Reserved: reserved}, r.keys, r.policy, r.now)
				needed, ok := errors.AsType[*otp.NeedsReservationError](err)
				if ok != tc.want || ok && (needed.Address != fixture.AliceMail || !same(kept, r.kept) || needed.Error() == "") {
					t.Errorf("%s: %v, want a reservation: %t", name, err, tc.want)
				}
			}
		}
		_, _, err := otp.Check(r.kept, otp.CheckRequest{ID: v.ID, Code: codeOf(t, v), Reserved: &otp.Reservation{Address: fixture.AliceMail}}, r.keys, r.policy, r.now)
		if wantKind(t, err, ""); err != nil {
			t.Errorf("%s: with a reservation: %v", name, err)
		}
	}
}

// The answer's checks_left is that of the address that has fewer.
func TestR18_ChecksLeftCountsBothAddresses(t *testing.T) {
	for left, want := range map[int]int{0: 0, 1: 1, 3: 3, 4: 4, 9: 4} {
		r, v := toBoth(t, "email", "sms")
		err := r.checkWith(otp.CheckRequest{ID: v.ID, Code: wrongCode(codeOf(t, v)), Reserved: &otp.Reservation{Address: fixture.AliceMail, Left: left}})
		if e := wantKind(t, err, problem.WrongCode); *e.ChecksLeft != want || e.Alerted != (want == 0) {
			t.Errorf("%d left at the second address: %d checks left, alerted %t", left, *e.ChecksLeft, e.Alerted)
		}
	}
}

func TestReserve_CountsAWrongCodeUntilTheDayIsFull(t *testing.T) {
	var r otp.Recipient
	p := quiet()
	p.MaxFailuresPerDay = 3
	var last otp.Reservation
	for i := range 3 {
		now := fixture.Noon.Add(time.Duration(i) * time.Minute)
		next, reserved, err := otp.Reserve(r, fixture.AliceMail, server, p, now)
		if wantKind(t, err, ""); len(next.Tally(server).Failures) != i+1 || next.Address != fixture.AliceMail ||
			reserved != (otp.Reservation{Address: fixture.AliceMail, At: now, Left: 2 - i, Wait: []time.Duration{0, 0, window.Day - 2*time.Minute}[i]}) {
			t.Errorf("reservation %d: %+v, %+v", i, reserved, next)
		}
		r, last = next, reserved
	}
	now := fixture.Noon.Add(time.Hour)
	kept, _, err := otp.Reserve(r, fixture.AliceMail, server, p, now)
	if wantRefusal(t, err, problem.TooManyChecks, window.Day-time.Hour); !same(kept, r) {
		t.Errorf("a refused reservation changed the recipient: %+v", kept)
	}
	_, _, err = otp.Reserve(r, fixture.Bob, server, p, now)
	wantKind(t, err, problem.Internal)

	for name, reserved := range map[string]otp.Reservation{
		"of another time":    {Address: fixture.AliceMail, At: last.At.Add(ms)},
		"of another address": {Address: fixture.Bob, At: last.At},
		"none":               {},
	} {
		if got := otp.GiveBack(r, reserved, now); !same(got, r) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if r = otp.GiveBack(r, last, now); len(r.Tally(server).Failures) != 2 || !r.Tally(server).Failures[1].Equal(fixture.Noon.Add(time.Minute)) {
		t.Errorf("after the last was given back: %v", r.Tally(server).Failures)
	}
	if _, _, err = otp.Reserve(r, fixture.AliceMail, server, p, now); err != nil {
		t.Error(err)
	}
	r, _, err = otp.Reserve(r, fixture.AliceMail, server, p, now)
	wantKind(t, err, "")
	wantKind(t, r.Settle(now).SendRefusal(server, p, now), problem.TooManyChecks) // a code that cannot be checked is not sent
}

// Of two wrong codes of one moment, one is given back.
func TestGiveBack_TakesOne(t *testing.T) {
	r, reserved, err := otp.Reserve(otp.Recipient{}, fixture.AliceMail, server, quiet(), fixture.Noon)
	wantKind(t, err, "")
	r, _, err = otp.Reserve(r, fixture.AliceMail, server, quiet(), fixture.Noon)
	wantKind(t, err, "")
	if r = otp.GiveBack(r, reserved, fixture.Noon); len(r.Tally(server).Failures) != 1 {
		t.Errorf("%v", r.Tally(server).Failures)
	}
}

// A verification for a user is refused, and ended, unless every message went to an
// address that the user still has.
func TestR19_ACodeThatWentToAFormerAddressIsRefused(t *testing.T) {
	both := []string{fixture.Alice, fixture.AliceMail}
	for name, tc := range map[string]struct {
		workflow  []channel.Channel
		addresses []string
		want      problem.Kind
	}{
		"still both":                      {[]channel.Channel{"sms", "email"}, both, ""},
		"still the number alone":          {[]channel.Channel{"sms"}, both[:1], ""},
		"another number":                  {[]channel.Channel{"sms"}, []string{fixture.Bob, fixture.AliceMail}, problem.Canceled},
		"another mail":                    {[]channel.Channel{"email", "sms"}, []string{fixture.Alice, "bob@example.com"}, problem.Canceled},
		"another mail, after the number":  {[]channel.Channel{"sms", "email"}, []string{fixture.Alice, "bob@example.com"}, problem.Canceled},
		"no mail any more":                {[]channel.Channel{"sms", "email"}, both[:1], problem.Canceled},
		"no number any more":              {[]channel.Channel{"sms", "email"}, both[1:], problem.Canceled},
		"no address, or no user any more": {[]channel.Channel{"sms"}, []string{}, problem.Canceled},
		"inbound, still the number":       {[]channel.Channel{channel.Inbound}, both, ""},
		"inbound, another number":         {[]channel.Channel{channel.Inbound}, both[1:], problem.Canceled},
	} {
		for _, known := range []bool{false, true} {
			r := newRig(t, quiet())
			v := r.startWith(func(req *otp.StartRequest) {
				req.Workflow, req.User, req.Other = tc.workflow, "u1", fixture.AliceMail
			})
			for _, c := range tc.workflow[1:] {
				wantKind(t, r.resend(v, c), "")
			}
			code := codeOf(t, v)
			if r.found(v).Inbound() {
				_, err := r.confirm(code)
				wantKind(t, err, "")
			}
			check := func(code string, addresses []string) (err error) {
				req := otp.CheckRequest{ID: v.ID, Code: code, Addresses: addresses, Reserved: &otp.Reservation{Address: fixture.AliceMail, Left: 9}}
				if r.found(v).Inbound() {
					_, err = r.claim(req)
					return err
				}
				return r.checkWith(req)
			}
			if !known {
				r.unchanged("a right code without the addresses", func() {
					if err := check(code, nil); !errors.Is(err, otp.ErrNeedsUser) {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			wantKind(t, check(code, tc.addresses), tc.want)
			if tc.want == "" {
				continue
			}
			if status := r.status(v); status != otp.Canceled || r.found(v).Checks != 0 || r.found(v).Claimed {
				t.Errorf("%s: the verification is %s, %+v", name, status, r.found(v))
			}
			wantKind(t, check(code, both), problem.Canceled) // the address came back
		}
	}
}

// A verification without a user needs no addresses.
func TestR19_WithoutAUserNoAddressIsNeeded(t *testing.T) {
	for _, addresses := range [][]string{nil, {}, {fixture.Bob}} {
		r, v := begin(t, quiet())
		wantKind(t, r.checkWith(otp.CheckRequest{ID: v.ID, Code: codeOf(t, v), Addresses: addresses}), "")
	}
}

// A wrong context of an approved inbound verification is answered and counted as a
// wrong code, and ends it after as many.
func TestR6_AWrongContextOfAnInboundApprovalIsAWrongCode(t *testing.T) {
	bound := otp.Transaction{Amount: "EUR 25.00", Payee: "Acme"}
	contexts := []otp.Transaction{{}, {Amount: "EUR 25.00"}, {Payee: "Acme"}, {Amount: "EUR 25.01", Payee: "Acme"}, {Amount: "Acme", Payee: "EUR 25.00"}}
	for _, arrived := range []bool{false, true} {
		in, out := newRig(t, quiet()), newRig(t, quiet())
		v := in.startWith(func(req *otp.StartRequest) { req.Workflow, req.Transaction = []channel.Channel{channel.Inbound}, bound })
		sent := out.startWith(func(req *otp.StartRequest) { req.Transaction = bound })
		if arrived {
			_, err := in.confirm(codeOf(t, v))
			wantKind(t, err, "")
		}
		for i, c := range contexts {
			_, err := in.claim(otp.CheckRequest{ID: v.ID, Transaction: c})
			got := wantKind(t, err, problem.WrongCode)
			want := wantKind(t, out.checkWith(otp.CheckRequest{ID: sent.ID, Code: codeOf(t, sent), Transaction: c}), problem.WrongCode)
			if fmt.Sprintf("%+v %d", *got, *got.ChecksLeft) != fmt.Sprintf("%+v %d", *want, *want.ChecksLeft) && (*got.ChecksLeft != *want.ChecksLeft || got.Alerted != want.Alerted || got.Detail != want.Detail) {
				t.Errorf("%+v: got %+v, want %+v as for a wrong code", c, got, want)
			}
			if len(in.kept.Tally(server).Failures) != i+1 || in.found(v).Checks != i+1 {
				t.Errorf("%+v: %d failures, %d checks", c, len(in.kept.Tally(server).Failures), in.found(v).Checks)
			}
		}
		_, err := in.claim(otp.CheckRequest{ID: v.ID, Transaction: bound})
		if wantKind(t, err, problem.TooManyChecks); in.status(v) != otp.Exhausted {
			t.Errorf("arrived %t: %s", arrived, in.status(v))
		}
	}
}

// The daily limit of the address holds, too, and a right question costs nothing.
func TestR4_AWrongContextOfAnInboundApprovalCountsAtTheAddress(t *testing.T) {
	r := newRig(t, quiet())
	r.policy.MaxFailuresPerDay = 7
	r.wrongTimes(r.start("a"), 5)
	v := r.startOver(channel.Inbound)
	for range 20 {
		r.unchanged("a question", func() {
			_, err := r.claim(otp.CheckRequest{ID: v.ID})
			wantKind(t, err, problem.NotYetApproved)
		})
	}
	wrong := otp.CheckRequest{ID: v.ID, Transaction: otp.Transaction{Payee: "Acme"}}
	for _, want := range []problem.Kind{problem.WrongCode, problem.WrongCode, problem.TooManyChecks} {
		_, err := r.claim(wrong)
		wantKind(t, err, want)
	}
	_, err := r.confirm(codeOf(t, v))
	wantKind(t, err, "")
	r.unchanged("a right claim on a full day", func() {
		_, err := r.claim(otp.CheckRequest{ID: v.ID})
		wantKind(t, err, problem.TooManyChecks)
	})
	r.policy.MaxFailuresPerDay, r.policy.MaxChecks = 100, 2 // the operator lowers a limit
	_, err = r.claim(otp.CheckRequest{ID: v.ID})
	wantKind(t, err, problem.TooManyChecks)
}
