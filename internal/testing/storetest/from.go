package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

// From returns the table with an Update that is Get and UpdateFrom.
func From(table store.Table) store.Table { return fromTable{table} }

type fromTable struct{ store.Table }

func (f fromTable) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	row, err := f.Get(ctx, key)
	if errors.Is(err, store.ErrDamaged) {
		return f.Table.Update(ctx, key, fn)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return f.UpdateFrom(ctx, key, row, fn)
}

// runFrom checks with UpdateFrom what the contract says about Update.
func runFrom(t *testing.T, s *suite) {
	from := &suite{open: func(t *testing.T) store.Table { return From(s.open(t)) }}
	for _, c := range []testCase{
		{"InsertReplaceGet", testInsertReplaceGet},
		{"RoundTrips", testRoundTrips},
		{"ErrorOfFn", testErrorOfFn},
		{"PanicOfFn", testPanicOfFn},
		{"Sizes", testSizes},
		{"Aliasing", testAliasing},
		{"DeadlineWhileBlocked", testDeadlineWhileBlocked},
		{"Conflict", testConflict},
		{"OneWinner", testOneWinner},
		{"NoUpdateLostOrDoubled", testNoUpdateLostOrDoubled},
		{"FirstWrites", testFirstWrites},
	} {
		t.Run("From"+c.name, func(t *testing.T) { c.run(t, from) })
	}
}

// known returns what Get returns for a row, the zero Row if there is none.
func known(tb TB, table store.Table, key store.Key) store.Row {
	tb.Helper()
	row, err := table.Get(tb.Context(), key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		tb.Fatalf("Get(%s): %v", key, err)
	}
	return row
}

// remove deletes a row, which has to be there and to be kept until Noon.
func remove(tb TB, table store.Table, key store.Key) {
	tb.Helper()
	for _, ref := range listed(tb, table, fixture.Noon) {
		if ref.Key != key {
			continue
		}
		if ok, err := table.Delete(tb.Context(), ref); err != nil || !ok {
			tb.Fatalf("Delete(%s) = %v, %v", key, ok, err)
		}
		return
	}
	tb.Fatalf("there is no row %s", key)
}

// Without other writes, UpdateFrom takes one round trip and calls fn once, with what Get
// has returned.
func testUpdateFrom(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "bystander", "unmoved", fixture.Noon)
	before := ""
	for i := range 4 {
		row := known(t, table, "k")
		ctx, trips := store.WithTrips(t.Context())
		var seen [][]byte
		err := table.UpdateFrom(ctx, "k", row, func(old []byte) (store.Row, error) {
			seen = append(seen, slices.Clone(old))
			next, err := Append(fmt.Sprint(i))(old)
			next.Version = row.Version // is ignored
			return next, err
		})
		if err != nil || trips.Load() != 1 {
			t.Errorf("%d: %v in %d round trips, want 1", i, err, trips.Load())
		}
		if len(seen) != 1 || string(seen[0]) != before || (seen[0] == nil) != (i == 0) {
			t.Errorf("%d: fn saw %q, want %q once", i, seen, before)
		}
		before += fmt.Sprint(i)
		want(t, table, "k", before, fixture.Noon)
	}
	want(t, table, "bystander", "unmoved", fixture.Noon)
}

// If the row is not the known one any more, fn is called with the present one.
func testUpdateFromOutdated(t *testing.T, s *suite) {
	for name, c := range map[string]struct {
		row  string // at first; empty: there is none
		then func(t *testing.T, table store.Table)
		now  string
	}{
		"written": {"x", func(t *testing.T, table store.Table) { Put(t, table, "k", "xy", fixture.Noon) }, "xy"},
		"written twice": {"x", func(t *testing.T, table store.Table) {
			Put(t, table, "k", "y", fixture.Noon)
			Put(t, table, "k", "x", fixture.Noon)
		}, "x"},
		"deleted":          {"x", func(t *testing.T, table store.Table) { remove(t, table, "k") }, ""},
		"deleted and made": {"x", func(t *testing.T, table store.Table) { remove(t, table, "k"); Put(t, table, "k", "y", fixture.Noon) }, "y"},
		"made":             {"", func(t *testing.T, table store.Table) { Put(t, table, "k", "y", fixture.Noon) }, "y"},
		"made and deleted": {"", func(t *testing.T, table store.Table) { Put(t, table, "k", "y", fixture.Noon); remove(t, table, "k") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			table := s.open(t)
			if c.row != "" {
				Put(t, table, "k", c.row, fixture.Noon)
			}
			row := known(t, table, "k")
			c.then(t, table)
			outdated := known(t, table, "k").Version != row.Version
			ctx, trips := store.WithTrips(t.Context())
			var last []byte
			err := table.UpdateFrom(ctx, "k", row, func(old []byte) (store.Row, error) {
				last = slices.Clone(old)
				return Append("+")(old)
			})
			if err != nil {
				t.Fatal(err)
			}
			if string(last) != c.now || (last == nil) != (c.now == "") {
				t.Errorf("fn saw %q at last, want %q", last, c.now)
			}
			if outdated && trips.Load() < 2 {
				t.Errorf("%d round trips, want more than 1 because the row was not the known one", trips.Load())
			}
			want(t, table, "k", c.now+"+", fixture.Noon)
		})
	}
	t.Run("without a version", func(t *testing.T) {
		table := s.open(t)
		Put(t, table, "k", "x", fixture.Noon)
		err := table.UpdateFrom(t.Context(), "k", store.Row{Data: []byte("guessed"), KeepUntil: fixture.Noon}, Append("+"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, table, "k", "x+", fixture.Noon)
	})
}

func testUpdateFromWithoutWrite(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "there", "kept", fixture.Noon)
	before := listed(t, table, fixture.Noon)
	own := errors.New("the caller's own error")
	for _, key := range []store.Key{"absent", "there"} {
		row := known(t, table, key)
		for _, returned := range []error{store.SkipWrite, own} {
			ctx, trips := store.WithTrips(t.Context())
			calls := 0
			err := table.UpdateFrom(ctx, key, row, func([]byte) (store.Row, error) {
				calls++
				return store.Row{Data: []byte("not to be written"), KeepUntil: fixture.Noon}, returned
			})
			if returned == own && err != own || returned != own && err != nil {
				t.Errorf("UpdateFrom(%s) = %v after fn returned %v", key, err, returned)
			}
			if calls != 1 || trips.Load() > 1 {
				t.Errorf("UpdateFrom(%s) took %d round trips and %d calls of fn, want at most 1, and 1", key, trips.Load(), calls)
			}
		}
	}
	if after := listed(t, table, fixture.Noon); !slices.Equal(after, before) {
		t.Errorf("versions changed from %v to %v", before, after)
	}
	want(t, table, "there", "kept", fixture.Noon)
	want(t, table, "absent", "", time.Time{})

	// After a conflict, what fn returns for the present row counts.
	row := known(t, table, "there")
	Put(t, table, "there", "newer", fixture.Noon)
	for _, returned := range []error{store.SkipWrite, own} {
		err := table.UpdateFrom(t.Context(), "there", row, func(old []byte) (store.Row, error) {
			if string(old) == "newer" {
				return store.Row{}, returned
			}
			return Append("+")(old)
		})
		if returned == own && err != own || returned != own && err != nil {
			t.Errorf("UpdateFrom after a conflict = %v after fn returned %v", err, returned)
		}
		want(t, table, "there", "newer", fixture.Noon)
	}
}

// fn is called neither for an invalid key nor after the end of the context.
func testUpdateFromInvalid(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "k", "kept", fixture.Noon)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []store.Row{{}, known(t, table, "k")} {
		never := func([]byte) (store.Row, error) {
			t.Error("fn was called")
			return store.Row{}, store.SkipWrite
		}
		if err := table.UpdateFrom(t.Context(), "not a key", row, never); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("an invalid key: %v, want ErrInvalid", err)
		}
		if err := table.UpdateFrom(canceled, "k", row, never); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v, want ErrUnavailable and Canceled", err)
		}
		none := func([]byte) (store.Row, error) { return store.Row{}, nil }
		if err := table.UpdateFrom(t.Context(), "k", row, none); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("an empty row: %v, want ErrInvalid", err)
		}
	}
	want(t, table, "k", "kept", fixture.Noon)
}

// Many begin with the same row, or with none. One of them finds it unchanged, and no
// update is lost.
func testUpdateFromSameRow(t *testing.T, s *suite) {
	const n = 16
	for _, before := range []string{"", "x"} {
		t.Run(fmt.Sprintf("%q", before), func(t *testing.T) {
			table := s.open(t)
			Put(t, table, "bystander", "x", fixture.Noon)
			if before != "" {
				Put(t, table, "k", before, fixture.Noon)
			}
			row := known(t, table, "k")
			var at [n]int // the length of the row before
			race(n, func(i int) {
				err := table.UpdateFrom(t.Context(), "k", row, func(old []byte) (store.Row, error) {
					at[i] = len(old)
					return Append(string(rune('a' + i)))(old)
				})
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
			got := Data(t, table, "k")
			if len(got) != len(before)+n {
				t.Fatalf("the row is %q, want %d bytes", got, len(before)+n)
			}
			for i, length := range at {
				if got[length] != byte('a'+i) {
					t.Errorf("the row is %q, and %c is not at %d, where its last fn saw the end", got, 'a'+i, length)
				}
			}
		})
	}
}

// Each write has another version, also of the same data.
func testVersionOfGet(t *testing.T, s *suite) {
	table := s.open(t)
	seen := map[string]bool{"": true}
	for range 3 {
		Put(t, table, "k", "x", fixture.Noon)
		version := known(t, table, "k").Version
		if seen[version] {
			t.Errorf("version %q stands for two writes, or is empty", version)
		}
		seen[version] = true
		if again := known(t, table, "k").Version; again != version {
			t.Errorf("version %q became %q without a write", version, again)
		}
	}
	if row := known(t, table, "absent"); row.Version != "" {
		t.Errorf("no row has version %q", row.Version)
	}
}
