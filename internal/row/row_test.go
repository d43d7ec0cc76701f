package row_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/row"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/window"
)

// note is the value that these tests keep.
type note struct {
	Text  string
	Until time.Time
}

var codec = row.Codec[note]{
	Encode: func(n note) ([]byte, error) {
		b := cryptobyte.NewBuilder(nil)
		row.AddText(b, n.Text)
		row.AddTime(b, n.Until)
		return b.Bytes()
	},
	Decode: func(data []byte) (n note, err error) {
		s := cryptobyte.String(data)
		if !row.ReadText(&s, &n.Text) || !row.ReadTime(&s, &n.Until) || !s.Empty() {
			return note{}, errors.New("not a note")
		}
		return n, nil
	},
	KeepUntil: func(n note) time.Time { return n.Until },
}

const key = store.Key("k1")

var (
	none   note
	first  = note{"first", fixture.Noon.Add(time.Hour)}
	second = note{"second", fixture.Noon.Add(time.Minute)}
	errNo  = &problem.Error{Kind: problem.WrongCode}
)

// notes is a store of notes over a table with faults.
type notes struct {
	row.Store[note]
	t     *testing.T
	table *rig.Table
}

func newNotes(t *testing.T) *notes {
	n := &notes{t: t, table: &rig.Table{Table: rig.Open(t)}}
	n.Store = row.Store[note]{Table: n.table, Keys: fixture.Keys(t, 1), Codec: codec}
	return n
}

// withFirst has the first note in its row.
func withFirst(t *testing.T) *notes {
	n := newNotes(t)
	if got, err := n.put(first, nil); err != nil || got != first {
		t.Fatalf("got %+v, %v", got, err)
	}
	return n
}

// put is an Update that decides on a note and an error.
func (n *notes) put(next note, decided error) (note, error) {
	return n.Update(n.t.Context(), key, func(note) (note, error) { return next, decided })
}

// raw is the row in the table, the zero Row if there is none.
func (n *notes) raw() store.Row {
	r, err := n.table.Table.Get(n.t.Context(), key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		n.t.Fatal(err)
	}
	return r
}

// write puts data in the row, past the faults and the seal.
func (n *notes) write(data []byte) {
	if err := n.table.Table.Update(n.t.Context(), key, func([]byte) (store.Row, error) {
		return store.Row{Data: data, KeepUntil: fixture.Noon}, nil
	}); err != nil {
		n.t.Fatal(err)
	}
}

// unwritten fails the test if f writes the row: each seal has a new nonce.
func (n *notes) unwritten(what string, f func()) {
	n.t.Helper()
	before := n.raw()
	f()
	if after := n.raw(); !bytes.Equal(before.Data, after.Data) || !before.KeepUntil.Equal(after.KeepUntil) {
		n.t.Errorf("%s: the row was written", what)
	}
}

// wantKept checks the note in the row, and until when the row is kept.
func (n *notes) wantKept(want note, until time.Time) {
	n.t.Helper()
	if got, err := n.Load(n.t.Context(), key); err != nil || got != want {
		n.t.Errorf("the row has %+v, %v; want %+v", got, err, want)
	}
	if got := n.raw().KeepUntil; !got.Equal(until) {
		n.t.Errorf("kept until %v, want %v", got, until)
	}
}

func TestLoad_WithoutARowIsTheZeroValue(t *testing.T) {
	n := newNotes(t)
	if got, err := n.Load(t.Context(), key); err != nil || got != none {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestUpdate_KeepsTheNewValueAlsoBesideAnError(t *testing.T) {
	for name, decided := range map[string]error{"no error": nil, "a refusal": errNo} {
		t.Run(name, func(t *testing.T) {
			n := newNotes(t)
			for _, next := range []note{first, second} {
				if got, err := n.put(next, decided); err != decided || got != next {
					t.Errorf("got %+v, %v", got, err)
				}
				// The clock of the process that purges may be ahead by MaxSkew.
				n.wantKept(next, next.Until.Add(window.MaxSkew))
			}
		})
	}
}

func TestUpdate_PassesTheOldValue(t *testing.T) {
	n := newNotes(t)
	for _, want := range []note{none, first} {
		_, err := n.Update(t.Context(), key, func(old note) (note, error) {
			if old != want {
				t.Errorf("got %+v, want %+v", old, want)
			}
			return first, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestUpdate_WritesOnlyWhatChanged(t *testing.T) {
	n := newNotes(t)
	n.unwritten("a value that needs no row", func() {
		if got, err := n.put(note{Text: "x"}, errNo); err != errNo || got.Text != "x" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	n = withFirst(t)
	n.unwritten("the same value", func() {
		if got, err := n.put(first, errNo); err != errNo || got != first {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestUpdate_OnlyTheLastDecisionCounts(t *testing.T) {
	n := withFirst(t)
	other := row.Store[note]{Table: n.table.Table, Keys: n.Keys, Codec: codec} // another process
	n.table.Break(func(int) rig.Fault {
		if _, err := other.Update(t.Context(), key, func(note) (note, error) { return second, nil }); err != nil {
			t.Error(err)
		}
		return rig.None
	})
	var seen []string
	got, err := n.Update(t.Context(), key, func(old note) (note, error) {
		seen = append(seen, old.Text)
		if old == first {
			return note{"wrong", first.Until}, nil
		}
		return old, errNo
	})
	if got != second || err != errNo || strings.Join(seen, " ") != "first second" {
		t.Errorf("got %+v, %v after looking at %v", got, err, seen)
	}
	n.wantKept(second, second.Until.Add(window.MaxSkew))
}

func TestDiscard_LeavesTheRowAndReturnsTheErrorWithin(t *testing.T) {
	for name, within := range map[string]error{"an error": errNo, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []*notes{newNotes(t), withFirst(t)} {
				n.unwritten("Update", func() {
					if got, err := n.put(second, row.Discard(within)); got != none || err != within {
						t.Errorf("got %+v, %v; want no value and %v", got, err, within)
					}
				})
				n.unwritten("Erase", func() {
					err := n.Erase(t.Context(), key, fixture.Noon, func(note) (note, error) { return none, row.Discard(within) })
					if err != within {
						t.Errorf("got %v, want %v", err, within)
					}
				})
			}
		})
	}
}

func TestErase_KeepsTheNewValueAtLeastUntilNow(t *testing.T) {
	for name, tc := range map[string]struct{ left, want note }{
		"nothing is left":         {none, note{Until: fixture.Noon}},
		"what is left ended":      {note{"left", fixture.Noon.Add(-time.Hour)}, note{Until: fixture.Noon}},
		"what is left ends later": {note{"left", fixture.Noon.Add(time.Second)}, note{Until: fixture.Noon.Add(time.Second)}},
	} {
		for refused, decided := range map[bool]error{false: nil, true: errNo} {
			n := withFirst(t)
			err := n.Erase(t.Context(), key, fixture.Noon, func(old note) (note, error) {
				if old != first {
					t.Errorf("%s: the old value is %+v", name, old)
				}
				return tc.left, decided
			})
			if err != decided {
				t.Errorf("%s, refused %v: got %v", name, refused, err)
			}
			n.wantKept(tc.left, tc.want.Until.Add(window.MaxSkew))
		}
	}
}

// An older secret can be taken out of service once its rows were touched.
func TestUpdate_SealsTheRowOfAnOlderSecretAnew(t *testing.T) {
	for name, next := range map[string]note{"the same value": first, "another value": second} {
		t.Run(name, func(t *testing.T) {
			n := withFirst(t)
			n.Keys = fixture.Keys(t, 50, 1)
			n.unwritten("Discard", func() { _, _ = n.put(next, row.Discard(nil)) })
			if got, err := n.put(next, nil); err != nil || got != next {
				t.Fatalf("got %+v, %v", got, err)
			}
			n.unwritten("again", func() { _, _ = n.put(next, nil) })
			n.Keys = fixture.Keys(t, 50)
			n.wantKept(next, next.Until.Add(window.MaxSkew))
		})
	}
}

func TestOpen_ARowThatCannotBeReadIsInternalAndStays(t *testing.T) {
	for name, spoil := range map[string]func(n *notes) []byte{
		"moved from another key": func(n *notes) []byte { return n.Keys.Seal([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0}, "k2") },
		"a flipped bit":          func(n *notes) []byte { data := bytes.Clone(n.raw().Data); data[len(data)/2] ^= 1; return data },
		"sealed, but no note":    func(n *notes) []byte { return n.Keys.Seal([]byte{99}, string(key)) },
		"sealed with a secret that was removed": func(n *notes) []byte {
			return fixture.Keys(n.t, 77).Seal([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0}, string(key))
		},
		"too short": func(*notes) []byte { return []byte("x") },
	} {
		t.Run(name, func(t *testing.T) {
			n := withFirst(t)
			n.write(spoil(n))
			n.unwritten(name, func() {
				_, err := n.Load(t.Context(), key)
				fixture.Problem(t, err, problem.Internal)
				got, err := n.put(second, nil)
				if fixture.Problem(t, err, problem.Internal); got != none {
					t.Errorf("got %+v", got)
				}
				fixture.Problem(t, n.Erase(t.Context(), key, fixture.Noon, func(note) (note, error) { return none, nil }), problem.Internal)
			})
			n.wantUnreadable()
		})
	}
}

// wantUnreadable checks that the row is unreadable, that the log line names it, and that
// Remove removes it.
func (n *notes) wantUnreadable() {
	n.t.Helper()
	for what, call := range map[string]func(context.Context) error{
		"Load": func(ctx context.Context) error { _, err := n.Load(ctx, key); return err },
		"Update": func(ctx context.Context) error {
			_, err := n.Update(ctx, key, func(note) (note, error) { n.t.Error("decided"); return first, nil })
			return err
		},
		"Erase": func(ctx context.Context) error {
			return n.Erase(ctx, key, fixture.Noon, func(note) (note, error) { n.t.Error("decided"); return none, nil })
		},
	} {
		ctx, line := reqlog.With(n.t.Context())
		if err := call(ctx); !problem.Is(err, problem.Internal) || !errors.Is(err, row.ErrUnreadable) || errors.Is(err, store.ErrUnavailable) {
			n.t.Errorf("%s: %v, want internal and ErrUnreadable", what, err)
		}
		if got := fmt.Sprint(line.Attrs()); got != "[row="+string(key)+"]" {
			n.t.Errorf("%s: the log line has %s, want the row", what, got)
		}
	}
	if err := n.Remove(n.t.Context(), key, fixture.Noon); err != nil {
		n.t.Errorf("Remove: %v", err)
	}
	n.wantKept(note{}, fixture.Noon.Add(window.MaxSkew))
}

// damagedTable has rows that no store wrote.
type damagedTable struct {
	store.Table
	written *store.Row
}

func (d damagedTable) Get(context.Context, store.Key) (store.Row, error) {
	return store.Row{}, store.ErrDamaged
}

func (d damagedTable) Update(_ context.Context, _ store.Key, fn func([]byte) (store.Row, error)) error {
	next, err := fn([]byte{})
	if err == nil {
		*d.written = next
	}
	return err
}

// A damaged row must not count as a missing one: counted failures would be lost.
func TestOpen_ADamagedRowIsUnreadable(t *testing.T) {
	n := newNotes(t)
	var written store.Row
	good := n.Table
	n.Table = damagedTable{n.Table, &written}
	for what, call := range map[string]func(context.Context) error{
		"Load": func(ctx context.Context) error { _, err := n.Load(ctx, key); return err },
		"Update": func(ctx context.Context) error {
			_, err := n.Update(ctx, key, func(note) (note, error) { return first, nil })
			return err
		},
		"Erase": func(ctx context.Context) error {
			return n.Erase(ctx, key, fixture.Noon, func(note) (note, error) { return none, nil })
		},
	} {
		ctx, line := reqlog.With(t.Context())
		err := call(ctx)
		if !problem.Is(err, problem.Internal) || !errors.Is(err, row.ErrUnreadable) || fmt.Sprint(line.Attrs()) != "[row="+string(key)+"]" {
			t.Errorf("%s: %v, log line %v", what, err, line.Attrs())
		}
		if written.Data != nil {
			t.Errorf("%s wrote the row", what)
		}
	}
	if err := n.Remove(t.Context(), key, fixture.Noon); err != nil || written.Data == nil {
		t.Errorf("Remove: %v, wrote %v", err, written)
	}
	n.Table = good
	n.write(written.Data)
	if got, err := n.Load(t.Context(), key); err != nil || got != (note{Until: got.Until}) {
		t.Errorf("after Remove: %+v, %v", got, err)
	}
}

func TestRemove_DoesNothingWithoutARow(t *testing.T) {
	n := newNotes(t)
	ctx, trips := store.WithTrips(t.Context())
	if err := n.Remove(ctx, key, fixture.Noon); err != nil || n.raw().Data != nil || trips.Load() != 1 {
		t.Errorf("%v in %d round trips", err, trips.Load())
	}
	n.table.Break(func(int) rig.Fault { return rig.Down })
	fixture.Problem(t, n.Remove(t.Context(), key, fixture.Noon), problem.StorageUnavailable)
}

// A caller must not act on a value that may be lost.
func TestUpdate_ReturnsNothingUnlessTheValueIsKnownToBeKept(t *testing.T) {
	spoil := func(n *notes) rig.Fault { n.write([]byte("spoiled")); return rig.None }
	for name, tc := range map[string]struct {
		next    note
		fault   func(n *notes) rig.Fault
		want    problem.Kind
		written bool
	}{
		"no answer, nothing was written": {second, func(*notes) rig.Fault { return rig.Down }, problem.StorageUnavailable, false},
		"no answer, it was written":      {second, func(*notes) rig.Fault { return rig.Lost }, problem.StorageUnavailable, true},
		"unreadable at the second look":  {second, spoil, problem.Internal, false},
		"a value that cannot be encoded": {note{strings.Repeat("x", 256), second.Until}, func(*notes) rig.Fault { return rig.None }, problem.Internal, false},
	} {
		for _, decided := range []error{nil, errNo} {
			n := withFirst(t)
			n.table.Break(func(int) rig.Fault { return tc.fault(n) })
			got, err := n.put(tc.next, decided)
			e := fixture.Problem(t, err, tc.want)
			if got != none {
				t.Errorf("%s, %v: got %+v", name, decided, got)
			}
			if lost := tc.want == problem.StorageUnavailable; lost != errors.Is(err, store.ErrUnavailable) || lost != (e.RetryAfter > 0) || e.ChecksLeft != nil {
				t.Errorf("%s, %v: %+v", name, decided, e)
			}
			n.table.Break(nil)
			if kept, err := n.Load(t.Context(), key); tc.written != (err == nil && kept == tc.next) {
				t.Errorf("%s, %v: kept %+v, %v", name, decided, kept, err)
			}
		}
	}
}

func TestLoad_WithoutAnAnswerIsStorageUnavailable(t *testing.T) {
	n := withFirst(t)
	n.table.Break(func(int) rig.Fault { return rig.Down })
	got, err := n.Load(t.Context(), key)
	if e := fixture.Problem(t, err, problem.StorageUnavailable); got != none || e.RetryAfter <= 0 || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %+v, %+v", got, e)
	}
}

func TestUpdate_AnInvalidKeyIsInternalWithItsCause(t *testing.T) {
	n := newNotes(t)
	_, err := n.Update(t.Context(), "not a key!", func(note) (note, error) { return first, nil })
	if fixture.Problem(t, err, problem.Internal); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// oddTable fails with an error outside of the store's contract.
type oddTable struct{ store.Table }

var errOdd = errors.New("canary")

func (oddTable) Get(context.Context, store.Key) (store.Row, error) { return store.Row{}, errOdd }

func (oddTable) Update(context.Context, store.Key, func([]byte) (store.Row, error)) error {
	return errOdd
}

func TestErrors_NeverQuoteAnUnknownError(t *testing.T) {
	n := newNotes(t)
	n.Table = oddTable{}
	_, loaded := n.Load(t.Context(), key)
	_, updated := n.put(first, nil)
	for _, err := range []error{loaded, updated, n.Erase(t.Context(), key, fixture.Noon, func(note) (note, error) { return none, nil })} {
		if e := fixture.Problem(t, err, problem.Internal); strings.Contains(err.Error()+e.Detail, "canary") || errors.Is(err, errOdd) {
			t.Errorf("the error quotes the store's: %v", err)
		}
	}
}

// A row says nothing of its value to somebody without the secret.
func TestUpdate_TheRowIsSealed(t *testing.T) {
	n := withFirst(t)
	if data := n.raw().Data; len(data) == 0 || bytes.Contains(data, []byte(first.Text)) {
		t.Errorf("the row holds %q", data)
	}
}
