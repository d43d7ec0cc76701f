package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/twiliotest"
)

// useAPI does what a client does with verifications: start, check, resend, look up,
// cancel.
func useAPI(t *testing.T, rig *rig, c *client) {
	t.Helper()
	number := newNumber()
	masked := "+1******" + number[len(number)-4:]

	started := want(t, c.post("/api/otpsend", fields{"to": number}), "201")
	id, code := started.text("id"), rig.code(number)
	if !regexp.MustCompile(`^VE[0-9a-f]{32}$`).MatchString(id) {
		t.Errorf("the id is %q", id)
	}
	wantFields(t, started, fields{"to": masked, "checks_left": 5, "sends_left": 4})
	if strings.Contains(started.body, code) {
		t.Errorf("the answer contains the code: %s", started.body)
	}

	wantFields(t, want(t, c.check(fields{"id": id, "code": wrong(code)}), "422 wrong_code"), fields{"checks_left": 4})
	wantFields(t, want(t, c.status(id), "200"), fields{"status": "pending", "checks_left": 4})

	resent := want(t, c.do("POST", "/api/otpsend/"+id, "", ""), "200")
	if got := rig.code(number); got != code || len(rig.sentCodes(number)) != 2 {
		t.Errorf("the resend sent code %s in message %d, want %s in message 2", got, len(rig.sentCodes(number)), code)
	}
	wantFields(t, resent, fields{"sends_left": 3})

	approved := want(t, c.check(fields{"id": id, "code": code[:3] + " " + code[3:]}), "200")
	wantFields(t, approved, fields{"id": id, "status": "approved", "to": masked})
	want(t, c.check(fields{"id": id, "code": code}), "409 already_used")
	wantFields(t, c.status(id), fields{"status": "approved"})

	// A form instead of JSON, and the number instead of the id.
	number2 := newNumber()
	want(t, c.do("POST", "/api/otpsend", "application/x-www-form-urlencoded", "to=%2B"+number2[1:]+"&purpose=pay"), "201")
	want(t, c.check(fields{"to": number2, "purpose": "pay", "code": rig.code(number2)}), "200")

	number3 := newNumber()
	id, code = rig.start(c, number3)
	wantFields(t, want(t, c.do("DELETE", "/api/otpsend/"+id, "", ""), "200"), fields{"status": "canceled"})
	want(t, c.check(fields{"id": id, "code": code}), "410 canceled")
}

func TestUseInTheCloud(t *testing.T) {
	for name, o := range map[string]functionshost.Options{
		"routes in order":     {},
		"routes in reverse":   {ReverseRoutes: true},
		"behind Azure's edge": {Edge: true},
	} {
		t.Run(name, func(t *testing.T) {
			rig := newParallelRig(t)
			_, c := rig.host(func(own *functionshost.Options) {
				own.ReverseRoutes, own.Edge = o.ReverseRoutes, o.Edge
			}, noPause)
			useAPI(t, rig, c)
		})
	}
}

// Core Tools read the settings from local.settings.json and ask for no key.
func TestUseUnderCoreTools(t *testing.T) {
	for name, reverse := range map[string]bool{"routes in order": false, "routes in reverse": true} {
		t.Run(name, func(t *testing.T) {
			rig := newParallelRig(t)
			root := copyApp(t)
			values := make(map[string]string)
			for _, setting := range rig.env(noPause) {
				name, value, _ := strings.Cut(setting, "=")
				values[name] = value
			}
			text, err := json.Marshal(map[string]any{"IsEncrypted": false, "Values": values})
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(root, "local.settings.json"), string(text))
			_, c := rig.host(func(o *functionshost.Options) {
				o.Root, o.Mode, o.ReverseRoutes, o.Env = root, functionshost.CoreTools, reverse, []string{}
			})
			useAPI(t, rig, c)
		})
	}
}

// printedCodes finds the codes in the output of the console messenger.
func printedCodes(text string) []string {
	var codes []string
	for _, m := range regexp.MustCompile(`(\S+) is your twofa sign-in code`).FindAllStringSubmatch(text, -1) {
		codes = append(codes, m[1])
	}
	return codes
}

// printed waits for the nth code that the process prints, from 1. The code may be printed
// after the answer was received.
func (p *process) printed(n int) string {
	p.t.Helper()
	waitFor(p.t, "the printed code", func() bool { return len(printedCodes(p.stdout.String())) >= n })
	return printedCodes(p.stdout.String())[n-1]
}

// The message has the operator's approved template if there is one, else the text.
func TestMessageHasTheTemplateOrTheText(t *testing.T) {
	rig := newParallelRig(t)
	_, plain := rig.host(nil, noPause, "TWOFA_BRAND=Acme")
	_, template := rig.host(nil, noPause, "TWILIO_CONTENT_SID="+twiliotest.ContentSID,
		"TWILIO_WHATSAPP_FROM=", "TWILIO_MESSAGING_SERVICE_SID="+twiliotest.MessagingServiceSID)

	number := newNumber()
	want(t, plain.post("/api/otpsend", fields{"to": number, "context": fields{"amount": "EUR 25.00", "payee": "Bakery"}}), "201")
	m := rig.twilio.Accepted()[0]
	if !containsAll(m.Body, []string{" is your Acme code to approve a payment", "EUR 25.00", "Bakery", "10 min"}) || m.ContentSID != "" {
		t.Errorf("the text is %q, the template %q", m.Body, m.ContentSID)
	}
	if m.To != "whatsapp:"+number || m.From != "whatsapp:"+twiliotest.WhatsAppFrom {
		t.Errorf("sent to %s from %s", m.To, m.From)
	}
	if m.ValidityPeriod <= 9*time.Minute || m.ValidityPeriod > 10*time.Minute {
		t.Errorf("the provider may deliver the message for %v, want the lifetime of the code", m.ValidityPeriod)
	}

	started := want(t, template.post("/api/otpsend", fields{"to": number}), "201")
	m = rig.twilio.Accepted()[1]
	if m.ContentSID != twiliotest.ContentSID || m.MessagingServiceSID != twiliotest.MessagingServiceSID || m.Body != "" || m.From != "" {
		t.Errorf("sent %+v, want the template by the messaging service", m)
	}
	want(t, template.check(fields{"id": started.text("id"), "code": m.Variables["1"]}), "200")
	// The template shows the code only, and a person must see what they approve.
	want(t, template.post("/api/otpsend", fields{"to": number, "context": fields{"amount": "EUR 25.00"}}), "400 invalid_request")
}

func TestUseWithoutAHost(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := standalone(t, dir)
	used, pending := newNumber(), newNumber()
	started := want(t, p.post("/api/otpsend", fields{"to": used}), "201")
	id, code := started.text("id"), p.printed(1)
	want(t, p.check(fields{"id": id, "code": wrong(code)}), "422 wrong_code")
	want(t, p.check(fields{"id": id, "code": code}), "200")

	started = want(t, p.post("/api/otpsend", fields{"to": pending}), "201")
	pendingID, pendingCode := started.text("id"), p.printed(2)

	path := filepath.Join(dir, "secret")
	first := readFile(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the secret has mode %v (%v), want 0600", info.Mode(), err)
	}

	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 || p.stderr.String() != "" {
		t.Errorf("after SIGTERM the process exits with %d and writes %q", code, p.stderr)
	}

	p = standalone(t, dir)
	want(t, p.check(fields{"id": id, "code": code}), "409 already_used")
	want(t, p.check(fields{"id": pendingID, "code": pendingCode}), "200")
	if again, err := os.ReadFile(path); err != nil || string(again) != string(first) {
		t.Errorf("the second start made another secret (%v)", err)
	}
}

// Without a host, the process finishes its requests after SIGTERM and accepts no new ones.
func TestSIGTERMFinishesRequests(t *testing.T) {
	rig := newParallelRig(t)
	p := rig.process()
	number := newNumber()
	rig.twilio.For(number, twiliotest.Accept().After(700*time.Millisecond))
	answer := inBackground(func() reply { return p.post("/api/otpsend", fields{"to": number}) })
	waitFor(t, "the call of the provider", func() bool { return rig.twilio.CallCount() == 1 })
	p.signal(syscall.SIGTERM)
	p.stdout.await(t, p.exited, `"msg":"stopping"`)
	want(t, <-answer, "201")
	if code := p.exit(); code != 0 {
		t.Errorf("the process exits with %d", code)
	}
	if r := p.status("VE00000000000000000000000000000000"); r.err == nil {
		t.Errorf("after its end the process answers %v", r)
	}
}
