package twilio

import (
	"net/url"
	"slices"
	"strings"

	"twofa/internal/notify/gateway"
)

// Twilio signs the URL and then all names and values of the body, without separators: see
// [gateway.SignedText].

// inboundParameters decide what a person's message means. shortCode is our sender of
// SMS if that is a short code, else "".
func inboundParameters(shortCode string) []gateway.Deciding {
	return []gateway.Deciding{
		{Name: "AccountSid", Length: sidLength("AC")},
		{Name: "MessagingServiceSid", Length: sidLength("MG")},
		{Name: "MessageSid", Length: sidLength("SM", "MM"), Longer: []string{"SmsMessageSid", "OriginalRepliedMessageSid"}},
		{Name: "From", Length: numberLength},
		{Name: "To", Length: func(s string) int {
			if shortCode != "" && strings.HasPrefix(s, shortCode) {
				return gateway.DigitsLength(s)
			}
			return numberLength(s)
		}},
		{Name: "OptOutType", Length: optOutLength},
	}
}

// reportParameters decide what a report means.
var reportParameters = append(inboundParameters(""),
	gateway.Deciding{Name: "MessageStatus", Length: statusLength},
	gateway.Deciding{Name: "CallStatus", Length: statusLength},
	gateway.Deciding{Name: "ErrorCode", Length: gateway.DigitsLength},
)

// sidLength is for the SIDs with one of these prefixes.
func sidLength(prefixes ...string) func(string) int {
	return func(s string) int {
		const length = 34
		if len(s) >= length && slices.ContainsFunc(prefixes, func(prefix string) bool { return isSID(prefix, s[:length]) }) {
			return length
		}
		return 0
	}
}

// numberLength is for numbers with a plus, on WhatsApp and RCS with a prefix.
func numberLength(s string) int {
	digits, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimPrefix(s, whatsAppPrefix), rcsPrefix), "+")
	n := gateway.DigitsLength(digits)
	if !ok || n == 0 {
		return 0
	}
	return len(s) - len(digits) + n
}

// statusLength is for all words that could be a status, today's and later ones.
func statusLength(s string) int {
	return len(s) - len(strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz-_"))
}

// optOutLength is for the types of an opt-out that have a meaning. The names of
// parameters begin with letters, too, so that a type that is not known has no end.
func optOutLength(s string) int {
	for _, kind := range []string{optOutStop, optOutStart, optOutHelp} {
		if len(s) >= len(kind) && strings.EqualFold(s[:len(kind)], kind) {
			return len(kind)
		}
	}
	return 0
}

// ambiguity looks for a deciding parameter that a request holds at another place than its own. It returns
// the parameter's name, "" if the request has one reading, and, for the log, what holds it. The values
// of the query are also judged as decoded.
func ambiguity(rawQuery string, query url.Values, form map[string]string, deciding []gateway.Deciding) (name, holder string) {
	signed := []gateway.SignedText{gateway.NewSignedText(rawQuery, form)}
	for name, values := range query {
		signed = append(signed, gateway.NewSignedText(name+strings.Join(values, ""), nil))
	}
	for _, s := range signed {
		if name, holder = s.Ambiguity(deciding); name != "" {
			return name, knownName(holder)
		}
	}
	return "", ""
}

// knownNames are names of Twilio's that may be written to the log. Other names may
// hold what a person wrote.
var knownNames = []string{
	"AccountSid", "Address", "ApiVersion", "Body", "ButtonPayload", "ButtonText", "CallSid", "CallStatus", "Called", "Caller",
	"ChannelInstallSid", "ChannelMetadata", "ChannelPrefix", "ChannelStatusMessage", "ChannelToAddress", "ErrorCode", "ErrorMessage",
	"ExternalUserId", "From", "FromCity", "FromCountry", "FromState", "FromZip", "Label", "ListId", "ListTitle", "MediaContentType0",
	"MediaUrl0", "MessageSid", "MessageStatus", "MessageType", "MessagingServiceSid", "OptOutType", "OriginalRepliedMessageSender",
	"OriginalRepliedMessageSid", "ProfileName", "ReferralBody", "ReferralHeadline", "ReferralSourceUrl", "SmsMessageSid", "SmsSid",
	"SmsStatus", "To", "ToCity", "ToCountry", "ToState", "ToZip", "WaId",
}

// knownName returns the name of what holds a parameter, or words that replace it if it is not
// known. "" is the query.
func knownName(name string) string {
	switch {
	case name == "":
		return "the query"
	case slices.Contains(knownNames, name):
		return name
	}
	return "a parameter with an unknown name"
}
