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
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// withFactors makes a rig with the user alice.
func withFactors(t *testing.T) *rig {
	t.Helper()
	r := newRig(t).noPause()
	r.put("/api/users/alice", object("phone", alice)).want(201)
	return r
}

// shows returns what an app with this URI shows now.
func (r *rig) shows(uri string) string {
	r.TB.Helper()
	key, err := pquerna.NewKeyFromURL(uri)
	if err != nil {
		r.TB.Fatal(err)
	}
	code, err := pquernatotp.GenerateCodeCustom(key.Secret(), r.Now(), pquernatotp.ValidateOpts{
		Period: uint(key.Period()), Digits: key.Digits(), Algorithm: key.Algorithm(),
	})
	if err != nil {
		r.TB.Fatal(err)
	}
	return code
}

// enrolled enrolls and confirms an app of alice.
func (r *rig) enrolled(body string) *response {
	r.TB.Helper()
	e := r.post("/api/users/alice/totp", body).want(201)
	r.post("/api/users/alice/totp/confirm", object("code", r.shows(e.text("uri")))).want(200)
	return e
}

func (r *rig) checkFactor(factor, code string) *response {
	r.TB.Helper()
	return r.post("/api/otpverify", object("user", "alice", "factor", factor, "code", code))
}

// recoveryCodes makes a new set of codes.
func (r *rig) recoveryCodes() (codes []string) {
	r.TB.Helper()
	made := r.do("POST", "/api/users/alice/recovery-codes", "", "").want(201)
	list, _ := made.object()["codes"].([]any)
	for _, code := range list {
		text, _ := code.(string)
		codes = append(codes, text)
	}
	if len(codes) != 10 {
		r.TB.Fatalf("made %s", made.body)
	}
	return codes
}

func TestAnAuthenticatorAppOverHTTP(t *testing.T) {
	r := withFactors(t)
	const path = "/api/users/alice/totp"
	wantBody(t, r.get(path).want(200), `{"authenticators": []}`)
	r.Advance(300 * time.Millisecond) // answers are in whole seconds
	e := r.do("POST", path, "", "").want(201)
	id, secret := e.text("id"), e.text("secret")
	wantBody(t, e, `{"id": "*", "name": "Authenticator", "status": "pending", "algorithm": "SHA1", "digits": 6, "period": 30,
		"created_at": "2026-03-01T12:00:00Z", "expires_at": "2026-03-01T12:15:00Z", "secret": "*", "qr_png": "*", "qr_svg": "*",
		"uri": "otpauth://totp/Acme:alice?secret=`+secret+`&issuer=Acme&algorithm=SHA1&digits=6&period=30"}`)
	if len(secret) != 32 || !strings.HasPrefix(e.text("qr_png"), "data:image/png;base64,iVBOR") || !strings.HasPrefix(e.text("qr_svg"), "<svg ") {
		t.Errorf("answered %s", e.body)
	}
	pending := `{"id": "` + id + `", "name": "Authenticator", "status": "pending", "algorithm": "SHA1", "digits": 6, "period": 30, "created_at": "2026-03-01T12:00:00Z"}`
	wantBody(t, r.get(path).want(200), `{"authenticators": [`+pending+`]}`)
	r.checkFactor("totp", r.shows(e.text("uri"))).problem(404, problem.NotFound)

	r.Advance(time.Minute)
	code := r.shows(e.text("uri"))
	wantEqual(t, "checks_left", r.post(path+"/confirm", object("code", wrong(code))).problem(422, problem.WrongCode).number("checks_left"), 9)
	wantBody(t, r.post(path+"/confirm", object("code", code)).want(200), `{"id": "`+id+`", "name": "Authenticator", "status": "confirmed",
		"algorithm": "SHA1", "digits": 6, "period": 30, "created_at": "2026-03-01T12:00:00Z", "confirmed_at": "2026-03-01T12:01:00Z"}`)
	wantEqual(t, "authenticators", r.get("/api/users/alice").want(200).number("authenticators"), 1)

	r.checkFactor("totp", code).problem(422, problem.WrongCode) // the code that confirmed the app is spent
	r.Advance(time.Minute)
	wantBody(t, r.checkFactor("totp", r.shows(e.text("uri"))).want(200), `{"status": "approved", "factor": "totp", "user": "alice",
		"authenticator": {"id": "`+id+`", "name": "Authenticator"}, "approved_at": "2026-03-01T12:02:00Z"}`)
	if line := r.lastLine(); line["factor"] != "totp" || line["trips"] != 2.0 || line["outcome"] != "ok" || line["user"] == nil {
		t.Errorf("logged %v", line)
	}
	named := r.do("PATCH", path+"/"+id, typeJSON, object("name", "Zoë's 100% phone")).want(200)
	wantBody(t, named, `{"id": "`+id+`", "name": "Zoë's 100% phone", "status": "confirmed", "algorithm": "SHA1", "digits": 6, "period": 30,
		"created_at": "2026-03-01T12:00:00Z", "confirmed_at": "2026-03-01T12:01:00Z", "used_at": "2026-03-01T12:02:00Z"}`)
	r.do("PATCH", path+"/"+id, typeForm, form("name", "Phone")).want(200)

	wantNothing(t, r.delete(path+"/"+id))
	r.delete(path+"/"+id).problem(404, problem.NotFound)
	r.checkFactor("totp", r.shows(e.text("uri"))).problem(404, problem.NotFound)
	r.enrolled(`{}`)
	r.post(path, `{}`).want(201)
	r.delete(path+"/").problem(404, problem.NotFound) // an id that is missing by mistake must not delete all
	wantNothing(t, r.delete(path))
	wantBody(t, r.get("/API/Users/alice/totp").want(200), `{"authenticators": []}`)
}

// In JSON the options are numbers or texts; in forms they are texts.
func TestOptionsOfAnApp(t *testing.T) {
	r := withFactors(t)
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
					e := r.do("POST", "/api/users/alice/totp", contentType, body).want(201)
					if e.text("algorithm") != algorithm || strconv.Itoa(e.number("digits")) != digits || strconv.Itoa(e.number("period")) != period ||
						!strings.HasSuffix(e.text("uri"), "&algorithm="+algorithm+"&digits="+digits+"&period="+period) {
						t.Errorf("%s: %s", body, e.body)
					}
					code := r.shows(e.text("uri"))
					wantEqual(t, body+": digits of the app", strconv.Itoa(len(code)), digits)
					r.post("/api/users/alice/totp/confirm", object("code", code)).want(200)
					wantNothing(t, r.delete("/api/users/alice/totp"))
					r.Advance(24 * time.Hour) // a user has ten changes a day
				}
			}
		}
	}
}

func TestBadEnrolmentsOverHTTP(t *testing.T) {
	r := withFactors(t)
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
		got := r.post(path, body).problem(400, problem.InvalidRequest).fields()
		if slices.Sort(got); !slices.Equal(got, fields) {
			t.Errorf("%s: faults in %q, want %q", body, got, fields)
		}
	}
	r.do("POST", path, typeForm, "digits=").problem(400, problem.InvalidRequest).wantFields("digits")
	r.do("POST", path, "text/plain", "digits=6").problem(415, problem.UnsupportedMediaType)
	r.post(path, `[]`).problem(400, problem.InvalidRequest)
	r.do("POST", path+"/confirm", "", "").problem(400, problem.InvalidRequest)
	r.post(path+"/confirm", `{}`).problem(400, problem.InvalidRequest).wantFields("code")
	r.post(path+"/confirm", object("code", "123456")).problem(404, problem.NotFound)
	for _, nobody := range []string{"/api/users/bob/totp", "/api/users/bob/recovery-codes"} {
		r.do("POST", nobody, "", "").problem(404, problem.NotFound)
		r.get(nobody).problem(404, problem.NotFound)
	}
	r.delete("/api/users/bob/totp").problem(404, problem.NotFound)
	const id = "TA0123456789abcdef"
	for path, allow := range map[string]string{
		path: "DELETE, GET, HEAD, POST", path + "/" + id: "DELETE, PATCH", path + "/confirm": "POST", "/api/users/alice/recovery-codes": "GET, HEAD, POST",
	} {
		wantEqual(t, path, r.put(path, `{}`).problem(405, problem.MethodNotAllowed).header.Get("Allow"), allow)
	}
	r.do("PATCH", path+"/"+id, typeJSON, object("name", "x")).problem(404, problem.NotFound)
	r.do("PATCH", path+"/TA", typeJSON, object("name", "x")).problem(400, problem.InvalidRequest).wantFields("id")
	r.delete(path+"/confirm").problem(405, problem.MethodNotAllowed)
	r.delete(path+"/"+id+"/x").problem(404, problem.NotFound)
	wantBody(t, r.get(path).want(200), `{"authenticators": []}`)
}

// rfc6238 is appendix B of the RFC. Each secret is as long as its hash (erratum
// 2866).
var rfc6238 = map[string][]struct {
	at   int64
	code string
}{
	"SHA1":   {{59, "94287082"}, {1111111109, "07081804"}, {1111111111, "14050471"}, {1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"}},
	"SHA256": {{59, "46119246"}, {1111111109, "68084774"}, {1111111111, "67062674"}, {1234567890, "91819424"}, {2000000000, "90698825"}, {20000000000, "77737706"}},
	"SHA512": {{59, "90693936"}, {1111111109, "25091201"}, {1111111111, "99943326"}, {1234567890, "93441116"}, {2000000000, "38618901"}, {20000000000, "47863826"}},
}

// rfcSecret returns the secret of the RFCs, 12345678901234567890..., as an app has
// it.
func rfcSecret(bytes int) string {
	text := strings.Repeat("1234567890", 7)[:bytes]
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(text))
}

func TestAttack19_R9_VectorsOfRFC6238OverHTTP(t *testing.T) {
	r := withFactors(t)
	bytes := map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64}
	for i, first := range rfc6238["SHA1"] {
		r.Set(time.Unix(first.at, 0))
		for _, algorithm := range []string{"SHA1", "SHA256", "SHA512"} {
			v := rfc6238[algorithm][i]
			if i == 0 {
				uri := "otpauth://totp/RFC?digits=8&algorithm=" + algorithm + "&secret=" + rfcSecret(bytes[algorithm])
				r.post("/api/users/alice/totp", object("uri", uri, "name", algorithm)).want(201)
				r.post("/api/users/alice/totp/confirm", object("code", v.code)).want(200)
			} else if a := r.checkFactor("totp", v.code).want(200); !strings.Contains(a.body, `"name":"`+algorithm+`"`) {
				t.Errorf("at %d %s is approved for another app: %s", v.at, v.code, a.body)
			}
			r.checkFactor("totp", v.code).problem(422, problem.WrongCode)
		}
	}
}

// RFC 4226, appendix D. The step of time is the counter. The code of counter 0 is
// never accepted, because 0 is the last step of an app without a code so far.
func TestAttack19_R9_VectorsOfRFC4226OverHTTP(t *testing.T) {
	r := withFactors(t)
	for counter, code := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		r.Set(time.Unix(int64(30*counter), 0))
		switch counter {
		case 0:
			r.post("/api/users/alice/totp", object("uri", "otpauth://totp/RFC?secret="+rfcSecret(20))).want(201)
			r.post("/api/users/alice/totp/confirm", object("code", code)).problem(422, problem.WrongCode)
		case 1:
			r.post("/api/users/alice/totp/confirm", object("code", code)).want(200)
		default:
			r.checkFactor("totp", code).want(200)
		}
	}
}

// Attack 22, as a client sees it.
func TestAttack22_ALockedFactorTellsForHowLong(t *testing.T) {
	r := withFactors(t)
	uri := r.enrolled(`{"digits": 8}`).text("uri")
	codes := r.recoveryCodes()
	for factor, try := range map[string]string{"totp": wrong(r.shows(uri)), "recovery": "CANA-RYCA-NARY-CANA"} {
		for left := 9; left >= 0; left-- {
			wantEqual(t, factor+": checks_left", r.checkFactor(factor, try).problem(422, problem.WrongCode).number("checks_left"), left)
		}
	}
	r.Advance(time.Hour)
	for factor, try := range map[string]string{"totp": r.shows(uri), "recovery": codes[0]} {
		locked := r.checkFactor(factor, try).problem(429, problem.TooManyChecks)
		if locked.header.Get("Retry-After") != "82800" || locked.number("retry_after") != 82800 || locked.number("checks_left") != 0 {
			t.Errorf("%s: %v %s", factor, locked.header, locked.body)
		}
	}
	codes = r.recoveryCodes() // new codes do not unlock the factor
	r.checkFactor("recovery", codes[0]).problem(429, problem.TooManyChecks)
	r.post("/api/otpsend", object("user", "alice")).want(201)
	r.post("/api/otpverify", object("user", "alice", "code", r.sender.Last().Code)).want(200)
	r.Advance(23 * time.Hour)
	r.checkFactor("totp", r.shows(uri)).want(200)
	r.checkFactor("recovery", codes[0]).want(200)
}

// R8, as a client sees it.
func TestR8_RecoveryCodesOverHTTP(t *testing.T) {
	r := withFactors(t)
	const path = "/api/users/alice/recovery-codes"
	wantBody(t, r.get(path).want(200), `{"left": 0}`)
	r.checkFactor("recovery", "CANA-RYCA-NARY-CANA").problem(404, problem.NotFound)
	old := r.recoveryCodes()
	wantBody(t, r.get(path).want(200), `{"left": 10, "made_at": "2026-03-01T12:00:00Z"}`)
	r.checkFactor("recovery", old[0]).want(200)
	r.Advance(time.Minute)
	codes := r.recoveryCodes()
	for _, dead := range old {
		if slices.Contains(codes, dead) {
			t.Errorf("%s is in the new set", dead)
		}
	}
	r.checkFactor("recovery", old[1]).problem(422, problem.WrongCode)
	tag := r.get("/api/users/alice").header.Get("ETag")
	wantBody(t, r.checkFactor("recovery", strings.ToLower(strings.ReplaceAll(codes[9], "-", " "))).want(200),
		`{"status": "approved", "factor": "recovery", "user": "alice", "recovery_codes_left": 9, "alerted": true, "approved_at": "2026-03-01T12:01:00Z"}`)
	if m := r.sender.Last(); !m.Alert || !m.Recovered || m.CodesLeft != 9 || m.To != alice || m.Code != "" {
		t.Errorf("the message is %+v", m)
	}
	if line := r.lastLine(); line["factor"] != "recovery" || line["trips"] != 5.0 {
		t.Errorf("logged %v", line)
	}
	got := r.get("/api/users/alice")
	if got.number("recovery_codes_left") != 9 || got.header.Get("ETag") == tag {
		t.Errorf("ETag %s after %s: %s", got.header.Get("ETag"), tag, got.body)
	}
	wantBody(t, r.get(path).want(200), `{"left": 9, "made_at": "2026-03-01T12:01:00Z"}`)
	r.checkFactor("recovery", codes[9]).problem(422, problem.WrongCode)

	// A code is approved even if the message about it fails.
	r.sender.Always(&notify.Failure{Outcome: otp.OutcomeUndeliverable})
	wantBody(t, r.post("/api/otpverify", object("user", "alice", "code", codes[0])).want(200),
		`{"status": "approved", "factor": "recovery", "user": "alice", "recovery_codes_left": 8, "approved_at": "2026-03-01T12:01:00Z"}`)
	r.checkFactor("recovery", "123456").problem(400, problem.InvalidRequest).wantFields("code")
	r.post("/api/otpverify", object("user", "alice", "code", codes[1], "factor", "recovery", "purpose", "login")).problem(400, problem.InvalidRequest).wantFields("factor")
}
