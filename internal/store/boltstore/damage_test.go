package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

// size of a page of the files that these tests make.
var page = int64(os.Getpagesize())

// rowsOf are the rows of the files that these tests damage: some are larger than a page.
func rowsOf(n int) map[store.Key]string {
	rows := make(map[store.Key]string)
	for i := range n {
		data := fmt.Sprintf("data of row %d ", i)
		if i%50 == 0 {
			data = strings.Repeat(data, 2000)[:20_000]
		}
		rows[store.Key(fmt.Sprintf("%016x", uint64(i)*0x9E3779B97F4A7C15))] = data
	}
	return rows
}

// fill makes a file with the rows, and returns its content. Some rows were deleted, so
// that there are free pages.
func fill(t *testing.T, rows map[store.Key]string) (path string, content []byte) {
	t.Helper()
	path = file(t)
	s := openStore(t, path)
	if err := s.Batch(t.Context(), func(table store.Table) error {
		for key, data := range rows {
			if err := table.Update(t.Context(), key, storetest.Set(data, fixture.Noon.Add(time.Duration(len(key))*time.Minute))); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		storetest.Put(t, s, "gone", strings.Repeat("x", 30_000), fixture.Noon)
		expired, err := s.Expired(t.Context(), fixture.Noon, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range expired.Rows {
			if _, err := s.Delete(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeStore(t, s)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, content
}

// differing opens the file and returns how many rows are missing, and how many differ. It
// returns Open's error.
func differing(t *testing.T, path string, rows map[store.Key]string) (missing, changed int, err error) {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	for key, want := range rows {
		switch row, err := s.Get(t.Context(), key); {
		case errors.Is(err, store.ErrNotFound):
			missing++
		case err != nil || string(row.Data) != want:
			changed++
		}
	}
	return missing, changed, nil
}

// A store in place of a damaged one would have lost all counters, beside the old secret.
func TestAttack29_ADamagedFileStopsTheStartAndStays(t *testing.T) {
	rows := rowsOf(300)
	path, whole := fill(t, rows)
	fresh := file(t)
	closeStore(t, openStore(t, fresh))
	empty, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int64, piece []byte) []byte {
		b := bytes.Clone(whole)
		copy(b[at:], piece)
		return b
	}
	garbage := func(n int64) []byte {
		b := make([]byte, n)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	size := int64(len(whole))
	for name, content := range map[string][]byte{
		"empty":                            {},
		"one byte":                         whole[:1],
		"half a page":                      whole[:page/2],
		"one page":                         whole[:page],
		"two pages":                        whole[:2*page],
		"three pages":                      whole[:3*page],
		"cut in half":                      whole[:size/2],
		"cut by a page before its end":     whole[:size/2/page*page],
		"garbage":                          garbage(size),
		"garbage in a small file":          garbage(100),
		"text":                             bytes.Repeat([]byte("not a store\n"), 2000),
		"zeros":                            make([]byte, size),
		"garbage at its beginning":         with(0, garbage(page)),
		"garbage in its second page":       with(page, garbage(page)),
		"garbage in both":                  with(0, garbage(2*page)),
		"the first page twice":             with(page, whole[:page]),
		"the second page twice":            with(0, whole[page:2*page]),
		"zeros after its first pages":      append(bytes.Clone(whole[:2*page]), make([]byte, size-2*page)...),
		"garbage after its first pages":    with(2*page, garbage(size-2*page)),
		"the first pages of an empty file": with(0, empty[:2*page]),
		"its first pages and an empty one": append(bytes.Clone(whole[:2*page]), empty[2*page:]...),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if text := err.Error(); !strings.Contains(text, path) || !strings.Contains(text, "Restore it") || !strings.Contains(text, "the secret beside it") {
				t.Errorf("the error does not say what to do: %v", err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if missing, changed, err := differing(t, path, rows); missing+changed > 0 || err != nil {
		t.Errorf("restored: %d rows are missing, %d differ, %v", missing, changed, err)
	}
}

func TestAttack29_AFolderOrALinkToNothingIsNoStore(t *testing.T) {
	folder := t.TempDir()
	if _, err := Open(folder); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	link := filepath.Join(folder, "twofa.db")
	if err := os.Symlink(filepath.Join(folder, "missing", "twofa.db"), link); err != nil {
		t.Skip(err)
	}
	if s, err := Open(link); err == nil {
		s.Close()
		t.Error("a link to nothing was opened")
	}
	if _, err := Open("/dev/zero"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a device: %v", err)
	}
}

// Each page is damaged in each way. Open finds it, or the page is not in use.
func TestAttack29_ADamagedPageIsFoundOrNotInUse(t *testing.T) {
	rows := rowsOf(300)
	path, whole := fill(t, rows)
	found, unused := 0, 0
	for at := int64(0); at < int64(len(whole)); at += page {
		other := whole[(at+page)%int64(len(whole)):][:page]
		random := make([]byte, page)
		for i := range random {
			random[i] = byte(rand.Uint32())
		}
		shifted := append(bytes.Clone(whole[at+1:at+page]), 0)
		for name, piece := range map[string][]byte{
			"zeros": make([]byte, page), "ones": bytes.Repeat([]byte{0xff}, int(page)), "random": random,
			"the next page": other, "shifted by a byte": shifted, "half of it zeros": append(bytes.Clone(whole[at:at+page/2]), make([]byte, page/2)...),
		} {
			content := bytes.Clone(whole)
			copy(content[at:], piece)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			missing, changed, err := differing(t, path, rows)
			switch {
			case err != nil:
				found++
			case missing > 0:
				t.Errorf("page %d, %s: opened with %d rows missing", at/page, name, missing)
			case changed > 0 && !bytes.Equal(piece, whole[at:at+page]):
				// The inside of a row that is larger than a page: its seal does not open.
				if changed > 1 {
					t.Errorf("page %d, %s: opened with %d rows that differ", at/page, name, changed)
				}
			default:
				unused++
			}
		}
	}
	if found == 0 || unused == 0 {
		t.Errorf("%d damages were found, and %d changed nothing", found, unused)
	}
}

// A single bit that is wrong loses no row. It may change the data of a row, which its seal
// finds.
func TestAttack29_AWrongBitLosesNoRow(t *testing.T) {
	rows := rowsOf(60)
	path, whole := fill(t, rows)
	r := rand.New(rand.NewPCG(3, 4))
	for range 600 {
		content := bytes.Clone(whole)
		bit := r.IntN(8 * len(content))
		content[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if missing, changed, err := differing(t, path, rows); err == nil && (missing > 0 || changed > 1) {
			t.Errorf("bit %d of byte %d: opened with %d rows missing and %d that differ", bit%8, bit/8, missing, changed)
		}
	}
}

// Something damages the file while the service runs. No call panics, or waits beyond its
// time limit, or gets a row that is not there.
func TestAttack29_AFileThatIsDamagedWhileItIsOpen(t *testing.T) {
	rows := rowsOf(300)
	for name, spoil := range map[string]func(f *os.File, size int64) error{
		"emptied":          func(f *os.File, _ int64) error { return f.Truncate(0) },
		"cut":              func(f *os.File, size int64) error { return f.Truncate(size / 2 / page * page) },
		"cut to two pages": func(f *os.File, _ int64) error { return f.Truncate(2 * page) },
		"zeros":            func(f *os.File, size int64) error { _, err := f.WriteAt(make([]byte, size), 0); return err },
		"ones after 2 pages": func(f *os.File, size int64) error {
			_, err := f.WriteAt(bytes.Repeat([]byte{0xff}, int(size-2*page)), 2*page)
			return err
		},
		"text": func(f *os.File, size int64) error {
			_, err := f.WriteAt(bytes.Repeat([]byte("not a store\n"), int(size)/12), 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, whole := fill(t, rows)
			s, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := spoil(f, int64(len(whole))); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for key, want := range rows {
				row, err := s.Get(t.Context(), key)
				if err == nil && string(row.Data) != want || errors.Is(err, store.ErrNotFound) {
					t.Fatalf("Get: %q, %v: a lost row counts as a missing one", row.Data, err)
				}
				if err := s.Update(t.Context(), key, storetest.Append("x")); err != nil && !errors.Is(err, store.ErrUnavailable) {
					t.Fatalf("Update: %v", err)
				}
				break
			}
			if _, err := s.Expired(t.Context(), fixture.Noon.Add(time.Hour), ""); err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Expired: %v", err)
			}
			if _, err := s.Delete(t.Context(), store.Ref{Key: "k", Version: "1"}); err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Delete: %v", err)
			}
			_ = s.Close()
			if took := time.Since(began); took > 2*callTimeout {
				t.Errorf("took %v", took)
			}
		})
	}
}

// reads counts what is read of a file.
type reads struct {
	io.ReaderAt
	bytes int64
}

func (r *reads) ReadAt(p []byte, at int64) (int, error) {
	r.bytes += int64(len(p))
	return r.ReaderAt.ReadAt(p, at)
}

// A large file does not delay the start: the check reads a limited part of it.
func TestAttack29_TheCheckOfAFileIsBounded(t *testing.T) {
	_, whole := fill(t, rowsOf(3000))
	const free = 16 << 10 // the list of free pages, and the pages of the last step
	for _, budget := range []int64{0, page, 10 * page, 1 << 20, maxChecked} {
		r := &reads{ReaderAt: bytes.NewReader(whole)}
		if err := check(r, int64(len(whole)), budget); err != nil {
			t.Fatal(err)
		}
		if limit := budget + 24_000 + free; r.bytes > limit {
			t.Errorf("read %d bytes with a budget of %d", r.bytes, budget)
		}
	}
}

// Nothing but a whole store ever has the store's name, so an empty file is a damaged one.
func TestOpen_MakesAStoreAtOnce(t *testing.T) {
	path := file(t)
	errs := make(chan error, 4)
	stores := make(chan *Store, 4)
	for range cap(errs) {
		go func() {
			s, err := Open(path)
			if err == nil {
				stores <- s
			}
			errs <- err
		}()
	}
	opened := 0
	for range cap(errs) {
		if err := <-errs; err == nil {
			opened++
		} else if !errors.Is(err, ErrLocked) {
			t.Errorf("%v, want ErrLocked", err)
		}
	}
	if opened != 1 {
		t.Fatalf("%d opened the store", opened)
	}
	closeStore(t, <-stores)
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("left %v, %v", names, err)
	}
}

// The release before opened a file before it had its buckets.
func TestOpen_CompletesAFileWithoutBuckets(t *testing.T) {
	path := file(t)
	made, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	made.Close()
	db, err := boltOpen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, path)
	storetest.Put(t, s, "k", "kept", fixture.Noon)
}

// A row that nobody wrote in this form is an error of its own, and can be replaced.
func TestDamagedRow(t *testing.T) {
	s := openStore(t, file(t))
	storetest.Put(t, s, "k", "old", fixture.Noon.Add(time.Minute))
	if err := putRaw(s, "k", "short"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: %v, want ErrDamaged", err)
	}
	if ok, err := s.Delete(t.Context(), store.Ref{Key: "k", Version: "1"}); ok || err != nil {
		t.Errorf("Delete: %v, %v, want false: its version is not known", ok, err)
	}
	if err := s.Update(t.Context(), "k", func(old []byte) (store.Row, error) {
		if old == nil || len(old) != 0 {
			t.Errorf("fn got %q, want an empty slice that is not nil", old)
		}
		return storetest.Set("new", fixture.Noon)(old)
	}); err != nil {
		t.Fatal(err)
	}
	path := s.db.Path()
	closeStore(t, s)
	s = openStore(t, path) // which checks that the index has one entry
	if got := storetest.Data(t, s, "k"); got != "new" {
		t.Errorf("stored %q", got)
	}
}
