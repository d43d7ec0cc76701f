package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/recipient"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/azuretable"
	"twofa/internal/testing/azurite"
	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/twiliotest"
	"twofa/otpsend"
)

// rig is what the processes of one test share: a table, a secret and a provider.
type rig struct {
	t       *testing.T
	secret  string
	storage string // the connection string
	prefix  string // of the table's name
	twilio  *twiliotest.Server
}

var rigs, numbers atomic.Int64

func newRig(t *testing.T) *rig {
	t.Helper()
	rig := &rig{
		t:       t,
		secret:  secret.Generate(),
		storage: azurite.Shared(t),
		prefix:  fmt.Sprintf("e2e%d", rigs.Add(1)),
		twilio:  twiliotest.Start(twiliotest.Account{}),
	}
	t.Cleanup(rig.twilio.Close)
	return rig
}

// newParallelRig marks the test as parallel and returns a rig.
func newParallelRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	return newRig(t)
}

// newNumber returns a number that no other test uses.
func newNumber() string { return fmt.Sprintf("+1415%07d", 2_000_000+numbers.Add(1)) }

// env returns the app settings. If extra has a setting once more, the last value
// counts.
func (rig *rig) env(extra ...string) []string {
	return append([]string{
		"AzureWebJobsStorage=" + rig.storage,
		"TWOFA_SECRET=" + rig.secret,
		"TWOFA_TABLE_PREFIX=" + rig.prefix,
		"TWOFA_COUNTRIES=*",
		"TWILIO_ACCOUNT_SID=" + twiliotest.AccountSID,
		"TWILIO_AUTH_TOKEN=" + twiliotest.AuthToken,
		"TWILIO_WHATSAPP_FROM=" + twiliotest.WhatsAppFrom,
		"TWILIO_BASE_URL=" + rig.twilio.URL,
	}, extra...)
}

// Settings that tests vary.
const (
	noPause   = "TWOFA_RESEND_AFTER=0s"
	longCodes = "TWOFA_CODE_LENGTH=10" // with letters, two codes are never the same by chance
	letters   = "TWOFA_CODE_ALPHABET=alphanumeric"
)

// host starts the app under the stand-in for the Functions host, in cloud mode
// unless change sets another mode. change may be nil.
func (rig *rig) host(change func(*functionshost.Options), extra ...string) (*functionshost.Host, *client) {
	rig.t.Helper()
	o := functionshost.Options{Root: appFolder, Env: rig.env(extra...)}
	if change != nil {
		change(&o)
	}
	h, err := functionshost.Start(rig.t.Context(), o)
	if err != nil {
		rig.t.Fatal(err)
	}
	rig.t.Cleanup(h.Close)
	c := newClient(rig.t, h.URL())
	if o.Mode == functionshost.Cloud {
		c.header.Set("X-Functions-Key", h.Keys().Host)
	}
	return h, c
}

// process starts the binary without a host, with the rig's table and provider.
func (rig *rig) process(extra ...string) *process {
	rig.t.Helper()
	return serve(rig.t, rig.env(append([]string{"TWOFA_ADDR=127.0.0.1:0", "TWOFA_STORE=azure", "TWOFA_MESSENGER=twilio"}, extra...)...))
}

// pair starts two processes on the same table.
func (rig *rig) pair(extra ...string) [2]*process {
	rig.t.Helper()
	return [2]*process{rig.process(extra...), rig.process(extra...)}
}

// standalone starts the binary as a developer does: without a host and without
// settings except the address and the folder of the rows.
func standalone(t *testing.T, dir string) *process {
	t.Helper()
	return serve(t, []string{"TWOFA_ADDR=127.0.0.1:0", "TWOFA_DATA_DIR=" + dir})
}

// table opens the table that the processes use.
func (rig *rig) table() *azuretable.Store {
	rig.t.Helper()
	table, err := azuretable.Open(azuretable.Options{ConnectionString: rig.storage, TablePrefix: rig.prefix})
	if err != nil {
		rig.t.Fatal(err)
	}
	rig.t.Cleanup(func() { _ = table.Close() })
	return table
}

// keyring parses a value of TWOFA_SECRET.
func keyring(t *testing.T, setting string) *secret.Keyring {
	t.Helper()
	keys, err := secret.Parse(setting)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// recipients opens the recipients' rows of that table.
func (rig *rig) recipients() *recipient.Store {
	rig.t.Helper()
	return &recipient.Store{Table: rig.table(), Keys: keyring(rig.t, rig.secret)}
}

// rows counts the rows that expire within ten years.
func (rig *rig) rows() int {
	rig.t.Helper()
	table := rig.table()
	n, cursor := 0, ""
	for {
		page, err := table.Expired(rig.t.Context(), time.Now().AddDate(10, 0, 0), cursor)
		if err != nil {
			rig.t.Fatal(err)
		}
		n += len(page.Rows)
		if cursor = page.Next; cursor == "" {
			return n
		}
	}
}

// wantRows fails the test unless rows returns n.
func (rig *rig) wantRows(n int) {
	rig.t.Helper()
	if got := rig.rows(); got != n {
		rig.t.Errorf("there are %d rows, want %d", got, n)
	}
}

// putRow writes a row that expires at the given time.
func (rig *rig) putRow(key store.Key, until time.Time) {
	rig.t.Helper()
	err := rig.table().Update(rig.t.Context(), key, func([]byte) (store.Row, error) {
		return store.Row{Data: []byte("x"), KeepUntil: until}, nil
	})
	if err != nil {
		rig.t.Fatal(err)
	}
}

// withClock returns the service's use case, run by the test on the same table and
// secret, with a clock that is ahead of the real time. codes gets the codes that
// the use case sends, by number.
func (rig *rig) withClock(ahead time.Duration) (s *otpsend.Service, codes map[string]string) {
	rig.t.Helper()
	settings := config.Settings{Policy: otp.DefaultPolicy(), Channels: []channel.Channel{channel.WhatsApp}}
	settings.Policy.ResendAfter = 0
	codes = make(map[string]string)
	rows := rig.recipients()
	parts := app.Parts{
		Table: rows.Table, Keys: rows.Keys, Log: slog.New(slog.DiscardHandler),
		Messenger: app.Messenger{Senders: notify.Senders{channel.WhatsApp: codeRecorder(codes)}},
		Now:       func() time.Time { return time.Now().Add(ahead) },
	}
	return app.New(settings, parts).Send, codes
}

// codeRecorder is a sender that records the codes, by number.
type codeRecorder map[string]string

func (r codeRecorder) Send(_ context.Context, m notify.Message) error {
	r[m.To] = m.Code
	return nil
}

// wantCalls fails the test unless the provider was called n times in all.
func (rig *rig) wantCalls(n int) {
	rig.t.Helper()
	if got := rig.twilio.CallCount(); got != n {
		rig.t.Errorf("the provider was called %d times, want %d", got, n)
	}
}

// calledCodes returns the codes of all calls to the provider for one number over
// WhatsApp, in order, whatever the provider answered.
func (rig *rig) calledCodes(number string) []string {
	var codes []string
	for _, call := range rig.twilio.Calls() {
		if call.Form.Get("To") == "whatsapp:"+number {
			codes = append(codes, firstWord(call.Form.Get("Body")))
		}
	}
	return codes
}

// sent returns the messages and calls to a number that the provider has accepted,
// in order.
func (rig *rig) sent(number string) (sent []twiliotest.Message) {
	for _, m := range rig.twilio.Accepted() {
		if strings.TrimPrefix(m.To, "whatsapp:") == number {
			sent = append(sent, m)
		}
	}
	return sent
}

// sentCodes returns the codes of the WhatsApp messages that the provider has
// accepted for a number, in order. An alert has no code: its first word has
// lower-case letters.
func (rig *rig) sentCodes(number string) (codes []string) {
	for _, m := range rig.sent(number) {
		if code := firstWord(m.Body); m.Channel == channel.WhatsApp && strings.ToUpper(code) == code {
			codes = append(codes, code)
		}
	}
	return codes
}

// alerts returns how many alerts a number has got over WhatsApp.
func (rig *rig) alerts(number string) (n int) {
	for _, m := range rig.sent(number) {
		if m.Channel == channel.WhatsApp && strings.Contains(m.Body, " security alert: ") {
			n++
		}
	}
	return n
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}

// code returns the code of the last WhatsApp message to a number.
func (rig *rig) code(number string) string {
	rig.t.Helper()
	codes := rig.sentCodes(number)
	if len(codes) == 0 {
		rig.t.Fatalf("no message has reached %s", number)
	}
	return codes[len(codes)-1]
}

// start starts a verification through c and returns its id and code.
func (rig *rig) start(c *client, number string) (id, code string) {
	rig.t.Helper()
	r := want(rig.t, c.post("/api/otpsend", fields{"to": number}), "201")
	return r.text("id"), rig.code(number)
}

// wrong returns another code of the same shape.
func wrong(code string) string {
	last := byte('2')
	if code[len(code)-1] == last {
		last = '3'
	}
	return code[:len(code)-1] + string(last)
}

// copyApp returns a folder with the app, to which the test may add files.
func copyApp(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	if err := makeApp(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeFile writes a file, and makes its folder.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// timeLimit returns a context for what has to happen by itself within 30 s.
func timeLimit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// awaitLine waits for a line of the handler in the host's log that has all parts.
func awaitLine(t *testing.T, h *functionshost.Host, parts ...string) functionshost.Entry {
	t.Helper()
	e, err := h.AwaitLog(timeLimit(t), func(e functionshost.Entry) bool { return containsAll(e.Text, parts) })
	if err != nil {
		t.Fatalf("no line with %q: %v", parts, err)
	}
	return e
}

// handlerOutput returns what the handler has written, without the lines of the host
// itself. The test fails if there are fewer lines than atLeast.
func handlerOutput(t *testing.T, h *functionshost.Host, atLeast int) string {
	t.Helper()
	var lines []string
	for _, e := range h.Logs() {
		if e.Stream != functionshost.FromHost {
			lines = append(lines, e.Text)
		}
	}
	if len(lines) < atLeast {
		t.Errorf("there are only %d lines: %q", len(lines), lines)
	}
	return strings.Join(lines, "\n")
}

func containsAll(s string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(s, part) })
}
