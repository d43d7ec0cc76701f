// Package twilio sends one-time codes as WhatsApp messages over Twilio's
// Messages API.
//
// A message costs money and rings a phone, and Twilio has no idempotency for
// it. So this package must never send one blindly twice: after an ambiguous
// failure (a time-out, a lost connection, a server error) it tries once more
// and never again. It must never let a code, a number, a credential or the
// provider's words into an error or a log.
package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
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

// Sender sends WhatsApp messages. It is safe for concurrent use. Use New. Its
// credentials stand behind a pointer, which fmt and slog do not follow.
type Sender struct {
	client     *client.Client
	base       *url.URL
	customBase bool
	transport  http.RoundTripper

	from, service, content string

	timeout, total time.Duration
	log            *slog.Logger

	// Which variables this Sender's credentials and sender come from.
	credentialsVariable, senderVariable string
}

var (
	_ notify.Sender        = (*Sender)(nil)
	_ notify.ContextShower = (*Sender)(nil)
)

// New returns a Sender, or an error that lists every fault of the options by
// the name of its environment variable. It makes no call.
func New(o Options) (*Sender, error) {
	if faults := o.Faults(); len(faults) > 0 {
		return nil, errors.New("twilio: " + strings.Join(faults, "\ntwilio: "))
	}
	base, _ := parseBaseURL(o.BaseURL)
	s := &Sender{
		base:                base,
		customBase:          base.Scheme+"://"+base.Host != defaultBaseURL,
		transport:           o.Transport,
		content:             o.ContentSID,
		timeout:             o.Timeout,
		total:               o.TotalTimeout,
		log:                 o.Logger,
		credentialsVariable: "TWILIO_AUTH_TOKEN",
	}

	user, password := o.AccountSID, o.AuthToken
	if o.APIKey != "" {
		user, password, s.credentialsVariable = o.APIKey, o.APISecret, "TWILIO_API_SECRET"
	}
	s.client = &client.Client{
		Credentials:         client.NewCredentials(user, password),
		UserAgentExtensions: []string{"twofa"},
	}
	s.client.SetAccountSid(o.AccountSID)

	if o.From != "" {
		s.from, s.senderVariable = o.From, "TWILIO_WHATSAPP_FROM"
	} else {
		s.service, s.senderVariable = o.MessagingServiceSID, "TWILIO_MESSAGING_SERVICE_SID"
	}
	if s.transport == nil {
		s.transport = newTransport()
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.total == 0 {
		s.total = defaultTotal
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// ShowsContext reports whether amount and payee reach the person: an
// authentication template has room for the code only.
func (s *Sender) ShowsContext() bool { return s.content == "" }

// Send implements notify.Sender. It makes at most three calls, and at most one
// after the first that may have sent the message.
func (s *Sender) Send(ctx context.Context, m notify.Message) error {
	if f := s.refuse(m); f != nil {
		return f
	}
	expires := time.Now().Add(m.ValidFor)
	ctx, cancel := context.WithTimeout(ctx, s.total)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return failed(&notify.Failure{Reason: notify.Unavailable, Detail: "the time was over before the first try"}, err)
	}

	mayHaveSent := false
	for try := 1; ; try++ {
		o := s.try(ctx, m, expires)
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
		s.log.LogAttrs(ctx, slog.LevelWarn, "twilio: trying again",
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
func (s *Sender) refuse(m notify.Message) *notify.Failure {
	switch {
	case !isE164(m.To):
		return &notify.Failure{Reason: notify.InvalidAddress, Detail: "the number is not in E.164"}
	case m.Code == "" || m.ValidFor <= 0:
		// Twilio would take an empty code for a broken template, and an
		// expired one misleads.
		return &notify.Failure{Reason: notify.Unavailable, Detail: "there is no code that still works"}
	case !s.ShowsContext() && (m.Amount != "" || m.Payee != ""):
		// Without them the person would approve what they cannot see.
		return &notify.Failure{Reason: notify.Misconfigured, Setting: s.variable(template), Detail: "the template cannot show amount and payee"}
	}
	return nil
}

// try makes one call.
func (s *Sender) try(ctx context.Context, m notify.Message, expires time.Time) outcome {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	x := &exchange{ctx: ctx, base: s.base, next: s.transport}
	// Not NewRequestHandler, which reads TWILIO_EDGE and TWILIO_REGION from the
	// environment: TWILIO_BASE_URL alone says where calls go.
	api := openapi.NewApiService(&client.RequestHandler{Client: call{s.client, x}})
	created, err := api.CreateMessage(s.params(m, time.Until(expires)))
	return s.judge(x, created, err)
}

// params are the parameters of one try. ValidityPeriod keeps Twilio from
// sending the message after the code has died in its queue, so it shrinks with
// every try.
func (s *Sender) params(m notify.Message, left time.Duration) *openapi.CreateMessageParams {
	p := (&openapi.CreateMessageParams{}).SetTo("whatsapp:" + m.To)
	if s.from != "" {
		p.SetFrom("whatsapp:" + s.from)
	} else {
		p.SetMessagingServiceSid(s.service)
	}
	p.SetValidityPeriod(max(1, int(min(left, maxValidity)/time.Second)))
	if s.content == "" {
		return p.SetBody(notify.Text(m))
	}
	variables, err := json.Marshal(map[string]string{"1": m.Code})
	if err != nil {
		panic(err) // a map of strings always encodes
	}
	return p.SetContentSid(s.content).SetContentVariables(string(variables))
}

// pauseAfter is the pause after the given try (from 1).
func pauseAfter(try int, asked time.Duration) time.Duration {
	full := firstPause << (try - 1)
	return max(asked, full/2+rand.N(full/2))
}

// hasTimeFor reports whether a try after the pause would have a fair chance to
// be answered. One that is cut off early would only add an ambiguous failure.
func (s *Sender) hasTimeFor(ctx context.Context, pause time.Duration) bool {
	deadline, _ := ctx.Deadline() // Send has set one
	return ctx.Err() == nil && time.Until(deadline) >= pause+s.timeout/2
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
