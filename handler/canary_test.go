package handler_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
)

// disguises returns a secret in every form in which a log could carry it.
func disguises(secret string) []string {
	forms := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	// In base64 a text looks different at each of three offsets; only the
	// characters that do not hang on its neighbours are compared.
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

// Whoever looks for canaries has to see one.
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
			t.Errorf("%s: %q goes unseen", name, text)
		}
		if leak(strings.ReplaceAll(text, "0123", "0124"), "something else") != "" {
			t.Errorf("%s: seen where it is not", name)
		}
	}
}

// panicTable panics with what it was given.
type panicTable struct {
	store.Table
	with string
}

func (p panicTable) Update(context.Context, store.Key, func([]byte) (store.Row, error)) error {
	panic("panic over " + p.with)
}

func (p panicTable) Get(context.Context, store.Key) (store.Row, error) {
	panic(fmt.Errorf("panic over %s", p.with))
}

// Attack 21: none of what has to stay secret reaches the log, on any path; and
// no answer tells a code, or an address in full.
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
		typed    = "CANARY7351"
		locale   = "en-canary73"
	)
	// Ten letters and digits: six digits would be found in a time stamp some day.
	s := newService(t, noPause, func(p *otp.Policy) { p.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric} })
	secrets := []string{number, national, spelled, mail, token, bearer, amount, payee, ip, typed, locale, fixedSecret}
	raw, err := base64.StdEncoding.DecodeString(fixedSecret)
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, string(raw))

	var answers strings.Builder
	asked := 0
	ask := func(method, path, contentType, body string) *response {
		asked++
		res := s.do(method, path+"?code="+url.QueryEscape(token), contentType, body,
			"X-Functions-Key", token, "Authorization", "Bearer "+bearer, "Cookie", "session="+bearer, "X-Forwarded-For", ip,
			"User-Agent", mail, "Idempotency-Key", fmt.Sprint(mail, asked), "X-Azure-Functions-InvocationId", token)
		if res.status != 400 { // which names a field as the client did
			fmt.Fprintln(&answers, res.header, res.body)
		}
		return res
	}
	started := func(to string) string {
		return `{"to": "` + to + `", "client_ip": "` + ip + `", "locale": "` + locale + `", "context": {"amount": "` + amount + `", "payee": "` + payee + `"}}`
	}
	checked := func(id, code, payee string) string {
		return `{"id": "` + id + `", "code": "` + code + `", "context": {"amount": "` + amount + `", "payee": "` + payee + `"}}`
	}

	// The way that is meant.
	id := ask("POST", "/api/otpsend", typeJSON, started("+1 "+spelled)).want(201).text("id")
	code := s.sender.last().Code
	secrets = append(secrets, code)
	ask("POST", "/api/otpsend/"+id, "", "").want(200)
	ask("GET", "/api/otpsend/"+id, "", "").want(200)
	ask("POST", "/api/otpverify", typeJSON, checked(id, typed, payee)).problem(422, problem.WrongCode)
	ask("POST", "/api/otpverify", typeJSON, checked(id, code, "another")).problem(422, problem.WrongCode)
	ask("POST", "/api/otpverify", typeForm, form("to", number, "code", typed)).problem(422, problem.WrongCode)
	ask("POST", "/api/otpverify", typeJSON, checked(id, code, payee)).want(200)
	ask("POST", "/api/otpverify", typeJSON, checked(id, code, payee)).problem(409, problem.AlreadyUsed)
	ask("DELETE", "/api/otpsend/"+id, "", "").problem(409, problem.AlreadyUsed)
	ask("POST", "/purge", typeJSON, `{"Data": {}, "Metadata": {"canary": "`+mail+`"}}`).want(200)

	// Bad input that holds them, where they are not meant to be.
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
	ask("POST", "/purge", typeJSON, `{"Data": "`+mail+`"}`).problem(400, problem.InvalidRequest)

	// A provider that quotes what it was given, and one that panics with it.
	quote := func(m notify.Message) string { return fmt.Sprintf("POST /Messages: %+v %s", m, m.Code) }
	for name, answer := range map[string]func(m notify.Message) error{
		"raw error": func(m notify.Message) error { return fmt.Errorf("sdk: %s", quote(m)) },
		"error around a safe": func(m notify.Message) error {
			return fmt.Errorf("%s: %w", quote(m), &notify.Failure{Reason: notify.Refused})
		},
		"misconfigured": func(m notify.Message) error {
			return fmt.Errorf("%w: %s", &notify.Failure{Reason: notify.Misconfigured}, quote(m))
		},
		"panic":                func(m notify.Message) error { panic(quote(m)) },
		"panic of an error":    func(m notify.Message) error { panic(fmt.Errorf("sdk: %s", quote(m))) },
		"panic of the message": func(m notify.Message) error { panic(m) },
	} {
		s.clock.advance(11 * time.Minute)
		s.sender.answer = func(_ context.Context, m notify.Message) error { return answer(m) }
		if res := ask("POST", "/api/otpsend", typeJSON, started(number)); res.status < 400 {
			t.Fatalf("%s: %s", name, res.body)
		}
		secrets = append(secrets, s.sender.last().Code)
	}
	s.sender.answer = nil

	// A store that panics.
	s.table.Table = panicTable{s.table.Table, number + mail + code}
	ask("POST", "/api/otpsend", typeJSON, started(number)).problem(500, problem.Internal)
	ask("POST", "/api/otpverify", typeJSON, checked(id, code, payee)).problem(500, problem.Internal)
	ask("GET", "/api/otpsend/"+id, "", "").problem(500, problem.Internal)
	ask("POST", "/purge", typeJSON, "{}").problem(500, problem.Internal)

	log := s.log.String()
	if n := strings.Count(log, `"stack":`); n != 7 {
		t.Errorf("%d panics were logged with their place, want 7", n)
	}
	if !strings.Contains(log, "+1******0123") || !strings.Contains(log, `"country":"US"`) {
		t.Error("the log does not say what it may: the masked number and the country")
	}
	for _, secret := range secrets {
		if form := leak(log, secret); form != "" {
			at := strings.Index(log, form)
			t.Errorf("the log has %q as %q: …%s…", secret, form, log[max(0, at-200):min(len(log), at+200)])
		}
	}
	for _, secret := range []string{number, national, spelled, mail, token, bearer, amount, payee, ip, fixedSecret, code} {
		if form := leak(answers.String(), secret); form != "" {
			t.Errorf("an answer has %q as %q", secret, form)
		}
	}
}
