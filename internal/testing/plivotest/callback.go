package plivotest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
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

// The headers of a signed request.
const (
	Signature     = "X-Plivo-Signature-V3"
	MainSignature = "X-Plivo-Signature-MA-V3"
	Nonce         = "X-Plivo-Signature-V3-Nonce"
)

// Sign returns the signature of version 3 of a POST of form to a URL with its query: the
// address, the decoded query sorted by name, the names and values of the body sorted by
// name, and the nonce.
func (d *Double) Sign(address string, form url.Values, nonce string) string {
	base, query, hasQuery := strings.Cut(address, "?")
	signed := base
	if hasQuery || len(form) > 0 {
		signed += "?"
	}
	if hasQuery {
		values, _ := url.ParseQuery(query)
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(values)) {
			pairs = append(pairs, name+"="+values.Get(name))
		}
		signed += strings.Join(pairs, "&")
		if len(form) > 0 {
			signed += "."
		}
	}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			signed += name + value
		}
	}
	h := hmac.New(sha256.New, []byte(d.account.AuthToken))
	_, _ = io.WriteString(h, signed+"."+nonce) // writing to a hash never fails
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Callback reports a status of m, as Plivo does to m.URL, which has to be below publicURL.
// The signature is for that URL, but the request goes to the same path at target, the
// loopback URL of the app under test, because the public host does not exist in a test.
// code is the ErrorCode (0: none). extra are further parameters, alternately names and
// values, which replace the double's own; the value "-" removes one. The caller closes the
// response's body.
func (d *Double) Callback(ctx context.Context, m Message, publicURL, target, status string, code int, extra ...string) (*http.Response, error) {
	return d.post(ctx, m.URL, publicURL, target, d.StatusForm(m, status, code, extra...))
}

// Answer asks what an answered call says, as Plivo does at m.AnswerURL. The other
// parameters are those of Callback. If the status is 200, the response has to be a
// document of Plivo's.
func (d *Double) Answer(ctx context.Context, m Message, publicURL, target string, extra ...string) (status int, document string, err error) {
	res, err := d.post(ctx, m.AnswerURL, publicURL, target, d.StatusForm(m, "in-progress", 0, extra...))
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 100<<10+1))
	if err == nil && res.StatusCode == http.StatusOK {
		media := strings.TrimSpace(strings.Split(res.Header.Get("Content-Type"), ";")[0])
		if _, ok := Spoken(string(body)); !ok || media != "text/xml" && media != "application/xml" {
			err = errors.New("plivotest: the response is no document of Plivo's")
		}
	}
	return res.StatusCode, string(body), err
}

// StatusForm returns the parameters of the request that Callback sends.
func (d *Double) StatusForm(m Message, status string, code int, extra ...string) url.Values {
	form := url.Values{}
	set := func(pairs ...string) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if form.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
				form.Del(pairs[i])
			}
		}
	}
	if m.Channel == channel.Call {
		set("CallUUID", m.UUID, "RequestUUID", m.UUID, "ALegUUID", m.UUID, "ALegRequestUUID", m.UUID, "CallStatus", status, "Direction", "outbound",
			"From", m.From, "To", m.To, "ParentAuthID", d.account.AuthID, "BillRate", "0.002", "Event", "StartApp", "SessionStart", "2026-03-01 12:00:00.238707")
		set(extra...)
		return form
	}
	from := m.From
	if from == "" { // the powerpack has chosen a sender in the meantime
		from = strings.TrimPrefix(d.account.SMSFrom, "+")
	}
	kind := map[channel.Channel]string{channel.SMS: "sms", channel.WhatsApp: "whatsapp"}[m.Channel]
	set("MessageUUID", m.UUID, "ParentMessageUUID", m.UUID, "PartInfo", "1 of 1", "To", m.To, "From", from, "Type", kind, "Status", status, "Units", "1",
		"TotalRate", "0.0055", "TotalAmount", "0.0055", "MCC", "310", "MNC", "004", "Sequence", "1", "MessageTime", "2026-03-01 12:00:00.238707",
		"requester_ip", "192.0.2.1", "PowerpackUUID", m.PowerpackUUID)
	if code != 0 {
		set("ErrorCode", fmt.Sprintf("%03d", code))
	}
	set(extra...)
	return form
}

// post signs a form for one URL and sends it to the same path of another one.
func (d *Double) post(ctx context.Context, address, publicURL, target string, form url.Values) (*http.Response, error) {
	path, ok := strings.CutPrefix(address, strings.TrimSuffix(publicURL, "/"))
	if !ok || !strings.HasPrefix(path, "/") {
		return nil, errors.New("plivotest: the message asks for no requests at " + publicURL)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(target, "/")+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	nonce := "316277615952861" + strconv.Itoa(10000+d.Serial())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "Plivo")
	r.Header.Set(Nonce, nonce)
	signature := d.Sign(address, form, nonce)
	r.Header.Set(MainSignature, signature)
	if strings.HasPrefix(d.account.AuthID, "MA") {
		r.Header.Set(Signature, signature)
	}
	return doubletest.Direct.RoundTrip(r)
}

// Spoken returns the texts of a document's Speak elements, with spaces between them. ok is
// false unless the document is a Response of Speak and Wait elements only, of at most
// 100 KB.
func Spoken(document string) (text string, ok bool) {
	var response struct {
		XMLName  xml.Name
		Attrs    []xml.Attr `xml:",any,attr"`
		Text     string     `xml:",chardata"`
		Elements []struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
			Inner   string `xml:",innerxml"`
		} `xml:",any"`
	}
	decoder := xml.NewDecoder(strings.NewReader(document))
	if len(document) > 100<<10 || decoder.Decode(&response) != nil || response.XMLName.Local != "Response" || len(response.Attrs) > 0 || response.Text != "" {
		return "", false
	}
	if _, err := decoder.Token(); err != io.EOF {
		return "", false
	}
	var texts []string
	for _, e := range response.Elements {
		switch e.XMLName.Local {
		case "Speak":
			if strings.Contains(e.Inner, "<") || strings.TrimSpace(e.Text) == "" {
				return "", false
			}
			texts = append(texts, e.Text)
		case "Wait":
		default:
			return "", false
		}
	}
	return strings.Join(texts, " "), true
}
