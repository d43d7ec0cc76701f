package secretfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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
