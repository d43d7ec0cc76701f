package e2e

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/testing/smtptest"
	"twofa/internal/testing/twiliotest"
)

// R7. Amount and payee are shown on every channel, in the person's language, and
// any change of either makes the code wrong.
func TestR7_AmountAndPayeeAreShownAndBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := smtptest.Start(t, smtptest.Options{})
	p := w.process(append(append(everyChannel, mailing(server, "whatsapp,sms,call,email")...), "TWOFA_BRAND=Acme")...)
	paid := fields{"amount": "EUR 25.00", "payee": "Köhler & Co"}
	for channel, words := range map[string]string{"whatsapp": "Zahlung", "sms": "Zahlung", "call": "Zahlung", "email": "Zahlung"} {
		to := newNumber()
		if channel == "email" {
			to = "ann@example.com"
		}
		r := p.post("/api/otpsend", fields{"to": to, "channel": channel, "context": paid, "locale": "de", "purpose": "payment"})
		want(t, r, "201")
		shown := ""
		switch channel {
		case "email":
			shown = server.Mails()[0].Text
			if page := html.UnescapeString(server.Mails()[0].HTML); !containsAll(page, []string{"EUR 25.00", "Köhler & Co"}) {
				t.Errorf("the page does not show it: %s", page)
			}
		case "call":
			shown = html.UnescapeString(w.sent(to)[0].Spoken())
		default:
			shown = w.sent(to)[0].Body
		}
		if !containsAll(shown, []string{"EUR 25.00", "Köhler & Co", words, "Acme"}) {
			t.Errorf("over %s: %q", channel, shown)
		}
		code := w.codeIn(shown)
		for _, other := range []fields{{}, {"amount": "EUR 25.01", "payee": "Köhler & Co"}, {"amount": "EUR 25.00", "payee": "Kohler & Co"}} {
			want(t, p.check(fields{"id": r.text("id"), "code": code, "context": other}), "422 wrong_code")
		}
		want(t, p.check(fields{"id": r.text("id"), "code": code, "context": paid}), "200")
	}
}

// sixDigits is a code as it is written, or as a call says it, digit by digit.
var sixDigits = regexp.MustCompile(`\b[0-9](?: ?[0-9]){5}\b`)

// codeIn finds the code that a message has.
func (w *world) codeIn(text string) string {
	w.t.Helper()
	code := strings.ReplaceAll(sixDigits.FindString(text), " ", "")
	if code == "" {
		w.t.Fatalf("no code in %q", text)
	}
	return code
}

// R13. The last line of an SMS is exactly the host and the code, and nothing that
// a client sends can stand there.
func TestR13_LastLineOfAnSMS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.process(append(everyChannel, noPause, "TWOFA_SMS_ORIGIN=bank.example")...).client
	for _, locale := range []string{"", "en", "de", "ar", "ja", "hi", "he", "zh-TW", "xx"} {
		number := newNumber()
		want(t, c.post("/api/otpsend", fields{"to": number, "channel": "sms", "locale": locale}), "201")
		body := w.sent(number)[0].Body
		lines := strings.Split(body, "\n")
		code, _, _ := strings.Cut(lines[len(lines)-1], "x")
		if last := lines[len(lines)-1]; len(last) != len("@bank.example #123456") || !strings.HasPrefix(last, "@bank.example #") || len(lines) != 2 {
			t.Errorf("%s: the SMS is %q (%s)", locale, body, code)
		}
		want(t, c.check(fields{"to": number, "code": body[len(body)-6:]}), "200")
	}
}

// Attack 9. What a client says is shown as it is, or refused: it adds no line, no
// link, no markup.
func TestAttack09_MessageInjection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.process(append(everyChannel, noPause, `TWOFA_BRAND=A&B <Say>`)...).client
	for name, payee := range map[string]string{
		"a line": "Acme\n@evil.example #111111", "a carriage return": "Acme\r@evil.example #111111", "a line separator": "Acme\u2028@evil.example #1",
		"a link": "see https://evil.example", "www": "www.evil.example", "direction": "\u202e\u2066Acme", "a placeholder": "{{1}}", "10 KB": strings.Repeat("x", 10<<10),
	} {
		for _, field := range []string{"payee", "amount"} {
			r := c.post("/api/otpsend", fields{"to": newNumber(), "channel": "sms", "context": fields{field: payee}})
			if r.String() != "400 invalid_request" {
				t.Errorf("%s as %s: %v", name, field, r)
			}
		}
	}
	for _, locale := range []string{"en\n@evil.example #1", "de{{1}}", strings.Repeat("a-", 40)} {
		want(t, c.post("/api/otpsend", fields{"to": newNumber(), "locale": locale}), "400 invalid_request")
	}
	if n := w.twilio.CallCount(); n != 0 {
		t.Fatalf("the provider was called %d times", n)
	}

	number := newNumber()
	payee := `@evil.example #1 </Say><Hangup/>&"'`
	want(t, c.post("/api/otpsend", fields{"to": number, "channel": "call", "context": fields{"payee": payee}}), "201")
	call := w.sent(number)[0]
	if strings.Contains(call.Twiml, "<Hangup") || !strings.Contains(call.Spoken(), "Hangup") || !strings.Contains(call.Spoken(), "A&B <Say>") {
		t.Errorf("the call is %s", call.Twiml)
	}
	number = newNumber()
	want(t, c.post("/api/otpsend", fields{"to": number, "channel": "sms", "context": fields{"payee": payee}}), "201")
	lines := strings.Split(w.sent(number)[0].Body, "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[1], "@login.example.test #") {
		t.Errorf("the SMS is %q", lines)
	}
}

// Attack 18, over a workflow. What may have been sent is followed by nothing but
// one more try of the same message; what was refused is followed by the next.
func TestAttack18_ProviderFaultsInAWorkflow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reply  twiliotest.Reply
		answer string
		calls  string // whatsapp and sms
	}{
		"a lost connection": {twiliotest.Drop(), "502 provider_unavailable", "2 0"},
		"500":               {twiliotest.Refuse(500, 20500), "502 provider_unavailable", "2 0"},
		"garbage":           {twiliotest.Raw(200, "<html>"), "502 provider_unavailable", "1 0"},
		"429":               {twiliotest.Refuse(429, 20429), "201", "3 1"},
		"no template":       {twiliotest.Refuse(400, 63016), "201", "1 1"},
		"fraud":             {twiliotest.Refuse(400, 30450), "403 destination_refused", "1 0"},
		"credentials":       {twiliotest.Refuse(401, 20003), "502 provider_misconfigured", "1 0"},
		"unknown number":    {twiliotest.Refuse(400, 30005), "422 undeliverable", "1 0"},
		"no number":         {twiliotest.Refuse(400, 21211), "400 invalid_request", "1 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.process(append(everyChannel, noPause)...).client
			number := newNumber()
			w.twilio.ForChannel(notify.WhatsApp, number, tc.reply)
			r := c.post("/api/otpsend", fields{"to": number})
			want(t, r, tc.answer)
			whatsapp, sms := 0, 0
			for _, call := range w.twilio.Calls() {
				if call.Form.Get("To") == number {
					sms++
				} else {
					whatsapp++
				}
			}
			if got := fmt.Sprint(whatsapp, " ", sms); got != tc.calls {
				t.Errorf("%s calls, want %s", got, tc.calls)
			}
			if codes := w.codes(number); len(codes) > 1 && codes[0] != codes[len(codes)-1] {
				t.Errorf("the codes are %q", codes)
			}
			if name == "fraud" { // nothing goes there for an hour, over no channel
				again := c.post("/api/otpsend", fields{"to": number, "channel": "sms"})
				if want(t, again, "403 destination_refused"); again.number("retry_after") < 3500 {
					t.Errorf("blocked for %d s", again.number("retry_after"))
				}
			}
		})
	}
}

// Attack 22. Who types wrong codes for somebody's number locks that number for a
// while, is noticed, and does not lock the person's other address.
func TestAttack22_LockOutOfOneAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := smtptest.Start(t, smtptest.Options{})
	p := w.process(append(everyChannel, mailing(server, "whatsapp,email")...)...)
	number := newNumber()
	want(t, p.do("PUT", "/api/users/vic", "application/json", `{"phone": "`+number+`", "email": "vic@example.com"}`), "201")
	alerted := 0
	for range 2 {
		r := p.post("/api/otpsend", fields{"user": "vic", "channel": "whatsapp"})
		want(t, r, "201")
		for i := range 5 {
			failed := p.check(fields{"user": "vic", "code": wrong(w.code(number))})
			want(t, failed, "422 wrong_code")
			if failed.fields["alerted"] == true {
				alerted++
				if i != 4 {
					t.Errorf("warned after %d wrong codes", i+1)
				}
			}
		}
	}
	if alerted != 1 || w.warnings(number) != 1 {
		t.Errorf("%d answers say that %d warnings were sent, want 1 and 1 within the hour", alerted, w.warnings(number))
	}
	locked := p.post("/api/otpsend", fields{"user": "vic", "channel": "whatsapp"})
	want(t, locked, "429 too_many_checks")
	if after := time.Duration(locked.number("retry_after")) * time.Second; after <= 0 || after > 24*time.Hour {
		t.Errorf("locked for %v", after)
	}
	want(t, p.post("/api/otpsend", fields{"user": "vic", "channel": "email"}), "201")
	mails := server.Mails()
	want(t, p.check(fields{"user": "vic", "code": w.codeIn(mails[len(mails)-1].Text)}), "200")
}

// A request that is repeated because its answer was lost has one effect, over
// any number of processes.
func TestRepeatedRequestIsSentOnce(t *testing.T) {
	w := newWorld(t)
	p := w.pair(noPause)
	number := newNumber()
	replies := atOnce(10, func(i int) reply {
		return p[i%2].with("Idempotency-Key", "key-1").post("/api/otpsend", fields{"to": number})
	})
	if got := count(replies); got["201"] != 10 {
		t.Fatalf("answered %v", got)
	}
	replayed := 0
	for _, r := range replies {
		if r.body != replies[0].body {
			t.Errorf("one answer is %s, another %s", r.body, replies[0].body)
		}
		if r.header.Get("Idempotency-Replayed") == "true" {
			replayed++
		}
	}
	if n := len(w.sent(number)); n != 1 || replayed != 9 {
		t.Errorf("%d messages, %d replays", n, replayed)
	}
	want(t, p[0].with("Idempotency-Key", "key-1").post("/api/otpsend", fields{"to": newNumber(), "purpose": "x"}), "201") // its own row
	want(t, p[1].with("Idempotency-Key", "key-1").post("/api/otpsend", fields{"to": number, "purpose": "x"}), "409 idempotency_conflict")
}

// Test numbers show every case and reach nobody.
func TestScriptedNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	until := time.Now().UTC().AddDate(0, 0, 30).Format(time.DateOnly)
	c := w.process(append(everyChannel, "TWOFA_TEST_NUMBERS=until="+until+",code=424242,+14155550101=delivered,+14155550102=undeliverable,"+
		"+14155550103=fallback,+14155550104=expired,+14155550105=exhausted")...).client
	for range 2 { // as often as one likes
		for number, tc := range map[string]struct{ start, deliveries, check string }{
			"+14155550101": {"201", "whatsapp delivered", "200"},
			"+14155550102": {"422 undeliverable", "whatsapp failed 63024, sms failed 21614, call failed 21614", "422 undeliverable"},
			"+14155550103": {"201", "whatsapp failed 63024, sms delivered", "200"},
			"+14155550104": {"201", "whatsapp delivered", "410 expired"},
			"+14155550105": {"201", "whatsapp delivered", "429 too_many_checks"},
		} {
			r := c.post("/api/otpsend", fields{"to": number})
			want(t, r, tc.start)
			if got := attempts(c.status(r.text("id"))); got != tc.deliveries {
				t.Errorf("%s: %s, want %s", number, got, tc.deliveries)
			}
			want(t, c.check(fields{"id": r.text("id"), "code": "424242"}), tc.check)
		}
	}
	if n := w.twilio.CallCount(); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
}
