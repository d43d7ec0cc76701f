package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/twiliotest"
)

// someID is an id that no verification has.
const someID = "VE0123456789abcdef0123456789abcdef"

// documented is every path of the service's documentation, by function and route.
var documented = map[string][]struct{ method, path, body, answer string }{
	"otpsend api/otpsend/{id:regex(^[^.])?}": {
		{"POST", "/api/otpsend", "{}", "400 invalid_request"},
		{"POST", "/api/otpsend/", "{}", "400 invalid_request"},
		{"POST", "/API/OtpSend", "{}", "400 invalid_request"},
		{"POST", "/api/otpsend/" + someID, "", "404 not_found"},
		{"GET", "/api/otpsend/" + someID, "", "404 not_found"},
		{"GET", "/Api/OTPSEND/" + someID, "", "404 not_found"},
		{"DELETE", "/api/otpsend/" + someID, "", "404 not_found"},
		{"PUT", "/api/otpsend/" + someID, "{}", "405 method_not_allowed"},
		{"GET", "/api/otpsend", "", "405 method_not_allowed"},
	},
	"otpverify api/otpverify": {
		{"POST", "/api/otpverify", "{}", "400 invalid_request"},
		{"POST", "/api/OTPverify", "{}", "400 invalid_request"},
		{"GET", "/api/otpverify", "", "405 method_not_allowed"},
	},
	"users api/users/{name:regex(^[^.])?}/{part:regex(^[^.])?}/{item:regex(^[^.])?}": {
		{"PUT", "/api/users/nobody", "{}", "400 invalid_request"},
		{"PUT", "/API/Users/nobody/", "{}", "400 invalid_request"},
		{"GET", "/api/users/nobody", "", "404 not_found"},
		{"GET", "/api/users/no%20body", "", "404 not_found"},
		{"DELETE", "/api/users/nobody", "", "404 not_found"},
		{"POST", "/api/users/nobody", "{}", "405 method_not_allowed"},
		{"GET", "/api/users/~bm9ib2R5", "", "404 not_found"},
		{"GET", "/api/users/~Li4vb3Rwc2VuZA", "", "404 not_found"},
		{"GET", "/api/users/nobody/totp", "", "404 not_found"},
		{"POST", "/api/users/nobody/totp", "", "404 not_found"},
		{"DELETE", "/api/users/nobody/totp", "", "404 not_found"},
		{"POST", "/api/users/nobody/totp/confirm", `{"code": "123456"}`, "404 not_found"},
		{"PATCH", "/api/users/nobody/totp/TA0123456789abcdef", `{"name": "x"}`, "404 not_found"},
		{"DELETE", "/api/users/nobody/totp/TA0123456789abcdef", "", "404 not_found"},
		{"GET", "/api/users/nobody/recovery-codes", "", "404 not_found"},
		{"POST", "/api/users/nobody/recovery-codes", "", "404 not_found"},
	},
	"health health": {
		{"GET", "/health", "", "200"},
		{"GET", "/Health/", "", "200"},
	},
	"pages verify/{page:alpha}/{step:alpha?}": {
		{"GET", "/verify/openapi", "", "200"},
		{"GET", "/verify/docs", "", "200"},
		{"GET", "/Verify/Docs/", "", "200"},
		{"GET", "/verify/jwks", "", "404 not_found"}, // there is no TWOFA_PUBLIC_URL
		{"GET", "/Verify/JWKS/", "", "404 not_found"},
		{"POST", "/verify/jwks", "{}", "405 method_not_allowed"},
	},
	"oidc oidc/{a:regex(^([^.]|[.]well-known$))}/{b:regex(^([^.]|[.]well-known$))?}/{c:regex(^([^.]|[.]well-known$))?}": {
		{"GET", "/oidc/.well-known/openid-configuration", "", "200"},
		{"GET", "/oidc/jwks", "", "200"},
		{"GET", "/OIDC/Authorize", "", "400"},
		{"POST", "/oidc/token", "{}", "400"},
		{"POST", "/oidc/end-session/confirm", "{}", "400"},
		{"GET", "/oidc/account", "", "403"},
		{"POST", "/oidc/signin/send", "{}", "400"},
	},
	"hooks hooks/{provider:alpha}/{kind:alpha}": {
		{"POST", "/hooks/twilio/status", "{}", "404 not_found"}, // callbacks are off
		{"POST", "/hooks/twilio/inbound", "{}", "404 not_found"},
		{"POST", "/Hooks/Twilio/Status/", "{}", "404 not_found"},
	},
}

// The routes of the host and of the handler are the same: each documented request gets
// through both, and no function is missing in this test.
func TestRoutesOfHostAndHandlerAgree(t *testing.T) {
	var routes []string
	files, err := filepath.Glob("../*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text := readFile(t, file)
		var function struct {
			Bindings []struct{ Type, Route string }
		}
		if err := json.Unmarshal(text, &function); err != nil {
			t.Fatal(err)
		}
		if b := function.Bindings[0]; b.Type == "httpTrigger" {
			routes = append(routes, filepath.Base(filepath.Dir(file))+" "+b.Route)
		}
	}
	slices.Sort(routes)
	if here := slices.Sorted(maps.Keys(documented)); !slices.Equal(routes, here) {
		t.Fatalf("the functions' routes are %q, this test has %q", routes, here)
	}

	rig := newRig(t)
	signsIn := newPublicParty("spa", `"redirect_uris": ["https://app.example/callback"]`)
	for _, reverse := range []bool{false, true} {
		reversed := func(o *functionshost.Options) { o.ReverseRoutes = reverse }
		_, plain := rig.host(reversed)
		_, idp := rig.host(reversed, "TWOFA_PUBLIC_URL=https://twofa.example", "TWOFA_CLIENTS=["+signsIn.entry+"]")
		for function, requests := range documented {
			c := plain
			if strings.HasPrefix(function, "oidc ") {
				c = idp
			}
			for _, r := range requests {
				t.Run(fmt.Sprintf("%s %s, reverse %t", r.method, r.path[1:], reverse), func(t *testing.T) {
					answer := want(t, c.do(r.method, r.path, "application/json", r.body), r.answer)
					// A 404 of the host has no request id. A 404 of the handler says "no such path".
					if answer.header.Get("X-Request-Id") == "" || strings.Contains(answer.text("detail"), "no such path") {
						t.Errorf("%s did not get the request: %s", function, answer.body)
					}
				})
			}
		}
		for _, path := range []string{"/", "/api", "/api/otpverify/x", "/api/otpsend/x/y", "/purge", "/otpsend"} {
			if r := plain.do("POST", path, "application/json", "{}"); r.status != 404 || r.header.Get("X-Request-Id") != "" {
				t.Errorf("%s is reachable: %v", path, r)
			}
		}
	}
}

func TestRoutesDoNotOverlap(t *testing.T) {
	overlaps, err := functionshost.Overlaps("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(overlaps) > 0 {
		t.Errorf("routes overlap: %v", overlaps)
	}
}

// Without its key, a request does not get past the host.
func TestRequestsWithoutAKeyDoNotReachTheHandler(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil, noPause)
	number := newNumber()
	start := fields{"to": number}
	keyless := c.without("X-Functions-Key")
	for name, r := range map[string]reply{
		"no key":                   keyless.post("/api/otpsend", start),
		"no key to check":          keyless.check(fields{"to": number, "code": "123456"}),
		"no key to look up":        keyless.status(someID),
		"a wrong key":              c.with("X-Functions-Key", h.Keys().Host+"x").post("/api/otpsend", start),
		"another function's key":   c.with("X-Functions-Key", h.Keys().Functions["otpverify"]).post("/api/otpsend", start),
		"a wrong key in the query": keyless.post("/api/otpsend?code=x", start),
		"the wrong one of two":     c.with("X-Functions-Key", "x").post("/api/otpsend?code="+h.Keys().Host, start),
	} {
		if r.status != 401 || r.body != "" || r.err != nil {
			t.Errorf("%s: answered %v: %s, want 401 without a body", name, r, r.body)
		}
	}
	rig.wantRows(0)
	rig.wantCalls(0)

	// The key works in both places, and the handler's first line about a request is about
	// this one.
	opened := want(t, c.with("X-Functions-Key", h.Keys().Functions["otpsend"]).post("/api/otpsend", start), "201")
	want(t, keyless.post("/api/otpsend?code="+h.Keys().Host, start), "201")
	if line := awaitLine(t, h, `"msg":"request"`); !strings.Contains(line.Text, opened.header.Get("X-Request-Id")) {
		t.Errorf("the handler has got another request: %s", line.Text)
	}
}

// A body without a length arrives, as .NET and others send it.
func TestChunkedBodyArrives(t *testing.T) {
	rig := newParallelRig(t)
	_, c := rig.host(nil)
	number := newNumber()
	body := io.MultiReader(strings.NewReader(`{"to": "` + number + `"}`)) // a reader of unknown length
	id := want(t, c.send("POST", "/api/otpsend", "application/json", body), "201").text("id")
	body = io.MultiReader(strings.NewReader(`{"id": "` + id + `", "code": "` + rig.code(number) + `"}`))
	want(t, c.send("POST", "/api/otpverify", "application/json", body), "200")
}

// The main job, with the key of each function alone.
func TestEachFunctionByItsOwnKey(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil, noPause)
	by := func(function string) *client { return c.with("X-Functions-Key", h.Keys().Functions[function]) }
	send, verify, users := by("otpsend"), by("otpverify"), by("users")

	number := newNumber()
	id, code := rig.start(send, number)
	wantFields(t, want(t, verify.check(fields{"to": number, "code": wrong(code)}), "422 wrong_code"), fields{"checks_left": 4})
	wantFields(t, want(t, verify.check(fields{"to": number, "code": code}), "200"), fields{"id": id, "status": "approved"})
	want(t, verify.check(fields{"to": number, "code": code}), "409 already_used")
	register(t, users, "alice")
	uri := enroll(t, users, "alice")
	want(t, verify.check(fields{"user": "alice", "code": totpCode(t, uri, 1)}), "200")
	want(t, users.do("DELETE", userPath("alice"), "", ""), "204")

	for function, r := range map[string]reply{
		"otpsend":   users.post("/api/otpsend", fields{"to": number}),
		"otpverify": send.check(fields{"to": number, "code": code}),
		"users":     verify.get(userPath("alice")),
	} {
		if r.status != 401 || r.body != "" {
			t.Errorf("%s is opened by another function's key: %v", function, r)
		}
	}
}

func TestTimerPurges(t *testing.T) {
	rig := newParallelRig(t)
	h, _ := rig.host(nil)
	table := rig.table()
	const past, present store.Key = "00000000000000aa", "00000000000000bb"
	rig.putRow(present, time.Now().Add(time.Hour))
	for name, timer := range map[string]functionshost.Timer{
		"in time":    {},
		"no status":  {NoStatus: true},
		"no zone":    {Zoneless: true},
		"past due":   {PastDue: true},
		"everything": {NoStatus: true, Zoneless: true, PastDue: true},
	} {
		rig.putRow(past, time.Now().Add(-time.Second))
		if err := h.FireTimer(timeLimit(t), "purge", timer); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := table.Get(t.Context(), past); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: the expired row is still there (%v)", name, err)
		}
		if _, err := table.Get(t.Context(), present); err != nil {
			t.Errorf("%s: the other row: %v", name, err)
		}
	}
	removed := 0
	for _, e := range h.Logs() {
		if e.Stream == functionshost.Invocation && strings.Contains(e.Text, "removed 1 rows") {
			removed++
		}
	}
	if removed != 5 {
		t.Errorf("the host's log has %d removed rows, want 5", removed)
	}
}

// The host counts a run of the timer as failed if the purge failed.
func TestTimerFailsWithStorage(t *testing.T) {
	rig := newParallelRig(t)
	proxy := rig.proxy()
	h, _ := rig.host(nil, proxy.setting)
	rig.putRow("00000000000000aa", time.Now().Add(-time.Second))
	proxy.set(onAll(fault{lose: true, status: 503}))
	if err := h.FireTimer(timeLimit(t), "purge", functionshost.Timer{}); err == nil {
		t.Error("the run did not fail")
	}
	proxy.set(nil)
	if err := h.FireTimer(timeLimit(t), "purge", functionshost.Timer{}); err != nil {
		t.Errorf("the next run: %v", err)
	}
	rig.wantRows(0)
}

// The host logs stdout as information and stderr as errors.
func TestLogLevels(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil)
	id, code := rig.start(c, newNumber())
	want(t, c.check(fields{"id": id, "code": wrong(code)}), "422 wrong_code")
	awaitLine(t, h, `"function":"otpverify"`, `"outcome":"wrong_code"`)
	for _, e := range h.Logs() {
		if e.Stream == functionshost.Stderr || e.Stream == functionshost.Stdout && e.Level != functionshost.Information {
			t.Errorf("a run without errors writes to %s: %s", e.Stream, e.Text)
		}
	}
	awaitLine(t, h, `"msg":"request"`, `"function":"otpsend"`, `"request_id"`, `"outcome":"ok"`, `"channel":"whatsapp"`, `"country":"US"`, `"ms"`, `"trips":`)
}

// After exit code 0 the host does not start the handler again. So the handler must not
// exit with 0, not even by a signal.
func TestHostRestartsTheHandlerAfterSIGTERM(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil)
	want(t, c.status(someID), "404 not_found")
	if err := syscall.Kill(h.HandlerPID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the handler's end", func() bool { return len(h.Exits()) == 1 })
	if code := h.Exits()[0].Code; code == 0 {
		t.Error("the handler exits with 0, so the host does not start it again")
	}
	want(t, c.status(someID), "404 not_found")
}

// If the handler is killed, a request with a body that it was working on fails.
func TestKilledDuringARequest(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil, noPause)
	number := newNumber()
	rig.twilio.For(number, twiliotest.Hang())
	answer := inBackground(func() reply { return c.post("/api/otpsend", fields{"to": number}) })
	waitFor(t, "the call of the provider", func() bool { return rig.twilio.CallCount() == 1 })
	pid := h.HandlerPID()
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	want(t, <-answer, "500")
	if exits := h.Exits(); len(exits) != 1 || exits[0].Code != 137 {
		t.Errorf("the exits are %v, want one with 137", exits)
	}
	rig.twilio.For(number, twiliotest.Accept())
	id, code := rig.start(c, number)
	want(t, c.check(fields{"id": id, "code": code}), "200")
	if again := h.HandlerPID(); again == pid || again == 0 {
		t.Errorf("process %d answers, the killed one was %d", again, pid)
	}
}
