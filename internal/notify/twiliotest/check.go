package twiliotest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	whatsApp = regexp.MustCompile(`^whatsapp:\+[1-9][0-9]{6,14}$`)
	sid      = regexp.MustCompile(`^[A-Z]{2}[0-9a-fA-F]{32}$`)
)

// refusal is an error answer. Its words quote what was sent, as Twilio's do, so
// that tests notice a client that passes them on.
type refusal struct {
	status, code int
	message      string
}

// body is the error in Twilio's form.
func (r *refusal) body() string {
	return mustJSON(map[string]any{
		"code":      r.code,
		"message":   r.message,
		"more_info": "https://www.twilio.com/docs/errors/" + strconv.Itoa(r.code),
		"status":    r.status,
	})
}

// checkRequest checks what is outside the form.
func (d *Double) checkRequest(r *http.Request) *refusal {
	user, password, _ := r.BasicAuth()
	known := user == d.account.AccountSID && password == d.account.AuthToken ||
		user == d.account.APIKey && password == d.account.APISecret
	switch {
	case !known:
		return &refusal{http.StatusUnauthorized, 20003, "Authenticate"}
	case r.URL.Path != "/2010-04-01/Accounts/"+d.account.AccountSID+"/Messages.json":
		return &refusal{http.StatusNotFound, 20404, "The requested resource " + r.URL.Path + " was not found"}
	case r.Method != http.MethodPost:
		return &refusal{http.StatusMethodNotAllowed, 20004, "Method not allowed"}
	case r.URL.RawQuery != "":
		// Twilio reads parameters there too; a code must not be in a URL.
		return &refusal{http.StatusBadRequest, 20001, "Parameters in the URL: " + r.URL.RawQuery}
	}
	return nil
}

// checkForm checks the parameters and returns the message that they describe.
func (d *Double) checkForm(form url.Values) (Message, *refusal) {
	bad := func(code int, format string, args ...any) (Message, *refusal) {
		return Message{}, &refusal{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
	}
	for name, values := range form {
		switch name {
		case "To", "From", "MessagingServiceSid", "Body", "ContentSid", "ContentVariables", "ValidityPeriod":
		default:
			return bad(20001, "Unknown parameter %s=%s", name, values)
		}
		if len(values) != 1 {
			return bad(20001, "Repeated parameter %s=%s", name, values)
		}
		if !utf8.ValidString(values[0]) {
			return bad(20001, "Parameter %s is not valid UTF-8", name)
		}
	}

	m := Message{
		To:                  form.Get("To"),
		From:                form.Get("From"),
		MessagingServiceSID: form.Get("MessagingServiceSid"),
		Body:                form.Get("Body"),
		ContentSID:          form.Get("ContentSid"),
	}
	switch {
	case m.To == "":
		return bad(21604, "A 'To' phone number is required.")
	case !whatsApp.MatchString(m.To):
		return bad(21211, "The 'To' number %s is not a valid phone number.", m.To)
	case m.From == "" && m.MessagingServiceSID == "":
		return bad(21603, "A 'From' phone number is required.")
	case m.From != "" && !strings.HasPrefix(m.From, "whatsapp:"):
		return bad(21910, "'From' %s and 'To' %s are not of the same channel.", m.From, m.To)
	case m.From != "" && m.From != "whatsapp:"+d.account.WhatsAppFrom:
		return bad(63007, "Twilio could not find a Channel with the specified From address %s", m.From)
	// Twilio allows a From beside a service: it picks one sender of its pool.
	case m.MessagingServiceSID != "" && (!sid.MatchString(m.MessagingServiceSID) || m.MessagingServiceSID != d.account.MessagingServiceSID):
		return bad(21701, "The Messaging Service %s does not exist.", m.MessagingServiceSID)
	}

	if form.Has("ValidityPeriod") {
		seconds, err := strconv.Atoi(form.Get("ValidityPeriod"))
		if err != nil || seconds < 1 || seconds > 36000 {
			return bad(90007, "Invalid validity period value %s", form.Get("ValidityPeriod"))
		}
		m.ValidityPeriod = time.Duration(seconds) * time.Second
	}
	return d.checkContent(form, m)
}

// checkContent checks that the message has either a text or a template with its
// variable, and completes it.
func (d *Double) checkContent(form url.Values, m Message) (Message, *refusal) {
	bad := func(code int, format string, args ...any) (Message, *refusal) {
		return Message{}, &refusal{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
	}
	if !form.Has("ContentSid") {
		switch {
		case form.Has("ContentVariables"):
			return bad(21654, "ContentSid Required")
		case m.Body == "":
			return bad(21619, "A text message body or media urls must be specified.")
		case utf8.RuneCountInString(m.Body) > 1600:
			return bad(21617, "The concatenated message body exceeds the 1600 character limit: %s", m.Body)
		}
		return m, nil
	}

	switch {
	case form.Has("Body"):
		return bad(20001, "Body %s beside ContentSid %s", m.Body, m.ContentSID)
	case !sid.MatchString(m.ContentSID) || m.ContentSID != d.account.ContentSID:
		return bad(21655, "The ContentSid %s is invalid.", m.ContentSID)
	}
	// Not into map[string]string: null and numbers are mistakes here.
	var variables map[string]any
	if err := json.Unmarshal([]byte(form.Get("ContentVariables")), &variables); err != nil || len(variables) != 1 {
		return bad(21656, "The Content Variables parameter is invalid: %s", form.Get("ContentVariables"))
	}
	value, isString := variables["1"].(string)
	switch {
	case !isString:
		return bad(21656, "The Content Variables parameter is invalid: %s", form.Get("ContentVariables"))
	case value == "":
		return bad(63013, "Channel policy violation: an empty variable")
	}
	m.Variables = map[string]string{"1": value}
	return m, nil
}
