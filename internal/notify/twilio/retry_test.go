package twilio

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twofa/internal/notify"
	"twofa/internal/testing/twiliotest"
)

// Every script with the exact number of calls that it may cause, and of
// messages that the person would get.
func TestRetries(t *testing.T) {
	accept, refuse, raw, hang, drop := twiliotest.Accept, twiliotest.Refuse, twiliotest.Raw, twiliotest.Hang, twiliotest.Drop
	lost := func(detail string) *notify.Failure {
		return &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true, Detail: detail}
	}
	throttled := func(after time.Duration) *notify.Failure {
		return &notify.Failure{Reason: notify.Unavailable, Code: 20429, RetryAfter: after, Detail: "too many requests"}
	}
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
		{"time-out twice", script{hang(), hang(), accept()}, 0, 2, 0, lost("no answer")},
		{"time-out after accepting, twice", script{hang().Accepting(), hang().Accepting(), accept()}, 0, 2, 2, lost("no answer")},
		{"lost, then accepted", script{drop(), accept()}, 0, 2, 1, nil},
		{"lost after accepting, then accepted: the one extra message", script{drop().Accepting(), accept()}, 0, 2, 2, nil},
		{"lost twice", script{drop(), drop(), accept()}, 0, 2, 0, lost("no answer")},
		{"500, then accepted", script{refuse(500, 20500), accept()}, 0, 2, 1, nil},
		{"500 twice", script{refuse(500, 20500), refuse(500, 20500), accept()}, 0, 2, 0,
			&notify.Failure{Reason: notify.Unavailable, Code: 20500, MayHaveSent: true, Detail: "server error 500"}},
		{"502 without JSON, twice", script{raw(502, "<html>Bad Gateway"), raw(502, ""), accept()}, 0, 2, 0, lost("server error 502")},
		{"a status that HTTP does not know", script{raw(999, ""), raw(999, ""), accept()}, 0, 2, 0, lost("server error 999")},
		{"503 then time-out", script{raw(503, ""), hang(), accept()}, 0, 2, 0, lost("no answer")},
		{"a number with a meaning changes nothing in a 5xx", script{refuse(500, 63012), accept()}, 0, 2, 1, nil},

		{"429, then accepted", script{refuse(429, 20429), accept()}, 0, 2, 1, nil},
		{"429 twice, then accepted", script{refuse(429, 20429), refuse(429, 20429), accept()}, 0, 3, 1, nil},
		{"429 for ever", script{refuse(429, 20429), refuse(429, 20429), refuse(429, 20429), accept()}, 0, 3, 0, throttled(0)},
		{"429 without JSON, then accepted", script{raw(429, "slow down"), accept()}, 0, 2, 1, nil},
		{"20429 under another status", script{refuse(400, 20429), accept()}, 0, 2, 1, nil},
		{"429 for a reason of its own", script{refuse(429, 63018), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Unavailable, Code: 63018, Detail: "the WhatsApp sender has reached its rate limit"}},
		{"429, then time-out, then accepted", script{refuse(429, 20429), hang(), accept()}, 0, 3, 1, nil},
		{"429, then time-out twice", script{refuse(429, 20429), drop(), drop(), accept()}, 0, 3, 0, lost("no answer")},
		{"what follows an ambiguous failure is the last try", script{hang(), refuse(429, 20429), accept()}, 0, 2, 0,
			&notify.Failure{Reason: notify.Unavailable, Code: 20429, MayHaveSent: true, Detail: "too many requests"}},
		{"a refusal does not undo that the first may have sent", script{hang().Accepting(), refuse(400, 21211), accept()}, 0, 2, 1,
			&notify.Failure{Reason: notify.InvalidAddress, Code: 21211, MayHaveSent: true, Next: addressIsWrong, Detail: "the number is not valid"}},

		{"400", script{refuse(400, 63016), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Misconfigured, Code: 63016, Setting: "TWILIO_CONTENT_SID", Detail: "an approved template is needed outside the 24-hour window"}},
		{"400 without JSON", script{raw(400, "no"), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Unavailable, Detail: "refused with status 400"}},

		{"dial refused once", script{accept()}, 1, 1, 1, nil},
		{"dial refused twice", script{accept()}, 2, 1, 1, nil},
		{"dial refused for ever", script{accept()}, 100, 0, 0,
			&notify.Failure{Reason: notify.Unavailable, Detail: "no connection"}},
		{"dial refused, then lost, then accepted", script{drop(), accept()}, 1, 2, 1, nil},
		{"dial refused, then lost twice", script{drop(), drop(), accept()}, 1, 2, 0, lost("no answer")},

		{"201 that is garbage", script{raw(201, "<html>").Accepting(), accept()}, 0, 1, 1, nil},
		{"201 without a body", script{raw(201, "").Accepting(), accept()}, 0, 1, 1, nil},
		{"201 cut short", script{twiliotest.Cut(), accept()}, 0, 1, 1, nil},
		{"201 too long to read", script{raw(201, strings.Repeat("x", 2*maxBody)).Accepting(), accept()}, 0, 1, 1, nil},
		{"201 that has failed already", script{twiliotest.AcceptFailed(63024), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Undeliverable, Code: 63024, Detail: "the number cannot receive WhatsApp messages"}},
		{"201 that has failed with an unknown number", script{twiliotest.AcceptFailed(63999), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Unavailable, Code: 63999, Detail: "the message failed at once"}},
		{"201 that has failed without a number", script{raw(201, `{"status":"failed"}`), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Unavailable, Detail: "the message failed at once"}},
		{"200 with a message", script{raw(200, `{"sid":"SM00112233445566778899aabbccddeeff","status":"queued"}`).Accepting(), accept()}, 0, 1, 1, nil},
		{"200 with a call", script{raw(200, `{"sid":"CA00112233445566778899aabbccddeeff","status":"queued"}`).Accepting(), accept()}, 0, 1, 1, nil},
		{"200 with something else", script{raw(200, `{"sid":"MG00112233445566778899aabbccddeeff"}`), accept()}, 0, 1, 0, lost("unexpected success 200")},
		{"201 that is busy", script{raw(201, `{"status":"busy"}`), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Unavailable, Detail: "the message failed at once"}},
		{"201 that is not answered", script{raw(201, `{"status":"no-answer"}`), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Unavailable, Detail: "the message failed at once"}},
		{"200 with a proxy's page", script{raw(200, "<html>Sign in"), accept()}, 0, 1, 0, lost("unexpected success 200")},
		{"204", script{raw(204, ""), accept()}, 0, 1, 0, lost("unexpected success 204")},

		{"redirect", script{twiliotest.Redirect("/2010-04-01/elsewhere"), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Misconfigured, Setting: "TWILIO_BASE_URL", Next: accountIsWrong, Detail: "redirect refused"}},
		{"303", script{raw(303, "").With("Location", "/"), accept()}, 0, 1, 0,
			&notify.Failure{Reason: notify.Misconfigured, Setting: "TWILIO_BASE_URL", Next: accountIsWrong, Detail: "redirect refused"}},
	} {
		for _, channel := range channels {
			if channel == notify.Call && strings.HasPrefix(tc.name, "201 that has failed") && tc.want.Code != 0 {
				continue // a Call has no error number
			}
			testRetry(t, string(channel)+"/"+tc.name, channel, tc.refused, tc.replies, tc.calls, tc.accepted, tc.want)
		}
	}
}

func testRetry(t *testing.T, name string, channel notify.Channel, refused int64, replies []twiliotest.Reply, calls, accepted int, want *notify.Failure) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := inBubble(t, nil)
			w.refused.Store(refused)
			w.Next(replies...)
			err := w.account.on(channel).Send(t.Context(), message())
			switch {
			case want == nil && err != nil:
				t.Errorf("Send returned %v", err)
			case want != nil:
				if got := failure(t, err); *got != *want {
					t.Errorf("Send failed with\n %+v\nwant\n %+v", got, want)
				}
			}
			if got := w.CallCount(); got != calls {
				t.Errorf("%d calls, want %d", got, calls)
			}
			if got := len(w.Accepted()); got != accepted {
				t.Errorf("%d messages, want %d", got, accepted)
			}
			for _, m := range w.Accepted() {
				carries := m.Variables["1"] == code || strings.Contains(m.Body, code) || strings.Contains(m.Spoken(), spokenCode)
				if m.Channel != channel || strings.TrimPrefix(m.To, "whatsapp:") != recipient || !carries {
					t.Errorf("another message went out: %+v", m)
				}
			}
		})
	})
}

// How long Send takes follows from the time-out of a try, the pauses and the
// time that is left.
func TestTime(t *testing.T) {
	hang, accept := twiliotest.Hang, twiliotest.Accept
	throttle := func(after string) twiliotest.Reply {
		return twiliotest.Refuse(http.StatusTooManyRequests, 20429).With("Retry-After", after)
	}
	const first, second = firstPause, 2 * firstPause // pauses at most; at least half of that
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
		{name: "the total bound cuts the second try", replies: []twiliotest.Reply{hang(), hang()}, calls: 2,
			change: func(o *Options) { o.TotalTimeout = 9 * time.Second },
			least:  9 * time.Second, most: 9 * time.Second, ended: true},
		{name: "the caller's deadline cuts the first try", replies: []twiliotest.Reply{hang(), accept()}, calls: 1,
			context: 3 * time.Second, least: 3 * time.Second, most: 3 * time.Second, ended: true},
		{name: "too little time is left for a second try", replies: []twiliotest.Reply{hang(), accept()}, calls: 1,
			context: 7 * time.Second, least: 5 * time.Second, most: 5 * time.Second, ended: true},
		{name: "just enough is left", replies: []twiliotest.Reply{hang(), accept()}, calls: 2,
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
		{name: "Retry-After that is nonsense", replies: []twiliotest.Reply{throttle("soon"), accept()}, calls: 2,
			least: first / 2, most: first, ok: true},
		{name: "Retry-After beyond the total bound", replies: []twiliotest.Reply{throttle("11"), accept()}, calls: 1,
			retryAfter: 11 * time.Second},
		{name: "Retry-After beyond the caller's deadline", replies: []twiliotest.Reply{throttle("2"), accept()}, calls: 1,
			context: 4 * time.Second, retryAfter: 2 * time.Second},
		{name: "an absurd Retry-After", replies: []twiliotest.Reply{throttle("4294967295"), accept()}, calls: 1,
			retryAfter: 24 * time.Hour},
		{name: "503 with Retry-After", calls: 2,
			replies: []twiliotest.Reply{twiliotest.Raw(503, "").With("Retry-After", "3"), accept()},
			least:   3 * time.Second, most: 3 * time.Second, ok: true},
		{name: "503 with a Retry-After that does not fit", calls: 1,
			replies:    []twiliotest.Reply{twiliotest.Raw(503, "").With("Retry-After", "60"), accept()},
			retryAfter: time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := inBubble(t, tc.change)
				w.stuck.Store(tc.stuck)
				w.Next(tc.replies...)
				ctx := t.Context()
				if tc.context > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.context)
					defer cancel()
				}
				began := time.Now()
				err := w.sender.Send(ctx, message())
				if took := time.Since(began); took < tc.least || took > tc.most {
					t.Errorf("took %v, want %v to %v", took, tc.least, tc.most)
				}
				if got := w.CallCount(); got != tc.calls {
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
				f := failure(t, err)
				if f.RetryAfter != tc.retryAfter {
					t.Errorf("RetryAfter %v, want %v", f.RetryAfter, tc.retryAfter)
				}
				// Nothing was sent where there was no connection.
				if tc.stuck && f.MayHaveSent {
					t.Error("MayHaveSent without a connection")
				}
			})
		})
	}
}

func TestCancellation(t *testing.T) {
	t.Run("during a try", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := inBubble(t, nil)
			w.Next(twiliotest.Hang(), twiliotest.Accept())
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			began := time.Now()
			err := w.sender.Send(ctx, message())
			if took := time.Since(began); took != time.Second {
				t.Errorf("took %v", took)
			}
			if f := failure(t, err); !f.MayHaveSent || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v (%+v)", err, f)
			}
			if n := w.CallCount(); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	})
	t.Run("during a pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := inBubble(t, nil)
			w.Next(twiliotest.Refuse(429, 20429).With("Retry-After", "5"), twiliotest.Accept())
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			began := time.Now()
			err := w.sender.Send(ctx, message())
			if took := time.Since(began); took != time.Second {
				t.Errorf("took %v", took)
			}
			if f := failure(t, err); f.MayHaveSent || f.Code != 20429 || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v (%+v)", err, f)
			}
			if n := w.CallCount(); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	})
	t.Run("before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := inBubble(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := w.sender.Send(ctx, message())
			if f := failure(t, err); f.MayHaveSent || f.Reason != notify.Unavailable || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v (%+v)", err, f)
			}
			if n := w.CallCount() + int(w.dials.Load()); n != 0 {
				t.Errorf("%d calls and dials", n)
			}
		})
	})
}

// A repetition is worth a line to the operator, an outcome is not: the caller
// logs that.
func TestRepetitionsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := inBubble(t, nil)
		w.Next(twiliotest.Refuse(429, 20429).With("Retry-After", "2"), twiliotest.Accept())
		if err := w.sender.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
		line := w.log.String()
		if n := strings.Count(line, "\n"); n != 1 {
			t.Errorf("%d lines: %s", n, line)
		}
		if want := `level=WARN msg="twilio: trying again" channel=whatsapp try=1 reason=unavailable provider_code=20429 detail="too many requests" pause_ms=2000`; !strings.Contains(line, want) {
			t.Errorf("logged %s\nwant %s", line, want)
		}

		w.log.Reset()
		w.Next(twiliotest.Refuse(400, 21211))
		_ = w.sender.Send(t.Context(), message())
		if w.log.Len() != 0 {
			t.Errorf("logged %s", w.log)
		}
	})
}

// twilio-go never closes the body of an error; without the Sender's transport
// each of these answers would cost a connection.
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
			synctest.Test(t, func(t *testing.T) {
				w := inBubble(t, nil)
				w.For(recipient, reply)
				for w.CallCount() < 50 {
					_ = w.sender.Send(t.Context(), message())
				}
				if n := w.dials.Load(); n != 1 {
					t.Errorf("%d connections for %d calls", n, w.CallCount())
				}
			})
		})
	}
}

// A host that freezes the process between requests wakes up with connections
// that Twilio has closed meanwhile. That costs neither an error nor a second
// message.
func TestAConnectionClosedWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := inBubble(t, nil)
		for range 3 {
			if err := w.sender.Send(t.Context(), message()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // until the connection is idle
			if err := (<-w.last).Close(); err != nil {
				t.Fatal(err)
			}
		}
		if calls, messages, dials := w.CallCount(), len(w.Accepted()), w.dials.Load(); calls != 3 || messages != 3 || dials != 3 {
			t.Errorf("%d calls, %d messages, %d connections, want 3 of each", calls, messages, dials)
		}
	})
}
