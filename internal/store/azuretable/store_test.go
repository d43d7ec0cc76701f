package azuretable

import (
	"crypto/rand"
	"encoding/hex"
	"testing"

	"twofa/internal/store"
	"twofa/internal/testing/azurite"
	"twofa/internal/testing/storetest"
)

// options name a table of this test's own, which doesn't exist yet, in the
// Azurite of this process. Pages are so small that sweeps need many.
func options(t *testing.T) Options {
	t.Helper()
	var b [8]byte
	rand.Read(b[:])
	return Options{
		ConnectionString: azurite.Shared(t),
		TablePrefix:      "t" + hex.EncodeToString(b[:]),
		pageSize:         7,
	}
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
