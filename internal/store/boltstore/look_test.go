package boltstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"twofa/internal/store"
)

// state is everything about the files of a folder that a change would change.
func state(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		content, _ := os.ReadFile(filepath.Join(folder, e.Name())) // fails for a folder
		all[e.Name()] = info.Mode().String() + info.ModTime().String() + string(content)
	}
	return all
}

func TestLookReadsAndChangesNothing(t *testing.T) {
	path, content := fill(t, rowsOf(100))
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	before := state(t, filepath.Dir(path))
	rows, err := Look(path, 5)
	if err != nil || len(rows) != 10 || !strings.HasPrefix(string(rows[0]), "data of row") {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if !reflect.DeepEqual(state(t, filepath.Dir(path)), before) {
		t.Error("Look has changed a file")
	}
	closeStore(t, openStore(t, path)) // no lock is left

	empty := file(t)
	closeStore(t, openStore(t, empty))
	if rows, err := Look(empty, 5); err != nil || len(rows) != 0 {
		t.Errorf("empty: %d rows, %v", len(rows), err)
	}

	for name, damage := range map[string][]byte{
		"empty": {}, "text": []byte("text"), "cut": content[:len(content)/2], "zeros": make([]byte, len(content)),
	} {
		if err := os.WriteFile(path, damage, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Look(path, 5); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Look(filepath.Dir(path), 5); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("a folder: %v", err)
	}
	missing := filepath.Join(t.TempDir(), "none")
	if _, err := Look(missing, 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("Look has made a file")
	}
}

func TestLookDoesNotWaitForTheService(t *testing.T) {
	if !canShare {
		t.Skip("this system has no shared locks")
	}
	path := file(t)
	s := openStore(t, path)
	if _, err := Look(path, 1); !errors.Is(err, ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
	closeStore(t, s)
	if _, err := Look(path, 1); err != nil {
		t.Error(err)
	}
}
