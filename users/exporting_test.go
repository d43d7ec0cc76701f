package users_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"twofa/internal/store"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/users"
)

// dump exports all users.
func (b *bench) dump() (string, users.Exported) {
	b.t.Helper()
	var out bytes.Buffer
	ex := &users.Export{Users: b.s, Workers: 4, Report: func(text string) { b.t.Errorf("said %q", text) }}
	if err := ex.Run(context.Background(), &out); err != nil {
		b.t.Fatal(err)
	}
	return out.String(), ex.Tally()
}

func TestExport_WritesWhatImportReads(t *testing.T) {
	b := newBench(t)
	b.s.Brand = "Example: Bank"
	b.put("Smith, \"A\"", both, users.Conditions{})
	b.take(head+"bob,+14155550123,,"+secretA+",,,A\nbob,+14155550123,,"+secretB+",,,B\n", false)
	b.put("gone", both, users.Conditions{})
	if err := b.s.Delete(t.Context(), "gone", users.Conditions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.s.Enroll(t.Context(), "bob", users.EnrollRequest{}); err != nil { // pending
		t.Fatal(err)
	}
	// A row of a recipient, whose key is hexadecimal.
	err := b.table.Update(t.Context(), "0123456789abcdef", func([]byte) (store.Row, error) {
		return store.Row{Data: []byte("x"), KeepUntil: noon}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, tally := b.dump()
	lines := map[string]bool{}
	for line := range strings.Lines(got) {
		lines[line] = true
	}
	uri := func(secret string) string {
		return "otpauth://totp/Example%3A%20Bank:bob?secret=" + secret + "&issuer=Example%3A%20Bank&algorithm=SHA1&digits=6&period=30"
	}
	for _, want := range []string{
		head,
		"\"Smith, \"\"A\"\"\",+14155550123,alice@example.com,,pt-BR,sms email,\n",
		"bob,+14155550123,," + uri(secretA) + ",,,A\n",
		"bob,+14155550123,," + uri(secretB) + ",,,B\n",
	} {
		if !lines[want] {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
	if len(lines) != 4 || tally != (users.Exported{Users: 2, Lines: 3}) {
		t.Errorf("%+v\n%s", tally, got)
	}
}

// person draws a user as the service accepts one.
var person = rapid.Custom(func(t *rapid.T) user.User {
	name := rapid.StringOfN(rapid.OneOf(rapid.SampledFrom([]rune(`,";|'=+-@: %a`)), rapid.RuneFrom(nil, unicode.Latin, unicode.Han, unicode.Arabic, unicode.Mn)), 1, 20, -1)
	u := user.User{
		Name: name.Filter(func(s string) bool {
			parsed, bad := user.ParseName(s)
			return bad == nil && parsed == s
		}).Draw(t, "name"),
		Phone:  rapid.SampledFrom([]string{"", number, "+919876543210"}).Draw(t, "phone"),
		Locale: rapid.SampledFrom([]string{"", "en", "zh-Hant-TW"}).Draw(t, "locale"),
	}
	if u.Phone == "" || rapid.Bool().Draw(t, "mail") {
		u.Email = rapid.SampledFrom([]string{mail, "=o'neil+a|b@example.org"}).Draw(t, "email")
	}
	if u.Phone != "" && u.Email != "" {
		u.Channels = rapid.SampledFrom([][]string{nil, {"sms"}, {"email", "whatsapp", "sms"}}).Draw(t, "channels")
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "apps") {
		label := rapid.StringOfN(rapid.RuneFrom(nil, unicode.L), 0, 30, -1).Draw(t, "app")
		var ids [8]byte
		ids[0] = byte(i)
		a := totp.Authenticator{
			ID: totp.NewID(ids), Name: fmt.Sprintf("%d,\"%s", i, label),
			Secret: rapid.SliceOfN(rapid.Byte(), totp.MinSecret, totp.MaxSecret).Draw(t, "secret"),
			Options: totp.Options{
				Algorithm: rapid.SampledFrom([]totp.Algorithm{totp.SHA1, totp.SHA256, totp.SHA512}).Draw(t, "algorithm"),
				Digits:    rapid.SampledFrom([]int{6, 8}).Draw(t, "digits"),
				Period:    rapid.SampledFrom([]int{30, 60}).Draw(t, "period"),
			},
			Step: rapid.Int64Range(0, 1<<40).Draw(t, "step"),
		}
		if next, err := totp.Import(u.TOTP, a, noon); err == nil { // not the same secret twice
			u.TOTP = next
		}
	}
	u.PhoneVerified = u.Phone != "" && rapid.Bool().Draw(t, "verified")
	return u
})

func TestImportOfExport_IsTheSameUsers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		from, to := benchOn(rt, newMapTable()), benchOn(rt, newMapTable())
		from.s.Brand = rapid.SampledFrom([]string{"", "twofa", "A: b&c=d"}).Draw(rt, "brand")
		for _, u := range rapid.SliceOfN(person, 0, 10).Draw(rt, "users") {
			_, err := from.s.Directory.Change(context.Background(), from.s.Directory.Key(u.Name), func(user.User, bool) (user.User, error) { return u, nil })
			if err != nil {
				rt.Fatal(err)
			}
		}
		file, tally := from.dump()
		got := to.take(file, rapid.Bool().Draw(rt, "together"))
		want := from.everybody()
		if got.err != nil || len(got.said) > 0 || tally.Users != len(want) || got.Read != tally.Lines {
			rt.Fatalf("%+v, %+v", got, tally)
		}
		if all := to.everybody(); !maps.EqualFunc(all, want, sameUser) {
			rt.Fatalf("got  %+v\nwant %+v\nfile:\n%s", all, want, file)
		}
		if again := from.take(file, false); again.Unchanged != tally.Lines { // back to where it came from
			rt.Fatalf("%+v", again)
		}
	})
}

func TestExport_SaysWhomItCannotRead(t *testing.T) {
	b := newBench(t)
	b.put("alice", both, users.Conditions{})
	key := b.s.Directory.Key("canary")
	for what, row := range map[string][]byte{
		"not sealed":      []byte("canary"),
		"another's place": nil,
	} {
		if row == nil { // alice, sealed for the place of another
			u := b.load("alice")
			plain, err := u.Encode()
			if err != nil {
				t.Fatal(err)
			}
			row = b.s.Directory.Keys.Seal(plain, key)
		}
		err := b.table.Update(t.Context(), store.Key(key), func([]byte) (store.Row, error) { return store.Row{Data: row, KeepUntil: noon}, nil })
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		var said []string
		ex := &users.Export{Users: b.s, Workers: 1, Report: func(text string) { said = append(said, text) }}
		err = ex.Run(t.Context(), &out)
		if want := "the user " + key[1:9] + " cannot be read, and is left out"; err != nil || len(said) != 1 || said[0] != want || ex.Tally() != (users.Exported{Users: 1, Lines: 1, Skipped: 1}) {
			t.Errorf("%s: %v, %q, %+v", what, err, said, ex.Tally())
		}
	}
}

func TestExport_IsNotWholeAfterAnError(t *testing.T) {
	b := newBench(t)
	b.put("alice", both, users.Conditions{})
	ex := &users.Export{Users: b.s, Workers: 1}
	full := errors.New("full")
	if err := ex.Run(t.Context(), writer(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ex.Run(ctx, new(bytes.Buffer)); err == nil {
		t.Error("nothing is said of a signal")
	}
	b.s.Directory.Table = brokenTable{b.table, store.ErrUnavailable}
	if err := ex.Run(t.Context(), new(bytes.Buffer)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a store that is away: %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// FuzzImport: whatever a file holds, an import ends, every line is accounted for,
// what is said quotes nothing, and only what a CSV reader takes for a record may
// become a user.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{
		"alice,+14155550123,,,,,\n", "\"a\nb\",+14155550123,,,,,\n", "\"\"\"\",+14155550123,,,,,", "a\"b,,,\n\"", "\r\n\r,,,,,,\r",
		"u,+14155550123,," + secretA + ",,,\nu,+14155550124,,otpauth://totp/?secret=" + secretA + ",,sms|sms,x\n",
		"\ufeff,,,,,,\n", ",,,\xff\xfe", strings.Repeat("x,", 40_000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		b := benchOn(t, newMapTable())
		got := b.take(head+body, len(body)%2 == 0)
		if got.Read != got.Created+got.Changed+got.Unchanged+got.Skipped {
			t.Errorf("%+v", got.Tally)
		}
		if len(got.said) != got.Skipped+got.Contradictions {
			t.Errorf("%+v said %q", got.Tally, got.said)
		}
		names := map[string]bool{}
		r := csv.NewReader(strings.NewReader(body))
		r.FieldsPerRecord = -1
		for {
			rec, err := r.Read()
			if _, bad := errors.AsType[*csv.ParseError](err); bad {
				continue
			}
			if err != nil {
				break
			}
			if name, bad := user.ParseName(rec[0]); bad == nil {
				names[name] = true
			}
		}
		for name, u := range b.everybody() {
			if !names[name] || u.Phone == "" && u.Email == "" {
				t.Errorf("the user %q is not in the file", name)
			}
		}
	})
}
