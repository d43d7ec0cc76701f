package totp_test

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	pquerna "github.com/pquerna/otp"
	"pgregory.net/rapid"

	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
)

// helloSecret is the key of the format's own examples, twice so that it is long
// enough.
const helloSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"

var hello = []byte("Hello!\xde\xad\xbe\xefHello!\xde\xad\xbe\xef")

func TestURI(t *testing.T) {
	a := totp.Authenticator{Secret: hello, Options: totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}}
	const rest = "&algorithm=SHA1&digits=6&period=30"
	for _, c := range []struct{ issuer, account, want string }{
		{"ACME Co", "john.doe@email.com", "otpauth://totp/ACME%20Co:john.doe%40email.com?secret=" + helloSecret + "&issuer=ACME%20Co" + rest},
		{"A:B", "c:d", "otpauth://totp/A%3AB:c%3Ad?secret=" + helloSecret + "&issuer=A%3AB" + rest},
		{"Müller & Söhne", "zoë+test", "otpauth://totp/M%C3%BCller%20%26%20S%C3%B6hne:zo%C3%AB%2Btest?secret=" + helloSecret + "&issuer=M%C3%BCller%20%26%20S%C3%B6hne" + rest},
		{"100%", "a/b?c#d=e", "otpauth://totp/100%25:a%2Fb%3Fc%23d%3De?secret=" + helloSecret + "&issuer=100%25" + rest},
		{"🔑", "+14155550123", "otpauth://totp/%F0%9F%94%91:%2B14155550123?secret=" + helloSecret + "&issuer=%F0%9F%94%91" + rest},
		{"", "alice", "otpauth://totp/alice?secret=" + helloSecret + rest},
	} {
		if got := a.URI(c.issuer, c.account); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	a.Options = totp.Options{Algorithm: totp.SHA512, Digits: 8, Period: 60}
	if got := a.URI("x", "y"); !strings.HasSuffix(got, "&algorithm=SHA512&digits=8&period=60") {
		t.Error(got)
	}
}

// names draws names as persons, operators and imported files may have them.
func names() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom([]string{":", "%", "%41", "+", " ", "&", "=", "?", "#", "/", "ß", "Ж", "東", "👩\u200d💻", "'", `"`, "<", ";"}),
			rapid.StringOfN(rapid.RuneFrom([]rune("abcXYZ019")), 1, 5, -1),
		), 1, 8).Draw(t, "parts")
		return strings.TrimSpace("x" + strings.Join(parts, ""))
	})
}

func TestParseURI_ReadsWhatURIWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAuthenticator().Draw(t, "authenticator")
		issuer, account := names().Draw(t, "issuer"), names().Draw(t, "account")
		uri := a.URI(issuer, account)
		got, gotIssuer, gotAccount, err := totp.ParseURI(uri)
		if err != nil || gotIssuer != issuer || gotAccount != account {
			t.Fatalf("%s: %q, %q, %s", uri, gotIssuer, gotAccount, describe(err))
		}
		if want := (totp.Authenticator{Secret: a.Secret, Options: a.Options}); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %+v", uri, got)
		}
		if strings.Trim(uri, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?&=%") != "" {
			t.Errorf("%s has a character that apps may read differently", uri)
		}
	})
}

// The other readers are net/url, which decodes the label before it is split, as many
// apps do, and the library's.
func TestURI_OtherReadersReadIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAuthenticator().Draw(t, "authenticator")
		issuer := strings.ReplaceAll(names().Draw(t, "issuer"), ":", "")
		account := strings.ReplaceAll(names().Draw(t, "account"), ":", "")
		uri := a.URI(issuer, account)
		u, err := url.Parse(uri)
		if err != nil || u.Path != "/"+issuer+":"+account || u.Query().Get("issuer") != issuer {
			t.Fatalf("%s: %+v, %v", uri, u, err)
		}
		key, err := pquerna.NewKeyFromURL(uri)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key.Secret())
		if key.Type() != "totp" || key.Issuer() != issuer || key.AccountName() != account ||
			err != nil || !bytes.Equal(secret, a.Secret) || key.Algorithm().String() != string(a.Algorithm) ||
			key.Digits().Length() != a.Digits || key.Period() != uint64(a.Period) {
			t.Fatalf("%s: %q %q", uri, key.Issuer(), key.AccountName())
		}
	})
}

func TestParseURI_ReadsWhatOtherProgramsWrite(t *testing.T) {
	plain := totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}
	for _, c := range []struct {
		uri, issuer, account string
		options              totp.Options
	}{
		{"otpauth://totp/Example:alice@google.com?secret=" + helloSecret + "&issuer=Example", "Example", "alice@google.com", plain},
		{"otpauth://totp/alice?secret=" + helloSecret, "", "alice", plain},
		{"otpauth://totp/?secret=" + helloSecret, "", "", plain},
		{"otpauth://totp?secret=" + helloSecret, "", "", plain},
		{" OTPAUTH://TOTP/alice?secret=" + helloSecret + "\n", "", "alice", plain},
		{"otpauth://totp/alice?secret=" + strings.ToLower(helloSecret) + "&issuer=Example", "Example", "alice", plain},
		{"otpauth://totp/alice?secret=jbsw%20y3dp+ehpk-3pxp%20JBSW%20Y3DP%20EHPK%203PXP%3D%3D%3D", "", "alice", plain},
		{"otpauth://totp/alice?secret=" + helloSecret + "======", "", "alice", plain},
		{"otpauth://totp/alice?secret=jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp", "", "alice", plain},
		{"otpauth://totp/Provider1:Alice%20Smith?secret=" + helloSecret, "Provider1", "Alice Smith", plain},
		{"otpauth://totp/Big%20Corporation%3A%20alice%40bigco.com?secret=" + helloSecret, "Big Corporation", "alice@bigco.com", plain},
		{"otpauth://totp/ACME Co: alice?secret=" + helloSecret, "ACME Co", "alice", plain},
		{"otpauth://totp/ACME%20Co:alice+test?issuer=ACME+Co&secret=" + helloSecret, "ACME Co", "alice+test", plain},
		{"otpauth://totp/Old:alice?issuer=New&secret=" + helloSecret, "New", "alice", plain},
		{"otpauth://totp/Old:alice?issuer=&secret=" + helloSecret, "Old", "alice", plain},
		{"otpauth://totp/a?secret=" + helloSecret + "&algorithm=sha256&digits=8&period=60", "", "a", totp.Options{Algorithm: totp.SHA256, Digits: 8, Period: 60}},
		{"otpauth://totp/a?secret=" + helloSecret + "&algorithm=HmacSHA512", "", "a", totp.Options{Algorithm: totp.SHA512, Digits: 6, Period: 30}},
		{"otpauth://totp/a?secret=" + helloSecret + "&algorithm=SHA-1&digits=&period=", "", "a", plain},
		{"otpauth://totp/a?secret=" + helloSecret + "&image=https%3A%2F%2Fexample.com%2Fx.png&color=f00&counter=7", "", "a", plain},
	} {
		a, issuer, account, err := totp.ParseURI(c.uri)
		if err != nil || issuer != c.issuer || account != c.account {
			t.Errorf("%s: %q, %q, %s", c.uri, issuer, account, describe(err))
		} else if !reflect.DeepEqual(a, totp.Authenticator{Secret: hello, Options: c.options}) {
			t.Errorf("%s: %+v", c.uri, a)
		}
	}
}

func TestParseURI_Refuses(t *testing.T) {
	const good = "otpauth://totp/a?secret=" + helloSecret
	for uri, want := range map[string]string{
		"":                                     "no otpauth",
		"otpauth":                              "no otpauth",
		"https://totp/a?secret=" + helloSecret: "no otpauth",
		"otpauth:totp/a?secret=" + helloSecret: "no otpauth",
		good + "&x=" + strings.Repeat("x", totp.MaxURI): "at most 4096",
		"otpauth://totp/a#b?secret=" + helloSecret:      "no otpauth",
		good + "#b": "no otpauth",
		"otpauth://hotp/a?counter=1&secret=" + helloSecret:          "HOTP",
		"otpauth://steam/a?secret=" + helloSecret:                   "not totp",
		"otpauth://totp:80/a?secret=" + helloSecret:                 "not totp",
		"otpauth://x@totp/a?secret=" + helloSecret:                  "not totp",
		"otpauth://totp/a":                                          "secret is missing",
		"otpauth://totp/a?secret=":                                  "secret is missing",
		"otpauth://totp/a?secret=%3D":                               "secret is missing",
		"otpauth://totp/a?Secret=" + helloSecret:                    "secret is missing",
		"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP":                  "only 80 bits",
		"otpauth://totp/a?secret=" + helloSecret[:24]:               "only 120 bits",
		"otpauth://totp/a?secret=" + strings.Repeat("AAAAAAAA", 13): "over 64 bytes",
		good + "1":                      "not base32",
		good + "A":                      "not base32",
		good + "AAA":                    "not base32",
		good + "AAAAAA":                 "not base32",
		good + "0":                      "not base32",
		good + "=A":                     "not base32",
		good + "%FF":                    "not base32",
		good + "&secret=" + helloSecret: "twice",
		good + "&x=1&x=1":               "twice",
		good + "&issuer=%zz":            "not percent-encoded",
		good + "&a=1;b=2":               "not percent-encoded",
		"otpauth://totp/100%?secret=" + helloSecret:  "percent-encoded UTF-8",
		"otpauth://totp/%zz:a?secret=" + helloSecret: "percent-encoded UTF-8",
		"otpauth://totp/%ff?secret=" + helloSecret:   "percent-encoded UTF-8",
		"otpauth://totp/a%0ab?secret=" + helloSecret: "printable",
		good + "&issuer=a%E2%80%AEb":                 "printable",
		good + "&issuer=" + strings.Repeat("x", 257): "256",
		good + "&algorithm=MD5":                      "SHA1, SHA256 or SHA512",
		good + "&digits=7":                           "6 or 8",
		good + "&digits=0":                           "6 or 8",
		good + "&digits=%2B6":                        "6 or 8",
		good + "&digits=262":                         "6 or 8",
		good + "&period=15":                          "30 or 60",
		good + "&period=-30":                         "30 or 60",
		good + "&period=286":                         "30 or 60",
		good + "&period=18446744073709551646":        "30 or 60",
		good + "&encoder=steam":                      "encoder",
	} {
		a, issuer, account, err := totp.ParseURI(uri)
		if err == nil || !strings.Contains(describe(err), want) {
			t.Errorf("%s: %s, want %q", uri, describe(err), want)
			continue
		}
		if !slices.Equal(slices.Compact(fixture.FieldNames(err)), []string{"uri"}) || issuer != "" || account != "" || !reflect.DeepEqual(a, totp.Authenticator{}) {
			t.Errorf("%s: %v beside %+v, %q, %q", uri, fixture.Fields(err), a, issuer, account)
		}
	}
}

func TestParseURI_NamesAllFaultsAtOnce(t *testing.T) {
	_, _, _, err := totp.ParseURI("otpauth://totp/%zz?secret=A1&digits=7&period=1&algorithm=x&encoder=steam")
	if err == nil || len(fixture.Fields(err)) != 6 {
		t.Error(describe(err))
	}
}

func TestParseSecret(t *testing.T) {
	for _, text := range []string{helloSecret, "jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp", " JBSWY3DP-EHPK3PXP-JBSWY3DP-EHPK3PXP======\r\n", "JBSWY3DPEHPK3PXP\tJBSWY3DP\u00a0EHPK3PXP"} {
		if got, err := totp.ParseSecret(text); err != nil || !bytes.Equal(got, hello) {
			t.Errorf("%q: %x, %s", text, got, describe(err))
		}
	}
	for text, want := range map[string]string{
		"": "missing", "JBSWY3DPEHPK3PXP": "80 bits", helloSecret + "!": "not base32", "ü" + helloSecret: "not base32",
		strings.Repeat(" ", 5000) + helloSecret: "not base32", strings.Repeat("A", 112): "over 64",
	} {
		got, err := totp.ParseSecret(text)
		if got != nil || !slices.Equal(fixture.FieldNames(err), []string{"secret"}) || !strings.Contains(describe(err), want) {
			t.Errorf("%q: %x, %s", text, got, describe(err))
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("otpauth://totp/ACME%20Co:john.doe@email.com?secret=" + helloSecret + "&issuer=ACME%20Co&algorithm=SHA1&digits=6&period=30")
	f.Add("otpauth://totp/a%3Ab:c?secret=" + strings.ToLower(helloSecret) + "====&algorithm=hmac-sha512&digits=8&period=60")
	f.Add("otpauth://hotp/%zz?secret=&secret=")
	f.Add("otpauth://totp/://a%200:?secret=" + helloSecret)
	f.Add("otpauth://totp/:%20::%3a?secret=" + helloSecret)
	f.Fuzz(func(t *testing.T, uri string) {
		a, issuer, account, err := totp.ParseURI(uri)
		if err != nil {
			return
		}
		if _, bad := totp.Import(totp.State{}, totp.Authenticator{ID: id(1), Name: "x", Secret: a.Secret, Options: a.Options}, fixture.Noon); bad != nil {
			t.Fatalf("%q: cannot be imported: %s", uri, describe(bad))
		}
		if issuer == "" && strings.Contains(account, ":") {
			t.Fatalf("%q: a colon without an issuer", uri)
		}
		b, issuer2, account2, err := totp.ParseURI(a.URI(issuer, account))
		if err != nil || !reflect.DeepEqual(a, b) || issuer2 != issuer || account2 != account {
			t.Fatalf("%q: %q %q, then %q %q, %s", uri, issuer, account, issuer2, account2, describe(err))
		}
	})
}

func FuzzParseSecret(f *testing.F) {
	f.Add(helloSecret)
	f.Add("jbsw y3dp-ehpk 3pxp====")
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := totp.ParseSecret(text)
		if err != nil {
			return
		}
		again, err := totp.ParseSecret(base32.StdEncoding.EncodeToString(secret))
		if err != nil || !bytes.Equal(again, secret) || len(secret) < totp.MinSecret || len(secret) > totp.MaxSecret {
			t.Errorf("%q: %x, then %x", text, secret, again)
		}
	})
}

// Refusals name the fault.
func TestParseURI_NamesTheFault(t *testing.T) {
	const good = "otpauth://totp/a?secret=" + helloSecret
	long := helloSecret + helloSecret[:8]
	for uri, want := range map[string]string{
		"otpauth://totp/Acme #1:alice?secret=" + helloSecret: "a # that is not percent-encoded",
		"otpauth://totp/Acme:alice#work?secret=":             "Write %23 for a #",
		"OTPAUTH://totp/a?issuer=C#&secret=" + helloSecret:   "a # that is not percent-encoded",
		good + "#":                                                  "a # that is not percent-encoded",
		"otpauth://totp/a?secret=" + long[:27]:                      "it has 27 characters",
		"otpauth://totp/a?secret=" + long[:30]:                      "it has 30 characters",
		"otpauth://totp/a?secret=" + long[:33]:                      "it has 33 characters",
		"otpauth://totp/a?secret=" + long[:35] + "=":                "it has 35 characters",
		"otpauth://totp/a?secret=jbsw y3dp ehpk 3pxp jbsw y3dp ehp": "it has 27 characters",
		good + "&issuer=A&issuer=B":                                 "issuer twice, with different values",
		good + "&issuer=A&issuer=B&issuer=A":                        "issuer twice, with different values",
		good + "&issuer=A&issuer=":                                  "issuer twice, with different values",
		good + "&secret=" + helloSecret:                             "the parameter secret twice",
		good + "&digits=6&digits=8":                                 "the parameter digits twice",
		good + "&period=30&period=30":                               "the parameter period twice",
		good + "&canary=1&canary=2":                                 "a parameter twice",
	} {
		_, _, _, err := totp.ParseURI(uri)
		if err == nil || !strings.Contains(describe(err), want) {
			t.Errorf("%s: %s, want %q", uri, describe(err), want)
		} else if text := describe(err); strings.Contains(text, "canary") || strings.Contains(text, helloSecret) {
			t.Errorf("%s is quoted: %s", uri, text)
		}
	}
	if _, err := totp.ParseMigration("otpauth-migration://offline?data=CAE#x"); err == nil || !strings.Contains(describe(err), "a # that is not") {
		t.Error(describe(err))
	}
	for n := 26; n <= 40; n++ {
		_, err := totp.ParseSecret(strings.Repeat("A", n))
		impossible := n%8 == 1 || n%8 == 3 || n%8 == 6
		if (err != nil) != impossible || impossible && !strings.Contains(describe(err), fmt.Sprintf("it has %d characters", n)) {
			t.Errorf("%d characters: %s", n, describe(err))
		}
	}
}

// Programs that write the issuer into the URI again write the same one.
func TestParseURI_AcceptsARepeatedIssuer(t *testing.T) {
	for _, tail := range []string{
		"&issuer=Acme&issuer=Acme", "&issuer=Acme&digits=6&issuer=Acme", "&issuer=Acme&issuer=Acme&issuer=Acme", "&issuer=Acme&issuer=%41cme", "&issuer=&issuer=",
	} {
		a, issuer, _, err := totp.ParseURI("otpauth://totp/Acme:alice?secret=" + helloSecret + tail)
		if err != nil || issuer != "Acme" || !bytes.Equal(a.Secret, hello) {
			t.Errorf("%s: %q, %s", tail, issuer, describe(err))
		}
	}
}
