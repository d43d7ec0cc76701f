package e2e

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/twiliotest"
)

// publicURL is the address of the service that the provider knows.
const publicURL = "https://login.example.test"

// everyChannel is the settings of a service with a workflow of all phone channels, and
// with callbacks.
var everyChannel = []string{
	"TWOFA_CHANNELS=whatsapp,sms,call", "TWOFA_PUBLIC_URL=" + publicURL,
	"TWILIO_SMS_FROM=" + twiliotest.SMSFrom, "TWILIO_VOICE_FROM=" + twiliotest.VoiceFrom,
}

// reportDelivery has the provider report the status of a message to the service.
func (rig *rig) reportDelivery(c *client, m twiliotest.Message, status string, code int) {
	rig.t.Helper()
	res, err := rig.twilio.Callback(rig.t.Context(), m, publicURL, c.url, status, code)
	if err != nil {
		rig.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 204 {
		rig.t.Fatalf("the report was answered %d", res.StatusCode)
	}
}

// writeTo has a person send a message to the service's WhatsApp number, and returns the
// TwiML of the reply.
func (rig *rig) writeTo(c *client, number, text, payload string) string {
	rig.t.Helper()
	status, twiml, err := rig.twilio.Inbound(rig.t.Context(), c.url, publicURL, "whatsapp:"+number, "whatsapp:"+twiliotest.WhatsAppFrom, text, payload)
	if err != nil || status != 200 {
		rig.t.Fatalf("the message was answered %d %s, %v", status, twiml, err)
	}
	return twiml
}

// attempts writes the delivery attempts of a verification as one line.
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

// A person without WhatsApp and with a landline gets the code by the third channel, and all
// channels send the same code.
func TestFailedDeliveryContinuesOnTheNextChannel(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]functionshost.Mode{"in the cloud": functionshost.Cloud, "under Core Tools": functionshost.CoreTools} {
		t.Run(name, func(t *testing.T) {
			rig := newParallelRig(t)
			h, c := rig.host(func(o *functionshost.Options) { o.Mode = mode }, append(everyChannel, noPause, "TWOFA_BRAND=Acme")...)
			provider := c.without("X-Functions-Key")
			number := newNumber()
			rig.twilio.ForChannel(channel.SMS, number, twiliotest.Refuse(400, 21614))

			started := want(t, c.post("/api/otpsend", fields{"to": number, "locale": "de"}), "201")
			id := started.text("id")
			wantFields(t, started, fields{"channel": "whatsapp"})
			whatsapp := rig.sent(number)[0]
			code := firstWord(whatsapp.Body)
			if !containsAll(whatsapp.Body, []string{code + " ist Ihr Code für die Anmeldung bei Acme", "10 Min", "Antworten Sie mit NEIN"}) {
				t.Errorf("the message is %q", whatsapp.Body)
			}
			rig.reportDelivery(provider, whatsapp, "sent", 0)
			if got := attempts(c.status(id)); got != "whatsapp sent" {
				t.Errorf("after the first report: %s", got)
			}

			rig.reportDelivery(provider, whatsapp, "undelivered", 63024)
			if got := attempts(c.status(id)); got != "whatsapp failed 63024, sms failed 21614, call queued" {
				t.Errorf("after the failure: %s", got)
			}
			// The provider has refused the SMS and accepted the call.
			sent := rig.sent(number)
			if len(sent) != 2 || sent[1].Channel != channel.Call {
				t.Fatalf("sent %+v", sent)
			}
			spoken := sent[1].Spoken()
			if digits := strings.Join(strings.Split(code, ""), " "); strings.Count(spoken, digits) != 2 || !containsAll(spoken, []string{"Acme", "Noch einmal"}) {
				t.Errorf("the call says %q, want the code %s twice", spoken, code)
			}
			for _, call := range rig.twilio.Calls() {
				if text := call.Form.Get("Body"); call.Form.Get("To") == number && text != "" {
					if !strings.HasPrefix(text, code+" ") || !strings.HasSuffix(text, "\n@login.example.test #"+code) || call.Form.Get("RiskCheck") != "enable" {
						t.Errorf("the SMS was %q, RiskCheck %q", text, call.Form.Get("RiskCheck"))
					}
				}
			}
			awaitLine(t, h, `"function":"hooks"`, `"outcome":"ok"`, `"delivery":"failed"`)

			// The same report again and late reports change nothing.
			for range 3 {
				rig.reportDelivery(provider, whatsapp, "undelivered", 63024)
				rig.reportDelivery(provider, whatsapp, "sent", 0)
			}
			rig.reportDelivery(provider, sent[1], "completed", 0)
			rig.reportDelivery(provider, sent[1], "ringing", 0)
			if got := attempts(c.status(id)); got != "whatsapp failed 63024, sms failed 21614, call delivered" || len(rig.sent(number)) != 2 {
				t.Errorf("after all reports: %s, %d messages", got, len(rig.sent(number)))
			}
			approved := want(t, c.check(fields{"id": id, "code": code}), "200")
			wantFields(t, approved, fields{"channel": "call"})

			// The channel that has worked is the first one the next time.
			again := want(t, c.post("/api/otpsend", fields{"to": number, "purpose": "again"}), "201")
			wantFields(t, again, fields{"channel": "call"})
		})
	}
}

// Attack 11. A report or a message whose signature is not the provider's has no effect.
func TestAttack11_ForgedCallbacks(t *testing.T) {
	rig := newParallelRig(t)
	_, c := rig.host(nil, append(everyChannel, noPause)...)
	provider := c.without("X-Functions-Key")
	number := newNumber()
	id, code := rig.start(c, number)
	m := rig.sent(number)[0]
	report, err := url.Parse(m.StatusCallback)
	if err != nil {
		t.Fatal(err)
	}
	failed := url.Values{
		"AccountSid": {twiliotest.AccountSID}, "MessageSid": {m.SID}, "MessageStatus": {"failed"}, "ErrorCode": {"63024"}, "To": {m.To}, "From": {m.From},
	}
	denied := rig.twilio.InboundForm(m.To, m.From, "NO", "")

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
	good := rig.twilio.Sign(m.StatusCallback, failed)
	statusPath := report.RequestURI()
	for name, signature := range map[string]string{
		"none": "", "another": rig.twilio.Sign(m.StatusCallback, denied), "truncated": good[:len(good)-4], "of another host": rig.twilio.Sign(strings.Replace(m.StatusCallback, "login.", "evil.", 1), failed),
		"of http": rig.twilio.Sign(strings.Replace(m.StatusCallback, "https:", "http:", 1), failed), "of the loopback": rig.twilio.Sign(c.url+statusPath, failed),
		"without the query": rig.twilio.Sign(publicURL+report.Path, failed),
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
		post(twiliotest.InboundPath, rig.twilio.Sign(inbound, denied), strings.Replace(denied.Encode(), "NO", "STOP", 1))
		post(twiliotest.InboundPath, rig.twilio.Sign(inbound, denied), denied.Encode()+"&Body=NO")
	})
	if got := attempts(c.status(id)); got != "whatsapp queued" || len(rig.sent(number)) != 1 {
		t.Errorf("forged reports had an effect: %s", got)
	}
	want(t, c.check(fields{"id": id, "code": code}), "200")
}

// Attack 23. An attacker writes a message, and makes of its signed request one that the
// victim seems to have sent. A request for another account, and the same message once
// more, have no effect either.
func TestAttack23_ReusedCallbacks(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil, append(everyChannel, noPause)...)
	provider := c.without("X-Functions-Key")
	attacker, victim := newNumber(), newNumber()
	start := func() (id string) {
		t.Helper()
		return want(t, c.post("/api/otpsend", fields{"to": victim}), "201").text("id")
	}
	wantPending := func(id string) {
		t.Helper()
		wantFields(t, c.status(id), fields{"status": "pending"})
	}
	const inbound = publicURL + twiliotest.InboundPath
	post := func(signature string, form url.Values) reply {
		t.Helper()
		return provider.with("X-Twilio-Signature", signature).do("POST", twiliotest.InboundPath, "application/x-www-form-urlencoded", form.Encode())
	}

	id := start()
	for text, name := range map[string]string{"NOFrom" + victim + "G": "G", "NOFrom" + victim + "GFrom" + attacker + "H": "G"} {
		form := rig.twilio.InboundForm(attacker, twiliotest.SMSFrom, text, "")
		signature := rig.twilio.Sign(inbound, form)
		want(t, post(signature, form), "403 forbidden")
		cut := maps.Clone(form)
		cut.Set("Body", "NO")
		cut.Set("From", victim)
		rest := strings.TrimPrefix(text, "NOFrom"+victim+name) // of the text, then what follows it in the signed bytes
		for _, follows := range slices.Sorted(maps.Keys(form)) {
			if strings.HasPrefix(follows, "From") {
				rest += follows + form.Get(follows)
				if follows != "From" {
					cut.Del(follows)
				}
			}
		}
		cut.Set(name, rest)
		if rig.twilio.Sign(inbound, cut) != signature {
			t.Fatalf("%v is no cut of %v", cut, form)
		}
		want(t, post(signature, cut), "403 forbidden")
		wantPending(id)
	}
	awaitLine(t, h, `"level":"WARN"`, `"held":"From"`, `"holder":"Body"`)

	foreign := rig.twilio.InboundForm(victim, twiliotest.SMSFrom, "NO", "")
	foreign.Set("AccountSid", "AC"+strings.Repeat("0", 32))
	want(t, post(rig.twilio.Sign(inbound, foreign), foreign), "403 forbidden")
	elsewhere := rig.twilio.InboundForm(victim, "+12025550199", "NO", "")
	want(t, post(rig.twilio.Sign(inbound, elsewhere), elsewhere), "403 forbidden")
	wantPending(id)

	// The person's own NO works, but not a second time.
	denial := rig.twilio.InboundForm(victim, twiliotest.SMSFrom, "NO", "")
	signature := rig.twilio.Sign(inbound, denial)
	want(t, post(signature, denial), "200")
	wantFields(t, c.status(id), fields{"status": "denied"})
	id = start()
	want(t, post(signature, denial), "200")
	wantPending(id)
	want(t, c.check(fields{"id": id, "code": rig.code(victim)}), "200")
}

// Attack 29. A callback whose body is too large is refused as such, signed or not.
func TestAttack29_LargeCallbacks(t *testing.T) {
	rig := newParallelRig(t)
	_, c := rig.host(nil, append(everyChannel, noPause)...)
	provider := c.without("X-Functions-Key")
	for _, size := range []int{16<<10 + 1, 20 << 10, 64 << 10, 1 << 20} {
		for _, path := range []string{"/hooks/twilio/status", twiliotest.InboundPath} {
			want(t, provider.do("POST", path, "application/x-www-form-urlencoded", strings.Repeat("x", size)), "413 payload_too_large")
		}
	}
}

// A person can deny a pending verification by a reply in the language of the message.
func TestPersonDeniesTheVerification(t *testing.T) {
	rig := newParallelRig(t)
	_, c := rig.host(nil, append(everyChannel, noPause)...)
	provider := c.without("X-Functions-Key")
	for _, answer := range []struct{ locale, text, payload, back string }{
		{"en", "No!", "", "stopped"}, {"de", "Das war ich nicht", "", "gestoppt"}, {"fr", "STOP", "", ""}, {"en", "It was not me", "deny", ""},
	} {
		number := newNumber()
		r := want(t, c.post("/api/otpsend", fields{"to": number, "locale": answer.locale}), "201")
		if back := rig.writeTo(provider, number, "no problem, thanks", ""); strings.Contains(back, "<Message>") {
			t.Errorf("a text without a meaning was answered %s", back)
		}
		back := rig.writeTo(provider, number, answer.text, answer.payload)
		if !strings.Contains(back, "<Message>") || !strings.Contains(back, answer.back) {
			t.Errorf("%q was answered %s, want %q", answer.text, back, answer.back)
		}
		want(t, c.check(fields{"id": r.text("id"), "code": rig.code(number)}), "410 denied")
		wantFields(t, c.status(r.text("id")), fields{"status": "denied"})
		// The second time, there is nothing to deny.
		if back := rig.writeTo(provider, number, answer.text, answer.payload); strings.Contains(back, "<Message>") {
			t.Errorf("a second denial was answered %s", back)
		}
	}
}

// Inbound verification: the person sends the text to the service. The service sends them
// nothing except the reply to that text.
func TestPersonWritesToTheService(t *testing.T) {
	rig := newParallelRig(t)
	_, c := rig.host(nil, append(everyChannel, noPause)...)
	provider := c.without("X-Functions-Key")
	number := newNumber()
	started := want(t, c.post("/api/otpsend", fields{"to": number, "channel": "inbound"}), "201")
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
	rig.writeTo(provider, newNumber(), text, "") // another number proves nothing
	rig.writeTo(provider, number, "hello", "")
	rig.writeTo(provider, number, "I do NOT approve. Code: "+code, "")
	want(t, c.check(fields{"id": id}), "409 not_yet_approved")

	if back := rig.writeTo(provider, number, text, ""); !strings.Contains(back, "<Message>") {
		t.Errorf("the person's text was answered %s", back)
	}
	wantFields(t, c.status(id), fields{"status": "approved"})
	want(t, c.check(fields{"id": id}), "200")
	want(t, c.check(fields{"id": id}), "409 already_used")
	if n := len(rig.sent(number)); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

// Attacks 1 and 3, with many checks to two processes while reports of the provider arrive.
func TestRacesWithCallbacks(t *testing.T) {
	rig := newRig(t)
	p := rig.pair(append(everyChannel, noPause)...)
	number := newNumber()
	id, code := rig.start(p[0].client, number)
	first := rig.sent(number)[0]

	var reports sync.WaitGroup
	for i, status := range []string{"sent", "undelivered", "undelivered", "sent", "undelivered"} {
		reports.Go(func() {
			res, err := rig.twilio.Callback(t.Context(), first, publicURL, p[i%2].url, status, map[string]int{"undelivered": 63024}[status])
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
	replies := concurrently(24, func(i int) reply {
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
	codes := 0 // without the alert about wrong codes, which may be sent too
	for _, m := range rig.sent(number) {
		if strings.HasPrefix(m.Body, code+" ") || m.Twiml != "" {
			codes++
		}
	}
	if codes > 2 {
		t.Errorf("%d messages followed one failure", codes-1)
	}
	recipients := rig.recipients()
	r, err := recipients.Load(t.Context(), recipients.Key(number))
	if err != nil || len(r.Verifications) != 1 || len(r.Tally(otp.Caller{}).Failures) < got["422 wrong_code"] {
		t.Errorf("kept %+v (%v) after %v", r, err, got)
	}
	refusal := "429 too_many_checks"
	if got["200"] == 1 {
		refusal = "409 already_used"
	}
	want(t, p[0].check(fields{"id": id, "code": wrong(code)}), refusal)
}

// A registered user, under the host and with real storage, from the registration to the
// erasure.
func TestRegisteredUser(t *testing.T) {
	rig := newParallelRig(t)
	_, c := rig.host(nil, append(everyChannel, noPause)...)
	number := newNumber()
	name := "Zoë 100% O'Neill"
	path := userPath(name)
	made := want(t, c.do("PUT", path, "application/json", `{"name": "`+name+`", "phone": "`+number+`", "channels": ["sms", "call"], "locale": "es"}`), "201")
	if made.text("name") != name || made.header.Get("ETag") == "" {
		t.Errorf("registered %s, ETag %q", made.body, made.header.Get("ETag"))
	}
	want(t, c.post("/api/otpsend", fields{"user": "nobody"}), "404 not_found")
	started := want(t, c.post("/api/otpsend", fields{"user": name}), "201")
	sms := rig.sent(number)[0]
	wantFields(t, started, fields{"channel": "sms"})
	if !strings.Contains(sms.Body, "es su clave para acceder") {
		t.Errorf("the SMS is %q", sms.Body)
	}
	code := firstWord(sms.Body)
	want(t, c.check(fields{"to": number, "code": code}), "404 not_found") // the code is for the user
	want(t, c.check(fields{"user": name, "code": code}), "200")
	looked := c.get(path)
	if verified, _ := looked.fields["verified"].(map[string]any); verified["phone"] != true {
		t.Errorf("after the approval: %s", looked.body)
	}
	want(t, c.with("If-Match", made.header.Get("ETag")).do("DELETE", path, "", ""), "412 precondition_failed")
	want(t, c.with("If-Match", looked.header.Get("ETag")).do("DELETE", path, "", ""), "204")
	want(t, c.get(path), "404 not_found")
	want(t, c.status(started.text("id")), "404 not_found")
}
