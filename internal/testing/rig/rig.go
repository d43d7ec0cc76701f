// Package rig is test support: the whole service over a real store in a temporary
// folder, with senders whose answers a test sets, a clock that it moves and a log
// that it reads.
//
// It checks two rules in every test that uses it. Each message is stored in its
// recipient's row before it is sent. No line of the operator's log, log line of a
// request or error has a code, an address or a name. The package must never be part
// of the product.
package rig

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"twofa/handler"
	"twofa/hooks"
	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/delivery"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
	"twofa/internal/row"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/internal/testing/fixture"
	"twofa/internal/texts"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// Own is the service's own number, which people write to.
const Own = "+14155238886"

// Rig is the service, its use cases and its parts.
type Rig struct {
	TB         testing.TB
	Table      *Table
	Keys       *secret.Keyring
	API        *handler.API
	Recipients *recipient.Store
	Users      *user.Store
	Delivery   *delivery.Sender
	Send       *otpsend.Service
	Verify     *otpverify.Service
	Inbox      *delivery.Inbox
	// Kept reads and writes recipients without the faults of Table.
	Kept *recipient.Store
	*fixture.Clock

	mu      sync.Mutex
	log     bytes.Buffer
	lines   []*reqlog.Line
	errors  []string
	secrets map[string]string // from the text to what it is
}

// New returns a rig that sends over the channels, in that order. Without channels,
// it sends over WhatsApp.
func New(tb testing.TB, channels ...channel.Channel) *Rig {
	tb.Helper()
	return With(tb, nil, channels...)
}

// With is New after a change of the settings and of the service's parts.
func With(tb testing.TB, change func(*config.Settings, *app.Parts), channels ...channel.Channel) *Rig {
	tb.Helper()
	bolt := Open(tb)
	r := &Rig{TB: tb, Table: &Table{Table: bolt}, Keys: fixture.Keys(tb, 1), Clock: fixture.NewClock(), secrets: make(map[string]string)}
	r.Kept = &recipient.Store{Table: bolt, Keys: r.Keys}
	catalogue, err := texts.Load(texts.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	if len(channels) == 0 {
		channels = []channel.Channel{channel.WhatsApp}
	}
	settings := config.Settings{UnderHost: true, Policy: otp.DefaultPolicy(), Channels: channels, Brand: "Acme"}
	parts := app.Parts{
		Table: r.Table, Keys: r.Keys, Texts: catalogue, Catalogue: catalogue, Now: r.Now,
		Messenger: app.Messenger{Senders: make(notify.Senders), Providers: map[string]hooks.Provider{channel.Twilio: noProvider{}}, WhatsApp: Own, SMS: Own},
		Log:       slog.New(slog.NewTextHandler(lockedLog{r}, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime})),
	}
	for _, c := range channels {
		parts.Senders[c] = &Sender{rig: r, channel: c}
	}
	if change != nil {
		change(&settings, &parts)
	}
	r.API = app.New(settings, parts)
	r.Send, r.Verify, r.Recipients, r.Users = r.API.Send, r.API.Verify, r.API.Verify.Recipients, r.API.Verify.Users
	r.Delivery = r.API.Hooks.Deliveries.(*delivery.Sender)
	r.Inbox = r.API.Hooks.Inbox.(*delivery.Inbox)
	for _, address := range []string{fixture.Alice, fixture.Bob, fixture.AliceMail} {
		r.Secret("an address", address)
	}
	tb.Cleanup(r.findSecrets)
	return r
}

// noProvider makes callbacks available, but panics if the provider calls.
type noProvider struct{ hooks.Provider }

// Open opens a real store, and closes it when the test ends.
func Open(tb testing.TB) store.Table {
	tb.Helper()
	bolt, err := boltstore.Open(filepath.Join(tb.TempDir(), "twofa.db"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := bolt.Close(); err != nil {
			tb.Error(err)
		}
	})
	return bolt
}

// Policy changes the policy of all use cases.
func (r *Rig) Policy(change func(p *otp.Policy)) {
	change(&r.Verify.Policy)
	r.Send.Policy, r.Delivery.Policy = r.Verify.Policy, r.Verify.Policy
}

// Workflow sets the channels of requests and users without channels of their own.
func (r *Rig) Workflow(channels ...channel.Channel) {
	r.Send.Workflow, r.Delivery.Workflow = channels, channels
}

// TestNumbers sets the test numbers of the service.
func (r *Rig) TestNumbers(n otp.TestNumbers) {
	r.Send.TestNumbers, r.Delivery.TestNumbers = n, n
}

// Sender returns the sender of a channel.
func (r *Rig) Sender(c channel.Channel) *Sender {
	r.TB.Helper()
	s, ok := r.Delivery.Senders[c].(*Sender)
	if !ok {
		r.TB.Fatalf("the rig has no sender for %s", c)
	}
	return s
}

// Sent returns how many messages were sent over all channels.
func (r *Rig) Sent() int {
	n := 0
	for c := range r.Delivery.Senders {
		n += len(r.Sender(c).Sent())
	}
	return n
}

// User registers a user, or changes the user of that name. A user without a directory
// is one of the main directory.
func (r *Rig) User(u user.User) {
	r.TB.Helper()
	r.Secret("a name", u.Name)
	u.Directory = cmp.Or(u.Directory, client.MainDirectory)
	_, err := r.Users.Put(r.Ctx(), r.Users.Key(u.Directory, u.Name), func(user.User) (user.User, error) {
		u.CreatedAt, u.UpdatedAt = r.Now(), r.Now()
		return u, nil
	})
	if err != nil {
		r.TB.Fatal(err)
	}
}

// Registered returns the stored user of the main directory.
func (r *Rig) Registered(name string) user.User {
	r.TB.Helper()
	return r.RegisteredIn(client.MainDirectory, name)
}

// RegisteredIn returns the stored user of a directory.
func (r *Rig) RegisteredIn(directory user.Directory, name string) user.User {
	r.TB.Helper()
	kept := &user.Store{Table: r.Kept.Table, Keys: r.Keys}
	u, err := kept.Load(context.Background(), kept.Key(directory, name))
	if err != nil {
		r.TB.Fatal(err)
	}
	return u
}

// Verification returns a stored verification and its recipient.
func (r *Rig) Verification(id otp.ID) (otp.Recipient, otp.Verification) {
	r.TB.Helper()
	kept, err := LoadAny(context.Background(), r.Kept, id)
	if err != nil {
		r.TB.Fatal(err)
	}
	v, err := kept.Find(id)
	if err != nil {
		r.TB.Fatal(err)
	}
	return kept, v
}

// LoadAny reads the recipient of a verification, whichever client started it.
func LoadAny(ctx context.Context, s *recipient.Store, id otp.ID) (kept otp.Recipient, err error) {
	_, _, err = s.ChangeReported(ctx, id, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		kept = old
		return old, otp.Verification{}, row.Discard(nil)
	})
	return kept, err
}

// Recipient returns the stored recipient of an address.
func (r *Rig) Recipient(address string) otp.Recipient {
	r.TB.Helper()
	kept, err := r.Kept.Load(context.Background(), r.Kept.Key(address))
	if err != nil {
		r.TB.Fatal(err)
	}
	return kept
}

// Code returns the code of a verification, which becomes a secret of the test.
func (r *Rig) Code(id otp.ID) string {
	r.TB.Helper()
	_, v := r.Verification(id)
	code, ok := v.Code(r.Keys)
	if !ok {
		r.TB.Fatal("the code cannot be made any more")
	}
	r.Secret("a code", code)
	return code
}

// Wrong returns a wrong code for a verification, of the same shape.
func (r *Rig) Wrong(id otp.ID) string {
	code := []byte(r.Code(id))
	if code[0]++; code[0] > '9' {
		code[0] = '2' // in both alphabets
	}
	return string(code)
}

// Rewrite changes the stored recipient of a verification.
func (r *Rig) Rewrite(id otp.ID, change func(*otp.Recipient)) {
	r.TB.Helper()
	_, _, err := r.Kept.ChangeReported(r.Ctx(), id, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		change(&old)
		return old, otp.Verification{}, nil
	})
	r.must(err)
}

// LoseSecret changes a recipient's first verification as if its secret was taken
// out of service: its code cannot be made any more.
func (r *Rig) LoseSecret(id otp.ID) {
	r.TB.Helper()
	r.Rewrite(id, func(old *otp.Recipient) { old.Verifications[0].Key = [4]byte{1, 2, 3, 4} })
}

// Rotate gives the service another TWOFA_SECRET, as a restart does.
func (r *Rig) Rotate(setting string) {
	r.TB.Helper()
	keys, err := secret.Parse(setting)
	r.must(err)
	r.Keys, r.Kept.Keys, r.Recipients.Keys, r.Users.Keys = keys, keys, keys, keys
}

// Formerly changes the id of a stored verification to one of the former form, as the
// release before made it, and returns that. The code changes with the id.
func (r *Rig) Formerly(id otp.ID) otp.ID {
	r.TB.Helper()
	row, _ := r.Verification(id)
	key, random := r.Kept.Key(row.Address).Bytes(), id.Bytes()
	former := otp.NewID([16]byte(append(key[:], random[8:]...)))
	r.Rewrite(id, func(old *otp.Recipient) {
		for i := range old.Verifications {
			if old.Verifications[i].ID == id {
				old.Verifications[i].ID = former
			}
		}
		for i := range old.Replays {
			if old.Replays[i].ID == id {
				old.Replays[i].ID = former
			}
		}
	})
	return former
}

// Ctx returns the context of one request, whose log line is searched for secrets.
func (r *Rig) Ctx() context.Context {
	ctx, line := reqlog.With(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	return ctx
}

// Trips returns how many storage round trips a call takes.
func (r *Rig) Trips(call func(ctx context.Context)) int64 {
	ctx, n := store.WithTrips(r.Ctx())
	call(ctx)
	return n.Load()
}

// Refused ends the test unless err is a problem of that kind, which it returns. The
// error is searched for secrets.
func (r *Rig) Refused(err error, kind problem.Kind) *problem.Error {
	r.TB.Helper()
	e := fixture.Problem(r.TB, err, kind)
	r.note(err)
	return e
}

func (r *Rig) note(err error) {
	if err == nil {
		return
	}
	text := err.Error()
	if e, ok := errors.AsType[*problem.Error](err); ok {
		text += fmt.Sprintf(" %s %v", e.Detail, e.Fields)
		text = strings.ReplaceAll(text, "as in "+fixture.Alice, "") // an example in a fault
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, text)
}

// Secret adds a text that must not be in a log or an error, and says what it is.
func (r *Rig) Secret(what, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text != "" {
		r.secrets[text] = what
	}
}

// Logged returns the lines of the operator's log that contain all the texts.
func (r *Rig) Logged(texts ...string) (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.log.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

func (r *Rig) findSecrets() {
	told := append(r.Logged(), r.errors...)
	for _, line := range r.lines {
		told = append(told, fmt.Sprint(line.Attrs()))
	}
	ids := regexp.MustCompile(`VE[0-9a-f]{32}|request_id=[0-9a-f]{16} `) // may have the digits of a code by chance
	for i, line := range told {
		told[i] = ids.ReplaceAllString(line, "")
	}
	for text, what := range r.secrets {
		for _, line := range told {
			if strings.Contains(line, text) {
				r.TB.Errorf("%s is in a log or an error: %s", what, line)
			}
		}
	}
}

// lockedLog writes to the rig's log.
type lockedLog struct{ rig *Rig }

func (l lockedLog) Write(p []byte) (int, error) {
	l.rig.mu.Lock()
	defer l.rig.mu.Unlock()
	return l.rig.log.Write(p)
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
