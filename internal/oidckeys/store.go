package oidckeys

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/problem"
	"twofa/internal/row"
	"twofa/internal/secret"
	"twofa/internal/store"
)

const (
	// rowKey is the key of the one row. Those of recipients are hexadecimal, those of users begin
	// with u, those of counters with g, those of sessions with s.
	rowKey store.Key = "koidc"
	// MaxAge is how long a process uses the keys that it has read. A key that has leaked signs no
	// longer than that after its replacement.
	MaxAge = time.Minute
	// version is the first byte of an encoded set.
	version = 1
	// maxKeys is far more than the keys of a set.
	maxKeys = 64
)

// Store keeps the set. It is safe for concurrent use.
type Store struct {
	Table store.Table
	Keys  *secret.Keyring
	Now   func() time.Time
	// Generate makes a key. nil: of crypto/rand.
	Generate func() (*rsa.PrivateKey, error)

	making sync.Mutex // so that one request of a process makes the keys, and the others wait for them

	mu     sync.Mutex
	set    Set
	readAt time.Time
}

func (s *Store) rows() row.Store[Set] {
	return row.Store[Set]{Table: s.Table, Keys: s.Keys, Codec: row.Codec[Set]{Encode: encode, Decode: decode, KeepUntil: keepUntil}}
}

// keepUntil is a time that does not come: the keys are needed as long as the service is.
func keepUntil(s Set) time.Time {
	if s.IsZero() {
		return time.Time{}
	}
	return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
}

// Load returns the set, and makes it if there is none. A set that was read is used again for
// MaxAge. One round trip; two, and the time of making two keys, the first time of all.
//
// Errors are of kind StorageUnavailable, or Internal for a row that cannot be read: then no keys are
// made, because relying parties would lose the ones that they know.
func (s *Store) Load(ctx context.Context) (Set, error) {
	now := s.Now()
	if set, ok := s.cached(now); ok {
		return set, nil
	}
	set, err := s.Read(ctx)
	if err != nil {
		return Set{}, err
	}
	if set.IsZero() {
		return s.make(ctx, now)
	}
	s.keep(set, now)
	return set, nil
}

func (s *Store) keep(set Set, readAt time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.readAt = set, readAt
}

// cached returns the set if it was read within MaxAge. Nobody waits for storage here.
func (s *Store) cached(now time.Time) (Set, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := now.Sub(s.readAt)
	return s.set, !s.set.IsZero() && age >= 0 && age < MaxAge
}

// make makes the first set. If another request or process has done so, its set is returned.
func (s *Store) make(ctx context.Context, now time.Time) (Set, error) {
	s.making.Lock()
	defer s.making.Unlock()
	if set, ok := s.cached(now); ok {
		return set, nil
	}
	first, err := s.generate()
	if err != nil {
		return Set{}, err
	}
	next, err := s.generate()
	if err != nil {
		return Set{}, err
	}
	fresh, err := New(first, next, now)
	if err != nil {
		return Set{}, problem.Unexpected(err)
	}
	set, err := s.rows().Update(ctx, rowKey, func(old Set) (Set, error) {
		if !old.IsZero() {
			return old, nil
		}
		return fresh, nil
	})
	if err != nil {
		return Set{}, err
	}
	s.keep(set, now)
	return set, nil
}

func (s *Store) generate() (*rsa.PrivateKey, error) {
	generate := s.Generate
	if generate == nil {
		generate = func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, Bits) }
	}
	key, err := generate()
	if err != nil {
		return nil, problem.Unexpected(fmt.Errorf("oidckeys: no key was made: error of type %T", err))
	}
	return key, nil
}

// Read returns the set, the zero Set if there is none yet: it makes no keys. Errors are those of
// Load. One round trip.
func (s *Store) Read(ctx context.Context) (Set, error) { return s.rows().Load(ctx, rowKey) }

// Rotate makes the next key sign: see [Set.Rotate], and [Set.Replace] if the present key has leaked.
// It changes nothing if there are no keys, which is ErrNone. Two round trips.
func (s *Store) Rotate(ctx context.Context, leaked bool) (Set, error) {
	fresh, err := s.generate()
	if err != nil {
		return Set{}, err
	}
	turn := Set.Rotate
	if leaked {
		turn = Set.Replace
	}
	return s.rows().Update(ctx, rowKey, func(old Set) (Set, error) {
		set, err := turn(old, fresh, s.Now())
		if err != nil {
			return old, row.Discard(err)
		}
		return set, nil
	})
}

// Sign signs the claims of an ID token. Errors are those of Load, and of kind Internal.
func (s *Store) Sign(ctx context.Context, claims jwt.Claims) (string, error) {
	set, err := s.Load(ctx)
	if err != nil {
		return "", err
	}
	key, ok := set.Signing()
	if !ok {
		return "", problem.Unexpected(errors.New("oidckeys: no key of the set signs"))
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims) // its typ is JWT
	token.Header["kid"] = key.ID
	text, err := token.SignedString(key.Private)
	if err != nil {
		return "", problem.Unexpected(fmt.Errorf("oidckeys: not signed: error of type %T", err))
	}
	return text, nil
}

var errRow = errors.New("oidckeys: not an encoded set")

// encode writes a set as bytes: the version, then of each key its PKCS #8 form and its times.
func encode(s Set) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 4<<10))
	b.AddUint8(version)
	for _, k := range s.Keys {
		der, err := x509.MarshalPKCS8PrivateKey(k.Private)
		if err != nil {
			return nil, fmt.Errorf("oidckeys: a key cannot be encoded: error of type %T", err)
		}
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
		row.AddTime(b, k.PublishedAt)
		row.AddTime(b, k.SignsAt)
		row.AddTime(b, k.RetiredAt)
	}
	return b.Bytes()
}

// decode reads what encode wrote. Anything else is an error, also a set that cannot sign.
func decode(encoded []byte) (set Set, err error) {
	s := cryptobyte.String(encoded)
	var v uint8
	if !s.ReadUint8(&v) || v != version {
		return Set{}, errRow
	}
	for !s.Empty() && len(set.Keys) < maxKeys {
		var der cryptobyte.String
		var k Key
		if !s.ReadUint16LengthPrefixed(&der) || !row.ReadTime(&s, &k.PublishedAt) || !row.ReadTime(&s, &k.SignsAt) || !row.ReadTime(&s, &k.RetiredAt) {
			return Set{}, errRow
		}
		private, err := x509.ParsePKCS8PrivateKey(der)
		rsaKey, isRSA := private.(*rsa.PrivateKey)
		if err != nil || !isRSA {
			return Set{}, errRow
		}
		known, err := newKey(rsaKey, k.PublishedAt)
		if err != nil {
			return Set{}, errRow
		}
		k.ID, k.Private = known.ID, rsaKey
		set.Keys = append(set.Keys, k)
	}
	if _, signs := set.Signing(); !s.Empty() || !signs || set.next() < 0 {
		return Set{}, errRow
	}
	return set, nil
}
