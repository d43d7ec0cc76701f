package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/store"
)

// listed sweeps the whole table and returns what has expired, sorted.
func listed(tb testingT, table store.Table, before time.Time) []store.Ref {
	tb.Helper()
	return listedFrom(tb, table, before, "")
}

func listedFrom(tb testingT, table store.Table, before time.Time, cursor string) []store.Ref {
	tb.Helper()
	var all []store.Ref
	for range 1000 {
		page, err := table.Expired(tb.Context(), before, cursor)
		if err != nil {
			tb.Fatalf("Expired: %v", err)
		}
		all = append(all, page.Rows...)
		if cursor = page.Next; cursor == "" {
			slices.SortFunc(all, func(a, b store.Ref) int { return strings.Compare(string(a.Key), string(b.Key)) })
			return all
		}
	}
	tb.Fatal("Expired does not come to an end")
	return nil
}

func keys(refs []store.Ref) string {
	var s []string
	for _, r := range refs {
		s = append(s, string(r.Key))
	}
	return strings.Join(s, " ")
}

func testExpired(t *testing.T, s *suite) {
	table := s.open(t)
	put(t, table, "a", "x", epoch.Add(-time.Hour))
	put(t, table, "b", "x", epoch)
	put(t, table, "c", "x", epoch.Add(1)) // kept until a second later
	put(t, table, "d", "x", epoch.Add(time.Second))
	put(t, table, "e", "x", epoch.Add(time.Hour))
	put(t, table, "f", "x", time.Unix(-1, 0))
	for _, c := range []struct {
		before time.Time
		want   string
	}{
		{time.Unix(-2, 0), ""},
		{time.Unix(-1, 0), "f"},
		{epoch.Add(-time.Hour - 1), "f"},
		{epoch.Add(-time.Hour), "a f"},
		{epoch.Add(-1), "a f"},
		{epoch, "a b f"},
		{epoch.Add(time.Second - 1), "a b f"},
		{epoch.Add(time.Second), "a b c d f"},
		{epoch.Add(24 * time.Hour).In(time.FixedZone("west", -8*3600)), "a b c d e f"},
	} {
		if got := keys(listed(t, table, c.before)); got != c.want {
			t.Errorf("expired at %v: %q, want %q", c.before, got, c.want)
		}
	}
}

// fill writes n rows that have expired at epoch and as many that haven't.
func fill(t *testing.T, table store.Table, n int) (expired string) {
	t.Helper()
	race(8, func(w int) {
		for i := w; i < n; i += 8 {
			for prefix, keepUntil := range map[string]time.Time{"old": epoch.Add(-time.Duration(i%3) * time.Second), "new": epoch.Add(time.Hour)} {
				err := table.Update(t.Context(), store.Key(fmt.Sprintf("%s%04d", prefix, i)), func([]byte) (store.Row, error) {
					return store.Row{Data: []byte("x"), KeepUntil: keepUntil}, nil
				})
				if err != nil {
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

// sweepSize is many times the page size that a store's tests choose.
const sweepSize = 60

// A sweep lists each expired row once, also when its rows are deleted as it
// goes, which is how the purge works.
func testExpiredPages(t *testing.T, s *suite) {
	table := s.open(t)
	all := fill(t, table, sweepSize)
	if got := keys(listed(t, table, epoch)); got != all {
		t.Errorf("listed %s", got)
	}

	deleted, cursor := 0, ""
	for range 1000 {
		page, err := table.Expired(t.Context(), epoch, cursor)
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
	if rest := listed(t, table, epoch); len(rest) != 0 {
		t.Errorf("left behind: %v", rest)
	}
	if rest := listed(t, table, epoch.Add(time.Hour)); len(rest) != sweepSize {
		t.Errorf("%d rows that had not expired are left, want %d", len(rest), sweepSize)
	}
}

func testExpiredFollowsUpdates(t *testing.T, s *suite) {
	table := s.open(t)
	put(t, table, "k", "x", epoch)
	put(t, table, "k", "x", epoch.Add(time.Hour))
	if got := listed(t, table, epoch); len(got) != 0 {
		t.Errorf("listed %v although its time was put off", got)
	}
	put(t, table, "k", "x", epoch.Add(-time.Hour))
	if got := listed(t, table, epoch); len(got) != 1 || got[0].Key != "k" {
		t.Errorf("listed %v although its time was brought forward", got)
	}
	first := listed(t, table, epoch)
	put(t, table, "k", "x", epoch.Add(-time.Hour))
	if second := listed(t, table, epoch); slices.Equal(first, second) {
		t.Errorf("a row that was written again has the same version as before: %v", second)
	}
}

func testExpiredCursor(t *testing.T, s *suite) {
	table := s.open(t)
	all := fill(t, table, sweepSize)
	for _, bad := range []string{"?", "not a cursor", "AA", "' or true", strings.Repeat("A", 100_000)} {
		if _, err := table.Expired(t.Context(), epoch, bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Expired with cursor %.20q: %v, want ErrInvalid", bad, err)
		}
	}
	if s.reopen == nil {
		return
	}
	page, err := table.Expired(t.Context(), epoch, "")
	if err != nil {
		t.Fatal(err)
	}
	if page.Next == "" {
		t.Fatalf("all of %d rows came in one page: open the store with a smaller page size", sweepSize)
	}
	rest := listedFrom(t, s.reopen(t, table), epoch, page.Next)
	got := append(page.Rows, rest...)
	slices.SortFunc(got, func(a, b store.Ref) int { return strings.Compare(string(a.Key), string(b.Key)) })
	if keys(got) != all {
		t.Errorf("listed by two handles: %s", keys(got))
	}
}

func testDelete(t *testing.T, s *suite) {
	table := s.open(t)
	put(t, table, "a", "x", epoch)
	put(t, table, "b", "y", epoch)
	refs := listed(t, table, epoch)
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
	want(t, table, "b", "y", epoch)
	if got := keys(listed(t, table, epoch)); got != "b" {
		t.Errorf("listed %q, want b", got)
	}
	ok, err := table.Delete(t.Context(), store.Ref{Key: "absent", Version: refs[1].Version})
	if err != nil || ok {
		t.Errorf("Delete of a row that never was: %v, %v", ok, err)
	}
}

// A person comes back just as the purge is about to remove the row.
func testDeleteChanged(t *testing.T, s *suite) {
	table := s.open(t)
	put(t, table, "k", "x", epoch)
	ref := listed(t, table, epoch)[0]
	put(t, table, "k", "x", epoch) // even the same bytes are another version
	if ok, err := table.Delete(t.Context(), ref); err != nil || ok {
		t.Errorf("Delete of a changed row: %v, %v, want false", ok, err)
	}
	want(t, table, "k", "x", epoch)
}

func testDeleteRemade(t *testing.T, s *suite) {
	table := s.open(t)
	put(t, table, "k", "x", epoch)
	ref := listed(t, table, epoch)[0]
	if ok, err := table.Delete(t.Context(), ref); err != nil || !ok {
		t.Fatalf("Delete: %v, %v", ok, err)
	}
	put(t, table, "k", "x", epoch)
	if ok, err := table.Delete(t.Context(), ref); err != nil || ok {
		t.Errorf("Delete of a row made anew: %v, %v, want false", ok, err)
	}
	want(t, table, "k", "x", epoch)
}

// No version may come to mean "whatever is there".
func testDeleteVersion(t *testing.T, s *suite) {
	table := s.open(t)
	put(t, table, "k", "x", epoch)
	version := listed(t, table, epoch)[0].Version
	for _, bad := range []string{"", "*", " ", version + "\r\nX: y", version + "é"} {
		ok, err := table.Delete(t.Context(), store.Ref{Key: "k", Version: bad})
		if ok || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Delete with version %q: %v, %v, want ErrInvalid", bad, ok, err)
		}
	}
	want(t, table, "k", "x", epoch)
}
