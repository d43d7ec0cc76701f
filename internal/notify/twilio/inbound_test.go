package twilio

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/twiliotest"
)

// senderFor is our sender that a person on the same channel writes to.
func senderFor(from string) string {
	if strings.HasPrefix(from, whatsAppPrefix) {
		return whatsAppPrefix + twiliotest.WhatsAppFrom
	}
	return twiliotest.SMSFrom
}

// inboundForm is a person's message with some parameters changed: alternately names and
// values, "-" removes.
func inboundForm(d *twiliotest.Double, from, body string, changes ...string) url.Values {
	form := d.InboundForm(from, senderFor(from), body, "")
	for i := 0; i < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "-" {
			form.Del(changes[i])
		}
	}
	return form
}

func TestInboundMessages(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	for name, tc := range map[string]struct {
		from, body, payload string
		want                notify.Inbound
	}{
		"WhatsApp":  {"whatsapp:" + recipient, "NO", "", notify.Inbound{From: recipient, Channel: channel.WhatsApp, Text: "NO"}},
		"SMS":       {recipient, "no", "", notify.Inbound{From: recipient, Channel: channel.SMS, Text: "no"}},
		"a button":  {"whatsapp:" + recipient, "Not me", "deny", notify.Inbound{From: recipient, Channel: channel.WhatsApp, Text: "Not me", Payload: "deny"}},
		"no text":   {recipient, "", "", notify.Inbound{From: recipient, Channel: channel.SMS}},
		"lines":     {recipient, "a\nb+c&d=e;é\x00", "", notify.Inbound{From: recipient, Channel: channel.SMS, Text: "a\nb+c&d=e;é\x00"}},
		"not UTF-8": {recipient, "a\xff\xfeb", "p\xff", notify.Inbound{From: recipient, Channel: channel.SMS, Text: "a\uFFFDb", Payload: "p\uFFFD"}},
		"1,600":     {recipient, strings.Repeat("é", 1600), "", notify.Inbound{From: recipient, Channel: channel.SMS, Text: strings.Repeat("é", 1600)}},
		"1,601":     {recipient, strings.Repeat("é", 1601), "", notify.Inbound{From: recipient, Channel: channel.SMS, Text: strings.Repeat("é", 1600)}},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := webhooks(t)
			status, twiml, err := d.Inbound(t.Context(), hooks.URL, ourURL, tc.from, senderFor(tc.from), tc.body, tc.payload)
			if err != nil || status != http.StatusOK || !strings.HasSuffix(twiml, "<Response/>") {
				t.Fatalf("%d, %q, %v", status, twiml, err)
			}
			got := hooks.inbounds[0]
			if !isMessageSID(got.MessageID) {
				t.Errorf("MessageID %q", got.MessageID)
			}
			got.MessageID = ""
			if hooks.errs[0] != nil || got != tc.want {
				t.Errorf("got %+v, %v\nwant %+v", hooks.inbounds[0], hooks.errs[0], tc.want)
			}
		})
	}
}

func TestAButtonWithoutABody(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	form := inboundForm(d, "whatsapp:"+recipient, "", "Body", "-", "ButtonText", "Not me", "ButtonPayload", "deny")
	got, err := hooks.Inbound(signedRequest(d, InboundPath, "", form).http())
	if want := (notify.Inbound{From: recipient, Channel: channel.WhatsApp, Text: "Not me", Payload: "deny", MessageID: form.Get("MessageSid")}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestInboundRefused(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	for _, from := range []string{"", "whatsapp:", "Acme", "12345", "+1", "whatsapp:whatsapp:" + recipient, "messenger:1234567", "tel:" + recipient, "WHATSAPP:" + recipient, "US.13491208655302741918", " " + recipient, "+ 14155550123"} {
		if got, err := hooks.Inbound(signedRequest(d, InboundPath, "", inboundForm(d, from, "NO")).http()); err != notify.ErrMalformed || got != (notify.Inbound{}) {
			t.Errorf("from %q: %+v, %v", from, got, err)
		}
	}
	// A number and something more is another cut of the signed text.
	for _, from := range []string{recipient + ";ext=1", recipient + " ", "whatsapp:+1 (415) 555-0123"} {
		if got, err := hooks.Inbound(signedRequest(d, InboundPath, "", inboundForm(d, from, "NO")).http()); err != notify.ErrForged || got != (notify.Inbound{}) {
			t.Errorf("from %q: %+v, %v", from, got, err)
		}
	}
	if _, err := hooks.Inbound(signedRequest(d, InboundPath, "", inboundForm(d, recipient, "NO", "From", "-")).http()); err != notify.ErrMalformed {
		t.Errorf("without From: %v", err)
	}

	form := inboundForm(d, recipient, "NO")
	good := signedRequest(d, InboundPath, "", form)
	if _, err := hooks.Inbound(good.http()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*webhook){
		"another sender": func(r *webhook) { r.body = strings.Replace(r.body, "0123", "0124", 1) },
		"another text":   func(r *webhook) { r.body = strings.Replace(r.body, "NO", "YES", 1) },
		"a query":        func(r *webhook) { r.query = "a=b" },
		"a sender twice": func(r *webhook) { r.body += "&From=%2B447700900123" },
		"no signature":   func(r *webhook) { r.signatures = nil },
		"a report's signature": func(r *webhook) {
			r.signatures = []string{d.Sign(ourURL+StatusPath, form)}
		},
	} {
		r := good
		change(&r)
		if got, err := hooks.Inbound(r.http()); err != notify.ErrForged || got != (notify.Inbound{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestReply(t *testing.T) {
	hooks := webhooks(t)
	const hostile = "</Message><Message to=\"+1\">A & B]]>\x00\xff{{1}}"
	for text, want := range map[string]string{
		"":                         "",
		"Thank you.":               "Thank you.",
		hostile:                    "</Message><Message to=\"+1\">A & B]]>\uFFFD\uFFFD{{1}}",
		strings.Repeat("é", 1601):  strings.Repeat("é", 1600),
		strings.Repeat("&", 16000): strings.Repeat("&", 1600),
	} {
		contentType, body := hooks.Reply(text)
		if contentType != "text/xml; charset=utf-8" {
			t.Errorf("content type %q", contentType)
		}
		var response struct {
			XMLName  xml.Name `xml:"Response"`
			Messages []string `xml:"Message"`
			Inner    string   `xml:",innerxml"`
		}
		if err := xml.Unmarshal(body, &response); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		switch {
		case text == "" && (response.Inner != "" || !strings.HasSuffix(string(body), "<Response/>")):
			t.Errorf("no reply: %s", body)
		case text != "" && (len(response.Messages) != 1 || response.Messages[0] != want):
			t.Errorf("%q became %q", text, response.Messages)
		}
	}
}

// FuzzWebhooks reads arbitrary requests, with valid and invalid signatures. Reading must
// not panic, and everything that was read must be valid.
func FuzzWebhooks(f *testing.F) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	good, _ := goodStatus(d)
	f.Add(good.query, good.body, good.signatures[0], good.contentType, true)
	f.Add(good.query, good.body, good.signatures[0], good.contentType, false)
	f.Add("", inboundForm(d, recipient, "NO").Encode(), "", good.contentType, true)
	f.Add("", inboundForm(d, "whatsapp:"+recipient, "NO", "ButtonPayload", "deny").Encode(), "", good.contentType, true)
	f.Add("", "From=%2B14155550123&Body=NO&ButtonPayload=deny", "", good.contentType, true)
	f.Add(good.query, "MessageStatus=failed&ErrorCode=63024&To=whatsapp%3A%2B1", "", good.contentType, true)
	f.Add(good.query, "CallStatus=busy", "", good.contentType, true)
	f.Add("id=a;b", "a=%zz", "x", "application/json", true)
	hooks := webhooks(f)
	f.Fuzz(func(t *testing.T, query, body, signature, contentType string, sign bool) {
		for path, read := range map[string]func(*http.Request) error{
			StatusPath: func(r *http.Request) error {
				report, err := hooks.Report(r)
				if err == nil {
					if _, fault := otp.ParseID(string(report.Verification)); fault != nil || report.Attempt < 1 || (report.Failure != nil) != (report.Status == otp.Failed) {
						t.Errorf("read %+v", report)
					}
					if f := report.Failure; f != nil && (f.Outcome == 0 || f.Code != errorNumber(f.Code)) {
						t.Errorf("read %+v", f)
					}
				} else if report != (notify.Report{}) {
					t.Errorf("%+v and the error %v", report, err)
				}
				return err
			},
			InboundPath: func(r *http.Request) error {
				in, err := hooks.Inbound(r)
				if err == nil {
					for _, text := range []string{in.Text, in.Payload} {
						if !utf8.ValidString(text) || utf8.RuneCountInString(text) > 1600 {
							t.Errorf("read %q", text)
						}
					}
					if !isE164(in.From) || in.Channel != channel.WhatsApp && in.Channel != channel.SMS {
						t.Errorf("read %+v", in)
					}
				} else if in != (notify.Inbound{}) {
					t.Errorf("%+v and the error %v", in, err)
				}
				return err
			},
		} {
			r := webhook{http.MethodPost, path, query, body, contentType, []string{signature}}
			if form, err := url.ParseQuery(body); sign && err == nil {
				r.signatures = signedRequest(d, path, query, form).signatures
			}
			if err := read(r.http()); err != nil && err != notify.ErrForged && err != notify.ErrForeign && err != notify.ErrMalformed && !problem.Is(err, problem.PayloadTooLarge) {
				t.Errorf("error %v", err)
			} else if err != notify.ErrForged && !problem.Is(err, problem.PayloadTooLarge) && !sign && signature != good.signatures[0] {
				t.Errorf("accepted the signature %q", signature)
			}
		}
	})
}
