package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

// listed sweeps the whole table and returns the expired rows, sorted by key.
func listed(tb TB, table store.Table, before time.Time) []store.Ref {
	tb.Helper()
	return listedFrom(tb, table, before, "")
}

func listedFrom(tb TB, table store.Table, before time.Time, cursor string) []store.Ref {
	tb.Helper()
	var all []store.Ref
	for range 1000 {
		page, err := table.Expired(tb.Context(), before, cursor)
		if err != nil {
			tb.Fatalf("Expired: %v", err)
		}
		all = append(all, page.Rows...)
		if cursor = page.Next; cursor == "" {
			sortRefs(all)
			return all
		}
	}
	tb.Fatalf("Expired does not reach the end")
	return nil
}

func sortRefs(refs []store.Ref) {
	slices.SortFunc(refs, func(a, b store.Ref) int { return strings.Compare(string(a.Key), string(b.Key)) })
}

func keys(refs []store.Ref) string {
	var s []string
	for _, r := range refs {
		s = append(s, string(r.Key))
	}
	return strings.Join(s, " ")
}

func testKeepUntil(t *testing.T, s *suite) {
	table := s.open(t)
	for _, c := range []struct{ in, out time.Time }{
		{fixture.Noon, fixture.Noon},
		{fixture.Noon.Add(1), fixture.Noon.Add(time.Second)},
		{fixture.Noon.Add(time.Second - 1), fixture.Noon.Add(time.Second)},
		{fixture.Noon.In(time.FixedZone("east", 5*3600+1800)), fixture.Noon},
		{time.Unix(-5, 1), time.Unix(-4, 0)},
		{time.Unix(0, 0), time.Unix(0, 0)},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	} {
		Put(t, table, "k", "x", c.in)
		want(t, table, "k", "x", c.out)
	}
}

func testExpired(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "a", "x", fixture.Noon.Add(-time.Hour))
	Put(t, table, "b", "x", fixture.Noon)
	Put(t, table, "c", "x", fixture.Noon.Add(1)) // rounded up to the next second
	Put(t, table, "d", "x", fixture.Noon.Add(time.Second))
	Put(t, table, "e", "x", fixture.Noon.Add(time.Hour))
	Put(t, table, "f", "x", time.Unix(-1, 0))
	for _, c := range []struct {
		before time.Time
		want   string
	}{
		{time.Unix(-2, 0), ""},
		{time.Unix(-1, 0), "f"},
		{fixture.Noon.Add(-time.Hour - 1), "f"},
		{fixture.Noon.Add(-time.Hour), "a f"},
		{fixture.Noon.Add(-1), "a f"},
		{fixture.Noon, "a b f"},
		{fixture.Noon.Add(time.Second - 1), "a b f"},
		{fixture.Noon.Add(time.Second), "a b c d f"},
		{fixture.Noon.Add(24 * time.Hour).In(time.FixedZone("west", -8*3600)), "a b c d e f"},
	} {
		if got := keys(listed(t, table, c.before)); got != c.want {
			t.Errorf("expired at %v: %q, want %q", c.before, got, c.want)
		}
	}
}

// fill writes n rows that have expired at noon, and n rows that have not. It returns the
// keys of the expired ones.
func fill(t *testing.T, table store.Table, n int) (expired string) {
	t.Helper()
	race(8, func(w int) {
		for i := w; i < n; i += 8 {
			for prefix, keepUntil := range map[string]time.Time{"old": fixture.Noon.Add(-time.Duration(i%3) * time.Second), "new": fixture.Noon.Add(time.Hour)} {
				if err := table.Update(t.Context(), store.Key(fmt.Sprintf("%s%04d", prefix, i)), Set("x", keepUntil)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("old%04d", i))
	}
	return strings.Join(all, " ")
}

// sweepSize is many times the page size in a store's tests.
const sweepSize = 60

// A sweep lists each expired row once, also if the rows are deleted during the sweep, as
// the purge does.
func testExpiredPages(t *testing.T, s *suite) {
	table := s.open(t)
	all := fill(t, table, sweepSize)
	if got := keys(listed(t, table, fixture.Noon)); got != all {
		t.Errorf("listed %s", got)
	}

	deleted, cursor := 0, ""
	for range 1000 {
		page, err := table.Expired(t.Context(), fixture.Noon, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range page.Rows {
			ok, err := table.Delete(t.Context(), ref)
			if err != nil || !ok {
				t.Fatalf("Delete(%v) = %v, %v", ref, ok, err)
			}
			deleted++
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if deleted != sweepSize {
		t.Errorf("deleted %d rows in one sweep, want %d", deleted, sweepSize)
	}
	if rest := listed(t, table, fixture.Noon); len(rest) != 0 {
		t.Errorf("not listed: %v", rest)
	}
	if rest := listed(t, table, fixture.Noon.Add(time.Hour)); len(rest) != sweepSize {
		t.Errorf("%d rows that had not expired are left, want %d", len(rest), sweepSize)
	}
}

func testExpiredFollowsUpdates(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "k", "x", fixture.Noon)
	Put(t, table, "k", "x", fixture.Noon.Add(time.Hour))
	if got := listed(t, table, fixture.Noon); len(got) != 0 {
		t.Errorf("listed %v although its KeepUntil is later", got)
	}
	Put(t, table, "k", "x", fixture.Noon.Add(-time.Hour))
	if got := listed(t, table, fixture.Noon); len(got) != 1 || got[0].Key != "k" {
		t.Errorf("listed %v although its KeepUntil has passed", got)
	}
	first := listed(t, table, fixture.Noon)
	Put(t, table, "k", "x", fixture.Noon.Add(-time.Hour))
	if second := listed(t, table, fixture.Noon); slices.Equal(first, second) {
		t.Errorf("a row that was written again has the same version as before: %v", second)
	}
}

func testExpiredCursor(t *testing.T, s *suite) {
	table := s.open(t)
	all := fill(t, table, sweepSize)
	for _, bad := range []string{"?", "not a cursor", "AA", "' or true", strings.Repeat("A", 100_000)} {
		if _, err := table.Expired(t.Context(), fixture.Noon, bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Expired with cursor %.20q: %v, want ErrInvalid", bad, err)
		}
	}
	if s.reopen == nil {
		return
	}
	page, err := table.Expired(t.Context(), fixture.Noon, "")
	if err != nil {
		t.Fatal(err)
	}
	if page.Next == "" {
		t.Fatalf("all %d rows are on one page: open the store with a smaller page size", sweepSize)
	}
	rest := listedFrom(t, s.reopen(t, table), fixture.Noon, page.Next)
	got := append(page.Rows, rest...)
	sortRefs(got)
	if keys(got) != all {
		t.Errorf("listed by two handles: %s", keys(got))
	}
}

func testDelete(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "a", "x", fixture.Noon)
	Put(t, table, "b", "y", fixture.Noon)
	refs := listed(t, table, fixture.Noon)
	if keys(refs) != "a b" {
		t.Fatalf("listed %v", refs)
	}
	for i, want := range []bool{true, false} {
		ok, err := table.Delete(t.Context(), refs[0])
		if err != nil || ok != want {
			t.Errorf("Delete, time %d: %v, %v, want %v", i+1, ok, err, want)
		}
	}
	want(t, table, "a", "", time.Time{})
	want(t, table, "b", "y", fixture.Noon)
	if got := keys(listed(t, table, fixture.Noon)); got != "b" {
		t.Errorf("listed %q, want b", got)
	}
	ok, err := table.Delete(t.Context(), store.Ref{Key: "absent", Version: refs[1].Version})
	if err != nil || ok {
		t.Errorf("Delete of a row that never existed: %v, %v", ok, err)
	}
}

// The row is written again just before the purge deletes it.
func testDeleteChanged(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "k", "x", fixture.Noon)
	ref := listed(t, table, fixture.Noon)[0]
	Put(t, table, "k", "x", fixture.Noon) // even the same bytes are another version
	if ok, err := table.Delete(t.Context(), ref); err != nil || ok {
		t.Errorf("Delete of a changed row: %v, %v, want false", ok, err)
	}
	want(t, table, "k", "x", fixture.Noon)
}

func testDeleteRemade(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "k", "x", fixture.Noon)
	ref := listed(t, table, fixture.Noon)[0]
	if ok, err := table.Delete(t.Context(), ref); err != nil || !ok {
		t.Fatalf("Delete: %v, %v", ok, err)
	}
	Put(t, table, "k", "x", fixture.Noon)
	if ok, err := table.Delete(t.Context(), ref); err != nil || ok {
		t.Errorf("Delete of a row that was created again: %v, %v, want false", ok, err)
	}
	want(t, table, "k", "x", fixture.Noon)
}

// No version may match all versions of a row.
func testDeleteVersion(t *testing.T, s *suite) {
	table := s.open(t)
	Put(t, table, "k", "x", fixture.Noon)
	version := listed(t, table, fixture.Noon)[0].Version
	for _, bad := range []string{"", "*", " ", version + "\r\nX: y", version + "é"} {
		ok, err := table.Delete(t.Context(), store.Ref{Key: "k", Version: bad})
		if ok || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Delete with version %q: %v, %v, want ErrInvalid", bad, ok, err)
		}
	}
	want(t, table, "k", "x", fixture.Noon)
}
