package receipt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"twofa/internal/channel"
	"twofa/internal/receipt"
	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

// change is what a forgery changes.
type change = func(header, claims map[string]any)

// forge signs the header and the claims of a receipt with another key, after change.
func (s *service) forge(t *testing.T, key any, method jwt.SigningMethod, change change) string {
	t.Helper()
	text, err := s.Verify.Receipts.Sign(receipt.Approval{Client: audience, Address: fixture.Alice, Purpose: "login", Channel: channel.SMS})
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	token, _, err := jwt.NewParser().ParseUnverified(text, claims)
	if err != nil {
		t.Fatal(err)
	}
	token.Method, token.Header["alg"] = method, method.Alg()
	if change != nil {
		change(token.Header, claims)
	}
	text, err = token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// key returns the key of the last secret of a keyring.
func (s *service) key(t *testing.T, keys *secret.Keyring) *ecdsa.PrivateKey {
	t.Helper()
	all, err := keys.ReceiptKeys()
	if err != nil {
		t.Fatal(err)
	}
	return all[len(all)-1]
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func withHeader(name string, value any) change {
	return func(header, _ map[string]any) { header[name] = value }
}

func withClaim(name string, value any) change {
	return func(_, claims map[string]any) { claims[name] = value }
}

func without(name string) change {
	return func(header, claims map[string]any) {
		delete(header, name)
		delete(claims, name)
	}
}

// jwkOf is a key as a receipt could bring it.
func jwkOf(t *testing.T, key *ecdsa.PublicKey) map[string]any {
	t.Helper()
	point, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
}

type forgery struct {
	name   string
	method jwt.SigningMethod
	key    any
	change change
}

// forgeries are those of the signature: made without the service's key.
func (s *service) forgeries(t *testing.T) []forgery {
	t.Helper()
	own := s.key(t, s.Keys)
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&own.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	point, published := der[len(der)-65:], fetch(t, s.url+"/verify/jwks")
	none, es, hs := jwt.SigningMethodNone, jwt.SigningMethodES256, jwt.SigningMethodHS256
	return []forgery{
		{"alg none", none, jwt.UnsafeAllowNoneSignatureType, nil},
		{"alg None", none, jwt.UnsafeAllowNoneSignatureType, withHeader("alg", "None")},
		{"alg ES256 without a signature", none, jwt.UnsafeAllowNoneSignatureType, withHeader("alg", "ES256")},
		{"HMAC with the public key's point", hs, point, nil},
		{"HMAC with the public key in DER", hs, der, nil},
		{"HMAC with the key set", hs, published, nil},
		{"HMAC that is called ES256", hs, point, withHeader("alg", "ES256")},
		{"a foreign key", es, foreign, nil},
		{"a foreign key in jwk", es, foreign, withHeader("jwk", jwkOf(t, &foreign.PublicKey))},
		{"a foreign key at jku", es, foreign, withHeader("jku", s.url+"/evil")},
		{"a foreign key at x5u", es, foreign, withHeader("x5u", s.url+"/evil")},
	}
}

// faults are those of header and claims: one fault each, signed with the service's key.
func (s *service) faults(t *testing.T) (all []forgery) {
	t.Helper()
	own := s.key(t, s.Keys)
	for name, change := range map[string]change{
		"the own key in jwk":         withHeader("jwk", jwkOf(t, &own.PublicKey)),
		"jku":                        withHeader("jku", s.url+"/verify/jwks"),
		"crit":                       withHeader("crit", []string{"exp"}),
		"an unknown kid":             withHeader("kid", "unknown"),
		"a kid like a path":          withHeader("kid", "../../../../dev/null"),
		"a kid like a URL":           withHeader("kid", s.url+"/evil"),
		"a kid like a query":         withHeader("kid", "x?y=1&z=/evil"),
		"a kid that is a list":       withHeader("kid", []string{"x"}),
		"an empty kid":               withHeader("kid", ""),
		"no kid":                     without("kid"),
		"a giant kid":                withHeader("kid", strings.Repeat("x", 1<<20)),
		"a giant header":             withHeader("pad", strings.Repeat("x", 1<<20)),
		"no typ":                     without("typ"),
		"typ JWT":                    withHeader("typ", "JWT"),
		"the typ of an access token": withHeader("typ", "at+jwt"),
		"another issuer":             withClaim("iss", "https://evil.example"),
		"an issuer with a slash":     withClaim("iss", s.url+"/"),
		"a part of the issuer":       withClaim("iss", s.url[:len(s.url)-1]),
		"no issuer":                  without("iss"),
		"another audience":           withClaim("aud", "bank-web-2"),
		"a part of the audience":     withClaim("aud", "bank"),
		"no audience":                without("aud"),
		"no end":                     without("exp"),
		"an end that is a text":      withClaim("exp", "tomorrow"),
		"no jti":                     without("jti"),
		"another purpose":            withClaim("purpose", "payment"),
		"no purpose":                 without("purpose"),
		"a purpose that is no text":  withClaim("purpose", []string{"login"}),
	} {
		all = append(all, forgery{name, jwt.SigningMethodES256, own, change})
	}
	return all
}

func TestAttack20_TheDocumentedChecksRefuseForgedReceipts(t *testing.T) {
	t.Parallel()
	for _, c := range checkers(t) {
		for _, f := range append(c.s.forgeries(t), c.s.faults(t)...) {
			c.refuses(t, f.name, c.s.forge(t, f.key, f.method, f.change), "login", c.s.Now())
		}
		// Each has one fault. Without a fault, a receipt that was signed here is accepted.
		own := c.s.key(t, c.s.Keys)
		c.accepts(t, "without a fault", c.s.forge(t, own, jwt.SigningMethodES256, nil), "login", c.s.Now())
		if n := c.s.strange.Load(); n != 0 {
			t.Errorf("%s: asked %d times for something other than the key set", c.name, n)
		}
	}
}

func TestAttack20_TheDocumentedChecksRefuseWhatIsNoReceipt(t *testing.T) {
	t.Parallel()
	for _, c := range checkers(t) {
		first, second := strings.Split(c.s.approve("login"), "."), strings.Split(c.s.approve("login"), ".")
		join := func(parts ...string) string { return strings.Join(parts, ".") }
		for name, text := range map[string]string{
			"empty": "", "no signature": join(first[0], first[1], ""), "two parts": join(first[0], first[1]), "four parts": join(first[0], first[1], first[2], "x"),
			"the claims of another": join(first[0], second[1], first[2]), "a header that is not base64": join("!", first[1], first[2]),
			"a header that is no JSON": join("eA", first[1], first[2]), "a header that is a list": join("W10", first[1], first[2]),
		} {
			c.refuses(t, name, text, "login", c.s.Now())
		}
		// A long text is refused before any of it is read.
		if _, refusal := c.check(t, strings.Repeat("A", 4097), "login", c.s.Now()); !strings.Contains(refusal, "too long") {
			t.Errorf("%s: a long text: %s", c.name, refusal)
		}
		c.accepts(t, "a whole receipt", join(first...), "login", c.s.Now())
	}
}

// The documented checks accept a receipt of the service, once, until it ends.
func TestR12_TheDocumentedChecksAcceptAReceiptOnceUntilItEnds(t *testing.T) {
	t.Parallel()
	for _, c := range checkers(t) {
		text := c.s.approve("login")
		c.refuses(t, "for another purpose", text, "payment", c.s.Now())
		c.refuses(t, "for no purpose", text, "", c.s.Now())
		if subject := c.accepts(t, "a receipt", text, "login", c.s.Now()); len(subject) != 43 {
			t.Errorf("%s: the subject %q", c.name, subject)
		}
		c.refuses(t, "again", text, "login", c.s.Now())

		first, second := c.s.approve("login"), c.s.approve("login")
		end := c.s.Now().Add(receipt.Lifetime)
		c.refuses(t, "at its end", second, "login", end)
		c.accepts(t, "a millisecond before its end", second, "login", end.Add(-time.Millisecond))
		c.refuses(t, "after its end", first, "login", end)
	}
}

// A new secret signs at once. The checkers read the key set again for its kid, but not for
// each unknown kid.
func TestTheDocumentedChecksKeepTheKeySet(t *testing.T) {
	t.Parallel()
	for _, c := range checkers(t) {
		for range 5 {
			c.accepts(t, "a receipt", c.s.approve("login"), "login", c.s.Now())
			c.s.Advance(time.Minute - time.Second)
		}
		wantFetched := func(what string, want int64) {
			t.Helper()
			if got := c.s.fetched.Load(); got != want {
				t.Errorf("%s, %s: the key set was read %d times, want %d", c.name, what, got, want)
			}
		}
		wantFetched("receipts within five minutes", 1)
		c.s.restart(fixture.Secret(50, 1))
		before, after := c.s.forge(t, c.s.key(t, fixture.Keys(t, 1)), jwt.SigningMethodES256, func(h, _ map[string]any) { h["kid"] = kidOf1 }), c.s.approve("login")
		c.accepts(t, "a receipt of the new secret", after, "login", c.s.Now())
		c.accepts(t, "one of the old secret", before, "login", c.s.Now())
		wantFetched("a new kid", 2)
		for i := range 5 {
			made := c.s.forge(t, c.s.key(t, c.s.Keys), jwt.SigningMethodES256, func(h, _ map[string]any) { h["kid"] = fmt.Sprint("made up ", i) })
			c.refuses(t, "a made-up kid", made, "login", c.s.Now().Add(time.Duration(i)*time.Second))
		}
		wantFetched("made-up kids within ten seconds", 2)
		c.s.Advance(5*time.Minute + time.Second)
		c.accepts(t, "a receipt", c.s.approve("login"), "login", c.s.Now())
		wantFetched("after five minutes", 3)
	}
}

// A receipt that was made with a retired secret is refused: its key is not published. So
// is one that names another secret's key.
func TestAttack36_AReceiptOfARetiredSecretIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range checkers(t) {
		text := c.s.approve("login")
		c.s.restart(fixture.Secret(50) + ",index:" + fixture.Secret(1))
		if published := string(fetch(t, c.s.url+"/verify/jwks")); strings.Contains(published, kidOf1) || strings.Count(published, "kid") != 1 {
			t.Errorf("the key set is %s", published)
		}
		stolen := c.s.key(t, fixture.Keys(t, 1))
		c.refuses(t, "made before", text, "login", c.s.Now())
		c.refuses(t, "made by the thief", c.s.forge(t, stolen, jwt.SigningMethodES256, func(h, _ map[string]any) { h["kid"] = kidOf1 }), "login", c.s.Now())
		c.refuses(t, "made by the thief, under the current kid", c.s.forge(t, stolen, jwt.SigningMethodES256, nil), "login", c.s.Now())
		c.accepts(t, "a receipt of the new secret", c.s.approve("login"), "login", c.s.Now())
	}
}
