package plivo

import (
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
)

// The environment variables that faults and failures name.
const (
	idVariable            = "PLIVO_AUTH_ID"
	tokenVariable         = "PLIVO_AUTH_TOKEN"
	powerpackVariable     = "PLIVO_POWERPACK_UUID"
	templateVariable      = "PLIVO_WHATSAPP_TEMPLATE"
	alertTemplateVariable = "PLIVO_WHATSAPP_ALERT_TEMPLATE"
	baseURLVariable       = "PLIVO_BASE_URL"
)

var senderVariables = map[channel.Channel]string{
	channel.WhatsApp: "PLIVO_WHATSAPP_FROM",
	channel.SMS:      "PLIVO_SMS_FROM",
	channel.Call:     "PLIVO_CALL_FROM",
}

// What may follow. If the address or the account is wrong, no other channel of
// the same number can help.
const (
	otherChannel   = otp.NextChannel
	byCall         = otp.NextCall
	addressIsWrong = otp.NextAddress
	accountIsWrong = otp.NextAddress
)

// theSender stands for the variable of the sender that the message came from.
const theSender = "the sender"

// rule is what one of Plivo's error numbers means for the service.
type rule struct {
	outcome otp.Outcome
	setting string // an environment variable or theSender
	next    otp.Next
	warn    bool
	detail  string
}

// rules are the error numbers of Plivo's reports on messages, as its documentation
// lists them. An answer of the API has no number. 0 is no error.
var rules = map[int]rule{
	10:   {otp.OutcomeUndeliverable, "", otherChannel, true, "the carrier finds the message invalid"},
	20:   {otp.OutcomeUnavailable, "", otherChannel, false, "a network on the way has failed"},
	30:   {otp.OutcomeUndeliverable, "", byCall, true, "the carrier has filtered the message as spam"},
	40:   {otp.OutcomeMisconfigured, theSender, otherChannel, false, "the sender is not valid"},
	50:   {otp.OutcomeUndeliverable, "", byCall, false, "the number is not valid or a landline"},
	60:   {otp.OutcomeUndeliverable, "", otherChannel, false, "the message went in a loop"},
	70:   {otp.OutcomeUndeliverable, "", addressIsWrong, false, "the number is out of service"},
	80:   {otp.OutcomeUndeliverable, "", byCall, false, "the phone is unreachable"},
	90:   {otp.OutcomeUndeliverable, "", otherChannel, false, "no route from the sender to the number"},
	100:  {otp.OutcomeUndeliverable, "", byCall, true, "the carrier forbids the message"},
	110:  {otp.OutcomeMisconfigured, "TWOFA_TEXTS_DIR", otherChannel, false, "the message is too long"},
	200:  {otp.OutcomeUndeliverable, "", otherChannel, false, "the recipient has opted out"},
	201:  {otp.OutcomeMisconfigured, theSender, otherChannel, false, "a toll-free sender cannot reach Canada"},
	420:  {otp.OutcomeUnavailable, "", otherChannel, false, "the message was too old before it could be sent"},
	900:  {otp.OutcomeMisconfigured, idVariable, accountIsWrong, false, "the account has no credit"},
	1000: {otp.OutcomeUndeliverable, "", byCall, false, "the carrier gave no reason"},
}

// apply completes f by the rule for its code, if there is one. sender is the
// variable of the message's sender.
func apply(f *notify.Failure, sender string) {
	r, ok := rules[f.Code]
	if !ok {
		return
	}
	f.Outcome, f.Setting, f.Next, f.Warn, f.Detail = r.outcome, r.setting, r.next, r.warn, r.detail
	if r.setting == theSender {
		f.Setting = sender
	}
}
