package handler_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

func TestUsersOverHTTP(t *testing.T) {
	r := newRig(t).noPause()
	made := r.put("/api/users/alice", `{"phone": "`+alice+`", "channels": ["sms", "whatsapp"], "locale": "de"}`).want(201)
	wantBody(t, made, `{"name": "alice", "phone": "+1******0123", "locale": "de", "channels": ["sms", "whatsapp"], "verified": {"phone": false}, "updated_at": "*"}`)
	tag := made.header.Get("ETag")
	wantEqual(t, "the length of "+tag, len(tag), 18)
	wantEqual(t, "ETag of the new user", r.get("/api/users/alice").want(200).header.Get("ETag"), tag)

	started := r.post("/api/otpsend", object("user", "alice")).want(201)
	if m := r.Sender(channel.SMS).Last(); started.text("channel") != "sms" || m.To != alice || m.Locale != "de" {
		t.Errorf("sent to %s over %s in %q", m.To, started.text("channel"), m.Locale)
	}
	r.post("/api/otpverify", object("user", "alice", "code", r.Sender(channel.SMS).Last().Code)).want(200)
	verified := r.get("/api/users/alice").want(200)
	if !strings.Contains(verified.body, `"verified":{"phone":true}`) || verified.header.Get("ETag") == tag {
		t.Errorf("after an approval: %s, ETag %s", verified.body, verified.header.Get("ETag"))
	}

	// A form with another number changes the user if its If-Match is current.
	r.do("PUT", "/api/users/alice", typeForm, form("phone", bob, "channels", "sms,whatsapp"), "If-Match", tag).problem(412, problem.PreconditionFailed)
	changed := r.do("PUT", "/API/Users/alice/", typeForm, form("phone", bob, "channels", "sms,whatsapp"), "If-Match", verified.header.Get("ETag")).want(200)
	if !strings.Contains(changed.body, `"verified":{"phone":false}`) {
		t.Errorf("the new number is verified already: %s", changed.body)
	}

	for _, bad := range []string{"", "0123456789abcdef", `W/"x`} {
		r.put("/api/users/alice", object("phone", alice), "If-Match", bad).problem(400, problem.InvalidRequest)
	}
	wantNothing(t, r.delete("/api/users/alice"))
	r.get("/api/users/alice").problem(404, problem.NotFound)
	wantEqual(t, "ETag without a user", r.get("/api/users/alice").header.Get("ETag"), "")
	r.do("POST", "/api/users/alice", typeJSON, `{}`).problem(405, problem.MethodNotAllowed)
}

// wantNothing wants 204, which has neither a body nor a Content-Type.
func wantNothing(t *testing.T, res *response) {
	t.Helper()
	if res.status != 204 || res.body != "" || res.header.Get("Content-Type") != "" || res.header.Get("X-Request-Id") == "" {
		t.Errorf("answered %d %v %q, want 204 and nothing", res.status, res.header, res.body)
	}
}

// tilde writes a name as ~ and base64url.
func tilde(name string) string { return "~" + base64.RawURLEncoding.EncodeToString([]byte(name)) }

// A name comes back as it was sent, in the same case, even if a path has to escape it.
func TestAUsersNameInAPath(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"Ümläut Straße", "a+b", "x@y.example", "日本語", "😀", "API", "a:b;c=d,e&f", "a?b", "#1", "a.b"} {
		path := "/api/users/" + url.PathEscape(name)
		wantEqual(t, "the registered name", r.put(path, object("phone", alice, "name", name)).want(201).text("name"), name)
		r.get(path).want(200)
		// Both forms name the same user.
		wantEqual(t, "the name of the ~ form", r.get("/api/users/"+tilde(name)).want(200).text("name"), name)
		r.get("/api/users/" + tilde(name) + "==").want(200)
	}
	rows := len(r.rows())
	for _, path := range []string{"/api/users/", "/api/users", "/api/users/a/b", "/api/users/..", "/api/users/a/../b"} {
		wantEqual(t, path, r.put(path, object("phone", alice)).status, 404)
	}
	for _, path := range []string{
		"a%2Fb", "a%252Fb", "%2e%2e", "%252e", "a%5Cb", ".hidden", "%2Ehidden", "100%25", "%7Ebob", // need the ~ form
		"%00", "%FF", "%20a", "a%20", // no names
		"~", "~Y", "~Yi9i!", "~YR", "~" + "YQ%20", "~YS9i+", tilde(""), tilde(" a"), tilde("\xff"), tilde(strings.Repeat("😀", 129)),
	} {
		r.put("/api/users/"+path, object("phone", alice)).problem(400, problem.InvalidRequest)
	}
	wantEqual(t, "rows", len(r.rows()), rows)
	if said := r.get("/api/users/bob%2Ftotp").problem(400, problem.InvalidRequest).body; !strings.Contains(said, tilde("bob/totp")) {
		t.Errorf("the answer does not show the ~ form: %s", said)
	}
}

// hardNames are names that some hosts change if they stand in a path as themselves.
var hardNames = []string{"bob/totp", "..", ".", ".x", "~x", "a%2Fb", `a\b`, "Zoë K.", "bob/totp/confirm", "?", "#", strings.Repeat("😀", 128)}

// A name that no path can hold is reached in its ~ form, and is never bob.
func TestAttack26_ANameThatNoPathCanHoldIsReachedInItsTildeForm(t *testing.T) {
	for _, name := range hardNames {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.put("/api/users/bob", object("phone", bob)).want(201)
			before := r.get("/api/users/bob").want(200).body
			path := "/api/users/" + tilde(name)
			wantEqual(t, "the registered name", r.put(path, object("phone", alice, "name", name)).want(201).text("name"), name)
			wantEqual(t, "the name that is read", r.get(path).want(200).text("name"), name)
			r.post(path+"/totp", "{}").want(201)
			r.post("/api/otpsend", object("user", name)).want(201)
			r.put(path, object("email", "zoe@example.com")).want(200)
			wantNothing(t, r.delete(path))
			r.get(path).problem(404, problem.NotFound)
			wantEqual(t, "bob", r.get("/api/users/bob").want(200).body, before)
		})
	}
}

// A host that does not know proxying posts a JSON envelope to the function's name. Its
// client has to learn what is wrong.
func TestAnOldHostIsToldToUpdate(t *testing.T) {
	r := newRig(t)
	for _, function := range []string{"otpsend", "otpverify", "users", "pages", "oidc", "hooks", "health"} {
		envelope := `{"Data": {"req": {"Url": "http://localhost:7071/api/otpsend", "Method": "POST", "Body": "{}"}}, "Metadata": {}}`
		var got struct {
			Outputs struct {
				Res struct {
					StatusCode int
					Headers    map[string]string
					Body       string
				}
			}
			Logs []string
		}
		if err := json.Unmarshal([]byte(r.post("/"+function, envelope).want(200).body), &got); err != nil {
			t.Fatal(err)
		}
		res := got.Outputs.Res
		if res.StatusCode != 501 || res.Headers["Content-Type"] != "application/problem+json" || !strings.Contains(res.Body, "Update Azure Functions Core Tools") || len(got.Logs) != 1 {
			t.Errorf("%s: %+v", function, got)
		}
		if !strings.Contains(r.log.String(), "too old") {
			t.Error("the log does not say that the host is too old")
		}
	}
	// A request that came through a route is no envelope.
	r.do("POST", "/otpsend", typeJSON, "{}", "x-ms-invocation-id", "1").problem(404, problem.NotFound)
}

// Some libraries look for metadata at several well-known paths, and take 404 alone for "not there"
// (Spring Security tries three). On its own and under the host, none of these is an error of ours.
func TestAnUnknownWellKnownPathIsNotFound(t *testing.T) {
	for name, r := range map[string]*rig{"under the host": newRig(t), "on its own": ownRig(t, ""), "with sign-in": withSignIn(t)} {
		for _, path := range []string{
			"/oidc/.well-known/oauth-authorization-server", "/oidc/.well-known/webfinger", "/oidc/.well-known/", "/oidc/.well-known", "/oidc/.well-known/..",
			"/oidc/.well-known/openid-configuration/oidc", "/oidc/.well-known/%2e%2e/token", "/oidc/.well-known/x%2Fy", "/oidc/..%2f.well-known/openid-configuration",
			"/.well-known/openid-configuration/oidc", "/.well-known/oauth-authorization-server/oidc", "/.well-known/openid-configuration",
		} {
			for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
				req := httptest.NewRequest(method, path, nil)
				req.Host = "localhost:7071"
				if got := r.serve(req); got.status != http.StatusNotFound {
					t.Errorf("%s: %s %s: %d", name, method, path, got.status)
				}
			}
		}
	}
}

func TestCallbacksOverHTTP(t *testing.T) {
	r := newRig(t)
	id, code := r.start(alice)
	r.provider.report = notify.Report{Verification: otp.ID(id), Attempt: 1, Status: otp.Delivered}

	r.do("POST", "/hooks/twilio/status", typeForm, "x=1").problem(403, problem.Forbidden)
	if got := r.get("/api/otpsend/" + id).body; !strings.Contains(got, `"status":"queued"`) {
		t.Errorf("an unsigned callback had an effect: %s", got)
	}
	wantNothing(t, r.do("POST", "/hooks/Twilio/Status", typeForm, "x=1", "Signed", "yes"))
	if got := r.get("/api/otpsend/" + id).body; !strings.Contains(got, `"status":"delivered"`) {
		t.Errorf("a signed callback had no effect: %s", got)
	}
	wantEqual(t, "the logged function", r.lastLine()["function"], any("otpsend"))
	r.get("/hooks/twilio/status").problem(405, problem.MethodNotAllowed)
	r.do("POST", "/hooks/twilio/other", typeForm, "x=1", "Signed", "yes").problem(404, problem.NotFound)

	r.provider.inbound = notify.Inbound{From: alice, Channel: channel.WhatsApp, Text: "NO"}
	r.do("POST", "/hooks/twilio/inbound", typeForm, "x=1").problem(403, problem.Forbidden)
	said := r.do("POST", "/hooks/twilio/inbound", typeForm, "x=1", "Signed", "yes")
	if said.status != 200 || said.header.Get("Content-Type") != "text/xml" || said.body != "<Response>Acme: thank you for letting us know. We've stopped this request, and the code no longer works.</Response>" {
		t.Errorf("answered %d %s %q", said.status, said.header.Get("Content-Type"), said.body)
	}
	r.check(id, code).problem(410, problem.Denied)
}

func TestIdempotencyKeyOverHTTP(t *testing.T) {
	r := newRig(t).noPause()
	send := func(key string) *response {
		return r.do("POST", "/api/otpsend", typeJSON, object("to", alice), "Idempotency-Key", key)
	}
	first := send("a-1").want(201)
	wantEqual(t, "Idempotency-Replayed of the first answer", first.header.Get("Idempotency-Replayed"), "")
	r.Advance(time.Minute)
	again := send("a-1").want(201)
	if again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" || r.Sent() != 1 {
		t.Errorf("%d messages; the repetition was answered %v\n%s, first\n%s", r.Sent(), again.header, again.body, first.body)
	}
	// The same fields as a form are the same request.
	form := r.postForm("/api/otpsend", form("to", alice), "Idempotency-Key", "a-1").want(201)
	wantEqual(t, "the answer to the form", form.body, first.body)
	if send("a-2").want(201); r.Sent() != 2 {
		t.Errorf("another key: %d messages, want 2", r.Sent())
	}
	for _, bad := range []string{"", "a b", "ä", "a,b", strings.Repeat("x", 65)} {
		send(bad).problem(400, problem.InvalidRequest)
	}
	req, err := http.NewRequest("POST", "/api/otpsend", strings.NewReader(object("to", alice)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {typeJSON}, "Idempotency-Key": {"a-1", "a-2"}}
	r.serve(req).problem(400, problem.InvalidRequest)
}
