// Package grant is what a sign-in has granted to a relying party: an authorization code, which is
// exchanged once, and the access token that it gave (RFC 6749, 4.1).
//
// The transitions are pure. Who calls the store authenticates the client and makes the ID token. The package
// must never keep a code or a token, only their hashes.
package grant

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"twofa/internal/otp"
	"twofa/internal/window"
)

const (
	// CodeLifetime is how long a code can be exchanged.
	CodeLifetime = time.Minute
	// TokenLifetime is how long an access token is valid, as is an ID token.
	TokenLifetime = time.Hour
	// MaxFailures is how many exchanges of a code may fail: libraries try again with the same code
	// after an error, in another way to authenticate (docs/signin.md).
	MaxFailures = 5
)

// Hash is the SHA-256 of a secret.
type Hash [sha256.Size]byte

// HashOf returns the hash of a secret.
func HashOf(secret string) Hash { return sha256.Sum256([]byte(secret)) }

func (h Hash) equal(other Hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }

// Grant is a code, and what it gave. The zero Grant is none.
type Grant struct {
	Client      string `json:"client"`
	RedirectURI string `json:"redirect_uri"`
	// Challenge is the code challenge of PKCE (RFC 7636), with the method S256. Empty: none.
	Challenge string    `json:"challenge,omitzero"`
	Code      Hash      `json:"code"`
	CreatedAt time.Time `json:"created_at"`
	// Failures is how many exchanges have failed.
	Failures int `json:"failures,omitzero"`
	// Token is that of the access token, zero before the exchange. ExchangedAt is when that was.
	Token       Hash      `json:"token,omitzero"`
	ExchangedAt time.Time `json:"exchanged_at,omitzero"`
	// EndedAt is when the code was used a second time, zero if it was not.
	EndedAt time.Time `json:"ended_at,omitzero"`

	// Account is who has signed in. The rest says how, and what the client may know of them.
	Account otp.UserKey `json:"account"`
	Nonce   string      `json:"nonce,omitzero"`
	Scopes  []string    `json:"scopes"`
	// AuthTime is when the person last proved something (OpenID Connect Core, 2).
	AuthTime time.Time `json:"auth_time"`
	// AMR is what they proved (RFC 8176), and ACR how much that is.
	AMR []string `json:"amr,omitzero"`
	ACR string   `json:"acr,omitzero"`
}

// IsZero reports whether there is no grant.
func (g Grant) IsZero() bool { return g.CreatedAt.IsZero() }

// ErrInvalid: there is no such code or token, or it is not for this request, or it is used up.
var ErrInvalid = errors.New("grant: not valid")

// Exchange is a request for a token.
type Exchange struct {
	Code string
	// Client is the client that was authenticated.
	Client, RedirectURI string
	// Verifier is the code verifier of PKCE. Empty: none was sent.
	Verifier string
	// Token is the hash of the token that is given.
	Token Hash
}

// Exchange exchanges a code for a token. With an error of ErrInvalid the grant may have changed, and has
// to be kept: a failed exchange is counted, but uses nothing up. A code that has been exchanged before ends
// what it gave: one of the two who had it is a thief (RFC 6749, 4.1.2). Another client ends nothing.
func (g Grant) Exchange(x Exchange, now time.Time) (Grant, error) {
	switch {
	case g.IsZero() || !g.Code.equal(HashOf(x.Code)):
		return g, ErrInvalid
	case !g.ExchangedAt.IsZero():
		if g.EndedAt.IsZero() && x.Client == g.Client {
			g.EndedAt = window.Stamp(now)
		}
		return g, ErrInvalid
	case g.Failures >= MaxFailures || !now.Before(g.CreatedAt.Add(CodeLifetime)):
		return g, ErrInvalid
	case x.Client != g.Client || x.RedirectURI != g.RedirectURI || !verifies(x.Verifier, g.Challenge):
		g.Failures++
		return g, ErrInvalid
	}
	g.Token, g.ExchangedAt = x.Token, window.Stamp(now)
	return g, nil
}

// verifies reports whether a verifier fits a challenge. Without a challenge there must be no verifier: else
// somebody has taken the challenge out of the request.
func verifies(verifier, challenge string) bool {
	if challenge == "" || verifier == "" {
		return challenge == verifier
	}
	if !IsVerifier(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// IsVerifier reports whether a text has the form of a code verifier (RFC 7636, 4.1).
func IsVerifier(s string) bool {
	return len(s) >= 43 && len(s) <= 128 && strings.Trim(s, unreserved) == ""
}

// IsChallenge reports whether a text has the form of a code challenge with the method S256: the base64url
// of 32 bytes, without padding (RFC 7636, 4.2).
func IsChallenge(s string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(sum) == sha256.Size && !strings.ContainsAny(s, "\r\n")
}

// Use returns nil if the access token is the grant's and valid.
func (g Grant) Use(token string, now time.Time) error {
	if g.ExchangedAt.IsZero() || !g.EndedAt.IsZero() || !g.Token.equal(HashOf(token)) || !now.Before(g.ExchangedAt.Add(TokenLifetime)) {
		return ErrInvalid
	}
	return nil
}

// KeepUntil is from when on the grant is not needed.
func (g Grant) KeepUntil() time.Time {
	switch {
	case g.IsZero():
		return time.Time{}
	case g.ExchangedAt.IsZero():
		return g.CreatedAt.Add(CodeLifetime)
	}
	return g.ExchangedAt.Add(TokenLifetime)
}
