package handler_test

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// Every fault of a field is in the detail, too, for clients that show nothing else.
func TestTheDetailSaysWhatToMend(t *testing.T) {
	r := newRig(t)
	id, _ := r.start(alice)
	for _, tc := range []struct{ method, path, body, detail string }{
		{"POST", "/api/otpsend", `{}`, "to: Give to (a phone number or an e-mail address) or user."},
		{"POST", "/api/otpsend", `{"to": "1"}`, "to: a phone number must begin with + and the calling code, as in +14155550123."},
		{"POST", "/api/otpsend", `{"to": "` + alice + `", "purpose": "!"}`, "purpose: A purpose is 1 to 32 characters of a-z, 0-9, _ and -."},
		{"POST", "/api/otpverify", `{}`, "code: The code is missing. id: Give the id of the verification, or to or user, and purpose, as at the start."},
		{"POST", "/api/otpverify", `{"id": "` + id + `", "code": "48291"}`, "code: The code has 6 digits; this has 5 digits. No try was spent."},
		{"POST", "/api/otpverify", `{"id": "` + id + `", "code": "pay 123456, 654321"}`, "code: The code has 6 digits, and this text has more than one such part. Give the code alone. No try was spent."},
		{"POST", "/api/otpverify", `{"id": "VE", "code": "482913"}`, "id: "},
		{"PUT", "/api/users/alice", `{"phone": "1", "email": "x"}`, "email: "},
		{"POST", "/api/otpsend/" + id, `{"channel": "fax"}`, "channel: "},
		{"POST", "/api/otpsend", `{"too": "x"}`, "too: "},
	} {
		res := r.do(tc.method, tc.path, typeJSON, tc.body).problem(400, problem.InvalidRequest)
		detail := res.text("detail")
		if !strings.Contains(detail, tc.detail) || strings.Contains(detail, "See errors") {
			t.Errorf("%s: detail %q, want %q", tc.body, detail, tc.detail)
		}
		for _, f := range res.fields() {
			if !strings.Contains(detail, f+": ") {
				t.Errorf("%s: detail %q does not name %s", tc.body, detail, f)
			}
		}
	}
}

// A code out of a message that was replaced is marked.
func TestAReplacedCodeIsMarked(t *testing.T) {
	r := newRig(t).noPause()
	_, old := r.start(alice)
	id, code := r.start(alice)
	res := r.check(id, old).problem(422, problem.WrongCode)
	if !strings.Contains(res.body, `"replaced":true`) || !strings.Contains(res.text("detail"), "newer code") || res.number("checks_left") != 4 {
		t.Errorf("%s", res.body)
	}
	if res := r.check(id, wrong(code)).problem(422, problem.WrongCode); strings.Contains(res.body, "replaced") {
		t.Errorf("%s", res.body)
	}
}

// What was sealed with a secret that is gone is answered with that reason.
func TestARowOfAnotherSecretIsAnsweredWithTheReason(t *testing.T) {
	r := newRig(t)
	r.Rotate(fixture.Secret(2, 1))
	id, code := r.start(alice)
	r.Rotate(fixture.Secret(3, 1)) // the same index, without the secret that sealed the row
	for name, res := range map[string]*response{
		"look up": r.do("GET", "/api/otpsend/"+id, "", ""),
		"check":   r.check(id, code),
		"start":   r.post("/api/otpsend", object("to", alice)),
		"resend":  r.do("POST", "/api/otpsend/"+id, "", ""),
		"cancel":  r.do("DELETE", "/api/otpsend/"+id, "", ""),
	} {
		detail := res.problem(500, problem.Internal).text("detail")
		if !strings.Contains(detail, "sealed with a secret that is not in TWOFA_SECRET") || !strings.Contains(detail, "request id") {
			t.Errorf("%s: %q", name, detail)
		}
	}
}

// A store that was filled under another secret finds nothing: the answer says why.
func TestAForeignStoreSaysWhyNothingIsFound(t *testing.T) {
	const because = "sealed with a secret that is not in TWOFA_SECRET"
	for _, isForeign := range []bool{true, false} {
		r := newRig(t, func(p *app.Parts) { p.Foreign = isForeign })
		id, code := r.start(alice)
		r.Advance(time.Second)
		for name, res := range map[string]*response{
			"user":  r.do("GET", "/api/users/alice", "", ""),
			"check": r.post("/api/otpverify", object("to", bob, "code", "482913")),
			"app":   r.do("GET", "/api/users/alice/totp", "", ""),
			"id":    r.do("GET", "/api/otpsend/VE0123456789abcdef0123456789abcdef", "", ""),
			"start": r.post("/api/otpsend", object("user", "alice")),
		} {
			if detail := res.problem(404, problem.NotFound).text("detail"); strings.Contains(detail, because) != isForeign {
				t.Errorf("%s: %q", name, detail)
			}
		}
		if res := r.do("GET", "/api/nothing", "", "").problem(404, problem.NotFound); strings.Contains(res.body, because) {
			t.Errorf("a path that does not exist: %s", res.body)
		}
		r.check(id, code).want(200)
	}
}
