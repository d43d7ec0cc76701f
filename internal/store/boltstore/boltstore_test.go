package boltstore

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

// TestMain lets this test binary run as another process: see TestKill.
func TestMain(m *testing.M) {
	if path := os.Getenv("BOLTSTORE_TEST_WRITE"); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

// openStore opens a store with small pages, so that sweeps need many of them.
func openStore(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s.pageSize = 7
	t.Cleanup(func() { s.db.Close() })
	return s
}

func closeStore(t *testing.T, s store.Table) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func file(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "twofa.db")
}

func TestConformance(t *testing.T) {
	storetest.Run(t,
		func(t *testing.T) store.Table { return openStore(t, file(t)) },
		storetest.Reopen(func(t *testing.T, first store.Table) store.Table {
			path := first.(*Store).db.Path()
			closeStore(t, first)
			return openStore(t, path)
		}))
}

func TestReopen(t *testing.T) {
	path := file(t)
	s := openStore(t, path)
	storetest.Put(t, s, "k", "kept", fixture.Noon)
	page, err := s.Expired(t.Context(), fixture.Noon, "")
	if err != nil || len(page.Rows) != 1 {
		t.Fatalf("Expired: %v, %v", page, err)
	}
	closeStore(t, s)
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get after Close: %v, want ErrUnavailable", err)
	}

	s = openStore(t, path)
	if got := storetest.Data(t, s, "k"); got != "kept" {
		t.Errorf("after reopening: %q, want kept", got)
	}
	// Versions continue after reopening. Otherwise an old sweep could delete a new row.
	if ok, err := s.Delete(t.Context(), page.Rows[0]); !ok || err != nil {
		t.Fatalf("Delete: %v, %v", ok, err)
	}
	closeStore(t, s)
	s = openStore(t, path)
	storetest.Put(t, s, "k", "new", fixture.Noon)
	if ok, err := s.Delete(t.Context(), page.Rows[0]); ok || err != nil {
		t.Errorf("Delete of a row that was created again after reopening: %v, %v, want false", ok, err)
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	notBolt := filepath.Join(dir, "text")
	if err := os.WriteFile(notBolt, []byte(strings.Repeat("not a store\n", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "no", "folder"), dir, notBolt} {
		s, err := Open(path)
		if err == nil || s != nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%s): %v, want an error that names the file", path, err)
		}
	}
}

func TestFileMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes on Windows")
	}
	s := openStore(t, file(t))
	info, err := os.Stat(s.db.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want -rw-------", info.Mode(), err)
	}
}

// writeUntilKilled increases the count in a row, and prints each count when the store has
// reported it as written.
func writeUntilKilled(path string) {
	s, err := Open(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		var n uint64
		err := s.Update(context.Background(), "counter", func(old []byte) (store.Row, error) {
			n = 1
			if old != nil {
				n = binary.BigEndian.Uint64(old) + 1
			}
			return store.Row{Data: binary.BigEndian.AppendUint64(nil, n), KeepUntil: fixture.Noon.Add(time.Duration(n) * time.Second)}, nil
		})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

// A process is killed several times while it writes. Each write that was reported is
// stored, and at most one more, and the index matches the rows.
func TestKill(t *testing.T) {
	path := file(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	told := uint64(0)
	for round := range 5 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "BOLTSTORE_TEST_WRITE="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		before := told
		for lines.Scan() {
			n, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				t.Fatalf("the other process prints: %s", lines.Text())
			}
			told = n
			if told == before+3 && round == 0 {
				assertLocked(t, path)
			}
			if told == before+10+uint64(round) {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd.Wait()
		if told < before+10 {
			t.Fatalf("round %d: the other process ended after %d writes, before it was killed", round, told-before)
		}

		s := openStore(t, path)
		n := binary.BigEndian.Uint64([]byte(storetest.Data(t, s, "counter")))
		if n != told && n != told+1 {
			t.Errorf("round %d: stored %d after the other process had printed %d", round, n, told)
		}
		page, err := s.Expired(t.Context(), fixture.Noon.Add(time.Duration(n)*time.Second), "")
		if err != nil || len(page.Rows) != 1 {
			t.Errorf("round %d: Expired: %v, %v, want the row", round, page, err)
		}
		page, err = s.Expired(t.Context(), fixture.Noon.Add(time.Duration(n-1)*time.Second), "")
		if err != nil || len(page.Rows) != 0 {
			t.Errorf("round %d: Expired: %v, %v, want nothing", round, page, err)
		}
		closeStore(t, s)
	}
}

func assertLocked(t *testing.T, path string) {
	t.Helper()
	began := time.Now()
	s, err := Open(path)
	if err == nil {
		s.Close()
		t.Fatal("two processes have the file open")
	}
	if !strings.Contains(err.Error(), "another process") || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that says that another process holds the file", err)
	}
	if took := time.Since(began); took > lockTimeout+2*time.Second {
		t.Errorf("the error took %v", took)
	}
}

// The previous process ends shortly after this one starts, as in a restart.
func TestOpenWaits(t *testing.T) {
	path := file(t)
	first := openStore(t, path)
	go func() {
		time.Sleep(lockTimeout / 4)
		first.Close()
	}()
	s, err := Open(path)
	if err != nil {
		t.Fatalf("Open: %v, want it to wait", err)
	}
	s.Close()
}

// The disk hangs: calls end at their deadline, the outcome of the write is unknown, and
// its fn is not called afterwards.
func TestDiskHangs(t *testing.T) {
	s := openStore(t, file(t))
	storetest.Put(t, s, "k", "old", fixture.Noon)
	hang := make(chan struct{})
	s.commit = func(tx *bolt.Tx) error {
		<-hang
		return tx.Commit()
	}
	for _, key := range []store.Key{"k", "other"} { // the second write waits for the first
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		err := s.Update(ctx, key, func([]byte) (store.Row, error) {
			if key == "other" {
				t.Error("fn was called during another write")
			}
			return store.Row{Data: []byte("new"), KeepUntil: fixture.Noon}, nil
		})
		cancel()
		if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Update: %v, want ErrUnavailable because of the deadline", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	}
	if got := storetest.Data(t, s, "k"); got != "old" {
		t.Errorf("reading meanwhile: %q, want old", got)
	}
	close(hang)
	s.writing <- struct{}{} // wait for the write that hung
	<-s.writing
	if got := storetest.Data(t, s, "k"); got != "new" {
		t.Errorf("afterwards: %q, want new", got)
	}
	s.commit = (*bolt.Tx).Commit
	storetest.Put(t, s, "k", "newer", fixture.Noon)
	if got := storetest.Data(t, s, "k"); got != "newer" {
		t.Errorf("after another write: %q, want newer", got)
	}
}

// The disk fails: nothing is written, and the store still works.
func TestDiskFails(t *testing.T) {
	s := openStore(t, file(t))
	storetest.Put(t, s, "k", "old", fixture.Noon)
	s.commit = func(tx *bolt.Tx) error {
		tx.Rollback()
		return errors.New("write /secret/path: no space left on device")
	}
	err := s.Update(t.Context(), "k", storetest.Set("new", fixture.Noon))
	if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Update: %v, want ErrUnavailable", err)
	}
	s.commit = (*bolt.Tx).Commit
	if got := storetest.Data(t, s, "k"); got != "old" {
		t.Errorf("stored %q, want old", got)
	}
	storetest.Put(t, s, "k", "new", fixture.Noon)
}

// The context ends while fn runs: nothing is written.
func TestDeadlineInFn(t *testing.T) {
	s := openStore(t, file(t))
	storetest.Put(t, s, "k", "old", fixture.Noon)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, "k", func([]byte) (store.Row, error) {
		cancel()
		return store.Row{Data: []byte("new"), KeepUntil: fixture.Noon}, nil
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Update: %v, want ErrUnavailable", err)
	}
	if got := storetest.Data(t, s, "k"); got != "old" {
		t.Errorf("stored %q, want old", got)
	}
}

// A malformed entry of the index ends a sweep.
func TestMalformedIndex(t *testing.T) {
	s := openStore(t, file(t))
	if err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(expiryBucket).Put([]byte("\x00"), nil) }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Expired(t.Context(), fixture.Noon, ""); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Expired: %v, want ErrUnavailable", err)
	}
}

// putRaw writes an entry that is no row.
func putRaw(s *Store, key store.Key, raw string) error {
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(rowsBucket).Put([]byte(key), []byte(raw)) })
}

func boltOpen(path string) (*bolt.DB, error) { return bolt.Open(path, 0o600, nil) }

// The index always has one entry per row.
func TestIndexDoesNotGrow(t *testing.T) {
	s := openStore(t, file(t))
	for i := range 20 {
		err := s.Update(t.Context(), store.Key(fmt.Sprint("k", i%3)), storetest.Set("x", fixture.Noon.Add(time.Duration(i)*time.Minute)))
		if err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.Expired(t.Context(), fixture.Noon.Add(time.Hour), "")
	if err != nil || len(page.Rows) != 3 {
		t.Fatalf("Expired: %v, %v", page, err)
	}
	if _, err := s.Delete(t.Context(), page.Rows[0]); err != nil {
		t.Fatal(err)
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		rows, index := tx.Bucket(rowsBucket).Stats().KeyN, tx.Bucket(expiryBucket).Stats().KeyN
		if rows != 2 || index != 2 {
			t.Errorf("%d rows and %d entries in the index, want 2 and 2", rows, index)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
