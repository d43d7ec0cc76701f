package gatewaytest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/doubletest"
	"twofa/internal/testing/notifytest"
)

func number(n int) string { return strconv.Itoa(n) }

// Timed is a script of which the time is checked, on WhatsApp.
type Timed struct {
	Name     string
	Replies  []Reply
	Context  time.Duration // 0: without a deadline
	ValidFor time.Duration // 0: long enough
	Change   func(*Settings)
	Stuck    bool // dials never end

	Calls       int
	Least, Most time.Duration // how long Send takes
	RetryAfter  time.Duration // of the failure
	Ended       bool          // errors.Is DeadlineExceeded
	OK          bool          // the message is accepted
}

// RunTimed plays scripts and checks the time.
func (m Messenger) RunTimed(t *testing.T, scripts []Timed) {
	for _, tc := range scripts {
		t.Run(tc.Name, func(t *testing.T) {
			m.inBubble(t, tc.Change, func(t *testing.T, b bench, p *notifytest.Pipes) {
				p.Stuck.Store(tc.Stuck)
				b.Double.Next(tc.Replies...)
				ctx, message := t.Context(), Tracked()
				if tc.ValidFor > 0 {
					message.ValidFor = tc.ValidFor
				}
				if tc.Context > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.Context)
					defer cancel()
				}
				began := time.Now()
				err := b.senders[channel.WhatsApp].Send(ctx, message)
				if took := time.Since(began); took < tc.Least || took > tc.Most {
					t.Errorf("took %v, want %v to %v", took, tc.Least, tc.Most)
				}
				if got := b.Double.CallCount(); got != tc.Calls {
					t.Errorf("%d calls, want %d", got, tc.Calls)
				}
				if (err == nil) != tc.OK {
					t.Fatalf("Send returned %v", err)
				}
				if err == nil {
					return
				}
				if got := errors.Is(err, context.DeadlineExceeded); got != tc.Ended {
					t.Errorf("is DeadlineExceeded: %t, want %t (%v)", got, tc.Ended, err)
				}
				// Without a connection nothing was sent.
				if f := notifytest.Failure(t, err); f.RetryAfter != tc.RetryAfter || tc.Stuck && f.MayHaveSent || f.Unasked {
					t.Errorf("got %+v, want RetryAfter %v", f, tc.RetryAfter)
				}
			})
		})
	}
}

// time checks how long Send takes. It depends on the time-out of a try, the pauses and the
// remaining time.
func (m Messenger) time(t *testing.T) {
	hang, accept, raw := doubletest.Hang, doubletest.Accept, doubletest.Raw
	type script = []Reply
	throttled := func(after string) script { return script{m.Throttled.Reply.With("Retry-After", after), accept()} }
	const first, second = gateway.FirstPause, 2 * gateway.FirstPause // the longest pauses; the shortest are half as long
	short := Timed{Name: "the try's time-out can be set", Replies: script{hang(), hang(), accept()}, Calls: 2,
		Change: func(s *Settings) { s.Timeout = time.Second },
		Least:  2*time.Second + first/2, Most: 2*time.Second + first, Ended: true}
	if m.Repeatable { // there is time for a third try
		short.Calls, short.Least, short.Most, short.Ended, short.OK = 3, short.Least+second/2, short.Most+second, false, true
	}
	m.RunTimed(t, []Timed{
		short,
		{Name: "two time-outs leave no time for a third try", Replies: script{hang(), hang(), accept()}, Calls: 2,
			Least: 10*time.Second + first/2, Most: 10*time.Second + first, Ended: true},
		{Name: "TotalTimeout ends the second try", Replies: script{hang(), hang()}, Calls: 2,
			Change: func(s *Settings) { s.TotalTimeout = 9 * time.Second },
			Least:  9 * time.Second, Most: 9 * time.Second, Ended: true},
		{Name: "the caller's deadline ends the first try", Replies: script{hang(), accept()}, Calls: 1,
			Context: 3 * time.Second, Least: 3 * time.Second, Most: 3 * time.Second, Ended: true},
		{Name: "too little time is left for a second try", Replies: script{hang(), accept()}, Calls: 1,
			Context: 7 * time.Second, Least: 5 * time.Second, Most: 5 * time.Second, Ended: true},
		{Name: "just enough time is left", Replies: script{hang(), accept()}, Calls: 2,
			Context: 7*time.Second + 500*time.Millisecond + first, Least: 5*time.Second + first/2, Most: 5*time.Second + first, OK: true},
		{Name: "a slow answer inside the time-out", Replies: script{accept().After(4999 * time.Millisecond)}, Calls: 1,
			Least: 4999 * time.Millisecond, Most: 4999 * time.Millisecond, OK: true},
		{Name: "dialling never ends", Stuck: true, Calls: 0,
			Least: 10*time.Second + first/2, Most: 10*time.Second + first, Ended: true},

		{Name: "back-off without Retry-After", Replies: script{m.Throttled.Reply, m.Throttled.Reply, accept()}, Calls: 3,
			Least: first/2 + second/2, Most: first + second, OK: true},
		{Name: "Retry-After is kept", Replies: throttled("2"), Calls: 2, Least: 2 * time.Second, Most: 2 * time.Second, OK: true},
		{Name: "Retry-After as a date", Calls: 2, // the bubble's clock begins on 2000-01-01
			Replies: throttled("Sat, 01 Jan 2000 00:00:03 GMT"), Least: 3 * time.Second, Most: 3 * time.Second, OK: true},
		{Name: "Retry-After 0 does not skip the pause", Replies: throttled("0"), Calls: 2, Least: first / 2, Most: first, OK: true},
		{Name: "an invalid Retry-After", Replies: throttled("soon"), Calls: 2, Least: first / 2, Most: first, OK: true},
		{Name: "Retry-After beyond TotalTimeout", Replies: throttled("11"), Calls: 1, RetryAfter: 11 * time.Second},
		{Name: "Retry-After beyond the caller's deadline", Replies: throttled("2"), Calls: 1, Context: 4 * time.Second, RetryAfter: 2 * time.Second},
		{Name: "a huge Retry-After", Replies: throttled("4294967295"), Calls: 1, RetryAfter: 24 * time.Hour},
		{Name: "503 with Retry-After", Replies: script{raw(503, "").With("Retry-After", "3"), accept()}, Calls: 2,
			Least: 3 * time.Second, Most: 3 * time.Second, OK: true},
		{Name: "503 with a Retry-After that does not fit", Replies: script{raw(503, "").With("Retry-After", "60"), accept()}, Calls: 1, RetryAfter: time.Minute},
	})
}

// cancellation checks that the end of the caller's context ends Send at once.
func (m Messenger) cancellation(t *testing.T) {
	for _, tc := range []struct {
		name        string
		first       Reply
		after       time.Duration // 0: before Send
		calls, code int
		mayHaveSent bool
	}{
		{"before", doubletest.Accept(), 0, 0, 0, false},
		{"during a try", doubletest.Hang(), time.Second, 1, 0, true},
		{"during a pause", m.Throttled.Reply.With("Retry-After", "5"), time.Second, 1, m.Throttled.Failure.Code, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m.inBubble(t, nil, func(t *testing.T, b bench, p *notifytest.Pipes) {
				b.Double.Next(tc.first, doubletest.Accept())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.after == 0 {
					cancel()
				}
				time.AfterFunc(tc.after, cancel)
				began := time.Now()
				err := b.senders[channel.WhatsApp].Send(ctx, Message())
				if took := time.Since(began); took != tc.after {
					t.Errorf("took %v", took)
				}
				f := notifytest.Failure(t, err)
				if f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent != tc.mayHaveSent || f.Code != tc.code || !errors.Is(err, context.Canceled) {
					t.Errorf("got %v (%+v)", err, f)
				}
				if f.Unasked != (tc.calls == 0) {
					t.Errorf("Unasked is %t after %d calls", f.Unasked, tc.calls)
				}
				b.WantCalls(t, tc.calls, 0)
				if n := int(p.Dials.Load()); n != tc.calls {
					t.Errorf("%d dials", n)
				}
			})
		})
	}
}
