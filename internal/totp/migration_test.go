package totp_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
)

// account is one OtpParameters. Numbers that are 0 are left out, as in protocol
// buffers.
type account struct {
	secret                  []byte
	name, issuer            string
	algorithm, digits, kind uint64
	counter                 uint64
	more                    []byte
}

func (a account) encode() []byte {
	var b []byte
	for n, v := range [][]byte{a.secret, []byte(a.name), []byte(a.issuer)} {
		b = protowire.AppendTag(b, protowire.Number(n+1), protowire.BytesType)
		b = protowire.AppendBytes(b, v)
	}
	for n, v := range []uint64{a.algorithm, a.digits, a.kind, a.counter} {
		if v != 0 {
			b = protowire.AppendTag(b, protowire.Number(n+4), protowire.VarintType)
			b = protowire.AppendVarint(b, v)
		}
	}
	return append(b, a.more...)
}

// export returns a URI as Google Authenticator shows it.
func export(list ...account) string {
	return "otpauth-migration://offline?data=" + url.QueryEscape(base64.StdEncoding.EncodeToString(payload(list...)))
}

func payload(list ...account) []byte {
	var b []byte
	for _, a := range list {
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, a.encode())
	}
	for n, v := range []uint64{1, 1, 0, 1<<64 - 77} { // version, batch's size, index, id (negative)
		b = protowire.AppendTag(b, protowire.Number(n+2), protowire.VarintType)
		b = protowire.AppendVarint(b, v)
	}
	return b
}

// Other readers of the format publish this export as their example. It has neither
// algorithm nor digits, and its secret is the well-known one of 80 bits.
func TestParseMigration_PublishedExample(t *testing.T) {
	list, err := totp.ParseMigration("otpauth-migration://offline?data=CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU6YWxpY2VAZ29vZ2xlLmNvbRoHRXhhbXBsZTAC")
	if err != nil || len(list) != 1 {
		t.Fatal(len(list), describe(err))
	}
	m := list[0]
	if m.Issuer != "Example" || m.Account != "alice@google.com" || m.Secret != nil || m.Err == nil ||
		len(fixture.Fields(m.Err)) != 1 || !strings.Contains(describe(m.Err), "only 80 bits") {
		t.Errorf("%+v, %s", m, describe(m.Err))
	}
}

func TestParseMigration(t *testing.T) {
	plain := totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}
	ok := account{secret: hello, name: "alice", issuer: "Acme", algorithm: 1, digits: 1, kind: 2}
	with := func(change func(a *account)) account {
		a := ok
		change(&a)
		return a
	}
	for name, c := range map[string]struct {
		a               account
		issuer, account string
		options         totp.Options
		fault           string
	}{
		"plain":          {ok, "Acme", "alice", plain, ""},
		"unspecified":    {account{secret: hello, name: "alice"}, "", "alice", plain, ""},
		"SHA256, eight":  {with(func(a *account) { a.algorithm, a.digits = 2, 2 }), "Acme", "alice", totp.Options{Algorithm: totp.SHA256, Digits: 8, Period: 30}, ""},
		"SHA512":         {with(func(a *account) { a.algorithm = 3 }), "Acme", "alice", totp.Options{Algorithm: totp.SHA512, Digits: 6, Period: 30}, ""},
		"issuer in name": {with(func(a *account) { a.name = "Acme: alice" }), "Acme", "alice", plain, ""},
		"issuer there":   {with(func(a *account) { a.name, a.issuer = "Other:alice", "" }), "Other", "alice", plain, ""},
		"another issuer": {with(func(a *account) { a.name = "Other:alice" }), "Acme", "Other:alice", plain, ""},
		"unknown fields": {with(func(a *account) {
			a.more = protowire.AppendString(protowire.AppendTag(nil, 8, protowire.BytesType), "id")
		}), "Acme", "alice", plain, ""},
		"HOTP":            {with(func(a *account) { a.kind, a.counter = 1, 5 }), "Acme", "alice", plain, "HOTP"},
		"MD5":             {with(func(a *account) { a.algorithm = 4 }), "Acme", "alice", plain, "SHA1, SHA256 or SHA512"},
		"seven digits":    {with(func(a *account) { a.digits = 3 }), "Acme", "alice", plain, "6 or 8"},
		"unknown type":    {with(func(a *account) { a.kind = 3 }), "Acme", "alice", plain, "type"},
		"a giant number":  {with(func(a *account) { a.algorithm = 1 << 63 }), "Acme", "alice", plain, "SHA1, SHA256 or SHA512"},
		"a short secret":  {with(func(a *account) { a.secret = hello[:15] }), "Acme", "alice", plain, "120 bits"},
		"a long secret":   {with(func(a *account) { a.secret = make([]byte, 65) }), "Acme", "alice", plain, "over 64"},
		"no secret":       {with(func(a *account) { a.secret = nil }), "Acme", "alice", plain, "missing"},
		"a name in parts": {with(func(a *account) { a.name = "a\nb" }), "", "", plain, "printable"},
		"no UTF-8":        {with(func(a *account) { a.issuer = "\xff" }), "", "", plain, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := totp.ParseMigration(export(ok, c.a, ok))
			if err != nil || len(list) != 3 || list[0].Err != nil || list[2].Err != nil {
				t.Fatalf("%+v, %s", list, describe(err))
			}
			want := totp.Migrated{Issuer: c.issuer, Account: c.account, Err: list[1].Err}
			if c.fault == "" {
				want.Authenticator = totp.Authenticator{Secret: hello, Options: c.options}
			}
			if !reflect.DeepEqual(list[1], want) || (c.fault == "") != (want.Err == nil) {
				t.Errorf("%+v, want %+v", list[1], want)
			}
			if want.Err != nil && (!strings.Contains(describe(want.Err), c.fault) || !slices.Equal(fixture.FieldNames(want.Err), []string{"uri"})) {
				t.Error(describe(want.Err))
			}
		})
	}
}

func TestParseMigration_FormsOfBase64(t *testing.T) {
	a := account{secret: bytes.Repeat([]byte{0xfb, 0xef, 0xbe, 0xff}, 5), name: "alice~", kind: 2}
	std := base64.StdEncoding.EncodeToString(payload(a))
	if !strings.Contains(std, "+") || !strings.Contains(std, "/") || !strings.HasSuffix(std, "=") {
		t.Fatal(std)
	}
	for _, data := range []string{
		url.QueryEscape(std), std, strings.TrimRight(std, "="),
		base64.URLEncoding.EncodeToString(payload(a)), base64.RawURLEncoding.EncodeToString(payload(a)),
	} {
		list, err := totp.ParseMigration("otpauth-migration://offline?data=" + data)
		if err != nil || len(list) != 1 || !bytes.Equal(list[0].Secret, a.secret) {
			t.Errorf("%s: %+v, %s", data, list, describe(err))
		}
	}
}

func TestParseMigration_Refuses(t *testing.T) {
	ok := account{secret: hello, name: "alice", kind: 2}
	good := payload(ok)
	raw := func(b []byte) string {
		return "otpauth-migration://offline?data=" + base64.RawURLEncoding.EncodeToString(b)
	}
	wrongType := func(n protowire.Number) []byte {
		return protowire.AppendFixed32(protowire.AppendTag(nil, n, protowire.Fixed32Type), 1)
	}
	bad := map[string]string{
		"":                                          "no otpauth-migration",
		"otpauth://offline?data=":                   "no otpauth-migration",
		"otpauth-migration://online?data=":          "no otpauth-migration",
		"otpauth-migration://offline/x":             "no otpauth-migration",
		"otpauth-migration://offline":               "no accounts",
		"otpauth-migration://offline?data=":         "no accounts",
		"otpauth-migration://offline?data=!":        "base64",
		"otpauth-migration://offline?data=A&data=A": "twice",
		raw(nil): "no accounts",
		raw(protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1)): "no accounts",
		raw(wrongType(1)): "not what",
		raw([]byte{0}):    "not what",
		raw(append(bytes.Clone(good), 0x0a, 200)):                   "not what",
		raw(payload(slices.Repeat([]account{{name: "x"}}, 101)...)): "over 100",
		export(slices.Repeat([]account{ok}, 200)...):                "at most 4096",
	}
	for n := protowire.Number(1); n <= 6; n++ {
		bad[export(account{secret: hello, more: wrongType(n)})] = "not what"
	}
	for uri, want := range bad {
		list, err := totp.ParseMigration(uri)
		if list != nil || !slices.Equal(fixture.FieldNames(err), []string{"uri"}) || !strings.Contains(describe(err), want) {
			t.Errorf("%.80s: %d accounts, %s, want %q", uri, len(list), describe(err), want)
		}
	}
	if list, err := totp.ParseMigration(raw(payload(slices.Repeat([]account{{name: "x"}}, 100)...))); err != nil || len(list) != 100 {
		t.Errorf("100: %d, %s", len(list), describe(err))
	}
}

func FuzzParseMigration(f *testing.F) {
	ok := account{secret: hello, name: "alice", issuer: "Acme", algorithm: 1, digits: 1, kind: 2}
	f.Add(payload(ok))
	f.Add(payload(ok, account{name: "x", kind: 1, more: []byte{0x43, 0x44}}))
	f.Add([]byte{0x0a, 0xff})
	f.Fuzz(func(t *testing.T, payload []byte) {
		list, err := totp.ParseMigration("otpauth-migration://offline?data=" + base64.StdEncoding.EncodeToString(payload))
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d accounts, %v", len(list), err)
		}
		for _, m := range list {
			if m.Err != nil {
				if m.Secret != nil {
					t.Fatalf("a secret beside %s", describe(m.Err))
				}
				continue
			}
			a, _, _, err := totp.ParseURI(m.URI(m.Issuer, m.Account))
			if err != nil || !reflect.DeepEqual(a, m.Authenticator) {
				t.Fatal(fmt.Sprintf("%+v", m), describe(err))
			}
		}
	})
}
