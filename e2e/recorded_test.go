package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"twofa/internal/recipient"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/twiliotest"
)

// The recorded session pins the wire format: each request of a long session, with all that
// the service answers, prints, logs and sends to the provider, as it was when
// testdata/recorded-*.txt was written. Values that vary are masked
// (recorded_mask_test.go). Everything else must be the same, letter by letter. After an
// intended change, RECORD=1 writes the files anew; review their diff:
//
//	RECORD=1 go test -run TestRecordedSession ./e2e
//
// The test uses none of the service's packages. It uses the binary, HTTP, and the file of the
// bolt store, in which it damages one row.

// phase is one run of the process. All phases use the same data folder.
type phase struct {
	about    string
	settings map[string]string // added to sessionSettings; these win
	damage   string            // if not "": damage the row of this address first
	steps    []step
}

// step is one request. Texts between < and > are replaced: see session.value.
type step struct {
	about        string
	method, path string
	headers      []string // "Name: value"
	body         string
	name         string // the name by which later steps refer to the answer
	times        int    // how often the request is sent; 0 is once
	signed       bool   // with the provider's signature
}

// ask is a request without a body. line is like "GET /api/users/alice".
func ask(about, line string) step {
	method, path, _ := strings.Cut(line, " ")
	return step{about: about, method: method, path: path}
}

func (s step) json(body string) step { return s.text(body).with("Content-Type: application/json") }

func (s step) form(body string) step {
	return s.text(body).with("Content-Type: application/x-www-form-urlencoded")
}

func (s step) text(body string) step {
	s.body = body
	return s
}

func (s step) with(header string) step {
	s.headers = append(slices.Clone(s.headers), header)
	return s
}

func (s step) as(name string) step {
	s.name = name
	return s
}

func (s step) repeat(times int) step {
	s.times = times
	return s
}

func (s step) sign() step {
	s.signed = true
	return s
}

// The secrets of the session. The last secret of TWOFA_SECRET determines the keys of rows, so
// it is always the same. The first one seals the rows.
var (
	indexSecret = fixture.Secret(1)
	sealSecret  = fixture.Secret(101)
	otherSecret = fixture.Secret(201)
)

// The service's account at the provider, and its public address.
const (
	sessionAccount = "AC0123456789abcdef0123456789abcdef"
	sessionToken   = "0123456789abcdef0123456789abcdef"
	sessionSMSFrom = "+14155238887"
	sessionOrigin  = "https://twofa.example.com"
)

// sessionSettings are the settings of every phase.
func sessionSettings(dir string) map[string]string {
	until := time.Now().UTC().AddDate(0, 0, 30).Format(time.DateOnly)
	return map[string]string{
		"TWOFA_ADDR":         "127.0.0.1:0",
		"TWOFA_STORE":        "bolt",
		"TWOFA_DATA_DIR":     dir,
		"TWOFA_MESSENGER":    "console",
		"TWOFA_CHANNELS":     "whatsapp,sms,call,email",
		"TWOFA_COUNTRIES":    "DE,IN,US",
		"TWOFA_BRAND":        "Acme & Söhne",
		"TWOFA_SECRET":       sealSecret + "," + indexSecret,
		"TWOFA_RESEND_AFTER": "0s",
		"TWOFA_TEST_NUMBERS": "until=" + until + ", code=424242, +14155550101=delivered, +14155550102=undeliverable, " +
			"+14155550103=fallback, +14155550104=expired, +14155550105=exhausted",
	}
}

var phases = []phase{
	{about: "on its own, messages on the console", steps: slices.Concat(
		routesSteps, sendsSteps, checksSteps, replaysSteps, scriptsSteps, faultsSteps,
		usersSteps, userSendsSteps, appsSteps, recoverySteps, erasureSteps, restSteps,
	)},
	{
		about: "after a restart without the secret that sealed the rows, with a pause between messages, and with a damaged row",
		settings: map[string]string{
			"TWOFA_SECRET": otherSecret + "," + indexSecret, "TWOFA_RESEND_AFTER": "30s",
		},
		damage: "alice.mail@example.com",
		steps:  brokenSteps,
	},
	{
		about: "after a restart with the secret again, and with a provider",
		settings: map[string]string{
			"TWOFA_RESEND_AFTER": "30s",
			"TWOFA_MESSENGER":    "twilio", "TWOFA_CHANNELS": "whatsapp,sms", "TWOFA_PUBLIC_URL": sessionOrigin,
			"TWILIO_ACCOUNT_SID": sessionAccount, "TWILIO_AUTH_TOKEN": sessionToken,
			"TWILIO_WHATSAPP_FROM": twiliotest.WhatsAppFrom, "TWILIO_SMS_FROM": sessionSMSFrom,
		},
		steps: providedSteps,
	},
	{about: "after a restart with messages on the console again", settings: withoutTypedLimits(""), steps: slices.Concat(typedSteps, alertsSteps)},
	{about: "after a restart with clients", settings: withoutTypedLimits(sessionClients()), steps: clientsSteps},
}

func TestRecordedSession(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := newSession(t)
	for i, phase := range phases {
		s.write("\n======== Phase %d: %s\n", i+1, phase.about)
		settings := sessionSettings(dir)
		settings["TWILIO_BASE_URL"] = s.provider.URL
		maps.Copy(settings, phase.settings)
		if phase.damage != "" {
			damageRow(t, dir, string((&recipient.Store{Keys: keyring(t, indexSecret)}).Key(phase.damage)))
		}
		s.launch(settings)
		for _, step := range phase.steps {
			for range max(1, step.times) {
				s.play(step)
			}
		}
		s.process.signal(syscall.SIGTERM)
		if code := s.process.exit(); code != 0 || s.process.stderr.String() != "" {
			t.Errorf("the process exits with %d: %s", code, s.process.stderr)
		}
		s.takeOutput("", nil)
	}
	compareRecording(t, "recorded-session.txt", s.transcript.String())
	compareRecording(t, "recorded-log.txt", s.log.String())
}

// damageRow makes a row unreadable in the file of a store that is not open.
func damageRow(t *testing.T, dir, key string) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "twofa.db"), 0o600, &bolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		rows := tx.Bucket([]byte("rows"))
		if rows == nil || rows.Get([]byte(key)) == nil {
			return fmt.Errorf("there is no row %s", key)
		}
		row := slices.Clone(rows.Get([]byte(key)))
		row[len(row)-1] ^= 1 // the row is whole for the store, but its seal is broken
		return rows.Put([]byte(key), row)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// compareRecording compares a text with its recording. With RECORD=1, it writes the
// recording.
func compareRecording(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("RECORD") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	wanted := readFile(t, path)
	if difference := firstDifference(string(wanted), got); difference != "" {
		t.Errorf("%s: %s\n(If the change is intended, record it with RECORD=1.)", path, difference)
	}
}

// firstDifference describes the first line in which two texts differ, with the lines around
// and the heading above it. It returns "" for equal texts.
func firstDifference(want, got string) string {
	if want == got {
		return ""
	}
	wanted, gotten := strings.Split(want, "\n"), strings.Split(got, "\n")
	at, heading := 0, ""
	for at < min(len(wanted), len(gotten)) && wanted[at] == gotten[at] {
		if strings.HasPrefix(wanted[at], "### ") {
			heading = " in " + wanted[at]
		}
		at++
	}
	around := func(lines []string) string {
		var b strings.Builder
		for i := max(0, at-3); i < min(len(lines), at+3); i++ {
			mark := "   "
			if i == at {
				mark = ">> "
			}
			b.WriteString(mark + lines[i] + "\n")
		}
		return b.String()
	}
	return fmt.Sprintf("the first difference is in line %d%s\nrecorded:\n%snow:\n%s", at+1, heading, around(wanted), around(gotten))
}
