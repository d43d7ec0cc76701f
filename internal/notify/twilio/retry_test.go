package twilio

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
	"twofa/internal/testing/twiliotest"
)

// Each script leads to an exact number of API calls and of messages to the person.
func TestRetries(t *testing.T) {
	accept, refuse, raw, hang, drop := twiliotest.Accept, twiliotest.Refuse, twiliotest.Raw, twiliotest.Hang, twiliotest.Drop
	unavailable := func(code int, detail string) *notify.Failure {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Code: code, Unexplained: strings.HasPrefix(detail, "refused with"), Detail: detail}
	}
	ambiguous := func(code int, detail string) *notify.Failure {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Code: code, MayHaveSent: true, Detail: detail}
	}
	redirected := &notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "TWILIO_BASE_URL", Next: accountIsWrong, Detail: "redirect refused"}
	type script []twiliotest.Reply
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
		{"time-out twice", script{hang(), hang(), accept()}, 0, 2, 0, ambiguous(0, "no answer")},
		{"time-out after accepting, twice", script{hang().Accepting(), hang().Accepting(), accept()}, 0, 2, 2, ambiguous(0, "no answer")},
		{"lost, then accepted", script{drop(), accept()}, 0, 2, 1, nil},
		{"lost after accepting, then accepted: one message too many", script{drop().Accepting(), accept()}, 0, 2, 2, nil},
		{"lost twice", script{drop(), drop(), accept()}, 0, 2, 0, ambiguous(0, "no answer")},
		{"500, then accepted", script{refuse(500, 20500), accept()}, 0, 2, 1, nil},
		{"500 twice", script{refuse(500, 20500), refuse(500, 20500), accept()}, 0, 2, 0, ambiguous(20500, "server error 500")},
		{"502 without JSON, twice", script{raw(502, "<html>Bad Gateway"), raw(502, ""), accept()}, 0, 2, 0, ambiguous(0, "server error 502")},
		{"a status that HTTP does not define", script{raw(999, ""), raw(999, ""), accept()}, 0, 2, 0, ambiguous(0, "server error 999")},
		{"503 then time-out", script{raw(503, ""), hang(), accept()}, 0, 2, 0, ambiguous(0, "no answer")},
		{"a 5xx counts, whatever its number", script{refuse(500, 63012), accept()}, 0, 2, 1, nil},

		{"429, then accepted", script{refuse(429, 20429), accept()}, 0, 2, 1, nil},
		{"429 twice, then accepted", script{refuse(429, 20429), refuse(429, 20429), accept()}, 0, 3, 1, nil},
		{"429 always", script{refuse(429, 20429), refuse(429, 20429), refuse(429, 20429), accept()}, 0, 3, 0, unavailable(20429, "too many requests")},
		{"429 without JSON, then accepted", script{raw(429, "slow down"), accept()}, 0, 2, 1, nil},
		{"20429 under another status", script{refuse(400, 20429), accept()}, 0, 2, 1, nil},
		{"429 with another number", script{refuse(429, 63018), accept()}, 0, 1, 0, unavailable(63018, "the WhatsApp sender has reached its rate limit")},
		{"429, then time-out, then accepted", script{refuse(429, 20429), hang(), accept()}, 0, 3, 1, nil},
		{"429, then time-out twice", script{refuse(429, 20429), drop(), drop(), accept()}, 0, 3, 0, ambiguous(0, "no answer")},
		{"what follows an ambiguous failure is the last try", script{hang(), refuse(429, 20429), accept()}, 0, 2, 0, ambiguous(20429, "too many requests")},
		{"a refusal does not undo that the first may have sent", script{hang().Accepting(), refuse(400, 21211), accept()}, 0, 2, 1,
			&notify.Failure{Outcome: otp.OutcomeInvalidAddress, Code: 21211, MayHaveSent: true, Next: addressIsWrong, Detail: "the number is not valid"}},

		{"400", script{refuse(400, 63016), accept()}, 0, 1, 0,
			&notify.Failure{Outcome: otp.OutcomeMisconfigured, Code: 63016, Setting: "TWILIO_CONTENT_SID", Detail: "an approved template is needed outside the 24-hour window"}},
		{"400 without JSON", script{raw(400, "no"), accept()}, 0, 1, 0, unavailable(0, "refused with status 400")},

		{"dial refused once", script{accept()}, 1, 1, 1, nil},
		{"dial refused twice", script{accept()}, 2, 1, 1, nil},
		{"dial refused always", script{accept()}, 100, 0, 0, unavailable(0, "no connection")},
		{"dial refused, then lost, then accepted", script{drop(), accept()}, 1, 2, 1, nil},
		{"dial refused, then lost twice", script{drop(), drop(), accept()}, 1, 2, 0, ambiguous(0, "no answer")},

		{"201 that is garbage", script{raw(201, "<html>").Accepting(), accept()}, 0, 1, 1, nil},
		{"201 without a body", script{raw(201, "").Accepting(), accept()}, 0, 1, 1, nil},
		{"201 cut short", script{twiliotest.Cut(), accept()}, 0, 1, 1, nil},
		{"201 too long to read", script{raw(201, strings.Repeat("x", 2*gateway.MaxBody)).Accepting(), accept()}, 0, 1, 1, nil},
		{"201 that has failed already", script{twiliotest.AcceptFailed(63024), accept()}, 0, 1, 0,
			&notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024, Detail: "the number cannot receive WhatsApp messages"}},
		{"201 that has failed with an unknown number", script{twiliotest.AcceptFailed(63999), accept()}, 0, 1, 0, unavailable(63999, "the message failed at once")},
		{"201 that has failed without a number", script{raw(201, `{"status":"failed"}`), accept()}, 0, 1, 0, unavailable(0, "the message failed at once")},
		{"200 with a message", script{raw(200, `{"sid":"SM00112233445566778899aabbccddeeff","status":"queued"}`).Accepting(), accept()}, 0, 1, 1, nil},
		{"200 with a call", script{raw(200, `{"sid":"CA00112233445566778899aabbccddeeff","status":"queued"}`).Accepting(), accept()}, 0, 1, 1, nil},
		{"200 with something else", script{raw(200, `{"sid":"MG00112233445566778899aabbccddeeff"}`), accept()}, 0, 1, 0, ambiguous(0, "unexpected success 200")},
		{"201 that is busy", script{raw(201, `{"status":"busy"}`), accept()}, 0, 1, 0, unavailable(0, "the message failed at once")},
		{"201 that is not answered", script{raw(201, `{"status":"no-answer"}`), accept()}, 0, 1, 0, unavailable(0, "the message failed at once")},
		{"200 with a proxy's page", script{raw(200, "<html>Sign in"), accept()}, 0, 1, 0, ambiguous(0, "unexpected success 200")},
		{"204", script{raw(204, ""), accept()}, 0, 1, 0, ambiguous(0, "unexpected success 204")},

		{"redirect", script{twiliotest.Redirect("/2010-04-01/elsewhere"), accept()}, 0, 1, 0, redirected},
		{"303", script{raw(303, "").With("Location", "/"), accept()}, 0, 1, 0, redirected},
	} {
		for _, c := range channels {
			if c == channel.Call && strings.HasPrefix(tc.name, "201 that has failed") && tc.want.Code != 0 {
				continue // a Call has no error number
			}
			t.Run(string(c)+"/"+tc.name, func(t *testing.T) {
				inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
					p.Refused.Store(tc.refused)
					r.Next(tc.replies...)
					err := r.sender(c).Send(t.Context(), message())
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
						carries := m.Variables["1"] == code || strings.Contains(m.Body, code) || strings.Contains(m.Spoken(), spokenCode)
						if m.Channel != c || strings.TrimPrefix(m.To, "whatsapp:") != recipient || !carries {
							t.Errorf("another message was sent: %+v", m)
						}
					}
				})
			})
		}
	}
}

// How long Send takes depends on the time-out of a try, the pauses and the remaining
// time.
func TestTime(t *testing.T) {
	hang, accept := twiliotest.Hang, twiliotest.Accept
	throttle := func(after string) twiliotest.Reply {
		return twiliotest.Refuse(http.StatusTooManyRequests, 20429).With("Retry-After", after)
	}
	const first, second = gateway.FirstPause, 2 * gateway.FirstPause // the longest pauses; the shortest are half as long
	for _, tc := range []struct {
		name       string
		replies    []twiliotest.Reply
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
		{name: "two time-outs", replies: []twiliotest.Reply{hang(), hang()}, calls: 2,
			least: 10*time.Second + first/2, most: 10*time.Second + first, ended: true},
		{name: "the try's time-out can be set", replies: []twiliotest.Reply{hang(), hang()}, calls: 2,
			change: func(o *Options) { o.Timeout = time.Second },
			least:  2*time.Second + first/2, most: 2*time.Second + first, ended: true},
		{name: "TotalTimeout ends the second try", replies: []twiliotest.Reply{hang(), hang()}, calls: 2,
			change: func(o *Options) { o.TotalTimeout = 9 * time.Second },
			least:  9 * time.Second, most: 9 * time.Second, ended: true},
		{name: "the caller's deadline ends the first try", replies: []twiliotest.Reply{hang(), accept()}, calls: 1,
			context: 3 * time.Second, least: 3 * time.Second, most: 3 * time.Second, ended: true},
		{name: "too little time is left for a second try", replies: []twiliotest.Reply{hang(), accept()}, calls: 1,
			context: 7 * time.Second, least: 5 * time.Second, most: 5 * time.Second, ended: true},
		{name: "just enough time is left", replies: []twiliotest.Reply{hang(), accept()}, calls: 2,
			context: 7*time.Second + 500*time.Millisecond + first, least: 5*time.Second + first/2, most: 5*time.Second + first, ok: true},
		{name: "a slow answer inside the time-out", replies: []twiliotest.Reply{accept().After(4999 * time.Millisecond)}, calls: 1,
			least: 4999 * time.Millisecond, most: 4999 * time.Millisecond, ok: true},
		{name: "dialling never ends", stuck: true, calls: 0,
			least: 10*time.Second + first/2, most: 10*time.Second + first, ended: true},

		{name: "back-off without Retry-After", calls: 3,
			replies: []twiliotest.Reply{twiliotest.Refuse(429, 20429), twiliotest.Refuse(429, 20429), accept()},
			least:   first/2 + second/2, most: first + second, ok: true},
		{name: "Retry-After is kept", replies: []twiliotest.Reply{throttle("2"), accept()}, calls: 2,
			least: 2 * time.Second, most: 2 * time.Second, ok: true},
		{name: "Retry-After as a date", calls: 2, // the bubble's clock begins on 2000-01-01
			replies: []twiliotest.Reply{throttle("Sat, 01 Jan 2000 00:00:03 GMT"), accept()},
			least:   3 * time.Second, most: 3 * time.Second, ok: true},
		{name: "Retry-After 0 does not skip the pause", replies: []twiliotest.Reply{throttle("0"), accept()}, calls: 2,
			least: first / 2, most: first, ok: true},
		{name: "an invalid Retry-After", replies: []twiliotest.Reply{throttle("soon"), accept()}, calls: 2,
			least: first / 2, most: first, ok: true},
		{name: "Retry-After beyond TotalTimeout", replies: []twiliotest.Reply{throttle("11"), accept()}, calls: 1,
			retryAfter: 11 * time.Second},
		{name: "Retry-After beyond the caller's deadline", replies: []twiliotest.Reply{throttle("2"), accept()}, calls: 1,
			context: 4 * time.Second, retryAfter: 2 * time.Second},
		{name: "a huge Retry-After", replies: []twiliotest.Reply{throttle("4294967295"), accept()}, calls: 1,
			retryAfter: 24 * time.Hour},
		{name: "503 with Retry-After", calls: 2,
			replies: []twiliotest.Reply{twiliotest.Raw(503, "").With("Retry-After", "3"), accept()},
			least:   3 * time.Second, most: 3 * time.Second, ok: true},
		{name: "503 with a Retry-After that does not fit", calls: 1,
			replies:    []twiliotest.Reply{twiliotest.Raw(503, "").With("Retry-After", "60"), accept()},
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
		first       twiliotest.Reply
		after       time.Duration // 0: before Send
		calls, code int
		mayHaveSent bool
	}{
		{"before", twiliotest.Accept(), 0, 0, 0, false},
		{"during a try", twiliotest.Hang(), time.Second, 1, 0, true},
		{"during a pause", twiliotest.Refuse(429, 20429).With("Retry-After", "5"), time.Second, 1, 20429, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
				r.Next(tc.first, twiliotest.Accept())
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
				if f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent != tc.mayHaveSent || f.Code != tc.code || !errors.Is(err, context.Canceled) {
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
		r.Next(twiliotest.Refuse(429, 20429).With("Retry-After", "2"), twiliotest.Accept())
		r.send(t, channel.WhatsApp, message())
		line := r.log.String()
		if n := strings.Count(line, "\n"); n != 1 {
			t.Errorf("%d lines: %s", n, line)
		}
		if want := `level=WARN msg="twilio: trying again" channel=whatsapp try=1 reason=unavailable provider_error=20429 detail="too many requests" pause_ms=2000`; !strings.Contains(line, want) {
			t.Errorf("logged %s\nwant %s", line, want)
		}

		r.log.Reset()
		r.Next(twiliotest.Refuse(400, 21211))
		_ = r.sender(channel.WhatsApp).Send(t.Context(), message())
		if r.log.Len() != 0 {
			t.Errorf("logged %s", r.log)
		}
	})
}

// twilio-go never closes the body of an error response. Without the Account's transport,
// each of these responses would cost a connection.
func TestConnectionsAreReusedAfterErrors(t *testing.T) {
	for name, reply := range map[string]twiliotest.Reply{
		"502 without JSON": twiliotest.Raw(http.StatusBadGateway, "<html>"+strings.Repeat("bad gateway ", 1000)),
		"400":              twiliotest.Refuse(http.StatusBadRequest, 63024),
		"403 without JSON": twiliotest.Raw(http.StatusForbidden, "<html>"),
		"200 without JSON": twiliotest.Raw(http.StatusOK, "<html>"),
		"redirect":         twiliotest.Redirect("/"),
		"accepted":         twiliotest.Accept(),
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

// If the host freezes the process between requests, Twilio may close its connections in
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
