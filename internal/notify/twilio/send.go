package twilio

import (
	"context"
	"encoding/json"
	"time"

	"github.com/twilio/twilio-go/client"
	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

// name is the provider's name in logs.
const name = "twilio"

// maxValidity is Twilio's limit for ValidityPeriod.
const maxValidity = 36000 * time.Second

// sender sends over one channel of an account.
type sender struct {
	account       *Account
	channel       channel.Channel
	from, service string // one of them is set
	names         names
}

var (
	_ notify.Sender            = (*sender)(nil)
	_ notify.TransactionShower = (*sender)(nil)
	_ notify.Namer             = (*sender)(nil)
)

// Provider implements notify.Namer.
func (s *sender) Provider() string { return name }

// ShowsTransaction reports whether amount and payee reach the person: an
// authentication template has room for the code only.
func (s *sender) ShowsTransaction() bool {
	return s.channel != channel.WhatsApp || !s.account.content.exist()
}

// Send implements notify.Sender. It makes at most three API calls, and at most
// one more after the first that may have sent the message.
func (s *sender) Send(ctx context.Context, m notify.Message) error {
	if f := s.refuse(m); f != nil {
		f.Unasked = true
		return f
	}
	r := s.request(m, time.Now())
	sending := gateway.Sending{Provider: name, Channel: s.channel, Timeout: s.account.timeout, Total: s.account.total, Log: s.account.log}
	return sending.Send(ctx, func(ctx context.Context) gateway.Outcome { return s.try(ctx, r) })
}

// refuse returns a failure for a message that must not reach Twilio.
func (s *sender) refuse(m notify.Message) *notify.Failure {
	if f := gateway.Refuse(m, s.ShowsTransaction(), s.names.variable(template)); f != nil {
		return f
	}
	switch {
	case m.Alert:
		return nil
	case m.Code == "" || m.ValidFor <= 0:
		// Twilio would report an empty code as a broken template, and an
		// expired code misleads.
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Detail: "the code is empty or has expired"}
	case s.channel == channel.Call && len(m.Code) > gateway.MaxSpokenCode:
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Detail: "the code is too long for a call"}
	}
	return nil
}

// request holds the parameters of one API call: a message's or a call's.
type request struct {
	message *openapi.CreateMessageParams
	call    *openapi.CreateCallParams
	names   names
	// expires is when the code expires. Zero: never, as for an alert.
	expires time.Time
}

// created is the part of Twilio's Message or Call resource that judge reads.
type created struct {
	sid, status *string
	errorNumber *int
}

// request makes the parameters that all tries have in common.
func (s *sender) request(m notify.Message, now time.Time) request {
	callback := gateway.Callback(s.account.publicURL, StatusPath, m)
	r := request{names: s.names}
	if m.Alert {
		r.names.template = alertTemplateVariable
	}
	if s.channel == channel.Call {
		p := (&openapi.CreateCallParams{}).SetTo(m.To).SetFrom(s.from)
		p.SetTwiml(callTwiML(s.account.texts.Speech(m), m.Code))
		if callback != "" {
			// Without StatusCallbackEvent, Twilio reports only the call's end.
			p.SetStatusCallback(callback).SetStatusCallbackMethod("POST")
		}
		r.call = p
		return r
	}

	p, prefix := &openapi.CreateMessageParams{}, ""
	if s.channel == channel.WhatsApp {
		prefix = whatsAppPrefix
	} else {
		// Twilio's check for SMS pumping, regardless of the account's default.
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

// setContent sets the template with its one variable, or the text if there is no
// template.
func (s *sender) setContent(p *openapi.CreateMessageParams, m notify.Message) {
	if s.channel == channel.SMS {
		p.SetBody(s.account.texts.SMS(m))
		return
	}
	sid, variable := s.account.content.sid(m.Locale), m.Code
	if m.Alert {
		sid, variable = s.account.alertContent.sid(m.Locale), m.Brand
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

// try makes one API call.
func (s *sender) try(ctx context.Context, r request) gateway.Outcome {
	x := &exchange{ctx: ctx, base: s.account.base, next: s.account.transport}
	// Not NewRequestHandler: it reads TWILIO_EDGE and TWILIO_REGION from the
	// environment, but only TWILIO_BASE_URL may decide where calls go.
	api := openapi.NewApiService(&client.RequestHandler{Client: call{s.account.client, x}})
	if r.call != nil {
		c, err := api.CreateCall(r.call)
		if c == nil {
			return s.judge(x, r.names, nil, err)
		}
		return s.judge(x, r.names, &created{c.Sid, c.Status, nil}, err)
	}
	if !r.expires.IsZero() {
		// Twilio drops a message that waits in its queue for longer. The period
		// ends when the code expires, so it is shorter at every try.
		left := min(time.Until(r.expires), maxValidity)
		r.message.SetValidityPeriod(max(1, int(left/time.Second)))
	}
	m, err := api.CreateMessage(r.message)
	if m == nil {
		return s.judge(x, r.names, nil, err)
	}
	return s.judge(x, r.names, &created{m.Sid, m.Status, m.ErrorCode}, err)
}
