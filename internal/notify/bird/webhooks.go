package bird

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

// Webhooks reads Bird's reports. It accepts only requests that Bird has signed with the
// webhook's secret, within five minutes. In that time a request can be repeated. It needs no
// memory of ids against that: a report that comes twice, or late, has no effect, because a
// status never goes back (see otp.Follow). It is safe for concurrent use. Package fmt and
// slog do not print its secret.
type Webhooks struct {
	key *string // fmt prints the address of a pointer to a string
	now func() time.Time
}

// NewWebhooks takes the same Options as New. It needs WebhookSecret. The error says what is
// wrong and quotes no value.
func NewWebhooks(o Options) (*Webhooks, error) {
	if o.WebhookSecret == "" {
		return nil, errors.New("bird: " + secretVariable + " is not set")
	}
	key, ok := readSecret(o.WebhookSecret)
	if !ok {
		return nil, errors.New("bird: " + secretVariable + whatASecretHasToBe)
	}
	return &Webhooks{key: new(string(key)), now: time.Now}, nil
}

// progress is what a type of report means. outcome is set for [otp.Failed] only, and
// applies if the report has no word with a rule.
type progress struct {
	status  otp.DeliveryStatus
	outcome otp.Outcome
}

// Other types change nothing ([otp.Queued]).
var statuses = map[string]progress{
	"sms.sent":           {otp.Sent, 0},
	"sms.delivered":      {otp.Delivered, 0},
	"sms.undelivered":    {otp.Failed, otp.OutcomeUndeliverable}, // the carrier says so
	"sms.expired":        {otp.Failed, otp.OutcomeUndeliverable},
	"sms.failed":         {otp.Failed, otp.OutcomeUnavailable},
	"sms.rejected":       {otp.Failed, otp.OutcomeUnavailable}, // it never left Bird
	"whatsapp.sent":      {otp.Sent, 0},
	"whatsapp.delivered": {otp.Delivered, 0},
	"whatsapp.read":      {otp.Read, 0},
	"whatsapp.failed":    {otp.Failed, otp.OutcomeUnavailable},
	"whatsapp.rejected":  {otp.Failed, otp.OutcomeUnavailable},
}

// event is a signed request. Its other fields are ignored: they hold numbers and Bird's
// words.
type event struct {
	Type string         `json:"type"`
	Data jsontext.Value `json:"data"`
}

// eventData is the data of an event about an SMS or a WhatsApp message.
type eventData struct {
	Metadata *struct {
		Verification *string `json:"twofa_verification"`
		Attempt      *string `json:"twofa_attempt"`
	} `json:"metadata"`
	Error *struct {
		Code string `json:"code"`
	} `json:"error"`
}

// Advice implements hooks.Provider. No request of Bird's is for another account: each workspace has
// a secret of its own.
func (w *Webhooks) Advice() notify.Advice {
	return notify.Advice{Forged: secretVariable + " is the secret of the webhook in the Bird console, and the clock of this machine is right", Foreign: secretVariable}
}

// Report reads a report on a message (a POST to StatusPath). The error is
// [notify.ErrForged], [notify.ErrUnrelated] or [notify.ErrMalformed], or a *problem.Error of
// kind PayloadTooLarge.
//
// ErrUnrelated is a signed report on a message that has no verification: an alert, a message
// of another app of the workspace, a message to the workspace, or another kind of event. It
// is nothing unusual, and Bird sends it again until it gets a 2xx.
func (w *Webhooks) Report(r *http.Request) (notify.Report, error) {
	body, err := w.read(r)
	if err != nil {
		return notify.Report{}, err
	}
	// This JSON reader refuses a name that occurs twice anywhere, other spellings of a name,
	// invalid UTF-8, and anything after the object.
	var e event
	if json.Unmarshal(body, &e) != nil || e.Type == "" || e.Data.Kind() != '{' {
		return notify.Report{}, notify.ErrMalformed
	}
	kind, said, _ := strings.Cut(e.Type, ".")
	c := channel.Channel(kind) // Bird writes them as we do
	if _, isMessage := resources[c]; !isMessage {
		return notify.Report{}, notify.ErrUnrelated
	}
	var data eventData
	if json.Unmarshal(e.Data, &data) != nil {
		return notify.Report{}, notify.ErrMalformed
	}
	report, err := data.report()
	p, ok := statuses[e.Type]
	if err != nil || !ok {
		return report, err
	}
	report.Status = p.status
	if p.status == otp.Failed {
		report.Failure = &notify.Failure{Outcome: p.outcome, Next: otherChannel, Detail: "reported as " + said}
		if data.Error != nil && namesOf(c, false).apply(report.Failure, reportRules, data.Error.Code) {
			report.Failure.Word = data.Error.Code
		}
	}
	return report, nil
}

// report returns a report that changes nothing, on the message that the metadata names.
func (d eventData) report() (notify.Report, error) {
	if d.Metadata == nil || d.Metadata.Verification == nil && d.Metadata.Attempt == nil {
		return notify.Report{}, notify.ErrUnrelated
	}
	if d.Metadata.Verification == nil || d.Metadata.Attempt == nil {
		return notify.Report{}, notify.ErrMalformed
	}
	id, attempt, ok := gateway.ReadAttempt(*d.Metadata.Verification, *d.Metadata.Attempt)
	if !ok {
		return notify.Report{}, notify.ErrMalformed
	}
	return notify.Report{Verification: id, Attempt: attempt, Provider: Name, Status: otp.Queued}, nil
}

// read returns the body of a request that Bird has signed. The errors are those of Report,
// without [notify.ErrUnrelated] and [notify.ErrMalformed].
func (w *Webhooks) read(r *http.Request) ([]byte, error) {
	body, err := gateway.ReadWebhook(r, "application/json")
	if err != nil {
		return nil, err
	}
	// The URL that is registered has no query. Bird would not sign one.
	if r.URL.RawQuery != "" || !isSigned(r.Header, body, *w.key, w.now()) {
		return nil, notify.ErrForged
	}
	return body, nil
}
