package totp_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/store"
	"twofa/internal/totp"
)

func appendState(s totp.State) ([]byte, error) {
	var b cryptobyte.Builder
	s.Append(&b)
	return b.Bytes()
}

func mustAppend(t testing.TB, s totp.State) []byte {
	t.Helper()
	row, err := appendState(s)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func sample() totp.State {
	return totp.State{
		Authenticators: []totp.Authenticator{
			{
				ID: "TA0102030405060708", Name: "Büro", Secret: bytes.Repeat([]byte{0xaa}, 20),
				Options: totp.Options{Algorithm: totp.SHA512, Digits: 8, Period: 60},
				Step:    0x0102030405, CreatedAt: noon, ConfirmedAt: noon.Add(ms), UsedAt: noon.Add(time.Hour),
			},
			{
				ID: "TA00000000000000ff", Name: "x", Secret: bytes.Repeat([]byte{0xbb}, 16),
				Options: totp.Options{Algorithm: totp.SHA256, Digits: 6, Period: 30}, CreatedAt: noon, Failed: 3,
			},
		},
		Failures: []time.Time{noon.Add(-time.Hour), noon},
	}
}

// A change of these bytes is a change of the layout: rows that are in a table
// today have to stay readable, so the row that it is a part of needs another
// version.
func TestRow_LayoutIsFixed(t *testing.T) {
	unix := func(t time.Time) string { return fmt.Sprintf("%016x", uint64(t.UnixMilli())) }
	zero := "ffffc77cedd32800"
	want := strings.Join([]string{
		"0088",
		"0102030405060708", "0005" + "42c3bc726f", "14" + strings.Repeat("aa", 20), "02", "08", "3c",
		"0000000102030405", unix(noon), unix(noon.Add(ms)), unix(noon.Add(time.Hour)), "00",
		"00000000000000ff", "0001" + "78", "10" + strings.Repeat("bb", 16), "01", "06", "1e",
		"0000000000000000", unix(noon), zero, zero, "03",
		"0010", unix(noon.Add(-time.Hour)), unix(noon),
	}, "")
	if got := fmt.Sprintf("%x", mustAppend(t, sample())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := fmt.Sprintf("%x", mustAppend(t, totp.State{})); got != "00000000" {
		t.Errorf("none is %s", got)
	}
	sha1 := sample()
	sha1.Authenticators[0].Algorithm = totp.SHA1
	if got := mustAppend(t, sha1)[2+8+2+5+1+20]; got != 0 {
		t.Errorf("SHA1 is %d", got)
	}
}

func TestRow_IsAPartOfAnother(t *testing.T) {
	for _, want := range []totp.State{{}, sample()} {
		s := cryptobyte.String(append(mustAppend(t, want), 1, 2, 3))
		got, ok := totp.Read(&s)
		if !ok || !reflect.DeepEqual(got, want) || !bytes.Equal(s, []byte{1, 2, 3}) {
			t.Errorf("%+v, %v, and %x is left", got, ok, []byte(s))
		}
	}
}

func TestRead_RefusesWhatAppendDoesNotWrite(t *testing.T) {
	row := mustAppend(t, sample())
	bad := map[string][]byte{}
	for n := range row {
		bad[fmt.Sprintf("cut off at %d", n)] = row[:n]
	}
	edit := func(name string, at int, b ...byte) {
		c := bytes.Clone(row)
		copy(c[at:], b)
		bad[name] = c
	}
	const options = 2 + 8 + 2 + 5 + 1 + 20 // of the first
	edit("an unknown algorithm", options, 3)
	edit("7 digits", options+1, 7)
	edit("a step of no time", options+2, 0)
	edit("a step of 31 seconds", options+2, 31)
	edit("a negative step", options+3, 0x80)
	edit("two pending", options+3+8+8, mustAppend(t, sample())[len(row)-2-16-1-8:][:8]...)
	edit("a name that is no UTF-8", 2+8+2, 0xff)
	edit("a longer list", 1, 0x89)
	edit("a shorter list", 1, 0x87)
	edit("a longer list of failures", len(row)-17, 17)
	edit("half a failure", len(row)-17, 12)
	short := sample()
	short.Authenticators = short.Authenticators[1:]
	c := mustAppend(t, short)
	i := bytes.Index(c, []byte{0x10, 0xbb})
	bad["a secret of 15 bytes"] = append(append(bytes.Clone(c[:i]), 0x0f), c[i+2:]...)
	bad["a secret of 15 bytes"][1]--
	bad["no name"] = append(append(bytes.Clone(c[:i-3]), 0, 0), c[i:]...)
	bad["no name"][1]--
	for name, b := range bad {
		s := cryptobyte.String(b)
		if got, ok := totp.Read(&s); ok || !reflect.DeepEqual(got, totp.State{}) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

func TestAppend_RefusesWhatReadCouldNotRead(t *testing.T) {
	for name, spoil := range map[string]func(s *totp.State){
		"no id":             func(s *totp.State) { s.Authenticators[0].ID = "" },
		"a capital in it":   func(s *totp.State) { s.Authenticators[1].ID = "TA00000000000000FF" },
		"no name":           func(s *totp.State) { s.Authenticators[0].Name = "" },
		"a long name":       func(s *totp.State) { s.Authenticators[0].Name = strings.Repeat("x", 65) },
		"no UTF-8":          func(s *totp.State) { s.Authenticators[0].Name = "\xff" },
		"a short secret":    func(s *totp.State) { s.Authenticators[0].Secret = make([]byte, 15) },
		"a long secret":     func(s *totp.State) { s.Authenticators[0].Secret = make([]byte, 65) },
		"no options":        func(s *totp.State) { s.Authenticators[0].Options = totp.Options{} },
		"another algorithm": func(s *totp.State) { s.Authenticators[0].Algorithm = "MD5" },
		"a negative step":   func(s *totp.State) { s.Authenticators[0].Step = -1 },
		"two pending":       func(s *totp.State) { s.Authenticators[0].ConfirmedAt = time.Time{} },
		"many wrong codes":  func(s *totp.State) { s.Authenticators[0].Failed = 256 },
		"fewer than none":   func(s *totp.State) { s.Authenticators[0].Failed = -1 },
		"many failures":     func(s *totp.State) { s.Failures = make([]time.Time, 1<<13) },
	} {
		s := sample()
		spoil(&s)
		if row, err := appendState(s); err == nil {
			t.Errorf("%s: %d bytes were written", name, len(row))
		}
	}
}

func TestRow_LargestLeavesRoomInTheStore(t *testing.T) {
	var s totp.State
	for range totp.MaxAuthenticators {
		a := sample().Authenticators[0]
		a.Name, a.Secret = strings.Repeat("😀", totp.MaxName), make([]byte, totp.MaxSecret)
		s.Authenticators = append(s.Authenticators, a)
	}
	s.Failures = make([]time.Time, totp.MaxFailuresPerDay)
	if n := len(mustAppend(t, s)); n > store.MaxData/8 {
		t.Errorf("the largest state has %d bytes, want %d at most", n, store.MaxData/8)
	}
}

func FuzzRead(f *testing.F) {
	row := mustAppend(f, sample())
	f.Add([]byte(nil))
	f.Add(make([]byte, 4))
	f.Add(row)
	f.Add(row[:len(row)/2])
	f.Add(append(bytes.Clone(row), 7))
	f.Fuzz(func(t *testing.T, row []byte) {
		s := cryptobyte.String(row)
		state, ok := totp.Read(&s)
		if !ok {
			return
		}
		again, err := appendState(state)
		if err != nil || !bytes.Equal(append(again, s...), row) {
			t.Errorf("%x\nis read and written as\n%x, %v, and %x is left", row, again, err, []byte(s))
		}
		// What a row may hold panics nowhere.
		_, _, _ = totp.Check(state, "000000", noon)
		_, _, _ = totp.Confirm(state, "000000", noon)
	})
}
