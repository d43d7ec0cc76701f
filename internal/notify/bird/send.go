package bird

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

// sender sends over one channel of an account.
type sender struct {
	account *Account
	channel channel.Channel
	// from is the sender. Empty for WhatsApp if all templates are Bird's own.
	from string
}

var (
	_ notify.Sender            = (*sender)(nil)
	_ notify.TransactionShower = (*sender)(nil)
	_ notify.Namer             = (*sender)(nil)
)

// Provider implements notify.Namer.
func (s *sender) Provider() string { return Name }

// ShowsTransaction reports whether amount and payee reach the person: an authentication
// template has room for the code only.
func (s *sender) ShowsTransaction() bool {
	return s.channel != channel.WhatsApp || !s.account.template.Exist()
}

// Send implements notify.Sender. It makes at most three API calls, which have the same
// Idempotency-Key: Bird sends one message for all of them.
func (s *sender) Send(ctx context.Context, m notify.Message) error {
	if f := s.refuse(m); f != nil {
		f.Unasked = true
		return f
	}
	body, err := json.Marshal(s.body(m)) // once: the same key with another body is refused
	if err != nil {
		panic(err) // structs and maps of strings always encode
	}
	key, names := idempotencyKey(m), namesOf(s.channel, m.Alert)
	sending := gateway.Sending{
		Provider: Name, Channel: s.channel, Timeout: s.account.timeout, Total: s.account.total,
		Repeatable: true, Log: s.account.log,
	}
	if m.ValidFor > 0 {
		sending.Latest = time.Now().Add(m.ValidFor)
	}
	return sending.Send(ctx, func(ctx context.Context) gateway.Outcome {
		return s.account.judge(s.account.post(ctx, resources[s.channel].path, key, body), s.channel, names)
	})
}

// refuse returns a failure for a message that must not reach Bird.
func (s *sender) refuse(m notify.Message) *notify.Failure {
	if f := gateway.Refuse(m, s.ShowsTransaction(), templateVariable); f != nil {
		return f
	}
	switch {
	case !m.Alert && (m.Code == "" || m.ValidFor <= 0):
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Detail: "the code is empty or has expired"}
	case s.from == "" && !s.hasManagedTemplate(m):
		return &notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: senderVariables[s.channel], Detail: "a text needs a sender"}
	}
	return nil
}

// idempotencyKey is the same for all tries of one message, and for no other message.
func idempotencyKey(m notify.Message) string {
	if !isTracked(m) {
		return "twofa-" + rand.Text()
	}
	return "twofa-" + string(m.Verification) + "-" + strconv.Itoa(m.Attempt)
}

// isTracked reports whether a report on the message can name it.
func isTracked(m notify.Message) bool { return !m.Alert && m.Verification != "" && m.Attempt >= 1 }

// metadata is what Bird gives back in its reports. It never holds a code or a number.
type metadata struct {
	Verification string `json:"twofa_verification"`
	Attempt      string `json:"twofa_attempt"`
}

type smsBody struct {
	To       string    `json:"to"`
	From     string    `json:"from"`
	Text     string    `json:"text"`
	Category string    `json:"category"`
	Metadata *metadata `json:"metadata,omitempty"`
}

type whatsAppBody struct {
	To       string        `json:"to"`
	From     string        `json:"from,omitempty"`
	Template *templateBody `json:"template,omitempty"`
	Text     *textBody     `json:"text,omitempty"`
	Metadata *metadata     `json:"metadata,omitempty"`
}

type textBody struct {
	Body string `json:"body"`
}

// templateBody names a template by its id or by its handle, the slug.
type templateBody struct {
	ID         string      `json:"id,omitempty"`
	Slug       string      `json:"slug,omitempty"`
	Language   string      `json:"language"`
	Components []component `json:"components"`
}

type component struct {
	Type       string      `json:"type"`
	Parameters []parameter `json:"parameters"`
}

type parameter struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// body is the body of a message's API calls. It does not change between tries. It has no
// limit for Bird's queue: Bird does not offer one yet.
func (s *sender) body(m notify.Message) any {
	var known *metadata
	if isTracked(m) {
		known = &metadata{string(m.Verification), strconv.Itoa(m.Attempt)}
	}
	if s.channel == channel.SMS {
		// Bird keeps no text of the category authentication.
		return smsBody{m.To, s.from, s.account.texts.SMS(m), "authentication", known}
	}
	b := whatsAppBody{To: m.To, From: s.from, Metadata: known}
	t, ok := s.account.templateFor(m)
	if !ok {
		b.Text = &textBody{s.account.texts.Chat(m)}
		return b
	}
	if isManaged(t.Name) {
		b.From = "" // Bird refuses a sender beside its own templates
	}
	b.Template = newTemplateBody(t, m)
	return b
}

// templateFor returns the template of a WhatsApp message. ok is false if there is none.
func (a *Account) templateFor(m notify.Message) (t gateway.Template, ok bool) {
	if m.Alert {
		return a.alertTemplate.Of(m.Locale)
	}
	return a.template.Of(m.Locale)
}

func (s *sender) hasManagedTemplate(m notify.Message) bool {
	t, ok := s.account.templateFor(m)
	return ok && isManaged(t.Name)
}

// newTemplateBody fills a template with its one variable: the code, which the button
// copies, or an alert's brand.
func newTemplateBody(t gateway.Template, m notify.Message) *templateBody {
	b := &templateBody{Slug: t.Name, Language: strings.ReplaceAll(t.Language, "_", "-")}
	if strings.HasPrefix(t.Name, "wat_") {
		b.ID, b.Slug = t.Name, ""
	}
	if m.Alert {
		b.Components = []component{{"body", []parameter{{"text", m.Brand}}}}
		return b
	}
	code := []parameter{{"text", m.Code}}
	b.Components = []component{{"body", code}, {"button", code}}
	return b
}

// post makes one API call.
func (a *Account) post(ctx context.Context, path, key string, body []byte) gateway.Exchange {
	req := gateway.NewRequest(ctx, http.MethodPost, a.base, path, body)
	req.Header.Set("Authorization", "Bearer "+*a.apiKey)
	gateway.SetIdempotencyKey(req, key)
	return gateway.Do(a.transport, req)
}
