package twilio

import (
	"twofa/internal/notify"
	"twofa/internal/otp"
)

// setting is what an operator has to look at. Which variable holds the
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

// names are the variables that a message's settings came from.
type names struct {
	credentials, sender string
	// template is "" for TWILIO_CONTENT_SID.
	template string
}

const (
	serviceVariable       = "TWILIO_MESSAGING_SERVICE_SID"
	templateVariable      = "TWILIO_CONTENT_SID"
	alertTemplateVariable = "TWILIO_ALERT_CONTENT_SID"
)

var senderVariables = map[notify.Channel]string{
	notify.WhatsApp: "TWILIO_WHATSAPP_FROM",
	notify.SMS:      "TWILIO_SMS_FROM",
	notify.Call:     "TWILIO_VOICE_FROM",
}

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

// rule is what one of Twilio's error numbers means here.
type rule struct {
	reason  notify.Reason
	setting setting
	next    otp.Next
	detail  string
}

// What may follow, in the words of the rules: a number that does not exist
// stays that on every channel, and what the whole account is refused no number
// of channels helps.
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

// rules are the error numbers that have a meaning of their own, on whatever
// channel and whether Twilio answers them at once or reports them later (most
// of 30xxx and 63xxx). None of them is repeated, but for 20429: the answer
// would be the same.
//
// They are documented in Twilio's dictionary of errors. Recalled and not looked
// up there are 10004, 10005, 20404, 30032, 30034 and 30036, and that Calls answer
// 13223, 13224, 13225 and 13227 too, which the dictionary has for the Dial verb
// of TwiML.
var rules = map[int]rule{
	// The address.
	13223: {notify.InvalidAddress, none, addressIsWrong, "the number is not valid"},
	13224: {notify.Undeliverable, none, otherChannel, "no carrier takes calls to the number"},
	21211: {notify.InvalidAddress, none, addressIsWrong, "the number is not valid"},
	21214: {notify.Undeliverable, none, otherChannel, "the number cannot be called"},
	21217: {notify.InvalidAddress, none, addressIsWrong, "the number is not valid"},
	21265: {notify.InvalidAddress, none, addressIsWrong, "the number is a short code"},
	21266: {notify.Undeliverable, none, otherChannel, "the number is the sender's own"},
	21610: {notify.Undeliverable, none, otherChannel, "the recipient has opted out"},
	21612: {notify.Undeliverable, none, otherChannel, "no route from the sender to the number"},
	21614: {notify.Undeliverable, none, byCall, "the number is a landline"},
	21635: {notify.Undeliverable, none, byCall, "the number is a landline"},
	30003: {notify.Undeliverable, none, byCall, "the phone is unreachable"},
	30004: {notify.Undeliverable, none, byCall, "the recipient blocks messages"},
	30005: {notify.Undeliverable, none, addressIsWrong, "the number is unknown"},
	30006: {notify.Undeliverable, none, byCall, "the number is a landline or its carrier cannot be reached"},
	30007: {notify.Undeliverable, none, byCall, "the carrier has filtered the message"},
	30008: {notify.Undeliverable, none, byCall, "the carrier gave no reason"},
	63003: {notify.Undeliverable, none, otherChannel, "the number is not on WhatsApp"},
	63014: {notify.Undeliverable, none, otherChannel, "the recipient has blocked the sender"},
	63015: {notify.Undeliverable, none, otherChannel, "the recipient has not joined the WhatsApp sandbox"},
	63024: {notify.Undeliverable, none, otherChannel, "the number cannot receive WhatsApp messages"},
	63032: {notify.Undeliverable, none, otherChannel, "WhatsApp does not deliver to this recipient"},

	// Fraud, and numbers that cost whoever calls them.
	21202: {notify.Refused, none, nothing, "a premium number"},
	21268: {notify.Refused, none, nothing, "a premium number"},
	30450: {notify.Refused, none, nothing, "blocked as traffic pumping"},
	30453: {notify.Refused, none, nothing, "blocked as traffic pumping"},

	// Twilio blocks the call, for fraud, but also for a regulation or because
	// the account has no customer profile. So another channel may follow, where
	// RiskCheck judges anew.
	13225: {notify.Undeliverable, none, otherChannel, "Twilio blocks calls to the number"},
	21216: {notify.Undeliverable, none, otherChannel, "Twilio blocks calls to the number"},

	// The channel, for now.
	10004: {notify.Unavailable, none, otherChannel, "too many calls at once"},
	20429: {notify.Unavailable, none, otherChannel, "too many requests"},
	21611: {notify.Unavailable, none, otherChannel, "the sender's queue is full"},
	22005: {notify.Unavailable, none, otherChannel, "the queue of calls is full"},
	30001: {notify.Unavailable, none, otherChannel, "the queue is full"},
	30036: {notify.Unavailable, none, otherChannel, "the message was too old before it could be sent"},
	63005: {notify.Unavailable, none, otherChannel, "WhatsApp did not take the message"},
	63012: {notify.Unavailable, none, otherChannel, "WhatsApp failed internally"},
	63018: {notify.Unavailable, none, otherChannel, "the WhatsApp sender has reached its rate limit"},

	// Our set-up: the account.
	10001: {notify.Misconfigured, account, accountIsWrong, "the account is not active"},
	10002: {notify.Misconfigured, account, otherChannel, "a trial account cannot do this"},
	10005: {notify.Misconfigured, account, otherChannel, "calls are disabled for the account"},
	20003: {notify.Misconfigured, credentials, accountIsWrong, "the credentials are refused or the account is suspended"},
	20404: {notify.Misconfigured, account, accountIsWrong, "there is no such account"},
	21219: {notify.Misconfigured, account, accountIsWrong, "a trial account reaches verified numbers only"},
	21608: {notify.Misconfigured, account, accountIsWrong, "a trial account reaches verified numbers only"},
	21609: {notify.Misconfigured, publicURL, accountIsWrong, "Twilio cannot report to this address"},
	30002: {notify.Misconfigured, account, accountIsWrong, "the account is suspended"},

	// Our set-up: what the account may do and with which sender, which differs
	// between channels.
	13227: {notify.Misconfigured, countries, otherChannel, "the account has no permission to call the country"},
	21210: {notify.Misconfigured, from, otherChannel, "the sender is not a verified number of the account"},
	21212: {notify.Misconfigured, from, otherChannel, "the sender is not valid"},
	21215: {notify.Misconfigured, countries, otherChannel, "the account has no permission to call the country"},
	21264: {notify.Misconfigured, from, otherChannel, "the sender is not a verified number of the account"},
	21267: {notify.Misconfigured, from, otherChannel, "a trial account cannot send under a name"},
	21408: {notify.Misconfigured, countries, otherChannel, "the account has no permission for the country"},
	21606: {notify.Misconfigured, from, otherChannel, "the sender does not belong to the account"},
	21657: {notify.Misconfigured, from, otherChannel, "the sender is not valid"},
	21659: {notify.Misconfigured, from, otherChannel, "the sender is not a number of Twilio's, or a short code of another country"},
	21660: {notify.Misconfigured, from, otherChannel, "the sender does not belong to the account"},
	21661: {notify.Misconfigured, from, otherChannel, "the sender cannot send SMS"},
	21701: {notify.Misconfigured, service, otherChannel, "the messaging service does not exist"},
	21702: {notify.Misconfigured, service, otherChannel, "the messaging service is not available"},
	21703: {notify.Misconfigured, service, otherChannel, "the messaging service has no sender"},
	21704: {notify.Misconfigured, service, otherChannel, "the messaging service has no sender"},
	21705: {notify.Misconfigured, service, otherChannel, "the messaging service is not valid"},
	21910: {notify.Misconfigured, from, otherChannel, "the sender is of another channel"},
	30032: {notify.Misconfigured, from, otherChannel, "the toll-free sender is not verified"},
	30034: {notify.Misconfigured, from, otherChannel, "the sender is not registered for messages to the USA"},
	63001: {notify.Misconfigured, from, otherChannel, "WhatsApp refuses the sender"},
	63007: {notify.Misconfigured, from, otherChannel, "the sender is not a WhatsApp sender of the account"},
	63020: {notify.Misconfigured, from, otherChannel, "Twilio's invitation to the WhatsApp account is not accepted"},
	63051: {notify.Misconfigured, from, otherChannel, "WhatsApp has locked the sender"},
	63112: {notify.Misconfigured, from, otherChannel, "WhatsApp has disabled the sender's account"},

	// Our set-up: the template.
	21654: {notify.Misconfigured, template, otherChannel, "the template is missing"},
	21655: {notify.Misconfigured, template, otherChannel, "the template does not exist in the account"},
	21656: {notify.Misconfigured, template, otherChannel, "the template takes other variables than 1 alone"},
	63013: {notify.Misconfigured, template, otherChannel, "the content violates WhatsApp's policy"},
	63016: {notify.Misconfigured, template, otherChannel, "an approved template is needed outside the 24-hour window"},
	63021: {notify.Misconfigured, template, otherChannel, "the content is invalid for WhatsApp"},
	63040: {notify.Misconfigured, template, otherChannel, "WhatsApp has rejected the template"},
	63041: {notify.Misconfigured, template, otherChannel, "WhatsApp has paused the template"},
	63042: {notify.Misconfigured, template, otherChannel, "WhatsApp has disabled the template"},
	63049: {notify.Misconfigured, template, otherChannel, "WhatsApp takes the template for marketing"},
}

// apply completes f by the rule for its code, if there is one.
func (n names) apply(f *notify.Failure) bool {
	r, ok := rules[f.Code]
	if ok {
		f.Reason, f.Setting, f.Next, f.Detail = r.reason, n.variable(r.setting), r.next, r.detail
		f.Warn = f.Code == codeFiltered // what is filtered is our wording or our sender
	}
	return ok
}
