package otpsend_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/guard"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/internal/store"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// told is what one request of a sign-in page tells, and what it leaves behind.
type told struct {
	step  string
	shown *session.Sent
	err   error
	trips int64
	log   []string // the request's log line, without what a message that was sent adds
	row   otp.Recipient
}

// signIn is the page session of a person who types an address.
type signIn struct {
	*rig.Rig
	t      *testing.T
	to     string
	silent bool
	page   session.Page
	id     otp.ID
	told   []told
}

// said are the fields of the log that say that a message was sent.
var said = []string{"sent", "provider", "provider_ms", "alerted"}

// step makes one request and notes what it tells.
func (s *signIn) step(name string, request func(ctx context.Context) (*session.Sent, error)) {
	s.t.Helper()
	ctx, line := reqlog.With(context.Background())
	ctx, trips := store.WithTrips(ctx)
	shown, err := request(ctx)
	one := told{step: name, shown: shown, err: err, trips: trips.Load(), row: s.Recipient(s.to)}
	for i := range one.row.Verifications { // the only thing that is drawn for each start
		one.row.Verifications[i].Nonce = [16]byte{}
	}
	for _, a := range line.Attrs() {
		if !slices.Contains(said, a.Key) {
			one.log = append(one.log, a.String())
		} else if s.silent {
			s.t.Errorf("%s: the log says %s", name, a)
		}
	}
	s.told = append(s.told, one)
}

func (s *signIn) from(once string, network byte) otpsend.FromPage {
	return otpsend.FromPage{
		Page: s.page, Once: once, Addr: netip.AddrFrom4([4]byte{203, 0, network, 9}), Silent: s.silent,
		Bind: func(context.Context, otp.RowKey, otp.ID) error { return nil },
	}
}

func (s *signIn) start(once string, network byte) {
	s.t.Helper()
	s.step("start "+once, func(ctx context.Context) (*session.Sent, error) {
		shown, err := s.Send.StartOnPage(ctx, s.from(once, network), s.to)
		if err == nil {
			s.id = shown.ID
		} else if e, ok := errors.AsType[*problem.Error](err); ok && e.ID != "" {
			s.id = otp.ID(e.ID)
		}
		return shown, err
	})
}

func (s *signIn) resend(once string, network byte) {
	s.t.Helper()
	s.step("resend "+once, func(ctx context.Context) (*session.Sent, error) {
		return s.Send.ResendOnPage(ctx, s.from(once, network), s.id, "")
	})
}

// check types a wrong code. In a silent sign-in it types the right one, which nobody was
// sent.
func (s *signIn) check() {
	s.t.Helper()
	code := s.Wrong(s.id)
	if s.silent {
		code = s.Code(s.id)
	}
	s.step("check", func(ctx context.Context) (*session.Sent, error) {
		_, err := s.Verify.CheckOnPage(ctx, otpverify.PageCheck{Page: s.page, ID: s.id, Factor: otpverify.FactorMessage, Code: code, Silent: s.silent})
		return nil, err
	})
}

// tries makes ten starts, six resends and twelve checks, with repetitions of forms between
// them.
func (s *signIn) tries() {
	s.t.Helper()
	for i := range 10 {
		network := byte(i)
		s.start(fmt.Sprint("start", i), network)
		s.start(fmt.Sprint("start", i), network+100) // the same form again
		if i < 6 {
			s.resend(fmt.Sprint("soon", i), network)
			s.Advance(40 * time.Second)
			s.resend(fmt.Sprint("resend", i), network)
			s.resend(fmt.Sprint("resend", i), network)
			s.check()
			s.check()
		}
		s.Advance(40 * time.Second)
		if i == 4 {
			s.Advance(25 * time.Hour) // another day, with counters of its own
		}
	}
}

// An address without an account is answered, counted and kept as one with an account. Only
// the messages are missing, and no code is right.
func TestR23_SilentStart_IsAsOneThatSends(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		to     string
		limits guard.Limits // how much of their reading ends with a refusal is not certain
		after  func(*rig.Rig)
		none   bool // nothing is ever sent
	}{
		"a number":                          {to: alice},
		"a mail with links":                 {to: mail},
		"limits over many addresses":        {to: alice, limits: guard.Limits{AnonymousPerDay: 3, PagePerIP: 9}},
		"a channel that is gone":            {to: alice, after: func(r *rig.Rig) { delete(r.Delivery.Senders, channel.WhatsApp) }},
		"one message for each verification": {to: alice, after: func(r *rig.Rig) { r.Policy(func(p *otp.Policy) { p.MaxSends = 1 }) }},
		"a test number":                     {to: alice, after: func(r *rig.Rig) { r.TestNumbers(testNumbersOf(r, otp.EndsDelivered)) }, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			visit := func(silent bool) *signIn {
				r := rig.With(t, func(s *config.Settings, _ *app.Parts) {
					s.Limits, s.MagicLinks, s.PublicURL = tc.limits, true, "https://twofa.example.com"
				}, channel.WhatsApp, channel.SMS, channel.Email)
				if tc.after != nil {
					tc.after(r)
				}
				s := &signIn{Rig: r, t: t, to: tc.to, silent: silent}
				s.page = session.Page{Version: 1, Session: otp.Session{7}, Purpose: "sign-in", Origin: otp.OriginTyped, ExpiresAt: noon.Add(48 * time.Hour).Unix()}
				s.tries()
				return s
			}
			known, silent := visit(false), visit(true)
			sent := 0
			for c := range known.Delivery.Senders {
				sent += len(known.Sender(c).Sent())
				if m := silent.Sender(c).Sent(); len(m) > 0 {
					t.Errorf("%d messages over %s", len(m), c)
				}
			}
			if sent == 0 != tc.none {
				t.Errorf("%d messages to the address that has an account", sent)
			}
			warned := false
			for i, want := range known.told {
				e, _ := errors.AsType[*problem.Error](want.err)
				warned = warned || e != nil && e.Alerted
				silent.told[i].wantAs(t, want, tc.limits == (guard.Limits{}))
			}
			if warned == tc.none {
				t.Errorf("a warning of wrong codes went to the address that has an account: %t", warned)
			}
		})
	}
}

// testNumbersOf makes Alice's number a test number for the days of a test.
func testNumbersOf(r *rig.Rig, ending otp.Ending) otp.TestNumbers {
	const code = "424242"
	r.Secret("a code", code)
	return otp.TestNumbers{Scenarios: map[string]otp.Scenario{alice: {Ending: ending, Code: code}}, Until: noon.Add(72 * time.Hour)}
}

// wantAs fails the test unless what was told is what one with an account is told.
func (got told) wantAs(t *testing.T, want told, trips bool) {
	t.Helper()
	switch {
	case !reflect.DeepEqual(got.row, want.row):
		t.Fatalf("%s: the row is\n%+v, of an account\n%+v", want.step, got.row, want.row)
	case !reflect.DeepEqual(got.shown, want.shown), !reflect.DeepEqual(got.err, want.err):
		t.Fatalf("%s: answered %+v %v, of an account %+v %v", want.step, got.shown, got.err, want.shown, want.err)
	case !slices.Equal(got.log, want.log):
		t.Fatalf("%s: the log has %s, of an account %s", want.step, got.log, want.log)
	case trips && got.trips != want.trips:
		t.Fatalf("%s: %d round trips, of an account %d", want.step, got.trips, want.trips)
	}
}
