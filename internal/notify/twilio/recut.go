package twilio

import (
	"net/url"
	"slices"
	"strings"
)

// Twilio signs the URL and then all names and values of the body, without
// separators. Whoever has a signed request, such as one about a message that they
// wrote themselves, can therefore cut the signed text into other names and values:
// the text "NOFrom+14155550123" becomes the text "NO" and another sender. The
// signature is right for both.
//
// So a deciding parameter is accepted only if the whole signed text holds its name
// and a value of its form nowhere else: neither in a value, nor in a name, nor
// across the border of two parameters. Then the signed text has one reading.

// parameter is a parameter that decides what a request means.
type parameter struct {
	name string
	// length returns how many bytes at the beginning of s have the form of a value.
	// 0: s does not begin with such a value.
	length func(s string) int
	// longer are the parameters whose names end with this name, and whose values
	// have the same form.
	longer []string
}

// inboundParameters decide what a person's message means. shortCode is our sender of
// SMS if that is a short code, else "".
func inboundParameters(shortCode string) []parameter {
	return []parameter{
		{"AccountSid", sidLength("AC"), nil},
		{"MessagingServiceSid", sidLength("MG"), nil},
		{"MessageSid", sidLength("SM", "MM"), []string{"SmsMessageSid", "OriginalRepliedMessageSid"}},
		{"From", numberLength, nil},
		{"To", func(s string) int {
			if shortCode != "" && strings.HasPrefix(s, shortCode) {
				return digitsLength(s)
			}
			return numberLength(s)
		}, nil},
		{"OptOutType", optOutLength, nil},
	}
}

// reportParameters decide what a report means.
var reportParameters = append(inboundParameters(""),
	parameter{"MessageStatus", statusLength, nil},
	parameter{"CallStatus", statusLength, nil},
	parameter{"ErrorCode", digitsLength, nil},
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
	n := digitsLength(digits)
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

func digitsLength(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// signedText is what Twilio has signed of a request, without scheme, host and path.
type signedText struct {
	text   string
	starts []int    // where each parameter of the body begins, in order
	names  []string // their names
}

// newSignedText puts the text together in the order in which Twilio signs it.
func newSignedText(rawQuery string, form map[string]string) signedText {
	var b strings.Builder
	b.WriteString(rawQuery)
	s := signedText{}
	for name := range form {
		s.names = append(s.names, name)
	}
	slices.Sort(s.names)
	for _, name := range s.names {
		s.starts = append(s.starts, b.Len())
		b.WriteString(name)
		b.WriteString(form[name])
	}
	s.text = b.String()
	return s
}

// ambiguity looks for deciding parameters in a request that was signed. See the
// method of signedText. The values of the query are also judged as decoded.
func ambiguity(rawQuery string, query url.Values, form map[string]string, deciding []parameter) (name, holder string) {
	texts := []signedText{newSignedText(rawQuery, form)}
	for name, values := range query {
		texts = append(texts, signedText{text: name + strings.Join(values, "")})
	}
	for _, t := range texts {
		if name, holder = t.ambiguity(deciding); name != "" {
			break
		}
	}
	return name, holder
}

// ambiguity looks for a deciding parameter at a place where it is not a parameter of
// its own. It returns the parameter's name and, for the log, the parameter that holds
// it. Both are "" if the text has one reading.
func (s signedText) ambiguity(deciding []parameter) (name, holder string) {
	for _, p := range deciding {
		for from := 0; ; {
			at := strings.Index(s.text[from:], p.name)
			if at < 0 {
				break
			}
			at += from
			from = at + 1
			value := at + len(p.name)
			n := p.length(s.text[value:])
			if n == 0 {
				continue
			}
			i, end := s.holderOf(at)
			if i < 0 {
				return p.name, "the query"
			}
			isOwn := s.names[i] == p.name && s.starts[i] == at
			isLonger := slices.Contains(p.longer, s.names[i]) && s.starts[i]+len(s.names[i]) == value
			if !isOwn && !isLonger || value+n != end {
				return p.name, knownName(s.names[i])
			}
		}
	}
	return "", ""
}

// holderOf returns the index of the parameter that holds this byte of the text, and
// where the parameter ends. The index is -1 for a byte of the query.
func (s signedText) holderOf(at int) (i, end int) {
	next, _ := slices.BinarySearch(s.starts, at+1)
	if next < len(s.starts) {
		return next - 1, s.starts[next]
	}
	return next - 1, len(s.text)
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

// knownName returns the name, or words that replace it if it is not known.
func knownName(name string) string {
	if slices.Contains(knownNames, name) {
		return name
	}
	return "a parameter with an unknown name"
}
