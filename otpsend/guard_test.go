package otpsend_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"twofa/handler"
	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/guard"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

// The limits over many addresses, as requests meet them. Their own rules are tested in
// internal/guard.

// slowTable is a table in memory whose round trips take a millisecond each.
type slowTable struct {
	store.Table // nil: other methods are not called
	mu          sync.Mutex
	rows        map[store.Key][]byte
}

func (s *slowTable) read(ctx context.Context, key store.Key) []byte {
	store.CountTrip(ctx)
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[key]
}

func (s *slowTable) Get(ctx context.Context, key store.Key) (store.Row, error) {
	data := s.read(ctx, key)
	if data == nil {
		return store.Row{}, store.ErrNotFound
	}
	return store.Row{Data: data}, nil
}

func (s *slowTable) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	for {
		old := s.read(ctx, key)
		row, err := fn(bytes.Clone(old))
		if errors.Is(err, store.SkipWrite) {
			return nil
		} else if err != nil {
			return err
		}
		store.CountTrip(ctx)
		time.Sleep(time.Millisecond)
		s.mu.Lock()
		unchanged := bytes.Equal(s.rows[key], old)
		if unchanged {
			s.rows[key] = row.Data
		}
		s.mu.Unlock()
		if unchanged {
			return nil
		}
	}
}

// recorder accepts every message.
type recorder struct{ last notify.Message }

func (r *recorder) Send(_ context.Context, m notify.Message) error {
	r.last = m
	return nil
}

// slow is a service over a slowTable, with these limits.
func slow(t *testing.T, limits guard.Limits) (*handler.API, *recorder) {
	t.Helper()
	sender := new(recorder)
	settings := config.Settings{Policy: otp.DefaultPolicy(), Channels: []channel.Channel{channel.WhatsApp}, Limits: limits}
	settings.Policy.ResendAfter = 0
	return app.New(settings, app.Parts{
		Table: &slowTable{rows: make(map[store.Key][]byte)}, Keys: fixture.Keys(t, 1), Log: slog.New(slog.DiscardHandler),
		Messenger: app.Messenger{Senders: notify.Senders{channel.WhatsApp: sender}}, Now: time.Now,
	}), sender
}

// every limit is on, and far away.
var every = guard.Limits{PerIP: 1000, PerIPPerDay: 1000, PagePerIP: 1000, PagePerIPPerDay: 1000, AnonymousPerDay: 1000}

// A start and a resend take at most one more round trip in sequence with all limits than
// without. A resend that does not name the origin of a typed address takes one more than
// that. A check takes none. The sender takes no time, so nothing hides the counters.
func TestLimits_TakeAtMostOneMoreRoundTripInSequence(t *testing.T) {
	t.Parallel()
	shop := client.Client{ID: "shop", Directory: client.MainDirectory, MaxSendsPerDay: 1000}
	for name, tc := range map[string]struct {
		limits                           guard.Limits
		origin                           string
		start, resend, withoutOrigin, ok int // round trips in sequence, which take 1 ms each
	}{
		"no limits, server": {guard.Limits{}, "server", 2, 2, 2, 2},
		"no limits, typed":  {guard.Limits{}, "typed", 2, 2, 3, 2},
		"limits, server":    {every, "server", 3, 3, 3, 2},
		"limits, typed":     {every, "typed", 3, 3, 4, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api, sender := slow(t, tc.limits)
				asking := shop
				if tc.limits == (guard.Limits{}) {
					asking.MaxSendsPerDay = 0
				}
				ctx := client.With(t.Context(), asking)
				takes := func(what string, want int, call func() error) {
					t.Helper()
					began := time.Now()
					if err := call(); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					if got := time.Since(began); got != time.Duration(want)*time.Millisecond {
						t.Errorf("%s takes %v, want %d ms", what, got, want)
					}
				}
				const ip = "2001:db8::7"
				var id string
				start := func(to string) func() error {
					return func() error {
						a, _, err := api.Send.Start(ctx, otpsend.Request{To: to, Origin: tc.origin, ClientIP: ip}, "")
						id = string(a.ID)
						return err
					}
				}
				resend := func(origin string) func() error {
					return func() error {
						_, _, err := api.Send.Resend(ctx, id, otpsend.ResendRequest{Origin: origin, ClientIP: ip}, "")
						return err
					}
				}
				takes("the first start", tc.start, start(alice))
				takes("a start", tc.start, start(fixture.Bob))
				takes("a resend", tc.resend, resend(tc.origin))
				takes("a start", tc.start, start("+14155550124"))
				takes("a resend without origin", tc.withoutOrigin, resend(""))
				takes("a check", tc.ok, func() error {
					_, err := api.Verify.Check(ctx, otpverify.Request{ID: id, Code: sender.last.Code})
					return err
				})
			})
		})
	}
}

// A resend of a typed address counts as typed, whether or not it names the origin: one that
// does not costs one more round trip, and it is counted once.
func TestResend_OfATypedAddressCountsAsTyped(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		origin string
		trips  int64
	}{
		// Two of the row; one read and two of a write for the counter of the client address.
		"named":    {"typed", 5},
		"left out": {"", 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const ip = "203.0.113.7"
			r := rig.With(t, func(s *config.Settings, _ *app.Parts) { s.Limits = guard.Limits{PagePerIP: 3} }, channel.WhatsApp)
			r.Policy(withoutPause)
			id := string(r.MustStart(otpsend.Request{To: alice, Origin: "typed", ClientIP: ip}).ID)
			trips := r.Trips(func(ctx context.Context) {
				if _, _, err := r.Send.Resend(ctx, id, otpsend.ResendRequest{Origin: tc.origin, ClientIP: ip}, ""); err != nil {
					t.Fatal(err)
				}
			})
			if trips != tc.trips {
				t.Errorf("%d round trips, want %d", trips, tc.trips)
			}
			// Start and resend are two of three.
			r.MustStart(otpsend.Request{To: fixture.Bob, Origin: "typed", ClientIP: ip})
			r.RefuseStart(otpsend.Request{To: "+14155550124", Origin: "typed", ClientIP: ip}, problem.TooManySends)
			if r.Sent() != 3 {
				t.Errorf("%d messages, want 3", r.Sent())
			}
		})
	}
}

// A refusal by a limit over many addresses leaves the recipient's row as it was.
func TestLimits_ARefusalChangesNothingOfTheRecipient(t *testing.T) {
	t.Parallel()
	r := rig.With(t, func(s *config.Settings, _ *app.Parts) { s.Limits = guard.Limits{PerIP: 1} }, channel.WhatsApp)
	r.Policy(withoutPause)
	id := r.MustStart(otpsend.Request{To: alice, ClientIP: "203.0.113.7"}).ID
	before := r.Status(id)
	for _, refuse := range []func() error{
		func() error { _, err := r.Start(otpsend.Request{To: alice, ClientIP: "203.0.113.7"}); return err },
		func() error {
			_, _, err := r.Send.Resend(r.Ctx(), string(id), otpsend.ResendRequest{ClientIP: "203.0.113.7"}, "")
			return err
		},
	} {
		if e := r.Refused(refuse(), problem.TooManySends); e.RetryAfter <= 0 || e.RetryAfter > time.Hour+time.Minute || e.ChecksLeft != nil {
			t.Errorf("%+v", e)
		}
	}
	if after := r.Status(id); after.SendsLeft != before.SendsLeft || after.Status != otp.Pending || r.Sent() != 1 {
		t.Errorf("%+v, before %+v", after, before)
	}
}
