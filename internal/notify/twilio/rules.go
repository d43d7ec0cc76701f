package twilio

import (
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
)

// setting is what the operator has to check. Which variable holds the
// credentials, the sender and the template depends on the message: see names.
type setting int

const (
	none setting = iota
	account
	credentials
	from
	service
	template
	countries
	publicURL
)

// names are the environment variables of the settings that a message uses.
type names struct {
	credentials, sender string
	// template is the template's variable. Empty: TWILIO_CONTENT_SID.
	template string
}

const (
	serviceVariable       = "TWILIO_MESSAGING_SERVICE_SID"
	templateVariable      = "TWILIO_CONTENT_SID"
	alertTemplateVariable = "TWILIO_ALERT_CONTENT_SID"
)

var senderVariables = map[channel.Channel]string{
	channel.WhatsApp: "TWILIO_WHATSAPP_FROM",
	channel.SMS:      "TWILIO_SMS_FROM",
	channel.Call:     "TWILIO_VOICE_FROM",
}

// variable is the environment variable of a setting. Empty for none.
func (n names) variable(x setting) string {
	switch x {
	case account:
		return "TWILIO_ACCOUNT_SID"
	case credentials:
		return n.credentials
	case from:
		return n.sender
	case service:
		return serviceVariable
	case template:
		if n.template != "" {
			return n.template
		}
		return templateVariable
	case countries:
		return "TWOFA_COUNTRIES"
	case publicURL:
		return "TWOFA_PUBLIC_URL"
	}
	return ""
}

// rule is what one of Twilio's error numbers means for the service.
type rule struct {
	outcome otp.Outcome
	setting setting
	next    otp.Next
	detail  string
}

// What may follow. If the address or the account is wrong, no other channel of
// the same number can help.
const (
	otherChannel   = otp.NextChannel
	byCall         = otp.NextCall
	addressIsWrong = otp.NextAddress
	accountIsWrong = otp.NextAddress
	nothing        = otp.NextNone
)

const (
	codeTooManyRequests = 20429
	codeFiltered        = 30007
)

// rules are the error numbers with a known meaning. The meaning is the same on
// every channel, and whether Twilio answers with the number or reports it later
// (most of 30xxx and 63xxx). Only 20429 leads to another try: the others would
// get the same answer again.
//
// The numbers are documented in Twilio's error dictionary. Not looked up there
// are 10004, 10005, 20404, 30032, 30034 and 30036. The dictionary lists 13223,
// 13224, 13225 and 13227 for the Dial verb of TwiML only; that Calls answer them
// too was not looked up.
var rules = map[int]rule{
	// The address.
	13223: {otp.OutcomeInvalidAddress, none, addressIsWrong, "the number is not valid"},
	13224: {otp.OutcomeUndeliverable, none, otherChannel, "no carrier takes calls to the number"},
	21211: {otp.OutcomeInvalidAddress, none, addressIsWrong, "the number is not valid"},
	21214: {otp.OutcomeUndeliverable, none, otherChannel, "the number cannot be called"},
	21217: {otp.OutcomeInvalidAddress, none, addressIsWrong, "the number is not valid"},
	21265: {otp.OutcomeInvalidAddress, none, addressIsWrong, "the number is a short code"},
	21266: {otp.OutcomeUndeliverable, none, otherChannel, "the number is the sender's own"},
	21610: {otp.OutcomeUndeliverable, none, otherChannel, "the recipient has opted out"},
	21612: {otp.OutcomeUndeliverable, none, otherChannel, "no route from the sender to the number"},
	21614: {otp.OutcomeUndeliverable, none, byCall, "the number is a landline"},
	21635: {otp.OutcomeUndeliverable, none, byCall, "the number is a landline"},
	30003: {otp.OutcomeUndeliverable, none, byCall, "the phone is unreachable"},
	30004: {otp.OutcomeUndeliverable, none, byCall, "the recipient blocks messages"},
	30005: {otp.OutcomeUndeliverable, none, addressIsWrong, "the number is unknown"},
	30006: {otp.OutcomeUndeliverable, none, byCall, "the number is a landline or its carrier cannot be reached"},
	30007: {otp.OutcomeUndeliverable, none, byCall, "the carrier has filtered the message"},
	30008: {otp.OutcomeUndeliverable, none, byCall, "the carrier gave no reason"},
	63003: {otp.OutcomeUndeliverable, none, otherChannel, "the number is not on WhatsApp"},
	63014: {otp.OutcomeUndeliverable, none, otherChannel, "the recipient has blocked the sender"},
	63015: {otp.OutcomeUndeliverable, none, otherChannel, "the recipient has not joined the WhatsApp sandbox"},
	63024: {otp.OutcomeUndeliverable, none, otherChannel, "the number cannot receive WhatsApp messages"},
	63032: {otp.OutcomeUndeliverable, none, otherChannel, "WhatsApp does not deliver to this recipient"},

	// Fraud, and numbers that charge the caller.
	21202: {otp.OutcomeRefused, none, nothing, "a premium number"},
	21268: {otp.OutcomeRefused, none, nothing, "a premium number"},
	30450: {otp.OutcomeRefused, none, nothing, "blocked as traffic pumping"},
	30453: {otp.OutcomeRefused, none, nothing, "blocked as traffic pumping"},

	// Twilio blocks the call: because of fraud, a regulation, or an account
	// without a customer profile. Another channel may follow, because RiskCheck
	// checks again there.
	13225: {otp.OutcomeUndeliverable, none, otherChannel, "Twilio blocks calls to the number"},
	21216: {otp.OutcomeUndeliverable, none, otherChannel, "Twilio blocks calls to the number"},

	// The channel is temporarily unavailable.
	10004: {otp.OutcomeUnavailable, none, otherChannel, "too many calls at once"},
	20429: {otp.OutcomeUnavailable, none, otherChannel, "too many requests"},
	21611: {otp.OutcomeUnavailable, none, otherChannel, "the sender's queue is full"},
	22005: {otp.OutcomeUnavailable, none, otherChannel, "the queue of calls is full"},
	30001: {otp.OutcomeUnavailable, none, otherChannel, "the queue is full"},
	30036: {otp.OutcomeUnavailable, none, otherChannel, "the message was too old before it could be sent"},
	63005: {otp.OutcomeUnavailable, none, otherChannel, "WhatsApp did not take the message"},
	63012: {otp.OutcomeUnavailable, none, otherChannel, "WhatsApp failed internally"},
	63018: {otp.OutcomeUnavailable, none, otherChannel, "the WhatsApp sender has reached its rate limit"},

	// Configuration: the account.
	10001: {otp.OutcomeMisconfigured, account, accountIsWrong, "the account is not active"},
	10002: {otp.OutcomeMisconfigured, account, otherChannel, "a trial account cannot do this"},
	10005: {otp.OutcomeMisconfigured, account, otherChannel, "calls are disabled for the account"},
	20003: {otp.OutcomeMisconfigured, credentials, accountIsWrong, "the credentials are refused or the account is suspended"},
	20404: {otp.OutcomeMisconfigured, account, accountIsWrong, "there is no such account"},
	21219: {otp.OutcomeMisconfigured, account, accountIsWrong, "a trial account reaches verified numbers only"},
	21608: {otp.OutcomeMisconfigured, account, accountIsWrong, "a trial account reaches verified numbers only"},
	21609: {otp.OutcomeMisconfigured, publicURL, accountIsWrong, "Twilio cannot report to this address"},
	30002: {otp.OutcomeMisconfigured, account, accountIsWrong, "the account is suspended"},

	// Configuration: the account's permissions and senders, which differ between
	// channels.
	13227: {otp.OutcomeMisconfigured, countries, otherChannel, "the account has no permission to call the country"},
	21210: {otp.OutcomeMisconfigured, from, otherChannel, "the sender is not a verified number of the account"},
	21212: {otp.OutcomeMisconfigured, from, otherChannel, "the sender is not valid"},
	21215: {otp.OutcomeMisconfigured, countries, otherChannel, "the account has no permission to call the country"},
	21264: {otp.OutcomeMisconfigured, from, otherChannel, "the sender is not a verified number of the account"},
	21267: {otp.OutcomeMisconfigured, from, otherChannel, "a trial account cannot send under a name"},
	21408: {otp.OutcomeMisconfigured, countries, otherChannel, "the account has no permission for the country"},
	21606: {otp.OutcomeMisconfigured, from, otherChannel, "the sender does not belong to the account"},
	21657: {otp.OutcomeMisconfigured, from, otherChannel, "the sender is not valid"},
	21659: {otp.OutcomeMisconfigured, from, otherChannel, "the sender is not a number of Twilio's, or a short code of another country"},
	21660: {otp.OutcomeMisconfigured, from, otherChannel, "the sender does not belong to the account"},
	21661: {otp.OutcomeMisconfigured, from, otherChannel, "the sender cannot send SMS"},
	21701: {otp.OutcomeMisconfigured, service, otherChannel, "the messaging service does not exist"},
	21702: {otp.OutcomeMisconfigured, service, otherChannel, "the messaging service is not available"},
	21703: {otp.OutcomeMisconfigured, service, otherChannel, "the messaging service has no sender"},
	21704: {otp.OutcomeMisconfigured, service, otherChannel, "the messaging service has no sender"},
	21705: {otp.OutcomeMisconfigured, service, otherChannel, "the messaging service is not valid"},
	21910: {otp.OutcomeMisconfigured, from, otherChannel, "the sender belongs to another channel"},
	30032: {otp.OutcomeMisconfigured, from, otherChannel, "the toll-free sender is not verified"},
	30034: {otp.OutcomeMisconfigured, from, otherChannel, "the sender is not registered for messages to the USA"},
	63001: {otp.OutcomeMisconfigured, from, otherChannel, "WhatsApp refuses the sender"},
	63007: {otp.OutcomeMisconfigured, from, otherChannel, "the sender is not a WhatsApp sender of the account"},
	63020: {otp.OutcomeMisconfigured, from, otherChannel, "Twilio's invitation to the WhatsApp account is not accepted"},
	63051: {otp.OutcomeMisconfigured, from, otherChannel, "WhatsApp has locked the sender"},
	63112: {otp.OutcomeMisconfigured, from, otherChannel, "WhatsApp has disabled the sender's account"},

	// Configuration: the template.
	21654: {otp.OutcomeMisconfigured, template, otherChannel, "the template is missing"},
	21655: {otp.OutcomeMisconfigured, template, otherChannel, "the template does not exist in the account"},
	21656: {otp.OutcomeMisconfigured, template, otherChannel, "the template has other variables than 1"},
	63013: {otp.OutcomeMisconfigured, template, otherChannel, "the content violates WhatsApp's policy"},
	63016: {otp.OutcomeMisconfigured, template, otherChannel, "an approved template is needed outside the 24-hour window"},
	63021: {otp.OutcomeMisconfigured, template, otherChannel, "the content is invalid for WhatsApp"},
	63040: {otp.OutcomeMisconfigured, template, otherChannel, "WhatsApp has rejected the template"},
	63041: {otp.OutcomeMisconfigured, template, otherChannel, "WhatsApp has paused the template"},
	63042: {otp.OutcomeMisconfigured, template, otherChannel, "WhatsApp has disabled the template"},
	63049: {otp.OutcomeMisconfigured, template, otherChannel, "WhatsApp has classified the template as marketing"},
}

// apply completes f by the rule for its code. It reports whether there is one.
func (n names) apply(f *notify.Failure) bool {
	r, ok := rules[f.Code]
	if ok {
		f.Outcome, f.Setting, f.Next, f.Detail = r.outcome, n.variable(r.setting), r.next, r.detail
		f.Warn = f.Code == codeFiltered // the carrier objects to our texts or our sender
	}
	return ok
}
