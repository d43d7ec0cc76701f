package user_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// anyTime draws a time as a row keeps it.
var anyTime = rapid.Custom(func(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "zero") {
		return time.Time{}
	}
	return time.UnixMilli(rapid.Int64Range(-1, 1<<42).Draw(t, "unix ms")).UTC()
})

// anyUser draws any user without factors that can be kept, valid for the service
// or not.
var anyUser = rapid.Custom(func(t *rapid.T) user.User {
	text := rapid.StringN(0, -1, 255)
	u := user.User{
		Directory: rapid.OneOf(rapid.SampledFrom([]user.Directory{"main", "oidc"}), rapid.Map(rapid.StringN(1, -1, 255), func(s string) user.Directory { return user.Directory(s) })).Draw(t, "directory"),
		Name:      rapid.StringN(1, -1, 1000).Draw(t, "name"), Phone: text.Draw(t, "phone"), Email: text.Draw(t, "email"), Locale: text.Draw(t, "locale"),
		PhoneVerified: rapid.Bool().Draw(t, "phone verified"), EmailVerified: rapid.Bool().Draw(t, "email verified"),
		CreatedAt: anyTime.Draw(t, "created"), UpdatedAt: anyTime.Draw(t, "updated"),
	}
	if rapid.Bool().Draw(t, "any channels") {
		for _, c := range rapid.SliceOfN(rapid.StringN(0, -1, 50), 1, 5).Draw(t, "channels") {
			u.Channels = append(u.Channels, channel.Channel(c))
		}
	}
	copy(u.Revision[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "revision"))
	return u
})

func mustEncode(t rapid.TB, u user.User) []byte {
	t.Helper()
	row, err := u.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestRow_DecodesToWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := anyUser.Draw(t, "user")
		if got, err := user.Decode(mustEncode(t, u)); err != nil || !reflect.DeepEqual(got, u) {
			t.Fatalf("got  %+v, %v\nwant %+v", got, err, u)
		}
	})
}

var sample = user.User{
	Directory: "main", Name: "Am\u00e9lie", Phone: "+14155550123", Email: "amelie@example.com", Locale: "pt-BR",
	Channels: []channel.Channel{"sms", "email"}, PhoneVerified: true,
	Revision:  [8]byte{1, 2, 3, 4, 5, 6, 7, 8},
	CreatedAt: fixture.Noon.Add(7 * time.Millisecond), UpdatedAt: fixture.Noon.Add(time.Hour),
}

// noFactors is the encoding of the factors of a user who has none. noDay is that of
// the lists that version 2 has after it.
const (
	noFactors = "0000" + "0000" + "010000"
	noDay     = "0000" + "0000" + "0000"
)

// A change of these bytes is a change of the layout, which needs another version:
// the rows that are in a table today have to stay readable.
func TestRow_LayoutOfVersions1And2IsFixed(t *testing.T) {
	text := func(s string) string { return fmt.Sprintf("%02x%x", len(s), s) }
	version1 := strings.Join([]string{
		"01", "0007" + "416dc3a96c6965", text("+14155550123"), text("amelie@example.com"), text("pt-BR"),
		"0a", text("sms"), text("email"), "01", "0102030405060708",
		fmt.Sprintf("%016x", fixture.Noon.UnixMilli()+7), fmt.Sprintf("%016x", fixture.Noon.UnixMilli()+3600_000),
		noFactors,
	}, "")
	want := "02" + version1[2:] + noDay
	if got := fmt.Sprintf("%x", mustEncode(t, sample)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	old, err := hex.DecodeString(version1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := user.Decode(old); err != nil || !reflect.DeepEqual(got, sample) {
		t.Errorf("version 1 decodes to %+v, %v", got, err)
	}
	full := sample
	full.TOTP.Spent = []totp.Spent{{Secret: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Period: 60, Step: 0x0102030405, At: fixture.Noon}}
	full.Recovery.Sets = []time.Time{fixture.Noon, fixture.Noon}
	full.Changes = []time.Time{fixture.Noon}
	at := unix(fixture.Noon)
	day := "0019" + "0102030405060708" + "3c" + "0000000102030405" + at + "0010" + at + at + "0008" + at
	if got := fmt.Sprintf("%x", mustEncode(t, full)); got != "02"+version1[2:]+day {
		t.Errorf("got  %s\nwant the end %s", got, day)
	}
	if got, err := user.Decode(mustEncode(t, full)); err != nil || !reflect.DeepEqual(got, full) {
		t.Errorf("decodes to %+v, %v", got, err)
	}
	both := sample
	both.EmailVerified = true
	if got := mustEncode(t, both)[len(want)/2-len(noDay)/2-len(noFactors)/2-8-8-8-1]; got != 3 {
		t.Errorf("both verified is encoded as %d, want 3", got)
	}
	none := user.User{Directory: "main", Name: "x"}
	if got, want := fmt.Sprintf("%x", mustEncode(t, none)), "02"+"000178"+"00000000"+"00"+strings.Repeat("00", 8)+strings.Repeat("ffffc77cedd32800", 2)+noFactors+noDay; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecode_RefusesWhatEncodeDoesNotWrite(t *testing.T) {
	row := mustEncode(t, sample)
	flags := len(row) - len(noDay)/2 - len(noFactors)/2 - 8 - 8 - 8 - 1
	edit := func(at int, b byte) []byte {
		c := bytes.Clone(row)
		c[at] = b
		return c
	}
	bad := map[string][]byte{
		"nothing":                      nil,
		"the row of an erased user":    {0},
		"version 0":                    edit(0, 0),
		"a later version":              edit(0, 3),
		"version 1 with version 2":     edit(0, 1),
		"half a change":                append(bytes.Clone(row[:len(row)-2]), 0, 4, 0, 0, 0, 0),
		"a step of no period":          append(append(bytes.Clone(row[:len(row)-6]), 0, 25), make([]byte, 25+4)...),
		"an additional byte":           append(bytes.Clone(row), 0),
		"an unknown flag":              edit(flags, 4),
		"half a channel":               edit(flags-6, 6),
		"an empty row of zero version": make([]byte, 64),
		"no name":                      append([]byte{2, 0, 0}, row[3+7:]...),
	}
	for n := range row {
		bad[fmt.Sprintf("cut off at %d", n)] = row[:n]
	}
	for name, row := range bad {
		if u, err := user.Decode(row); err == nil || !reflect.DeepEqual(u, user.User{}) {
			t.Errorf("%s: decodes to %+v, %v", name, u, err)
		}
	}
}

// The errors are logged, so they must not name anybody.
func TestEncode_RefusesWhatDecodeCouldNotRead(t *testing.T) {
	long := strings.Repeat("canary", 43)
	for name, u := range map[string]user.User{
		"no name":            {Phone: "canary"},
		"a long name":        {Name: strings.Repeat(long, 300)},
		"a long address":     {Name: "canary", Email: long},
		"a long channel":     {Name: "canary", Channels: []channel.Channel{channel.Channel(long)}},
		"too many channels":  {Name: "canary", Channels: slices.Repeat([]channel.Channel{"canary"}, 40)},
		"a long language":    {Name: "canary", Locale: long},
		"a very long number": {Name: "canary", Phone: long},
		"no directory":       {Name: "canary"},
		"a long directory":   {Name: "canary", Directory: user.Directory(long)},
	} {
		if name != "no directory" && u.Directory == "" {
			u.Directory = "main"
		}
		row, err := u.Encode()
		if err == nil {
			t.Errorf("%s: %d bytes were written", name, len(row))
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A later version needs room for more factors.
func TestRow_LargestLeavesRoomInTheStore(t *testing.T) {
	long := strings.Repeat("x", 254)
	u := user.User{Directory: "main", Name: strings.Repeat("\U0001F600", user.MaxName), Phone: long, Email: long, Locale: long, Channels: []channel.Channel{channel.Channel(long)}}
	if n := len(mustEncode(t, u)); n > store.MaxData/8 {
		t.Errorf("the largest row has %d bytes, want %d at most", n, store.MaxData/8)
	}
}

func FuzzDecode(f *testing.F) {
	row := mustEncode(f, sample)
	f.Add([]byte(nil))
	f.Add([]byte{0})
	f.Add(row)
	f.Add(row[:len(row)/2])
	f.Add(append(bytes.Clone(row), 0))
	f.Add(mustEncode(f, user.User{Directory: "main", Name: "x"}))
	f.Add(append([]byte{1}, row[1:len(row)-6]...))
	elsewhere := sample
	elsewhere.Directory = "shop"
	f.Add(mustEncode(f, elsewhere))
	f.Fuzz(func(t *testing.T, row []byte) {
		u, err := user.Decode(row)
		if err != nil {
			return
		}
		if row[0] == 1 { // is encoded as version 2
			row = append(append([]byte{2}, row[1:]...), make([]byte, 6)...)
		}
		if again, err := u.Encode(); err != nil || !bytes.Equal(again, row) {
			t.Errorf("%x\ndecodes and encodes to\n%x, %v", row, again, err)
		}
	})
}
