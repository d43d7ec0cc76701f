package boltstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

func TestBatch_WritesOnceAndReadsItsOwnWrites(t *testing.T) {
	s := openStore(t, file(t))
	storetest.Put(t, s, "a", "old", fixture.Noon)
	commits := 0
	s.commit = func(tx *bolt.Tx) error { commits++; return tx.Commit() }
	err := s.Batch(t.Context(), func(table store.Table) error {
		for i := range 100 {
			err := table.Update(t.Context(), "a", func(old []byte) (store.Row, error) {
				if want := []string{"old", fmt.Sprint(i - 1)}[min(i, 1)]; string(old) != want {
					t.Errorf("read %q, want %q", old, want)
				}
				return storetest.Set(fmt.Sprint(i), fixture.Noon)(nil)
			})
			if err != nil {
				t.Error(err)
			}
		}
		skipped := table.Update(t.Context(), "b", func([]byte) (store.Row, error) { return store.Row{}, store.SkipWrite })
		got, err := table.Get(t.Context(), "a")
		_, none := table.Get(t.Context(), "b")
		if skipped != nil || err != nil || string(got.Data) != "99" || !errors.Is(none, store.ErrNotFound) {
			t.Errorf("got %q, %v, %v, %v", got.Data, err, skipped, none)
		}
		if storetest.Data(t, s, "a") != "old" {
			t.Error("another reader sees a row that is not on the disk")
		}
		return nil
	})
	if err != nil || commits != 1 || storetest.Data(t, s, "a") != "99" {
		t.Errorf("%v, %d commits, %q", err, commits, storetest.Data(t, s, "a"))
	}
	page, err := s.Expired(t.Context(), fixture.Noon, "")
	if err != nil || len(page.Rows) != 1 {
		t.Fatalf("the index has %d rows, want 1 (%v)", len(page.Rows), err)
	}
	if gone, err := s.Delete(t.Context(), page.Rows[0]); !gone || err != nil {
		t.Errorf("the index does not have the row's version: %v", err)
	}
}

func TestBatch_WritesNothingIfThereIsAnError(t *testing.T) {
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		key    store.Key
		change storetest.Change
		fn     error
		commit error
		want   error
	}{
		"of the caller": {key: "b", change: storetest.Append("x"), fn: broken, want: broken},
		"of a row":      {key: "b", change: storetest.Append(""), want: store.ErrInvalid},
		"of a key":      {key: "B", change: storetest.Append("x"), want: store.ErrInvalid},
		"of the disk":   {key: "b", change: storetest.Append("x"), commit: broken, want: store.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, file(t))
			if tc.commit != nil {
				s.commit = func(tx *bolt.Tx) error { return errors.Join(tc.commit, tx.Rollback()) }
			}
			err := s.Batch(t.Context(), func(table store.Table) error {
				if err := table.Update(t.Context(), "a", storetest.Set("x", fixture.Noon)); err != nil {
					return err
				}
				if err := table.Update(t.Context(), tc.key, tc.change); err != nil {
					return err
				}
				return tc.fn
			})
			if !errors.Is(err, tc.want) || storetest.Data(t, s, "a")+storetest.Data(t, s, "b") != "" {
				t.Errorf("%v; wrote %q and %q", err, storetest.Data(t, s, "a"), storetest.Data(t, s, "b"))
			}
			s.commit = (*bolt.Tx).Commit
			storetest.Put(t, s, "a", "the store still works", fixture.Noon)
		})
	}
}

func TestBatch_EndsWithItsContext(t *testing.T) {
	s := openStore(t, file(t))
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Batch(ctx, func(table store.Table) error {
		cancel()
		return table.Update(ctx, "a", func([]byte) (store.Row, error) {
			t.Error("fn was called")
			return store.Row{}, store.SkipWrite
		})
	})
	if !errors.Is(err, store.ErrUnavailable) || storetest.Data(t, s, "a") != "" {
		t.Errorf("%v", err)
	}
	if _, err := (inTx{}).Expired(t.Context(), time.Now(), ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a sweep: %v", err)
	}
	if _, err := (inTx{}).Delete(t.Context(), store.Ref{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a delete: %v", err)
	}
}

// eachBatch is a store that puts every update into a batch of its own.
type eachBatch struct{ *Store }

func (e eachBatch) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	return e.Batch(ctx, func(table store.Table) error { return table.Update(ctx, key, fn) })
}

func (e eachBatch) UpdateFrom(ctx context.Context, key store.Key, known store.Row, fn func([]byte) (store.Row, error)) error {
	return e.Batch(ctx, func(table store.Table) error { return table.UpdateFrom(ctx, key, known, fn) })
}

func TestBatch_KeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Table { return eachBatch{openStore(t, file(t))} })
}

// A batch of updates has the same result as single updates.
func TestBatch_IsEqualToSingleUpdates(t *testing.T) {
	one, all := openStore(t, file(t)), openStore(t, file(t))
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOf(rapid.SampledFrom([]store.Key{"a", "b", "c", "d"})).Draw(rt, "keys")
		change := func(i int) func([]byte) (store.Row, error) {
			return func(old []byte) (store.Row, error) {
				if i%3 == 2 {
					return store.Row{}, store.SkipWrite
				}
				return storetest.Set(fmt.Sprintf("%.20s %d", old, i), fixture.Noon)(nil)
			}
		}
		for i, key := range keys {
			if err := one.Update(t.Context(), key, change(i)); err != nil {
				rt.Fatal(err)
			}
		}
		err := all.Batch(t.Context(), func(table store.Table) error {
			var err error
			for i, key := range keys {
				err = errors.Join(err, table.Update(t.Context(), key, change(i)))
			}
			return err
		})
		if err != nil {
			rt.Fatal(err)
		}
		for _, key := range []store.Key{"a", "b", "c", "d"} {
			if a, b := storetest.Data(rt, one, key), storetest.Data(rt, all, key); a != b {
				rt.Fatalf("%s: %q and %q", key, a, b)
			}
		}
	})
}
