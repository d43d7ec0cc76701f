package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/twiliotest"
)

// traces returns the texts by which a secret shows: as it is, URL-encoded, in
// hexadecimal, and in base64 at any place of a longer text.
func traces(secret string) []string {
	all := []string{secret, strings.ToLower(secret), strings.ToUpper(secret), url.QueryEscape(secret), url.PathEscape(secret),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret)))}
	for before := range 3 {
		// Without the characters at both ends that also depend on the neighbors.
		text := make([]byte, before, before+len(secret))
		text = append(text, secret...)
		from, to := (before*8+5)/6, len(text)*8/6
		all = append(all,
			base64.RawStdEncoding.EncodeToString(text)[from:to],
			base64.RawURLEncoding.EncodeToString(text)[from:to])
	}
	return all
}

// leaks returns the names of the secrets of which the text has a trace.
func leaks(text string, secrets map[string]string) []string {
	var names []string
	for name, secret := range secrets {
		for _, trace := range traces(secret) {
			if strings.Contains(text, trace) {
				names = append(names, name+" as "+trace)
				break
			}
		}
	}
	return names
}

// The search finds the traces of a secret. Without that, the tests of leaks could not
// fail.
func TestSearchFindsLeaks(t *testing.T) {
	const secret = "+14155550123/K=?"
	for name, text := range map[string]string{
		"raw":         `{"to":"` + secret + `"}`,
		"query":       "/api?to=" + url.QueryEscape(secret) + "&x",
		"path":        "/api/" + url.PathEscape(secret) + "/x",
		"hexadecimal": "x" + hex.EncodeToString([]byte("a"+secret+"b")),
		"base64":      base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 at 1": base64.StdEncoding.EncodeToString([]byte("a" + secret + "b")),
		"base64 at 2": base64.URLEncoding.EncodeToString([]byte("ab" + secret + "cd")),
		"base64 at 5": base64.RawURLEncoding.EncodeToString([]byte("hello" + secret + "world")),
	} {
		if len(leaks(text, map[string]string{"it": secret})) == 0 {
			t.Errorf("%s: not found in %s", name, text)
		}
	}
	if found := leaks("+1******0123 and other text", map[string]string{"it": secret}); len(found) > 0 {
		t.Errorf("found %v in a text without the secret", found)
	}
}

// Attack 21, and R10. No secret of a person or of the operator is in the output, even at
// the most detailed log level and after every kind of failure.
func TestAttack21_R10_LogCanaries(t *testing.T) {
	rig := newParallelRig(t)
	proxy := rig.proxy()
	h, c := rig.host(nil, noPause, longCodes, letters, "TWOFA_LOG_LEVEL=debug", "TWOFA_MAX_SENDS=100",
		"TWOFA_COUNTRIES=US", proxy.setting,
		"TWILIO_API_KEY="+twiliotest.APIKey, "TWILIO_API_SECRET="+twiliotest.APISecret)
	_, accountKey, _ := strings.Cut(rig.storage, "AccountKey=")
	accountKey, _, _ = strings.Cut(accountKey, ";")
	functionKey := h.Keys().Functions["otpsend"]
	number := newNumber()
	const payee, foreign, typed, agent = "Canary Bakery", "+447400123456", "4815162342", "canary-agent"
	secrets := map[string]string{
		"the number": number[1:], "its national part": number[2:], "the number as typed": typedNumber(number), "a refused number": foreign[1:],
		"the secret": rig.secret, "Twilio's token": twiliotest.AuthToken, "Twilio's API secret": twiliotest.APISecret,
		"the storage key": accountKey, "the function key": functionKey, "the host key": h.Keys().Host,
		"the payee": payee, "a wrong code": typed, "the user agent": agent,
	}
	var answers strings.Builder
	reached := make(map[string]bool)
	seen := func(r reply) reply {
		answers.WriteString(r.body)
		for name, values := range r.header {
			answers.WriteString(name + ": " + strings.Join(values, " ") + "\n")
		}
		reached[r.String()] = true
		return r
	}

	// Good requests, with keys in the header and in the query.
	c = c.with("User-Agent", agent)
	started := want(t, seen(c.post("/api/otpsend", fields{"to": typedNumber(number), "context": fields{"amount": "EUR 1.00", "payee": payee}, "client_ip": "203.0.113.9"})), "201")
	id, code := started.text("id"), rig.code(number)
	secrets["the code"] = code
	seen(c.without("X-Functions-Key").do("POST", "/api/otpsend/"+id+"?code="+functionKey, "", ""))
	seen(c.status(id))
	seen(c.status(id + "?to=" + url.QueryEscape(number) + "&code2=" + code))
	// One bad request for each kind of refusal.
	check := func(body fields) { seen(c.check(body)) }
	check(fields{"id": id, "code": typed})
	check(fields{"id": id, "code": code, "context": fields{"payee": payee}})
	check(fields{"id": code, "code": number})
	check(fields{"to": number, "code": code, "purpose": code})
	check(fields{"to": number, typed: number})
	check(fields{"to": foreign, "code": code})
	check(fields{"to": []string{number}, "code": code})
	for _, text := range []string{
		`{"code": "` + code + `", "code": "` + number + `"}`, `{"` + typed + `": `, typed, `{"code": ` + typed + `}`, `"` + number + "\xff", `{"to": "` + number + `"} ` + code,
	} {
		seen(c.do("POST", "/api/otpverify", "application/json", text))
		seen(c.do("POST", "/api/otpsend", "application/json", text))
		seen(c.do("POST", "/api/otpsend", "application/x-www-form-urlencoded", text))
		seen(c.do("POST", "/api/otpsend", "text/"+code, text))
	}
	seen(c.do("POST", "/api/otpsend", "application/json", `{"to": "`+number+strings.Repeat(" ", 17<<10)+`"}`))
	seen(c.do("PUT", "/api/otpsend/"+url.PathEscape(number), "", ""))
	seen(c.get("/api/otpsend/" + url.PathEscape(code+number)))
	seen(c.post("/api/otpsend", fields{"to": number, "purpose": number, "channel": code, "locale": number, "client_ip": number}))
	seen(c.post("/api/otpsend", fields{"to": foreign}))
	// Errors of the provider, which quote the request, and of the network.
	for _, r := range []twiliotest.Reply{
		twiliotest.Refuse(500, 20500), twiliotest.Refuse(401, 20003), twiliotest.Refuse(400, 21211), twiliotest.Refuse(400, 63003), twiliotest.Drop(),
		twiliotest.Raw(400, `{"code": `+typed+`, "message": "`+number+`"}`), twiliotest.Raw(200, number),
	} {
		rig.twilio.For(number, r)
		seen(c.post("/api/otpsend", fields{"to": number, "purpose": "other"}))
	}
	// Errors of storage, which contain URLs and keys.
	for _, name := range []string{"no connection at all", "503 to all writes", "412 to all writes", "writes are forbidden", "empty rows"} {
		proxy.set(storageFaults[name].faults())
		check(fields{"id": id, "code": typed, "context": fields{"payee": payee}})
		seen(c.post("/api/otpsend", fields{"to": number, "purpose": "third"}))
		_ = h.FireTimer(timeLimit(t), "purge", functionshost.Timer{})
	}
	proxy.set(nil)
	want(t, seen(c.check(fields{"id": id, "code": code, "context": fields{"amount": "EUR 1.00", "payee": payee}})), "200")
	want(t, seen(c.check(fields{"id": id, "code": code})), "409 already_used")
	seen(c.do("DELETE", "/api/otpsend/"+id, "", ""))
	rig.twilio.For(number, twiliotest.Accept())
	last := seen(c.post("/api/otpsend", fields{"to": number, "purpose": "last"}))
	secrets["the last code"] = rig.code(number)
	want(t, seen(c.do("DELETE", "/api/otpsend/"+last.text("id"), "", "")), "200")
	for range 6 {
		check(fields{"to": number, "purpose": "last", "code": typed})
	}

	for _, answer := range []string{
		"200", "201", "400 invalid_request", "403 destination_refused", "404 not_found", "405 method_not_allowed", "409 already_used", "410 canceled",
		"413 payload_too_large", "415 unsupported_media_type", "422 undeliverable", "422 wrong_code",
		"502 provider_misconfigured", "502 provider_unavailable", "503 storage_unavailable",
	} {
		if !reached[answer] {
			t.Errorf("no request was answered with %s, so this path is not tested", answer)
		}
	}
	awaitLine(t, h, `"status":410`)
	mustNotLeak(t, "the output", handlerOutput(t, h, 50), secrets)
	delete(secrets, "a wrong code") // a problem names the unknown field
	// The approval repeats the context, once, to the client that gave it.
	told := strings.Replace(answers.String(), `"context":{"amount":"EUR 1.00","payee":"`+payee+`"}`, "", 1)
	mustNotLeak(t, "an answer", told, secrets)
}

// mustNotLeak fails the test if a line of the text has a trace of a secret.
func mustNotLeak(t *testing.T, what, text string, secrets map[string]string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if found := leaks(line, secrets); len(found) > 0 {
			t.Errorf("%s has %q: %s", what, found, line)
		}
	}
}

// typedNumber writes a US number as people type it.
func typedNumber(number string) string {
	return number[:2] + " (" + number[2:5] + ") " + number[5:8] + "-" + number[8:]
}
