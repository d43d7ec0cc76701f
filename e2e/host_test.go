package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
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

// paths is every path of the service's documentation, by function and route.
// The id is one that no verification has.
const someID = "VE0123456789abcdef0123456789abcdef"

var documented = map[string][]struct{ method, path, body, answer string }{
	"otpsend api/otpsend/{id?}": {
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
	"users api/users/{*path}": {
		{"PUT", "/api/users/nobody", "{}", "400 invalid_request"},
		{"PUT", "/API/Users/nobody/", "{}", "400 invalid_request"},
		{"GET", "/api/users/nobody", "", "404 not_found"},
		{"GET", "/api/users/no%20body", "", "404 not_found"},
		{"DELETE", "/api/users/nobody", "", "404 not_found"},
		{"POST", "/api/users/nobody", "{}", "405 method_not_allowed"},
	},
	"hooks hooks/twilio/{kind:alpha}": {
		{"POST", "/hooks/twilio/status", "{}", "404 not_found"}, // callbacks are off
		{"POST", "/hooks/twilio/inbound", "{}", "404 not_found"},
		{"POST", "/Hooks/Twilio/Status/", "{}", "404 not_found"},
	},
}

// The host's routes and the handler's say the same: what is documented gets
// through both, and no function is missing here.
func TestRoutesOfHostAndHandlerAgree(t *testing.T) {
	var routes []string
	files, err := filepath.Glob("../*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
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
	if here := slices.Sorted(maps.Keys(documented)); !slices.Equal(routes, here) {
		t.Fatalf("the functions' routes are %q, and this test knows %q", routes, here)
	}

	w := newWorld(t)
	for _, reverse := range []bool{false, true} {
		_, c := w.host(func(o *functionshost.Options) { o.ReverseRoutes = reverse })
		for function, requests := range documented {
			for _, r := range requests {
				t.Run(fmt.Sprintf("%s %s, reverse %t", r.method, r.path[1:], reverse), func(t *testing.T) {
					answer := c.do(r.method, r.path, "application/json", r.body)
					want(t, answer, r.answer)
					// The host's own 404 has no request id; the handler's says so.
					if answer.header.Get("X-Request-Id") == "" || strings.Contains(answer.text("detail"), "no such path") {
						t.Errorf("%s did not get it: %s", function, answer.body)
					}
				})
			}
		}
		for _, path := range []string{"/", "/api", "/api/otpverify/x", "/api/otpsend/x/y", "/purge", "/otpsend"} {
			if r := c.do("POST", path, "application/json", "{}"); r.status != 404 || r.header.Get("X-Request-Id") != "" {
				t.Errorf("%s is open to the world: %v", path, r)
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

// Without its key a request ends at the host.
func TestNoKeyNothingReachesTheHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, c := w.host(nil, noPause)
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
			t.Errorf("%s: answered %v: %s, want 401 and nothing", name, r, r.body)
		}
	}
	if n := w.rows(); n != 0 {
		t.Errorf("%d rows were made", n)
	}
	if n := w.twilio.CallCount(); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}

	// The key works in either place, and the first line that the handler has
	// ever written about a request is about this one.
	opened := c.with("X-Functions-Key", h.Keys().Functions["otpsend"]).post("/api/otpsend", start)
	want(t, opened, "201")
	want(t, keyless.post("/api/otpsend?code="+h.Keys().Host, start), "201")
	if line := awaitLine(t, h, `"msg":"request"`); !strings.Contains(line.Text, opened.header.Get("X-Request-Id")) {
		t.Errorf("the handler has seen another request: %s", line.Text)
	}
}

// The host asks for keys by the path as it was decoded once, and forwards it
// decoded again, with .. resolved. A path that begins in an open function could
// so end in one that asks for a key, or at the timer. What keeps hooks from that
// is that its route takes letters alone (docs/decisions/0006-anonymous-routes.md).
func TestNoPathClimbsToAFunctionThatAsksForAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, c := w.host(nil, noPause)
	keyless := c.without("X-Functions-Key")
	body := fields{"to": newNumber()}

	// There is an open function to begin in: the handler answers, not the host.
	for _, path := range []string{"/hooks/twilio/status", "/hooks/twilio/inbound", "/HOOKS/Twilio/%73tatus/", "/hooks/twilio/status%0A"} {
		if r := keyless.post(path, body); r.status/100 != 4 || r.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: answered %v, and not by the handler", path, r)
		}
	}

	for _, from := range []struct {
		folder, target string
		levels         int
	}{
		{"/hooks/twilio/", "api/otpsend", 2},
		{"/hooks/twilio/status/", "api/otpsend", 3},
		{"/hooks/twilio/", "purge", 2},
		{"/hooks/", "api/otpsend", 1},
		{"/verify/x/", "api/otpsend", 2},
	} {
		for _, climb := range functionshost.Climbs(from.levels, from.target) {
			path := from.folder + climb
			switch r := keyless.post(path, body); r.status {
			case 400, 401, 403, 404: // whose it is, the log tells
			default:
				t.Errorf("%s got through: %v", path, r)
			}
		}
	}

	if rows, calls := w.rows(), w.twilio.CallCount(); rows != 0 || calls != 0 {
		t.Errorf("%d rows were made, the provider was called %d times", rows, calls)
	}
	// The log is in order: with the line of this request all others are there.
	last := c.status(someID)
	awaitLine(t, h, last.header.Get("X-Request-Id"))
	for _, e := range h.Logs() {
		if !strings.Contains(e.Text, `"msg":"request"`) || strings.Contains(e.Text, last.header.Get("X-Request-Id")) {
			continue
		}
		if !strings.Contains(e.Text, `"function":""`) && !strings.Contains(e.Text, `"function":"hooks"`) {
			t.Errorf("a request without a key came to a function that asks for one: %s", e.Text)
		}
	}
}

// The host drops a body that comes in chunks. The answer has to say so, because
// all that the client sees is a request that it has sent in full.
func TestChunkedBodyIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, c := w.host(nil)
	for _, path := range []string{"/api/otpsend", "/api/otpverify"} {
		body := io.MultiReader(strings.NewReader(`{"to": "` + newNumber() + `", "code": "123456"}`)) // its length is not known
		r := c.send("POST", path, "application/json", body)
		want(t, r, "400 invalid_request")
		if !strings.Contains(r.text("detail"), "Content-Length") {
			t.Errorf("%s: the answer does not name Content-Length: %s", path, r.body)
		}
	}
	if n := w.twilio.CallCount(); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
}

func TestTimerPurges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, _ := w.host(nil)
	table := w.table()
	const past, present store.Key = "00000000000000aa", "00000000000000bb"
	w.putRow(present, time.Now().Add(time.Hour))
	for name, timer := range map[string]functionshost.Timer{
		"in time":    {},
		"no status":  {NoStatus: true},
		"no zone":    {Zoneless: true},
		"past due":   {PastDue: true},
		"everything": {NoStatus: true, Zoneless: true, PastDue: true},
	} {
		w.putRow(past, time.Now().Add(-time.Second))
		if err := h.FireTimer(soon(t), "purge", timer); err != nil {
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
		t.Errorf("the host's log tells of %d removed rows, want 5", removed)
	}
}

// The host counts a timer's run as failed when the purge could not do its work.
func TestTimerFailsWithStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy := newStorageProxy(t, w.storage)
	h, _ := w.host(nil, "AzureWebJobsStorage="+proxy.connection)
	w.putRow("00000000000000aa", time.Now().Add(-time.Second))
	proxy.set(everything(verdict{lose: true, status: 503}))
	if err := h.FireTimer(soon(t), "purge", functionshost.Timer{}); err == nil {
		t.Error("the run counts as done")
	}
	proxy.set(nil)
	if err := h.FireTimer(soon(t), "purge", functionshost.Timer{}); err != nil {
		t.Errorf("the next run: %v", err)
	}
	if n := w.rows(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// The host shows stdout as information and stderr as errors.
func TestLogLevels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, c := w.host(nil)
	id, _ := w.start(c, newNumber())
	want(t, c.check(fields{"id": id, "code": "000"}), "422 wrong_code")
	awaitLine(t, h, `"function":"otpverify"`, `"outcome":"wrong_code"`)
	for _, e := range h.Logs() {
		if e.Stream == functionshost.Stderr || e.Stream == functionshost.Stdout && e.Level != functionshost.Information {
			t.Errorf("a good run says on %s: %s", e.Stream, e.Text)
		}
	}
	awaitLine(t, h, `"msg":"request"`, `"function":"otpsend"`, `"request_id"`, `"outcome":"ok"`, `"channel":"whatsapp"`, `"country":"US"`, `"ms"`, `"storage_trips":`)
}

// A settings fault shows as errors with the settings' names and ends the
// handler with status 1; after the third time the host gives up.
func TestSettingsFaultStopsTheHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, c := w.host(nil, "TWOFA_SECRET=", "TWILIO_ACCOUNT_SID=AC")
	if err := h.Wait(soon(t), functionshost.Stopped); err != nil {
		t.Fatal(err)
	}
	var codes []int
	for _, exit := range h.Exits() {
		codes = append(codes, exit.Code)
	}
	if !slices.Equal(codes, []int{1, 1, 1}) {
		t.Errorf("the handler ended with %v, want 1 three times", codes)
	}
	for _, setting := range []string{"TWOFA_SECRET", "TWILIO_ACCOUNT_SID"} {
		if e := awaitLine(t, h, "settings: "+setting); e.Stream != functionshost.Stderr || e.Level != functionshost.Error {
			t.Errorf("%s is reported on %s as %s", setting, e.Stream, e.Level)
		}
	}
	if r := c.post("/api/otpsend", fields{"to": newNumber()}); r.status != 503 {
		t.Errorf("a stopped host answers %v", r)
	}
}

// A bad environment is told in one go, by name, and never with a value: each of
// these values may be a secret that went into the wrong place.
func TestAllSettingsFaultsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry-Value"
	settings := []string{
		"TWOFA_SECRET", "TWOFA_STORE", "TWOFA_TABLES_URL", "TWOFA_TABLES_CLIENT_ID", "TWOFA_TABLE_PREFIX", "TWOFA_MESSENGER",
		"TWOFA_CHANNELS", "TWOFA_COUNTRIES", "TWOFA_LOG_LEVEL", "TWOFA_CODE_LENGTH", "TWOFA_CODE_ALPHABET",
		"TWOFA_CODE_TTL", "TWOFA_MAX_CHECKS", "TWOFA_MAX_FAILURES_PER_DAY", "TWOFA_MAX_SENDS",
		"TWOFA_MAX_SENDS_PER_DAY", "TWOFA_RESEND_AFTER",
	}
	twilio := []string{
		"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET",
		"TWILIO_WHATSAPP_FROM", "TWILIO_MESSAGING_SERVICE_SID", "TWILIO_CONTENT_SID", "TWILIO_BASE_URL",
	}
	for name, env := range map[string][]string{
		"all but the choices": append(slices.Clone(settings), twilio...),
		"the choices too":     settings,
	} {
		t.Run(name, func(t *testing.T) {
			given := []string{"FUNCTIONS_CUSTOMHANDLER_PORT=" + canary}
			expected := []string{"FUNCTIONS_CUSTOMHANDLER_PORT"}
			for _, setting := range env {
				// Which of the others count depends on these two.
				if strings.HasPrefix(name, "all") && (setting == "TWOFA_STORE" || setting == "TWOFA_MESSENGER") ||
					strings.HasPrefix(name, "the") && strings.HasPrefix(setting, "TWOFA_TABLE") {
					continue
				}
				given, expected = append(given, setting+"="+canary), append(expected, setting)
			}
			p := launch(t, given)
			if code := p.exit(); code != 1 {
				t.Errorf("it exits with %d, want 1", code)
			}
			said := p.stderr.String()
			for _, setting := range expected {
				if !strings.Contains(said, "settings: "+setting+" ") {
					t.Errorf("%s is not reported", setting)
				}
			}
			if strings.Contains(said, canary) || p.stdout.String() != "" {
				t.Errorf("it says %s%s", p.stdout, said)
			}
		})
	}
}

// Attack 13. The process does not run with a secret that can be guessed.
func TestAttack13_WeakSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, err := os.ReadFile("../local.settings.json.example")
	if err != nil {
		t.Fatal(err)
	}
	var example struct{ Values map[string]string }
	if err := json.Unmarshal(text, &example); err != nil || example.Values["TWOFA_SECRET"] == "" {
		t.Fatalf("the example has no secret (%v)", err)
	}
	const good = "bWVhZG93LXBlbmNpbC1oYXJib3ItdmlvbGV0LTIwMjY=" // 32 different enough bytes
	for name, weak := range map[string]string{
		"empty":                 "",
		"short":                 "c2hvcnQgYnV0IHJhbmRvbQ==",
		"random, 31 bytes":      base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnopqrstu")),
		"the example's":         example.Values["TWOFA_SECRET"],
		"no base64":             "correct horse battery staple, correct horse",
		"one byte repeated":     "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
		"a few bytes repeated":  "cGFzc3dvcmRwYXNzd29yZHBhc3N3b3JkcGFzc3dvcmQ=",
		"the same twice":        good + "," + good,
		"a weak one behind":     good + ",c2hvcnQgYnV0IHJhbmRvbQ==",
		"an empty one in front": "," + good,
	} {
		for where, extra := range map[string]string{"under the host": "FUNCTIONS_CUSTOMHANDLER_PORT=1", "on its own": "TWOFA_ADDR=127.0.0.1:0"} {
			t.Run(name+" "+where, func(t *testing.T) {
				p := launch(t, w.env("TWOFA_STORE=azure", "TWOFA_SECRET="+weak, extra))
				if code := p.exit(); code != 1 {
					t.Errorf("it exits with %d, want 1; it said %s", code, p.stdout)
				}
				said := p.stdout.String() + p.stderr.String()
				if !strings.HasPrefix(said, "settings: TWOFA_SECRET ") || strings.Count(said, "\n") != 1 {
					t.Errorf("it says %q, want one line about TWOFA_SECRET", said)
				}
				for value := range strings.SplitSeq(weak, ",") {
					if value != "" && strings.Contains(said, value) {
						t.Errorf("the secret itself is told: %q", said)
					}
				}
			})
		}
	}
	// What makes the others weak, and not something else, is what stops them.
	p := launch(t, w.env("TWOFA_STORE=azure", "TWOFA_ADDR=127.0.0.1:0", "TWOFA_SECRET="+good))
	p.ready()
}

// The host takes exit code 0 for "do not start it again", so nothing may bring
// that about, a signal included.
func TestUnderTheHostSIGTERMIsNoEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, c := w.host(nil)
	want(t, c.status(someID), "404 not_found")
	if err := syscall.Kill(h.HandlerPID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the handler's end", func() bool { return len(h.Exits()) == 1 })
	if code := h.Exits()[0].Code; code == 0 {
		t.Error("the handler exits with 0 and is never started again")
	}
	want(t, c.status(someID), "404 not_found")
}

// A handler that is killed costs the request that it was busy with, no more.
func TestKilledInTheMiddleOfARequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, c := w.host(nil, noPause)
	number := newNumber()
	w.twilio.For(number, twiliotest.Hang())
	answer := make(chan reply, 1)
	go func() { answer <- c.post("/api/otpsend", fields{"to": number}) }()
	waitFor(t, "the call of the provider", func() bool { return w.twilio.CallCount() == 1 })
	pid := h.HandlerPID()
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	want(t, <-answer, "500")
	if exits := h.Exits(); len(exits) != 1 || exits[0].Code != 137 {
		t.Errorf("the runs ended as %v, want one with 137", exits)
	}
	w.twilio.For(number, twiliotest.Accept())
	id, code := w.start(c, number)
	want(t, c.check(fields{"id": id, "code": code}), "200")
	if again := h.HandlerPID(); again == pid || again == 0 {
		t.Errorf("process %d answers, after %d", again, pid)
	}
}
