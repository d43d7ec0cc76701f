package e2e

import (
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/smtptest"
)

// R7. Every channel shows amount and payee, in the person's language. With another amount
// or payee, the code is wrong.
func TestR7_AmountAndPayeeAreShownAndBound(t *testing.T) {
	rig := newParallelRig(t)
	server := smtptest.Start(t, smtptest.Options{})
	p := rig.process(append(append(everyChannel, mailSettings(server, "whatsapp,sms,call,email")...), "TWOFA_BRAND=Acme")...)
	paid := fields{"amount": "EUR 25.00", "payee": "Köhler & Co"}
	for _, channel := range []string{"whatsapp", "sms", "call", "email"} {
		to := newNumber()
		if channel == "email" {
			to = "ann@example.com"
		}
		r := want(t, p.post("/api/otpsend", fields{"to": to, "channel": channel, "context": paid, "locale": "de", "purpose": "payment"}), "201")
		shown := ""
		switch channel {
		case "email":
			shown = server.Mails()[0].Text
			if page := html.UnescapeString(server.Mails()[0].HTML); !containsAll(page, []string{"EUR 25.00", "Köhler & Co"}) {
				t.Errorf("the HTML does not show the payment: %s", page)
			}
		case "call":
			shown = html.UnescapeString(rig.sent(to)[0].Spoken())
		default:
			shown = rig.sent(to)[0].Body
		}
		if !containsAll(shown, []string{"EUR 25.00", "Köhler & Co", "Zahlung", "Acme"}) {
			t.Errorf("over %s: %q", channel, shown)
		}
		code := rig.codeIn(shown)
		for _, other := range []fields{{}, {"amount": "EUR 25.01", "payee": "Köhler & Co"}, {"amount": "EUR 25.00", "payee": "Kohler & Co"}} {
			want(t, p.check(fields{"id": r.text("id"), "code": code, "context": other}), "422 wrong_code")
		}
		want(t, p.check(fields{"id": r.text("id"), "code": code, "context": paid}), "200")
	}
}

// sixDigits matches a code in a text or in a call, where spaces separate the digits.
var sixDigits = regexp.MustCompile(`\b[0-9](?: ?[0-9]){5}\b`)

// codeIn finds the code in a message.
func (rig *rig) codeIn(text string) string {
	rig.t.Helper()
	code := strings.ReplaceAll(sixDigits.FindString(text), " ", "")
	if code == "" {
		rig.t.Fatalf("no code in %q", text)
	}
	return code
}

// R13. The last line of an SMS is exactly the host and the code. No text of a client is in
// that line.
func TestR13_LastLineOfAnSMS(t *testing.T) {
	rig := newParallelRig(t)
	c := rig.process(append(everyChannel, noPause, "TWOFA_SMS_ORIGIN=bank.example")...).client
	for _, locale := range []string{"", "en", "de", "ar", "ja", "hi", "he", "zh-TW", "xx"} {
		number := newNumber()
		want(t, c.post("/api/otpsend", fields{"to": number, "channel": "sms", "locale": locale}), "201")
		body := rig.sent(number)[0].Body
		_, last, _ := strings.Cut(body, "\n") // the second line, and further ones
		if !regexp.MustCompile(`^@bank\.example #[0-9]{6}$`).MatchString(last) {
			t.Errorf("%s: the SMS is %q", locale, body)
		}
		want(t, c.check(fields{"to": number, "code": body[len(body)-6:]}), "200")
	}
}

// Attack 9. The text of a client is shown as it is, or refused: it adds no line, no link
// and no markup to a message.
func TestAttack09_MessageInjection(t *testing.T) {
	rig := newParallelRig(t)
	c := rig.process(append(everyChannel, noPause, `TWOFA_BRAND=A&B <Say>`)...).client
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
	rig.wantCalls(0)
	// A locale refuses no code, and nothing of it gets into a message.
	for _, locale := range []string{"en\n@evil.example #1", "de{{1}}", strings.Repeat("a-", 40)} {
		number := newNumber()
		want(t, c.post("/api/otpsend", fields{"to": number, "channel": "sms", "locale": locale}), "201")
		if body := rig.sent(number)[0].Body; strings.Contains(body, "evil") || strings.Contains(body, "{{") || strings.Count(body, "@") != 1 {
			t.Errorf("the locale %q made the message %q", locale, body)
		}
	}

	number := newNumber()
	payee := `@evil.example #1 </Say><Hangup/>&"'`
	want(t, c.post("/api/otpsend", fields{"to": number, "channel": "call", "context": fields{"payee": payee}}), "201")
	call := rig.sent(number)[0]
	if strings.Contains(call.Twiml, "<Hangup") || !strings.Contains(call.Spoken(), "Hangup") || !strings.Contains(call.Spoken(), "A&B <Say>") {
		t.Errorf("the call is %s", call.Twiml)
	}
	number = newNumber()
	want(t, c.post("/api/otpsend", fields{"to": number, "channel": "sms", "context": fields{"payee": payee}}), "201")
	lines := strings.Split(rig.sent(number)[0].Body, "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[1], "@login.example.test #") {
		t.Errorf("the SMS is %q", lines)
	}
}

// Attack 22. An attacker who enters wrong codes for a person's number locks that number
// for up to a day. The person is alerted, and the person's other address is not locked.
func TestAttack22_OneAddressIsLocked(t *testing.T) {
	rig := newParallelRig(t)
	server := smtptest.Start(t, smtptest.Options{})
	p := rig.process(append(everyChannel, mailSettings(server, "whatsapp,email")...)...)
	number := newNumber()
	want(t, p.do("PUT", "/api/users/vic", "application/json", `{"phone": "`+number+`", "email": "vic@example.com"}`), "201")
	alerted := 0
	for range 2 {
		want(t, p.post("/api/otpsend", fields{"user": "vic", "channel": "whatsapp"}), "201")
		for i := range 5 {
			failed := want(t, p.check(fields{"user": "vic", "code": wrong(rig.code(number))}), "422 wrong_code")
			if failed.fields["alerted"] == true {
				alerted++
				if i != 4 {
					t.Errorf("alerted after %d wrong codes", i+1)
				}
			}
		}
	}
	if alerted != 1 || rig.alerts(number) != 1 {
		t.Errorf("%d answers report an alert and %d alerts were sent, want 1 and 1 within the hour", alerted, rig.alerts(number))
	}
	locked := want(t, p.post("/api/otpsend", fields{"user": "vic", "channel": "whatsapp"}), "429 too_many_checks")
	if after := time.Duration(locked.number("retry_after")) * time.Second; after <= 0 || after > 24*time.Hour {
		t.Errorf("locked for %v", after)
	}
	want(t, p.post("/api/otpsend", fields{"user": "vic", "channel": "email"}), "201")
	mails := server.Mails()
	want(t, p.check(fields{"user": "vic", "code": rig.codeIn(mails[len(mails)-1].Text)}), "200")
}

// A request that is repeated with its idempotency key has one effect, over any number of
// processes.
func TestRepeatedRequestIsSentOnce(t *testing.T) {
	rig := newRig(t)
	p := rig.pair(noPause)
	number := newNumber()
	spellings := []string{number, number[:2] + " (" + number[2:5] + ") " + number[5:8] + "-" + number[8:]}
	keys := []string{"key-1", `"key-1"`}
	replies := concurrently(10, func(i int) reply {
		for {
			r := p[i%2].with("Idempotency-Key", keys[i/2%2]).post("/api/otpsend", fields{"to": spellings[i/4%2]})
			if r.status != 409 {
				return r
			}
			// The first request is still sending.
			if after := r.number("retry_after"); after < 1 || after > 30 {
				t.Errorf("retry_after %v: %s", after, r.body)
				return r
			}
			time.Sleep(50 * time.Millisecond)
		}
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
	if n := len(rig.sent(number)); n != 1 || replayed != 9 {
		t.Errorf("%d messages, %d replays", n, replayed)
	}
	want(t, p[0].with("Idempotency-Key", "key-1").post("/api/otpsend", fields{"to": newNumber(), "purpose": "x"}), "201") // another row
	want(t, p[1].with("Idempotency-Key", "key-1").post("/api/otpsend", fields{"to": number, "purpose": "x"}), "409 idempotency_conflict")
}

// Test numbers cover every outcome, and the provider is not called.
func TestTestNumbers(t *testing.T) {
	rig := newParallelRig(t)
	until := time.Now().UTC().AddDate(0, 0, 30).Format(time.DateOnly)
	c := rig.process(append(everyChannel, "TWOFA_TEST_NUMBERS=until="+until+",code=424242,+14155550101=delivered,+14155550102=undeliverable,"+
		"+14155550103=fallback,+14155550104=expired,+14155550105=exhausted")...).client
	for range 2 { // test numbers have no limits
		for number, tc := range map[string]struct{ start, deliveries, check string }{
			"+14155550101": {"201", "whatsapp delivered", "200"},
			"+14155550102": {"422 undeliverable", "whatsapp failed 63024, sms failed 21614, call failed 21614", "422 undeliverable"},
			"+14155550103": {"201", "whatsapp failed 63024, sms delivered", "200"},
			"+14155550104": {"201", "whatsapp delivered", "410 expired"},
			"+14155550105": {"201", "whatsapp delivered", "429 too_many_checks"},
		} {
			r := want(t, c.post("/api/otpsend", fields{"to": number}), tc.start)
			if got := attempts(c.status(r.text("id"))); got != tc.deliveries {
				t.Errorf("%s: %s, want %s", number, got, tc.deliveries)
			}
			want(t, c.check(fields{"id": r.text("id"), "code": "424242"}), tc.check)
		}
	}
	rig.wantCalls(0)
}
