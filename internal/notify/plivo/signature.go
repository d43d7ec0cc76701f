package plivo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"

	"twofa/internal/notify/gateway"
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
	if len(values) != 1 || len(values[0]) > maxNonce || !gateway.ConsistsOf(values[0], gateway.Digits+gateway.Lower+gateway.Upper+"-") {
		return "", false
	}
	return values[0], true
}

// readQuery reads the query of our callbacks. It accepts only the exact form in
// which gateway.Callback has written it. So the signed text, in which the query is
// decoded, belongs to one query only.
func readQuery(raw string) (id otp.ID, attempt int, ok bool) {
	rest, hasID := strings.CutPrefix(raw, "id=")
	given, number, hasAttempt := strings.Cut(rest, "&attempt=")
	id, attempt, ok = gateway.ReadAttempt(given, number)
	return id, attempt, ok && hasID && hasAttempt
}

// signedText is the text of a request that Plivo signs: the address with the
// decoded query sorted by name, the body's names and values sorted and without
// separators, and the nonce.
type signedText struct {
	text string
	body gateway.SignedText
}

func newSignedText(address string, id otp.ID, attempt int, params map[string]string, nonce string) signedText {
	body := gateway.NewSignedText("", params)
	return signedText{address + "?attempt=" + strconv.Itoa(attempt) + "&id=" + string(id) + "." + body.Text + "." + nonce, body}
}

// reportParameters decide what a report on a message means, callParameters what a
// request about a call does.
var (
	reportParameters = []gateway.Deciding{
		{Name: "Status", Length: oneOf("queued", "sent", "delivered", "undelivered", "failed", "rejected", "read"), Longer: []string{"CallStatus", "DialStatus", "TendlcRegistrationStatus"}},
		{Name: "CallStatus", Length: callStatusLength},
		{Name: "ErrorCode", Length: gateway.DigitsLength},
		{Name: "PartInfo", Length: partLength},
		{Name: "MessageUUID", Length: uuidLength, Longer: []string{"ParentMessageUUID"}},
		{Name: "ParentMessageUUID", Length: uuidLength},
		{Name: "Type", Length: oneOf("sms", "mms", "whatsapp"), Longer: []string{"MessageType"}},
	}
	callParameters = []gateway.Deciding{
		{Name: "CallStatus", Length: callStatusLength},
		{Name: "Status", Length: oneOf("queued", "sent", "delivered", "undelivered", "failed", "rejected", "read"), Longer: []string{"CallStatus", "DialStatus"}},
		{Name: "Direction", Length: oneOf("inbound", "outbound")},
		{Name: "CallUUID", Length: uuidLength, Longer: []string{"ParentCallUUID"}},
		{Name: "From", Length: numberLength, Longer: []string{"ForwardedFrom", "SIP-H-From"}},
		{Name: "To", Length: numberLength, Longer: []string{"SIP-H-To"}},
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

// numberLength is for numbers with or without a plus.
func numberLength(s string) int {
	number := strings.TrimPrefix(s, "+")
	if n := gateway.DigitsLength(number); n > 0 {
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
	number := gateway.DigitsLength(s)
	rest, ok := strings.CutPrefix(s[number:], " of ")
	if count := gateway.DigitsLength(rest); ok && number > 0 && count > 0 {
		return len(s) - len(rest) + count
	}
	return 0
}
