// Package storetest is the conformance suite of store.Table. Every store runs it
// in its own tests, so that the rest of the service can rely on the contract
// whichever store it is given.
//
// It asserts only what the contract promises. In particular it takes
// store.ErrUnavailable for an unknown outcome, never for "not written".
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
)

// Option changes what Run does.
type Option func(*suite)

// Reopen makes Run also check that a sweep begun by one handle can be carried on
// by another. The function returns a second handle on the table of the first,
// which it may have to close before.
func Reopen(fn func(t *testing.T, first store.Table) store.Table) Option {
	return func(s *suite) { s.reopen = fn }
}

type suite struct {
	open   func(*testing.T) store.Table
	reopen func(*testing.T, store.Table) store.Table
}

// Run checks the contract. Each call of open returns a handle on a table of its
// own, without rows, and sees to its closing.
func Run(t *testing.T, open func(t *testing.T) store.Table, options ...Option) {
	s := &suite{open: open}
	for _, o := range options {
		o(s)
	}
	for _, c := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
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
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

// epoch is the time that the suite's rows are kept until, give or take: a whole
// second, so that nothing depends on rounding unless it is meant to.
var epoch = time.Date(2031, time.March, 4, 5, 6, 7, 0, time.UTC)

// testingT is what *testing.T and *rapid.T have in common, as far as it is used.
type testingT interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// put writes data under key, whatever is there.
func put(tb testingT, s store.Table, key store.Key, data string, keepUntil time.Time) {
	tb.Helper()
	err := s.Update(tb.Context(), key, func([]byte) (store.Row, error) {
		return store.Row{Data: []byte(data), KeepUntil: keepUntil}, nil
	})
	if err != nil {
		tb.Fatalf("Update(%s): %v", key, err)
	}
}

// want checks what is kept under key; data "" stands for no row.
func want(tb testingT, s store.Table, key store.Key, data string, keepUntil time.Time) {
	tb.Helper()
	row, err := s.Get(tb.Context(), key)
	switch {
	case data == "":
		if !errors.Is(err, store.ErrNotFound) {
			tb.Fatalf("Get(%s) = %q, %v; want ErrNotFound", key, clip(row.Data), err)
		}
		if row.Data != nil || !row.KeepUntil.IsZero() {
			tb.Fatalf("Get(%s) returned a row together with ErrNotFound", key)
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
	page, err := table.Expired(t.Context(), epoch, "")
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
	put(t, table, "bystander", "unmoved", epoch)
	want(t, table, "k", "", time.Time{})
	for i, data := range []string{"one", "two", all.String(), "x"} {
		var seen []byte
		calls := 0
		err := table.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
			calls++
			seen = bytes.Clone(old)
			return store.Row{Data: []byte(data), KeepUntil: epoch.Add(time.Duration(i) * time.Minute)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if calls != 1 {
			t.Errorf("fn was called %d times although nobody else wrote", calls)
		}
		switch before := []string{"", "one", "two", all.String()}[i]; {
		case i == 0 && seen != nil:
			t.Errorf("fn saw %q, want nil as there was no row", seen)
		case string(seen) != before:
			t.Errorf("fn saw %q, want %q", seen, before)
		}
		want(t, table, "k", data, epoch.Add(time.Duration(i)*time.Minute))
	}
	want(t, table, "bystander", "unmoved", epoch)
}

func testRoundTrips(t *testing.T, s *suite) {
	table := s.open(t)
	put(t, table, "first", "makes what is made once", epoch)

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
		return table.Update(ctx, "k", func(old []byte) (store.Row, error) {
			return store.Row{Data: append(old, 'x'), KeepUntil: epoch}, nil
		})
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
		page, err = table.Expired(ctx, epoch, "")
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
	put(t, table, "there", "kept", epoch)
	before := listed(t, table, epoch)
	for _, key := range []store.Key{"absent", "there"} {
		ctx, trips := store.WithTrips(t.Context())
		err := table.Update(ctx, key, func([]byte) (store.Row, error) {
			return store.Row{Data: []byte("not to be written"), KeepUntil: epoch}, store.SkipWrite
		})
		if err != nil {
			t.Errorf("Update(%s) = %v, want nil", key, err)
		}
		if trips.Load() != 1 {
			t.Errorf("Update(%s) took %d round trips, want 1 as it only reads", key, trips.Load())
		}
	}
	want(t, table, "absent", "", time.Time{})
	want(t, table, "there", "kept", epoch)
	if after := listed(t, table, epoch); !slices.Equal(after, before) {
		t.Errorf("versions changed from %v to %v", before, after)
	}
}

func testErrorOfFn(t *testing.T, s *suite) {
	table := s.open(t)
	put(t, table, "there", "kept", epoch)
	own := errors.New("the caller's own")
	for _, key := range []store.Key{"absent", "there"} {
		err := table.Update(t.Context(), key, func([]byte) (store.Row, error) {
			return store.Row{Data: []byte("not to be written"), KeepUntil: epoch}, own
		})
		if err != own {
			t.Errorf("Update(%s) = %v, want the very error of fn", key, err)
		}
	}
	want(t, table, "absent", "", time.Time{})
	want(t, table, "there", "kept", epoch)
}

// A handler that recovers from a panic goes on to use the store.
func testPanicOfFn(t *testing.T, s *suite) {
	table := s.open(t)
	put(t, table, "k", "kept", epoch)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Update swallowed the panic of fn")
			}
		}()
		err := table.Update(t.Context(), "k", func([]byte) (store.Row, error) { panic("fn") })
		t.Errorf("Update returned %v although fn panicked", err)
	}()
	want(t, table, "k", "kept", epoch)
	put(t, table, "k", "still in use", epoch)
	want(t, table, "k", "still in use", epoch)
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
			return store.Row{Data: []byte("x"), KeepUntil: epoch}, nil
		})
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Update(%q): %v, want ErrInvalid", key, err)
		}
		if _, err := table.Delete(t.Context(), store.Ref{Key: key, Version: "1"}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Delete(%q): %v, want ErrInvalid", key, err)
		}
	}
	for _, key := range []store.Key{"a", "0", "z9", store.Key(strings.Repeat("z", 64))} {
		put(t, table, key, "data of "+string(key), epoch)
	}
	for _, key := range []store.Key{"a", "0", "z9", store.Key(strings.Repeat("z", 64))} {
		want(t, table, key, "data of "+string(key), epoch)
	}
}

func testSizes(t *testing.T, s *suite) {
	table := s.open(t)
	full := strings.Repeat("\xff", store.MaxData) // the worst case of some encodings
	put(t, table, "k", "x", epoch)
	put(t, table, "k", full, epoch)
	want(t, table, "k", full, epoch)
	put(t, table, "inserted", full, epoch)
	want(t, table, "inserted", full, epoch)

	for name, row := range map[string]store.Row{
		"a byte too many": {Data: []byte(full + "y"), KeepUntil: epoch},
		"no data":         {Data: []byte{}, KeepUntil: epoch},
		"nil data":        {KeepUntil: epoch},
		"no KeepUntil":    {Data: []byte("y")},
	} {
		for _, key := range []store.Key{"k", "absent"} {
			err := table.Update(t.Context(), key, func([]byte) (store.Row, error) { return row, nil })
			if !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
	}
	want(t, table, "k", full, epoch)
	want(t, table, "absent", "", time.Time{})
}

func testKeepUntil(t *testing.T, s *suite) {
	table := s.open(t)
	for _, c := range []struct{ in, out time.Time }{
		{epoch, epoch},
		{epoch.Add(1), epoch.Add(time.Second)},
		{epoch.Add(time.Second - 1), epoch.Add(time.Second)},
		{epoch.In(time.FixedZone("east", 5*3600+1800)), epoch},
		{time.Unix(-5, 1), time.Unix(-4, 0)},
		{time.Unix(0, 0), time.Unix(0, 0)},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	} {
		put(t, table, "k", "x", c.in)
		want(t, table, "k", "x", c.out)
	}
}

func testAliasing(t *testing.T, s *suite) {
	table := s.open(t)
	// bbolt hands out copies from small buckets, and its memory map from others.
	put(t, table, "bystander", strings.Repeat("x", store.MaxData), epoch)
	data := []byte("abc")
	err := table.Update(t.Context(), "k", func([]byte) (store.Row, error) {
		return store.Row{Data: data, KeepUntil: epoch}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	copy(data, "zzz") // what was handed in is the caller's again
	want(t, table, "k", "abc", epoch)

	row, err := table.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	copy(row.Data, "yyy") // and so is what was handed out
	want(t, table, "k", "abc", epoch)

	// fn may return what it was given, or something that shares its memory.
	var kept []byte
	for range 3 {
		err = table.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
			kept = old
			return store.Row{Data: append(old[1:], old[0]), KeepUntil: epoch}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want(t, table, "k", "abc", epoch)
	put(t, table, "k", "other", epoch)
	// fn must not keep old; but if it does, it sees no other row's bytes there.
	if string(kept) != "cab" {
		t.Errorf("the memory of old was used again: %q", kept)
	}
}
