package bird

import (
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
)

// The environment variables that faults and failures name.
const (
	keyVariable           = "BIRD_API_KEY"
	secretVariable        = "BIRD_WEBHOOK_SECRET"
	templateVariable      = "BIRD_WHATSAPP_TEMPLATE"
	alertTemplateVariable = "BIRD_WHATSAPP_ALERT_TEMPLATE"
	baseURLVariable       = "BIRD_BASE_URL"
)

var senderVariables = map[channel.Channel]string{
	channel.WhatsApp: "BIRD_WHATSAPP_FROM",
	channel.SMS:      "BIRD_SMS_FROM",
}

// What may follow. If the address or the account is wrong, no other channel of the same
// number can help.
const (
	otherChannel   = otp.NextChannel
	byCall         = otp.NextCall
	addressIsWrong = otp.NextAddress
	accountIsWrong = otp.NextAddress
	nothing        = otp.NextNone
)

// Settings whose variable depends on the message.
const (
	theSender   = "the sender"
	theTemplate = "the template"
)

// rule is what one of Bird's words means for the service.
type rule struct {
	outcome otp.Outcome
	setting string // an environment variable, theSender or theTemplate
	next    otp.Next
	warn    bool
	detail  string
}

// reportRules are the words in Bird's reports on messages. The schema lists them and says
// what they mean. What follows from that (outcome, setting, next) is this package's own
// reading.
var reportRules = map[string]rule{
	// of SMS
	"invalid_destination":         {otp.OutcomeUndeliverable, "", addressIsWrong, false, "the number is not in use"},
	"unreachable":                 {otp.OutcomeUndeliverable, "", byCall, false, "the phone is unreachable"},
	"landline_unreachable":        {otp.OutcomeUndeliverable, "", byCall, false, "the number is a landline without SMS"},
	"blocked_by_carrier":          {otp.OutcomeUndeliverable, "", byCall, true, "the carrier has filtered the message"},
	"content_rejected":            {otp.OutcomeUndeliverable, "", byCall, true, "the carrier refuses the text"},
	"blocked_by_recipient":        {otp.OutcomeUndeliverable, "", otherChannel, false, "the recipient's phone blocks the sender"},
	"recipient_opted_out":         {otp.OutcomeUndeliverable, "", otherChannel, false, "the recipient has opted out"},
	"blocked_by_fraud_protection": {otp.OutcomeRefused, "", nothing, false, "Bird's fraud protection blocks the message"},
	"sender_unregistered":         {otp.OutcomeMisconfigured, theSender, otherChannel, false, "the sender is not registered for the country"},
	"provider_unavailable":        {otp.OutcomeUnavailable, "", otherChannel, false, "a provider behind Bird is unavailable"},
	"unknown":                     {otp.OutcomeUndeliverable, "", byCall, false, "there is no known reason"},
	// of both
	"insufficient_balance": {otp.OutcomeMisconfigured, keyVariable, accountIsWrong, false, "the account has no credit"},
	// of WhatsApp
	"undeliverable":          {otp.OutcomeUndeliverable, "", otherChannel, false, "the number cannot receive WhatsApp messages"},
	"recipient_suppressed":   {otp.OutcomeUndeliverable, "", otherChannel, false, "the recipient has opted out"},
	"service_window_expired": {otp.OutcomeMisconfigured, theTemplate, otherChannel, false, "an approved template is needed outside the 24-hour window"},
	"price_not_found":        {otp.OutcomeMisconfigured, "TWOFA_COUNTRIES", otherChannel, false, "Bird has no price for the country"},
	"rate_limited":           {otp.OutcomeUnavailable, "", otherChannel, false, "too many messages"},
	"internal_error":         {otp.OutcomeUnavailable, "", otherChannel, false, "Bird has failed"},
}

// The codes in Bird's refusals that this package knows.
const (
	codeRunning     = "E01004" // 409: a request with the same key is still running
	codeOtherBody   = "E01005" // 409: another request has used the key
	codeNotExecuted = "E01033" // 503: the request was not executed
)

// refusalRules are the names in Bird's refusals (422), as its schema mentions them. Its
// codes for them are not published.
var refusalRules = map[string]rule{
	"SMSInvalidRecipient":      {otp.OutcomeInvalidAddress, "", addressIsWrong, false, "the number is not valid"},
	"WhatsAppInvalidRecipient": {otp.OutcomeInvalidAddress, "", addressIsWrong, false, "the number is not valid"},

	"SMSNoEligibleSender":        {otp.OutcomeMisconfigured, theSender, otherChannel, false, "the sender cannot be used"},
	"SMSSenderNotConfigured":     {otp.OutcomeMisconfigured, theSender, otherChannel, false, "the sender is not set up"},
	"SenderCategoryNotPermitted": {otp.OutcomeMisconfigured, theSender, otherChannel, false, "the sender is not registered for one-time codes"},
	"WhatsAppSenderRequired":     {otp.OutcomeMisconfigured, theSender, otherChannel, false, "the sender is missing"},
	"WhatsAppSenderNotAllowed":   {otp.OutcomeMisconfigured, theTemplate, otherChannel, false, "the template has a sender of its own"},
	"WhatsAppSenderNotFound":     {otp.OutcomeMisconfigured, theSender, otherChannel, false, "the sender is not the account's"},
	"WhatsAppSenderNotConnected": {otp.OutcomeMisconfigured, theSender, otherChannel, false, "the sender is not connected"},
	"WhatsAppSenderWABAMismatch": {otp.OutcomeMisconfigured, theSender, otherChannel, false, "sender and template belong to two WhatsApp accounts"},

	"WhatsAppTemplateParameterMismatch": {otp.OutcomeMisconfigured, theTemplate, otherChannel, false, "the template has other variables"},
	"WhatsAppServiceWindowClosed":       {otp.OutcomeMisconfigured, theTemplate, otherChannel, false, "an approved template is needed outside the 24-hour window"},
}

// paramRules are for refusals without a known name, by the field that they blame. That Bird
// names the fields as in the request is assumed.
var paramRules = map[string]rule{
	"to":       {otp.OutcomeInvalidAddress, "", addressIsWrong, false, "the number is not valid"},
	"from":     {otp.OutcomeMisconfigured, theSender, otherChannel, false, "the sender is not valid"},
	"template": {otp.OutcomeMisconfigured, theTemplate, otherChannel, false, "the template is not valid"},
	"text":     {otp.OutcomeMisconfigured, "TWOFA_TEXTS_DIR", otherChannel, false, "the text is not valid"},
}

// names are the variables of the settings that a message uses.
type names struct{ sender, template string }

// apply completes f by the rule for a word. Without a rule it changes nothing and returns
// false: the word is then a text from outside, which must not get into the failure.
func (n names) apply(f *notify.Failure, rules map[string]rule, word string) bool {
	r, ok := rules[word]
	if !ok {
		return false
	}
	f.Outcome, f.Setting, f.Next, f.Warn, f.Detail = r.outcome, r.setting, r.next, r.warn, r.detail
	switch r.setting {
	case theSender:
		f.Setting = n.sender
	case theTemplate:
		f.Setting = n.template
	}
	return true
}
