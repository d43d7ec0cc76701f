package twilio

import (
	"strings"

	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
)

const (
	// maxTwiML is the length that Twilio accepts, in characters (error 32018). What
	// gateway.Speak makes is shorter.
	maxTwiML    = 4000
	maxLanguage = 16
)

// callTwiML returns the TwiML of a call.
func callTwiML(s notify.Speech, code string) string {
	begin := "<Say>"
	if s.Language != "" && len(s.Language) <= maxLanguage && isAlphanumeric(strings.ReplaceAll(s.Language, "-", "")) {
		begin = `<Say language="` + s.Language + `">`
	}
	return gateway.Speak(s, code, begin, "</Say><Pause/>")
}
