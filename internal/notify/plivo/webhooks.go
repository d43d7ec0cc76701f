package plivo

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

// Webhooks reads Plivo's requests to this service. It accepts only requests that
// Plivo has signed with the account's token and that have one reading (see
// signedText). A signed request can be repeated at any time: the caller has to make
// sure that it has an effect only once. It is safe for concurrent use. Package fmt and
// slog do not print its token.
type Webhooks struct {
	origin      string
	credentials *credentials
	sms         string // the variable of the SMS sender
	callFrom    string // digits. Empty: there are no calls
	texts       Texts
	parts       *tally
	log         *slog.Logger
}

// NewWebhooks takes the same Options as New. It needs PublicURL, AuthID and
// AuthToken, and CallFrom and Texts for requests about calls. The error says what is wrong and
// quotes no value.
func NewWebhooks(o Options) (*Webhooks, error) {
	origin, err := gateway.ParsePublicURL(o.PublicURL)
	switch {
	case err != nil:
		return nil, errors.New("plivo: " + err.Error())
	case origin == "":
		return nil, errors.New("plivo: " + gateway.PublicURLVariable + " is not set")
	case !isToken(o.AuthToken):
		return nil, errors.New("plivo: " + tokenVariable + whatATokenHasToBe)
	case !isAuthID(o.AuthID):
		return nil, errors.New("plivo: " + idVariable + whatAnIDHasToBe)
	}
	w := &Webhooks{
		origin: origin, credentials: newCredentials(o.AuthID, o.AuthToken), sms: senderVariables[channel.SMS],
		callFrom: digitsOf(o.CallFrom), texts: o.Texts, parts: new(tally), log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
	}
	if o.PowerpackUUID != "" {
		w.sms = powerpackVariable
	}
	return w, nil
}

// progress is what a status of Plivo's means. outcome is set for [otp.Failed] only,
// and applies if there is no error number with a rule.
type progress struct {
	status  otp.DeliveryStatus
	outcome otp.Outcome
}

// Other statuses change nothing ([otp.Queued]).
var (
	messageStatuses = map[string]progress{
		"sent":        {otp.Sent, 0},
		"delivered":   {otp.Delivered, 0},
		"read":        {otp.Read, 0},
		"undelivered": {otp.Failed, otp.OutcomeUndeliverable}, // the carrier says so
		"failed":      {otp.Failed, otp.OutcomeUnavailable},   // it never left Plivo
		"rejected":    {otp.Failed, otp.OutcomeUnavailable},
	}
	callStatuses = map[string]progress{
		"ringing":     {otp.Sent, 0},
		"in-progress": {otp.Sent, 0},
		"completed":   {otp.Delivered, 0},
		"busy":        {otp.Failed, otp.OutcomeUndeliverable},
		"no-answer":   {otp.Failed, otp.OutcomeUndeliverable},
		"timeout":     {otp.Failed, otp.OutcomeUndeliverable},
		"failed":      {otp.Failed, otp.OutcomeUndeliverable},
		"cancel":      {otp.Failed, otp.OutcomeUndeliverable},
	}
)

// Advice implements hooks.Provider.
func (w *Webhooks) Advice() notify.Advice {
	return notify.Advice{
		Forged:  tokenVariable + " is the token of the account or of its main account",
		Foreign: "that " + senderVariables[channel.Call] + " is the number that calls come from",
	}
}

// Report reads a report on a message, or on a call that has ended (a POST to
// StatusPath). Of a message in several parts, each part has reports of its own: a
// failed part fails the message, and the last part that is delivered delivers it. The
// error is [notify.ErrForged], [notify.ErrForeign] or [notify.ErrMalformed], or a
// *problem.Error of kind PayloadTooLarge.
func (w *Webhooks) Report(r *http.Request) (notify.Report, error) {
	got, err := w.read(r, StatusPath)
	if err != nil {
		return notify.Report{}, err
	}
	if got.form.Has("CallStatus") {
		return w.callReport(got)
	}
	return w.messageReport(got)
}

// messageReport reads a report on a message, or on a part of it.
func (w *Webhooks) messageReport(got received) (notify.Report, error) {
	if err := w.hasOneReading(got, reportParameters); err != nil {
		return notify.Report{}, err
	}
	form := got.form
	message := cmp.Or(form.Get("ParentMessageUUID"), form.Get("MessageUUID"))
	if !form.Has("Status") || !isUUID(message) {
		return notify.Report{}, notify.ErrMalformed
	}
	report := notify.Report{Verification: got.id, Attempt: got.attempt, Provider: Name, Status: otp.Queued}
	said := form.Get("Status")
	p, ok := messageStatuses[said]
	if !ok {
		return report, nil
	}
	report.Status = p.status
	if part, isPart := parsePart(form.Get("PartInfo")); isPart {
		report.Status = w.parts.status(message, part, p.status)
	}
	if p.status == otp.Failed {
		report.Failure = &notify.Failure{Outcome: p.outcome, Code: errorNumber(form.Get("ErrorCode")), Next: otherChannel, Detail: "reported as " + said}
		sender := w.sms
		if form.Get("Type") == "whatsapp" {
			sender = senderVariables[channel.WhatsApp]
		}
		apply(report.Failure, sender)
	}
	return report, nil
}

// callReport reads a report on a call.
func (w *Webhooks) callReport(got received) (notify.Report, error) {
	if err := w.isOurCall(got); err != nil {
		return notify.Report{}, err
	}
	report := notify.Report{Verification: got.id, Attempt: got.attempt, Provider: Name, Status: otp.Queued, Asks: true}
	said := got.form.Get("CallStatus")
	p, ok := callStatuses[said]
	if !ok {
		return report, nil
	}
	report.Status = p.status
	if p.status == otp.Failed {
		report.Failure = &notify.Failure{Outcome: p.outcome, Next: otherChannel, Detail: "reported as " + said}
	}
	return report, nil
}

// Question reads a request for what an answered call says (a POST to AnswerPath). The
// response is Speech. Its errors are those of Report.
func (w *Webhooks) Question(r *http.Request) (notify.Question, error) {
	got, err := w.read(r, AnswerPath)
	if err != nil {
		return notify.Question{}, err
	}
	if err := w.isOurCall(got); err != nil {
		return notify.Question{}, err
	}
	q := notify.Question{
		Verification: got.id, Attempt: got.attempt, Provider: Name,
		To: "+" + digitsOf(got.form.Get("To")), CallID: got.form.Get("CallUUID"),
	}
	if got.form.Get("CallStatus") != "in-progress" || !gateway.IsE164(q.To) || !isUUID(q.CallID) {
		return notify.Question{}, notify.ErrMalformed
	}
	return q, nil
}

// isOurCall checks that a request about a call has one reading and is about a call
// that this service has placed.
func (w *Webhooks) isOurCall(got received) error {
	if err := w.hasOneReading(got, callParameters); err != nil {
		return err
	}
	switch form := got.form; {
	case form.Has("Status"):
		return notify.ErrMalformed // of a message and of a call
	case w.callFrom == "" || digitsOf(form.Get("From")) != w.callFrom || form.Get("Direction") != "outbound":
		return notify.ErrForeign
	}
	return nil
}

// digitsOf is a number as Plivo writes it, without the plus of E.164.
func digitsOf(number string) string { return strings.TrimPrefix(number, "+") }

// hasOneReading returns [notify.ErrForged] for a signed text that can be cut into
// other parameters.
func (w *Webhooks) hasOneReading(got received, parameters []gateway.Deciding) error {
	name, _ := got.signed.body.Ambiguity(parameters)
	if name == "" {
		return nil
	}
	w.log.Warn("a request that Plivo has signed was refused: it can be read in two ways, because one parameter holds another", "held", name)
	return notify.ErrForged
}

// received is a request that Plivo has signed.
type received struct {
	id      otp.ID
	attempt int
	form    url.Values
	signed  signedText
}

// read returns a request that Plivo has signed for this path. The errors are those
// of Report, without [notify.ErrForeign].
func (w *Webhooks) read(r *http.Request, path string) (received, error) {
	body, err := gateway.ReadWebhook(r, gateway.Form)
	if err != nil {
		return received{}, err
	}
	nonce, hasNonce := nonceOf(r.Header)
	// A query that is not ours cannot be signed: Plivo calls only what we ask for.
	id, attempt, isOurs := readQuery(r.URL.RawQuery)
	form, formErr := url.ParseQuery(string(body))
	params, isPlain := gateway.SignedParams(form)
	if !hasNonce || !isOurs || formErr != nil || !isPlain {
		return received{}, notify.ErrForged
	}
	// The URL comes from our own settings, not from the request's Host and path,
	// which the client chooses.
	signed := newSignedText(w.origin+path, id, attempt, params, nonce)
	if !isSigned(r.Header, w.credentials.token, signed.text) {
		return received{}, notify.ErrForged
	}
	return received{id, attempt, form, signed}, nil
}
