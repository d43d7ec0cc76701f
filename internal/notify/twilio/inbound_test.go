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
	"twofa/internal/notify/gateway"
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
	if got, err := hooks.Inbound(signedRequest(d, InboundPath, "", inboundForm(d, "", "NO")).http()); err != notify.ErrMalformed || got != (notify.Inbound{}) {
		t.Errorf("from nobody: %+v, %v", got, err)
	}
	// A number and something more is another cut of the signed text.
	for _, from := range []string{recipient + ";ext=1", recipient + " ", "whatsapp:+1 (415) 555-0123", "rcs:" + recipient + "x"} {
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

// A sender that is no number is no error of the request: Twilio would raise an alarm for
// each of them, and nobody could change anything. Nothing follows from such a message.
func TestInboundFromASenderWithoutANumber(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	for from, want := range map[string]channel.Channel{
		"12345": channel.SMS, "729725": channel.SMS, "Acme": channel.SMS, "AMAZON": channel.SMS, "+1": channel.SMS, "My Bank": channel.SMS, "44": channel.SMS,
		"whatsapp:US.13491208655302741918": channel.WhatsApp, "whatsapp:IN.9876543210": channel.WhatsApp, "whatsapp:": channel.WhatsApp, "whatsapp:alice": channel.WhatsApp,
		"rcs:acme_agent": channel.SMS, "rcs:": channel.SMS,
		"messenger:1234567": channel.SMS, "US.13491208655302741918": channel.SMS, "tel:" + recipient: channel.SMS, "WHATSAPP:" + recipient: channel.SMS,
		"whatsapp:whatsapp:" + recipient: channel.WhatsApp, " " + recipient: channel.SMS, "+ 14155550123": channel.SMS, "client:alice": channel.SMS, "+1234567890123456789": channel.SMS,
	} {
		hooks := webhooks(t)
		for _, to := range []string{senderFor(from), "messenger:555", whatsAppPrefix + "+12025550199"} {
			form := inboundForm(d, from, "NO", "To", to)
			got, err := hooks.Inbound(signedRequest(d, InboundPath, "", form).http())
			wantChannel := want
			if to != senderFor(from) {
				wantChannel = "" // nobody of ours
			}
			if err != nil || got.From != "" || got.Channel != wantChannel || got.Text != "NO" {
				t.Errorf("from %q to %q: %+v, %v", from, to, got, err)
			}
		}
		form := inboundForm(d, from, "NO", "AccountSid", foreignAccount)
		if _, err := hooks.Inbound(signedRequest(d, InboundPath, "", form).http()); err != notify.ErrForeign {
			t.Errorf("from %q for another account: %v", from, err)
		}
	}
}

// Numbers that the service does not know, or would spell in another way, are read as
// Twilio reports them.
func TestInboundFromANumber(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	serviceOnly := webhooks(t, func(o *Options) { withService(o) })
	for from, want := range map[string]notify.Inbound{
		"whatsapp:+5215512349999": {From: "+5215512349999", Channel: channel.WhatsApp},
		"whatsapp:+551187654321":  {From: "+551187654321", Channel: channel.WhatsApp},
		"whatsapp:+5491123456789": {From: "+5491123456789", Channel: channel.WhatsApp},
		"+390549886377":           {From: "+390549886377", Channel: channel.SMS},
		"+999123456789":           {From: "+999123456789", Channel: channel.SMS},
		"+19005550123":            {From: "+19005550123", Channel: channel.SMS},
		"rcs:+14155550123":        {From: "+14155550123", Channel: channel.SMS},
		"rcs:+5511987654321":      {From: "+5511987654321", Channel: channel.SMS},
	} {
		for _, hooks := range []*receiver{webhooks(t), serviceOnly} {
			to := senderFor(from)
			if strings.HasPrefix(from, rcsPrefix) && hooks.service != "" {
				to = "rcs:acme_xyz_agent"
			}
			form := inboundForm(d, from, "NO", "To", to)
			got, err := hooks.Inbound(signedRequest(d, InboundPath, "", form).http())
			want.Text, want.MessageID = "NO", form.Get("MessageSid")
			if err != nil || got != want {
				t.Errorf("from %q: %+v, %v", from, got, err)
			}
		}
	}
	for name, changes := range map[string][]string{
		"no service is set":  {"To", "rcs:acme_agent"},
		"another number":     {"To", "+12025550199"},
		"WhatsApp's number":  {"To", whatsAppPrefix + twiliotest.WhatsAppFrom},
		"no service is said": {"To", "rcs:acme_agent", "MessagingServiceSid", "-"},
	} {
		form := inboundForm(d, "rcs:"+recipient, "NO", changes...)
		if got, err := webhooks(t).Inbound(signedRequest(d, InboundPath, "", form).http()); err != notify.ErrForeign {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	form := inboundForm(d, "rcs:"+recipient, "NO", "To", "rcs:acme_agent", "MessagingServiceSid", "MG"+strings.Repeat("f", 32))
	if got, err := serviceOnly.Inbound(signedRequest(d, InboundPath, "", form).http()); err != notify.ErrForeign {
		t.Errorf("another service: %+v, %v", got, err)
	}
	// With a number and a service, only RCS is the service's choice.
	both := webhooks(t, func(o *Options) { o.MessagingServiceSID = twiliotest.MessagingServiceSID })
	for to, want := range map[string]error{"rcs:acme_agent": nil, "+12025550199": notify.ErrForeign, twiliotest.SMSFrom: nil} {
		form := inboundForm(d, recipient, "NO", "To", to)
		if got, err := both.Inbound(signedRequest(d, InboundPath, "", form).http()); err != want {
			t.Errorf("to %s: %+v, %v", to, got, err)
		}
	}
}

// Twilio's own reading of a message.
func TestInboundOptOut(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	for kind, want := range map[string]notify.Inbound{
		"-": {}, "": {}, "STOP": {OptOut: true, Answered: true}, "Stop": {OptOut: true, Answered: true}, "stop": {OptOut: true, Answered: true},
		"HELP": {Keyword: true, Answered: true}, "START": {Keyword: true, Answered: true}, "start": {Keyword: true, Answered: true}, "OTHER": {Answered: true},
	} {
		for _, body := range []string{"STOP", "482913", "arretez", "HELP", ""} {
			form := inboundForm(d, recipient, body, "OptOutType", kind)
			got, err := hooks.Inbound(signedRequest(d, InboundPath, "", form).http())
			if err != nil || got.OptOut != want.OptOut || got.Keyword != want.Keyword || got.Answered != want.Answered || got.Text != body {
				t.Errorf("%q with %q: %+v, %v", kind, body, got, err)
			}
		}
	}
	// R20: the signal stands in one place only.
	for _, changes := range [][]string{
		{"Body", "482913OptOutTypeSTOP"}, {"NumSegments", "1OptOutTypeSTOP"}, {"OptOutTypeSTOPx", "1"}, {"ProfileName", "OptOutTypeHELP"}, {"OptOutType", "STOP ", "Body", "x"},
	} {
		form := inboundForm(d, recipient, "NO", changes...)
		if got, err := hooks.Inbound(signedRequest(d, InboundPath, "", form).http()); err != notify.ErrForged {
			t.Errorf("%q: %+v, %v", changes, got, err)
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
	f.Add("", inboundForm(d, "rcs:"+recipient, "STOP", "OptOutType", "STOP").Encode(), "", good.contentType, true)
	f.Add("", inboundForm(d, "whatsapp:US.13491208655302741918", "NO").Encode(), "", good.contentType, true)
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
					if in.From != "" && (!gateway.IsE164(in.From) || in.Channel != channel.WhatsApp && in.Channel != channel.SMS) || in.OptOut && in.Keyword {
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
