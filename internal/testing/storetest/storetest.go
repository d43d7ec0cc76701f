// Package storetest checks the contract of store.Table. Every store runs it in its own
// tests, so that the rest of the service can rely on the contract with every store.
//
// It checks only what the contract promises. In particular, [store.ErrUnavailable] means
// an unknown outcome, not "not written".
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

// Option changes what Run does.
type Option func(*suite)

// Reopen makes Run also check that another handle can continue a sweep. fn returns a
// second handle on the table of the first one. It may close the first one.
func Reopen(fn func(t *testing.T, first store.Table) store.Table) Option {
	return func(s *suite) { s.reopen = fn }
}

type suite struct {
	open   func(*testing.T) store.Table
	reopen func(*testing.T, store.Table) store.Table
}

// Run checks the contract. Each call of open returns a handle on a new table without
// rows. open also makes sure that the handle is closed.
func Run(t *testing.T, open func(t *testing.T) store.Table, options ...Option) {
	s := &suite{open: open}
	for _, o := range options {
		o(s)
	}
	for _, c := range []testCase{
		{"Empty", testEmpty},
		{"InsertReplaceGet", testInsertReplaceGet},
		{"RoundTrips", testRoundTrips},
		{"SkipWrite", testSkipWrite},
		{"ErrorOfFn", testErrorOfFn},
		{"PanicOfFn", testPanicOfFn},
		{"Keys", testKeys},
		{"Sizes", testSizes},
		{"KeepUntil", testKeepUntil},
		{"Aliasing", testAliasing},
		{"CanceledContext", testCanceledContext},
		{"DeadlineWhileBlocked", testDeadlineWhileBlocked},
		{"Conflict", testConflict},
		{"OneWinner", testOneWinner},
		{"NoUpdateLostOrDoubled", testNoUpdateLostOrDoubled},
		{"FirstWrites", testFirstWrites},
		{"Expired", testExpired},
		{"ExpiredPages", testExpiredPages},
		{"ExpiredFollowsUpdates", testExpiredFollowsUpdates},
		{"ExpiredCursor", testExpiredCursor},
		{"Delete", testDelete},
		{"DeleteChanged", testDeleteChanged},
		{"DeleteRemade", testDeleteRemade},
		{"DeleteVersion", testDeleteVersion},
		{"Model", testModel},
		{"UpdateFrom", testUpdateFrom},
		{"UpdateFromOutdated", testUpdateFromOutdated},
		{"UpdateFromWithoutWrite", testUpdateFromWithoutWrite},
		{"UpdateFromInvalid", testUpdateFromInvalid},
		{"UpdateFromSameRow", testUpdateFromSameRow},
		{"VersionOfGet", testVersionOfGet},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
	runFrom(t, s)
}

// testCase is a part of the contract.
type testCase struct {
	name string
	run  func(*testing.T, *suite)
}

// Change is the function of an Update.
type Change = func(old []byte) (store.Row, error)

// Set returns a Change that writes a row, whatever the old one is.
func Set(data string, keepUntil time.Time) Change {
	return func([]byte) (store.Row, error) { return store.Row{Data: []byte(data), KeepUntil: keepUntil}, nil }
}

// Append returns a Change that appends to a row.
func Append(text string) Change {
	return func(old []byte) (store.Row, error) {
		return store.Row{Data: append(bytes.Clone(old), text...), KeepUntil: fixture.Noon}, nil
	}
}

// TB is the part of testing.TB that rapid's T has too.
type TB interface {
	fixture.TB
	Context() context.Context
}

// Put writes a row, whatever the old one is.
func Put(tb TB, table store.Table, key store.Key, data string, keepUntil time.Time) {
	tb.Helper()
	if err := table.Update(tb.Context(), key, Set(data, keepUntil)); err != nil {
		tb.Fatalf("Update(%s): %v", key, err)
	}
}

// Data returns the data of a row. Empty: there is no row.
func Data(tb TB, table store.Table, key store.Key) string {
	tb.Helper()
	row, err := table.Get(tb.Context(), key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		tb.Fatalf("Get(%s): %v", key, err)
	}
	return string(row.Data)
}

// want checks a row. Empty data: there must be no row.
func want(tb TB, s store.Table, key store.Key, data string, keepUntil time.Time) {
	tb.Helper()
	row, err := s.Get(tb.Context(), key)
	switch {
	case data == "":
		if !errors.Is(err, store.ErrNotFound) {
			tb.Fatalf("Get(%s) = %q, %v; want ErrNotFound", key, clip(row.Data), err)
		}
		if row.Data != nil || !row.KeepUntil.IsZero() {
			tb.Fatalf("Get(%s) returned a row and ErrNotFound", key)
		}
	case err != nil:
		tb.Fatalf("Get(%s): %v", key, err)
	case string(row.Data) != data:
		tb.Fatalf("Get(%s) = %q, want %q", key, clip(row.Data), clip([]byte(data)))
	case !row.KeepUntil.Equal(keepUntil):
		tb.Fatalf("Get(%s): KeepUntil %v, want %v", key, row.KeepUntil, keepUntil)
	}
}

func clip(b []byte) string {
	if len(b) > 60 {
		return fmt.Sprintf("%s... (%d bytes)", b[:60], len(b))
	}
	return string(b)
}

func testEmpty(t *testing.T, s *suite) {
	table := s.open(t)
	want(t, table, "nothing", "", time.Time{})
	page, err := table.Expired(t.Context(), fixture.Noon, "")
	if err != nil || len(page.Rows) != 0 || page.Next != "" {
		t.Errorf("Expired on an empty table = %v, %v", page, err)
	}
}

func testInsertReplaceGet(t *testing.T, s *suite) {
	table := s.open(t)
	var all strings.Builder
	for i := range 256 {
		all.WriteByte(byte(i))
	}
	Put(t, table, "bystander", "unmoved", fixture.Noon)
	want(t, table, "k", "", time.Time{})
	for i, data := range []string{"one", "two", all.String(), "x"} {
		var seen []byte
		calls := 0
		err := table.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
			calls++
			seen = bytes.Clone(old)
			return store.Row{Data: []byte(data), KeepUntil: fixture.Noon.Add(time.Duration(i) * time.Minute)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if calls != 1 {
			t.Errorf("fn was called %d times without other writes", calls)
		}
		switch before := []string{"", "one", "two", all.String()}[i]; {
		case i == 0 && seen != nil:
			t.Errorf("fn saw %q, want nil because there was no row", seen)
		case string(seen) != before:
			t.Errorf("fn saw %q, want %q", seen, before)
		}
		want(t, table, "k", data, fixture.Noon.Add(time.Duration(i)*time.Minute))
	}
	want(t, table, "bystander", "unmoved", fixture.Noon)
}

func testRoundTrips(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "first", "makes what is made once", fixture.Noon)

	check := func(what string, want int64, do func(context.Context) error) {
		t.Helper()
		ctx, trips := store.WithTrips(t.Context())
		if err := do(ctx); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := trips.Load(); got != want {
			t.Errorf("%s took %d round trips, want %d", what, got, want)
		}
	}
	write := func(ctx context.Context) error {
		return table.Update(ctx, "k", Append("x"))
	}
	get := func(ctx context.Context) error {
		_, err := table.Get(ctx, "k")
		return err
	}
	check("Get of no row", 1, func(ctx context.Context) error {
		if err := get(ctx); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%w, want ErrNotFound", err)
		}
		return nil
	})
	check("Update that inserts", 2, write)
	check("Update that replaces", 2, write)
	check("Get", 1, get)
	var page store.Page
	check("Expired", 1, func(ctx context.Context) (err error) {
		page, err = table.Expired(ctx, fixture.Noon, "")
		return err
	})
	check("Delete", 1, func(ctx context.Context) error {
		if len(page.Rows) != 2 {
			return fmt.Errorf("%d rows were listed, want 2", len(page.Rows))
		}
		_, err := table.Delete(ctx, page.Rows[0])
		return err
	})
}

func testSkipWrite(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "there", "kept", fixture.Noon)
	before := listed(t, table, fixture.Noon)
	for _, key := range []store.Key{"absent", "there"} {
		ctx, trips := store.WithTrips(t.Context())
		err := table.Update(ctx, key, func([]byte) (store.Row, error) {
			return store.Row{Data: []byte("not to be written"), KeepUntil: fixture.Noon}, store.SkipWrite
		})
		if err != nil {
			t.Errorf("Update(%s) = %v, want nil", key, err)
		}
		if trips.Load() != 1 {
			t.Errorf("Update(%s) took %d round trips, want 1 because it only reads", key, trips.Load())
		}
	}
	want(t, table, "absent", "", time.Time{})
	want(t, table, "there", "kept", fixture.Noon)
	if after := listed(t, table, fixture.Noon); !slices.Equal(after, before) {
		t.Errorf("versions changed from %v to %v", before, after)
	}
}

func testErrorOfFn(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "there", "kept", fixture.Noon)
	own := errors.New("the caller's own error")
	for _, key := range []store.Key{"absent", "there"} {
		err := table.Update(t.Context(), key, func([]byte) (store.Row, error) {
			return store.Row{Data: []byte("not to be written"), KeepUntil: fixture.Noon}, own
		})
		if err != own {
			t.Errorf("Update(%s) = %v, want the error of fn itself", key, err)
		}
	}
	want(t, table, "absent", "", time.Time{})
	want(t, table, "there", "kept", fixture.Noon)
}

// A handler that recovers from a panic continues to use the store.
func testPanicOfFn(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "k", "kept", fixture.Noon)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Update swallowed the panic of fn")
			}
		}()
		err := table.Update(t.Context(), "k", func([]byte) (store.Row, error) { panic("fn") })
		t.Errorf("Update returned %v although fn panicked", err)
	}()
	want(t, table, "k", "kept", fixture.Noon)
	Put(t, table, "k", "still in use", fixture.Noon)
	want(t, table, "k", "still in use", fixture.Noon)
}

func testKeys(t *testing.T, s *suite) {
	table := s.open(t)
	for _, key := range []store.Key{
		"", store.Key(strings.Repeat("a", 65)), "A", "a b", "a/b", `a\b`, "a#b", "a?b", "a'b", "a%27b", "é", "a\x00", "a\n", "a-b", "..",
	} {
		if _, err := table.Get(t.Context(), key); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Get(%q): %v, want ErrInvalid", key, err)
		}
		err := table.Update(t.Context(), key, func([]byte) (store.Row, error) {
			t.Errorf("Update(%q) called fn", key)
			return store.Row{Data: []byte("x"), KeepUntil: fixture.Noon}, nil
		})
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Update(%q): %v, want ErrInvalid", key, err)
		}
		if _, err := table.Delete(t.Context(), store.Ref{Key: key, Version: "1"}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Delete(%q): %v, want ErrInvalid", key, err)
		}
	}
	for _, key := range []store.Key{"a", "0", "z9", store.Key(strings.Repeat("z", 64))} {
		Put(t, table, key, "data of "+string(key), fixture.Noon)
	}
	for _, key := range []store.Key{"a", "0", "z9", store.Key(strings.Repeat("z", 64))} {
		want(t, table, key, "data of "+string(key), fixture.Noon)
	}
}

func testSizes(t *testing.T, s *suite) {
	table := s.open(t)
	full := strings.Repeat("\xff", store.MaxData) // the worst case of some encodings
	Put(t, table, "k", "x", fixture.Noon)
	Put(t, table, "k", full, fixture.Noon)
	want(t, table, "k", full, fixture.Noon)
	Put(t, table, "inserted", full, fixture.Noon)
	want(t, table, "inserted", full, fixture.Noon)

	for name, row := range map[string]store.Row{
		"a byte too many": {Data: []byte(full + "y"), KeepUntil: fixture.Noon},
		"no data":         {Data: []byte{}, KeepUntil: fixture.Noon},
		"nil data":        {KeepUntil: fixture.Noon},
		"no KeepUntil":    {Data: []byte("y")},
	} {
		for _, key := range []store.Key{"k", "absent"} {
			err := table.Update(t.Context(), key, func([]byte) (store.Row, error) { return row, nil })
			if !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
	}
	want(t, table, "k", full, fixture.Noon)
	want(t, table, "absent", "", time.Time{})
}

func testAliasing(t *testing.T, s *suite) {
	table := s.open(t)
	// bbolt returns copies from small buckets, and its memory map from large ones.
	Put(t, table, "bystander", strings.Repeat("x", store.MaxData), fixture.Noon)
	data := []byte("abc")
	err := table.Update(t.Context(), "k", func([]byte) (store.Row, error) {
		return store.Row{Data: data, KeepUntil: fixture.Noon}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	copy(data, "zzz") // the caller may change the slice that it has passed
	want(t, table, "k", "abc", fixture.Noon)

	row, err := table.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	copy(row.Data, "yyy") // the caller may change the slice that it has got
	want(t, table, "k", "abc", fixture.Noon)

	// fn may return the slice that it was given, or one that shares its memory.
	var kept []byte
	for range 3 {
		err = table.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
			kept = old
			return store.Row{Data: append(old[1:], old[0]), KeepUntil: fixture.Noon}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want(t, table, "k", "abc", fixture.Noon)
	Put(t, table, "k", "other", fixture.Noon)
	// fn must not keep old. If it does nevertheless, it must not see the bytes of another
	// row there.
	if string(kept) != "cab" {
		t.Errorf("the memory of old was reused: %q", kept)
	}
}
