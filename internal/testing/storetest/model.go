package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
)

// modelRow is a row of the model. generation stands for the version: each write has a new
// one.
type modelRow struct {
	data       string
	keepUntil  int64
	generation int
}

// testModel runs random operations on the store and on a map, and expects the same results
// from both.
func testModel(t *testing.T, s *suite) {
	table := s.open(t)
	names := []store.Key{"a", "b", "c", "0123456789abcdef"}
	start := fixture.Noon.Unix()

	rapid.Check(t, func(rt *rapid.T) {
		for _, ref := range listed(rt, table, fixture.Noon.Add(time.Hour)) {
			if ok, err := table.Delete(rt.Context(), ref); err != nil || !ok {
				rt.Fatalf("clearing: Delete(%v) = %v, %v", ref, ok, err)
			}
		}
		model := map[store.Key]modelRow{}
		seen := map[store.Ref]int{} // the generation of each version
		var refs []store.Ref        // the keys of seen, in the order of their first appearance
		generation := 0
		remembered := map[store.Key][]store.Row{} // what Get has returned

		key := rapid.SampledFrom(names)
		moment := rapid.Int64Range(start-3, start+3)
		nanos := rapid.SampledFrom([]int64{0, 1, 999_999_999})
		data := rapid.SliceOfN(rapid.Byte(), 1, 20)

		rt.Repeat(map[string]func(*rapid.T){
			"get": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				m := model[k]
				want(rt, table, k, m.data, time.Unix(m.keepUntil, 0))
			},
			"update": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				sec, ns := moment.Draw(rt, "second"), nanos.Draw(rt, "nanosecond")
				add := string(data.Draw(rt, "data"))
				old, there := model[k]
				written := old.data + add
				err := table.Update(rt.Context(), k, func(got []byte) (store.Row, error) {
					if string(got) != old.data || (got != nil) != there {
						rt.Errorf("fn saw %q, want %q", got, old.data)
					}
					return store.Row{Data: append(slices.Clone(got), add...), KeepUntil: time.Unix(sec, ns)}, nil
				})
				if err != nil {
					rt.Fatalf("Update: %v", err)
				}
				if ns > 0 {
					sec++
				}
				generation++
				model[k] = modelRow{written, sec, generation}
			},
			"remember": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				remembered[k] = append(remembered[k], known(rt, table, k))
			},
			"update from": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				row := rapid.SampledFrom(append(remembered[k], store.Row{})).Draw(rt, "known")
				add := string(data.Draw(rt, "data"))
				old, there := model[k]
				var last []byte
				err := table.UpdateFrom(rt.Context(), k, row, func(got []byte) (store.Row, error) {
					last = slices.Clone(got)
					return store.Row{Data: append(slices.Clone(got), add...), KeepUntil: time.Unix(start, 0)}, nil
				})
				if err != nil || string(last) != old.data || (last != nil) != there {
					rt.Fatalf("UpdateFrom: %v; fn saw %q at last, want %q", err, last, old.data)
				}
				generation++
				model[k] = modelRow{old.data + add, start, generation}
			},
			"return an error": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				own := rapid.SampledFrom([]error{store.SkipWrite, errors.New("own")}).Draw(rt, "error")
				err := table.Update(rt.Context(), k, func([]byte) (store.Row, error) {
					return store.Row{Data: []byte("never"), KeepUntil: fixture.Noon}, own
				})
				if own == store.SkipWrite && err != nil || own != store.SkipWrite && err != own {
					rt.Fatalf("Update: %v after fn returned %v", err, own)
				}
			},
			"expired": func(rt *rapid.T) {
				sec := moment.Draw(rt, "second")
				var expect []store.Key
				for k, m := range model {
					if m.keepUntil <= sec {
						expect = append(expect, k)
					}
				}
				slices.Sort(expect)
				var got []store.Key
				for _, ref := range listed(rt, table, time.Unix(sec, nanos.Draw(rt, "nanosecond"))) {
					got = append(got, ref.Key)
					gen, known := seen[ref]
					if !known {
						seen[ref] = model[ref.Key].generation
						refs = append(refs, ref)
					} else if gen != model[ref.Key].generation {
						rt.Fatalf("%v stands for two writes", ref)
					}
				}
				if !slices.Equal(got, expect) {
					rt.Fatalf("expired: %v, want %v", got, expect)
				}
			},
			"delete": func(rt *rapid.T) {
				if len(refs) == 0 {
					return
				}
				ref := rapid.SampledFrom(refs).Draw(rt, "ref")
				m, there := model[ref.Key]
				expect := there && m.generation == seen[ref]
				ok, err := table.Delete(rt.Context(), ref)
				if err != nil || ok != expect {
					rt.Fatalf("Delete(%v) = %v, %v, want %v", ref, ok, err, expect)
				}
				if ok {
					delete(model, ref.Key)
				}
			},
		})
		for _, k := range names {
			m := model[k]
			want(rt, table, k, m.data, time.Unix(m.keepUntil, 0))
		}
	})
}
