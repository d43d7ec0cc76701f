package twilio

import (
	"errors"
	"net/http"

	"github.com/twilio/twilio-go/client"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

// judge turns the result of a try into an outcome. It uses the recorded status,
// because twilio-go's errors distinguish a garbled success, a garbled refusal and
// a lost connection by their texts only.
func (s *sender) judge(x *exchange, n names, c *created, err error) gateway.Outcome {
	o := gateway.Exchange{Status: x.status, RetryAfter: x.retryAfter, Err: err, NeverConnected: x.NeverConnected()}.Outcome()
	f := o.Failure
	var rest *client.TwilioRestError
	if errors.As(err, &rest) {
		f.Code = errorNumber(rest.Code)
	}
	switch x.status / 100 {
	case 2:
		// Twilio answers 201 with a message, so any other success has to be one of its
		// resources.
		if x.status == http.StatusCreated || isResource(c) {
			return judgeCreated(n, c)
		}
	case 3:
		if s.account.customBase {
			f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, "TWILIO_BASE_URL", accountIsWrong
		}
	case 4:
		o.Again = s.judgeRefusal(f, n, x.status)
	}
	return o
}

// judgeCreated judges a 201. The message then exists at Twilio, even if the body
// is lost or garbled, so it counts as accepted and is not sent again. Only a
// well-formed resource with a failed status is a failure.
func judgeCreated(n names, c *created) gateway.Outcome {
	if c == nil {
		return gateway.Outcome{}
	}
	number, failed := 0, false
	if c.errorNumber != nil && *c.errorNumber != 0 {
		number, failed = errorNumber(*c.errorNumber), true
	}
	if c.status != nil {
		switch *c.status {
		case "failed", "undelivered", "canceled", "busy", "no-answer":
			failed = true
		}
	}
	if !failed {
		return gateway.Outcome{}
	}
	f := &notify.Failure{Outcome: otp.OutcomeUnavailable, Code: number, Detail: "the message failed at once"}
	n.apply(f)
	return gateway.Outcome{Failure: f}
}

// judgeRefusal completes f for a 4xx, which Twilio did not process. It reports
// whether to try again.
func (s *sender) judgeRefusal(f *notify.Failure, n names, status int) bool {
	if n.apply(f) {
		return f.Code == codeTooManyRequests
	}
	switch {
	case status == http.StatusTooManyRequests:
		f.Detail = rules[codeTooManyRequests].detail
		return true
	case s.account.customBase && f.Code == 0 && (status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound):
		// Not an error of Twilio's: it comes from the server at TWILIO_BASE_URL.
		f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, "TWILIO_BASE_URL", accountIsWrong
	case status == http.StatusUnauthorized:
		f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, n.variable(credentials), accountIsWrong
	case status == http.StatusForbidden:
		// A restricted key may have access to only one of Messages and Calls.
		f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, n.variable(credentials), otherChannel
	case status == http.StatusNotFound:
		f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, n.variable(account), accountIsWrong
	default:
		// Neither the address nor a setting is known to be the cause, and a
		// guessed setting would mislead the operator. The outcome stays
		// Unavailable, so that another route may follow. The error number is
		// in the log.
		f.Unexplained = true
	}
	return false
}

// isResource reports whether the response to another 2xx is a resource of
// Twilio's.
func isResource(c *created) bool {
	return c != nil && c.sid != nil && (isSID("SM", *c.sid) || isSID("CA", *c.sid))
}

// errorNumber returns n if it can be an error number of Twilio's, which all have
// five digits, and 0 otherwise. The field comes from outside and is logged, so it
// must not be able to carry a phone number or a six-digit code.
func errorNumber(n int) int {
	if n < 10000 || n > 99999 {
		return 0
	}
	return n
}
