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

// story is what every client does, from the first message to the last answer.
func story(t *testing.T, w *world, c *client) {
	t.Helper()
	number := newNumber()
	masked := "+1******" + number[len(number)-4:]

	started := c.post("/api/otpsend", fields{"to": number})
	want(t, started, "201")
	id, code := started.text("id"), w.code(number)
	if !regexp.MustCompile(`^VE[0-9a-f]{32}$`).MatchString(id) {
		t.Errorf("the id is %q", id)
	}
	if got := started.text("to"); got != masked {
		t.Errorf("the answer shows the number as %s, want %s", got, masked)
	}
	if started.number("checks_left") != 5 || started.number("sends_left") != 4 {
		t.Errorf("the limits left are wrong: %s", started.body)
	}
	if strings.Contains(started.body, code) {
		t.Errorf("the answer holds the code: %s", started.body)
	}

	failed := c.check(fields{"id": id, "code": wrong(code)})
	want(t, failed, "422 wrong_code")
	if failed.number("checks_left") != 4 {
		t.Errorf("after one wrong code: %s", failed.body)
	}
	looked := c.status(id)
	want(t, looked, "200")
	if looked.text("status") != "pending" || looked.number("checks_left") != 4 {
		t.Errorf("looked up after one wrong code: %s", looked.body)
	}

	resent := c.do("POST", "/api/otpsend/"+id, "", "")
	want(t, resent, "200")
	if got := w.code(number); got != code || len(w.messages(number)) != 2 {
		t.Errorf("the resend brought code %s in message %d, want %s in message 2", got, len(w.messages(number)), code)
	}
	if resent.number("sends_left") != 3 {
		t.Errorf("after the resend: %s", resent.body)
	}

	approved := c.check(fields{"id": id, "code": code[:3] + " " + code[3:]})
	want(t, approved, "200")
	if approved.text("id") != id || approved.text("status") != "approved" || approved.text("to") != masked {
		t.Errorf("the approval is %s", approved.body)
	}
	want(t, c.check(fields{"id": id, "code": code}), "409 already_used")
	if got := c.status(id).text("status"); got != "approved" {
		t.Errorf("afterwards the status is %s", got)
	}

	// A form instead of JSON, and the number instead of the id.
	number2 := newNumber()
	want(t, c.do("POST", "/api/otpsend", "application/x-www-form-urlencoded", "to=%2B"+number2[1:]+"&purpose=pay"), "201")
	want(t, c.check(fields{"to": number2, "purpose": "pay", "code": w.code(number2)}), "200")

	number3 := newNumber()
	id, code = w.start(c, number3)
	canceled := c.do("DELETE", "/api/otpsend/"+id, "", "")
	want(t, canceled, "200")
	if got := canceled.text("status"); got != "canceled" {
		t.Errorf("canceled, the status is %s", got)
	}
	want(t, c.check(fields{"id": id, "code": code}), "410 canceled")
}

func TestStoryInTheCloud(t *testing.T) {
	for name, o := range map[string]functionshost.Options{
		"routes in order":     {},
		"routes in reverse":   {ReverseRoutes: true},
		"behind Azure's edge": {Edge: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, c := w.host(func(own *functionshost.Options) {
				own.ReverseRoutes, own.Edge = o.ReverseRoutes, o.Edge
			}, noPause)
			story(t, w, c)
		})
	}
}

// Under Core Tools the settings come from local.settings.json, and no key is
// asked for.
func TestStoryUnderCoreTools(t *testing.T) {
	for name, reverse := range map[string]bool{"routes in order": false, "routes in reverse": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			root := ownApp(t)
			values := make(map[string]string)
			for _, setting := range w.env(noPause) {
				name, value, _ := strings.Cut(setting, "=")
				values[name] = value
			}
			text, err := json.Marshal(map[string]any{"IsEncrypted": false, "Values": values})
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(root, "local.settings.json"), string(text))
			_, c := w.host(func(o *functionshost.Options) {
				o.Root, o.Mode, o.ReverseRoutes, o.Env = root, functionshost.CoreTools, reverse, []string{}
			})
			story(t, w, c)
		})
	}
}

// The example settings work as soon as the secret is put in, with nothing but
// Azurite: the code is in the host's log.
func TestExampleSettingsWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := ownApp(t)
	text, err := os.ReadFile("../local.settings.json.example")
	if err != nil {
		t.Fatal(err)
	}
	var example struct{ Values map[string]string }
	if err := json.Unmarshal(text, &example); err != nil {
		t.Fatal(err)
	}
	filled := strings.Replace(string(text), example.Values["TWOFA_SECRET"], w.secret, 1)
	writeFile(t, filepath.Join(root, "local.settings.json"), filled)
	h, c := w.host(func(o *functionshost.Options) {
		// Azurite is not at the port that UseDevelopmentStorage=true stands for.
		o.Root, o.Mode, o.Env = root, functionshost.CoreTools, []string{"AzureWebJobsStorage=" + w.storage}
	})

	number := newNumber()
	started := c.post("/api/otpsend", fields{"to": number})
	want(t, started, "201")
	line := awaitLine(t, h, " is your code to sign in to twofa")
	want(t, c.check(fields{"id": started.text("id"), "code": printedCodes(line.Text)[0]}), "200")
	if n := w.twilio.CallCount(); n != 0 {
		t.Errorf("the provider was called %d times", n)
	}
}

// printedCodes finds the codes in what the console messenger prints.
func printedCodes(text string) []string {
	var codes []string
	for _, m := range regexp.MustCompile(`(\S+) is your code to sign in to twofa`).FindAllStringSubmatch(text, -1) {
		codes = append(codes, m[1])
	}
	return codes
}

// printed waits for the nth code that the process prints: its output comes here
// on its own way, perhaps after the answer.
func (p *process) printed(n int) string {
	p.t.Helper()
	waitFor(p.t, "the printed code", func() bool { return len(printedCodes(p.stdout.String())) >= n })
	return printedCodes(p.stdout.String())[n-1]
}

// What the person gets depends on whether the operator has an approved template.
func TestMessageHasTheTemplateOrTheText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, plain := w.host(nil, noPause, "TWOFA_BRAND=Acme")
	_, template := w.host(nil, noPause, "TWILIO_CONTENT_SID="+twiliotest.ContentSID,
		"TWILIO_WHATSAPP_FROM=", "TWILIO_MESSAGING_SERVICE_SID="+twiliotest.MessagingServiceSID)

	number := newNumber()
	want(t, plain.post("/api/otpsend", fields{"to": number, "context": fields{"amount": "EUR 25.00", "payee": "Bakery"}}), "201")
	m := w.twilio.Accepted()[0]
	if !containsAll(m.Body, []string{" is your Acme code to approve a payment", "EUR 25.00", "Bakery", "10 min"}) || m.ContentSID != "" {
		t.Errorf("the text is %q with template %q", m.Body, m.ContentSID)
	}
	if m.To != "whatsapp:"+number || m.From != "whatsapp:"+twiliotest.WhatsAppFrom {
		t.Errorf("sent to %s from %s", m.To, m.From)
	}
	if m.ValidityPeriod <= 9*time.Minute || m.ValidityPeriod > 10*time.Minute {
		t.Errorf("the provider may deliver it for %v, want the code's lifetime", m.ValidityPeriod)
	}

	started := template.post("/api/otpsend", fields{"to": number})
	want(t, started, "201")
	m = w.twilio.Accepted()[1]
	if m.ContentSID != twiliotest.ContentSID || m.MessagingServiceSID != twiliotest.MessagingServiceSID || m.Body != "" || m.From != "" {
		t.Errorf("sent %+v, want the template through the service", m)
	}
	want(t, template.check(fields{"id": started.text("id"), "code": m.Variables["1"]}), "200")
	// The template shows the code alone, and nobody may approve what they can't see.
	want(t, template.post("/api/otpsend", fields{"to": number, "context": fields{"amount": "EUR 25.00"}}), "400 invalid_request")
}

// alone starts the binary as a developer does: no host, no settings but the
// address, everything kept in dir.
func alone(t *testing.T, dir string, extra ...string) *process {
	t.Helper()
	p := launch(t, append([]string{"TWOFA_ADDR=127.0.0.1:0", "TWOFA_DATA_DIR=" + dir}, extra...))
	p.ready()
	return p
}

func TestStoryOnItsOwn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := alone(t, dir)
	used, pending := newNumber(), newNumber()
	started := p.post("/api/otpsend", fields{"to": used})
	want(t, started, "201")
	id, code := started.text("id"), p.printed(1)
	want(t, p.check(fields{"id": id, "code": wrong(code)}), "422 wrong_code")
	want(t, p.check(fields{"id": id, "code": code}), "200")

	started = p.post("/api/otpsend", fields{"to": pending})
	want(t, started, "201")
	pendingID, pendingCode := started.text("id"), p.printed(2)

	path := filepath.Join(dir, "secret")
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret's file has mode %v (%v), want 0600", info.Mode(), err)
	}

	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != 0 || p.stderr.String() != "" {
		t.Errorf("after SIGTERM it exits with %d and says %q", code, p.stderr)
	}

	p = alone(t, dir)
	want(t, p.check(fields{"id": id, "code": code}), "409 already_used")
	want(t, p.check(fields{"id": pendingID, "code": pendingCode}), "200")
	if again, err := os.ReadFile(path); err != nil || string(again) != string(first) {
		t.Errorf("the second start made another secret (%v)", err)
	}
}

// On its own the process lets requests finish after SIGTERM, and takes no more.
func TestSIGTERMDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.process()
	number := newNumber()
	w.twilio.For(number, twiliotest.Accept().After(700*time.Millisecond))
	answer := make(chan reply, 1)
	go func() { answer <- p.post("/api/otpsend", fields{"to": number}) }()
	waitFor(t, "the call of the provider", func() bool { return w.twilio.CallCount() == 1 })
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.stdout.await(t, p.gone, `"msg":"stopping"`)
	want(t, <-answer, "201")
	if code := p.exit(); code != 0 {
		t.Errorf("it exits with %d", code)
	}
	if r := p.status("VE00000000000000000000000000000000"); r.err == nil {
		t.Errorf("after its end it answers %v", r)
	}
}

// waitFor waits until something outside of the test's hands has happened.
func waitFor(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}
