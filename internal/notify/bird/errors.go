package bird

import (
	"encoding/json"
	"net/http"
	"strings"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
)

// resources are where messages of a channel are sent to, and how their ids begin.
var resources = map[channel.Channel]struct{ path, idPrefix string }{
	channel.SMS:      {"/v1/sms/messages", "sms_"},
	channel.WhatsApp: {"/v1/whatsapp/messages", "wam_"},
}

// judge turns the result of a try into an outcome.
func (a *Account) judge(x gateway.Exchange, c channel.Channel, n names) gateway.Outcome {
	o := x.Outcome()
	f := o.Failure
	said, isBirds := readRefusal(x.Body)
	switch x.Status / 100 {
	case 2:
		if isAccepted(x.Body, c) {
			return gateway.Outcome{}
		}
		o.Again = true // the next try shows what became of this one
	case 3:
		if a.customBase {
			a.blameBase(f)
		}
	case 4:
		if a.customBase && !isBirds && isAboutAccess(x.Status) {
			a.blameBase(f) // the answer comes from the server at BIRD_BASE_URL
			break
		}
		o.Again = a.judgeRefusal(f, x.Status, said, n)
	case 5:
		if x.Status == http.StatusServiceUnavailable && said.Code == codeNotExecuted {
			f.MayHaveSent, f.Word, f.Detail = false, codeNotExecuted, "Bird has not executed the request"
		}
	}
	return o
}

// judgeRefusal completes f for a 4xx. It reports whether to try again.
func (a *Account) judgeRefusal(f *notify.Failure, status int, said refusal, n names) (again bool) {
	switch status {
	case http.StatusTooManyRequests:
		f.Detail = "too many requests"
		return true
	case http.StatusConflict:
		return judgeConflict(f, said.Code)
	case http.StatusUnauthorized:
		f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, keyVariable, accountIsWrong
		return false
	case http.StatusPaymentRequired:
		f.Outcome, f.Setting, f.Next, f.Detail = otp.OutcomeMisconfigured, keyVariable, accountIsWrong, "the account has no credit"
		return false
	case http.StatusMisdirectedRequest: // assumed: the schema has the status, and no reason
		f.Outcome, f.Setting, f.Next, f.Detail = otp.OutcomeMisconfigured, keyVariable, accountIsWrong, "the key belongs to another region"
		return false
	case http.StatusForbidden:
		// The key may have access to only one of the channels.
		f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, keyVariable, otherChannel
		return false
	}
	if n.apply(f, refusalRules, said.Name) {
		f.Word = said.Name
		return false
	}
	// Without a rule, neither the address nor a setting is known to be the cause, and a
	// guessed setting would mislead the operator. The outcome stays Unavailable, so that
	// another route may follow.
	f.Unexplained = !n.apply(f, paramRules, said.field())
	return false
}

// judgeConflict completes f for a 409, which is about the Idempotency-Key: another request
// with it has sent the message, or still may.
func judgeConflict(f *notify.Failure, code string) (again bool) {
	f.MayHaveSent = true
	switch code {
	case codeRunning:
		f.Word, f.Detail = codeRunning, "the try before is still running"
		return true
	case codeOtherBody:
		f.Word, f.Detail = codeOtherBody, "the message was sent before with another text"
	}
	return false
}

// isAboutAccess reports whether a proxy may answer with the status instead of Bird.
func isAboutAccess(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusMisdirectedRequest:
		return true
	}
	return false
}

// blameBase makes f say that the server at BIRD_BASE_URL is not Bird.
func (a *Account) blameBase(f *notify.Failure) {
	f.Outcome, f.Setting, f.Next = otp.OutcomeMisconfigured, baseURLVariable, accountIsWrong
}

// isAccepted reports whether a body is Bird's acceptance of a message of the channel.
func isAccepted(body []byte, c channel.Channel) bool {
	var message struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(body, &message) != nil {
		return false
	}
	id, isMessage := strings.CutPrefix(message.ID, resources[c].idPrefix)
	return isMessage && len(id) <= 64 && gateway.ConsistsOf(id, lowerDigits+gateway.Upper)
}

// refusal is the part of an error of Bird's that this package looks at. Its texts are from
// outside: they are compared with the tables, and go nowhere else.
type refusal struct {
	Code    string `json:"code"`
	Name    string `json:"name"`
	Param   string `json:"param"`
	Details []struct {
		Param string `json:"param"`
	} `json:"details"`
}

// readRefusal reads an error in Bird's form. ok is false if the body has another form.
func readRefusal(body []byte) (said refusal, ok bool) {
	var answer struct {
		Error refusal `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error.Code == "" {
		return refusal{}, false
	}
	return answer.Error, true
}

// field returns the field of the request that the refusal blames, such as "template" for
// "template.components[0]". "": none, or more than one.
func (r refusal) field() string {
	params := []string{r.Param}
	if r.Param == "" {
		params = nil
		for _, d := range r.Details {
			params = append(params, d.Param)
		}
	}
	var field string
	for i, p := range params {
		if at := strings.IndexAny(p, ".["); at >= 0 {
			p = p[:at]
		}
		if i > 0 && p != field {
			return ""
		}
		field = p
	}
	return field
}

// namesOf returns the variables of a message's settings.
func namesOf(c channel.Channel, isAlert bool) names {
	n := names{senderVariables[c], templateVariable}
	if isAlert {
		n.template = alertTemplateVariable
	}
	return n
}
