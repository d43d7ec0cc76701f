package users_test

import (
	"context"
	"encoding/base64"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/problem"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/internal/user"
	"twofa/users"
)

const (
	number = "+14155550123"
	mail   = "alice@example.com"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// recipients notes which addresses were erased.
type recipients struct {
	mu               sync.Mutex
	erased, canceled []string
	// during, if set, runs in each Erase, and its error is what Erase returns.
	during func(address string) error
}

func (r *recipients) Erase(ctx context.Context, address string, _ time.Time) error {
	store.CountTrip(ctx)
	store.CountTrip(ctx)
	if r.during != nil {
		if err := r.during(address); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.erased = append(r.erased, address)
	return nil
}

func (r *recipients) CancelUser(ctx context.Context, address, user string, _ time.Time) error {
	store.CountTrip(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.canceled = append(r.canceled, address)
	return nil
}

type bench struct {
	t          rapid.TB
	s          *users.Service
	table      store.Table
	recipients *recipients
	now        time.Time
}

func openTable(t *testing.T) store.Table {
	t.Helper()
	bolt, err := boltstore.Open(filepath.Join(t.TempDir(), "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bolt.Close(); err != nil {
			t.Error(err)
		}
	})
	return bolt
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return benchOn(t, openTable(t))
}

func benchOn(t rapid.TB, table store.Table) *bench {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(3 * i)
	}
	keys, err := secret.Parse(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, table: table, recipients: new(recipients), now: noon}
	b.s = &users.Service{
		Directory:  &user.Directory{Table: table, Keys: keys},
		Recipients: b.recipients,
		Channels:   []string{"whatsapp", "sms", "email"},
		Countries:  map[string]bool{"US": true, "IN": true},
		Now:        func() time.Time { return b.now },
	}
	return b
}

func (b *bench) put(name string, req users.Request, cond users.Conditions) (users.Answer, bool) {
	b.t.Helper()
	a, created, err := b.s.Put(context.Background(), name, req, cond)
	if err != nil {
		b.t.Fatalf("put: %v", err)
	}
	return a, created
}

func (b *bench) get(name string) users.Answer {
	b.t.Helper()
	a, err := b.s.Get(context.Background(), name)
	if err != nil {
		b.t.Fatalf("get: %v", err)
	}
	return a
}

func (b *bench) confirm(name, address string) {
	b.t.Helper()
	if err := b.s.Directory.Confirm(context.Background(), b.s.Directory.Key(name), address); err != nil {
		b.t.Fatalf("confirm: %v", err)
	}
}

// trips is how many round trips to the store a call takes.
func trips(call func(ctx context.Context)) int64 {
	ctx, n := store.WithTrips(context.Background())
	call(ctx)
	return n.Load()
}

func wantKind(t rapid.TB, err error, kind problem.Kind) *problem.Error {
	t.Helper()
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e.Kind != kind {
		t.Fatalf("error %v, want %s", err, kind)
	}
	return e
}

// fields are the names of what is at fault.
func fields(e *problem.Error) []string {
	var names []string
	for _, f := range e.Fields {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}

func yes(b bool) *bool { return &b }
