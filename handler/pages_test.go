package handler_test

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/receipt"
)

// withPublicURL returns a rig of a service that signs receipts.
func withPublicURL(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	signer := receipt.New(r.Keys, "https://twofa.example.com", r.Now)
	r.Verify.Receipts, r.API.Pages.Receipts = signer, signer
	return r
}

// Apps and proxies may keep the public keys, for as long as a receipt is valid. Nobody
// needs a key or credentials to read them.
func TestTheKeySetIsPublic(t *testing.T) {
	t.Parallel()
	r := withPublicURL(t).withClients(entry("a", "send"))
	for _, path := range []string{"/verify/jwks", "/Verify/JWKS/"} {
		res := r.get(path).want(200)
		wantEqual(t, "Cache-Control", res.header.Get("Cache-Control"), "public, max-age=300")
		wantEqual(t, "Content-Type", res.header.Get("Content-Type"), "application/json")
		if !strings.HasPrefix(res.body, `{"keys":[{"crv":"P-256","kty":"EC"`) || strings.Contains(res.body, `"d"`) {
			t.Errorf("%s: %s", path, res.body)
		}
	}
	wantEqual(t, "the operation", r.lastLine()["operation"], any("keys"))
	r.do("HEAD", "/verify/jwks", "", "").want(200)
	r.post("/verify/jwks", "{}").problem(405, problem.MethodNotAllowed)
}

func TestWithoutAPublicURLThereAreNoKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	res := r.get("/verify/jwks")
	res.problem(404, problem.NotFound)
	if !strings.Contains(res.text("detail"), "TWOFA_PUBLIC_URL") || res.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the answer does not name the setting, or may be kept: %v %s", res.header, res.body)
	}
}

// Below verify/ nothing but the key set is there.
func TestOtherPagesAreNotFound(t *testing.T) {
	t.Parallel()
	r := withPublicURL(t)
	for _, path := range []string{"/verify", "/verify/", "/verify/code", "/verify/jwks/x", "/verify/start/code", "/verify/jwks.json"} {
		r.get(path).problem(404, problem.NotFound)
	}
}

// A receipt is asked for in JSON and in a form.
func TestAReceiptOverHTTP(t *testing.T) {
	t.Parallel()
	r := withPublicURL(t).noPause()
	for name, check := range map[string]func(id, code string) *response{
		"JSON": func(id, code string) *response {
			return r.post("/api/otpverify", `{"id": "`+id+`", "code": "`+code+`", "receipt": true}`)
		},
		"a form": func(id, code string) *response {
			return r.postForm("/api/otpverify", form("id", id, "code", code, "receipt", "true"))
		},
		"JSON, no": func(id, code string) *response {
			return r.post("/api/otpverify", `{"id": "`+id+`", "code": "`+code+`", "receipt": false}`)
		},
		"JSON, null": func(id, code string) *response {
			return r.post("/api/otpverify", `{"id": "`+id+`", "code": "`+code+`", "receipt": null}`)
		},
		"a form, no": func(id, code string) *response {
			return r.postForm("/api/otpverify", form("id", id, "code", code, "receipt", "false"))
		},
		"a form, none": func(id, code string) *response {
			return r.postForm("/api/otpverify", form("id", id, "code", code, "receipt", ""))
		},
	} {
		r.Advance(11 * time.Minute)
		id, code := r.start(alice)
		for _, wrong := range []string{`1`, `"yes"`, `{}`, `"TRUE"`} {
			r.post("/api/otpverify", `{"id": "`+id+`", "code": "`+code+`", "receipt": `+wrong+`}`).problem(400, problem.InvalidRequest)
		}
		if got, want := strings.Count(check(id, code).want(200).text("receipt"), "."), 2; (got == want) == strings.Contains(name, ", n") {
			t.Errorf("%s: a text with %d dots", name, got)
		}
	}
}
