package secretfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/internal/testing/fixture"
)

// openStore opens an empty store, and returns the path of the secret beside it.
func openStore(t *testing.T) (table *boltstore.Store, path string) {
	t.Helper()
	folder := t.TempDir()
	table, err := boltstore.Open(filepath.Join(folder, "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table, filepath.Join(folder, "secret")
}

func TestASecretIsMadeOnceAndKeptPrivate(t *testing.T) {
	table, path := openStore(t)
	first, err := Load(path, table.Empty)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", info.Mode().Perm())
	}
	second, err := Load(path, table.Empty)
	if err != nil {
		t.Fatal(err)
	}
	if first.Current() != second.Current() {
		t.Error("the second start has another secret")
	}

	if err := os.WriteFile(path, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, table.Empty); err == nil {
		t.Error("a broken secret was replaced or accepted: all rows would be lost without an error")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "broken" {
		t.Errorf("the broken secret was replaced: %v", err)
	}
}

func TestASecretIsNotMadeBesideRows(t *testing.T) {
	table, path := openStore(t)
	if empty, err := table.Empty(); err != nil || !empty {
		t.Errorf("a new store: empty %t, %v", empty, err)
	}
	err := table.Update(t.Context(), "0123456789abcdef", func([]byte) (store.Row, error) {
		return store.Row{Data: []byte("sealed"), KeepUntil: fixture.Noon}, nil // expired rows count, too
	})
	if err != nil {
		t.Fatal(err)
	}
	if empty, err := table.Empty(); err != nil || empty {
		t.Errorf("a store with a row: empty %t, %v", empty, err)
	}
	if _, err := Load(path, table.Empty); err == nil || !strings.Contains(err.Error(), "put it back") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a secret was made")
	}
}

// Whoever can read the file has all codes, and whoever can write it chooses them.
func TestAttack13_AFileThatOthersMayReadOrWriteIsRefused(t *testing.T) {
	table, path := openStore(t)
	if _, err := Load(path, table.Empty); err != nil {
		t.Fatal(err)
	}
	before := content(t, path)
	for mode, private := range map[os.FileMode]bool{
		0o600: true, 0o400: true, 0o700: true, 0o640: false, 0o604: false, 0o620: false, 0o602: false, 0o610: false, 0o601: false, 0o644: false, 0o666: false, 0o777: false,
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, table.Empty)
		if private && err != nil {
			t.Errorf("%o: %v", mode, err)
		}
		if !private && (err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) || strings.Contains(err.Error(), before[:6])) {
			t.Errorf("%o: got %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil || content(t, path) != before {
		t.Errorf("the secret was changed: %v", err)
	}
}

// Whoever can put something else in the file's place must not choose the secret, or
// stop the process without a word.
func TestAttack13_OnlyARegularFileIsRead(t *testing.T) {
	for name, put := range map[string]func(path, other string) error{
		"a link to a secret": func(path, other string) error { return os.Symlink(other, path) },
		"a link to nothing":  func(path, other string) error { return os.Symlink(other+".none", path) },
		"a link to itself":   func(path, _ string) error { return os.Symlink(path, path) },
		"a link to a device": func(path, _ string) error { return os.Symlink("/dev/zero", path) },
		"a folder":           func(path, _ string) error { return os.Mkdir(path, 0o700) },
		"a named pipe":       func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		"a socket":           func(path, _ string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			table, path := openStore(t)
			other := filepath.Join(t.TempDir(), "other")
			if err := os.WriteFile(other, []byte(fixture.Secret(1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := put(path, other); err != nil {
				t.Fatal(err)
			}
			if keys, err := Load(path, table.Empty); err == nil || keys != nil || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("got %v, %v", keys, err)
			}
			if content(t, other) != fixture.Secret(1) {
				t.Error("the file at the end of the link was changed")
			}
		})
	}
}

// A new secret never goes into a file that was there before: somebody else may have
// it open, or it may be a link to another file.
func TestAttack13_ANewSecretIsWrittenIntoANewFile(t *testing.T) {
	for name, put := range map[string]func(path, other string) error{
		"left by a power cut": func(path, _ string) error { return os.WriteFile(path, []byte("cut"), 0o600) },
		"readable by all": func(path, _ string) error {
			return os.WriteFile(path, []byte("a longer text than a secret has, with another end"), 0o666)
		},
		"a link to another file":  func(path, other string) error { return os.Symlink(other, path) },
		"a second name of a file": func(path, other string) error { return os.Link(other, path) },
		"a link to nothing":       func(path, other string) error { return os.Symlink(other+".none", path) },
	} {
		t.Run(name, func(t *testing.T) {
			table, path := openStore(t)
			other := filepath.Join(filepath.Dir(path), "other")
			if err := os.WriteFile(other, []byte("other"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := put(path+".new", other); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path, table.Empty); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if _, err := os.Lstat(path + ".new"); err == nil || content(t, other) != "other" {
				t.Error("it is still there, or the other file was changed")
			}
			if _, err := os.Stat(other + ".none"); err == nil {
				t.Error("the secret was written through the link")
			}
		})
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// If the store cannot be read, it may have rows.
func TestASecretIsNotMadeBesideAStoreThatFails(t *testing.T) {
	_, path := openStore(t)
	broken := errors.New("broken")
	if _, err := Load(path, func() (bool, error) { return true, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a secret was made")
	}
}
