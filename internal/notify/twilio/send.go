package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twilio/twilio-go/client"
	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"twofa/internal/notify"
)

const (
	// maxTries bounds the calls for one message, whatever happens.
	maxTries = 3
	// firstPause doubles with each try and is spread over its upper half, so
	// that instances that failed together do not return together.
	firstPause = 400 * time.Millisecond
	// maxValidity is Twilio's bound for ValidityPeriod.
	maxValidity = 36000 * time.Second
)

// sender sends over one channel of an account.
type sender struct {
	account       *Account
	channel       notify.Channel
	from, service string // one of them is set
	names         names
}

var (
	_ notify.Sender        = (*sender)(nil)
	_ notify.ContextShower = (*sender)(nil)
)

// ShowsContext reports whether amount and payee reach the person: an
// authentication template has room for the code only.
func (s *sender) ShowsContext() bool {
	return s.channel != notify.WhatsApp || s.account.content == ""
}

// Send implements notify.Sender. It makes at most three calls, and at most one
// after the first that may have sent the message.
func (s *sender) Send(ctx context.Context, m notify.Message) error {
	if f := s.refuse(m); f != nil {
		return f
	}
	r := s.request(m, time.Now())
	ctx, cancel := context.WithTimeout(ctx, s.account.total)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return failed(&notify.Failure{Reason: notify.Unavailable, Detail: "the time was over before the first try"}, err)
	}

	mayHaveSent := false
	for try := 1; ; try++ {
		o := s.try(ctx, r)
		if o.failure == nil {
			return nil
		}
		// Whoever failed ambiguously before has had its one repetition. That an
		// earlier try may have sent stays true whatever a later one says.
		last := try == maxTries || mayHaveSent
		mayHaveSent = mayHaveSent || o.failure.MayHaveSent
		o.failure.MayHaveSent = mayHaveSent

		pause := pauseAfter(try, o.failure.RetryAfter)
		if last || !o.again || !s.hasTimeFor(ctx, pause) {
			return failed(o.failure, o.ended)
		}
		s.account.log.LogAttrs(ctx, slog.LevelWarn, "twilio: trying again",
			slog.String("channel", string(s.channel)),
			slog.Int("try", try),
			slog.String("reason", o.failure.Reason.String()),
			slog.Int("provider_code", o.failure.Code),
			slog.String("detail", o.failure.Detail),
			slog.Int64("pause_ms", pause.Milliseconds()))
		if err := sleep(ctx, pause); err != nil {
			return failed(o.failure, err)
		}
	}
}

// refuse catches what must not reach Twilio.
func (s *sender) refuse(m notify.Message) *notify.Failure {
	switch {
	case !isE164(m.To):
		return &notify.Failure{Reason: notify.InvalidAddress, Next: addressIsWrong, Detail: "the number is not in E.164"}
	case m.Alert && m.Code != "":
		// One of the two is a mistake, and an alert goes to whom the code must
		// not go.
		return &notify.Failure{Reason: notify.Unavailable, Detail: "an alert has no code"}
	case m.Alert:
		return nil
	case m.Code == "" || m.ValidFor <= 0:
		// Twilio would take an empty code for a broken template, and an
		// expired one misleads.
		return &notify.Failure{Reason: notify.Unavailable, Detail: "there is no code that still works"}
	case s.channel == notify.Call && len(m.Code) > maxSpokenCode:
		return &notify.Failure{Reason: notify.Unavailable, Detail: "the code is too long for a call"}
	case !s.ShowsContext() && (m.Amount != "" || m.Payee != ""):
		// Without them the person would approve what they cannot see.
		return &notify.Failure{Reason: notify.Misconfigured, Setting: s.names.variable(template), Detail: "the template cannot show amount and payee"}
	}
	return nil
}

// request is a message in Twilio's terms: either a message or a call.
type request struct {
	message *openapi.CreateMessageParams
	call    *openapi.CreateCallParams
	names   names
	// expires is when the code dies; zero for an alert that never does.
	expires time.Time
}

// created is what Twilio answers of a Message or a Call.
type created struct {
	sid, status *string
	errorNumber *int
}

// request makes all of the parameters that every try has in common.
func (s *sender) request(m notify.Message, now time.Time) request {
	callback := s.account.callback(m)
	r := request{names: s.names}
	if m.Alert {
		r.names.template = alertTemplateVariable
	}
	if s.channel == notify.Call {
		p := (&openapi.CreateCallParams{}).SetTo(m.To).SetFrom(s.from)
		p.SetTwiml(callTwiML(s.account.texts.Speech(m), m.Code))
		if callback != "" {
			// Without StatusCallbackEvent Twilio reports the end of the call.
			p.SetStatusCallback(callback).SetStatusCallbackMethod("POST")
		}
		r.call = p
		return r
	}

	p, prefix := &openapi.CreateMessageParams{}, ""
	if s.channel == notify.WhatsApp {
		prefix = "whatsapp:"
	} else {
		// Twilio's check for SMS pumping, whatever the account's default is.
		p.SetRiskCheck("enable")
	}
	p.SetTo(prefix + m.To)
	if s.from != "" {
		p.SetFrom(prefix + s.from)
	} else {
		p.SetMessagingServiceSid(s.service)
	}
	if callback != "" {
		p.SetStatusCallback(callback)
	}
	s.setContent(p, m)
	r.message = p
	if m.ValidFor > 0 {
		r.expires = now.Add(m.ValidFor)
	}
	return r
}

// setContent sets the template with its one variable, or else the text.
func (s *sender) setContent(p *openapi.CreateMessageParams, m notify.Message) {
	if s.channel == notify.SMS {
		p.SetBody(s.account.texts.SMS(m))
		return
	}
	sid, variable := s.account.content, m.Code
	if m.Alert {
		sid, variable = s.account.alertContent, m.Brand
	}
	if sid == "" {
		p.SetBody(s.account.texts.Chat(m))
		return
	}
	variables, err := json.Marshal(map[string]string{"1": variable})
	if err != nil {
		panic(err) // a map of strings always encodes
	}
	p.SetContentSid(sid).SetContentVariables(string(variables))
}

// try makes one call of the API.
func (s *sender) try(ctx context.Context, r request) outcome {
	ctx, cancel := context.WithTimeout(ctx, s.account.timeout)
	defer cancel()
	x := &exchange{ctx: ctx, base: s.account.base, next: s.account.transport}
	// Not NewRequestHandler, which reads TWILIO_EDGE and TWILIO_REGION from the
	// environment: TWILIO_BASE_URL alone says where calls go.
	api := openapi.NewApiService(&client.RequestHandler{Client: call{s.account.client, x}})
	if r.call != nil {
		c, err := api.CreateCall(r.call)
		if c == nil {
			return s.judge(x, r.names, nil, err)
		}
		return s.judge(x, r.names, &created{c.Sid, c.Status, nil}, err)
	}
	if !r.expires.IsZero() {
		// It keeps Twilio from sending the message after the code has died in
		// its queue, so it shrinks with every try.
		left := min(time.Until(r.expires), maxValidity)
		r.message.SetValidityPeriod(max(1, int(left/time.Second)))
	}
	m, err := api.CreateMessage(r.message)
	if m == nil {
		return s.judge(x, r.names, nil, err)
	}
	return s.judge(x, r.names, &created{m.Sid, m.Status, m.ErrorCode}, err)
}

// pauseAfter is the pause after the given try (from 1).
func pauseAfter(try int, asked time.Duration) time.Duration {
	full := firstPause << (try - 1)
	return max(asked, full/2+rand.N(full/2))
}

// hasTimeFor reports whether a try after the pause would have a fair chance to
// be answered. One that is cut off early would only add an ambiguous failure.
func (s *sender) hasTimeFor(ctx context.Context, pause time.Duration) bool {
	deadline, _ := ctx.Deadline() // Send has set one
	return ctx.Err() == nil && time.Until(deadline) >= pause+s.account.timeout/2
}

// failed is f, which also is the context's error that ended the work, if any.
func failed(f *notify.Failure, ended error) error {
	if ended == nil {
		return f
	}
	return fmt.Errorf("%w (%w)", f, ended)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
