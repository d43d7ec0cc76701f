package userfile_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/internal/userfile"
)

func TestExport_WritesWhatImportReads(t *testing.T) {
	r := newRig(t)
	r.issuer = "Example: Bank"
	r.register("Smith, \"A\"")
	r.read(head + "bob,+14155550123,," + secretA + ",,,A\nbob,+14155550123,," + secretB + ",,,B\n")
	r.register("erased")
	if err := r.users.Erase(t.Context(), r.users.Key("main", "erased"), fixture.Noon, func(user.User) error { return nil }); err != nil {
		t.Fatal(err)
	}
	r.enroll("bob", secretC)                 // pending
	r.plant("0123456789abcdef", []byte("x")) // a recipient's key
	got, tally, reports := r.write()
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
	if len(lines) != 4 || !reflect.DeepEqual(tally, userfile.Exported{Users: 2, Lines: 3}) || len(reports) > 0 {
		t.Errorf("%+v, %q\n%s", tally, reports, got)
	}
}

// person draws a user as the service accepts one.
var person = rapid.Custom(func(t *rapid.T) user.User {
	name := rapid.StringOfN(rapid.OneOf(rapid.SampledFrom([]rune(`,";|'=+-@: %a`)), rapid.RuneFrom(nil, unicode.Latin, unicode.Han, unicode.Arabic, unicode.Mn)), 1, 20, -1)
	u := user.User{
		Directory: "main",
		Name: name.Filter(func(s string) bool {
			parsed, bad := user.ParseName(s)
			return bad == nil && parsed == s
		}).Draw(t, "name"),
		Phone:  rapid.SampledFrom([]string{"", fixture.Alice, fixture.Bob}).Draw(t, "phone"),
		Locale: rapid.SampledFrom([]string{"", "en", "zh-Hant-TW"}).Draw(t, "locale"),
	}
	if u.Phone == "" || rapid.Bool().Draw(t, "mail") {
		u.Email = rapid.SampledFrom([]string{mail, "=o'neil+a|b@example.org"}).Draw(t, "email")
	}
	if u.Phone != "" && u.Email != "" {
		u.Channels = rapid.SampledFrom([][]channel.Channel{nil, {"sms"}, {"email", "whatsapp", "sms"}}).Draw(t, "channels")
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
		if next, err := totp.Import(u.TOTP, a, fixture.Noon); err == nil { // not the same secret twice
			u.TOTP = next
		}
	}
	u.PhoneVerified = u.Phone != "" && rapid.Bool().Draw(t, "verified")
	return u
})

func TestImportOfExport_IsTheSameUsers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		from, to := rigOn(rt, newMapTable()), rigOn(rt, newMapTable())
		from.issuer = rapid.SampledFrom([]string{"", "twofa", "A: b&c=d"}).Draw(rt, "issuer")
		for _, u := range rapid.SliceOfN(person, 0, 10).Draw(rt, "users") {
			from.change(u.Name, func(user.User) (user.User, error) { return u, nil })
		}
		file, tally, reports := from.write()
		to.batches = rapid.Bool().Draw(rt, "batches")
		got := to.read(file)
		want := from.all()
		if got.err != nil || len(got.reports)+len(reports) > 0 || tally.Users != len(want) || got.Read != tally.Lines {
			rt.Fatalf("%+v, %q, %+v", got, reports, tally)
		}
		if all := to.all(); !reflect.DeepEqual(all, want) {
			rt.Fatalf("got  %+v\nwant %+v\nfile:\n%s", all, want, file)
		}
		if again := from.read(file); again.Unchanged != tally.Lines { // back to where it came from
			rt.Fatalf("%+v", again)
		}
	})
}

// The row of a name may hold another user only if somebody planted it.
func TestExport_ReportsUsersItCannotRead(t *testing.T) {
	r := newRig(t)
	r.register("alice")
	key := r.users.Key("main", "canary")
	alice, err := r.load("alice").Encode()
	if err != nil {
		t.Fatal(err)
	}
	for what, row := range map[string][]byte{
		"not sealed":   []byte("canary"),
		"another user": r.users.Keys.Seal(alice, string(key)),
	} {
		r.plant(store.Key(key), row)
		_, tally, reports := r.write()
		want := "the user " + string(key[1:9]) + " cannot be read, and is left out"
		if !slices.Equal(reports, []string{want}) || !reflect.DeepEqual(tally, userfile.Exported{Users: 1, Lines: 1, Skipped: 1}) {
			t.Errorf("%s: %q, %+v", what, reports, tally)
		}
	}
}

func TestExport_FailsIfTheFileIsNotComplete(t *testing.T) {
	r := newRig(t)
	r.register("alice")
	ex := &userfile.Export{Users: r.users, Directory: "main", Workers: 1}
	full := errors.New("full")
	if err := ex.Run(t.Context(), writer(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
		t.Errorf("a full disk: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ex.Run(ctx, new(bytes.Buffer)); err == nil {
		t.Error("no error after a signal")
	}
	for broken := 1; broken <= 2; broken++ { // the list of rows, and the user
		r.table.Break(func(call int) testrig.Fault {
			if call == broken {
				return testrig.Down
			}
			return testrig.None
		})
		if err := ex.Run(t.Context(), new(bytes.Buffer)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("call %d of the store fails: %v", broken, err)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// FuzzImport makes sure that an import of any file ends and counts every line, and
// that each user comes from a record as a CSV reader sees it.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{
		"alice,+14155550123,,,,,\n", "\"a\nb\",+14155550123,,,,,\n", "\"\"\"\",+14155550123,,,,,", "a\"b,,,\n\"", "\r\n\r,,,,,,\r",
		"u,+14155550123,," + secretA + ",,,\nu,+14155550124,,otpauth://totp/?secret=" + secretA + ",,sms|sms,x\n",
		"\ufeff,,,,,,\n", ",,,\xff\xfe", strings.Repeat("x,", 40_000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := rigOn(t, newMapTable())
		r.batches = len(body)%2 == 0
		got := r.read(head + body)
		if got.Read != got.Created+got.Changed+got.Unchanged+got.Skipped {
			t.Errorf("%+v", got.Tally)
		}
		if len(got.reports) != got.Skipped+got.Contradictions {
			t.Errorf("%+v, but the reports are %q", got.Tally, got.reports)
		}
		names := map[string]bool{}
		records := csv.NewReader(strings.NewReader(body))
		records.FieldsPerRecord = -1
		for {
			rec, err := records.Read()
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
		for name, u := range r.all() {
			if !names[name] || u.Phone == "" && u.Email == "" {
				t.Errorf("the user %q is not in the file", name)
			}
		}
	})
}
