package recovery_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
)

func encode(t rapid.TB, s recovery.State) []byte {
	t.Helper()
	b := cryptobyte.NewBuilder(nil)
	s.Append(b)
	row, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// throughRow is s after it was kept and read.
func throughRow(t rapid.TB, s recovery.State) recovery.State {
	t.Helper()
	in := cryptobyte.String(encode(t, s))
	got, ok := recovery.Read(&in)
	if !ok || !in.Empty() || !same(got, s) {
		t.Fatalf("got %+v, %v, %d bytes behind; want %+v", got, ok, len(in), s)
	}
	return got
}

var anyTime = rapid.Custom(func(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "zero") {
		return time.Time{}
	}
	return time.UnixMilli(rapid.Int64Range(-1, 1<<42).Draw(t, "unix ms")).UTC()
})

// anyState draws any state that can be kept.
var anyState = rapid.Custom(func(t *rapid.T) recovery.State {
	s := recovery.State{Failures: rapid.SliceOfN(anyTime, 0, otp.MaxCounted).Draw(t, "failures")}
	macs := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.Byte(), 32, 32), 0, recovery.Count,
		func(b []byte) string { return string(b) }).Draw(t, "MACs")
	if len(macs) == 0 {
		return s
	}
	copy(s.Salt[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "salt"))
	copy(s.Key[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "key"))
	s.MadeAt = anyTime.Draw(t, "made")
	for _, mac := range macs {
		s.Codes = append(s.Codes, recovery.Code{MAC: [32]byte(mac), UsedAt: anyTime.Draw(t, "used")})
	}
	return s
})

func TestRow_ReadsWhatWasAppendedAndLeavesTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyState.Draw(t, "state")
		throughRow(t, s)
		behind := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "behind")
		in := cryptobyte.String(append(encode(t, s), behind...))
		got, ok := recovery.Read(&in)
		if !ok || !same(got, s) || !bytes.Equal(in, behind) {
			t.Fatalf("got %+v, %v, and %x behind", got, ok, []byte(in))
		}
	})
}

// sample has something of everything.
func sample(t rapid.TB) recovery.State {
	codes, s := newSet(t, 1)
	s, _, err := try(t, s, codes[1], noon.Add(7*time.Millisecond))
	wantKind(t, err, "")
	for range 2 {
		s, _, err = try(t, s, wrong, noon)
		wantKind(t, err, problem.WrongCode)
	}
	return s
}

// A change of these bytes is a change of the layout: rows that are in a table
// today have to stay readable, so it needs a number of its own.
func TestRow_Layout1IsFixed(t *testing.T) {
	s := sample(t)
	unix := func(t time.Time) string { return fmt.Sprintf("%016x", uint64(t.UnixMilli())) }
	at, never := unix(noon), "ffffc77cedd32800"
	want := "01" + "02" + at + at + "0a" + fmt.Sprintf("%x%x", s.Salt, s.Key) + at
	for i, c := range s.Codes {
		want += fmt.Sprintf("%x", c.MAC)
		if i == 1 {
			want += unix(noon.Add(7 * time.Millisecond))
		} else {
			want += never
		}
	}
	if got := fmt.Sprintf("%x", encode(t, s)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := fmt.Sprintf("%x", encode(t, recovery.State{})); got != "010000" {
		t.Errorf("no codes: got %s", got)
	}
	if got := fmt.Sprintf("%x", encode(t, recovery.State{Failures: []time.Time{noon}})); got != "0101"+at+"00" {
		t.Errorf("failures alone: got %s", got)
	}
}

func TestRead_RefusesWhatAppendDoesNotWrite(t *testing.T) {
	row := encode(t, sample(t))
	const codesAt = 1 + 1 + 2*8
	edit := func(at int, b byte) []byte {
		c := bytes.Clone(row)
		c[at] = b
		return c
	}
	twice := bytes.Clone(row)
	copy(twice[len(twice)-40:], twice[len(twice)-80:len(twice)-48]) // the last two MACs
	bad := map[string][]byte{
		"nothing":         nil,
		"layout 0":        edit(0, 0),
		"a later layout":  edit(0, 2),
		"one code more":   append(edit(codesAt, 11), make([]byte, 40)...),
		"255 codes":       edit(codesAt, 255),
		"a code twice":    twice,
		"101 failures":    append([]byte{1, 101}, make([]byte, 101*8+1)...),
		"a failure more":  edit(1, 3),
		"zeros":           make([]byte, 600),
		"failures behind": []byte("\x01\x01\x00"),
	}
	for n := range row {
		bad[fmt.Sprintf("the first %d bytes", n)] = row[:n]
	}
	for name, b := range bad {
		in := cryptobyte.String(b)
		if s, ok := recovery.Read(&in); ok {
			t.Errorf("%s: reads as %+v", name, s)
		} else if !same(s, recovery.State{}) {
			t.Errorf("%s: returns %+v beside false", name, s)
		}
	}
}

func TestAppend_RefusesWhatReadCouldNotRead(t *testing.T) {
	for name, spoil := range map[string]func(s *recovery.State){
		"a code too many":              func(s *recovery.State) { s.Codes = append(s.Codes, recovery.Code{}) },
		"a code twice":                 func(s *recovery.State) { s.Codes[9].MAC = s.Codes[2].MAC },
		"too many failures":            func(s *recovery.State) { s.Failures = make([]time.Time, 101) },
		"a salt of no codes":           func(s *recovery.State) { *s = recovery.State{Salt: s.Salt} },
		"a key of no codes":            func(s *recovery.State) { *s = recovery.State{Key: s.Key} },
		"a time at which none is made": func(s *recovery.State) { *s = recovery.State{MadeAt: s.MadeAt} },
	} {
		t.Run(name, func(t *testing.T) {
			s := sample(t)
			spoil(&s)
			b := cryptobyte.NewBuilder(nil)
			s.Append(b)
			if row, err := b.Bytes(); err == nil {
				t.Errorf("%d bytes were written", len(row))
			} else if strings.ContainsAny(err.Error(), "0123456789") {
				t.Errorf("the error says too much: %v", err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(encode(f, sample(f)))
	f.Add(encode(f, recovery.State{}))
	f.Add(encode(f, recovery.State{Failures: []time.Time{noon, {}}}))
	f.Add([]byte{1, 0, 1})
	f.Fuzz(func(t *testing.T, row []byte) {
		in := cryptobyte.String(row)
		s, ok := recovery.Read(&in)
		if !ok {
			return
		}
		if got := encode(t, s); !bytes.Equal(got, row[:len(row)-len(in)]) {
			t.Fatalf("read %x\nwrote %x", row, got)
		}
		// Whatever was read, using it does not panic and keeps what can be kept.
		after, _, _ := recovery.AttemptWith(quick, "ABCDEFGHJKLMNPQR", keyring, noon)(s)
		encode(t, after)
	})
}
