package birdtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
)

// The headers of a signed request (Standard Webhooks).
const (
	IDHeader        = "webhook-id"
	TimestampHeader = "webhook-timestamp"
	SignatureHeader = "webhook-signature"
)

// StatusPath is where the double sends its reports, as if an operator had registered it.
const StatusPath = "/hooks/bird/status"

// Sign returns the signature of a body, with the id and the timestamp of the request.
func (d *Double) Sign(id, timestamp string, body []byte) string {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(d.account.WebhookSecret, "whsec_"))
	if err != nil {
		panic(err) // a mistake of the test's
	}
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte(id + "." + timestamp + ".")) // writing to a hash never fails
	_, _ = h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Callback reports an event of m, such as "delivered", to the app under test at target, its
// loopback URL. word is the reason of a failure ("": none). extra are further fields of the
// data, alternately names and values, which replace the double's own; nil removes one. The
// caller closes the response's body.
func (d *Double) Callback(ctx context.Context, m Message, target, event, word string, extra ...any) (*http.Response, error) {
	body := []byte(doubletest.MustJSON(d.Event(m, event, word, extra...)))
	id := "msg_3FdaB1NkOmM6m8AxhgEYTJ" + strconv.Itoa(10000+d.Serial())
	return d.Post(ctx, target, id, body)
}

// Post sends a signed body to the app under test.
func (d *Double) Post(ctx context.Context, target, id string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(target, "/")+StatusPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Bird-Webhooks")
	r.Header.Set(IDHeader, id)
	r.Header.Set(TimestampHeader, timestamp)
	r.Header.Set(SignatureHeader, d.Sign(id, timestamp, body))
	return doubletest.Direct.RoundTrip(r)
}

// Event returns the JSON object that Callback sends.
func (d *Double) Event(m Message, event, word string, extra ...any) map[string]any {
	data := map[string]any{"workspace_id": "ws_01krdgeqcxet5s7t44vh8rt9mg", "to": m.To, "from": m.From, "tags": nil, "metadata": nil}
	if len(m.Metadata) > 0 {
		data["metadata"] = m.Metadata
	}
	if m.Channel == channel.WhatsApp {
		data["whatsapp_id"], data["direction"] = m.ID, "outbound"
		data["to"], data["from"] = map[string]any{"phone_number": m.To}, map[string]any{"phone_number": m.From}
	} else {
		data["sms_id"], data["carrier"], data["mcc_mnc"] = m.ID, "Carrier", "311480"
	}
	if word != "" {
		// As Bird's, the description quotes the number.
		data["error"] = map[string]any{"code": word, "description": "failed to " + m.To, "carrier_error_code": "739184", "occurred_at": "2026-03-01T12:00:00Z"}
	}
	for i := 0; i+1 < len(extra); i += 2 {
		if data[extra[i].(string)] = extra[i+1]; extra[i+1] == nil {
			delete(data, extra[i].(string))
		}
	}
	return map[string]any{"type": string(m.Channel) + "." + event, "timestamp": "2026-03-01T12:00:00Z", "data": data}
}
