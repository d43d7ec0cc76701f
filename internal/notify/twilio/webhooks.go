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

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
)

const (
	signatureHeader = "X-Twilio-Signature"
	// maxWebhook is the longest body of a request, in bytes. Twilio's longest,
	// with a text of 1,600 characters, has about 10 KiB.
	maxWebhook = 16 << 10
	// maxText is the longest text that Twilio carries, in characters.
	maxText = 1600
	// maxAttempt is far more than the attempts of one verification.
	maxAttempt = 9999
)

// Webhooks reads Twilio's requests to this service. It accepts only requests that
// Twilio has signed with the account's auth token. A signed request can be
// repeated at any time: the caller has to make sure that it has an effect only
// once. The token is behind a pointer, which fmt and slog do not follow.
type Webhooks struct {
	origin    string
	validator *client.RequestValidator
}

// NewWebhooks takes TWOFA_PUBLIC_URL and TWILIO_AUTH_TOKEN, like Options. The
// error says what is wrong with them and quotes neither.
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

// progress is what a status of Twilio's means. outcome is set for [otp.Failed]
// only, and applies if there is no error number with a rule.
type progress struct {
	status  otp.DeliveryStatus
	outcome otp.Outcome
}

// Other statuses change nothing ([otp.Queued]): Twilio adds some without notice.
var (
	messageStatuses = map[string]progress{
		"sent":        {otp.Sent, 0},
		"delivered":   {otp.Delivered, 0},
		"read":        {otp.Read, 0},
		"undelivered": {otp.Failed, otp.OutcomeUndeliverable}, // the carrier says so
		"failed":      {otp.Failed, otp.OutcomeUnavailable},   // it never left Twilio
		"canceled":    {otp.Failed, otp.OutcomeUnavailable},
	}
	callStatuses = map[string]progress{
		"ringing":     {otp.Sent, 0},
		"in-progress": {otp.Sent, 0},
		"completed":   {otp.Delivered, 0},
		"busy":        {otp.Failed, otp.OutcomeUndeliverable},
		"no-answer":   {otp.Failed, otp.OutcomeUndeliverable},
		"failed":      {otp.Failed, otp.OutcomeUndeliverable},
		"canceled":    {otp.Failed, otp.OutcomeUndeliverable},
	}
)

// Report reads a delivery report on a message (a POST to StatusPath). The error
// is [notify.ErrForged] or [notify.ErrMalformed].
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
		report.Failure = &notify.Failure{Outcome: p.outcome, Code: errorNumber(code), Next: otherChannel, Detail: "reported as " + said}
		namesOf(form, isCall).apply(report.Failure)
	}
	return report, nil
}

// namesOf returns the variables of the message that Twilio reports on. The
// template is never an alert's, because alerts have no reports.
func namesOf(form url.Values, isCall bool) names {
	// A report does not say which credentials the API call used. Every account
	// has a token.
	n := names{credentials: "TWILIO_AUTH_TOKEN"}
	switch {
	case isCall:
		n.sender = senderVariables[channel.Call]
	case form.Get("MessagingServiceSid") != "":
		n.sender = serviceVariable
	case strings.HasPrefix(form.Get("To"), "whatsapp:"):
		n.sender = senderVariables[channel.WhatsApp]
	default:
		n.sender = senderVariables[channel.SMS]
	}
	return n
}

// Inbound reads a person's message to the service (a POST to InboundPath). Its
// texts are made valid UTF-8 of at most 1,600 characters and are otherwise
// unchanged. The error is [notify.ErrForged] or [notify.ErrMalformed].
func (w *Webhooks) Inbound(r *http.Request) (notify.Inbound, error) {
	_, form, err := w.read(r, InboundPath)
	if err != nil {
		return notify.Inbound{}, err
	}
	in := notify.Inbound{Channel: channel.SMS, Text: clean(form.Get("Body")), Payload: clean(form.Get("ButtonPayload"))}
	number, isWhatsApp := strings.CutPrefix(form.Get("From"), "whatsapp:")
	if isWhatsApp {
		in.Channel = channel.WhatsApp
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

// Reply is the response to an inbound message. It sends the text to the person,
// cut to 1,600 characters. Empty: no reply.
func (w *Webhooks) Reply(text string) (contentType string, body []byte) {
	xml := `<?xml version="1.0" encoding="UTF-8"?><Response/>`
	if text = clean(text); text != "" {
		xml = `<?xml version="1.0" encoding="UTF-8"?><Response><Message>` + escapeText(text) + `</Message></Response>`
	}
	return "text/xml; charset=utf-8", []byte(xml)
}

// read returns the parameters in the query and the body of a request that Twilio
// has signed for this path. Otherwise it returns [notify.ErrForged].
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
	params, ok := signedParams(query, form)
	if !ok {
		return nil, nil, notify.ErrForged
	}
	// The URL comes from our own settings, not from the request's Host and path,
	// which the client chooses.
	address := w.origin + path
	if r.URL.RawQuery != "" {
		address += "?" + r.URL.RawQuery
	}
	if !w.validator.Validate(address, params, signatures[0]) {
		return nil, nil, notify.ErrForged
	}
	return query, form, nil
}

// signedParams returns the parameters of the body. It refuses two forms that the
// signature does not protect. One is a repeated parameter: the validator checks
// the first value only. The other is a name that does not begin with a letter:
// Twilio signs the URL, names and values without separators, so an attacker could
// move the last digits of the query into such a name.
func signedParams(query, form url.Values) (map[string]string, bool) {
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

// clean makes a text from outside valid UTF-8 of at most maxText characters.
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
