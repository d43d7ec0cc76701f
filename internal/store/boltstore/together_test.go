package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"twofa/internal/store"
	"twofa/internal/testing/storetest"
)

func row(data string) store.Row { return store.Row{Data: []byte(data), KeepUntil: epoch} }

func TestTogether_WritesAllAtOnceAndReadsItsOwn(t *testing.T) {
	s := openStore(t, file(t))
	put(t, s, "a", "old")
	commits := 0
	s.commit = func(tx *bolt.Tx) error { commits++; return tx.Commit() }
	err := s.Together(t.Context(), func(table store.Table) error {
		for i := range 100 {
			err := table.Update(t.Context(), "a", func(old []byte) (store.Row, error) {
				if want := []string{"old", fmt.Sprint(i - 1)}[min(i, 1)]; string(old) != want {
					t.Errorf("read %q, want %q", old, want)
				}
				return row(fmt.Sprint(i)), nil
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
		if data(t, s, "a") != "old" {
			t.Error("another reader sees what is not on the disk")
		}
		return nil
	})
	if err != nil || commits != 1 || data(t, s, "a") != "99" {
		t.Errorf("%v, %d commits, %q", err, commits, data(t, s, "a"))
	}
	page, err := s.Expired(t.Context(), epoch, "")
	if err != nil || len(page.Rows) != 1 {
		t.Fatalf("the index has %d rows, want 1 (%v)", len(page.Rows), err)
	}
	if gone, err := s.Delete(t.Context(), page.Rows[0]); !gone || err != nil {
		t.Errorf("the index has not the row's version: %v", err)
	}
}

func TestTogether_WritesNothingBesideAnError(t *testing.T) {
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		key    store.Key
		row    store.Row
		fn     error
		commit error
		want   error
	}{
		"of the caller": {key: "b", row: row("x"), fn: broken, want: broken},
		"of a row":      {key: "b", want: store.ErrInvalid},
		"of a key":      {key: "B", row: row("x"), want: store.ErrInvalid},
		"of the disk":   {key: "b", row: row("x"), commit: broken, want: store.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, file(t))
			if tc.commit != nil {
				s.commit = func(tx *bolt.Tx) error { return errors.Join(tc.commit, tx.Rollback()) }
			}
			err := s.Together(t.Context(), func(table store.Table) error {
				if err := table.Update(t.Context(), "a", func([]byte) (store.Row, error) { return row("x"), nil }); err != nil {
					return err
				}
				if err := table.Update(t.Context(), tc.key, func([]byte) (store.Row, error) { return tc.row, nil }); err != nil {
					return err
				}
				return tc.fn
			})
			if !errors.Is(err, tc.want) || data(t, s, "a")+data(t, s, "b") != "" {
				t.Errorf("%v; wrote %q and %q", err, data(t, s, "a"), data(t, s, "b"))
			}
			s.commit = (*bolt.Tx).Commit
			put(t, s, "a", "the store goes on")
		})
	}
}

func TestTogether_EndsWithItsContext(t *testing.T) {
	s := openStore(t, file(t))
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Together(ctx, func(table store.Table) error {
		cancel()
		return table.Update(ctx, "a", func([]byte) (store.Row, error) {
			t.Error("fn was called")
			return row("x"), nil
		})
	})
	if !errors.Is(err, store.ErrUnavailable) || data(t, s, "a") != "" {
		t.Errorf("%v", err)
	}
	if _, err := (inTx{}).Expired(t.Context(), time.Now(), ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a sweep: %v", err)
	}
	if _, err := (inTx{}).Delete(t.Context(), store.Ref{}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a delete: %v", err)
	}
}

// eachTogether is the store with every update in a Together of its own.
type eachTogether struct{ *Store }

func (e eachTogether) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	return e.Together(ctx, func(table store.Table) error { return table.Update(ctx, key, fn) })
}

func TestTogether_IsInConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Table { return eachTogether{openStore(t, file(t))} })
}

// Updates in one transaction leave what they would leave one by one.
func TestTogether_IsAsOneByOne(t *testing.T) {
	one, all := openStore(t, file(t)), openStore(t, file(t))
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOf(rapid.SampledFrom([]store.Key{"a", "b", "c", "d"})).Draw(rt, "keys")
		change := func(i int) func([]byte) (store.Row, error) {
			return func(old []byte) (store.Row, error) {
				if i%3 == 2 {
					return store.Row{}, store.SkipWrite
				}
				return row(fmt.Sprintf("%.20s %d", old, i)), nil
			}
		}
		for i, key := range keys {
			if err := one.Update(t.Context(), key, change(i)); err != nil {
				rt.Fatal(err)
			}
		}
		err := all.Together(t.Context(), func(table store.Table) error {
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
			a, errA := one.Get(t.Context(), key)
			b, errB := all.Get(t.Context(), key)
			if !bytes.Equal(a.Data, b.Data) || !errors.Is(errB, errA) {
				rt.Fatalf("%s: %q, %v and %q, %v", key, a.Data, errA, b.Data, errB)
			}
		}
	})
}
