package user_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
)

func recoveryBytes(t fixture.TB, s recovery.State) []byte {
	t.Helper()
	encoded, err := factorBytes(user.AddRecovery, s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return encoded
}

// anyRecovery draws any state that can be kept.
var anyRecovery = rapid.Custom(func(t *rapid.T) (s recovery.State) {
	for range rapid.IntRange(0, otp.MaxCounted).Draw(t, "failures") {
		s.Failures = append(s.Failures, anyTime.Draw(t, "failure"))
	}
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

func TestReadRecovery_ReadsWhatWasAddedAndLeavesTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyRecovery.Draw(t, "state")
		for _, rest := range [][]byte{nil, rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "rest")} {
			in := cryptobyte.String(slices.Concat(recoveryBytes(t, s), rest))
			got, ok := user.ReadRecovery(&in)
			if !ok || !reflect.DeepEqual(got, s) || !bytes.Equal(in, rest) {
				t.Fatalf("got %+v, %v, and %x is left; want %+v and %x", got, ok, []byte(in), s, rest)
			}
		}
	})
}

// recoverySample has a used code, unused ones and failures.
func recoverySample(t testing.TB) recovery.State {
	s := recovery.State{
		Salt: [16]byte(bytes.Repeat([]byte{0xee}, 16)), Key: fixture.Keys(t, 1).Current(), MadeAt: fixture.Noon,
		Failures: []time.Time{fixture.Noon, fixture.Noon},
	}
	for i := range recovery.Count {
		s.Codes = append(s.Codes, recovery.Code{MAC: [32]byte{byte(i + 1), 31: byte(i)}})
	}
	s.Codes[1].UsedAt = fixture.Noon.Add(7 * time.Millisecond)
	return s
}

// A change of these bytes is a change of the layout, which needs another number:
// the rows that are in a table today have to stay readable.
func TestRecoveryRow_Layout1IsFixed(t *testing.T) {
	s := recoverySample(t)
	at := unix(fixture.Noon)
	want := "01" + "02" + at + at + "0a" + fmt.Sprintf("%x%x", s.Salt, s.Key) + at
	for i, c := range s.Codes {
		used := zeroTime
		if i == 1 {
			used = unix(fixture.Noon.Add(7 * time.Millisecond))
		}
		want += fmt.Sprintf("%x", c.MAC) + used
	}
	for _, tc := range []struct {
		state recovery.State
		want  string
	}{
		{s, want},
		{recovery.State{}, "010000"},
		{recovery.State{Failures: []time.Time{fixture.Noon}}, "0101" + at + "00"},
	} {
		if got := fmt.Sprintf("%x", recoveryBytes(t, tc.state)); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestReadRecovery_RefusesWhatAddRecoveryDoesNotWrite(t *testing.T) {
	encoded := recoveryBytes(t, recoverySample(t))
	const codesAt = 1 + 1 + 2*8
	bad := cut(encoded)
	edit := func(name string, at int, b byte, more ...byte) {
		bad[name] = append(bytes.Clone(encoded), more...)
		bad[name][at] = b
	}
	edit("layout 0", 0, 0)
	edit("a later layout", 0, 2)
	edit("one code more", codesAt, 11, make([]byte, 40)...)
	edit("255 codes", codesAt, 255)
	edit("a failure more", 1, 3)
	bad["a code twice"] = bytes.Clone(encoded)
	copy(bad["a code twice"][len(encoded)-40:], encoded[len(encoded)-80:len(encoded)-48]) // the last two MACs
	bad["nothing"] = nil
	bad["101 failures"] = append([]byte{1, 101}, make([]byte, 101*8+1)...)
	bad["zeros"] = make([]byte, 600)
	bad["a count without its failures"] = []byte("\x01\x01\x00")
	wantUnreadable(t, user.ReadRecovery, bad)
}

func TestAddRecovery_RefusesWhatReadRecoveryCouldNotRead(t *testing.T) {
	for name, spoil := range map[string]func(s *recovery.State){
		"a code too many":      func(s *recovery.State) { s.Codes = append(s.Codes, recovery.Code{}) },
		"a code twice":         func(s *recovery.State) { s.Codes[9].MAC = s.Codes[2].MAC },
		"too many failures":    func(s *recovery.State) { s.Failures = make([]time.Time, 101) },
		"a salt without codes": func(s *recovery.State) { *s = recovery.State{Salt: s.Salt} },
		"a key without codes":  func(s *recovery.State) { *s = recovery.State{Key: s.Key} },
		"a time without codes": func(s *recovery.State) { *s = recovery.State{MadeAt: s.MadeAt} },
	} {
		s := recoverySample(t)
		spoil(&s)
		if encoded, err := factorBytes(user.AddRecovery, s); err == nil {
			t.Errorf("%s: %d bytes were written", name, len(encoded))
		} else if strings.ContainsAny(err.Error(), "0123456789") {
			t.Errorf("%s: the error says too much: %v", name, err)
		}
	}
}

func FuzzReadRecovery(f *testing.F) {
	f.Add(recoveryBytes(f, recoverySample(f)))
	f.Add(recoveryBytes(f, recovery.State{}))
	f.Add(recoveryBytes(f, recovery.State{Failures: []time.Time{fixture.Noon, {}}}))
	f.Add([]byte{1, 0, 1})
	keys := fixture.Keys(f, 1)
	f.Fuzz(func(t *testing.T, encoded []byte) {
		in := cryptobyte.String(encoded)
		s, ok := user.ReadRecovery(&in)
		if !ok {
			return
		}
		if got := recoveryBytes(t, s); !bytes.Equal(got, encoded[:len(encoded)-len(in)]) {
			t.Fatalf("read %x\nwrote %x", encoded, got)
		}
		// No state that a row can hold causes a panic, or leads to one that no row can hold.
		after, _, _ := recovery.Attempt(recovery.Slow, "ABCDEFGHJKLMNPQR", keys, fixture.Noon)(s)
		recoveryBytes(t, after)
	})
}
