package handler_test

import (
	"encoding/base32"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	pquernatotp "github.com/pquerna/otp/totp"

	"twofa/internal/notify"
	"twofa/internal/problem"
)

// withFactors is a service with the user alice.
func withFactors(t *testing.T) *service {
	t.Helper()
	s := newService(t, noPause)
	s.api.Users.Brand = "Acme"
	s.do("PUT", "/api/users/alice", typeJSON, object("phone", alice)).want(201)
	return s
}

// setClock sets the service's clock, centuries away too, which no Duration spans.
func (s *service) setClock(t time.Time) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.now = t
}

// shows is what an app shows that has scanned this URI.
func (s *service) shows(uri string) string {
	s.t.Helper()
	key, err := pquerna.NewKeyFromURL(uri)
	if err != nil {
		s.t.Fatal(err)
	}
	code, err := pquernatotp.GenerateCodeCustom(key.Secret(), s.clock.Now(), pquernatotp.ValidateOpts{
		Period: uint(key.Period()), Digits: key.Digits(), Algorithm: key.Algorithm(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}

// enrolled is alice's app, confirmed.
func (s *service) enrolled(body string) *response {
	s.t.Helper()
	e := s.post("/api/users/alice/totp", body).want(201)
	s.post("/api/users/alice/totp/confirm", object("code", s.shows(e.text("uri")))).want(200)
	return e
}

func (s *service) checkFactor(factor, code string) *response {
	s.t.Helper()
	return s.post("/api/otpverify", object("user", "alice", "factor", factor, "code", code))
}

// recoveryCodes makes a new set.
func (s *service) recoveryCodes() (codes []string) {
	s.t.Helper()
	made := s.do("POST", "/api/users/alice/recovery-codes", "", "").want(201)
	list, _ := made.object()["codes"].([]any)
	for _, code := range list {
		text, _ := code.(string)
		codes = append(codes, text)
	}
	if len(codes) != 10 {
		s.t.Fatalf("made %s", made.body)
	}
	return codes
}

func TestAnAuthenticatorAppOverHTTP(t *testing.T) {
	s := withFactors(t)
	const path = "/api/users/alice/totp"
	wantBody(t, s.do("GET", path, "", "").want(200), `{"authenticators": []}`)
	s.clock.advance(300 * time.Millisecond) // answers are in whole seconds
	e := s.do("POST", path, "", "").want(201)
	id, secret := e.text("id"), e.text("secret")
	wantBody(t, e, `{"id": "*", "name": "Authenticator", "status": "pending", "algorithm": "SHA1", "digits": 6, "period": 30,
		"created_at": "2026-03-01T12:00:00Z", "expires_at": "2026-03-01T12:15:00Z", "secret": "*", "qr_png": "*", "qr_svg": "*",
		"uri": "otpauth://totp/Acme:alice?secret=`+secret+`&issuer=Acme&algorithm=SHA1&digits=6&period=30"}`)
	if len(secret) != 32 || !strings.HasPrefix(e.text("qr_png"), "data:image/png;base64,iVBOR") || !strings.HasPrefix(e.text("qr_svg"), "<svg ") {
		t.Errorf("answered %s", e.body)
	}
	pending := `{"id": "` + id + `", "name": "Authenticator", "status": "pending", "algorithm": "SHA1", "digits": 6, "period": 30, "created_at": "2026-03-01T12:00:00Z"}`
	wantBody(t, s.do("GET", path, "", "").want(200), `{"authenticators": [`+pending+`]}`)
	s.checkFactor("totp", s.shows(e.text("uri"))).problem(404, problem.NotFound)

	s.clock.advance(time.Minute)
	code := s.shows(e.text("uri"))
	if refused := s.post(path+"/confirm", object("code", wrong(code))).problem(422, problem.WrongCode); refused.number("checks_left") != 9 {
		t.Errorf("refused as %s", refused.body)
	}
	wantBody(t, s.post(path+"/confirm", object("code", code)).want(200), `{"id": "`+id+`", "name": "Authenticator", "status": "confirmed",
		"algorithm": "SHA1", "digits": 6, "period": 30, "created_at": "2026-03-01T12:00:00Z", "confirmed_at": "2026-03-01T12:01:00Z"}`)
	if got := s.do("GET", "/api/users/alice", "", "").want(200).number("authenticators"); got != 1 {
		t.Errorf("the user has %d", got)
	}

	s.checkFactor("totp", code).problem(422, problem.WrongCode) // the one that confirmed is spent
	s.clock.advance(time.Minute)
	wantBody(t, s.checkFactor("totp", s.shows(e.text("uri"))).want(200), `{"status": "approved", "factor": "totp", "user": "alice",
		"authenticator": {"id": "`+id+`", "name": "Authenticator"}, "approved_at": "2026-03-01T12:02:00Z"}`)
	if line := s.lastLine(); line["factor"] != "totp" || line["storage_trips"] != 2.0 || line["outcome"] != "ok" || line["user"] == nil {
		t.Errorf("logged %v", line)
	}
	named := s.do("PATCH", path+"/"+id, typeJSON, object("name", "Zoë's 100% phone")).want(200)
	wantBody(t, named, `{"id": "`+id+`", "name": "Zoë's 100% phone", "status": "confirmed", "algorithm": "SHA1", "digits": 6, "period": 30,
		"created_at": "2026-03-01T12:00:00Z", "confirmed_at": "2026-03-01T12:01:00Z", "used_at": "2026-03-01T12:02:00Z"}`)
	s.do("PATCH", path+"/"+id, typeForm, form("name", "Phone")).want(200)

	wantNothing(t, s.do("DELETE", path+"/"+id, "", ""))
	s.do("DELETE", path+"/"+id, "", "").problem(404, problem.NotFound)
	s.checkFactor("totp", s.shows(e.text("uri"))).problem(404, problem.NotFound)
	s.enrolled(`{}`)
	s.post(path, `{}`).want(201)
	s.do("DELETE", path+"/", "", "").problem(404, problem.NotFound) // an id that is missing by mistake is not all
	wantNothing(t, s.do("DELETE", path, "", ""))
	wantBody(t, s.do("GET", "/API/Users/alice/totp", "", "").want(200), `{"authenticators": []}`)
}

// The options may be numbers and texts in JSON, and are texts in forms.
func TestOptionsOfAnApp(t *testing.T) {
	s := withFactors(t)
	for _, algorithm := range []string{"SHA1", "SHA256", "SHA512"} {
		for _, digits := range []string{"6", "8"} {
			for _, period := range []string{"30", "60"} {
				for _, body := range []string{
					`{"algorithm": "` + algorithm + `", "digits": ` + digits + `, "period": ` + period + `}`,
					object("algorithm", algorithm, "digits", digits, "period", period),
					form("algorithm", algorithm, "digits", digits, "period", period),
				} {
					contentType := typeJSON
					if body[0] != '{' {
						contentType = typeForm
					}
					e := s.do("POST", "/api/users/alice/totp", contentType, body).want(201)
					if e.text("algorithm") != algorithm || strconv.Itoa(e.number("digits")) != digits || strconv.Itoa(e.number("period")) != period ||
						!strings.HasSuffix(e.text("uri"), "&algorithm="+algorithm+"&digits="+digits+"&period="+period) {
						t.Errorf("%s: %s", body, e.body)
					}
					code := s.shows(e.text("uri"))
					if strconv.Itoa(len(code)) != digits {
						t.Errorf("%s: the app shows %s", body, code)
					}
					s.post("/api/users/alice/totp/confirm", object("code", code)).want(200)
					wantNothing(t, s.do("DELETE", "/api/users/alice/totp", "", ""))
				}
			}
		}
	}
}

func TestBadEnrolmentsOverHTTP(t *testing.T) {
	s := withFactors(t)
	const path = "/api/users/alice/totp"
	for body, fields := range map[string][]string{
		`{"digits": 7}`:                    {"digits"},
		`{"digits": "7"}`:                  {"digits"},
		`{"digits": 6.0}`:                  {"digits"},
		`{"digits": "six"}`:                {"digits"},
		`{"digits": [6]}`:                  {"digits"},
		`{"period": true}`:                 {"period"},
		`{"period": 99999999999999999999}`: {"period"},
		`{"digits": 7, "period": 31, "algorithm": "MD5", "issuer": "\u0007", "name": " "}`: {"algorithm", "digits", "issuer", "name", "period"},
		`{"secret": "x"}`: {"secret"},
		`{"uri": "x"}`:    {"uri"},
		`{"issuer": {}}`:  {"issuer"},
	} {
		got := s.post(path, body).problem(400, problem.InvalidRequest).fields()
		if slices.Sort(got); !slices.Equal(got, fields) {
			t.Errorf("%s: faults in %q, want %q", body, got, fields)
		}
	}
	s.do("POST", path, typeForm, "digits=").problem(400, problem.InvalidRequest).wantFields("digits")
	s.do("POST", path, "text/plain", "digits=6").problem(415, problem.UnsupportedMediaType)
	s.post(path, `[]`).problem(400, problem.InvalidRequest)
	s.do("POST", path+"/confirm", "", "").problem(400, problem.InvalidRequest)
	s.post(path+"/confirm", `{}`).problem(400, problem.InvalidRequest).wantFields("code")
	s.post(path+"/confirm", object("code", "123456")).problem(404, problem.NotFound)
	for _, nobody := range []string{"/api/users/bob/totp", "/api/users/bob/recovery-codes"} {
		s.do("POST", nobody, "", "").problem(404, problem.NotFound)
		s.do("GET", nobody, "", "").problem(404, problem.NotFound)
	}
	s.do("DELETE", "/api/users/bob/totp", "", "").problem(404, problem.NotFound)
	const id = "TA0123456789abcdef"
	for path, allow := range map[string]string{
		path: "DELETE, GET, HEAD, POST", path + "/" + id: "DELETE, PATCH", path + "/confirm": "POST", "/api/users/alice/recovery-codes": "GET, HEAD, POST",
	} {
		if res := s.do("PUT", path, typeJSON, `{}`).problem(405, problem.MethodNotAllowed); res.header.Get("Allow") != allow {
			t.Errorf("%s allows %s", path, res.header.Get("Allow"))
		}
	}
	s.do("PATCH", path+"/"+id, typeJSON, object("name", "x")).problem(404, problem.NotFound)
	s.do("PATCH", path+"/TA", typeJSON, object("name", "x")).problem(400, problem.InvalidRequest).wantFields("id")
	s.do("DELETE", path+"/confirm", "", "").problem(405, problem.MethodNotAllowed)
	s.do("DELETE", path+"/"+id+"/x", "", "").problem(404, problem.NotFound)
	wantBody(t, s.do("GET", path, "", "").want(200), `{"authenticators": []}`)
}

// RFC 6238, appendix B; each secret is as long as its hash (erratum 2866).
var rfc6238 = map[string][]struct {
	at   int64
	code string
}{
	"SHA1":   {{59, "94287082"}, {1111111109, "07081804"}, {1111111111, "14050471"}, {1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"}},
	"SHA256": {{59, "46119246"}, {1111111109, "68084774"}, {1111111111, "67062674"}, {1234567890, "91819424"}, {2000000000, "90698825"}, {20000000000, "77737706"}},
	"SHA512": {{59, "90693936"}, {1111111109, "25091201"}, {1111111111, "99943326"}, {1234567890, "93441116"}, {2000000000, "38618901"}, {20000000000, "47863826"}},
}

// rfcSecret is the RFCs' secret, 12345678901234567890..., as an app has it.
func rfcSecret(bytes int) string {
	text := strings.Repeat("1234567890", 7)[:bytes]
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(text))
}

func TestAttack19_R9_VectorsOfRFC6238OverHTTP(t *testing.T) {
	s := withFactors(t)
	bytes := map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64}
	for i, first := range rfc6238["SHA1"] {
		s.setClock(time.Unix(first.at, 0))
		for _, algorithm := range []string{"SHA1", "SHA256", "SHA512"} {
			v := rfc6238[algorithm][i]
			if i == 0 {
				uri := "otpauth://totp/RFC?digits=8&algorithm=" + algorithm + "&secret=" + rfcSecret(bytes[algorithm])
				s.post("/api/users/alice/totp", object("uri", uri, "name", algorithm)).want(201)
				s.post("/api/users/alice/totp/confirm", object("code", v.code)).want(200)
			} else if a := s.checkFactor("totp", v.code).want(200); !strings.Contains(a.body, `"name":"`+algorithm+`"`) {
				t.Errorf("at %d %s is taken for another app's: %s", v.at, v.code, a.body)
			}
			s.checkFactor("totp", v.code).problem(422, problem.WrongCode)
		}
	}
}

// RFC 4226, appendix D: a step of time is the counter. No code of counter 0 is
// ever accepted, as it is the last step of an app that has shown nothing yet.
func TestAttack19_R9_VectorsOfRFC4226OverHTTP(t *testing.T) {
	s := withFactors(t)
	for counter, code := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		s.setClock(time.Unix(int64(30*counter), 0))
		switch counter {
		case 0:
			s.post("/api/users/alice/totp", object("uri", "otpauth://totp/RFC?secret="+rfcSecret(20))).want(201)
			s.post("/api/users/alice/totp/confirm", object("code", code)).problem(422, problem.WrongCode)
		case 1:
			s.post("/api/users/alice/totp/confirm", object("code", code)).want(200)
		default:
			s.checkFactor("totp", code).want(200)
		}
	}
}

// Attack 22, and what a client is told of it.
func TestAttack22_ALockedFactorSaysUntilWhen(t *testing.T) {
	s := withFactors(t)
	uri := s.enrolled(`{"digits": 8}`).text("uri")
	codes := s.recoveryCodes()
	for factor, try := range map[string]string{"totp": wrong(s.shows(uri)), "recovery": "CANA-RYCA-NARY-CANA"} {
		for left := 9; left >= 0; left-- {
			if refused := s.checkFactor(factor, try).problem(422, problem.WrongCode); refused.number("checks_left") != left {
				t.Fatalf("%s: %s", factor, refused.body)
			}
		}
	}
	s.clock.advance(time.Hour)
	for factor, try := range map[string]string{"totp": s.shows(uri), "recovery": codes[0]} {
		locked := s.checkFactor(factor, try).problem(429, problem.TooManyChecks)
		if locked.header.Get("Retry-After") != "82800" || locked.number("retry_after") != 82800 || locked.number("checks_left") != 0 {
			t.Errorf("%s: %v %s", factor, locked.header, locked.body)
		}
	}
	codes = s.recoveryCodes() // is no way around it
	s.checkFactor("recovery", codes[0]).problem(429, problem.TooManyChecks)
	s.post("/api/otpsend", object("user", "alice")).want(201)
	s.post("/api/otpverify", object("user", "alice", "code", s.sender.last().Code)).want(200)
	s.clock.advance(23 * time.Hour)
	s.checkFactor("totp", s.shows(uri)).want(200)
	s.checkFactor("recovery", codes[0]).want(200)
}

// R8, as a client sees it.
func TestR8_RecoveryCodesOverHTTP(t *testing.T) {
	s := withFactors(t)
	const path = "/api/users/alice/recovery-codes"
	wantBody(t, s.do("GET", path, "", "").want(200), `{"left": 0}`)
	s.checkFactor("recovery", "CANA-RYCA-NARY-CANA").problem(404, problem.NotFound)
	old := s.recoveryCodes()
	wantBody(t, s.do("GET", path, "", "").want(200), `{"left": 10, "made_at": "2026-03-01T12:00:00Z"}`)
	s.checkFactor("recovery", old[0]).want(200)
	s.clock.advance(time.Minute)
	codes := s.recoveryCodes()
	for _, dead := range old {
		if slices.Contains(codes, dead) {
			t.Errorf("%s is in the new set, too", dead)
		}
	}
	s.checkFactor("recovery", old[1]).problem(422, problem.WrongCode)
	tag := s.do("GET", "/api/users/alice", "", "").header.Get("ETag")
	wantBody(t, s.checkFactor("recovery", strings.ToLower(strings.ReplaceAll(codes[9], "-", " "))).want(200),
		`{"status": "approved", "factor": "recovery", "user": "alice", "recovery_codes_left": 9, "alerted": true, "approved_at": "2026-03-01T12:01:00Z"}`)
	if m := s.sender.last(); !m.Alert || !m.Recovered || m.CodesLeft != 9 || m.To != alice || m.Code != "" {
		t.Errorf("told %+v", m)
	}
	if line := s.lastLine(); line["factor"] != "recovery" || line["storage_trips"] != 5.0 {
		t.Errorf("logged %v", line)
	}
	got := s.do("GET", "/api/users/alice", "", "")
	if got.number("recovery_codes_left") != 9 || got.header.Get("ETag") == tag {
		t.Errorf("ETag %s after %s: %s", got.header.Get("ETag"), tag, got.body)
	}
	wantBody(t, s.do("GET", path, "", "").want(200), `{"left": 9, "made_at": "2026-03-01T12:01:00Z"}`)
	s.checkFactor("recovery", codes[9]).problem(422, problem.WrongCode)

	// The approval stands where the message does not.
	s.sender.fail(&notify.Failure{Reason: notify.Undeliverable})
	wantBody(t, s.post("/api/otpverify", object("user", "alice", "code", codes[0])).want(200),
		`{"status": "approved", "factor": "recovery", "user": "alice", "recovery_codes_left": 8, "approved_at": "2026-03-01T12:01:00Z"}`)
	s.checkFactor("recovery", "123456").problem(400, problem.InvalidRequest).wantFields("code")
	s.post("/api/otpverify", object("user", "alice", "code", codes[1], "factor", "recovery", "purpose", "login")).problem(400, problem.InvalidRequest).wantFields("factor")
}
