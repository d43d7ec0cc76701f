package e2e

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/twiliotest"
)

// publicURL is where the provider believes the service to be.
const publicURL = "https://login.example.test"

// everyChannel is the settings of a service with a workflow over all phone
// channels, and with callbacks.
var everyChannel = []string{
	"TWOFA_CHANNELS=whatsapp,sms,call", "TWOFA_PUBLIC_URL=" + publicURL,
	"TWILIO_SMS_FROM=" + twiliotest.SMSFrom, "TWILIO_VOICE_FROM=" + twiliotest.VoiceFrom,
}

// sent is the messages and calls that a number has got, in order.
func (w *world) sent(number string) (sent []twiliotest.Message) {
	for _, m := range w.twilio.Accepted() {
		if strings.TrimPrefix(m.To, "whatsapp:") == number {
			sent = append(sent, m)
		}
	}
	return sent
}

// report has the provider tell the service what became of a message.
func (w *world) report(c *client, m twiliotest.Message, status string, code int) {
	w.t.Helper()
	res, err := w.twilio.Callback(w.t.Context(), m, publicURL, c.url, status, code)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 204 {
		w.t.Fatalf("the report was answered %d", res.StatusCode)
	}
}

// write has a person send a message to the service's WhatsApp number, and
// returns what is said back.
func (w *world) write(c *client, number, text, payload string) string {
	w.t.Helper()
	status, twiml, err := w.twilio.Inbound(w.t.Context(), c.url, publicURL, "whatsapp:"+number, "whatsapp:"+twiliotest.WhatsAppFrom, text, payload)
	if err != nil || status != 200 {
		w.t.Fatalf("the message was answered %d %s, %v", status, twiml, err)
	}
	return twiml
}

// attempts is a verification's deliveries in one line.
func attempts(r reply) string {
	delivery, _ := r.fields["delivery"].(map[string]any)
	list, _ := delivery["attempts"].([]any)
	var b strings.Builder
	for _, one := range list {
		a, _ := one.(map[string]any)
		fmt.Fprintf(&b, "%v %v", a["channel"], a["status"])
		if a["error"] != nil {
			fmt.Fprintf(&b, " %v", a["error"])
		}
		b.WriteString(", ")
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// A person who has no WhatsApp and a landline: the code arrives all the same, by
// the third channel, and it is the same code all along.
func TestCodeIsFollowedThroughUntilItArrives(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]functionshost.Mode{"in the cloud": functionshost.Cloud, "under Core Tools": functionshost.CoreTools} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			h, c := w.host(func(o *functionshost.Options) { o.Mode = mode }, append(everyChannel, noPause, "TWOFA_BRAND=Acme")...)
			provider := c.without("X-Functions-Key")
			number := newNumber()
			w.twilio.ForChannel(notify.SMS, number, twiliotest.Refuse(400, 21614))

			started := c.post("/api/otpsend", fields{"to": number, "locale": "de"})
			want(t, started, "201")
			id := started.text("id")
			if started.text("channel") != "whatsapp" {
				t.Errorf("started over %s", started.text("channel"))
			}
			whatsapp := w.sent(number)[0]
			code, _, _ := strings.Cut(whatsapp.Body, " ")
			if !containsAll(whatsapp.Body, []string{code + " ist Ihr Code für die Anmeldung bei Acme", "10 Min", "Antworten Sie NEIN"}) {
				t.Errorf("the message is %q", whatsapp.Body)
			}
			w.report(provider, whatsapp, "sent", 0)
			if got := attempts(c.status(id)); got != "whatsapp sent" {
				t.Errorf("after the first report: %s", got)
			}

			w.report(provider, whatsapp, "undelivered", 63024)
			if got := attempts(c.status(id)); got != "whatsapp failed 63024, sms failed 21614, call queued" {
				t.Errorf("after the failure: %s", got)
			}
			// The refused SMS is not among what was accepted; the call is.
			sent := w.sent(number)
			if len(sent) != 2 || sent[1].Channel != notify.Call {
				t.Fatalf("sent %+v", sent)
			}
			spoken := sent[1].Spoken()
			if digits := strings.Join(strings.Split(code, ""), " "); strings.Count(spoken, digits) != 2 || !containsAll(spoken, []string{"Acme", "Noch einmal"}) {
				t.Errorf("the call says %q, want the code %s twice", spoken, code)
			}
			for _, call := range w.twilio.Calls() {
				if text := call.Form.Get("Body"); call.Form.Get("To") == number && text != "" {
					if !strings.HasPrefix(text, code+" ") || !strings.HasSuffix(text, "\n@login.example.test #"+code) || call.Form.Get("RiskCheck") != "enable" {
						t.Errorf("the SMS was %q, RiskCheck %q", text, call.Form.Get("RiskCheck"))
					}
				}
			}
			awaitLine(t, h, `"function":"hooks"`, `"outcome":"ok"`, `"delivery":"failed"`)

			// The same report again, and news that comes late, change nothing.
			for range 3 {
				w.report(provider, whatsapp, "undelivered", 63024)
				w.report(provider, whatsapp, "sent", 0)
			}
			w.report(provider, sent[1], "completed", 0)
			w.report(provider, sent[1], "ringing", 0)
			if got := attempts(c.status(id)); got != "whatsapp failed 63024, sms failed 21614, call delivered" || len(w.sent(number)) != 2 {
				t.Errorf("in the end: %s, %d messages", got, len(w.sent(number)))
			}
			approved := c.check(fields{"id": id, "code": code})
			want(t, approved, "200")
			if approved.text("channel") != "call" {
				t.Errorf("approved over %s", approved.text("channel"))
			}

			// What has worked comes first the next time.
			again := c.post("/api/otpsend", fields{"to": number, "purpose": "again"})
			want(t, again, "201")
			if again.text("channel") != "call" {
				t.Errorf("the next code goes over %s first", again.text("channel"))
			}
		})
	}
}

// Attack 11. A report or a message that the provider did not sign as it came
// has no effect.
func TestAttack11_ForgedCallbacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.host(nil, append(everyChannel, noPause)...)
	provider := c.without("X-Functions-Key")
	number := newNumber()
	id, code := w.start(c, number)
	m := w.sent(number)[0]
	report, err := url.Parse(m.StatusCallback)
	if err != nil {
		t.Fatal(err)
	}
	failed := url.Values{"MessageSid": {m.SID}, "MessageStatus": {"failed"}, "ErrorCode": {"63024"}, "To": {m.To}, "From": {m.From}}
	denied := url.Values{"MessageSid": {m.SID}, "From": {m.To}, "To": {m.From}, "Body": {"NO"}}

	post := func(path, signature string, form string) {
		t.Helper()
		signer := provider
		if signature != "" {
			signer = provider.with("X-Twilio-Signature", signature)
		}
		if r := signer.do("POST", path, "application/x-www-form-urlencoded", form); r.String() != "403 forbidden" {
			t.Errorf("%s with the signature %q: %v %s", path, signature, r, r.body)
		}
	}
	good := w.twilio.Sign(m.StatusCallback, failed)
	statusPath := report.RequestURI()
	for name, signature := range map[string]string{
		"none": "", "another": w.twilio.Sign(m.StatusCallback, denied), "truncated": good[:len(good)-4], "of another host": w.twilio.Sign(strings.Replace(m.StatusCallback, "login.", "evil.", 1), failed),
		"of http": w.twilio.Sign(strings.Replace(m.StatusCallback, "https:", "http:", 1), failed), "of the loopback": w.twilio.Sign(c.url+statusPath, failed),
		"without the query": w.twilio.Sign(publicURL+report.Path, failed),
	} {
		t.Run(name, func(*testing.T) { post(statusPath, signature, failed.Encode()) })
	}
	t.Run("changed", func(*testing.T) {
		post(statusPath, good, strings.Replace(failed.Encode(), "63024", "63003", 1))
		post(statusPath, good, failed.Encode()+"&x=1")
		post(statusPath, good, failed.Encode()+"&MessageStatus=delivered")
		post(statusPath, good, strings.Replace(failed.Encode(), "MessageStatus=failed&", "", 1))
		post(strings.Replace(statusPath, "attempt=1", "attempt=2", 1), good, failed.Encode())
		post(statusPath+"&id="+id, good, failed.Encode())
		post("/hooks/twilio/inbound?"+report.RawQuery, good, failed.Encode())
	})
	t.Run("inbound", func(*testing.T) {
		inbound := publicURL + twiliotest.InboundPath
		post(twiliotest.InboundPath, "", denied.Encode())
		post(twiliotest.InboundPath, w.twilio.Sign(inbound, denied), strings.Replace(denied.Encode(), "NO", "STOP", 1))
		post(twiliotest.InboundPath, w.twilio.Sign(inbound, denied), denied.Encode()+"&Body=NO")
	})
	if got := attempts(c.status(id)); got != "whatsapp queued" || len(w.sent(number)) != 1 {
		t.Errorf("forged reports had an effect: %s", got)
	}
	want(t, c.check(fields{"id": id, "code": code}), "200")
}

// The person's word ends what is pending, in the language of the message.
func TestPersonSaysThatItWasNotThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.host(nil, append(everyChannel, noPause)...)
	provider := c.without("X-Functions-Key")
	for _, answer := range []struct{ locale, text, payload, back string }{
		{"en", "No!", "", "stopped"}, {"de", "Das war ich nicht", "", "gestoppt"}, {"fr", "STOP", "", ""}, {"en", "It was not me", "deny", ""},
	} {
		number := newNumber()
		r := c.post("/api/otpsend", fields{"to": number, "locale": answer.locale})
		want(t, r, "201")
		if back := w.write(provider, number, "no problem, thanks", ""); strings.Contains(back, "<Message>") {
			t.Errorf("an answer that means nothing was answered %s", back)
		}
		back := w.write(provider, number, answer.text, answer.payload)
		if !strings.Contains(back, "<Message>") || !strings.Contains(back, answer.back) {
			t.Errorf("%q was answered %s, want %q", answer.text, back, answer.back)
		}
		want(t, c.check(fields{"id": r.text("id"), "code": w.code(number)}), "410 denied")
		if got := c.status(r.text("id")).text("status"); got != "denied" {
			t.Errorf("%q: the status is %s", answer.text, got)
		}
		// Once more, there is nothing to deny.
		if back := w.write(provider, number, answer.text, answer.payload); strings.Contains(back, "<Message>") {
			t.Errorf("a second answer was answered %s", back)
		}
	}
}

// Reverse verification: the person sends us the text, and nothing is sent to
// them but our thanks.
func TestPersonWritesToUs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.host(nil, append(everyChannel, noPause)...)
	provider := c.without("X-Functions-Key")
	number := newNumber()
	started := c.post("/api/otpsend", fields{"to": number, "channel": "inbound"})
	want(t, started, "201")
	id := started.text("id")
	offer, _ := started.fields["inbound"].(map[string]any)
	text, _ := offer["text"].(string)
	link, err := url.Parse(fmt.Sprint(offer["whatsapp_url"]))
	if err != nil || offer["number"] != twiliotest.WhatsAppFrom || link.Host != "wa.me" || link.Query().Get("text") != text {
		t.Fatalf("the offer is %v (%v)", offer, err)
	}
	code := regexp.MustCompile(`\d{6}$`).FindString(text)
	if code == "" {
		t.Fatalf("the text is %q", text)
	}

	want(t, c.check(fields{"id": id}), "409 not_yet_approved")
	want(t, c.check(fields{"id": id, "code": code}), "400 invalid_request")
	want(t, c.check(fields{"to": number, "code": code}), "400 invalid_request")
	w.write(provider, newNumber(), text, "") // another number proves nothing
	w.write(provider, number, "hello", "")
	want(t, c.check(fields{"id": id}), "409 not_yet_approved")

	if back := w.write(provider, number, text, ""); !strings.Contains(back, "<Message>") {
		t.Errorf("the person's text was answered %s", back)
	}
	if got := c.status(id).text("status"); got != "approved" {
		t.Errorf("the status is %s", got)
	}
	want(t, c.check(fields{"id": id}), "200")
	want(t, c.check(fields{"id": id}), "409 already_used")
	if n := len(w.sent(number)); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

// Attacks 1 and 3, while reports arrive: checks over two processes, with the
// provider's reports in between, many times each.
func TestRacesWithCallbacks(t *testing.T) {
	w := newWorld(t)
	p := w.pair(append(everyChannel, noPause)...)
	number := newNumber()
	id, code := w.start(p[0].client, number)
	first := w.sent(number)[0]

	var reports sync.WaitGroup
	for i, status := range []string{"sent", "undelivered", "undelivered", "sent", "undelivered"} {
		reports.Go(func() {
			res, err := w.twilio.Callback(t.Context(), first, publicURL, p[i%2].url, status, map[string]int{"undelivered": 63024}[status])
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != 204 && res.StatusCode != 503 { // contention may outlast a request
				t.Errorf("a report was answered %d", res.StatusCode)
			}
		})
	}
	replies := atOnce(24, func(i int) reply {
		if i%4 == 0 {
			return p[i%2].check(fields{"id": id, "code": code})
		}
		return p[i%2].check(fields{"id": id, "code": wrong(code)})
	})
	reports.Wait()
	got := count(replies)
	if got["200"] > 1 || got["422 wrong_code"] > 5 {
		t.Errorf("answers: %v", got)
	}
	codes := 0 // a warning of the wrong codes may be sent, too
	for _, m := range w.sent(number) {
		if strings.HasPrefix(m.Body, code+" ") || m.Twiml != "" {
			codes++
		}
	}
	if codes > 2 {
		t.Errorf("%d messages followed one failure", codes-1)
	}
	r, err := w.book().Load(t.Context(), w.book().RowKey(number))
	if err != nil || len(r.Verifications) != 1 || len(r.Failures) < got["422 wrong_code"] {
		t.Errorf("kept %+v (%v) after %v", r, err, got)
	}
	want(t, p[0].check(fields{"id": id, "code": wrong(code)}), map[bool]string{true: "409 already_used", false: "429 too_many_checks"}[got["200"] == 1])
}

// A registered user: over HTTP, the host and real storage, from the first code to
// the erasure.
func TestStoryOfAUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.host(nil, append(everyChannel, noPause)...)
	number := newNumber()
	name := "Zoë 100% O'Neill"
	path := "/api/users/" + url.PathEscape(name)
	made := c.do("PUT", path, "application/json", `{"name": "`+name+`", "phone": "`+number+`", "channels": ["sms", "call"], "locale": "es"}`)
	want(t, made, "201")
	if made.text("name") != name || made.header.Get("ETag") == "" {
		t.Errorf("registered %s, ETag %q", made.body, made.header.Get("ETag"))
	}
	want(t, c.post("/api/otpsend", fields{"user": "nobody"}), "404 not_found")
	started := c.post("/api/otpsend", fields{"user": name})
	want(t, started, "201")
	sms := w.sent(number)[0]
	if started.text("channel") != "sms" || !strings.Contains(sms.Body, "es su clave para acceder") {
		t.Errorf("sent over %s: %q", started.text("channel"), sms.Body)
	}
	code, _, _ := strings.Cut(sms.Body, " ")
	want(t, c.check(fields{"to": number, "code": code}), "404 not_found") // it was for the user
	want(t, c.check(fields{"user": name, "code": code}), "200")
	looked := c.do("GET", path, "", "")
	if verified, _ := looked.fields["verified"].(map[string]any); verified["phone"] != true {
		t.Errorf("after the approval: %s", looked.body)
	}
	want(t, c.with("If-Match", made.header.Get("ETag")).do("DELETE", path, "", ""), "412 precondition_failed")
	if r := c.with("If-Match", looked.header.Get("ETag")).do("DELETE", path, "", ""); r.status != 204 {
		t.Errorf("the erasure was answered %v", r)
	}
	want(t, c.do("GET", path, "", ""), "404 not_found")
	want(t, c.status(started.text("id")), "404 not_found")
}
