package twiliotest

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"twofa/internal/channel"
	"twofa/internal/testing/doubletest"
)

// InboundPath is the path of Inbound's requests.
const InboundPath = "/hooks/twilio/inbound"

// Sign returns the X-Twilio-Signature of a POST of form to a URL with its query, as Twilio
// documents it: HMAC-SHA1 with the auth token, over the URL and then all names and values,
// sorted by name. It does not use the library that checks signatures in the product.
func (d *Double) Sign(address string, form url.Values) string {
	h := hmac.New(sha1.New, []byte(d.account.AuthToken))
	_, _ = io.WriteString(h, address) // writing to a hash never fails
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			_, _ = io.WriteString(h, name+value)
		}
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Callback reports a status of m, as Twilio does to m.StatusCallback, which has to be below
// publicURL. The signature is for that URL, but the request goes to the same path at
// target, the loopback URL of the app under test, because the public host does not exist in
// a test. code is the ErrorCode (0: none). extra are further parameters, alternately names
// and values, which replace the double's own. The caller closes the response's body.
func (d *Double) Callback(ctx context.Context, m Message, publicURL, target, status string, code int, extra ...string) (*http.Response, error) {
	path, ok := strings.CutPrefix(m.StatusCallback, strings.TrimSuffix(publicURL, "/"))
	if !ok || !strings.HasPrefix(path, "/") {
		return nil, errors.New("twiliotest: the message asks for no reports at " + publicURL)
	}
	form := d.statusForm(m, status, code)
	for i := 0; i+1 < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	return d.post(ctx, m.StatusCallback, strings.TrimSuffix(target, "/")+path, form)
}

func (d *Double) statusForm(m Message, status string, code int) url.Values {
	form := url.Values{
		"AccountSid": {d.account.AccountSID},
		"ApiVersion": {"2010-04-01"},
		"To":         {m.To},
		"From":       {m.From},
	}
	set := func(pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
	}
	if m.Channel == channel.Call {
		set("CallSid", m.SID, "CallStatus", status, "Called", m.To, "Caller", m.From, "Direction", "outbound-api",
			"CallDuration", "0", "CallbackSource", "call-progress-events", "SequenceNumber", "0", "Timestamp", "Sun, 01 Mar 2026 12:00:00 +0000")
		return form
	}
	set("MessageSid", m.SID, "MessageStatus", status, "SmsSid", m.SID, "SmsStatus", status)
	if m.From == "" { // the service has chosen a sender in the meantime
		from := d.account.SMSFrom
		if m.Channel == channel.WhatsApp {
			from = whatsAppPrefix + d.account.WhatsAppFrom
		}
		set("From", from)
	}
	if m.MessagingServiceSID != "" {
		set("MessagingServiceSid", m.MessagingServiceSID)
	}
	if m.Channel == channel.WhatsApp {
		set("ChannelInstallSid", "XE"+strings.Repeat("0e", 16), "ChannelPrefix", "whatsapp", "ChannelToAddress", strings.TrimPrefix(m.To, whatsAppPrefix))
	}
	if code != 0 {
		set("ErrorCode", strconv.Itoa(code))
	}
	return form
}

// Inbound sends the request that Twilio sends when a person has sent a message. from and to
// have the prefix "whatsapp:" on that channel. With a buttonPayload, the person has pressed
// a button with the text body. The request is signed for publicURL and goes to target, as
// with Callback. If the status is 200, the response has to be TwiML.
func (d *Double) Inbound(ctx context.Context, target, publicURL, from, to, body, buttonPayload string) (status int, twiml string, err error) {
	form := d.InboundForm(from, to, body, buttonPayload)
	res, err := d.post(ctx, strings.TrimSuffix(publicURL, "/")+InboundPath, strings.TrimSuffix(target, "/")+InboundPath, form)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return res.StatusCode, "", err
	}
	if res.StatusCode == http.StatusOK && !wellFormed(string(answer)) {
		return res.StatusCode, string(answer), errors.New("twiliotest: the response is not TwiML")
	}
	return res.StatusCode, string(answer), nil
}

// InboundForm returns the parameters of the request that Inbound sends. Each call is
// another message, with a MessageSid of its own. The messaging service has all senders
// of the account except VoiceFrom.
func (d *Double) InboundForm(from, to, body, buttonPayload string) url.Values {
	id := fmt.Sprintf("SM%032x", d.Serial())
	form := url.Values{
		"AccountSid": {d.account.AccountSID}, "ApiVersion": {"2010-04-01"},
		"MessageSid": {id}, "SmsMessageSid": {id}, "SmsSid": {id}, "SmsStatus": {"received"},
		"NumMedia": {"0"}, "NumSegments": {"1"}, "ReferralNumMedia": {"0"},
		"From": {from}, "To": {to}, "Body": {body},
	}
	set := func(pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
	}
	if to != d.account.VoiceFrom {
		set("MessagingServiceSid", d.account.MessagingServiceSID)
	}
	if buttonPayload != "" {
		set("ButtonText", body, "ButtonPayload", buttonPayload)
	}
	number, ok := strings.CutPrefix(from, whatsAppPrefix)
	if !ok { // what Twilio knows of the places; often empty
		set("FromCity", "", "FromState", "CA", "FromZip", "94105", "FromCountry", "US", "ToCity", "", "ToState", "", "ToZip", "", "ToCountry", "US")
		return form
	}
	waID := strings.TrimPrefix(number, "+")
	set("WaId", waID, "ProfileName", "Somebody", "MessageType", "text", "Forwarded", "false", "FrequentlyForwarded", "false",
		"ChannelMetadata", `{"type":"whatsapp","data":{"context":{"ProfileName":"Somebody","WaId":"`+waID+`"}}}`)
	if buttonPayload != "" { // the person has pressed a button of a message from us
		set("MessageType", "button", "OriginalRepliedMessageSender", to, "OriginalRepliedMessageSid", "MM"+strings.Repeat("0f", 16))
	}
	return form
}

// post signs a form for one URL and sends it to another one.
func (d *Double) post(ctx context.Context, signed, address string, form url.Values) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	r.Header.Set("User-Agent", "TwilioProxy/1.1")
	r.Header.Set("X-Twilio-Signature", d.Sign(signed, form))
	return doubletest.Direct.RoundTrip(r)
}
