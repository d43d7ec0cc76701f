package twilio

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/twilio/twilio-go/client"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

const (
	signatureHeader = "X-Twilio-Signature"
	// whatsAppPrefix is before the numbers of WhatsApp, rcsPrefix before those of RCS.
	// The messaging service sends RCS in the place of SMS to phones that have it.
	whatsAppPrefix = "whatsapp:"
	rcsPrefix      = "rcs:"
	// maxText is the longest text that Twilio carries, in characters.
	maxText = 1600
)

// Webhooks reads Twilio's requests to this service. It accepts only requests that
// Twilio has signed with the account's auth token, that have one reading (see
// recut.go), and that are for this account. A signed request can be repeated at any
// time: the caller has to make sure that it has an effect only once. The token is
// behind a pointer, which fmt and slog do not follow.
type Webhooks struct {
	origin    string
	validator *client.RequestValidator
	account   string // our account's SID
	// senders are our numbers that people can write to, by channel, in the form of To.
	senders map[channel.Channel][]string
	// service is our messaging service. byService are the channels whose sender it
	// picks, from numbers that the settings do not name.
	service   string
	byService map[channel.Channel]bool
	inbound   []gateway.Deciding // the parameters that decide
	log       *slog.Logger
}

// NewWebhooks takes the same Options as New. It needs PublicURL, AuthToken and
// AccountSID, and the senders for people's messages. The error says what is wrong
// and quotes no value.
func NewWebhooks(o Options) (*Webhooks, error) {
	origin, err := gateway.ParsePublicURL(o.PublicURL)
	switch {
	case err != nil:
		return nil, errors.New("twilio: " + err.Error())
	case origin == "":
		return nil, errors.New("twilio: TWOFA_PUBLIC_URL is not set")
	case o.AuthToken == "" || !isAlphanumeric(o.AuthToken):
		return nil, errors.New("twilio: TWILIO_AUTH_TOKEN has to be letters and digits, as the Twilio console shows it")
	case !isSID("AC", o.AccountSID):
		return nil, errors.New("twilio: TWILIO_ACCOUNT_SID has to be AC and 32 hexadecimal digits")
	}
	validator := client.NewRequestValidator(o.AuthToken)
	w := &Webhooks{
		origin: origin, validator: &validator, account: o.AccountSID, service: o.MessagingServiceSID,
		senders: make(map[channel.Channel][]string), log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
	}
	if o.WhatsAppFrom != "" {
		w.senders[channel.WhatsApp] = []string{whatsAppPrefix + o.WhatsAppFrom}
	}
	shortCode := ""
	if gateway.DigitsLength(o.SMSFrom) == len(o.SMSFrom) {
		shortCode = o.SMSFrom
	}
	answerable := gateway.IsE164(o.SMSFrom) || shortCode != "" // nobody can write to a name
	if answerable {
		w.senders[channel.SMS] = []string{o.SMSFrom}
	}
	if o.VoiceFrom != "" { // a person can reply to a call by SMS
		w.senders[channel.SMS] = append(w.senders[channel.SMS], o.VoiceFrom)
	}
	w.byService = map[channel.Channel]bool{
		channel.WhatsApp: o.WhatsAppFrom == "" && o.MessagingServiceSID != "",
		channel.SMS:      !answerable && o.MessagingServiceSID != "",
	}
	w.inbound = inboundParameters(shortCode)
	return w, nil
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

// Advice implements hooks.Provider.
func (w *Webhooks) Advice() notify.Advice {
	return notify.Advice{
		Forged:  "TWILIO_AUTH_TOKEN is the account's primary auth token",
		Foreign: "TWILIO_ACCOUNT_SID, and that TWILIO_WHATSAPP_FROM, TWILIO_SMS_FROM or TWILIO_MESSAGING_SERVICE_SID is what people write to",
	}
}

// Report reads a delivery report on a message (a POST to StatusPath). The error
// is [notify.ErrForged], [notify.ErrForeign] or [notify.ErrMalformed], or a
// *problem.Error of kind PayloadTooLarge.
func (w *Webhooks) Report(r *http.Request) (notify.Report, error) {
	query, form, err := w.read(r, StatusPath, reportParameters)
	if err != nil {
		return notify.Report{}, err
	}
	id, attempt, ok := gateway.ReadAttempt(query.Get("id"), query.Get("attempt"))
	isCall := form.Has("CallStatus")
	if !ok || isCall == form.Has("MessageStatus") {
		return notify.Report{}, notify.ErrMalformed
	}

	report := notify.Report{Verification: id, Attempt: attempt, Provider: channel.Twilio, Status: otp.Queued}
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
	case strings.HasPrefix(form.Get("To"), whatsAppPrefix):
		n.sender = senderVariables[channel.WhatsApp]
	default:
		n.sender = senderVariables[channel.SMS]
	}
	return n
}

// Inbound reads a person's message to the service (a POST to InboundPath). Its
// texts are made valid UTF-8 of at most 1,600 characters and are otherwise
// unchanged. A sender that is no number is no error: From is then empty. Its errors are
// those of Report.
func (w *Webhooks) Inbound(r *http.Request) (notify.Inbound, error) {
	_, form, err := w.read(r, InboundPath, w.inbound)
	if err != nil {
		return notify.Inbound{}, err
	}
	in := notify.Inbound{
		Text: clean(form.Get("Body")), Payload: clean(form.Get("ButtonPayload")), MessageID: form.Get("MessageSid"),
		Answered: form.Get("OptOutType") != "",
	}
	switch strings.ToUpper(form.Get("OptOutType")) {
	case optOutStop:
		in.OptOut = true
	case optOutStart, optOutHelp:
		in.Keyword = true
	}
	in.Channel, in.From = senderOf(form.Get("From"))
	isOurs := w.isForUs(in.Channel, form)
	switch {
	case !isOurs && in.From == "" && form.Get("From") != "":
		in.Channel = "" // whatever it is, nobody can reply to it
	case !isOurs:
		return notify.Inbound{}, notify.ErrForeign
	}
	if form.Get("From") == "" || !isMessageSID(in.MessageID) {
		return notify.Inbound{}, notify.ErrMalformed
	}
	// Twilio sends the SID twice. Two different ones are a cut at another place.
	if form.Has("SmsMessageSid") && form.Get("SmsMessageSid") != in.MessageID {
		return notify.Inbound{}, notify.ErrForged
	}
	if in.Text == "" {
		in.Text = clean(form.Get("ButtonText"))
	}
	return in, nil
}

// Twilio's own reading of a message, its OptOutType. It stands for the usual words and
// for those that the operator has set beside them, and Twilio has answered.
const (
	optOutStop  = "STOP"
	optOutStart = "START"
	optOutHelp  = "HELP"
)

// senderOf reads Twilio's name of a sender: a number in the one form that Twilio uses,
// which is the form that recut.go looks for. number is "" for all other senders: short
// codes, names, and WhatsApp's ids of users who hide their number.
func senderOf(from string) (c channel.Channel, number string) {
	c = channel.SMS
	number, isWhatsApp := strings.CutPrefix(from, whatsAppPrefix)
	if isWhatsApp {
		c = channel.WhatsApp
	} else {
		number = strings.TrimPrefix(from, rcsPrefix)
	}
	if !gateway.IsE164(number) {
		return c, ""
	}
	return c, number
}

func isMessageSID(s string) bool { return isSID("SM", s) || isSID("MM", s) }

// isForUs reports whether a message was sent to one of our senders of the channel.
// If the messaging service picks the sender, the service has to be ours.
// RCS has senders that the settings do not name, so there the service picks, too.
func (w *Webhooks) isForUs(c channel.Channel, form url.Values) bool {
	byService := w.byService[c] || w.service != "" && strings.HasPrefix(form.Get("To"), rcsPrefix)
	return slices.Contains(w.senders[c], form.Get("To")) || byService && form.Get("MessagingServiceSid") == w.service
}

// Reply is the response to an inbound message. It sends the text to the person,
// cut to 1,600 characters. Empty: no reply.
func (w *Webhooks) Reply(text string) (contentType string, body []byte) {
	xml := `<?xml version="1.0" encoding="UTF-8"?><Response/>`
	if text = clean(text); text != "" {
		xml = `<?xml version="1.0" encoding="UTF-8"?><Response><Message>` + gateway.EscapeXML(text) + `</Message></Response>`
	}
	return "text/xml; charset=utf-8", []byte(xml)
}

// read returns the parameters in the query and the body of a request that Twilio
// has signed for this path and for our account. deciding are the parameters that
// must stand in one place only. The errors are those of Report, without
// [notify.ErrMalformed].
func (w *Webhooks) read(r *http.Request, path string, deciding []gateway.Deciding) (query, form url.Values, err error) {
	body, err := gateway.ReadWebhook(r, gateway.Form)
	if err != nil {
		return nil, nil, err
	}
	signatures := r.Header[signatureHeader]
	if len(signatures) != 1 {
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
	if name, holder := ambiguity(r.URL.RawQuery, query, params, deciding); name != "" {
		w.log.Warn("a request that Twilio has signed was refused: it can be read in two ways, because one parameter holds another",
			"holder", holder, "held", name)
		return nil, nil, notify.ErrForged
	}
	if params["AccountSid"] != w.account {
		return nil, nil, notify.ErrForeign
	}
	return query, form, nil
}

// signedParams returns the parameters of the body. It refuses what [gateway.SignedParams]
// refuses, and a parameter that is repeated in the query, or in both.
func signedParams(query, form url.Values) (map[string]string, bool) {
	for name, values := range query {
		if len(values) != 1 || form.Has(name) {
			return nil, false
		}
	}
	return gateway.SignedParams(form)
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
