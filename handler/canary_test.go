package handler_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// disguises returns a secret in every form in which a log could carry it.
func disguises(secret string) []string {
	forms := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	// A text has three forms in base64, one for each offset. Only the characters
	// that do not depend on the neighbours of the text are compared.
	for offset := range 3 {
		padded := []byte(strings.Repeat("\x00", offset) + secret)
		first, last := (offset*8+5)/6, len(padded)*8/6
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			forms = append(forms, enc.EncodeToString(padded)[first:last])
		}
	}
	return forms
}

// leak returns the form in which a text has the secret, "" if it has none.
func leak(text, secret string) string {
	for _, form := range disguises(secret) {
		if strings.Contains(text, form) {
			return form
		}
	}
	return ""
}

func wantNoLeak(t *testing.T, what, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if form := leak(text, secret); form != "" {
			at := strings.Index(text, form)
			t.Errorf("%s has %q as %q: …%s…", what, secret, form, text[max(0, at-200):min(len(text), at+200)])
		}
	}
}

// leak has to find a canary in each of its forms.
func TestLeakSeesEveryDisguise(t *testing.T) {
	const canary = "+14155550123 & canary?"
	for name, text := range map[string]string{
		"raw":           "x" + canary + "x",
		"query":         "?a=" + url.QueryEscape(canary),
		"path":          "/a/" + url.PathEscape(canary),
		"hex":           hex.EncodeToString([]byte("x" + canary)),
		"base64 at 0":   base64.StdEncoding.EncodeToString([]byte(canary + "xyz")),
		"base64 at 1":   base64.StdEncoding.EncodeToString([]byte("x" + canary + "xyz")),
		"base64 at 2":   base64.URLEncoding.EncodeToString([]byte("xy" + canary + "xyz")),
		"basic auth":    "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+canary)),
		"JSON of it":    `{"to":"` + canary + `"}`,
		"inside a text": "https://api.test/" + url.PathEscape(canary) + "/Messages.json",
	} {
		if leak(text, canary) == "" {
			t.Errorf("%s: %q is not found", name, text)
		}
		if leak(strings.ReplaceAll(text, "0123", "0124"), "something else") != "" {
			t.Errorf("%s: found where it is not", name)
		}
	}
}

// Attack 21: no secret, code, address or other personal data reaches the log, on
// any path. No answer holds a code, or a whole address.
func TestNoSecretReachesTheLog(t *testing.T) {
	const (
		number   = alice
		national = "4155550123"
		spelled  = "(415) 555-0123"
		mail     = "canary-7351@mail.example.test"
		token    = "canary-function-key-b3J0aG9kb3g="
		bearer   = "canary-bearer-Zm9vYmFy"
		amount   = "EUR 7351.42"
		payee    = "Canary Payee 7351"
		ip       = "198.51.100.173"
		typed    = "CANARY7352"
		locale   = "en-canary73"
	)
	// Ten letters and digits: six digits may be part of a timestamp by chance.
	r := newRig(t).noPause()
	r.Policy(func(p *otp.Policy) { p.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric} })
	secrets := []string{number, national, spelled, mail, token, bearer, amount, payee, ip, typed, locale, fixture.Secret(1)}
	raw, err := base64.StdEncoding.DecodeString(fixture.Secret(1))
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, string(raw))

	var answers strings.Builder
	asked := 0
	ask := func(method, path, contentType, body string) *response {
		asked++
		res := r.do(method, path+"?code="+url.QueryEscape(token), contentType, body,
			"X-Functions-Key", token, "Authorization", "Bearer "+bearer, "Cookie", "session="+bearer, "X-Forwarded-For", ip,
			"User-Agent", mail, "Idempotency-Key", fmt.Sprint(mail, asked), "x-ms-invocation-id", token)
		if res.status != 400 { // a 400 repeats the names of fields
			// An approval repeats the context, to the client that gave it.
			approved := strings.Replace(res.body, `"purpose":"login","context":{"amount":"`+amount+`","payee":"`+payee+`"}`, "", 1)
			fmt.Fprintln(&answers, res.header, approved)
		}
		return res
	}
	started := func(to string) string {
		return `{"to": "` + to + `", "client_ip": "` + ip + `", "locale": "` + locale + `", "context": {"amount": "` + amount + `", "payee": "` + payee + `"}}`
	}
	checked := func(id, code, payee string) string {
		return `{"id": "` + id + `", "code": "` + code + `", "context": {"amount": "` + amount + `", "payee": "` + payee + `"}}`
	}

	// Valid requests.
	id := ask("POST", "/api/otpsend", typeJSON, started("+1 "+spelled)).want(201).text("id")
	code := r.sender.Last().Code
	secrets = append(secrets, code)
	ask("POST", "/api/otpsend/"+id, "", "").want(200)
	ask("GET", "/api/otpsend/"+id, "", "").want(200)
	ask("POST", "/api/otpverify", typeJSON, checked(id, typed, payee)).problem(422, problem.WrongCode)
	ask("POST", "/api/otpverify", typeJSON, checked(id, code, "another")).problem(422, problem.WrongCode)
	ask("POST", "/api/otpverify", typeForm, form("to", number, "code", typed)).problem(422, problem.WrongCode)
	ask("POST", "/api/otpverify", typeJSON, checked(id, code, payee)).want(200)
	ask("POST", "/api/otpverify", typeJSON, checked(id, code, payee)).problem(409, problem.AlreadyUsed)
	ask("DELETE", "/api/otpsend/"+id, "", "").problem(409, problem.AlreadyUsed)
	ask("POST", "/purge", typeJSON, `{"Data": {}, "Metadata": {"canary": "`+mail+`"}}`).problem(404, problem.NotFound)
	r.do("POST", "/purge", typeJSON, `{"Data": {}, "Metadata": {"canary": "`+mail+`"}}`).want(200)

	// Bad input that holds secrets in the wrong places.
	for _, path := range []string{"/api/otpsend", "/api/otpverify", "/api/otpsend/" + id} {
		for _, text := range []string{number, spelled, mail, code, payee} {
			for _, body := range []string{
				`{"to": "` + text + `", "code": "!` + text + `", "channel": "` + text + `"}`,
				`{"to": "` + text + `", "to": "` + text + `"}`, `{"context": "` + text + `"}`, `{"context": {"amount": ["` + text + `"]}}`,
				`{"to": "` + text, `"` + text + `"`, text, `{"code": ` + text + `}`, "{\"to\": \"" + text + "\xff\"}",
				`{"purpose": "` + text + `", "locale": "` + text + `!", "client_ip": "` + text + `", "id": "` + text + `"}`,
			} {
				for _, contentType := range []string{typeJSON, typeForm, text, ""} {
					if res := ask("POST", path, contentType, body); res.status < 400 {
						t.Fatalf("%s took %s", path, body)
					}
				}
			}
		}
	}
	for _, text := range []string{number, mail, code, token} {
		ask("GET", "/api/otpsend/"+url.PathEscape(text), "", "").problem(400, problem.InvalidRequest)
		ask("GET", "/"+url.PathEscape(text), "", "").problem(404, problem.NotFound)
		ask("POST", "/api//"+url.PathEscape(text), "", "").problem(404, problem.NotFound)
	}
	r.do("POST", "/purge", typeJSON, `{"Data": "`+mail+`"}`).problem(400, problem.InvalidRequest)

	// A provider that quotes the message, or panics with it.
	quote := func(m notify.Message) string { return fmt.Sprintf("POST /Messages: %+v %s", m, m.Code) }
	for name, answer := range map[string]func(m notify.Message) error{
		"raw error": func(m notify.Message) error { return fmt.Errorf("sdk: %s", quote(m)) },
		"error around a safe": func(m notify.Message) error {
			return fmt.Errorf("%s: %w", quote(m), &notify.Failure{Outcome: otp.OutcomeRefused})
		},
		"misconfigured": func(m notify.Message) error {
			return fmt.Errorf("%w: %s", &notify.Failure{Outcome: otp.OutcomeMisconfigured}, quote(m))
		},
		"panic":                func(m notify.Message) error { panic(quote(m)) },
		"panic of an error":    func(m notify.Message) error { panic(fmt.Errorf("sdk: %s", quote(m))) },
		"panic of the message": func(m notify.Message) error { panic(m) },
	} {
		r.Advance(11 * time.Minute)
		r.answer(func(_ context.Context, m notify.Message) error { return answer(m) })
		if res := ask("POST", "/api/otpsend", typeJSON, started(number)); res.status < 400 {
			t.Fatalf("%s: %s", name, res.body)
		}
		secrets = append(secrets, r.sender.Last().Code)
	}
	r.answer(nil)

	// A store that panics.
	r.panicStore(number + mail + code)
	ask("POST", "/api/otpsend", typeJSON, started(number)).problem(500, problem.Internal)
	ask("POST", "/api/otpverify", typeJSON, checked(id, code, payee)).problem(500, problem.Internal)
	ask("GET", "/api/otpsend/"+id, "", "").problem(500, problem.Internal)
	r.do("POST", "/purge", typeJSON, "{}").problem(500, problem.Internal)

	log := r.log.String()
	wantEqual(t, "panics with a stack in the log", strings.Count(log, `"stack":`), 7)
	if !strings.Contains(log, "+1******0123") || !strings.Contains(log, `"country":"US"`) {
		t.Error("the log does not have the masked number and the country")
	}
	wantNoLeak(t, "the log", log, secrets)
	wantNoLeak(t, "an answer", answers.String(), []string{number, national, spelled, mail, token, bearer, amount, payee, ip, fixture.Secret(1), code})
}

// A client that puts a code or a number into the name of a field may learn of it in the
// answer. The log gets names of the API only.
func TestNoMadeUpFieldNameReachesTheLog(t *testing.T) {
	t.Parallel()
	const canary = "canary7353field"
	r := withFactors(t)
	id, _ := r.start(bob)
	app := r.post("/api/users/alice/totp", `{}`).want(201).text("id")
	routes := []struct{ method, path string }{
		{"POST", "/api/otpsend"}, {"POST", "/api/otpsend/" + id}, {"POST", "/api/otpverify"},
		{"PUT", "/api/users/alice"}, {"POST", "/api/users/alice/totp"}, {"POST", "/api/users/alice/totp/confirm"},
		{"PATCH", "/api/users/alice/totp/" + app},
	}
	bodies := []string{
		`{"` + canary + `": "x"}`, `{"` + canary + `": 1}`, `{"` + canary + `": "x", "` + canary + `": "x"}`,
		`{"context": {"` + canary + `": "x"}}`, `{"context": {"amount": {"` + canary + `": "x"}}}`, `{"context.` + canary + `": "x"}`,
		`{"` + canary + `": {"` + canary + `": "x"}}`, `{"channels": [{"` + canary + `": "x"}]}`, `{"channels": {"` + canary + `": "x"}}`,
		`{"name.` + canary + `": "x"}`, `{"code` + canary + `": "x"}`, `{"` + strings.Repeat(canary, 9) + `": "x"}`,
		`{"to": {"` + canary + `": "x"}}`, `{"code": {"` + canary + `": "x"}}`, `{"name": {"` + canary + `": ["x"]}}`,
	}
	forms := []string{
		canary + "=x", canary + "=x&" + canary + "=x", "context." + canary + "=x", canary + "." + canary + "=x",
		canary + "=x&" + canary + "." + canary + "=x", "channels." + canary + "=x",
	}
	ask := func(method, path, contentType, body string) {
		r.do(method, path, contentType, body).problem(400, problem.InvalidRequest)
		line := r.lastLine()
		for name := range strings.SplitSeq(fmt.Sprint(line["fields"]), ",") {
			if !slices.Contains([]string{"?", "context", "channels", "to", "code", "name", "context.amount"}, name) {
				t.Errorf("%s %s of %s: logged fields %v", method, path, body, line["fields"])
			}
		}
	}
	for _, route := range routes {
		for _, body := range bodies {
			ask(route.method, route.path, typeJSON, body)
		}
		for _, body := range forms {
			ask(route.method, route.path, typeForm, body)
		}
	}
	wantNoLeak(t, "the log", r.log.String(), []string{canary})
}
