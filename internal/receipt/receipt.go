// Package receipt signs what an approval says, so that an app can pass it on: a receipt
// is a JWT (RFC 7519), signed with ES256, that is valid for five minutes.
// docs/receipts.md says what each claim means, and how to check one.
//
// The package must never sign anything but a stored approval, and never with a secret
// that is marked for the index only. It accepts no receipts: the service does not
// believe its own.
package receipt

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/secret"
)

const (
	// Type is the header typ of a receipt, so that no other JWT passes for one
	// (RFC 8725, 3.11).
	Type = "twofa-receipt+jwt"
	// Lifetime is how long a receipt is valid.
	Lifetime = 5 * time.Minute
	// Nameless is the audience of the client without a name.
	Nameless = "twofa"
)

// errNobody: an approval of neither an address nor a user.
var errNobody = errors.New("receipt: the approval names neither an address nor a user")

// Approval is what a receipt says.
type Approval struct {
	// Client is the id of the client that the receipt is for, "" for the nameless client.
	Client string
	// Address is the one that a code reached, "" if none did or if it could be one of
	// two. Of a Test, it is the test number.
	Address string
	// Disclosed is true if the client may learn Address.
	Disclosed bool
	// User is the key of the registered user, "" if there is none.
	User otp.UserKey
	// Purpose, Channel and Transaction are those of the verification, zero for the
	// factors that need no message.
	Purpose     string
	Channel     channel.Channel
	Transaction otp.Transaction
	// Recovery is true for a recovery code.
	Recovery bool
	// Test is true for a test number: nobody has proven anything.
	Test bool
}

// Signer signs receipts. It is safe for concurrent use.
type Signer struct {
	issuer string
	now    func() time.Time
	keys   *secret.Keyring
	set    func() (*keySet, error)
}

// New returns a signer with the secrets of a keyring. It derives the keys when they are
// first needed. issuer is TWOFA_PUBLIC_URL.
func New(keys *secret.Keyring, issuer string, now func() time.Time) *Signer {
	return &Signer{issuer: issuer, now: now, keys: keys, set: sync.OnceValues(func() (*keySet, error) { return newKeySet(keys) })}
}

// KeySet returns the public keys as a JWK set (RFC 7517), one for each secret that signs
// or has signed.
func (s *Signer) KeySet() ([]byte, error) {
	set, err := s.set()
	if err != nil {
		return nil, err
	}
	return set.published, nil
}

// Sign returns a receipt, signed with the current secret. It fails only for an Approval
// that names nobody, or by a defect. The error is safe to log.
func (s *Signer) Sign(a Approval) (string, error) {
	set, err := s.set()
	if err != nil {
		return "", err
	}
	claims, err := s.claims(a)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["typ"], token.Header["kid"] = Type, set.kid
	text, err := token.SignedString(set.current)
	if err != nil { // its text may hold anything
		return "", fmt.Errorf("receipt: not signed: error of type %T", err)
	}
	return text, nil
}

func (s *Signer) claims(a Approval) (jwt.MapClaims, error) {
	subject, err := s.subject(a)
	if err != nil {
		return nil, err
	}
	now := s.now()
	claims := jwt.MapClaims{
		"iss": s.issuer, "aud": audience(a.Client), "sub": subject,
		"iat": now.Unix(), "exp": now.Add(Lifetime).Unix(), "jti": rand.Text(),
	}
	if a.Purpose != "" {
		claims["purpose"] = a.Purpose
	}
	if a.Channel != "" {
		claims["channel"] = a.Channel
	}
	if amr := methods(a); amr != nil {
		claims["amr"] = amr
	}
	if a.Transaction != (otp.Transaction{}) {
		claims["context_hash"] = contextHash(a.Transaction)
	}
	if a.Disclosed && a.Address != "" {
		name := "phone_number"
		if address.IsEmail(a.Address) {
			name = "email"
		}
		claims[name] = a.Address
	}
	if a.Test {
		claims["test"] = true
	}
	return claims, nil
}

func audience(client string) string {
	if client == "" {
		return Nameless
	}
	return client
}

// subject returns a keyed hash of the client and the address, else of the client and the
// user, whose key is a keyed hash of directory and name. A test number gets another
// subject than the address itself: it is nobody's identity. No part has a null byte.
func (s *Signer) subject(a Approval) (string, error) {
	parts := []string{"address", a.Client, a.Address}
	switch {
	case a.Test:
		parts[0] = "test"
	case a.Address != "":
	case a.User != "":
		parts = []string{"user", a.Client, string(a.User)}
	default:
		return "", errNobody
	}
	sum := s.keys.Subject(strings.Join(parts, "\x00"))
	return encode(sum[:]), nil
}

// methods returns the claim amr (RFC 8176), nil for a recovery code, for which there is no
// value.
func methods(a Approval) []string {
	switch {
	case a.Recovery:
		return nil
	case a.Channel == channel.SMS:
		return []string{"otp", "sms"}
	case a.Channel == channel.Call:
		return []string{"otp", "tel"}
	}
	return []string{"otp"}
}

// contextHash is over the texts as the approval returns them. Neither has a line break.
func contextHash(t otp.Transaction) string {
	sum := sha256.Sum256([]byte(t.Amount + "\n" + t.Payee))
	return encode(sum[:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// keySet is the keys of a keyring.
type keySet struct {
	current   *ecdsa.PrivateKey
	kid       string // of current
	published []byte
}
