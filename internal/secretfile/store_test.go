package secretfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"twofa/internal/store/boltstore"
)

// A new store beside an old secret has lost its counters: spent codes work again.
func TestAttack29_NoNewStoreBesideAnOldSecret(t *testing.T) {
	folder := t.TempDir()
	db, path := filepath.Join(folder, "twofa.db"), filepath.Join(folder, "secret")
	check := func(what string, refused bool) {
		t.Helper()
		err := CheckStore(path, db)
		if refused != (err != nil) || err != nil && (!strings.Contains(err.Error(), db) || !strings.Contains(err.Error(), "move the secret away")) {
			t.Errorf("%s: %v", what, err)
		}
	}
	start := func() {
		t.Helper()
		table, err := boltstore.Open(db)
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		if _, err := Load(path, table.Empty); err != nil {
			t.Fatal(err)
		}
	}
	check("the first start", false)
	table, err := boltstore.Open(db)
	if err != nil {
		t.Fatal(err)
	}
	table.Close()
	check("a first start that ended between store and secret", false)
	start()
	check("the second start", false)
	if err := os.Remove(db); err != nil {
		t.Fatal(err)
	}
	check("the store was removed", true)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	check("the secret was moved away, too", false)
	start()
	check("a new store with a new secret", false)
}
