package twilio

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/twilio/twilio-go/client"

	"twofa/internal/notify"
	"twofa/internal/otp"
)

// outcome is the result of one try. failure is nil if the message was accepted.
type outcome struct {
	failure *notify.Failure
	// again is true if another try may succeed. Another try may also send a
	// second message if failure.MayHaveSent is true: Send then allows one only.
	again bool
	// ended is context.DeadlineExceeded or context.Canceled if that ended the
	// try. judge passes on no other error of the SDK.
	ended error
}

// judge turns the result of a try into an outcome. It uses the recorded status,
// because twilio-go's errors distinguish a garbled success, a garbled refusal and
// a lost connection by their texts only.
func (s *sender) judge(x *exchange, n names, c *created, err error) outcome {
	o := outcome{failure: &notify.Failure{Outcome: otp.OutcomeUnavailable, RetryAfter: retryAfter(x.retryAfter, time.Now())}}
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

	case x.status == http.StatusCreated, x.status >= 200 && x.status < 300 && isResource(c):
		return judgeCreated(n, c)

	case x.status >= 200 && x.status < 300:
		// Twilio answers 201 with a message, so this response is not Twilio's
		// (a proxy's own page, for example). If it counted as success, the
		// person could wait in vain. If Send tried again, it could send twice.
		f.MayHaveSent, f.Detail = true, "unexpected success "+strconv.Itoa(x.status)

	case x.status >= 300 && x.status < 400:
		f.Detail = "redirect refused"
		if s.account.customBase {
			f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, "TWILIO_BASE_URL", accountIsWrong
		}

	case x.status >= 400 && x.status < 500:
		o.again = s.judgeRefusal(f, n, x.status)

	default: // 5xx, and statuses that HTTP does not define
		o.again, f.MayHaveSent, f.Detail = true, true, "server error "+strconv.Itoa(x.status)
	}
	return o
}

// judgeCreated judges a 201. The message then exists at Twilio, even if the body
// is lost or garbled, so it counts as accepted and is not sent again. Only a
// well-formed resource with a failed status is a failure.
func judgeCreated(n names, c *created) outcome {
	if c == nil {
		return outcome{}
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
		return outcome{}
	}
	f := &notify.Failure{Outcome: otp.OutcomeUnavailable, Code: number, Detail: "the message failed at once"}
	n.apply(f)
	return outcome{failure: f}
}

// judgeRefusal completes f for a 4xx, which Twilio did not process. It reports
// whether to try again.
func (s *sender) judgeRefusal(f *notify.Failure, n names, status int) bool {
	if n.apply(f) {
		return f.Code == codeTooManyRequests
	}
	f.Detail = "refused with status " + strconv.Itoa(status)
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
		// Unavailable, so that another channel may follow. The error number is
		// in the log.
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

// retryAfter reads the header Retry-After in both forms (RFC 9110, 10.2.3),
// rounded up to whole seconds and at most a day. It returns 0 for a missing or
// invalid header.
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
