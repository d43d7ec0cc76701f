package plivo

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

const (
	// minExpiry and maxExpiry are Plivo's limits for message_expiry.
	minExpiry = 5 * time.Second
	maxExpiry = 10799 * time.Second
	// maxRinging is how long a phone rings, so that Plivo can still ask what the call says
	// (otp.AskedWithin). maxCall is how long a call lasts after it was answered. Both
	// bound what a call costs; the longest speech is shorter.
	maxRinging = 40 * time.Second
	maxCall    = 300 * time.Second
	// india is the country code of the numbers that need a registration.
	india = "91"
)

// sender sends over one channel of an account.
type sender struct {
	account         *Account
	channel         channel.Channel
	from, powerpack string // one of them is set. from is without a plus
	setting         string // the variable of the one that is set
}

var (
	_ notify.Sender            = (*sender)(nil)
	_ notify.TransactionShower = (*sender)(nil)
	_ notify.Namer             = (*sender)(nil)
)

// Provider implements notify.Namer.
func (s *sender) Provider() string { return Name }

// ShowsTransaction reports whether amount and payee reach the person: an
// authentication template has room for the code only.
func (s *sender) ShowsTransaction() bool {
	return s.channel != channel.WhatsApp || !s.account.template.Exist()
}

// Send implements notify.Sender. It makes at most three API calls, and at most
// one more after the first that may have sent the message; none if that was a call.
func (s *sender) Send(ctx context.Context, m notify.Message) error {
	if f := s.refuse(m); f != nil {
		f.Unasked = true
		return f
	}
	r := s.request(m, time.Now())
	sending := gateway.Sending{
		Provider: Name, Channel: s.channel, Timeout: s.account.timeout, Total: s.account.total, Log: s.account.log,
		Once: s.channel == channel.Call, // only one call of an attempt may ask what it says
	}
	if !r.expires.IsZero() {
		// A code that expires before Plivo could drop the message would arrive expired.
		sending.Latest = r.expires.Add(-minExpiry)
	}
	return sending.Send(ctx, func(ctx context.Context) gateway.Outcome { return s.try(ctx, r) })
}

// refuse returns a failure for a message that must not reach Plivo.
func (s *sender) refuse(m notify.Message) *notify.Failure {
	if f := gateway.Refuse(m, s.ShowsTransaction(), templateVariable); f != nil {
		return f
	}
	unavailable := func(detail string) *notify.Failure {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Detail: detail}
	}
	isCall := s.channel == channel.Call
	switch {
	case isCall && (m.Alert || gateway.Callback(s.account.publicURL, AnswerPath, m) == ""):
		// Plivo asks later what the call says, and an alert has nothing by which it
		// could be found then.
		return unavailable("a call needs a verification and an attempt, which an alert lacks")
	case m.Alert && (m.ValidFor == 0 || m.ValidFor >= minExpiry):
		return nil
	case !m.Alert && m.Code == "" || m.ValidFor < minExpiry:
		// Plivo keeps a message in its queue for 5 seconds or more, and an expired
		// code misleads.
		return unavailable("the code is empty or expires too soon")
	case isCall && len(m.Code) > gateway.MaxSpokenCode:
		return unavailable("the code is too long for a call")
	}
	return nil
}

// messageBody is the body of a request to the Message API. log is always false, else
// Plivo would keep the text for a week.
type messageBody struct {
	Src       string        `json:"src,omitempty"`
	Powerpack string        `json:"powerpack_uuid,omitempty"`
	Dst       string        `json:"dst"`
	Type      string        `json:"type"`
	Text      string        `json:"text,omitempty"`
	Template  *templateBody `json:"template,omitempty"`
	Log       bool          `json:"log"`
	Expiry    int           `json:"message_expiry,omitempty"` // seconds
	URL       string        `json:"url,omitempty"`
	Method    string        `json:"method,omitempty"`

	DLTEntityID         string `json:"dlt_entity_id,omitempty"`
	DLTTemplateID       string `json:"dlt_template_id,omitempty"`
	DLTTemplateCategory string `json:"dlt_template_category,omitempty"`
}

type templateBody struct {
	Name       string      `json:"name"`
	Language   string      `json:"language"`
	Components []component `json:"components"`
}

type component struct {
	Type       string      `json:"type"`
	SubType    string      `json:"sub_type,omitempty"`
	Index      string      `json:"index,omitempty"`
	Parameters []parameter `json:"parameters"`
}

type parameter struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// callBody is the body of a request to the Call API. It never holds the code: Plivo
// asks AnswerURL for it.
type callBody struct {
	From         string `json:"from"`
	To           string `json:"to"`
	AnswerURL    string `json:"answer_url"`
	AnswerMethod string `json:"answer_method"`
	HangupURL    string `json:"hangup_url"`
	HangupMethod string `json:"hangup_method"`
	RingTimeout  int    `json:"ring_timeout"` // seconds
	TimeLimit    int    `json:"time_limit"`   // seconds
}

// request holds the parameters that all tries have in common.
type request struct {
	message *messageBody
	call    *callBody
	// expires is when the code expires. Zero: never, as for an alert.
	expires time.Time
}

// request makes the parameters of a message's API call.
func (s *sender) request(m notify.Message, now time.Time) request {
	var r request
	if m.ValidFor > 0 {
		r.expires = now.Add(m.ValidFor)
	}
	to, status := digitsOf(m.To), gateway.Callback(s.account.publicURL, StatusPath, m)
	if s.channel == channel.Call {
		r.call = &callBody{
			From: s.from, To: to, AnswerURL: gateway.Callback(s.account.publicURL, AnswerPath, m), AnswerMethod: http.MethodPost,
			HangupURL: status, HangupMethod: http.MethodPost, TimeLimit: int(maxCall / time.Second),
		}
		return r
	}
	p := &messageBody{Src: s.from, Powerpack: s.powerpack, Dst: to, Type: "sms"}
	if status != "" {
		p.URL, p.Method = status, http.MethodPost
	}
	r.message = p
	if s.channel == channel.SMS {
		p.Text = s.account.texts.SMS(m)
		if strings.HasPrefix(to, india) {
			p.DLTEntityID, p.DLTTemplateID, p.DLTTemplateCategory = s.account.dlt.entity, s.account.dlt.template, s.account.dlt.category
		}
		return r
	}
	p.Type = "whatsapp"
	if p.Template = s.account.templateFor(m); p.Template == nil {
		p.Text = s.account.texts.Chat(m)
	}
	return r
}

// templateFor returns the template of a WhatsApp message with its one variable: the
// code, which the button copies, or an alert's brand. nil: there is no template.
func (a *Account) templateFor(m notify.Message) *templateBody {
	templates, variable := a.template, m.Code
	if m.Alert {
		templates, variable = a.alertTemplate, m.Brand
	}
	t, ok := templates.Of(m.Locale)
	if !ok {
		return nil
	}
	parameters := []parameter{{"text", variable}}
	components := []component{{Type: "body", Parameters: parameters}}
	if !m.Alert {
		components = append(components, component{Type: "button", SubType: "url", Index: "0", Parameters: parameters})
	}
	return &templateBody{t.Name, t.Language, components}
}

// try makes one API call.
func (s *sender) try(ctx context.Context, r request) gateway.Outcome {
	resource, body := "Message", any(r.message)
	left := maxExpiry
	if !r.expires.IsZero() {
		// The limits end when the code expires, so they are shorter at every try.
		left = max(minExpiry, min(left, time.Until(r.expires)))
	}
	if r.call != nil {
		resource, body = "Call", r.call
		r.call.RingTimeout = int(min(left, maxRinging) / time.Second)
	} else if !r.expires.IsZero() {
		// Plivo drops a message that waits in its queue for longer.
		r.message.Expiry = int(left / time.Second)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err) // structs of strings and numbers always encode
	}
	return s.account.judge(s.account.post(ctx, resource, encoded))
}

// post makes one API call. It adds no Idempotency-Key: Plivo ignores that header, and
// net/http would repeat the POST because of it.
func (a *Account) post(ctx context.Context, resource string, body []byte) gateway.Exchange {
	req := gateway.NewRequest(ctx, http.MethodPost, a.base, "/v1/Account/"+a.credentials.id+"/"+resource+"/", body)
	req.SetBasicAuth(a.credentials.id, a.credentials.token)
	return gateway.Do(a.transport, req)
}
