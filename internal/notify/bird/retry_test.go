package bird

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
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/notifytest"
)

// Refusals of the tests.
func refuse(status int) birdtest.Reply { return birdtest.Refuse(status, "E09999", "Unknown", "") }
func running() birdtest.Reply          { return birdtest.Refuse(409, "E01004", "RequestInProgress", "") }
func notExecuted() birdtest.Reply {
	return birdtest.Refuse(503, "E01033", "IdempotencyUnavailable", "")
}

// Attack 18. Each script leads to an exact number of API calls, and never to more than one
// message to the person.
func TestAttack18_Retries(t *testing.T) {
	accept, raw, hang, drop := birdtest.Accept, birdtest.Raw, birdtest.Hang, birdtest.Drop
	unavailable := func(word, detail string) *notify.Failure {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Word: word, Unexplained: strings.HasPrefix(detail, "refused with"), Detail: detail}
	}
	ambiguous := func(word, detail string) *notify.Failure {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Word: word, MayHaveSent: true, Detail: detail}
	}
	redirected := &notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "BIRD_BASE_URL", Next: accountIsWrong, Detail: "redirect refused"}
	const (
		inUse   = "the try before is still running"
		foreign = "unexpected success 202"
	)
	asExecuted := birdtest.Refuse(500, "E01033", "x", "")
	type script []birdtest.Reply
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
		{"time-out twice", script{hang(), hang(), accept()}, 0, 2, 0, ambiguous("", "no answer")}, // the time is over
		{"time-out after accepting: the same message", script{hang().Accepting(), accept()}, 0, 2, 1, nil},
		{"lost, then accepted", script{drop(), accept()}, 0, 2, 1, nil},
		{"lost after accepting: the same message", script{drop().Accepting(), accept()}, 0, 2, 1, nil},
		{"lost twice after accepting", script{drop().Accepting(), drop().Accepting(), accept()}, 0, 3, 1, nil},
		{"lost always", script{drop(), drop(), drop(), accept()}, 0, 3, 0, ambiguous("", "no answer")},
		{"500 after accepting", script{refuse(500).Accepting(), accept()}, 0, 2, 1, nil},
		{"500 always", script{refuse(500), refuse(500), refuse(500), accept()}, 0, 3, 0, ambiguous("", "server error 500")},
		{"an empty 502, then a page", script{raw(502, ""), raw(502, "<html>Bad Gateway"), accept()}, 0, 3, 1, nil},
		{"a status that HTTP does not define", script{raw(999, ""), raw(999, ""), raw(999, ""), accept()}, 0, 3, 0, ambiguous("", "server error 999")},
		{"an id in a 500", script{raw(500, `{"id":"sms_01krdgeqcxet5s7t44vh8rt9mg"}`), accept()}, 0, 2, 1, nil},

		{"still running, then accepted", script{running(), accept()}, 0, 2, 1, nil},
		{"still running always", script{running(), running(), running(), accept()}, 0, 3, 0, ambiguous("E01004", inUse)},
		{"lost, then still running, then the answer", script{drop().Accepting(), running(), accept()}, 0, 3, 1, nil},
		{"not executed, then accepted", script{notExecuted(), accept()}, 0, 2, 1, nil},
		{"not executed always", script{notExecuted(), notExecuted(), notExecuted(), accept()}, 0, 3, 0, unavailable("E01033", "Bird has not executed the request")},
		{"not executed does not undo that the first may have sent", script{drop().Accepting(), notExecuted(), notExecuted(), accept()}, 0, 3, 1, ambiguous("E01033", "Bird has not executed the request")},
		{"the code of a 503 under another status", script{asExecuted, asExecuted, asExecuted, accept()}, 0, 3, 0, ambiguous("", "server error 500")},
		{"another 503", script{refuse(503), refuse(503), refuse(503), accept()}, 0, 3, 0, ambiguous("", "server error 503")},
		{"the key was used for another body", script{birdtest.Refuse(409, "E01005", "IdempotencyKeyReuse", ""), accept()}, 0, 1, 0, ambiguous("E01005", "the message was sent before with another text")},
		{"another conflict", script{refuse(409), accept()}, 0, 1, 0, ambiguous("", "refused with status 409")},

		{"429, then accepted", script{refuse(429), accept()}, 0, 2, 1, nil},
		{"429 twice, then accepted", script{refuse(429), refuse(429), accept()}, 0, 3, 1, nil},
		{"429 always", script{refuse(429), refuse(429), refuse(429), accept()}, 0, 3, 0, unavailable("", "too many requests")},
		{"429 without JSON, then accepted", script{raw(429, "slow down"), accept()}, 0, 2, 1, nil},
		{"a time-out, then 429", script{hang().Accepting(), refuse(429), accept()}, 0, 3, 1, nil},
		{"a refusal does not undo that the first may have sent", script{drop().Accepting(), refuse(401), accept()}, 0, 2, 1,
			&notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: "BIRD_API_KEY", MayHaveSent: true, Next: accountIsWrong, Detail: "refused with status 401"}},

		{"400", script{refuse(400), accept()}, 0, 1, 0, unavailable("", "refused with status 400")},
		{"422 without JSON", script{raw(422, "no"), accept()}, 0, 1, 0, unavailable("", "refused with status 422")},

		{"dial refused once", script{accept()}, 1, 1, 1, nil},
		{"dial refused twice", script{accept()}, 2, 1, 1, nil},
		{"dial refused always", script{accept()}, 100, 0, 0, unavailable("", "no connection")},
		{"dial refused, then lost twice", script{drop(), drop(), accept()}, 1, 2, 0, ambiguous("", "no answer")},

		{"202 that is a page, then the answer", script{raw(202, "<html>").Accepting(), accept()}, 0, 2, 1, nil},
		{"202 cut short, then the answer", script{birdtest.Cut(), accept()}, 0, 2, 1, nil},
		{"202 without a body", script{raw(202, ""), raw(202, ""), raw(202, ""), accept()}, 0, 3, 0, ambiguous("", foreign)},
		{"202 without an id", script{raw(202, `{"status":"accepted"}`), raw(202, `{"id":""}`), raw(202, `{"id":7}`), accept()}, 0, 3, 0, ambiguous("", foreign)},
		{"202 of something else", script{raw(202, `{"id":"em_1"}`), raw(202, `{"id":"vrf_1"}`), raw(202, `["sms_1"]`), accept()}, 0, 3, 0, ambiguous("", foreign)},
		{"202 with more behind it", script{raw(202, `{"id":"sms_1"}{}`), accept()}, 0, 2, 1, nil},
		{"202 too long to read", script{raw(202, `{"x":"`+strings.Repeat("x", 2*gateway.MaxBody)+`","id":"sms_1"}`), accept()}, 0, 2, 1, nil},
		{"204", script{raw(204, ""), raw(204, ""), raw(204, ""), accept()}, 0, 3, 0, ambiguous("", "unexpected success 204")},

		{"redirect", script{birdtest.Redirect("/v1/elsewhere"), accept()}, 0, 1, 0, redirected},
		{"303", script{raw(303, "").With("Location", "/"), accept()}, 0, 1, 0, redirected},
	} {
		for _, c := range channels {
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
						if m.Channel != c || m.To != recipient || m.CopiedCode != code && !strings.Contains(m.Text, code) {
							t.Errorf("another message was sent: %+v", m)
						}
					}
				})
			})
		}
	}
}

// The id of an SMS does not accept a WhatsApp message.
func TestIDs(t *testing.T) {
	for body, want := range map[string][2]bool{ // of SMS, of WhatsApp
		`{"id":"sms_01krdgeqcxet5s7t44vh8rt9mg"}`:        {true, false},
		`{"id":"wam_01krdgeqcxet5s7t44vh8rt9mg","x":[]}`: {false, true},
		`{"id":"sms_"}`: {}, `{"id":"sms_1 2"}`: {}, `{"id":"SMS_1"}`: {}, `{"id":"sms_` + strings.Repeat("1", 65) + `"}`: {}, `{`: {}, ``: {}, `null`: {},
	} {
		if sms, whatsApp := isAccepted([]byte(body), channel.SMS), isAccepted([]byte(body), channel.WhatsApp); sms != want[0] || whatsApp != want[1] {
			t.Errorf("%s: %t, %t", body, sms, whatsApp)
		}
	}
}

// How long Send takes depends on the time-out of a try, the pauses and the remaining time.
func TestTime(t *testing.T) {
	hang, accept := birdtest.Hang, birdtest.Accept
	throttle := func(after string) birdtest.Reply {
		return refuse(http.StatusTooManyRequests).With("Retry-After", after)
	}
	const first, second = gateway.FirstPause, 2 * gateway.FirstPause // the longest pauses; the shortest are half as long
	for _, tc := range []struct {
		name       string
		replies    []birdtest.Reply
		context    time.Duration // 0: without a deadline
		validFor   time.Duration // 0: long enough
		stuck      bool
		calls      int
		least      time.Duration
		most       time.Duration
		retryAfter time.Duration
		ended      bool // errors.Is DeadlineExceeded
		ok         bool
	}{
		{name: "two time-outs leave no time for a third try", replies: []birdtest.Reply{hang(), hang(), accept()}, calls: 2,
			least: 10*time.Second + first/2, most: 10*time.Second + first, ended: true},
		{name: "the caller's deadline ends the first try", replies: []birdtest.Reply{hang(), accept()}, calls: 1,
			context: 3 * time.Second, least: 3 * time.Second, most: 3 * time.Second, ended: true},
		{name: "dialling never ends", stuck: true, calls: 0,
			least: 10*time.Second + first/2, most: 10*time.Second + first, ended: true},
		{name: "no try begins after the code has expired", replies: []birdtest.Reply{hang(), accept()}, calls: 1,
			validFor: 5 * time.Second, least: 5 * time.Second, most: 5 * time.Second, ended: true},
		{name: "a try begins before", replies: []birdtest.Reply{hang(), accept()}, calls: 2,
			validFor: 5*time.Second + first, least: 5*time.Second + first/2, most: 5*time.Second + first, ok: true},
		{name: "back-off without Retry-After", calls: 3, replies: []birdtest.Reply{running(), notExecuted(), accept()},
			least: first/2 + second/2, most: first + second, ok: true},
		{name: "Retry-After is kept", replies: []birdtest.Reply{throttle("2"), accept()}, calls: 2,
			least: 2 * time.Second, most: 2 * time.Second, ok: true},
		{name: "Retry-After beyond TotalTimeout", replies: []birdtest.Reply{throttle("11"), accept()}, calls: 1, retryAfter: 11 * time.Second},
		{name: "503 with Retry-After", calls: 2, replies: []birdtest.Reply{notExecuted().With("Retry-After", "3"), accept()},
			least: 3 * time.Second, most: 3 * time.Second, ok: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
				p.Stuck.Store(tc.stuck)
				r.Next(tc.replies...)
				ctx, m := t.Context(), tracked()
				if tc.validFor > 0 {
					m.ValidFor = tc.validFor
				}
				if tc.context > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.context)
					defer cancel()
				}
				began := time.Now()
				err := r.sender(channel.WhatsApp).Send(ctx, m)
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
				if f := notifytest.Failure(t, err); f.RetryAfter != tc.retryAfter || tc.stuck && f.MayHaveSent {
					t.Errorf("got %+v", f)
				}
			})
		})
	}
}

// Send logs repetitions. It does not log the outcome, which the caller logs.
func TestRepetitionsAreLogged(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		r.Next(refuse(429).With("Retry-After", "2"), running().With("Retry-After", "1"), birdtest.Accept())
		r.send(t, channel.WhatsApp, message())
		lines := strings.Split(r.log.String(), "\n")
		want := []string{
			`level=WARN msg="bird: trying again" channel=whatsapp try=1 reason=unavailable provider_error=0 detail="too many requests" pause_ms=2000`,
			`level=WARN msg="bird: trying again" channel=whatsapp try=2 reason=unavailable provider_error=0 provider_word=E01004 detail="the try before is still running" pause_ms=1000`,
		}
		if len(lines) != 3 || !strings.HasSuffix(lines[0], want[0]) || !strings.HasSuffix(lines[1], want[1]) {
			t.Errorf("logged\n%s", r.log)
		}

		r.log.Reset()
		r.Next(refuse(400))
		_ = r.sender(channel.WhatsApp).Send(t.Context(), message())
		if r.log.Len() != 0 {
			t.Errorf("logged %s", r.log)
		}
	})
}

// If a reused connection dies when the request was written, net/http must not repeat it by
// itself: it knows no pause and no limit of time, and Send would not know of it.
func TestOnlySendRepeats(t *testing.T) {
	for _, c := range channels {
		inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
			r.send(t, c, message()) // now there is a connection to reuse
			synctest.Wait()
			r.Next(birdtest.Drop())
			began := time.Now()
			r.send(t, c, message())
			r.wantCalls(t, 3, 2)
			if took := time.Since(began); took < gateway.FirstPause/2 || strings.Count(r.log.String(), "trying again") != 1 {
				t.Errorf("%s: after %v: %s", c, took, r.log)
			}
			if n := p.Dials.Load(); n != 2 {
				t.Errorf("%s: %d connections", c, n)
			}
		})
	}
}

// A refusal does not cost a connection.
func TestConnectionsAreReusedAfterErrors(t *testing.T) {
	for name, reply := range map[string]birdtest.Reply{
		"502 without JSON": birdtest.Raw(http.StatusBadGateway, "<html>"+strings.Repeat("bad gateway ", 1000)),
		"400":              refuse(http.StatusBadRequest),
		"200 without JSON": birdtest.Raw(http.StatusOK, "<html>"),
		"redirect":         birdtest.Redirect("/"),
		"accepted":         birdtest.Accept(),
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

// If the host freezes the process between requests, Bird may close its connections in the
// meantime. That leads neither to an error nor to a second message.
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
