package user_test

import (
	"context"
	"encoding/base64"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/internal/user"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// table is a bolt store that can be made to misbehave.
type table struct {
	store.Table
	// conflict, if set, runs after the first call of an Update's function, as
	// another process that was faster; the function is then called again.
	conflict func()
	// broken, if set, is what every call returns; an Update's after it is done.
	broken error
}

func (s *table) Get(ctx context.Context, key store.Key) (store.Row, error) {
	if s.broken != nil {
		return store.Row{}, s.broken
	}
	return s.Table.Get(ctx, key)
}

func (s *table) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	if conflict := s.conflict; conflict != nil {
		s.conflict = nil
		row, err := s.Table.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		_, _ = fn(row.Data) // what it returns is lost
		conflict()
	}
	if err := s.Table.Update(ctx, key, fn); err != nil {
		return err
	}
	return s.broken
}

func ring(t *testing.T, seeds ...byte) *secret.Keyring {
	t.Helper()
	var entries []string
	for _, seed := range seeds {
		b := make([]byte, 32)
		for i := range b {
			b[i] = seed + byte(i)
		}
		entries = append(entries, base64.StdEncoding.EncodeToString(b))
	}
	r, err := secret.Parse(strings.Join(entries, ","))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newDirectory(t *testing.T) (*user.Directory, *table) {
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
	s := &table{Table: bolt}
	return &user.Directory{Table: s, Keys: ring(t, 1)}, s
}

func wantKind(t *testing.T, err error, want problem.Kind) *problem.Error {
	t.Helper()
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e.Kind != want {
		t.Fatalf("got %v, want %q", err, want)
	}
	return e
}

// keep makes the user what is given.
func keep(t *testing.T, d *user.Directory, u user.User) string {
	t.Helper()
	key := d.Key(u.Name)
	got, err := d.Change(t.Context(), key, func(user.User, bool) (user.User, error) { return u, nil })
	if err != nil || !reflect.DeepEqual(got, u) {
		t.Fatalf("got %+v, %v", got, err)
	}
	return key
}

func load(t *testing.T, d *user.Directory, key string) user.User {
	t.Helper()
	u, err := d.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// trips counts the store's round trips of a call.
func trips(t *testing.T, want int64, call func(ctx context.Context)) {
	t.Helper()
	ctx, n := store.WithTrips(t.Context())
	call(ctx)
	if n.Load() != want {
		t.Errorf("%d round trips, want %d", n.Load(), want)
	}
}

func anybody(user.User) error { return nil }
