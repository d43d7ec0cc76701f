package azuretable

import (
	"testing"

	"twofa/internal/store"
	"twofa/internal/testing/azurite"
	"twofa/internal/testing/storetest"
)

// options are for a new table, which does not exist yet, in this process's Azurite. Pages
// are small, so that sweeps need many of them.
func options(t *testing.T) Options {
	t.Helper()
	return Options{ConnectionString: azurite.Shared(t), TablePrefix: "t" + newMark(), pageSize: 7}
}

func openStore(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	perTable := map[store.Table]Options{}
	storetest.Run(t,
		func(t *testing.T) store.Table {
			o := options(t)
			s := openStore(t, o)
			perTable[s] = o
			return s
		},
		storetest.Reopen(func(t *testing.T, first store.Table) store.Table {
			return openStore(t, perTable[first])
		}))
}
