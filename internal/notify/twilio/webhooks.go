package twilio

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/twilio/twilio-go/client"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
)

const (
	signatureHeader = "X-Twilio-Signature"
	// maxWebhook bounds the body of a request; the longest of Twilio's, with a
	// text of 1,600 characters, has about 10 KiB.
	maxWebhook = 16 << 10
	// maxText is the longest text that Twilio carries, in characters.
	maxText = 1600
	// maxAttempt is far more than a verification has.
	maxAttempt = 9999
)

// Webhooks reads Twilio's requests to us and believes only what Twilio has
// signed with the account's auth token. A request that was signed can come
// again at any time: that it has an effect only once is up to the caller. The
// token stands behind a pointer, which fmt and slog do not follow.
type Webhooks struct {
	origin    string
	validator *client.RequestValidator
}

// NewWebhooks takes TWOFA_PUBLIC_URL and TWILIO_AUTH_TOKEN, as Options do. The
// error names what is wrong with them and holds neither.
func NewWebhooks(publicURL, authToken string) (*Webhooks, error) {
	origin, err := parsePublicURL(publicURL)
	switch {
	case err != nil:
		return nil, errors.New("twilio: " + err.Error())
	case origin == "":
		return nil, errors.New("twilio: TWOFA_PUBLIC_URL is not set")
	case authToken == "" || !isAlphanumeric(authToken):
		return nil, errors.New("twilio: TWILIO_AUTH_TOKEN has to be letters and digits, as the Twilio console shows it")
	}
	validator := client.NewRequestValidator(authToken)
	return &Webhooks{origin: origin, validator: &validator}, nil
}

// progress is what a status of Twilio's means; reason is why, for otp.Failed,
// unless an error number says more.
type progress struct {
	status otp.DeliveryStatus
	reason notify.Reason
}

// Statuses that are not here change nothing (otp.Queued): Twilio adds some
// without notice.
var (
	messageStatuses = map[string]progress{
		"sent":        {otp.Sent, 0},
		"delivered":   {otp.Delivered, 0},
		"read":        {otp.Read, 0},
		"undelivered": {otp.Failed, notify.Undeliverable}, // the carrier says so
		"failed":      {otp.Failed, notify.Unavailable},   // it never left Twilio
		"canceled":    {otp.Failed, notify.Unavailable},
	}
	callStatuses = map[string]progress{
		"ringing":     {otp.Sent, 0},
		"in-progress": {otp.Sent, 0},
		"completed":   {otp.Delivered, 0},
		"busy":        {otp.Failed, notify.Undeliverable},
		"no-answer":   {otp.Failed, notify.Undeliverable},
		"failed":      {otp.Failed, notify.Undeliverable},
		"canceled":    {otp.Failed, notify.Undeliverable},
	}
)

// Report reads what became of a message (a POST to StatusPath). The error is
// notify.ErrForged or notify.ErrMalformed itself.
func (w *Webhooks) Report(r *http.Request) (notify.Report, error) {
	query, form, err := w.read(r, StatusPath)
	if err != nil {
		return notify.Report{}, err
	}
	id, fault := otp.ParseID(query.Get("id"))
	attempt, err := strconv.Atoi(query.Get("attempt"))
	isCall := form.Has("CallStatus")
	if fault != nil || err != nil || attempt < 1 || attempt > maxAttempt || strconv.Itoa(attempt) != query.Get("attempt") ||
		isCall == form.Has("MessageStatus") {
		return notify.Report{}, notify.ErrMalformed
	}

	report := notify.Report{Verification: id, Attempt: attempt, Status: otp.Queued}
	said, statuses := form.Get("MessageStatus"), messageStatuses
	if isCall {
		said, statuses = form.Get("CallStatus"), callStatuses
	}
	p, ok := statuses[said]
	if !ok {
		return report, nil
	}
	report.Status = p.status
	if p.status == otp.Failed {
		code, _ := strconv.Atoi(form.Get("ErrorCode"))
		report.Failure = &notify.Failure{Reason: p.reason, Code: errorNumber(code), Next: otherChannel, Detail: "reported as " + said}
		namesOf(form, isCall).apply(report.Failure)
	}
	return report, nil
}

// namesOf finds the settings of a message that Twilio reports on. An alert's
// template is none of them, because nobody asks for a report on an alert.
func namesOf(form url.Values, isCall bool) names {
	// Whatever the calls of the API authenticate with, the token is what an
	// account always has.
	n := names{credentials: "TWILIO_AUTH_TOKEN"}
	switch {
	case isCall:
		n.sender = senderVariables[notify.Call]
	case form.Get("MessagingServiceSid") != "":
		n.sender = serviceVariable
	case strings.HasPrefix(form.Get("To"), "whatsapp:"):
		n.sender = senderVariables[notify.WhatsApp]
	default:
		n.sender = senderVariables[notify.SMS]
	}
	return n
}

// Inbound reads what a person sent to us (a POST to InboundPath). Its texts are
// valid UTF-8 of at most 1,600 characters and otherwise as the person wrote
// them. The error is notify.ErrForged or notify.ErrMalformed itself.
func (w *Webhooks) Inbound(r *http.Request) (notify.Inbound, error) {
	_, form, err := w.read(r, InboundPath)
	if err != nil {
		return notify.Inbound{}, err
	}
	in := notify.Inbound{Channel: notify.SMS, Text: clean(form.Get("Body")), Payload: clean(form.Get("ButtonPayload"))}
	number, isWhatsApp := strings.CutPrefix(form.Get("From"), "whatsapp:")
	if isWhatsApp {
		in.Channel = notify.WhatsApp
	}
	n, err := phone.Parse(number)
	if err != nil {
		return notify.Inbound{}, notify.ErrMalformed
	}
	in.From = n.E164
	if in.Text == "" {
		in.Text = clean(form.Get("ButtonText"))
	}
	return in, nil
}

// Reply is the answer to an inbound message: a text that goes back to the
// person, at most 1,600 characters of it, or nothing for "".
func (w *Webhooks) Reply(text string) (contentType string, body []byte) {
	xml := `<?xml version="1.0" encoding="UTF-8"?><Response/>`
	if text = clean(text); text != "" {
		xml = `<?xml version="1.0" encoding="UTF-8"?><Response><Message>` + escapeText(text) + `</Message></Response>`
	}
	return "text/xml; charset=utf-8", []byte(xml)
}

// read returns the parameters of a request, in the query and in the body, if
// Twilio has signed it for this path of ours.
func (w *Webhooks) read(r *http.Request, path string) (query, form url.Values, err error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	signatures := r.Header[signatureHeader]
	if r.Method != http.MethodPost || err != nil || media != "application/x-www-form-urlencoded" || len(signatures) != 1 || r.Body == nil {
		return nil, nil, notify.ErrForged
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxWebhook+1))
	if err != nil || len(body) > maxWebhook {
		return nil, nil, notify.ErrForged
	}
	query, queryErr := url.ParseQuery(r.URL.RawQuery)
	form, formErr := url.ParseQuery(string(body))
	if queryErr != nil || formErr != nil {
		return nil, nil, notify.ErrForged
	}
	params, ok := once(query, form)
	if !ok {
		return nil, nil, notify.ErrForged
	}
	// From our own settings and not from Host or the path, which whoever sends
	// the request writes.
	address := w.origin + path
	if r.URL.RawQuery != "" {
		address += "?" + r.URL.RawQuery
	}
	if !w.validator.Validate(address, params, signatures[0]) {
		return nil, nil, notify.ErrForged
	}
	return query, form, nil
}

// once returns the parameters of the body as the signature covers them. It
// refuses what the signature leaves open: a parameter that is there twice,
// because the validator looks at the first alone, and a name that does not
// begin with a letter, because names and values are signed without a mark
// between them: the last digits of the query could be given to such a name.
func once(query, form url.Values) (map[string]string, bool) {
	for name, values := range query {
		if len(values) != 1 || form.Has(name) {
			return nil, false
		}
	}
	params := make(map[string]string, len(form))
	for name, values := range form {
		if len(values) != 1 || name == "" || !isAlphanumeric(name[:1]) || name[0] <= '9' {
			return nil, false
		}
		params[name] = values[0]
	}
	return params, true
}

// clean makes a text from outside valid and not too long.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	n := 0
	for i := range s {
		if n == maxText {
			return s[:i]
		}
		n++
	}
	return s
}
