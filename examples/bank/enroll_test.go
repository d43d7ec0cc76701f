package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// api calls the service as the bank does, past the bank.
func (w *town) api(method, path, body string) map[string]any {
	w.TB.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.SetBasicAuth("bank", "secret")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	answer := httptest.NewRecorder()
	w.API.Handler().ServeHTTP(answer, req)
	var got map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || answer.Code > 299 {
		w.TB.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	return got
}

// addApp gives alice an authenticator app, and returns what shows its codes.
func (w *town) addApp(name string) (id string, code func() string) {
	w.TB.Helper()
	got := w.api(http.MethodPost, "/api/users/~YWxpY2U/totp", `{"name": "`+name+`"}`)
	code = func() string {
		w.TB.Helper()
		return codeOf(w.TB, got["secret"].(string), w.Now())
	}
	w.api(http.MethodPost, "/api/users/~YWxpY2U/totp/confirm", `{"code": "`+code()+`"}`)
	w.Advance(time.Minute) // this code was used
	return got["id"].(string), code
}

// totp is RFC 6238 with its defaults.
func totp(secret []byte, now time.Time) string {
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, now.Unix()/30)
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// addCodes gives alice recovery codes.
func (w *town) addCodes() (codes []string) {
	w.TB.Helper()
	for _, code := range w.api(http.MethodPost, "/api/users/~YWxpY2U/recovery-codes", "")["codes"].([]any) {
		codes = append(codes, code.(string))
	}
	return codes
}

var (
	hiddenFields = `"[^>]*><input type="hidden" name="t" value="([^"]*)"><input type="hidden" name="once" value="([^"]*)">`
	key          = regexp.MustCompile(`<p class="key"><bdi dir="ltr">([A-Z2-7 ]+)</bdi>`)
)

// press sends a form of the service's page.
func (c *customer) press(name string, fields ...string) *customer {
	c.TB.Helper()
	m := regexp.MustCompile(`action="(/verify/(?:check|enroll)/` + name + `)` + hiddenFields).FindStringSubmatch(c.body)
	if m == nil {
		c.TB.Fatalf("no form %s at %s:\n%s", name, c.at, c.body)
	}
	return c.post(c.service+m[1], append([]string{"t", m[2], "once", m[3]}, fields...)...)
}

// addsAnApp adds the first app of the user, whose page the customer has before them.
func (c *customer) addsAnApp(name string) *customer {
	c.TB.Helper()
	c.press("begin")
	m := key.FindStringSubmatch(c.body)
	if m == nil {
		c.TB.Fatalf("no key at %s:\n%s", c.at, c.body)
	}
	return c.press("app", "code", codeOf(c.TB, m[1], c.Now()), "name", name)
}

// codeOf is the code that an app with this key shows.
func codeOf(t testing.TB, key string, now time.Time) string {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(key, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return totp(secret, now)
}

// saves ends the page, and returns the address to which that goes on.
func (c *customer) saves() *url.URL {
	c.TB.Helper()
	c.press("save")
	return c.goesOn()
}

// ended is the address with which the browser comes back to the security page if the person
// did not save.
func (c *customer) ended(reason string) string {
	session := c.bank.sessions.get(c.cookie(sessionCookie)).enroll
	return "/security/done?" + url.Values{"session": {session}, "error": {reason}}.Encode()
}
