package boltstore

import (
	"testing"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

// The row is damaged after it was read, or it was damaged before and no row is known.
// UpdateFrom sees a damaged row, as Update does.
func TestUpdateFrom_SeesADamagedRow(t *testing.T) {
	for name, known := range map[string]func(s *Store) (store.Row, error){
		"the row before": func(s *Store) (store.Row, error) { return s.Get(t.Context(), "k") },
		"no row":         func(*Store) (store.Row, error) { return store.Row{}, nil },
	} {
		s := openStore(t, file(t))
		storetest.Put(t, s, "k", "old", fixture.Noon)
		row, err := known(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := putRaw(s, "k", "short"); err != nil {
			t.Fatal(err)
		}
		ctx, trips := store.WithTrips(t.Context())
		err = s.UpdateFrom(ctx, "k", row, func(old []byte) (store.Row, error) {
			if old == nil || len(old) != 0 {
				t.Errorf("%s: fn got %q, want empty data that is not nil", name, old)
			}
			return storetest.Append("mended")(old)
		})
		if got := storetest.Data(t, s, "k"); err != nil || got != "mended" || trips.Load() != 2 {
			t.Errorf("%s: %v in %d round trips, and the row is %q", name, err, trips.Load(), got)
		}
	}
}
