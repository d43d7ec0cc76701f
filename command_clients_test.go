package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"twofa/internal/client"
)

var (
	newSecret = regexp.MustCompile(`(?m)^[0-9a-f]{64}$`)
	newLine   = regexp.MustCompile(`(?m)^\{.*\}$`)
)

// otherSettingsAreWrong makes every command fail that needs more than TWOFA_CLIENTS.
func otherSettingsAreWrong(t *testing.T) {
	t.Helper()
	t.Setenv("TWOFA_STORE", "oracle")
	t.Setenv("FUNCTIONS_CUSTOMHANDLER_PORT", "x")
}

// A new client can be added as it is printed, and its secret is right. The output has
// the secret once, and the command stores nothing.
func TestANewClientCanBeAddedAsItIsPrinted(t *testing.T) {
	otherSettingsAreWrong(t)
	first := `{"id": "first", "secrets": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"], "scopes": ["send"], "verify_services": {"VA0123456789abcdef0123456789abcdef": "login"}}`
	for _, tc := range []struct {
		args    []string
		id      string
		options string // of the entry
	}{
		{[]string{"bank-web"}, "bank-web", `"scopes": \["send", "check"\]`},
		{[]string{"--verify", "Bank.Web_2"}, "Bank.Web_2", `"scopes": \["send", "check", "verify"\], "account_sid": "AC[0-9a-f]{32}", "verify_services": \{"VA[0-9a-f]{32}": "bank-web_2"\}`},
		{[]string{strings.Repeat("x", 64), "-verify"}, strings.Repeat("x", 64), `"scopes": \["send", "check", "verify"\], "account_sid": "AC[0-9a-f]{32}", "verify_services": \{"VA[0-9a-f]{32}": "x{32}"\}`},
	} {
		res := runIn(t, t.TempDir(), "", append([]string{"clients", "new"}, tc.args...)...)
		secret, entry := newSecret.FindString(res.stdout), newLine.FindString(res.stdout)
		want := regexp.MustCompile(`^\{"id": "` + regexp.QuoteMeta(tc.id) + `", "secrets": \["sha256:[0-9a-f]{64}"\], ` + tc.options + `\}$`)
		if res.code != exitDone || res.stderr != "" || secret == "" || strings.Count(res.stdout, secret) != 1 || !want.MatchString(entry) {
			t.Errorf("%q: exit %d, stdout %q, stderr %q", tc.args, res.code, res.stdout, res.stderr)
		}
		list := "[" + first + ", " + entry + "]"
		registry, faults := client.Load(list)
		if _, ok := registry.Authenticate(tc.id, secret); !ok || len(faults) > 0 {
			t.Errorf("%q: the secret is not right, or faults: %q", tc.args, faults)
		}
		t.Setenv("TWOFA_CLIENTS", list)
		for stdin, code := range map[string]int{secret: exitDone, secret + "\n": exitDone, secret + "\r\n": exitDone, "": exitStopped, secret[1:]: exitStopped, " " + secret: exitStopped, strings.Repeat("x", maxSecret+1): exitStopped} {
			res := runIn(t, t.TempDir(), stdin, "clients", "check", tc.id)
			if res.code != code || (res.stdout != "") != (code == exitDone) || strings.Contains(res.stdout+res.stderr, secret) {
				t.Errorf("check %q: exit %d, stdout %q, stderr %q", stdin, res.code, res.stdout, res.stderr)
			}
		}
		if res := runIn(t, t.TempDir(), secret, "clients", "check", "first"); res.code != exitStopped || !strings.Contains(res.stderr, "not a secret of the client first") {
			t.Errorf("another client: exit %d, %q", res.code, res.stderr)
		}
	}
	for _, id := range []string{"", "a b", "ä", strings.Repeat("x", 65), "a\xff"} {
		if res := runIn(t, t.TempDir(), "", "clients", "new", id); res.code != exitStopped || res.stdout != "" || res.stderr == "" {
			t.Errorf("%q: exit %d, %q", id, res.code, res.stdout)
		}
	}
}

func TestListClients(t *testing.T) {
	otherSettingsAreWrong(t)
	t.Setenv("TWOFA_CLIENTS", `[
		{"id": "bank-web", "secrets": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"], "scopes": ["send", "users:read"], "directory": "bank"},
		{"id": "a", "secrets": ["sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"], "scopes": ["check"]},
		{"id": "spa", "public": true, "scopes": ["signin"], "redirect_uris": ["https://app.example/callback"]}]`)
	res := runIn(t, t.TempDir(), "", "clients", "list")
	const want = `ID        DIRECTORY  SECRETS  SCOPES
bank-web  bank       2        send users:read
a         main       1        check
spa       main       public   signin
`
	if res.code != exitDone || res.stdout != want || res.stderr != "" {
		t.Errorf("exit %d, stdout %q, stderr %q", res.code, res.stdout, res.stderr)
	}
	for _, id := range []string{"spa", "unknown"} {
		if res := runIn(t, t.TempDir(), "", "clients", "check", id); res.code != exitStopped || res.stdout != "" || !strings.Contains(res.stderr, id) {
			t.Errorf("check %s: exit %d, %q %q", id, res.code, res.stdout, res.stderr)
		}
	}
}

// Without clients, or with faults, nothing is listed, and no secret is right.
func TestClientsThatCannotBeRead(t *testing.T) {
	otherSettingsAreWrong(t)
	for value, want := range map[string]string{
		"unset": "TWOFA_CLIENTS is not set", "": "settings: TWOFA_CLIENTS is set, but has no clients", "[]": "settings: TWOFA_CLIENTS is set, but has no clients",
		`[{"id": "a", "secrets": ["canary"], "scopes": []}]`: `settings: TWOFA_CLIENTS client "a": secrets has to be`,
	} {
		t.Setenv("TWOFA_CLIENTS", value)
		if value == "unset" {
			os.Unsetenv("TWOFA_CLIENTS") // Setenv restores it
		}
		for _, args := range [][]string{{"list"}, {"check", "a"}} {
			res := runIn(t, t.TempDir(), "canary", append([]string{"clients"}, args...)...)
			if res.code != exitStopped || res.stdout != "" || !strings.HasPrefix(res.stderr, want) || strings.Contains(res.stderr, "canary") || strings.Contains(res.stderr, "oracle") {
				t.Errorf("%q, %q: exit %d, stdout %q, stderr %q", value, args, res.code, res.stdout, res.stderr)
			}
		}
	}
}
