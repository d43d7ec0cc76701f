// Package oidckeys holds the keys that sign ID tokens: RS256 (RFC 7518, 3.3), because every
// library of a relying party takes it.
//
// There are two: one signs, the other one is published before it signs, because relying parties
// keep a key set for up to two days (docs/signin.md). They are made once and lie in one sealed row. The
// package must never make keys anew because it cannot read the row, and never publish or log a
// private key.
package oidckeys

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"twofa/internal/window"
)

const (
	// Bits is the size of a key.
	Bits = 2048
	// Lead is how long a key is published before it signs, but for the first one and after
	// [Set.Replace].
	Lead = 48 * time.Hour
	// Linger is how long a key is published after it has signed last. ID tokens are valid for an
	// hour, and relying parties keep a key set for longer.
	Linger = 24 * time.Hour
)

// Key is a key with its times.
type Key struct {
	// ID is the thumbprint of the public key (RFC 7638).
	ID      string
	Private *rsa.PrivateKey
	// PublishedAt is since when it is published.
	PublishedAt time.Time
	// SignsAt is since when it signs, zero if it is the next one.
	SignsAt time.Time
	// RetiredAt is when it has signed last, zero if it signs or is the next one.
	RetiredAt time.Time
}

// Set is the keys: one that signs, the next one, and those that have signed lately. The zero Set has
// none: they have not been made yet.
type Set struct {
	Keys []Key
}

// New returns a set of two keys that have just been made. The first one signs at once: nobody has
// an older key set.
func New(first, next *rsa.PrivateKey, now time.Time) (Set, error) {
	a, errA := newKey(first, now)
	b, errB := newKey(next, now)
	a.SignsAt = a.PublishedAt
	return Set{[]Key{a, b}}, errors.Join(errA, errB)
}

func newKey(private *rsa.PrivateKey, now time.Time) (Key, error) {
	if private == nil || private.N.BitLen() < Bits {
		return Key{}, fmt.Errorf("oidckeys: a key has at least %d bits", Bits)
	}
	id, err := thumbprint(&private.PublicKey)
	return Key{ID: id, Private: private, PublishedAt: window.Stamp(now)}, err
}

// IsZero reports whether no keys have been made.
func (s Set) IsZero() bool { return len(s.Keys) == 0 }

// Signing returns the key that signs. ok is false for the zero Set.
func (s Set) Signing() (key Key, ok bool) {
	i := slices.IndexFunc(s.Keys, func(k Key) bool { return !k.SignsAt.IsZero() && k.RetiredAt.IsZero() })
	if i < 0 {
		return Key{}, false
	}
	return s.Keys[i], true
}

// next returns the index of the key that signs after the present one.
func (s Set) next() int {
	return slices.IndexFunc(s.Keys, func(k Key) bool { return k.SignsAt.IsZero() })
}

// Published returns the keys that are published.
func (s Set) Published(now time.Time) (keys []Key) {
	for _, k := range s.Keys {
		if k.RetiredAt.IsZero() || now.Before(k.RetiredAt.Add(Linger)) {
			keys = append(keys, k)
		}
	}
	return keys
}

// TooEarlyError says that the next key has not been published for long enough.
type TooEarlyError struct {
	// At is from when on it may sign.
	At time.Time
}

// Error implements error.
func (e *TooEarlyError) Error() string {
	return "oidckeys: the next key has not been published for " + Lead.String() + "; it may sign from " + e.At.UTC().Format(time.RFC3339) + " on"
}

// ErrNone says that there are no keys to turn.
var ErrNone = errors.New("oidckeys: there are no keys yet")

// Rotate makes the next key sign, and fresh the next one. The present key stays published for
// Linger. The error is ErrNone, or a *TooEarlyError if the next key has not been published for Lead.
func (s Set) Rotate(fresh *rsa.PrivateKey, now time.Time) (Set, error) {
	if s.IsZero() {
		return s, ErrNone
	}
	if at := s.Keys[s.next()].PublishedAt.Add(Lead); now.Before(at) {
		return s, &TooEarlyError{At: at}
	}
	return s.turn(fresh, now, func(Key) bool { return false })
}

// Replace is Rotate at once, for a key that has leaked: the present key is published no more, so that
// nothing that it has signed is believed by who reads the new key set.
func (s Set) Replace(fresh *rsa.PrivateKey, now time.Time) (Set, error) {
	if s.IsZero() {
		return s, ErrNone
	}
	leaked, _ := s.Signing()
	return s.turn(fresh, now, func(k Key) bool { return k.ID == leaked.ID })
}

// turn makes the next key sign, and drops keys that are not published any more and those to drop.
func (s Set) turn(fresh *rsa.PrivateKey, now time.Time, drop func(Key) bool) (Set, error) {
	next, err := newKey(fresh, now)
	if err != nil {
		return s, err
	}
	if slices.ContainsFunc(s.Keys, func(k Key) bool { return k.ID == next.ID }) {
		return s, errors.New("oidckeys: the fresh key is one of the set's")
	}
	stamp := window.Stamp(now)
	turned := Set{slices.Clone(s.Keys)}
	for i := range turned.Keys {
		switch k := &turned.Keys[i]; {
		case k.SignsAt.IsZero():
			k.SignsAt = stamp
		case k.RetiredAt.IsZero():
			k.RetiredAt = stamp
		}
	}
	turned.Keys = slices.DeleteFunc(turned.Published(now), drop)
	turned.Keys = append(turned.Keys, next)
	return turned, nil
}

// jwk is a public key (RFC 7517, RFC 7518, 6.3.1). The required members come first, in alphabetical
// order.
type jwk struct {
	Exponent string `json:"e"`
	Type     string `json:"kty"`
	Modulus  string `json:"n"`
	ID       string `json:"kid,omitempty"`
	Use      string `json:"use,omitempty"`
	Alg      string `json:"alg,omitempty"`
}

func newJWK(key *rsa.PublicKey) jwk {
	encode := base64.RawURLEncoding.EncodeToString
	return jwk{Type: "RSA", Modulus: encode(key.N.Bytes()), Exponent: encode(big.NewInt(int64(key.E)).Bytes())}
}

// thumbprint is the hash of the required members (RFC 7638).
func thumbprint(key *rsa.PublicKey) (string, error) {
	required, err := json.Marshal(newJWK(key))
	if err != nil {
		return "", fmt.Errorf("oidckeys: no thumbprint: error of type %T", err)
	}
	sum := sha256.Sum256(required)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// KeySet returns the public keys that are published as a JWK set (RFC 7517).
func (s Set) KeySet(now time.Time) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range s.Published(now) {
		public := newJWK(&k.Private.PublicKey)
		public.ID, public.Use, public.Alg = k.ID, "sig", "RS256"
		set.Keys = append(set.Keys, public)
	}
	text, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("oidckeys: no key set: error of type %T", err)
	}
	return text, nil
}
