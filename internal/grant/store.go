package grant

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"time"

	"twofa/internal/problem"
	"twofa/internal/row"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/window"
)

// keyPrefix begins the keys of all grants. Those of recipients are hexadecimal, those of users begin with u,
// those of counters with g, those of sessions with s.
const keyPrefix = "o"

// The lengths of a code and of a token in bytes: the id of their grant's row, and a secret. They differ, so
// that one is never taken for the other.
const (
	idSize    = 16
	codeSize  = idSize + 16
	tokenSize = idSize + 32
)

// Store keeps grants: one sealed row each. Its fields are set once, before the first call.
type Store struct {
	Table store.Table
	Keys  *secret.Keyring
	Now   func() time.Time
}

func (s *Store) rows() row.Store[Grant] {
	return row.Store[Grant]{Table: s.Table, Keys: s.Keys, Codec: row.JSON(version, Grant.IsZero, Grant.KeepUntil)}
}

// version is the first byte of an encoded grant.
const version = 1

// newText draws a code or a token of the grant with that id.
func newText(id []byte, size int) string {
	b := make([]byte, size)
	_, _ = rand.Read(b[copy(b, id):]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// readText returns the id in a code or a token of that size.
func readText(text string, size int) (id []byte, ok bool) {
	if len(text) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != size {
		return nil, false
	}
	return b[:idSize], true
}

func key(id []byte) store.Key { return store.Key(keyPrefix + hex.EncodeToString(id)) }

// Issue keeps a grant, and returns its code. It sets Code and CreatedAt. One round trip. Errors are of kind
// StorageUnavailable or Internal.
func (s *Store) Issue(ctx context.Context, g Grant) (code string, err error) {
	if g.Client == "" || g.RedirectURI == "" {
		return "", problem.Unexpected(errors.New("grant: for no client, or for no address"))
	}
	id := make([]byte, idSize)
	_, _ = rand.Read(id)
	code = newText(id, codeSize)
	g.Code, g.CreatedAt = HashOf(code), window.Stamp(s.Now())
	_, err = s.rows().UpdateFrom(ctx, key(id), row.Loaded{}, func(old Grant) (Grant, error) {
		if !old.IsZero() {
			return old, row.Discard(problem.Unexpected(errors.New("grant: the id is that of another grant")))
		}
		return g, nil
	})
	if err != nil {
		return "", err
	}
	return code, nil
}

// Exchange exchanges a code for an access token: see [Grant.Exchange]. It draws the token, whose hash is the
// field Token of the request. Two round trips; one if nothing has to be kept, and none for a text that is not
// a code. Errors are ErrInvalid, or of kind StorageUnavailable (the code may be used up) or Internal.
func (s *Store) Exchange(ctx context.Context, x Exchange) (g Grant, token string, err error) {
	id, ok := readText(x.Code, codeSize)
	if !ok {
		return Grant{}, "", ErrInvalid
	}
	token, now := newText(id, tokenSize), s.Now()
	x.Token = HashOf(token)
	g, err = s.rows().Update(ctx, key(id), func(old Grant) (Grant, error) { return old.Exchange(x, now) })
	if err != nil {
		return Grant{}, "", err
	}
	return g, token, nil
}

// Use returns the grant of an access token: see [Grant.Use]. One round trip; none for a text that is not a
// token. Errors are ErrInvalid, or of kind StorageUnavailable or Internal.
func (s *Store) Use(ctx context.Context, token string) (Grant, error) {
	id, ok := readText(token, tokenSize)
	if !ok {
		return Grant{}, ErrInvalid
	}
	g, err := s.rows().Load(ctx, key(id))
	if err == nil {
		err = g.Use(token, s.Now())
	}
	if err != nil {
		return Grant{}, err
	}
	return g, nil
}
