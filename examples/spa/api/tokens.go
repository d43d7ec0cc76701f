package main

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokens checks the ID tokens of one issuer for one client. Use newTokens.
//
// In an app of your own, let a library do this: github.com/coreos/go-oidc/v3 has it as
// oidc.NewProvider and Verifier (docs/id-tokens.md). It is written out here because this folder belongs
// to twofa's own module, which does without that library.
type tokens struct {
	issuer, client string
	keysURL        string
	http           *http.Client
	now            func() time.Time

	mu   sync.Mutex
	keys map[string]*rsa.PublicKey // by their id

	reading sync.Mutex // held while the keys are read: known keys need not wait
	read    time.Time  // when they were asked for last
	readErr error      // of the last time
}

// idToken is the claims of an ID token that was checked (OpenID Connect Core, 2 and 5.1).
type idToken struct {
	jwt.RegisteredClaims
	profile
	AuthorizedParty string `json:"azp"`
}

// profile is what a token says of the person.
type profile struct {
	Name                string   `json:"name,omitempty"`
	PreferredUsername   string   `json:"preferred_username,omitempty"`
	PhoneNumber         string   `json:"phone_number,omitempty"`
	PhoneNumberVerified bool     `json:"phone_number_verified,omitempty"`
	Email               string   `json:"email,omitempty"`
	EmailVerified       bool     `json:"email_verified,omitempty"`
	AuthTime            int64    `json:"auth_time,omitempty"`
	AMR                 []string `json:"amr,omitempty"`
	ACR                 string   `json:"acr,omitempty"`
}

const (
	// fetchTimeout is how long the provider may take for its discovery document or its keys.
	fetchTimeout = 10 * time.Second
	// maxFetch is the longest document that is read, in bytes.
	maxFetch = 1 << 20
	// readAgain is how soon the keys are read again when a token names an unknown one. Anybody can send such tokens.
	readAgain = time.Second
	// skew is how far the clocks of provider and API may be apart.
	skew = 30 * time.Second
	// maxAge is how old a token may be when the page hands it over.
	maxAge = 5 * time.Minute
)

// newTokens reads the discovery document of the issuer.
func newTokens(ctx context.Context, issuer, client string) (*tokens, error) {
	t := &tokens{issuer: issuer, client: client, http: &http.Client{Timeout: fetchTimeout}, now: time.Now}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := t.fetch(ctx, issuer+"/.well-known/openid-configuration", &document); err != nil {
		return nil, fmt.Errorf("the discovery document of the issuer: %w", err)
	}
	if document.Issuer != issuer { // OpenID Connect Discovery, 4.3
		return nil, fmt.Errorf("the issuer calls itself %q, and was given as %q", document.Issuer, issuer)
	}
	if u, err := url.Parse(document.Keys); err != nil || checkAddress(u) != nil {
		return nil, errors.New("the address of the issuer's keys is not https, or http on loopback")
	}
	t.keysURL = document.Keys
	return t, nil
}

// Verify checks an ID token, and returns its claims. An error says why it is refused, without the token's text.
func (t *tokens) Verify(ctx context.Context, text string) (*idToken, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}), // with another one, the public key could pass for a secret
		jwt.WithIssuer(t.issuer), jwt.WithAudience(t.client), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(skew), jwt.WithTimeFunc(t.now),
	)
	claims := new(idToken)
	_, err := parser.ParseWithClaims(text, claims, func(token *jwt.Token) (any, error) {
		if _, critical := token.Header["crit"]; critical { // RFC 7515, 4.1.11: nothing of that is understood here
			return nil, errors.New("a critical header")
		}
		id, _ := token.Header["kid"].(string)
		return t.key(ctx, id)
	})
	switch {
	case err != nil:
		return nil, err
	case claims.Subject == "":
		return nil, errors.New("it has no subject")
	case claims.ID == "":
		return nil, errors.New("it has no id, so that its second use would not be noticed")
	case claims.IssuedAt == nil || t.now().Sub(claims.IssuedAt.Time) > maxAge:
		return nil, errors.New("it was not issued just now")
	case len(claims.Audience) > 1 && claims.AuthorizedParty != t.client: // OpenID Connect Core, 3.1.3.7
		return nil, errors.New("it was issued to another app")
	}
	return claims, nil
}

// key returns the key with that id. If it is not known, the keys are read again: the issuer may have new ones.
func (t *tokens) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	if known := t.known(id); known != nil {
		return known, nil
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	if known := t.known(id); known != nil { // another request has read the keys meanwhile
		return known, nil
	}
	if t.now().Sub(t.read) >= readAgain {
		t.read, t.readErr = t.now(), t.readKeys(ctx)
	}
	switch known := t.known(id); {
	case known != nil:
		return known, nil
	case t.readErr != nil:
		return nil, t.readErr
	}
	return nil, errors.New("the key is not one of the issuer's")
}

// known returns a key that was read before, nil if there is none with that id.
func (t *tokens) known(id string) *rsa.PublicKey {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys[id]
}

// errKeys says that the provider is at fault, not the token.
var errKeys = errors.New("the keys of the issuer cannot be read")

// readKeys reads the key set (RFC 7517). Keys of other kinds than RSA are left out. After an error, the keys are as before.
func (t *tokens) readKeys(ctx context.Context) error {
	var set struct {
		Keys []struct {
			Type     string `json:"kty"`
			ID       string `json:"kid"`
			Use      string `json:"use"`
			Modulus  string `json:"n"`
			Exponent string `json:"e"`
		} `json:"keys"`
	}
	if err := t.fetch(ctx, t.keysURL, &set); err != nil {
		return fmt.Errorf("%w: %w", errKeys, err)
	}
	keys := make(map[string]*rsa.PublicKey)
	for _, k := range set.Keys {
		n, errN := base64.RawURLEncoding.DecodeString(k.Modulus)
		e, errE := base64.RawURLEncoding.DecodeString(k.Exponent)
		if k.Type != "RSA" || k.Use == "enc" || errN != nil || errE != nil || len(n) < 2048/8 || len(e) == 0 || len(e) > 3 {
			continue
		}
		keys[k.ID] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = keys
	return nil
}

// fetch reads a JSON document.
func (t *tokens) fetch(ctx context.Context, address string, to any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout) // a browser that goes away must not cost the others the keys
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := t.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return json.NewDecoder(io.LimitReader(res.Body, maxFetch)).Decode(to)
}
