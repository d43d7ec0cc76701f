package oidc_test

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"twofa/internal/testing/fixture"
)

// checked is the claims of an ID token, which golang-jwt has checked with the published keys alone.
func (h *harness) checked(token any, audience string) jwt.MapClaims {
	h.Helper()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(h.KeySet(got()).Body, &set); err != nil {
		h.Fatal(err)
	}
	key := func(t *jwt.Token) (any, error) {
		i := slices.IndexFunc(set.Keys, func(k map[string]string) bool { return k["kid"] == t.Header["kid"] })
		if i < 0 || t.Header["typ"] != "JWT" || len(t.Header) != 3 || set.Keys[i]["alg"] != t.Header["alg"] || set.Keys[i]["use"] != "sig" {
			return nil, fmt.Errorf("the header %v", t.Header)
		}
		n, errN := base64.RawURLEncoding.DecodeString(set.Keys[i]["n"])
		e, errE := base64.RawURLEncoding.DecodeString(set.Keys[i]["e"])
		if errN != nil || errE != nil {
			return nil, fmt.Errorf("the key %v", set.Keys[i])
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(fmt.Sprint(token), claims, key, jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(h.clock.Now))
	if err != nil {
		h.Fatal(err)
	}
	return claims
}

// signIn is a whole exchange for a request.
func (h *harness) signIn(id string, form url.Values) (idToken jwt.MapClaims, userinfo map[string]any) {
	h.Helper()
	r := exchange(id, h.code(form))
	if form.Get("code_challenge") == "" {
		r.Del("code_verifier")
	}
	body := h.tokens(posted(r))
	return h.checked(body["id_token"], id), h.body(h.Userinfo(got("Authorization", fmt.Sprint("Bearer ", body["access_token"]))))
}

// The claims of an ID token (OpenID Connect Core, 2, 3.1.3.6 and 5.1).
func TestIDToken(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.clock.Advance(1700 * time.Millisecond)
	body := h.tokens(posted(exchange("web", h.code(asked("web")))))
	claims := h.checked(body["id_token"], "web")
	sum := sha256.Sum256([]byte(fmt.Sprint(body["access_token"])))
	now := float64(fixture.Noon.Unix() + 1)
	want := jwt.MapClaims{
		"iss": issuer, "aud": "web", "sub": alice().Subject("web"), "iat": now, "exp": now + 3600, "auth_time": now - 60, "jti": claims["jti"], "nonce": nonce,
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]), "amr": []any{"otp", "sms"}, "acr": "urn:twofa:acr:1",
		"phone_number": fixture.Alice, "phone_number_verified": true, "email": fixture.AliceMail, "email_verified": true, "name": "Alice", "preferred_username": alice().Username("web"),
	}
	if !reflect.DeepEqual(claims, want) {
		t.Errorf("\n got %v\nwant %v", claims, want)
	}
	if !regexp.MustCompile(`^[a-z0-9]{32,60}$`).MatchString(fmt.Sprint(claims["sub"])) {
		t.Errorf("the subject is %v", claims["sub"])
	}
	again, _ := h.signIn("web", asked("web"))
	if again["jti"] == claims["jti"] || again["sub"] != claims["sub"] {
		t.Errorf("a second ID token: %v", again)
	}
}

// A claim is there if and only if its scope was granted and its value is known, and userinfo has the same ones.
func TestClaims_AreGatedByScope(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	protocol := []string{"iss", "aud", "iat", "exp", "auth_time", "jti", "nonce", "at_hash", "amr", "acr"}
	of := map[string][]string{"openid": {"sub"}, "phone": {"phone_number", "phone_number_verified"}, "email": {"email", "email_verified"}, "profile": {"name", "preferred_username"}}
	for n := range 8 {
		asks, want := []string{"openid"}, []string{"sub"}
		for i, scope := range []string{"phone", "email", "profile"} {
			if n>>i&1 == 1 {
				asks, want = append(asks, scope), append(want, of[scope]...)
			}
		}
		claims, userinfo := h.signIn("web", with(asked("web"), "scope", strings.Join(asks, " ")+" offline_access"))
		for _, name := range protocol {
			if _, has := claims[name]; !has {
				t.Errorf("%q: no %s", asks, name)
			}
			delete(claims, name)
		}
		slices.Sort(want)
		if !reflect.DeepEqual(map[string]any(claims), userinfo) || !slices.Equal(slices.Sorted(maps.Keys(userinfo)), want) {
			t.Errorf("%q: the ID token has %v, userinfo %v", asks, claims, userinfo)
		}
	}
	h.people.all[loggedIn] = phoneOnly()
	claims, userinfo := h.signIn("legacy", with(with(with(asked("legacy"), "nonce"), "code_challenge"), "code_challenge_method"))
	for _, name := range []string{"email", "email_verified", "name", "nonce"} {
		if claims[name] != nil || userinfo[name] != nil {
			t.Errorf("%s is %v, although it is not known", name, claims[name])
		}
	}
	if claims["phone_number"] != fixture.Bob || claims["preferred_username"] != phoneOnly().Username("shared") {
		t.Errorf("%v", claims)
	}
}

// R23. Two apps cannot tell that they have the same person, unless the operator lets them share a sector.
func TestR23_SubjectsArePairwise(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	subject := func(id string) any {
		claims, _ := h.signIn(id, with(asked(id), "scope", "openid profile"))
		return fmt.Sprint(claims["sub"], claims["preferred_username"])
	}
	web, other, legacy, spa := subject("web"), subject("other"), subject("legacy"), subject("spa")
	if web == other || web == legacy || other == legacy || legacy != spa {
		t.Errorf("web %v, other %v, legacy %v, spa %v", web, other, legacy, spa)
	}
}

// A time of proof that another process's clock has written is not in the future.
func TestIDToken_IsNeverAhead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r, _ := h.read(asked("web"))
	g := r.Grant()
	g.Account, g.AuthTime = loggedIn, h.clock.Now().Add(time.Minute)
	code, err := h.Grants.Issue(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	claims := h.checked(h.tokens(posted(exchange("web", code)))["id_token"], "web")
	if claims["auth_time"] != claims["iat"] || claims["amr"] != nil || claims["acr"] != nil || claims["nbf"] != nil {
		t.Errorf("%v", claims)
	}
}
