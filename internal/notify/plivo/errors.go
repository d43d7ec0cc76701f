package plivo

import (
	"encoding/json"
	"net/http"
	"strconv"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

// judge turns the result of a try into an outcome. Plivo's refusals have a status
// and words, but no number. The words quote addresses, so that only the status
// counts.
func (a *Account) judge(x gateway.Exchange) gateway.Outcome {
	o := x.Outcome()
	switch x.Status / 100 {
	case 2:
		if isAccepted(x.Body) {
			return gateway.Outcome{}
		}
	case 3:
		if a.customBase {
			a.blameBase(o.Failure)
		}
	case 4:
		o.Again = a.judgeRefusal(o.Failure, x)
	}
	return o
}

// judgeRefusal completes f for a 4xx, which Plivo did not process. It reports
// whether to try again.
func (a *Account) judgeRefusal(f *notify.Failure, x gateway.Exchange) bool {
	switch x.Status {
	case http.StatusTooManyRequests:
		f.Detail = "too many requests"
		return true
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		if a.customBase && !isError(x.Body) {
			// Not Plivo's words: the answer comes from the server at PLIVO_BASE_URL.
			a.blameBase(f)
			return false
		}
	}
	switch x.Status {
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
		// another route may follow.
		f.Unexplained = true
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
	if len(s) > 4 || !gateway.ConsistsOf(s, gateway.Digits) {
		return 0
	}
	n, _ := strconv.Atoi(s)
	return n
}
