package e2e

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/functionshost"
)

// Bad settings are logged as errors with the names of the settings, and the handler exits
// with status 1. After the third time the host gives up.
func TestBadSettingsStopTheHost(t *testing.T) {
	rig := newParallelRig(t)
	h, c := rig.host(nil, "TWOFA_SECRET=", "TWILIO_ACCOUNT_SID=AC")
	if err := h.Wait(timeLimit(t), functionshost.Stopped); err != nil {
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
	if r := c.post("/api/otpsend", fields{"to": newNumber()}); r.err == nil {
		t.Errorf("a stopped host answers %v", r)
	}
}

// All bad settings are reported together, by name and without their values: each value may
// be a secret in the wrong place.
func TestAllBadSettingsAreReported(t *testing.T) {
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
				// TWOFA_STORE and TWOFA_MESSENGER decide which other settings are read.
				if strings.HasPrefix(name, "all") && (setting == "TWOFA_STORE" || setting == "TWOFA_MESSENGER") ||
					strings.HasPrefix(name, "the") && strings.HasPrefix(setting, "TWOFA_TABLE") {
					continue
				}
				given, expected = append(given, setting+"="+canary), append(expected, setting)
			}
			p := start(t, t.TempDir(), given, nil)
			if code := p.exit(); code != 1 {
				t.Errorf("the process exits with %d, want 1", code)
			}
			written := p.stderr.String()
			for _, setting := range expected {
				if !strings.Contains(written, "settings: "+setting+" ") {
					t.Errorf("%s is not reported", setting)
				}
			}
			if strings.Contains(written, canary) || p.stdout.String() != "" {
				t.Errorf("the process writes %s%s", p.stdout, written)
			}
		})
	}
}

// Attack 13. The process does not run with a weak secret.
func TestAttack13_WeakSecrets(t *testing.T) {
	rig := newParallelRig(t)
	_, exampleSecret := exampleSettings(t)
	good := fixture.Secret(1)
	for name, weak := range map[string]string{
		"empty":                 "",
		"short":                 "c2hvcnQgYnV0IHJhbmRvbQ==",
		"random, 31 bytes":      base64.StdEncoding.EncodeToString([]byte("0123456789abcdefghijklmnopqrstu")),
		"the example's":         exampleSecret,
		"no base64":             "correct horse battery staple, correct horse",
		"one byte repeated":     "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
		"a few bytes repeated":  "cGFzc3dvcmRwYXNzd29yZHBhc3N3b3JkcGFzc3dvcmQ=",
		"a sentence":            "bWVhZG93LXBlbmNpbC1oYXJib3ItdmlvbGV0LTIwMjY=",
		"1, 2, 3, 4":            "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
		"the same twice":        good + "," + good,
		"a weak one at the end": good + ",c2hvcnQgYnV0IHJhbmRvbQ==",
		"an empty one first":    "," + good,
		"only a marked one":     "index:" + good,
		"a marked one first":    "index:" + good + "," + secret.Generate(),
	} {
		for where, extra := range map[string]string{"under a host": "FUNCTIONS_CUSTOMHANDLER_PORT=1", "without a host": "TWOFA_ADDR=127.0.0.1:0"} {
			t.Run(name+" "+where, func(t *testing.T) {
				p := start(t, t.TempDir(), rig.env("TWOFA_STORE=azure", "TWOFA_SECRET="+weak, extra), nil)
				if code := p.exit(); code != 1 {
					t.Errorf("the process exits with %d, want 1; it writes %s", code, p.stdout)
				}
				written := p.stdout.String() + p.stderr.String()
				if !strings.HasPrefix(written, "settings: TWOFA_SECRET ") || strings.Count(written, "\n") != 1 {
					t.Errorf("the process writes %q, want one line about TWOFA_SECRET", written)
				}
				for value := range strings.SplitSeq(weak, ",") {
					if value != "" && strings.Contains(written, value) {
						t.Errorf("the process writes the secret: %q", written)
					}
				}
			})
		}
	}
	// With the same settings and a good secret the process starts.
	serve(t, rig.env("TWOFA_STORE=azure", "TWOFA_ADDR=127.0.0.1:0", "TWOFA_SECRET="+good))
}

// The example settings need a secret and Azurite, and nothing else. The code is in the
// host's log.
func TestExampleSettingsWork(t *testing.T) {
	rig := newParallelRig(t)
	root := copyApp(t)
	text, exampleSecret := exampleSettings(t)
	filled := strings.Replace(text, exampleSecret, rig.secret, 1)
	writeFile(t, filepath.Join(root, "local.settings.json"), filled)
	h, c := rig.host(func(o *functionshost.Options) {
		// Azurite does not listen on the port of UseDevelopmentStorage=true.
		o.Root, o.Mode, o.Env = root, functionshost.CoreTools, []string{"AzureWebJobsStorage=" + rig.storage}
	})

	number := newNumber()
	started := want(t, c.post("/api/otpsend", fields{"to": number}), "201")
	line := awaitLine(t, h, " is your twofa sign-in code")
	want(t, c.check(fields{"id": started.text("id"), "code": printedCodes(line.Text)[0]}), "200")
	rig.wantCalls(0)
}

// exampleSettings returns the text of local.settings.json.example and the secret in it.
func exampleSettings(t *testing.T) (text, secret string) {
	t.Helper()
	raw := readFile(t, "../local.settings.json.example")
	var example struct{ Values map[string]string }
	if err := json.Unmarshal(raw, &example); err != nil || example.Values["TWOFA_SECRET"] == "" {
		t.Fatalf("the example has no secret (%v)", err)
	}
	return string(raw), example.Values["TWOFA_SECRET"]
}
