package twiliotest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
)

var (
	e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	sid  = regexp.MustCompile(`^[A-Z]{2}[0-9a-fA-F]{32}$`)
)

// refusal is an error answer. Its message quotes the request, as Twilio's does, so that
// tests notice a client that passes it on.
type refusal struct {
	status, code int
	message      string
}

// answer is the error in Twilio's form.
func (r *refusal) answer() doubletest.Answer {
	return doubletest.Answer{Status: r.status, Code: r.code, Body: doubletest.MustJSON(map[string]any{
		"code":      r.code,
		"message":   r.message,
		"more_info": "https://www.twilio.com/docs/errors/" + strconv.Itoa(r.code),
		"status":    r.status,
	})}
}

// resource reads the form of one of the API's resources.
type resource func(url.Values) (Message, *refusal)

// checkRequest checks everything except the form. It returns the function that reads the
// form.
func (d *Double) checkRequest(r *http.Request) (resource, *refusal) {
	user, password, _ := r.BasicAuth()
	known := user == d.account.AccountSID && password == d.account.AuthToken ||
		user == d.account.APIKey && password == d.account.APISecret
	name, isOurs := strings.CutPrefix(r.URL.Path, "/2010-04-01/Accounts/"+d.account.AccountSID)
	read := map[string]resource{"/Messages.json": d.checkMessage, "/Calls.json": d.checkCall}[name]
	switch {
	case !known:
		return nil, &refusal{http.StatusUnauthorized, 20003, "Authenticate"}
	case !isOurs || read == nil:
		return nil, &refusal{http.StatusNotFound, 20404, "The requested resource " + r.URL.Path + " was not found"}
	case r.Method != http.MethodPost:
		return nil, &refusal{http.StatusMethodNotAllowed, 20004, "Method not allowed"}
	case r.URL.RawQuery != "":
		// Twilio would accept parameters there, but a code must not be in a URL.
		return nil, &refusal{http.StatusBadRequest, 20001, "Parameters in the URL: " + r.URL.RawQuery}
	}
	return read, nil
}

func bad(code int, format string, args ...any) (Message, *refusal) {
	return Message{}, &refusal{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// MessageParameters and CallParameters are the names of the parameters that the double knows.
// It refuses all others.
var (
	MessageParameters = []string{"To", "From", "MessagingServiceSid", "Body", "ContentSid", "ContentVariables", "ValidityPeriod", "RiskCheck", "StatusCallback"}
	CallParameters    = []string{"To", "From", "Twiml", "StatusCallback", "StatusCallbackMethod"}
)

// checkNames refuses unknown and repeated parameters.
func checkNames(form url.Values, known []string) *refusal {
	for name, values := range form {
		var r *refusal
		switch {
		case !slices.Contains(known, name):
			_, r = bad(20001, "Unknown parameter %s=%s", name, values)
		case len(values) != 1:
			_, r = bad(20001, "Repeated parameter %s=%s", name, values)
		case !utf8.ValidString(values[0]):
			_, r = bad(20001, "Parameter %s is not valid UTF-8", name)
		case name == "StatusCallback" && !isAbsolute(values[0]):
			_, r = bad(21609, "The StatusCallback URL %s is not a valid URL.", values[0])
		}
		if r != nil {
			return r
		}
	}
	return nil
}

// isAbsolute reports whether Twilio would accept the URL for reports, apart from loopback
// hosts.
func isAbsolute(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.Fragment == "" &&
		!strings.Contains(u.Host, "_")
}

// checkMessage checks the parameters of a message and returns the message.
func (d *Double) checkMessage(form url.Values) (Message, *refusal) {
	m := Message{
		Channel:             channel.WhatsApp,
		To:                  form.Get("To"),
		From:                form.Get("From"),
		MessagingServiceSID: form.Get("MessagingServiceSid"),
		Body:                form.Get("Body"),
		ContentSID:          form.Get("ContentSid"),
		RiskCheck:           form.Get("RiskCheck"),
		StatusCallback:      form.Get("StatusCallback"),
	}
	if !strings.HasPrefix(m.To, whatsAppPrefix) {
		m.Channel = channel.SMS
	}
	if r := checkNames(form, MessageParameters); r != nil {
		return Message{}, r
	}
	if r := d.checkAddresses(m); r != nil {
		return Message{}, r
	}
	// Twilio's check for SMS pumping is for SMS only.
	if form.Has("RiskCheck") && (m.Channel != channel.SMS || m.RiskCheck != "enable" && m.RiskCheck != "disable") {
		return bad(20001, "RiskCheck is %s", m.RiskCheck)
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

// checkAddresses checks the recipient and the sender of a message.
func (d *Double) checkAddresses(m Message) (r *refusal) {
	prefix, sender, unknown := whatsAppPrefix, d.account.WhatsAppFrom, 63007
	if m.Channel == channel.SMS {
		prefix, sender, unknown = "", d.account.SMSFrom, 21606
	}
	number := strings.TrimPrefix(m.To, prefix)
	switch {
	case m.To == "":
		_, r = bad(21604, "A 'To' phone number is required.")
	case !e164.MatchString(number):
		_, r = bad(21211, "The 'To' number %s is not a valid phone number.", m.To)
	case m.From == "" && m.MessagingServiceSID == "":
		_, r = bad(21603, "A 'From' phone number is required.")
	case m.From != "" && strings.HasPrefix(m.From, whatsAppPrefix) != (m.Channel == channel.WhatsApp):
		_, r = bad(21910, "'From' %s and 'To' %s are not of the same channel.", m.From, m.To)
	case m.From != "" && m.From != prefix+sender:
		_, r = bad(unknown, "%s is not a sender of the account for this channel", m.From)
	case m.From == m.To:
		_, r = bad(21266, "'To' and 'From' are both %s", m.To)
	// Twilio accepts a From together with a service: it picks one of the service's senders.
	case m.MessagingServiceSID != "" && (!sid.MatchString(m.MessagingServiceSID) || m.MessagingServiceSID != d.account.MessagingServiceSID):
		_, r = bad(21701, "The Messaging Service %s does not exist.", m.MessagingServiceSID)
	}
	return r
}

// checkCall checks the parameters of a call and returns the call. It does not support
// instructions at a Url.
func (d *Double) checkCall(form url.Values) (Message, *refusal) {
	m := Message{
		Channel:        channel.Call,
		To:             form.Get("To"),
		From:           form.Get("From"),
		Twiml:          form.Get("Twiml"),
		StatusCallback: form.Get("StatusCallback"),
	}
	if r := checkNames(form, CallParameters); r != nil {
		return Message{}, r
	}
	switch {
	case m.To == "":
		return bad(21201, "No 'To' number is specified")
	case !e164.MatchString(m.To):
		return bad(21211, "The phone number you are attempting to call, %s, is not valid.", m.To)
	case m.From == "":
		return bad(21213, "No 'From' number is specified")
	case !e164.MatchString(m.From):
		return bad(21212, "The source phone number provided, %s, is not valid.", m.From)
	case m.From != d.account.VoiceFrom:
		return bad(21210, "The source phone number provided, %s, is not yet verified for your account.", m.From)
	case m.Twiml == "":
		return bad(21205, "Url parameter is required.")
	case utf8.RuneCountInString(m.Twiml) > 4000:
		return bad(32018, "The Twiml exceeds 4000 characters: %s", m.Twiml)
	case !wellFormed(m.Twiml):
		// Twilio reports this error only during the call (12100).
		return bad(12100, "The Twiml is not a Response: %s", m.Twiml)
	case form.Has("StatusCallbackMethod") && (m.StatusCallback == "" || form.Get("StatusCallbackMethod") != http.MethodPost):
		return bad(21209, "StatusCallbackMethod is %s", form.Get("StatusCallbackMethod"))
	}
	return m, nil
}

// checkContent checks that the message has either a text or a template with its variable.
// It completes the message.
func (d *Double) checkContent(form url.Values, m Message) (Message, *refusal) {
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
	case !sid.MatchString(m.ContentSID) || m.ContentSID != d.account.ContentSID && m.ContentSID != d.account.AlertContentSID:
		return bad(21655, "The ContentSid %s is invalid.", m.ContentSID)
	}
	// Not a map[string]string: null and numbers have to be refused.
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
