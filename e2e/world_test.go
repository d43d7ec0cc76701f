package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/recipient"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/azuretable"
	"twofa/internal/testing/azurite"
	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/twiliotest"
)

// world is what one test's processes share: a table, a secret, a provider.
type world struct {
	t       *testing.T
	secret  string
	storage string // the connection string
	prefix  string // of the table
	twilio  *twiliotest.Server
}

var worlds, numbers atomic.Int64

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t:       t,
		secret:  secret.Generate(),
		storage: azurite.Shared(t),
		prefix:  fmt.Sprintf("e2e%d", worlds.Add(1)),
		twilio:  twiliotest.Start(twiliotest.Account{}),
	}
	t.Cleanup(w.twilio.Close)
	return w
}

// newNumber returns a number that no other test uses.
func newNumber() string { return fmt.Sprintf("+1415%07d", 2_000_000+numbers.Add(1)) }

// env is the app settings; later entries win.
func (w *world) env(extra ...string) []string {
	return append([]string{
		"AzureWebJobsStorage=" + w.storage,
		"TWOFA_SECRET=" + w.secret,
		"TWOFA_TABLE_PREFIX=" + w.prefix,
		"TWOFA_COUNTRIES=*",
		"TWILIO_ACCOUNT_SID=" + twiliotest.AccountSID,
		"TWILIO_AUTH_TOKEN=" + twiliotest.AuthToken,
		"TWILIO_WHATSAPP_FROM=" + twiliotest.WhatsAppFrom,
		"TWILIO_BASE_URL=" + w.twilio.URL,
	}, extra...)
}

// Settings that tests vary.
const (
	noPause   = "TWOFA_RESEND_AFTER=0s"
	longCodes = "TWOFA_CODE_LENGTH=10" // with letters: no two are the same by chance
	letters   = "TWOFA_CODE_ALPHABET=alphanumeric"
)

// host starts the app under the stand-in for the Functions host. Cloud mode,
// unless change says otherwise.
func (w *world) host(change func(*functionshost.Options), extra ...string) (*functionshost.Host, *client) {
	w.t.Helper()
	o := functionshost.Options{Root: app, Env: w.env(extra...)}
	if change != nil {
		change(&o)
	}
	h, err := functionshost.Start(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(h.Close)
	c := newClient(w.t, h.URL())
	if o.Mode == functionshost.Cloud {
		c.header.Set("X-Functions-Key", h.Keys().Host)
	}
	return h, c
}

// process starts the binary on its own, with the shared table and provider.
func (w *world) process(extra ...string) *process {
	w.t.Helper()
	p := launch(w.t, w.env(append([]string{"TWOFA_ADDR=127.0.0.1:0", "TWOFA_STORE=azure", "TWOFA_MESSENGER=twilio"}, extra...)...))
	p.ready()
	return p
}

// pair starts two processes on the same table.
func (w *world) pair(extra ...string) [2]*process {
	w.t.Helper()
	return [2]*process{w.process(extra...), w.process(extra...)}
}

// table opens the table that the processes use.
func (w *world) table() *azuretable.Store {
	w.t.Helper()
	table, err := azuretable.Open(azuretable.Options{ConnectionString: w.storage, TablePrefix: w.prefix})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = table.Close() })
	return table
}

// book opens the rows of that table.
func (w *world) book() *recipient.Book {
	w.t.Helper()
	keys, err := secret.Parse(w.secret)
	if err != nil {
		w.t.Fatal(err)
	}
	return &recipient.Book{Table: w.table(), Keys: keys}
}

// rows counts the rows of the table.
func (w *world) rows() int {
	w.t.Helper()
	table := w.table()
	n, cursor := 0, ""
	for {
		page, err := table.Expired(w.t.Context(), time.Now().AddDate(10, 0, 0), cursor)
		if err != nil {
			w.t.Fatal(err)
		}
		n += len(page.Rows)
		if cursor = page.Next; cursor == "" {
			return n
		}
	}
}

// putRow keeps a row under a key, until the given time.
func (w *world) putRow(key store.Key, until time.Time) {
	w.t.Helper()
	err := w.table().Update(w.t.Context(), key, func([]byte) (store.Row, error) {
		return store.Row{Data: []byte("x"), KeepUntil: until}, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// codes returns the codes of all calls to the provider for one number, whatever
// the provider answered, in order.
func (w *world) codes(number string) []string {
	var codes []string
	for _, call := range w.twilio.Calls() {
		if call.Form.Get("To") == "whatsapp:"+number {
			code, _, _ := strings.Cut(call.Form.Get("Body"), " ")
			codes = append(codes, code)
		}
	}
	return codes
}

// messages returns the codes of the messages that one number has got, in order.
// A warning, which has none, begins with a word and is left out.
func (w *world) messages(number string) []string {
	var codes []string
	for _, m := range w.twilio.Accepted() {
		code, _, _ := strings.Cut(m.Body, " ")
		if m.To == "whatsapp:"+number && strings.ToUpper(code) == code {
			codes = append(codes, code)
		}
	}
	return codes
}

// warnings is how many warnings one number has got.
func (w *world) warnings(number string) (n int) {
	for _, m := range w.twilio.Accepted() {
		if m.To == "whatsapp:"+number && strings.HasPrefix(m.Body, "Security alert") {
			n++
		}
	}
	return n
}

// code returns the code of the last message to a number.
func (w *world) code(number string) string {
	w.t.Helper()
	codes := w.messages(number)
	if len(codes) == 0 {
		w.t.Fatalf("no message has reached %s", number)
	}
	return codes[len(codes)-1]
}

// start starts a verification over c and returns its id and code.
func (w *world) start(c *client, number string) (id, code string) {
	w.t.Helper()
	r := c.post("/api/otpsend", fields{"to": number})
	want(w.t, r, "201")
	return r.text("id"), w.code(number)
}

// wrong returns another code of the same shape.
func wrong(code string) string {
	last := byte('2')
	if code[len(code)-1] == last {
		last = '3'
	}
	return code[:len(code)-1] + string(last)
}

// ownApp makes a folder of the app that the test may add files to.
func ownApp(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	if err := makeApp(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// soon bounds what has to happen without anybody's help.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// awaitLine waits for a line of the handler in the host's log.
func awaitLine(t *testing.T, h *functionshost.Host, parts ...string) functionshost.Entry {
	t.Helper()
	e, err := h.AwaitLog(soon(t), func(e functionshost.Entry) bool { return containsAll(e.Text, parts) })
	if err != nil {
		t.Fatalf("no line with %q: %v", parts, err)
	}
	return e
}

func containsAll(s string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(s, part) })
}
