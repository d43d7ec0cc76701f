package plivo

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
)

// outcome is the result of one try. failure is nil if the message was accepted.
type outcome struct {
	failure *notify.Failure
	// again is true if another try may succeed. Another try may also send a
	// second message if failure.MayHaveSent is true: Send then allows one only.
	again bool
	// ended is context.DeadlineExceeded or context.Canceled if that ended the try.
	ended error
}

// judge turns the result of a try into an outcome. Plivo's refusals have a status
// and words, but no number. The words quote addresses, so that only the status
// counts.
func (a *Account) judge(x exchange) outcome {
	o := outcome{failure: &notify.Failure{Outcome: otp.OutcomeUnavailable, RetryAfter: retryAfter(x.retryAfter, time.Now())}}
	f := o.failure
	switch {
	case errors.Is(x.err, context.DeadlineExceeded):
		o.ended = context.DeadlineExceeded
	case errors.Is(x.err, context.Canceled):
		o.ended = context.Canceled
	}

	switch {
	case x.status == 0 && x.neverConnected:
		o.again, f.Detail = true, "no connection"

	case x.status == 0:
		o.again, f.MayHaveSent, f.Detail = true, true, "no answer"

	case x.status >= 200 && x.status < 300 && isAccepted(x.body):
		return outcome{}

	case x.status >= 200 && x.status < 300:
		// Without Plivo's id, the response may be a proxy's own page, or Plivo's, cut
		// short. If it counted as success, the person could wait in vain. If Send
		// tried again, it could send twice.
		f.MayHaveSent, f.Detail = true, "unexpected success "+strconv.Itoa(x.status)

	case x.status >= 300 && x.status < 400:
		f.Detail = "redirect refused"
		if a.customBase {
			a.blameBase(f)
		}

	case x.status >= 400 && x.status < 500:
		o.again = a.judgeRefusal(f, x)

	default: // 5xx, and statuses that HTTP does not define
		o.again, f.MayHaveSent, f.Detail = true, true, "server error "+strconv.Itoa(x.status)
	}
	return o
}

// judgeRefusal completes f for a 4xx, which Plivo did not process. It reports
// whether to try again.
func (a *Account) judgeRefusal(f *notify.Failure, x exchange) bool {
	f.Detail = "refused with status " + strconv.Itoa(x.status)
	switch x.status {
	case http.StatusTooManyRequests:
		f.Detail = "too many requests"
		return true
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		if a.customBase && !isError(x.body) {
			// Not Plivo's words: the answer comes from the server at PLIVO_BASE_URL.
			a.blameBase(f)
			return false
		}
	}
	switch x.status {
	case http.StatusUnauthorized:
		f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, tokenVariable, accountIsWrong
	case http.StatusForbidden:
		// The account may have access to only one of messages and calls.
		f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, tokenVariable, otherChannel
	case http.StatusNotFound:
		f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, idVariable, accountIsWrong
	default:
		// Neither the address nor a setting is known to be the cause, and a guessed
		// setting would mislead the operator. The outcome stays Unavailable, so that
		// another channel may follow.
	}
	return false
}

// blameBase makes f say that the server at PLIVO_BASE_URL is not Plivo.
func (a *Account) blameBase(f *notify.Failure) {
	f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, baseURLVariable, accountIsWrong
}

// isAccepted reports whether a body is Plivo's acceptance of one message or call:
// it has an id and no error.
func isAccepted(body []byte) bool {
	var accepted struct {
		Messages []string `json:"message_uuid"`
		Call     string   `json:"request_uuid"`
		Error    string   `json:"error"`
	}
	if json.Unmarshal(body, &accepted) != nil || accepted.Error != "" {
		return false
	}
	isMessage := len(accepted.Messages) == 1 && isUUID(accepted.Messages[0])
	return isMessage != isUUID(accepted.Call)
}

// isError reports whether a body is an error in Plivo's form.
func isError(body []byte) bool {
	var refused struct {
		ID    string `json:"api_id"`
		Error any    `json:"error"`
	}
	return json.Unmarshal(body, &refused) == nil && refused.ID != "" && refused.Error != nil
}

// errorNumber reads the ErrorCode of a report. It returns 0 for 000 and for what
// cannot be an error number of Plivo's, which all have at most four digits. The
// field is logged, so it must not be able to carry a phone number or a six-digit
// code.
func errorNumber(s string) int {
	if len(s) > 4 || !consistsOf(s, digits) {
		return 0
	}
	n, _ := strconv.Atoi(s)
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
