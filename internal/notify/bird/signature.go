package bird

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"twofa/internal/notify/gateway"
)

// The headers of a signed request, in Go's spelling (Standard Webhooks).
const (
	idHeader        = "Webhook-Id"
	timestampHeader = "Webhook-Timestamp"
	signatureHeader = "Webhook-Signature"
)

const (
	// maxWebhookID and maxSignature are the longest headers, in bytes. Bird's ids have about
	// 30. There is one signature of 47 bytes for each of the webhook's secrets.
	maxWebhookID = 128
	maxSignature = 1 << 10
	// tolerance is how far the timestamp may be from now, either way.
	tolerance = 5 * time.Minute
)

// isSigned reports whether a body has Bird's signature and is of now. Bird signs the id, the
// timestamp and the body, with dots between them. Method, URL and all other headers are not
// signed.
//
// There is one reading: the id has no dot and the timestamp is digits, so the first two dots
// are the borders. Every signature is compared, in constant time.
func isSigned(header http.Header, body []byte, key string, now time.Time) bool {
	id, hasID := only(header, idHeader, maxWebhookID)
	timestamp, hasTimestamp := only(header, timestampHeader, 20)
	signatures, hasSignature := only(header, signatureHeader, maxSignature)
	if !hasID || !hasTimestamp || !hasSignature || !gateway.ConsistsOf(id, lowerDigits+gateway.Upper+"_-") || !isRecent(timestamp, now) {
		return false
	}
	h := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(h, id+"."+timestamp+".") // writing to a hash never fails
	_, _ = h.Write(body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)))
	signed := false
	for signature := range strings.SplitSeq(signatures, " ") {
		signed = hmac.Equal([]byte(signature), want) || signed
	}
	return signed
}

// only returns a header that is there exactly once: which of several counts is not defined.
func only(header http.Header, name string, limit int) (value string, ok bool) {
	values := header[name]
	if len(values) != 1 || len(values[0]) > limit {
		return "", false
	}
	return values[0], true
}

// isRecent reports whether a timestamp, in seconds, is within the tolerance. It accepts only
// the one form of a number.
func isRecent(timestamp string, now time.Time) bool {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != timestamp {
		return false
	}
	age := now.Sub(time.Unix(seconds, 0))
	return age <= tolerance && age >= -tolerance
}
