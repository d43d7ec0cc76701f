package plivo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"twofa/internal/otp"
)

// The headers of Plivo's signature of version 3, in Go's spelling. The first is by
// the token of the account itself, the second by the one of its main account.
// Version 2 protects neither the query nor the body and is ignored.
const (
	ownSignature  = "X-Plivo-Signature-V3"
	mainSignature = "X-Plivo-Signature-Ma-V3"
	nonceHeader   = "X-Plivo-Signature-V3-Nonce"
)

const (
	// maxSignature is the longest signature header, in bytes. There is one signature
	// of 44 bytes for each of the account's tokens.
	maxSignature = 1 << 10
	// maxNonce is the longest nonce, in bytes. Plivo's have 20 digits.
	maxNonce = 64
	// maxAttempt is far more than the attempts of one verification.
	maxAttempt = 9999
)

// isSigned reports whether one of the signatures of a header is that of the text.
// Every signature is compared, in constant time.
func isSigned(header http.Header, token, text string) bool {
	h := hmac.New(sha256.New, []byte(token))
	_, _ = io.WriteString(h, text) // writing to a hash never fails
	want := []byte(base64.StdEncoding.EncodeToString(h.Sum(nil)))
	signed := false
	for _, name := range []string{ownSignature, mainSignature} {
		values := header[name]
		if len(values) > 1 || len(values) == 1 && len(values[0]) > maxSignature {
			return false // which of them counts is not defined
		}
		for _, value := range values {
			for signature := range strings.SplitSeq(value, ",") {
				signed = hmac.Equal([]byte(strings.TrimSpace(signature)), want) || signed
			}
		}
	}
	return signed
}

// nonceOf returns the nonce of a request. ok is false if it is missing, repeated or
// has another form. A dot must not be in it: a dot ends the body in the signed text.
func nonceOf(header http.Header) (nonce string, ok bool) {
	values := header[nonceHeader]
	if len(values) != 1 || len(values[0]) > maxNonce || !consistsOf(values[0], digits+lower+upper+"-") {
		return "", false
	}
	return values[0], true
}

// readQuery reads the query of our callbacks. It accepts only the exact form in
// which Account.callback has written it. So the signed text, in which the query is
// decoded, belongs to one query only.
func readQuery(raw string) (id otp.ID, attempt int, ok bool) {
	rest, hasID := strings.CutPrefix(raw, "id=")
	given, number, hasAttempt := strings.Cut(rest, "&attempt=")
	id, fault := otp.ParseID(given)
	attempt, err := strconv.Atoi(number)
	if !hasID || !hasAttempt || fault != nil || err != nil || attempt < 1 || attempt > maxAttempt || strconv.Itoa(attempt) != number {
		return "", 0, false
	}
	return id, attempt, true
}

// signedParams returns the parameters of a body. ok is false if one is repeated,
// because Plivo's libraries sign that in different ways, or if a name does not begin
// with a letter.
func signedParams(form url.Values) (params map[string]string, ok bool) {
	params = make(map[string]string, len(form))
	for name, values := range form {
		if len(values) != 1 || name == "" || !isToken(name[:1]) || name[0] <= '9' {
			return nil, false
		}
		params[name] = values[0]
	}
	return params, true
}

// signedText is the text of a request that Plivo signs: the address with the
// decoded query sorted by name, the body's names and values sorted and without
// separators, and the nonce.
//
// Whoever has a signed request could cut the part of the body into other names and
// values, for which the signature is right, too. So a parameter that decides what
// the request means is accepted only if the body holds its name and a value of its
// form nowhere else: neither in a value, nor in a name, nor across the border of two
// parameters. Then the text has one reading.
type signedText struct {
	text   string
	body   string
	starts []int    // where each parameter of the body begins, in order
	names  []string // their names
}

func newSignedText(address string, id otp.ID, attempt int, params map[string]string, nonce string) signedText {
	s := signedText{names: slices.Sorted(maps.Keys(params))}
	var b strings.Builder
	for _, name := range s.names {
		s.starts = append(s.starts, b.Len())
		b.WriteString(name)
		b.WriteString(params[name])
	}
	s.body = b.String()
	s.text = address + "?attempt=" + strconv.Itoa(attempt) + "&id=" + string(id) + "." + s.body + "." + nonce
	return s
}

// deciding is a parameter that decides what a request means.
type deciding struct {
	name string
	// length returns how many bytes at the beginning of s have the form of a value.
	// 0: s does not begin with such a value.
	length func(s string) int
	// longer are the parameters whose names end with this name, and whose values may
	// have the same form.
	longer []string
}

// reportParameters decide what a report on a message means, callParameters what a
// request about a call does.
var (
	reportParameters = []deciding{
		{"Status", oneOf("queued", "sent", "delivered", "undelivered", "failed", "rejected", "read"), []string{"CallStatus", "DialStatus", "TendlcRegistrationStatus"}},
		{"CallStatus", callStatusLength, nil},
		{"ErrorCode", digitsLength, nil},
		{"PartInfo", partLength, nil},
		{"MessageUUID", uuidLength, []string{"ParentMessageUUID"}},
		{"ParentMessageUUID", uuidLength, nil},
		{"Type", oneOf("sms", "mms", "whatsapp"), []string{"MessageType"}},
	}
	callParameters = []deciding{
		{"CallStatus", callStatusLength, nil},
		{"Status", oneOf("queued", "sent", "delivered", "undelivered", "failed", "rejected", "read"), []string{"CallStatus", "DialStatus"}},
		{"Direction", oneOf("inbound", "outbound"), nil},
		{"CallUUID", uuidLength, []string{"ParentCallUUID"}},
		{"From", numberLength, []string{"ForwardedFrom", "SIP-H-From"}},
		{"To", numberLength, []string{"SIP-H-To"}},
	}
)

var callStatusLength = oneOf("queued", "ringing", "in-progress", "completed", "busy", "failed", "timeout", "no-answer", "cancel")

// oneOf is for words. If one of them begins with another, the longer one counts.
func oneOf(words ...string) func(string) int {
	return func(s string) (longest int) {
		for _, word := range words {
			if strings.HasPrefix(s, word) {
				longest = max(longest, len(word))
			}
		}
		return longest
	}
}

func digitsLength(s string) int { return len(s) - len(strings.TrimLeft(s, digits)) }

// numberLength is for numbers with or without a plus.
func numberLength(s string) int {
	number := strings.TrimPrefix(s, "+")
	if n := digitsLength(number); n > 0 {
		return len(s) - len(number) + n
	}
	return 0
}

func uuidLength(s string) int {
	if len(s) >= uuidSize && isUUID(s[:uuidSize]) {
		return uuidSize
	}
	return 0
}

func partLength(s string) int {
	number := digitsLength(s)
	rest, ok := strings.CutPrefix(s[number:], " of ")
	if count := digitsLength(rest); ok && number > 0 && count > 0 {
		return len(s) - len(rest) + count
	}
	return 0
}

// ambiguity looks for a deciding parameter at a place where it is not a parameter of
// its own. It returns the parameter's name, "" if the text has one reading.
func (s signedText) ambiguity(parameters []deciding) string {
	for _, p := range parameters {
		for from := 0; ; {
			at := strings.Index(s.body[from:], p.name)
			if at < 0 {
				break
			}
			at += from
			from = at + 1
			value := at + len(p.name)
			n := p.length(s.body[value:])
			if n == 0 {
				continue
			}
			i, end := s.holderOf(at)
			isOwn := s.names[i] == p.name && s.starts[i] == at
			isLonger := slices.Contains(p.longer, s.names[i]) && s.starts[i]+len(s.names[i]) == value
			if !isOwn && !isLonger || value+n != end {
				return p.name
			}
		}
	}
	return ""
}

// holderOf returns the index of the parameter that holds this byte of the body, and
// where the parameter ends.
func (s signedText) holderOf(at int) (i, end int) {
	next, _ := slices.BinarySearch(s.starts, at+1)
	if next < len(s.starts) {
		return next - 1, s.starts[next]
	}
	return next - 1, len(s.body)
}
