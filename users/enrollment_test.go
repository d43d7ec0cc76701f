package users_test

import (
	"encoding/base32"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	pquernatotp "github.com/pquerna/otp/totp"
	"google.golang.org/protobuf/encoding/protowire"

	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/tooltest"
	"twofa/internal/totp"
	"twofa/users"
)

func (r *rig) enroll(req users.EnrollRequest) users.Enrollment {
	r.t.Helper()
	return r.enrollAs("alice", req)
}

// enrollAs enrolls an app of a user, whom it registers if need be.
func (r *rig) enrollAs(name string, req users.EnrollRequest) users.Enrollment {
	r.t.Helper()
	if name != "alice" {
		r.put(name, users.Request{Email: mail}, users.Conditions{})
	}
	e, err := r.s.Enroll(r.Ctx(), name, req)
	if err != nil {
		r.t.Fatalf("enroll: %v", err)
	}
	return e
}

// refusedEnrollment returns the error of an enrolment, and makes sure of its kind.
func (r *rig) refusedEnrollment(req users.EnrollRequest, kind problem.Kind) *problem.Error {
	r.t.Helper()
	e, err := r.s.Enroll(r.Ctx(), "alice", req)
	if e != (users.Enrollment{}) {
		r.t.Fatalf("an enrolment beside an error: %+v", e)
	}
	return fixture.Problem(r.t, err, kind)
}

// app reads a URI as an authenticator app does, with another reader of the format
// than totp.ParseURI.
func (r *rig) app(e users.Enrollment) *pquerna.Key {
	r.t.Helper()
	key, err := pquerna.NewKeyFromURL(e.URI)
	if err != nil {
		r.t.Fatalf("%s: %v", e.URI, err)
	}
	return key
}

// code returns the code that the app shows.
func (r *rig) code(e users.Enrollment) string {
	r.t.Helper()
	key := r.app(e)
	code, err := pquernatotp.GenerateCodeCustom(key.Secret(), r.Now(), pquernatotp.ValidateOpts{
		Period: uint(key.Period()), Digits: key.Digits(), Algorithm: key.Algorithm(),
	})
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	return code
}

// confirm confirms an app by the code that it shows.
func (r *rig) confirm(e users.Enrollment) users.Authenticator {
	r.t.Helper()
	a, err := r.s.Confirm(r.Ctx(), "alice", users.ConfirmRequest{Code: r.code(e)})
	if err != nil {
		r.t.Fatalf("confirm: %v", err)
	}
	return a
}

func TestEnroll_HasOptionsOfEveryAppByDefault(t *testing.T) {
	r := withAlice(t)
	r.Set(fixture.Noon.Add(1234567 * time.Nanosecond).In(time.FixedZone("IST", 19800)))
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
		e := r.enroll(tc.req)
		want := tc.want
		want.ID, want.Status, want.CreatedAt = e.ID, "pending", fixture.Noon
		if want.Name == "" {
			want.Name = "Authenticator"
		}
		if _, bad := totp.ParseID(e.ID); bad != nil || e.Authenticator != want || !e.ExpiresAt.Equal(fixture.Noon.Add(15*time.Minute)) {
			t.Errorf("got  %+v until %v\nwant %+v", e.Authenticator, e.ExpiresAt, want)
		}
		raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret)
		if err != nil || len(raw) != 20 || secrets[e.Secret] { // R9: 160 bits
			t.Errorf("%d bytes of secret, used before: %t, %v", len(raw), secrets[e.Secret], err)
		}
		secrets[e.Secret] = true
		key := r.app(e)
		if key.Type() != "totp" || key.Issuer() != "Acme" || key.AccountName() != "alice" || key.Secret() != e.Secret ||
			key.Algorithm().String() != string(want.Algorithm) || key.Digits().Length() != want.Digits || key.Period() != uint64(want.Period) {
			t.Errorf("an app reads %s as %s", e.URI, key)
		}
		r.confirm(e)
		if err := r.s.RemoveAuthenticator(r.Ctx(), "alice", e.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// The label is ISSUER:ACCOUNT. In both, special characters are encoded.
func TestEnroll_TheURIIsPercentEncoded(t *testing.T) {
	r := withAlice(t)
	const name = "Zoë: 100% O'Neill+x&y=z"
	e := r.enrollAs(name, users.EnrollRequest{Issuer: " Müller & Söhne: 🔑 "})
	const issuer, account = "M%C3%BCller%20%26%20S%C3%B6hne%3A%20%F0%9F%94%91", "Zo%C3%AB%3A%20100%25%20O%27Neill%2Bx%26y%3Dz"
	want := "otpauth://totp/" + issuer + ":" + account + "?secret=" + e.Secret + "&issuer=" + issuer + "&algorithm=SHA1&digits=6&period=30"
	if e.URI != want {
		t.Errorf("got  %s\nwant %s", e.URI, want)
	}
}

func TestEnroll_BothPicturesAreTheURI(t *testing.T) {
	r := withAlice(t)
	for name, issuer := range map[string]string{
		"alice smith": "", "a:b:c": "Acme: Bank", "Zoë Müller-Straße": "Müller & Söhne", "👩 🔑 日本語": "🏦 Bank",
		"50% of 100%": "100% <b>Bank</b>", strings.Repeat("ü", 128): "Acme",
	} {
		e := r.enrollAs(name, users.EnrollRequest{Issuer: issuer})
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
			t.Errorf("%s: the SVG has the secret, or markup from a name", name)
		}
	}
}

func TestEnroll_RefusesATextThatNoPictureHolds(t *testing.T) {
	r := withAlice(t)
	name, issuer := strings.Repeat("😀", 128), strings.Repeat("😀", 64)
	r.enrollAs(name, users.EnrollRequest{}) // with the brand as issuer
	_, err := r.s.Enroll(r.Ctx(), name, users.EnrollRequest{Issuer: issuer})
	wantFields(t, err, "issuer")
}

// account is an account in an export of Google Authenticator.
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

// three returns an export of three TOTP accounts, two of these with the same issuer,
// and a counter-based one.
func three() string {
	return export(account{secret: rfcSecret, name: "alice", issuer: "Acme Bank", algorithm: 2, digits: 2, kind: 2},
		account{secret: rfcSecret[1:], name: "alice", issuer: "Twice"}, account{secret: rfcSecret[2:], name: "bob", issuer: "Twice"},
		account{secret: rfcSecret, name: "x", issuer: "Counter", kind: 1})
}

func TestEnroll_ReadsASecretThatAnAppHas(t *testing.T) {
	sha1 := totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}
	for name, tc := range map[string]struct {
		req     users.EnrollRequest
		options totp.Options
		issuer  string
	}{
		"a key URI":                 {users.EnrollRequest{URI: "otpauth://totp/Old:al?secret=" + rfcBase32}, sha1, "Acme"},
		"as people copy it":         {users.EnrollRequest{URI: " OTPAUTH://TOTP/al?secret=" + strings.ToLower(rfcBase32) + "%3D&x=y "}, sha1, "Acme"},
		"with all options":          {users.EnrollRequest{URI: "otpauth://totp/al?secret=" + rfcBase32 + "&algorithm=SHA512&digits=8&period=60"}, totp.Options{Algorithm: totp.SHA512, Digits: 8, Period: 60}, "Acme"},
		"with another issuer":       {users.EnrollRequest{URI: "otpauth://totp/al?issuer=Old&secret=" + rfcBase32, Issuer: "New"}, sha1, "New"},
		"an export of one":          {users.EnrollRequest{URI: export(account{secret: rfcSecret, name: "al", issuer: "Old"})}, sha1, "Acme"},
		"an export of one, renamed": {users.EnrollRequest{URI: export(account{secret: rfcSecret, name: "al", issuer: "Old"}), Issuer: "New"}, sha1, "New"},
		"one of an export":          {users.EnrollRequest{URI: three(), Issuer: "aCME bANK"}, totp.Options{Algorithm: totp.SHA256, Digits: 8, Period: 30}, "aCME bANK"},
	} {
		t.Run(name, func(t *testing.T) {
			r := withAlice(t)
			e := r.enroll(tc.req)
			got := totp.Options{Algorithm: e.Algorithm, Digits: e.Digits, Period: e.Period}
			if e.Secret != rfcBase32 || got != tc.options || r.app(e).Issuer() != tc.issuer || r.app(e).AccountName() != "alice" {
				t.Errorf("got %+v of %s in %s", got, e.Secret, e.URI)
			}
			r.confirm(e)
		})
	}
}

func TestEnroll_TakesNameAndIssuerInOneForm(t *testing.T) {
	for text, want := range map[string]string{
		"Acme\u00a0Ltd": "Acme Ltd", "\u200eAcme": "Acme", "Cafe\u0301": "Café", "نان\u200cوایی": "نان\u200cوایی", "a \u202f b": "a b", "Do\u00adnau\ufeff": "Donau",
	} {
		r := withAlice(t)
		e := r.enroll(users.EnrollRequest{Name: text, Issuer: text})
		if e.Name != want || r.app(e).Issuer() != want {
			t.Errorf("%+q: name %+q, issuer %+q; want %+q", text, e.Name, r.app(e).Issuer(), want)
		}
	}
}

func TestEnroll_NamesAllFaultsAndQuotesNothing(t *testing.T) {
	r := withAlice(t)
	const canary = "CANARYCANARYCANA"
	for name, tc := range map[string]struct {
		req  users.EnrollRequest
		want []string
	}{
		"everything":                 {users.EnrollRequest{Name: canary + "\n", Issuer: "\u202e" + canary, Algorithm: canary, Digits: 7, Period: 31}, []string{"algorithm", "digits", "issuer", "name", "period"}},
		"an issuer that is too long": {users.EnrollRequest{Issuer: strings.Repeat("ü", 65)}, []string{"issuer"}},
		"a name that is too long":    {users.EnrollRequest{Name: strings.Repeat("ü", 65)}, []string{"name"}},
		"another URI":                {users.EnrollRequest{URI: "https://" + canary}, []string{"uri"}},
		"a counter":                  {users.EnrollRequest{URI: "otpauth://hotp/" + canary + "?secret=" + rfcBase32}, []string{"uri"}},
		"a short secret":             {users.EnrollRequest{URI: "otpauth://totp/a?secret=" + canary}, []string{"uri"}},
		"5 digits and 90 seconds":    {users.EnrollRequest{URI: "otpauth://totp/a?digits=5&period=90&secret=" + rfcBase32}, []string{"uri", "uri"}},
		"a URI and options":          {users.EnrollRequest{URI: "otpauth://totp/a?secret=" + rfcBase32, Digits: 6}, []string{"uri"}},
		"a URI and an algorithm":     {users.EnrollRequest{URI: "otpauth://totp/a?secret=" + rfcBase32, Algorithm: totp.SHA1}, []string{"uri"}},
		"a URI and a period":         {users.EnrollRequest{URI: "otpauth://totp/a?secret=" + rfcBase32, Period: 30}, []string{"uri"}},
		"not an export":              {users.EnrollRequest{URI: "otpauth-migration://offline?data=" + canary + "!"}, []string{"uri"}},
		"one of many":                {users.EnrollRequest{URI: three()}, []string{"uri"}},
		"none of many":               {users.EnrollRequest{URI: three(), Issuer: canary}, []string{"uri"}},
		"two of many":                {users.EnrollRequest{URI: three(), Issuer: "twice"}, []string{"uri"}},
		"a counter of many":          {users.EnrollRequest{URI: three(), Issuer: "counter"}, []string{"uri"}},
	} {
		t.Run(name, func(t *testing.T) {
			refused := r.refusedEnrollment(tc.req, problem.InvalidRequest)
			wantFields(t, refused, tc.want...)
			for _, f := range refused.Fields {
				if strings.Contains(f.Message, canary) || strings.Contains(f.Message, rfcBase32) {
					t.Errorf("quotes it: %s", f.Message)
				}
			}
		})
	}
	_, err := r.s.Enroll(r.Ctx(), "a\n", users.EnrollRequest{Digits: 7})
	wantFields(t, err, "digits", "user")
	if list, err := r.s.ListAuthenticators(r.Ctx(), "alice"); err != nil || len(list.Authenticators) != 0 {
		t.Errorf("an app was enrolled: %+v, %v", list, err)
	}
}

// A number is a JSON number, or a text as in a form.
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
