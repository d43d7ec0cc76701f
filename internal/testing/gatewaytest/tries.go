package gatewaytest

import (
	"slices"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/testing/doubletest"
	"twofa/internal/testing/notifytest"
)

// Script leads to an exact number of API calls and of messages to the person.
type Script struct {
	Name            string
	Replies         []Reply
	RefusedDials    int64
	Calls, Accepted int
	Want            *notify.Failure   // nil: the message is accepted
	Channels        []channel.Channel // nil: all of the messenger
}

// Unavailable is a failure that has not sent the message. A refusal of which nothing but its status
// is known is unexplained.
func Unavailable(detail string) *notify.Failure {
	return &notify.Failure{Outcome: otp.OutcomeUnavailable, Unexplained: strings.HasPrefix(detail, "refused with status"), Detail: detail}
}

// Ambiguous is a failure that may have sent the message.
func Ambiguous(detail string) *notify.Failure {
	return &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true, Detail: detail}
}

// RunScripts plays scripts of replies.
func (m Messenger) RunScripts(t *testing.T, scripts []Script) {
	for _, s := range scripts {
		channels := s.Channels
		if channels == nil {
			channels = m.Channels
		}
		for _, c := range channels {
			t.Run(string(c)+"/"+s.Name, func(t *testing.T) {
				m.inBubble(t, nil, func(t *testing.T, b bench, p *notifytest.Pipes) {
					p.Refused.Store(s.RefusedDials)
					b.Double.Next(s.Replies...)
					err := b.Try(t, c, Tracked())
					switch {
					case s.Want == nil && err != nil:
						t.Errorf("Send returned %v", err)
					case s.Want != nil:
						if got := notifytest.Failure(t, err); *got != *s.Want {
							t.Errorf("Send failed with\n %+v\nwant\n %+v", got, s.Want)
						}
					}
					b.WantCalls(t, s.Calls, s.Accepted)
					for _, sent := range b.sent() {
						if sent.Channel != c || sent.To != Recipient || !sent.HasCode {
							t.Errorf("another message was sent: %+v", sent)
						}
					}
				})
			})
		}
	}
}

// result is what comes of a script.
type result struct {
	calls, accepted int
	want            *notify.Failure
}

// tries plays the scripts that all messengers have in common. After an ambiguous failure
// there is one repetition. If the provider recognizes repetitions, there are up to three
// tries, and never more than one message.
func (m Messenger) tries(t *testing.T) {
	accept, raw, hang, drop := doubletest.Accept, doubletest.Raw, doubletest.Hang, doubletest.Drop
	throttle, broken, refused := m.Throttled.Reply, m.Broken.Reply, m.Refused.Reply
	failure := func(c Case) *notify.Failure { return &c.Failure }
	ambiguously := func(c Case) *notify.Failure { c.Failure.MayHaveSent = true; return &c.Failure }
	lost := Ambiguous("no answer")
	redirected := &notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: m.BaseVariable, Next: otp.NextAddress, Detail: "redirect refused"}

	var scripts []Script
	either := func(name string, replies []Reply, once, repeatable result) {
		if m.Repeatable {
			once = repeatable
		}
		scripts = append(scripts, Script{Name: name, Replies: append(replies, accept()), Calls: once.calls, Accepted: once.accepted, Want: once.want})
	}
	both := func(name string, replies []Reply, r result) { either(name, replies, r, r) }
	dials := func(refused int64, name string, replies []Reply, r result) {
		both(name, replies, r)
		scripts[len(scripts)-1].RefusedDials = refused
	}
	type script = []Reply

	both("accepted", script{}, result{1, 1, nil})

	both("time-out, then accepted", script{hang()}, result{2, 1, nil})
	both("time-out twice", script{hang(), hang()}, result{2, 0, lost}) // the time is over
	either("time-out after accepting, then accepted", script{hang().Accepting()}, result{2, 2, nil}, result{2, 1, nil})
	either("time-out after accepting, twice", script{hang().Accepting(), hang().Accepting()}, result{2, 2, lost}, result{2, 1, lost})
	both("lost, then accepted", script{drop()}, result{2, 1, nil})
	either("lost after accepting, then accepted", script{drop().Accepting()}, result{2, 2, nil}, result{2, 1, nil})
	either("lost twice", script{drop(), drop()}, result{2, 0, lost}, result{3, 1, nil})
	either("lost twice after accepting", script{drop().Accepting(), drop().Accepting()}, result{2, 2, lost}, result{3, 1, nil})
	either("lost always", script{drop(), drop(), drop()}, result{2, 0, lost}, result{3, 0, lost})

	both("500, then accepted", script{broken}, result{2, 1, nil})
	either("500 after accepting", script{broken.Accepting()}, result{2, 2, nil}, result{2, 1, nil})
	either("500 twice", script{broken, broken}, result{2, 0, failure(m.Broken)}, result{3, 1, nil})
	either("500 always", script{broken, broken, broken}, result{2, 0, failure(m.Broken)}, result{3, 0, failure(m.Broken)})
	either("a 502 with a page, then an empty one", script{raw(502, "<html>Bad Gateway"), raw(502, "")}, result{2, 0, Ambiguous("server error 502")}, result{3, 1, nil})
	either("an empty 502, then one with a page", script{raw(502, ""), raw(502, "<html>Bad Gateway")}, result{2, 0, Ambiguous("server error 502")}, result{3, 1, nil})
	either("a status that HTTP does not define", script{raw(999, ""), raw(999, ""), raw(999, "")}, result{2, 0, Ambiguous("server error 999")}, result{3, 0, Ambiguous("server error 999")})
	either("503, then time-out", script{raw(503, ""), hang()}, result{2, 0, lost}, result{3, 1, nil})
	both("a success's body in a 500", script{raw(500, m.Success.Body)}, result{2, 1, nil})

	both("429, then accepted", script{throttle}, result{2, 1, nil})
	both("429 twice, then accepted", script{throttle, throttle}, result{3, 1, nil})
	both("429 always", script{throttle, throttle, throttle}, result{3, 0, failure(m.Throttled)})
	both("429 without JSON, then accepted", script{raw(429, "slow down")}, result{2, 1, nil})
	both("429, then time-out, then accepted", script{throttle, hang()}, result{3, 1, nil})
	both("429, then lost twice", script{throttle, drop(), drop()}, result{3, 0, lost})
	either("time-out, then 429", script{hang(), throttle}, result{2, 0, ambiguously(m.Throttled)}, result{3, 1, nil})
	either("time-out after accepting, then 429", script{hang().Accepting(), throttle}, result{2, 1, ambiguously(m.Throttled)}, result{3, 1, nil})
	either("lost after accepting, then 429 always", script{drop().Accepting(), throttle, throttle}, result{2, 1, ambiguously(m.Throttled)}, result{3, 1, ambiguously(m.Throttled)})
	for name, first := range map[string]Reply{"time-out": hang(), "loss": drop()} {
		both("a refusal does not undo that the first may have sent: "+name, script{first.Accepting(), refused}, result{2, 1, ambiguously(m.Refused)})
		both("wrong credentials do not undo it: "+name, script{first.Accepting(), m.Unauthorized.Reply}, result{2, 1, ambiguously(m.Unauthorized)})
	}

	both("400", script{refused}, result{1, 0, failure(m.Refused)})
	both("401", script{m.Unauthorized.Reply}, result{1, 0, failure(m.Unauthorized)})
	both("400 without JSON", script{raw(400, "no")}, result{1, 0, Unavailable("refused with status 400")})
	both("422 without JSON", script{raw(422, "no")}, result{1, 0, Unavailable("refused with status 422")})

	dials(1, "dial refused once", script{}, result{1, 1, nil})
	dials(2, "dial refused twice", script{}, result{1, 1, nil})
	dials(100, "dial refused always", script{}, result{0, 0, Unavailable("no connection")})
	dials(1, "dial refused, then lost, then accepted", script{drop()}, result{2, 1, nil})
	dials(1, "dial refused, then lost twice", script{drop(), drop()}, result{2, 0, lost})

	either("200 with a proxy's page", script{raw(200, "<html>Sign in"), raw(200, "<html>Sign in"), raw(200, "<html>Sign in")},
		result{1, 0, Ambiguous("unexpected success 200")}, result{3, 0, Ambiguous("unexpected success 200")})
	either("204", script{raw(204, ""), raw(204, ""), raw(204, "")}, result{1, 0, Ambiguous("unexpected success 204")}, result{3, 0, Ambiguous("unexpected success 204")})
	both("redirect", script{doubletest.Redirect("/elsewhere")}, result{1, 0, redirected})
	both("303", script{raw(303, "").With("Location", "/")}, result{1, 0, redirected})

	for i := range scripts {
		scripts[i].Channels = slices.DeleteFunc(slices.Clone(m.Channels), m.isOnce)
	}
	m.RunScripts(t, scripts)
	m.triesOnce(t)
}

func (m Messenger) isOnce(c channel.Channel) bool { return slices.Contains(m.Once, c) }

// triesOnce plays scripts over the channels on which no try follows one that may have sent the
// message.
func (m Messenger) triesOnce(t *testing.T) {
	accept, hang, drop := doubletest.Accept, doubletest.Hang, doubletest.Drop
	throttle, broken := m.Throttled.Reply, m.Broken.Reply
	lost := Ambiguous("no answer")
	type script = []Reply
	scripts := []Script{
		{Name: "accepted", Replies: script{accept()}, Calls: 1, Accepted: 1},
		{Name: "429, then accepted", Replies: script{throttle, accept()}, Calls: 2, Accepted: 1},
		{Name: "dial refused twice", Replies: script{accept()}, RefusedDials: 2, Calls: 1, Accepted: 1},
		{Name: "time-out", Replies: script{hang(), accept()}, Calls: 1, Want: lost},
		{Name: "lost after accepting", Replies: script{drop().Accepting(), accept()}, Calls: 1, Accepted: 1, Want: lost},
		{Name: "500", Replies: script{broken, accept()}, Calls: 1, Want: &m.Broken.Failure},
		{Name: "429, then time-out", Replies: script{throttle, hang(), accept()}, Calls: 2, Want: lost},
	}
	for i := range scripts {
		scripts[i].Channels = append([]channel.Channel{}, m.Once...) // empty: none
	}
	m.RunScripts(t, scripts)
}

// repetitionsAreLogged checks that Send logs repetitions. It does not log the outcome, which
// the caller logs.
func (m Messenger) repetitionsAreLogged(t *testing.T) {
	m.inBubble(t, nil, func(t *testing.T, b bench, _ *notifytest.Pipes) {
		b.Double.Next(m.Throttled.Reply.With("Retry-After", "2"), doubletest.Accept())
		b.Send(t, channel.WhatsApp, Message())
		want := `level=WARN msg="` + m.Name + `: trying again" channel=whatsapp try=1 reason=unavailable provider_error=` + number(m.Throttled.Failure.Code) +
			` detail="too many requests" pause_ms=2000` + "\n"
		if got := b.Log.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, want) {
			t.Errorf("logged %s\nwant %s", got, want)
		}

		b.Log.Reset()
		b.Double.Next(m.Refused.Reply)
		_ = b.Try(t, channel.WhatsApp, Message())
		if b.Log.Len() != 0 {
			t.Errorf("logged %s", b.Log)
		}
	})
}
