package users_test

import (
	"encoding/base32"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	pquernatotp "github.com/pquerna/otp/totp"
	"google.golang.org/protobuf/encoding/protowire"

	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/testing/tooltest"
	"twofa/internal/totp"
	"twofa/users"
)

// factorBench is a bench with a user and a brand, on a table that runs every
// change twice.
func factorBench(t *testing.T) (*bench, *rig.Table) {
	t.Helper()
	b := newBench(t)
	b.s.Brand = "Acme"
	b.put("alice", both, users.Conditions{})
	twice := &rig.Table{Table: b.table}
	b.s.Directory.Table = twice
	return b, twice
}

func (b *bench) enroll(req users.EnrollRequest) users.Enrollment {
	b.t.Helper()
	e, err := b.s.Enroll(b.ctx(), "alice", req)
	if err != nil {
		b.t.Fatalf("enroll: %v", err)
	}
	return e
}

// refusedEnrollment is the error of an enrolment that has to be refused.
func (b *bench) refusedEnrollment(req users.EnrollRequest, kind problem.Kind) *problem.Error {
	b.t.Helper()
	e, err := b.s.Enroll(b.ctx(), "alice", req)
	if e != (users.Enrollment{}) {
		b.t.Errorf("an enrolment beside an error: %+v", e)
	}
	return wantKind(b.t, err, kind)
}

// app is what an authenticator app has read from a URI, by another reader of
// the format than ours.
func app(t *testing.T, uri string) *pquerna.Key {
	t.Helper()
	key, err := pquerna.NewKeyFromURL(uri)
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	return key
}

// shows is the code that the app shows.
func shows(t *testing.T, uri string, at time.Time) string {
	t.Helper()
	key := app(t, uri)
	code, err := pquernatotp.GenerateCodeCustom(key.Secret(), at, pquernatotp.ValidateOpts{
		Period: uint(key.Period()), Digits: key.Digits(), Algorithm: key.Algorithm(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestEnroll_OffersWhatEveryAppTakesUnlessAskedForMore(t *testing.T) {
	b, _ := factorBench(t)
	b.now = noon.Add(1234567 * time.Nanosecond).In(time.FixedZone("IST", 19800))
	secrets := map[string]bool{}
	for _, tc := range []struct {
		req  users.EnrollRequest
		want users.Authenticator
	}{
		{users.EnrollRequest{}, users.Authenticator{Algorithm: totp.SHA1, Digits: 6, Period: 30}},
		{users.EnrollRequest{Algorithm: totp.SHA1, Digits: 6, Period: 30}, users.Authenticator{Algorithm: totp.SHA1, Digits: 6, Period: 30}},
		{users.EnrollRequest{Algorithm: totp.SHA256, Digits: 8}, users.Authenticator{Algorithm: totp.SHA256, Digits: 8, Period: 30}},
		{users.EnrollRequest{Algorithm: totp.SHA512, Digits: 6, Period: 60}, users.Authenticator{Algorithm: totp.SHA512, Digits: 6, Period: 60}},
		{users.EnrollRequest{Algorithm: totp.SHA1, Digits: 8, Period: 60, Name: "Bu\u0308ro"}, users.Authenticator{Algorithm: totp.SHA1, Digits: 8, Period: 60, Name: "Büro"}},
	} {
		e := b.enroll(tc.req)
		want := tc.want
		want.ID, want.Status, want.CreatedAt = e.ID, "pending", noon
		if want.Name == "" {
			want.Name = "Authenticator"
		}
		if _, bad := totp.ParseID(e.ID); bad != nil || e.Authenticator != want || !e.ExpiresAt.Equal(noon.Add(15*time.Minute)) {
			t.Errorf("got  %+v until %v\nwant %+v", e.Authenticator, e.ExpiresAt, want)
		}
		raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret)
		if err != nil || len(raw) != 20 || secrets[e.Secret] { // R9: 160 bits
			t.Errorf("%d bytes of secret, used before: %t, %v", len(raw), secrets[e.Secret], err)
		}
		secrets[e.Secret] = true
		key := app(t, e.URI)
		if key.Type() != "totp" || key.Issuer() != "Acme" || key.AccountName() != "alice" || key.Secret() != e.Secret ||
			key.Algorithm().String() != string(want.Algorithm) || key.Digits().Length() != want.Digits || key.Period() != uint64(want.Period) {
			t.Errorf("an app reads %s as %s", e.URI, key)
		}
		if _, err := b.s.Confirm(b.ctx(), "alice", users.ConfirmRequest{Code: shows(t, e.URI, b.now)}); err != nil {
			t.Errorf("%+v: %v", want, err)
		}
		if err := b.s.RemoveAuthenticator(b.ctx(), "alice", e.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// The label is ISSUER:ACCOUNT, and what is special in a URI is encoded in both.
func TestEnroll_TheURIIsPercentEncoded(t *testing.T) {
	b, _ := factorBench(t)
	const name = "Zoë: 100% O'Neill+x&y=z"
	b.put(name, users.Request{Email: mail}, users.Conditions{})
	e, err := b.s.Enroll(b.ctx(), name, users.EnrollRequest{Issuer: " Müller & Söhne: 🔑 "})
	if err != nil {
		t.Fatal(err)
	}
	const issuer, account = "M%C3%BCller%20%26%20S%C3%B6hne%3A%20%F0%9F%94%91", "Zo%C3%AB%3A%20100%25%20O%27Neill%2Bx%26y%3Dz"
	want := "otpauth://totp/" + issuer + ":" + account + "?secret=" + e.Secret + "&issuer=" + issuer + "&algorithm=SHA1&digits=6&period=30"
	if e.URI != want {
		t.Errorf("got  %s\nwant %s", e.URI, want)
	}
}

func TestEnroll_BothPicturesAreTheURI(t *testing.T) {
	b, _ := factorBench(t)
	for name, issuer := range map[string]string{
		"alice smith": "", "a:b:c": "Acme: Bank", "Zoë Müller-Straße": "Müller & Söhne", "👩 🔑 日本語": "🏦 Bank",
		"50% of 100%": "100% <b>Bank</b>", strings.Repeat("ü", 128): "Acme",
	} {
		b.put(name, users.Request{Email: mail}, users.Conditions{})
		e, err := b.s.Enroll(b.ctx(), name, users.EnrollRequest{Issuer: issuer})
		if err != nil {
			t.Fatal(err)
		}
		data, ok := strings.CutPrefix(e.QRPNG, "data:image/png;base64,")
		picture, err := base64.StdEncoding.DecodeString(data)
		if err != nil || !ok {
			t.Fatalf("%.60s is no data URL: %v", e.QRPNG, err)
		}
		if got := tooltest.ReadQR(t, picture); got != e.URI {
			t.Errorf("%s: the PNG is\n%s, want\n%s", name, got, e.URI)
		}
		if got := tooltest.ReadQR(t, tooltest.DrawSVG(t, e.QRSVG, "600")); got != e.URI {
			t.Errorf("%s: the SVG is\n%s, want\n%s", name, got, e.URI)
		}
		if strings.Contains(e.QRSVG, e.Secret) || strings.Contains(e.QRSVG, "<b>") {
			t.Errorf("%s: the SVG's text tells the secret or holds another's markup", name)
		}
	}
}

func TestEnroll_RefusesWhatNoPictureHolds(t *testing.T) {
	b, _ := factorBench(t)
	name, issuer := strings.Repeat("😀", 128), strings.Repeat("😀", 64)
	b.put(name, users.Request{Email: mail}, users.Conditions{})
	_, err := b.s.Enroll(b.ctx(), name, users.EnrollRequest{Issuer: issuer})
	if got := fields(wantKind(t, err, problem.InvalidRequest)); !slices.Equal(got, []string{"issuer"}) {
		t.Errorf("faults of %q", got)
	}
	if _, err := b.s.Enroll(b.ctx(), name, users.EnrollRequest{}); err != nil {
		t.Errorf("with the brand alone: %v", err)
	}
}

// account is one of an export of Google Authenticator.
type account struct {
	secret                  string
	name, issuer            string
	algorithm, digits, kind uint64
}

func export(accounts ...account) string {
	var payload []byte
	for _, a := range accounts {
		var b []byte
		for i, text := range []string{a.secret, a.name, a.issuer} {
			b = protowire.AppendString(protowire.AppendTag(b, protowire.Number(i+1), protowire.BytesType), text)
		}
		for i, n := range []uint64{a.algorithm, a.digits, a.kind} {
			b = protowire.AppendVarint(protowire.AppendTag(b, protowire.Number(i+4), protowire.VarintType), n)
		}
		payload = protowire.AppendBytes(protowire.AppendTag(payload, 1, protowire.BytesType), b)
	}
	return "otpauth-migration://offline?data=" + url.QueryEscape(base64.StdEncoding.EncodeToString(payload))
}

const (
	rfcSecret = "12345678901234567890"
	rfcBase32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

// three is an export of three accounts, two of the same issuer.
func three() string {
	return export(account{secret: rfcSecret, name: "alice", issuer: "Acme Bank", algorithm: 2, digits: 2, kind: 2},
		account{secret: rfcSecret[1:], name: "alice", issuer: "Twice"}, account{secret: rfcSecret[2:], name: "bob", issuer: "Twice"},
		account{secret: rfcSecret, name: "x", issuer: "Counter", kind: 1})
}

func TestEnroll_TakesASecretThatAnAppHas(t *testing.T) {
	sha1 := totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}
	for name, tc := range map[string]struct {
		req     users.EnrollRequest
		options totp.Options
		issuer  string
	}{
		"a key URI":              {users.EnrollRequest{URI: "otpauth://totp/Old:al?secret=" + rfcBase32}, sha1, "Acme"},
		"as people copy it":      {users.EnrollRequest{URI: " OTPAUTH://TOTP/al?secret=" + strings.ToLower(rfcBase32) + "%3D&x=y "}, sha1, "Acme"},
		"with all options":       {users.EnrollRequest{URI: "otpauth://totp/al?secret=" + rfcBase32 + "&algorithm=SHA512&digits=8&period=60"}, totp.Options{Algorithm: totp.SHA512, Digits: 8, Period: 60}, "Acme"},
		"with another issuer":    {users.EnrollRequest{URI: "otpauth://totp/al?issuer=Old&secret=" + rfcBase32, Issuer: "New"}, sha1, "New"},
		"an export of one":       {users.EnrollRequest{URI: export(account{secret: rfcSecret, name: "al", issuer: "Old"})}, sha1, "Acme"},
		"an export of one, else": {users.EnrollRequest{URI: export(account{secret: rfcSecret, name: "al", issuer: "Old"}), Issuer: "New"}, sha1, "New"},
		"one of an export":       {users.EnrollRequest{URI: three(), Issuer: "aCME bANK"}, totp.Options{Algorithm: totp.SHA256, Digits: 8, Period: 30}, "aCME bANK"},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := factorBench(t)
			e := b.enroll(tc.req)
			got := totp.Options{Algorithm: e.Algorithm, Digits: e.Digits, Period: e.Period}
			if e.Secret != rfcBase32 || got != tc.options || app(t, e.URI).Issuer() != tc.issuer || app(t, e.URI).AccountName() != "alice" {
				t.Errorf("got %+v of %s in %s", got, e.Secret, e.URI)
			}
			if _, err := b.s.Confirm(b.ctx(), "alice", users.ConfirmRequest{Code: shows(t, e.URI, noon)}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEnroll_NamesAllFaultsAndQuotesNothing(t *testing.T) {
	b, _ := factorBench(t)
	const canary = "CANARYCANARYCANA"
	for name, tc := range map[string]struct {
		req  users.EnrollRequest
		want []string
	}{
		"everything":                 {users.EnrollRequest{Name: canary + "\n", Issuer: "\u202e" + canary, Algorithm: canary, Digits: 7, Period: 31}, []string{"algorithm", "digits", "issuer", "name", "period"}},
		"an issuer that is too long": {users.EnrollRequest{Issuer: strings.Repeat("ü", 65)}, []string{"issuer"}},
		"a name that is too long":    {users.EnrollRequest{Name: strings.Repeat("ü", 65)}, []string{"name"}},
		"no URI":                     {users.EnrollRequest{URI: "https://" + canary}, []string{"uri"}},
		"a counter":                  {users.EnrollRequest{URI: "otpauth://hotp/" + canary + "?secret=" + rfcBase32}, []string{"uri"}},
		"a short secret":             {users.EnrollRequest{URI: "otpauth://totp/a?secret=" + canary}, []string{"uri"}},
		"5 digits and 90 seconds":    {users.EnrollRequest{URI: "otpauth://totp/a?digits=5&period=90&secret=" + rfcBase32}, []string{"uri", "uri"}},
		"a URI and options":          {users.EnrollRequest{URI: "otpauth://totp/a?secret=" + rfcBase32, Digits: 6}, []string{"uri"}},
		"a URI and an algorithm":     {users.EnrollRequest{URI: "otpauth://totp/a?secret=" + rfcBase32, Algorithm: totp.SHA1}, []string{"uri"}},
		"a URI and a period":         {users.EnrollRequest{URI: "otpauth://totp/a?secret=" + rfcBase32, Period: 30}, []string{"uri"}},
		"no export":                  {users.EnrollRequest{URI: "otpauth-migration://offline?data=" + canary + "!"}, []string{"uri"}},
		"one of many":                {users.EnrollRequest{URI: three()}, []string{"uri"}},
		"none of many":               {users.EnrollRequest{URI: three(), Issuer: canary}, []string{"uri"}},
		"two of many":                {users.EnrollRequest{URI: three(), Issuer: "twice"}, []string{"uri"}},
		"a counter of many":          {users.EnrollRequest{URI: three(), Issuer: "counter"}, []string{"uri"}},
	} {
		t.Run(name, func(t *testing.T) {
			refused := b.refusedEnrollment(tc.req, problem.InvalidRequest)
			if got := fields(refused); !slices.Equal(got, tc.want) {
				t.Errorf("faults of %q, want %q", got, tc.want)
			}
			for _, f := range refused.Fields {
				if strings.Contains(f.Message, canary) || strings.Contains(f.Message, rfcBase32) {
					t.Errorf("quotes it: %s", f.Message)
				}
			}
		})
	}
	_, err := b.s.Enroll(b.ctx(), "%41", users.EnrollRequest{Digits: 7})
	if got := fields(wantKind(t, err, problem.InvalidRequest)); !slices.Equal(got, []string{"digits", "user"}) {
		t.Errorf("faults of %q", got)
	}
	if list, err := b.s.ListAuthenticators(b.ctx(), "alice"); err != nil || len(list.Authenticators) != 0 {
		t.Errorf("enrolled all the same: %+v, %v", list, err)
	}
}

// A number of options comes as JSON has it, or as a text, as forms have it.
func TestWhole(t *testing.T) {
	for text, want := range map[string]users.Whole{
		`6`: 6, `"6"`: 6, `60`: 60, `"60"`: 60, `0`: 0, `-1`: -1,
	} {
		var got users.Whole
		if err := got.UnmarshalJSON([]byte(text)); err != nil || got != want {
			t.Errorf("%s is read as %d, %v", text, got, err)
		}
	}
	for _, text := range []string{`6.5`, `6e0`, `"six"`, `""`, `" 6"`, `"\"6\""`, `null`, `true`, `[6]`, `{}`, `99999999999999999999`} {
		var got users.Whole
		err := got.UnmarshalJSON([]byte(text))
		if err == nil || got != 0 || strings.Contains(err.Error(), "six") || strings.Contains(err.Error(), "999") {
			t.Errorf("%s is read as %d, %v", text, got, err)
		}
	}
}
