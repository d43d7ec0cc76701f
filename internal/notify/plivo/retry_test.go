package plivo

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
)

// Each script leads to an exact number of API calls and of messages to the person.
func TestRetries(t *testing.T) {
	accept, refuse, raw, hang, drop := plivotest.Accept, plivotest.Refuse, plivotest.Raw, plivotest.Hang, plivotest.Drop
	unavailable := func(detail string) *notify.Failure {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Unexplained: strings.HasPrefix(detail, "refused with"), Detail: detail}
	}
	ambiguous := func(detail string) *notify.Failure {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true, Detail: detail}
	}
	redirected := &notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "PLIVO_BASE_URL", Next: accountIsWrong, Detail: "redirect refused"}
	const (
		id      = "5b40a428-bfc7-4daf-9d06-726c558bf3b8"
		foreign = "unexpected success 202"
	)
	type script []plivotest.Reply
	for _, tc := range []struct {
		name     string
		replies  script
		refused  int64 // dials
		calls    int
		accepted int
		want     *notify.Failure
	}{
		{"accepted", script{accept()}, 0, 1, 1, nil},

		{"time-out, then accepted", script{hang(), accept()}, 0, 2, 1, nil},
		{"time-out twice", script{hang(), hang(), accept()}, 0, 2, 0, ambiguous("no answer")},
		{"time-out after accepting, twice", script{hang().Accepting(), hang().Accepting(), accept()}, 0, 2, 2, ambiguous("no answer")},
		{"lost, then accepted", script{drop(), accept()}, 0, 2, 1, nil},
		{"lost after accepting, then accepted: one message too many", script{drop().Accepting(), accept()}, 0, 2, 2, nil},
		{"lost twice", script{drop(), drop(), accept()}, 0, 2, 0, ambiguous("no answer")},
		{"500, then accepted", script{refuse(500), accept()}, 0, 2, 1, nil},
		{"500 twice", script{refuse(500), refuse(500), accept()}, 0, 2, 0, ambiguous("server error 500")},
		{"an empty 502 twice", script{raw(502, "<html>Bad Gateway"), raw(502, ""), accept()}, 0, 2, 0, ambiguous("server error 502")},
		{"a status that HTTP does not define", script{raw(999, ""), raw(999, ""), accept()}, 0, 2, 0, ambiguous("server error 999")},
		{"503 then time-out", script{raw(503, ""), hang(), accept()}, 0, 2, 0, ambiguous("no answer")},
		{"an id in a 500", script{raw(500, `{"message_uuid":["`+id+`"]}`), accept()}, 0, 2, 1, nil},

		{"429, then accepted", script{refuse(429), accept()}, 0, 2, 1, nil},
		{"429 twice, then accepted", script{refuse(429), refuse(429), accept()}, 0, 3, 1, nil},
		{"429 always", script{refuse(429), refuse(429), refuse(429), accept()}, 0, 3, 0, unavailable("too many requests")},
		{"429 without JSON, then accepted", script{raw(429, "slow down"), accept()}, 0, 2, 1, nil},
		{"429, then time-out, then accepted", script{refuse(429), hang(), accept()}, 0, 3, 1, nil},
		{"429, then lost twice", script{refuse(429), drop(), drop(), accept()}, 0, 3, 0, ambiguous("no answer")},
		{"what follows an ambiguous failure is the last try", script{hang(), refuse(429), accept()}, 0, 2, 0, ambiguous("too many requests")},
		{"a refusal does not undo that the first may have sent", script{hang().Accepting(), refuse(401), accept()}, 0, 2, 1,
			&notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "PLIVO_AUTH_TOKEN", MayHaveSent: true, Next: accountIsWrong, Detail: "refused with status 401"}},

		{"400", script{refuse(400), accept()}, 0, 1, 0, unavailable("refused with status 400")},
		{"400 without JSON", script{raw(400, "no"), accept()}, 0, 1, 0, unavailable("refused with status 400")},

		{"dial refused once", script{accept()}, 1, 1, 1, nil},
		{"dial refused twice", script{accept()}, 2, 1, 1, nil},
		{"dial refused always", script{accept()}, 100, 0, 0, unavailable("no connection")},
		{"dial refused, then lost, then accepted", script{drop(), accept()}, 1, 2, 1, nil},
		{"dial refused, then lost twice", script{drop(), drop(), accept()}, 1, 2, 0, ambiguous("no answer")},

		{"202 that is a page", script{raw(202, "<html>"), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"202 without a body", script{raw(202, ""), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"202 without an id", script{raw(202, `{"message":"message(s) queued"}`), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"202 with no id in its list", script{raw(202, `{"message_uuid":[]}`), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"202 with two ids", script{raw(202, `{"message_uuid":["`+id+`","`+id+`"]}`), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"202 with something else as id", script{raw(202, `{"message_uuid":["1"]}`), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"202 with an id and an error", script{raw(202, `{"message_uuid":["`+id+`"],"error":"no"}`), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"202 of a message and a call", script{raw(202, `{"message_uuid":["`+id+`"],"request_uuid":"`+id+`"}`), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"202 with more behind it", script{raw(202, `{"message_uuid":["`+id+`"]}{}`), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"202 too long to read", script{raw(202, `{"message":"`+strings.Repeat("x", 2*gateway.MaxBody)+`","message_uuid":["`+id+`"]}`), accept()}, 0, 1, 0, ambiguous(foreign)},
		{"200 with an id", script{raw(200, `{"message_uuid":["`+id+`"]}`), accept()}, 0, 1, 0, nil},
		{"201 with a call", script{raw(201, `{"request_uuid":"`+id+`","error":null}`), accept()}, 0, 1, 0, nil},
		{"200 with a proxy's page", script{raw(200, "<html>Sign in"), accept()}, 0, 1, 0, ambiguous("unexpected success 200")},
		{"204", script{raw(204, ""), accept()}, 0, 1, 0, ambiguous("unexpected success 204")},

		{"redirect", script{plivotest.Redirect("/v1/elsewhere"), accept()}, 0, 1, 0, redirected},
		{"303", script{raw(303, "").With("Location", "/"), accept()}, 0, 1, 0, redirected},
	} {
		for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS} {
			t.Run(string(c)+"/"+tc.name, func(t *testing.T) {
				inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
					p.Refused.Store(tc.refused)
					r.Next(tc.replies...)
					err := r.sender(c).Send(t.Context(), tracked())
					switch {
					case tc.want == nil && err != nil:
						t.Errorf("Send returned %v", err)
					case tc.want != nil:
						if got := notifytest.Failure(t, err); *got != *tc.want {
							t.Errorf("Send failed with\n %+v\nwant\n %+v", got, tc.want)
						}
					}
					r.wantCalls(t, tc.calls, tc.accepted)
					for _, m := range r.Accepted() {
						carries := m.CopiedCode == code || strings.Contains(m.Text, code)
						if m.Channel != c || "+"+m.To != recipient || !carries {
							t.Errorf("another message was sent: %+v", m)
						}
					}
				})
			})
		}
	}
}

// A call is ordered once more only if it is certain that the order before had no effect: two calls of
// one attempt could not both ask what they say.
func TestRetries_Calls(t *testing.T) {
	accept, refuse, hang, drop := plivotest.Accept, plivotest.Refuse, plivotest.Hang, plivotest.Drop
	for name, tc := range map[string]struct {
		replies         []plivotest.Reply
		refused         int64 // dials
		calls, accepted int
		mayHaveSent     bool
	}{
		"accepted":            {[]plivotest.Reply{accept()}, 0, 1, 1, false},
		"429, then accepted":  {[]plivotest.Reply{refuse(429), accept()}, 0, 2, 1, false},
		"no connection twice": {[]plivotest.Reply{accept()}, 2, 1, 1, false},
		"time-out":            {[]plivotest.Reply{hang(), accept()}, 0, 1, 0, true},
		"a lost answer":       {[]plivotest.Reply{drop().Accepting(), accept()}, 0, 1, 1, true},
		"500":                 {[]plivotest.Reply{refuse(500), accept()}, 0, 1, 0, true},
		"429, then time-out":  {[]plivotest.Reply{refuse(429), hang(), accept()}, 0, 2, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
				p.Refused.Store(tc.refused)
				r.Next(tc.replies...)
				err := r.sender(channel.Call).Send(t.Context(), tracked())
				if (err != nil) != tc.mayHaveSent || err != nil && !notifytest.Failure(t, err).MayHaveSent {
					t.Errorf("Send returned %v", err)
				}
				r.wantCalls(t, tc.calls, tc.accepted)
			})
		})
	}
}

// A 202 that is cut short does not show Plivo's id. So it is unclear, and is not repeated.
func TestACutAnswer(t *testing.T) {
	for _, c := range channels {
		inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
			r.Next(plivotest.Cut(), plivotest.Accept())
			f := r.failure(t, c, tracked())
			if !f.MayHaveSent || f.Outcome != otp.OutcomeUnavailable || !strings.HasPrefix(f.Detail, "unexpected success 20") {
				t.Errorf("%s: got %+v", c, f)
			}
			r.wantCalls(t, 1, 1)
		})
	}
}

// How long Send takes depends on the time-out of a try, the pauses and the remaining
// time.
func TestTime(t *testing.T) {
	hang, accept := plivotest.Hang, plivotest.Accept
	throttle := func(after string) plivotest.Reply {
		return plivotest.Refuse(http.StatusTooManyRequests).With("Retry-After", after)
	}
	const first, second = gateway.FirstPause, 2 * gateway.FirstPause // the longest pauses; the shortest are half as long
	for _, tc := range []struct {
		name       string
		replies    []plivotest.Reply
		context    time.Duration // 0: without a deadline
		change     func(*Options)
		stuck      bool
		calls      int
		least      time.Duration
		most       time.Duration
		retryAfter time.Duration
		ended      bool // errors.Is DeadlineExceeded
		ok         bool
	}{
		{name: "two time-outs", replies: []plivotest.Reply{hang(), hang()}, calls: 2,
			least: 10*time.Second + first/2, most: 10*time.Second + first, ended: true},
		{name: "the try's time-out can be set", replies: []plivotest.Reply{hang(), hang()}, calls: 2,
			change: func(o *Options) { o.Timeout = time.Second },
			least:  2*time.Second + first/2, most: 2*time.Second + first, ended: true},
		{name: "TotalTimeout ends the second try", replies: []plivotest.Reply{hang(), hang()}, calls: 2,
			change: func(o *Options) { o.TotalTimeout = 9 * time.Second },
			least:  9 * time.Second, most: 9 * time.Second, ended: true},
		{name: "the caller's deadline ends the first try", replies: []plivotest.Reply{hang(), accept()}, calls: 1,
			context: 3 * time.Second, least: 3 * time.Second, most: 3 * time.Second, ended: true},
		{name: "too little time is left for a second try", replies: []plivotest.Reply{hang(), accept()}, calls: 1,
			context: 7 * time.Second, least: 5 * time.Second, most: 5 * time.Second, ended: true},
		{name: "just enough time is left", replies: []plivotest.Reply{hang(), accept()}, calls: 2,
			context: 7*time.Second + 500*time.Millisecond + first, least: 5*time.Second + first/2, most: 5*time.Second + first, ok: true},
		{name: "a slow answer inside the time-out", replies: []plivotest.Reply{accept().After(4999 * time.Millisecond)}, calls: 1,
			least: 4999 * time.Millisecond, most: 4999 * time.Millisecond, ok: true},
		{name: "dialling never ends", stuck: true, calls: 0,
			least: 10*time.Second + first/2, most: 10*time.Second + first, ended: true},

		{name: "back-off without Retry-After", calls: 3,
			replies: []plivotest.Reply{plivotest.Refuse(429), plivotest.Refuse(429), accept()},
			least:   first/2 + second/2, most: first + second, ok: true},
		{name: "Retry-After is kept", replies: []plivotest.Reply{throttle("2"), accept()}, calls: 2,
			least: 2 * time.Second, most: 2 * time.Second, ok: true},
		{name: "Retry-After as a date", calls: 2, // the bubble's clock begins on 2000-01-01
			replies: []plivotest.Reply{throttle("Sat, 01 Jan 2000 00:00:03 GMT"), accept()},
			least:   3 * time.Second, most: 3 * time.Second, ok: true},
		{name: "Retry-After 0 does not skip the pause", replies: []plivotest.Reply{throttle("0"), accept()}, calls: 2,
			least: first / 2, most: first, ok: true},
		{name: "an invalid Retry-After", replies: []plivotest.Reply{throttle("soon"), accept()}, calls: 2,
			least: first / 2, most: first, ok: true},
		{name: "Retry-After beyond TotalTimeout", replies: []plivotest.Reply{throttle("11"), accept()}, calls: 1,
			retryAfter: 11 * time.Second},
		{name: "Retry-After beyond the caller's deadline", replies: []plivotest.Reply{throttle("2"), accept()}, calls: 1,
			context: 4 * time.Second, retryAfter: 2 * time.Second},
		{name: "a huge Retry-After", replies: []plivotest.Reply{throttle("4294967295"), accept()}, calls: 1,
			retryAfter: 24 * time.Hour},
		{name: "503 with Retry-After", calls: 2,
			replies: []plivotest.Reply{plivotest.Raw(503, "").With("Retry-After", "3"), accept()},
			least:   3 * time.Second, most: 3 * time.Second, ok: true},
		{name: "503 with a Retry-After that does not fit", calls: 1,
			replies:    []plivotest.Reply{plivotest.Raw(503, "").With("Retry-After", "60"), accept()},
			retryAfter: time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, tc.change, func(t *testing.T, r *rig, p *notifytest.Pipes) {
				p.Stuck.Store(tc.stuck)
				r.Next(tc.replies...)
				ctx := t.Context()
				if tc.context > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.context)
					defer cancel()
				}
				began := time.Now()
				err := r.sender(channel.WhatsApp).Send(ctx, message())
				if took := time.Since(began); took < tc.least || took > tc.most {
					t.Errorf("took %v, want %v to %v", took, tc.least, tc.most)
				}
				if got := r.CallCount(); got != tc.calls {
					t.Errorf("%d calls, want %d", got, tc.calls)
				}
				if (err == nil) != tc.ok {
					t.Fatalf("Send returned %v", err)
				}
				if err == nil {
					return
				}
				if got := errors.Is(err, context.DeadlineExceeded); got != tc.ended {
					t.Errorf("is DeadlineExceeded: %t, want %t (%v)", got, tc.ended, err)
				}
				f := notifytest.Failure(t, err)
				if f.RetryAfter != tc.retryAfter {
					t.Errorf("RetryAfter %v, want %v", f.RetryAfter, tc.retryAfter)
				}
				// Without a connection nothing was sent.
				if tc.stuck && f.MayHaveSent {
					t.Error("MayHaveSent without a connection")
				}
			})
		})
	}
}

func TestCancellation(t *testing.T) {
	for _, tc := range []struct {
		name        string
		first       plivotest.Reply
		after       time.Duration // 0: before Send
		calls       int
		mayHaveSent bool
	}{
		{"before", plivotest.Accept(), 0, 0, false},
		{"during a try", plivotest.Hang(), time.Second, 1, true},
		{"during a pause", plivotest.Refuse(429).With("Retry-After", "5"), time.Second, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
				r.Next(tc.first, plivotest.Accept())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.after == 0 {
					cancel()
				}
				time.AfterFunc(tc.after, cancel)
				began := time.Now()
				err := r.sender(channel.WhatsApp).Send(ctx, message())
				if took := time.Since(began); took != tc.after {
					t.Errorf("took %v", took)
				}
				f := notifytest.Failure(t, err)
				if f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent != tc.mayHaveSent || !errors.Is(err, context.Canceled) {
					t.Errorf("got %v (%+v)", err, f)
				}
				r.wantCalls(t, tc.calls, 0)
				if n := int(p.Dials.Load()); n != tc.calls {
					t.Errorf("%d dials", n)
				}
			})
		})
	}
}

// Send logs repetitions. It does not log the outcome, which the caller logs.
func TestRepetitionsAreLogged(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		r.Next(plivotest.Refuse(429).With("Retry-After", "2"), plivotest.Accept())
		r.send(t, channel.WhatsApp, message())
		line := r.log.String()
		if n := strings.Count(line, "\n"); n != 1 {
			t.Errorf("%d lines: %s", n, line)
		}
		if want := `level=WARN msg="plivo: trying again" channel=whatsapp try=1 reason=unavailable provider_error=0 detail="too many requests" pause_ms=2000`; !strings.Contains(line, want) {
			t.Errorf("logged %s\nwant %s", line, want)
		}

		r.log.Reset()
		r.Next(plivotest.Refuse(400))
		_ = r.sender(channel.WhatsApp).Send(t.Context(), message())
		if r.log.Len() != 0 {
			t.Errorf("logged %s", r.log)
		}
	})
}

// A refusal does not cost a connection.
func TestConnectionsAreReusedAfterErrors(t *testing.T) {
	for name, reply := range map[string]plivotest.Reply{
		"502 without JSON": plivotest.Raw(http.StatusBadGateway, "<html>"+strings.Repeat("bad gateway ", 1000)),
		"400":              plivotest.Refuse(http.StatusBadRequest),
		"403 without JSON": plivotest.Raw(http.StatusForbidden, "<html>"),
		"200 without JSON": plivotest.Raw(http.StatusOK, "<html>"),
		"redirect":         plivotest.Redirect("/"),
		"accepted":         plivotest.Accept(),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
				r.For(recipient, reply)
				for r.CallCount() < 50 {
					_ = r.sender(channel.WhatsApp).Send(t.Context(), message())
				}
				if n := p.Dials.Load(); n != 1 {
					t.Errorf("%d connections for %d calls", n, r.CallCount())
				}
			})
		})
	}
}

// If the host freezes the process between requests, Plivo may close its connections in
// the meantime. That leads neither to an error nor to a second message.
func TestAConnectionClosedWhileIdle(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		for range 3 {
			r.send(t, channel.WhatsApp, message())
			synctest.Wait() // until the connection is idle
			if err := (<-p.Last).Close(); err != nil {
				t.Fatal(err)
			}
		}
		if calls, messages, dials := r.CallCount(), len(r.Accepted()), p.Dials.Load(); calls != 3 || messages != 3 || dials != 3 {
			t.Errorf("%d calls, %d messages, %d connections, want 3 of each", calls, messages, dials)
		}
	})
}
