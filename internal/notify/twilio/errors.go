package twilio

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/twilio/twilio-go/client"
	openapi "github.com/twilio/twilio-go/rest/api/v2010"

	"twofa/internal/notify"
)

// setting is what an operator has to look at. Which variable holds the
// credentials and the sender depends on the Options.
type setting int

const (
	none setting = iota
	account
	credentials
	sender
	service
	template
	countries
)

func (s *Sender) variable(x setting) string {
	switch x {
	case account:
		return "TWILIO_ACCOUNT_SID"
	case credentials:
		return s.credentialsVariable
	case sender:
		return s.senderVariable
	case service:
		return "TWILIO_MESSAGING_SERVICE_SID"
	case template:
		return "TWILIO_CONTENT_SID"
	case countries:
		return "TWOFA_COUNTRIES"
	}
	return ""
}

// rule is what one of Twilio's error numbers means here.
type rule struct {
	reason  notify.Reason
	setting setting
	detail  string
}

// rules are the error numbers that have a meaning of their own. Most of 30xxx
// and 63xxx usually come later, by status callback; those that Twilio knows at
// once it also answers synchronously. None of them is repeated: the answer
// would be the same.
var rules = map[int]rule{
	// The address.
	21211: {notify.InvalidAddress, none, "the number is not valid"},
	21610: {notify.Undeliverable, none, "the recipient has opted out"},
	21612: {notify.Undeliverable, none, "no route to the number"},
	21614: {notify.Undeliverable, none, "the number is a landline"},
	30003: {notify.Undeliverable, none, "the phone is unreachable"},
	30004: {notify.Undeliverable, none, "the recipient blocks messages"},
	30005: {notify.Undeliverable, none, "the number is unknown"},
	30006: {notify.Undeliverable, none, "the number is a landline or its carrier cannot be reached"},
	30007: {notify.Undeliverable, none, "the carrier has filtered the message"},
	30008: {notify.Undeliverable, none, "the carrier gave no reason"},
	63003: {notify.Undeliverable, none, "the number is not on WhatsApp"},
	63014: {notify.Undeliverable, none, "the recipient has blocked the sender"},
	63015: {notify.Undeliverable, none, "the recipient has not joined the WhatsApp sandbox"},
	63024: {notify.Undeliverable, none, "the number cannot receive WhatsApp messages"},
	63032: {notify.Undeliverable, none, "WhatsApp does not deliver to this recipient"},

	// Fraud.
	30450: {notify.Refused, none, "blocked as traffic pumping"},
	30453: {notify.Refused, none, "blocked as traffic pumping"},

	// The channel, for now.
	20429: {notify.Unavailable, none, "too many requests"},
	63005: {notify.Unavailable, none, "WhatsApp did not take the message"},
	63012: {notify.Unavailable, none, "WhatsApp failed internally"},
	63018: {notify.Unavailable, none, "the WhatsApp sender has reached its rate limit"},

	// Our set-up.
	20003: {notify.Misconfigured, credentials, "the credentials are refused or the account is suspended"},
	20404: {notify.Misconfigured, account, "there is no such account"},
	21408: {notify.Misconfigured, countries, "the account has no permission for the country"},
	21606: {notify.Misconfigured, sender, "the sender does not belong to the account"},
	21608: {notify.Misconfigured, account, "a trial account reaches verified numbers only"},
	21654: {notify.Misconfigured, template, "the template is missing"},
	21655: {notify.Misconfigured, template, "the template does not exist in the account"},
	21656: {notify.Misconfigured, template, "the template takes other variables than the code as 1"},
	21701: {notify.Misconfigured, service, "the messaging service does not exist"},
	21703: {notify.Misconfigured, service, "the messaging service has no sender"},
	21910: {notify.Misconfigured, sender, "the sender is not a WhatsApp sender"},
	63007: {notify.Misconfigured, sender, "the sender is not a WhatsApp sender of the account"},
	63013: {notify.Misconfigured, template, "the content violates WhatsApp's policy"},
	63016: {notify.Misconfigured, template, "an approved template is needed outside the 24-hour window"},
	63021: {notify.Misconfigured, template, "the content is invalid for WhatsApp"},
}

// outcome is what became of one try; failure is nil where the message was
// accepted.
type outcome struct {
	failure *notify.Failure
	// again is true where another try may succeed. Whether it may also be a
	// second message is failure.MayHaveSent, and Send counts by that.
	again bool
	// ended is context.DeadlineExceeded or context.Canceled where that ended
	// the try. No other error of the SDK goes further than judge.
	ended error
}

// judge turns the result of a try into an outcome. It relies on the recorded
// status first, because twilio-go's errors tell a garbled success, a garbled
// refusal and a lost connection apart by their words only.
func (s *Sender) judge(x *exchange, created *openapi.ApiV2010Message, err error) outcome {
	o := outcome{failure: &notify.Failure{Reason: notify.Unavailable, RetryAfter: retryAfter(x.retryAfter, time.Now())}}
	f := o.failure
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		o.ended = context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		o.ended = context.Canceled
	}
	var rest *client.TwilioRestError
	if errors.As(err, &rest) {
		f.Code = errorNumber(rest.Code)
	}

	switch {
	case x.status == 0 && x.neverConnected():
		o.again, f.Detail = true, "no connection"

	case x.status == 0:
		o.again, f.MayHaveSent, f.Detail = true, true, "no answer"

	case x.status == http.StatusCreated, x.status >= 200 && x.status < 300 && isMessage(created):
		return s.judgeCreated(created)

	case x.status >= 200 && x.status < 300:
		// Twilio answers 201 with a message, so this is somebody else (a
		// proxy's own page). Claiming success would leave the person waiting;
		// sending again could send twice.
		f.MayHaveSent, f.Detail = true, "unexpected success "+strconv.Itoa(x.status)

	case x.status >= 300 && x.status < 400:
		f.Detail = "redirect refused"
		if s.customBase {
			f.Reason, f.Setting = notify.Misconfigured, "TWILIO_BASE_URL"
		}

	case x.status >= 400 && x.status < 500:
		o.again = s.judgeRefusal(f, x.status)

	default: // 5xx, and numbers that HTTP does not know
		o.again, f.MayHaveSent, f.Detail = true, true, "server error "+strconv.Itoa(x.status)
	}
	return o
}

// judgeCreated judges a 201. The message exists then, whatever the body says:
// a body that is lost or garbled on the way changes nothing, so it counts as
// accepted and nothing is sent again. Only a well-formed resource that says it
// has failed already is a failure.
func (s *Sender) judgeCreated(created *openapi.ApiV2010Message) outcome {
	if created == nil {
		return outcome{}
	}
	number, failed := 0, false
	if created.ErrorCode != nil && *created.ErrorCode != 0 {
		number, failed = errorNumber(*created.ErrorCode), true
	}
	if created.Status != nil {
		switch *created.Status {
		case "failed", "undelivered", "canceled":
			failed = true
		}
	}
	if !failed {
		return outcome{}
	}
	f := &notify.Failure{Reason: notify.Unavailable, Code: number, Detail: "the message failed at once"}
	s.apply(f)
	return outcome{failure: f}
}

// judgeRefusal completes f for a 4xx, which was not processed, and says whether
// to try again.
func (s *Sender) judgeRefusal(f *notify.Failure, status int) bool {
	switch {
	case s.apply(f):
		return f.Code == codeTooManyRequests
	case status == http.StatusTooManyRequests:
		f.Detail = rules[codeTooManyRequests].detail
		return true
	case s.customBase && f.Code == 0 && (status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound):
		// Not in Twilio's form: whatever stands at TWILIO_BASE_URL says so.
		f.Reason, f.Setting = notify.Misconfigured, "TWILIO_BASE_URL"
		f.Detail = "refused with status " + strconv.Itoa(status)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		f.Reason, f.Setting = notify.Misconfigured, s.variable(credentials)
		f.Detail = "refused with status " + strconv.Itoa(status)
	case status == http.StatusNotFound:
		f.Reason, f.Setting = notify.Misconfigured, s.variable(account)
		f.Detail = "refused with status 404"
	default:
		// Neither the address nor a setting is known to be at fault, and a
		// guessed setting would send the operator the wrong way. Unavailable
		// lets another channel try; the number is in the log.
		f.Detail = "refused with status " + strconv.Itoa(status)
	}
	return false
}

// isMessage reports whether an answer of another 2xx is Twilio's all the same.
func isMessage(created *openapi.ApiV2010Message) bool {
	return created != nil && created.Sid != nil && isSID("SM", *created.Sid)
}

const codeTooManyRequests = 20429

// apply completes f by the rule for its code, if there is one.
func (s *Sender) apply(f *notify.Failure) bool {
	r, ok := rules[f.Code]
	if ok {
		f.Reason, f.Setting, f.Detail = r.reason, s.variable(r.setting), r.detail
	}
	return ok
}

// errorNumber drops what is no error number of Twilio's, which all have five
// digits. The field comes from outside and ends up in logs: a phone number or a
// six-digit code in it must not.
func errorNumber(n int) int {
	if n < 10000 || n > 99999 {
		return 0
	}
	return n
}

// retryAfter reads the header in both forms (RFC 9110, 10.2.3), rounded up to
// seconds and at most a day; 0 where there is none that makes sense.
func retryAfter(header string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	seconds, err := strconv.ParseUint(header, 10, 32)
	d := time.Duration(seconds) * time.Second
	if err != nil {
		at, err := http.ParseTime(header)
		if err != nil {
			return 0
		}
		d = (at.Sub(now) + time.Second - 1).Truncate(time.Second)
	}
	return min(max(d, 0), most)
}
