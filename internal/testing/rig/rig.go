// Package rig is test support: the use cases that send and check codes, over a
// real store in a temporary folder, with senders that tests script, a clock that
// they move and a log that they read.
//
// It holds two rules in every test that uses it: no message is sent that its
// recipient's row does not know of, and no log line, request line or error tells
// a code, an address or a name. It must never be part of the product.
package rig

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/delivery"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/internal/texts"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// People of the tests, and numbers that are sent to. None is anybody's.
const (
	Alice     = "+14155550123"
	Bob       = "+919876543210"
	AliceMail = "alice.canary@example.com"
)

// Own is the number that people write to.
const Own = "+14155238886"

// Noon is when tests begin.
var Noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// Rig is the services and all that they stand on.
type Rig struct {
	TB      testing.TB
	Table   *Table
	Keys    *secret.Keyring
	Book    *recipient.Book
	Users   *user.Directory
	Carrier *delivery.Carrier
	Send    *otpsend.Service
	Verify  *otpverify.Service
	Inbox   *delivery.Inbox
	// Kept reads what is kept, past all faults.
	Kept *recipient.Book

	mu      sync.Mutex
	now     time.Time
	log     bytes.Buffer
	lines   []*reqlog.Line
	errors  []string
	secrets map[string]string // and what each is
}

// New makes a rig that sends over the channels, in that order: by default over
// WhatsApp alone.
func New(tb testing.TB, channels ...notify.Channel) *Rig {
	tb.Helper()
	bolt := Open(tb)
	r := &Rig{TB: tb, Table: &Table{Table: bolt}, Keys: Keys(tb, 1), now: Noon, secrets: make(map[string]string)}
	r.Book = &recipient.Book{Table: r.Table, Keys: r.Keys}
	r.Kept = &recipient.Book{Table: bolt, Keys: r.Keys}
	r.Users = &user.Directory{Table: r.Table, Keys: r.Keys}
	r.Carrier = &delivery.Carrier{
		Book: r.Book, Policy: otp.DefaultPolicy(), Senders: make(map[notify.Channel]notify.Sender), Brand: "Acme",
		Log: slog.New(slog.NewTextHandler(lockedLog{r}, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime})),
		Now: r.Now,
	}
	r.Send = &otpsend.Service{Carrier: r.Carrier, Users: r.Users}
	r.Verify = &otpverify.Service{Book: r.Book, Users: r.Users, Policy: r.Carrier.Policy, Alerts: r.Carrier, Now: r.Now}
	catalogue, err := texts.Load(texts.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	r.Inbox = &delivery.Inbox{Book: r.Book, Texts: catalogue, Brand: "Acme", Now: r.Now}
	r.Send.Inbound = &otpsend.Inbound{WhatsApp: Own, SMS: Own, Brand: "Acme", Texts: catalogue}
	if len(channels) == 0 {
		channels = []notify.Channel{notify.WhatsApp}
	}
	for _, c := range channels {
		r.Carrier.Senders[c] = &Sender{rig: r, channel: c}
		r.Carrier.Workflow = append(r.Carrier.Workflow, c)
	}
	for _, address := range []string{Alice, Bob, AliceMail} {
		r.Secret("an address", address)
	}
	tb.Cleanup(r.findSecrets)
	return r
}

// Open is a real store, closed when the test ends.
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

// Keys makes a keyring of a secret for each seed, the current one first.
func Keys(tb testing.TB, seeds ...byte) *secret.Keyring {
	tb.Helper()
	var entries []string
	for _, seed := range seeds {
		raw := make([]byte, secret.MinBytes)
		for i := range raw {
			raw[i] = seed + byte(3*i)
		}
		entries = append(entries, base64.StdEncoding.EncodeToString(raw))
	}
	keys, err := secret.Parse(strings.Join(entries, ","))
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// Now is the time on the rig's clock.
func (r *Rig) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Wait moves the clock, backwards too.
func (r *Rig) Wait(d time.Duration) { r.SetTime(r.Now().Add(d)) }

// SetTime sets the clock.
func (r *Rig) SetTime(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = t
}

// Policy changes the rules of all services.
func (r *Rig) Policy(change func(p *otp.Policy)) {
	change(&r.Carrier.Policy)
	r.Verify.Policy = r.Carrier.Policy
}

// Sender is the one of a channel.
func (r *Rig) Sender(channel notify.Channel) *Sender {
	r.TB.Helper()
	s, ok := r.Carrier.Senders[channel].(*Sender)
	if !ok {
		r.TB.Fatalf("the rig has no sender for %s", channel)
	}
	return s
}

// Sent is how many messages went out over all channels, in all.
func (r *Rig) Sent() int {
	n := 0
	for c := range r.Carrier.Senders {
		n += len(r.Sender(c).Sent())
	}
	return n
}

// User registers a person.
func (r *Rig) User(u user.User) {
	r.TB.Helper()
	r.Secret("a name", u.Name)
	_, err := r.Users.Change(r.Ctx(), r.Users.Key(u.Name), func(user.User, bool) (user.User, error) {
		u.CreatedAt, u.UpdatedAt = r.Now(), r.Now()
		return u, nil
	})
	if err != nil {
		r.TB.Fatal(err)
	}
}

// Registered is the user as kept.
func (r *Rig) Registered(name string) user.User {
	r.TB.Helper()
	kept := &user.Directory{Table: r.Kept.Table, Keys: r.Keys}
	u, err := kept.Load(context.Background(), kept.Key(name))
	if err != nil {
		r.TB.Fatal(err)
	}
	return u
}

// Verification is what is kept of a verification, and of its recipient.
func (r *Rig) Verification(id otp.ID) (otp.Recipient, otp.Verification) {
	r.TB.Helper()
	kept, err := r.Kept.Load(context.Background(), id.RowKey())
	if err != nil {
		r.TB.Fatal(err)
	}
	v, err := kept.Find(id)
	if err != nil {
		r.TB.Fatal(err)
	}
	return kept, v
}

// Recipient is what is kept of an address.
func (r *Rig) Recipient(address string) otp.Recipient {
	r.TB.Helper()
	kept, err := r.Kept.Load(context.Background(), r.Kept.RowKey(address))
	if err != nil {
		r.TB.Fatal(err)
	}
	return kept
}

// Code is the code of a verification.
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

// Wrong is a code of the same shape that is not the verification's.
func (r *Rig) Wrong(id otp.ID) string {
	code := []byte(r.Code(id))
	if code[0]++; code[0] > '9' {
		code[0] = '2' // in both alphabets
	}
	return string(code)
}

// Ctx is the context of one request, whose line is looked through.
func (r *Rig) Ctx() context.Context {
	ctx, line := reqlog.With(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	return ctx
}

// Trips is how many storage round trips a call takes.
func (r *Rig) Trips(call func(ctx context.Context)) int64 {
	ctx, n := store.WithTrips(r.Ctx())
	call(ctx)
	return n.Load()
}

// Refused is the refusal of that kind that err has to be.
func (r *Rig) Refused(err error, kind problem.Kind) *problem.Error {
	r.TB.Helper()
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e.Kind != kind {
		r.TB.Fatalf("error %v, want %s", err, kind)
	}
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
		text = strings.ReplaceAll(text, "as in "+Alice, "") // what a fault gives as an example
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, text)
}

// Secret names one more text that must not be told.
func (r *Rig) Secret(what, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text != "" {
		r.secrets[text] = what
	}
}

// Logged is the lines of the operator's log.
func (r *Rig) Logged() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Split(strings.TrimSuffix(r.log.String(), "\n"), "\n")
}

func (r *Rig) findSecrets() {
	told := append(r.Logged(), r.errors...)
	for _, line := range r.lines {
		told = append(told, fmt.Sprint(line.Attrs()))
	}
	ids := regexp.MustCompile(`VE[0-9a-f]{32}`) // which may well have six digits of a code
	for i, line := range told {
		told[i] = ids.ReplaceAllString(line, "VE")
	}
	for text, what := range r.secrets {
		for _, line := range told {
			if strings.Contains(line, text) {
				r.TB.Errorf("%s is told: %s", what, line)
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
