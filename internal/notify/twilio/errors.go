package twilio

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/twilio/twilio-go/client"

	"twofa/internal/notify"
)

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
func (s *sender) judge(x *exchange, n names, c *created, err error) outcome {
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

	case x.status == http.StatusCreated, x.status >= 200 && x.status < 300 && isResource(c):
		return judgeCreated(n, c)

	case x.status >= 200 && x.status < 300:
		// Twilio answers 201 with a message, so this is somebody else (a
		// proxy's own page). Claiming success would leave the person waiting;
		// sending again could send twice.
		f.MayHaveSent, f.Detail = true, "unexpected success "+strconv.Itoa(x.status)

	case x.status >= 300 && x.status < 400:
		f.Detail = "redirect refused"
		if s.account.customBase {
			f.Reason, f.Setting, f.Next = notify.Misconfigured, "TWILIO_BASE_URL", accountIsWrong
		}

	case x.status >= 400 && x.status < 500:
		o.again = s.judgeRefusal(f, n, x.status)

	default: // 5xx, and numbers that HTTP does not know
		o.again, f.MayHaveSent, f.Detail = true, true, "server error "+strconv.Itoa(x.status)
	}
	return o
}

// judgeCreated judges a 201. The message exists then, whatever the body says:
// a body that is lost or garbled on the way changes nothing, so it counts as
// accepted and nothing is sent again. Only a well-formed resource that says it
// has failed already is a failure.
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
	f := &notify.Failure{Reason: notify.Unavailable, Code: number, Detail: "the message failed at once"}
	n.apply(f)
	return outcome{failure: f}
}

// judgeRefusal completes f for a 4xx, which was not processed, and says whether
// to try again.
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
		// Not in Twilio's form: whatever stands at TWILIO_BASE_URL says so.
		f.Reason, f.Setting, f.Next = notify.Misconfigured, "TWILIO_BASE_URL", accountIsWrong
	case status == http.StatusUnauthorized:
		f.Reason, f.Setting, f.Next = notify.Misconfigured, n.variable(credentials), accountIsWrong
	case status == http.StatusForbidden:
		// A restricted key may still be allowed the other of Messages and Calls.
		f.Reason, f.Setting, f.Next = notify.Misconfigured, n.variable(credentials), otherChannel
	case status == http.StatusNotFound:
		f.Reason, f.Setting, f.Next = notify.Misconfigured, n.variable(account), accountIsWrong
	default:
		// Neither the address nor a setting is known to be at fault, and a
		// guessed setting would send the operator the wrong way. Unavailable
		// lets another channel try; the number is in the log.
	}
	return false
}

// isResource reports whether an answer of another 2xx is Twilio's all the same.
func isResource(c *created) bool {
	return c != nil && c.sid != nil && (isSID("SM", *c.sid) || isSID("CA", *c.sid))
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
