package receipt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/receipt"
	"twofa/internal/testing/fixture"
)

const (
	issuer = "https://twofa.example.com"
	// Apps know keys by these ids, so they never change.
	kidOf1 = "TRhKOSTVTaYoysZSocrmVN-mneErpGb8m5MZBiP_3FY"
)

func newSigner(t fixture.TB, seeds ...byte) *receipt.Signer {
	return receipt.New(fixture.Keys(t, seeds...), issuer, func() time.Time { return fixture.Noon.Add(999 * time.Millisecond) })
}

// open returns header and claims of a receipt, whose signature it checks with the key of
// the set that the header names.
func open(t fixture.TB, s *receipt.Signer, text string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(text, ".")
	set, err := s.KeySet()
	if err != nil || len(parts) != 3 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	unmarshal(t, decode(t, parts[0]), &header)
	unmarshal(t, decode(t, parts[1]), &claims)
	signature, hash := decode(t, parts[2]), sha256.Sum256([]byte(parts[0]+"."+parts[1]))
	var published struct{ Keys []map[string]string }
	unmarshal(t, set, &published)
	for _, k := range published.Keys {
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, decode(t, k["x"]), decode(t, k["y"])))
		if err != nil {
			t.Fatalf("%v", err)
		}
		if k["kid"] == header["kid"] && len(signature) == 64 && ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			return header, claims
		}
	}
	t.Fatalf("no published key has signed the receipt")
	return nil, nil
}

func decode(t fixture.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return b
}

func unmarshal(t fixture.TB, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func sign(t fixture.TB, s *receipt.Signer, a receipt.Approval) (header, claims map[string]any) {
	t.Helper()
	text, err := s.Sign(a)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return open(t, s, text)
}

func TestR12_AReceiptHasOneTypeAndAllThatACheckerNeeds(t *testing.T) {
	t.Parallel()
	header, claims := sign(t, newSigner(t, 1), receipt.Approval{Client: "bank-web", Address: fixture.Alice, Purpose: "login", Channel: channel.WhatsApp})
	if want := map[string]any{"alg": "ES256", "typ": "twofa-receipt+jwt", "kid": kidOf1}; !reflect.DeepEqual(header, want) {
		t.Errorf("the header is %v, want %v", header, want)
	}
	noon := float64(fixture.Noon.Unix())
	for name, want := range map[string]any{"iss": issuer, "aud": "bank-web", "iat": noon, "exp": noon + 300} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	_, again := sign(t, newSigner(t, 1), receipt.Approval{Client: "bank-web", Address: fixture.Alice})
	if id, _ := claims["jti"].(string); len(id) < 22 || id == again["jti"] {
		t.Errorf("the ids of two receipts are %v and %v", claims["jti"], again["jti"])
	}
}

// Each claim, and where it is left out.
func TestClaims(t *testing.T) {
	t.Parallel()
	otpOnly := []any{"otp"}
	for _, tc := range []struct {
		name string
		a    receipt.Approval
		want map[string]any // without those that all receipts have
	}{
		{"SMS", receipt.Approval{Address: fixture.Alice, Purpose: "login", Channel: channel.SMS},
			map[string]any{"aud": "twofa", "purpose": "login", "channel": "sms", "amr": []any{"otp", "sms"}}},
		{"call", receipt.Approval{Address: fixture.Alice, Purpose: "login", Channel: channel.Call},
			map[string]any{"aud": "twofa", "purpose": "login", "channel": "call", "amr": []any{"otp", "tel"}}},
		{"WhatsApp", receipt.Approval{Address: fixture.Alice, Purpose: "login", Channel: channel.WhatsApp},
			map[string]any{"aud": "twofa", "purpose": "login", "channel": "whatsapp", "amr": otpOnly}},
		{"the person's own message", receipt.Approval{Address: fixture.Alice, Purpose: "login", Channel: channel.Inbound},
			map[string]any{"aud": "twofa", "purpose": "login", "channel": "inbound", "amr": otpOnly}},
		{"a disclosed number", receipt.Approval{Client: "a", Address: fixture.Alice, Disclosed: true, Purpose: "x", Channel: channel.WhatsApp},
			map[string]any{"aud": "a", "purpose": "x", "channel": "whatsapp", "amr": otpOnly, "phone_number": fixture.Alice}},
		{"a disclosed mail address", receipt.Approval{Client: "a", Address: fixture.AliceMail, Disclosed: true, Purpose: "x", Channel: channel.Email},
			map[string]any{"aud": "a", "purpose": "x", "channel": "email", "amr": otpOnly, "email": fixture.AliceMail}},
		{"no address was reached", receipt.Approval{User: "u1", Disclosed: true, Purpose: "x", Channel: channel.Email},
			map[string]any{"aud": "twofa", "purpose": "x", "channel": "email", "amr": otpOnly}},
		{"an app", receipt.Approval{User: "u1"}, map[string]any{"aud": "twofa", "amr": otpOnly}},
		{"a recovery code", receipt.Approval{User: "u1", Recovery: true}, map[string]any{"aud": "twofa"}},
		{"a payment", receipt.Approval{Address: fixture.Alice, Purpose: "pay", Channel: channel.WhatsApp, Transaction: otp.Transaction{Amount: "10 €", Payee: "Zoë"}},
			map[string]any{"aud": "twofa", "purpose": "pay", "channel": "whatsapp", "amr": otpOnly, "context_hash": "5JOHGFKpec5RpYhRl6wvGjNNhPATgE4CVtKq7tgsMZo"}},
		{"a payee without an amount", receipt.Approval{User: "u1", Transaction: otp.Transaction{Payee: "10 €Zoë"}},
			map[string]any{"aud": "twofa", "amr": otpOnly, "context_hash": "OIa9foKP2e3JQOQO9M_xypnNxH1wz3AekFQa2f4cFbc"}},
		{"a test number", receipt.Approval{Address: fixture.Alice, Disclosed: true, Purpose: "x", Channel: channel.WhatsApp, Test: true},
			map[string]any{"aud": "twofa", "purpose": "x", "channel": "whatsapp", "amr": otpOnly, "phone_number": fixture.Alice, "test": true}},
	} {
		_, claims := sign(t, newSigner(t, 1), tc.a)
		for _, name := range []string{"iss", "sub", "iat", "exp", "jti"} {
			delete(claims, name)
		}
		if !reflect.DeepEqual(claims, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, claims, tc.want)
		}
	}
}

// A subject is of one client and one address or user, and of nothing else.
func TestSubject_IsOfClientAndAddressOrUser(t *testing.T) {
	t.Parallel()
	s := newSigner(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) receipt.Approval {
			pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label+name) }
			return receipt.Approval{
				Client: pick("client", "", "a", "ab"), Address: pick("address", "", "b", "bb", fixture.Alice),
				User: otp.UserKey(pick("user", "u1", "u2", "b")), Purpose: pick("purpose", "", "x"), Test: rapid.Bool().Draw(t, label+"test"),
			}
		}
		// what the subject has to depend on
		whose := func(a receipt.Approval) string {
			switch {
			case a.Test:
				return fmt.Sprintf("test %q %q", a.Client, a.Address)
			case a.Address != "":
				return fmt.Sprintf("address %q %q", a.Client, a.Address)
			}
			return fmt.Sprintf("user %q %q", a.Client, a.User)
		}
		a, b := draw("a "), draw("b ")
		_, ofA := sign(t, s, a)
		_, ofB := sign(t, s, b)
		if (whose(a) == whose(b)) != (ofA["sub"] == ofB["sub"]) {
			t.Fatalf("%+v has %v, %+v has %v", a, ofA["sub"], b, ofB["sub"])
		}
	})
}

// The parts of what is hashed cannot be cut in another way.
func TestSubject_PartsAreApart(t *testing.T) {
	t.Parallel()
	s := newSigner(t, 1)
	for _, pair := range [][2]receipt.Approval{
		{{Client: "a", Address: "bb"}, {Client: "ab", Address: "b"}},
		{{Client: "a", User: "u1"}, {Client: "au", User: "1"}},
	} {
		_, one := sign(t, s, pair[0])
		if _, two := sign(t, s, pair[1]); one["sub"] == two["sub"] {
			t.Errorf("%+v have one subject", pair)
		}
	}
}

func TestSign_NobodyHasNoReceipt(t *testing.T) {
	t.Parallel()
	if text, err := newSigner(t, 1).Sign(receipt.Approval{Client: "a", Purpose: "login"}); err == nil || text != "" {
		t.Errorf("signed %q, %v", text, err)
	}
}

// After a rotation the receipts of before are valid, and the new secret signs.
func TestRotation_TheNewSecretSignsAndTheOldKeyStaysPublished(t *testing.T) {
	t.Parallel()
	before, after := newSigner(t, 1), newSigner(t, 50, 1)
	text, err := before.Sign(receipt.Approval{User: "u1"})
	if err != nil {
		t.Fatal(err)
	}
	_, old := open(t, after, text)
	header, claims := sign(t, after, receipt.Approval{User: "u1"})
	if header["kid"] == kidOf1 || old["sub"] != claims["sub"] {
		t.Errorf("signed by %v; the subjects are %v and %v", header["kid"], old["sub"], claims["sub"])
	}
}

func TestKeySet_HasPublicMembersOnly(t *testing.T) {
	t.Parallel()
	text, err := newSigner(t, 1).KeySet()
	if want := `{"keys":[{"crv":"P-256","kty":"EC","x":"enTSuHdmLsMtbAFgHK2zonor8bvUgg54RskGmK5Cdj0","y":"kvPcwVHsJ7OVEFMesb0z51TKEZ_zfDKpZXSf3Vp4Qtc","kid":"TRhKOSTVTaYoysZSocrmVN-mneErpGb8m5MZBiP_3FY","use":"sig","alg":"ES256"}]}`; err != nil || string(text) != want {
		t.Errorf("the key set is %s, %v, want %s", text, err, want)
	}
}
