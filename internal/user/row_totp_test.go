package user_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// factorBytes is a factor's state as add writes it.
func factorBytes[S any](add func(*cryptobyte.Builder, S), state S) ([]byte, error) {
	var b cryptobyte.Builder
	add(&b, state)
	return b.Bytes()
}

func totpBytes(t testing.TB, s totp.State) []byte {
	t.Helper()
	encoded, err := factorBytes(user.AddTOTP, s)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func totpSample() totp.State {
	return totp.State{
		Authenticators: []totp.Authenticator{
			{
				ID: "TA0102030405060708", Name: "Büro", Secret: bytes.Repeat([]byte{0xaa}, 20),
				Options: totp.Options{Algorithm: totp.SHA512, Digits: 8, Period: 60},
				Step:    0x0102030405, CreatedAt: fixture.Noon, ConfirmedAt: fixture.Noon.Add(time.Millisecond), UsedAt: fixture.Noon.Add(time.Hour),
			},
			{
				ID: "TA00000000000000ff", Name: "x", Secret: bytes.Repeat([]byte{0xbb}, 16),
				Options: totp.Options{Algorithm: totp.SHA256, Digits: 6, Period: 30}, CreatedAt: fixture.Noon, Failed: 3,
			},
		},
		Failures: []time.Time{fixture.Noon.Add(-time.Hour), fixture.Noon},
	}
}

// unix is a time as a row has it, in hexadecimal.
func unix(t time.Time) string { return fmt.Sprintf("%016x", uint64(t.UnixMilli())) }

// zeroTime is unix of the zero Time.
const zeroTime = "ffffc77cedd32800"

// A change of these bytes is a change of the layout, which needs another version
// of the whole row: the rows that are in a table today have to stay readable.
func TestTOTPRow_LayoutIsFixed(t *testing.T) {
	noon := fixture.Noon
	want := strings.Join([]string{
		"0088",
		"0102030405060708", "0005" + "42c3bc726f", "14" + strings.Repeat("aa", 20), "02", "08", "3c",
		"0000000102030405", unix(noon), unix(noon.Add(time.Millisecond)), unix(noon.Add(time.Hour)), "00",
		"00000000000000ff", "0001" + "78", "10" + strings.Repeat("bb", 16), "01", "06", "1e",
		"0000000000000000", unix(noon), zeroTime, zeroTime, "03",
		"0010", unix(noon.Add(-time.Hour)), unix(noon),
	}, "")
	if got := fmt.Sprintf("%x", totpBytes(t, totpSample())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := fmt.Sprintf("%x", totpBytes(t, totp.State{})); got != "00000000" {
		t.Errorf("no authenticators: got %s", got)
	}
	sha1 := totpSample()
	sha1.Authenticators[0].Algorithm = totp.SHA1
	if got := totpBytes(t, sha1)[2+8+2+5+1+20]; got != 0 {
		t.Errorf("SHA1 is %d, want 0", got)
	}
}

func TestReadTOTP_LeavesTheRest(t *testing.T) {
	for _, want := range []totp.State{{}, totpSample()} {
		s := cryptobyte.String(append(totpBytes(t, want), 1, 2, 3))
		got, ok := user.ReadTOTP(&s)
		if !ok || !reflect.DeepEqual(got, want) || !bytes.Equal(s, []byte{1, 2, 3}) {
			t.Errorf("%+v, %v, and %x is left", got, ok, []byte(s))
		}
	}
}

// wantUnreadable makes sure that read refuses all of these, and returns the zero
// state beside that.
func wantUnreadable[S any](t *testing.T, read func(*cryptobyte.String) (S, bool), bad map[string][]byte) {
	t.Helper()
	var zero S
	for name, b := range bad {
		s := cryptobyte.String(b)
		if got, ok := read(&s); ok || !reflect.DeepEqual(got, zero) {
			t.Errorf("%s: reads %+v, %v", name, got, ok)
		}
	}
}

// cut is the beginnings of an encoded state.
func cut(encoded []byte) map[string][]byte {
	all := map[string][]byte{}
	for n := range encoded {
		all[fmt.Sprintf("the first %d bytes", n)] = encoded[:n]
	}
	return all
}

func TestReadTOTP_RefusesWhatAddTOTPDoesNotWrite(t *testing.T) {
	encoded := totpBytes(t, totpSample())
	bad := cut(encoded)
	edit := func(name string, at int, b ...byte) {
		c := bytes.Clone(encoded)
		copy(c[at:], b)
		bad[name] = c
	}
	const options = 2 + 8 + 2 + 5 + 1 + 20 // of the first authenticator
	edit("an unknown algorithm", options, 3)
	edit("7 digits", options+1, 7)
	edit("a step of 0 seconds", options+2, 0)
	edit("a step of 31 seconds", options+2, 31)
	edit("a negative step", options+3, 0x80)
	edit("two pending", options+3+8+8, encoded[len(encoded)-2-16-1-8:][:8]...)
	edit("a name that is not UTF-8", 2+8+2, 0xff)
	edit("a longer list", 1, 0x89)
	edit("a shorter list", 1, 0x87)
	edit("a longer list of failures", len(encoded)-17, 17)
	edit("half a failure", len(encoded)-17, 12)
	short := totpSample()
	short.Authenticators = short.Authenticators[1:]
	c := totpBytes(t, short)
	i := bytes.Index(c, []byte{0x10, 0xbb})
	bad["a secret of 15 bytes"] = append(append(bytes.Clone(c[:i]), 0x0f), c[i+2:]...)
	bad["a secret of 15 bytes"][1]--
	bad["no name"] = append(append(bytes.Clone(c[:i-3]), 0, 0), c[i:]...)
	bad["no name"][1]--
	wantUnreadable(t, user.ReadTOTP, bad)
}

func TestAddTOTP_RefusesWhatReadTOTPCouldNotRead(t *testing.T) {
	for name, spoil := range map[string]func(s *totp.State){
		"no id":             func(s *totp.State) { s.Authenticators[0].ID = "" },
		"an id in capitals": func(s *totp.State) { s.Authenticators[1].ID = "TA00000000000000FF" },
		"no name":           func(s *totp.State) { s.Authenticators[0].Name = "" },
		"a long name":       func(s *totp.State) { s.Authenticators[0].Name = strings.Repeat("x", 65) },
		"not UTF-8":         func(s *totp.State) { s.Authenticators[0].Name = "\xff" },
		"a short secret":    func(s *totp.State) { s.Authenticators[0].Secret = make([]byte, 15) },
		"a long secret":     func(s *totp.State) { s.Authenticators[0].Secret = make([]byte, 65) },
		"no options":        func(s *totp.State) { s.Authenticators[0].Options = totp.Options{} },
		"another algorithm": func(s *totp.State) { s.Authenticators[0].Algorithm = "MD5" },
		"a negative step":   func(s *totp.State) { s.Authenticators[0].Step = -1 },
		"two pending":       func(s *totp.State) { s.Authenticators[0].ConfirmedAt = time.Time{} },
		"256 wrong codes":   func(s *totp.State) { s.Authenticators[0].Failed = 256 },
		"a negative count":  func(s *totp.State) { s.Authenticators[0].Failed = -1 },
		"too many failures": func(s *totp.State) { s.Failures = make([]time.Time, 1<<13) },
	} {
		s := totpSample()
		spoil(&s)
		if encoded, err := factorBytes(user.AddTOTP, s); err == nil {
			t.Errorf("%s: %d bytes were written", name, len(encoded))
		}
	}
}

func TestTOTPRow_TheLargestLeavesRoomInTheStore(t *testing.T) {
	var s totp.State
	for range totp.MaxAuthenticators {
		a := totpSample().Authenticators[0]
		a.Name, a.Secret = strings.Repeat("😀", totp.MaxName), make([]byte, totp.MaxSecret)
		s.Authenticators = append(s.Authenticators, a)
	}
	s.Failures = make([]time.Time, totp.MaxFailuresPerDay)
	if n := len(totpBytes(t, s)); n > store.MaxData/8 {
		t.Errorf("the largest state has %d bytes, want %d at most", n, store.MaxData/8)
	}
}

func FuzzReadTOTP(f *testing.F) {
	encoded := totpBytes(f, totpSample())
	f.Add([]byte(nil))
	f.Add(make([]byte, 4))
	f.Add(encoded)
	f.Add(encoded[:len(encoded)/2])
	f.Add(append(bytes.Clone(encoded), 7))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		s := cryptobyte.String(encoded)
		state, ok := user.ReadTOTP(&s)
		if !ok {
			return
		}
		again, err := factorBytes(user.AddTOTP, state)
		if err != nil || !bytes.Equal(append(again, s...), encoded) {
			t.Errorf("%x\nis read and written as\n%x, %v, and %x is left", encoded, again, err, []byte(s))
		}
		// No state that a row can hold causes a panic.
		_, _, _ = totp.Check(state, "000000", fixture.Noon)
		_, _, _ = totp.Confirm(state, "000000", fixture.Noon)
	})
}
