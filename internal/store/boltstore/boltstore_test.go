package boltstore

import (
	"path/filepath"
	"testing"

	"twofa/internal/store"
	"twofa/internal/store/storetest"
)

// open opens a store whose pages are so small that sweeps need many.
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

func TestConformance(t *testing.T) {
	storetest.Run(t,
		func(t *testing.T) store.Table {
			return openStore(t, filepath.Join(t.TempDir(), "twofa.db"))
		},
		storetest.Reopen(func(t *testing.T, first store.Table) store.Table {
			path := first.(*Store).db.Path()
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			return openStore(t, path)
		}))
}
