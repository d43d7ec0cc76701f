// Package capability seals what a browser holds and shows again: the state of a page, a
// cookie. Only the service can make one, and nobody can read or change it.
//
// A capability of one kind never opens as another kind. It must never hold a code, and who
// opens one has to look up again what may have changed since: the client, its scopes and
// its return addresses.
package capability

import (
	"encoding/base64"
	"errors"

	"github.com/go-json-experiment/json"

	"twofa/internal/secret"
)

// Kind is what a capability is for.
type Kind string

// The kinds.
const (
	Page    Kind = "page"          // the state of a page, the parameter t
	Link    Kind = "link"          // a magic link in a mail
	Enroll  Kind = "enroll"        // the state of an enrolment page
	Session Kind = "session"       // the cookie of a page session
	Known   Kind = "known browser" // the cookie with the addresses that were proven in a browser

	Authorize  Kind = "authorize"    // the request of an app, in the first form of a sign-in
	SignIn     Kind = "sign-in"      // the state of a page of a sign-in
	SignInLink Kind = "sign-in link" // a magic link of a sign-in
	Account    Kind = "account"      // the cookie of a browser in which a person is signed in
	Factors    Kind = "factors"      // the state of a page on which a person sets up the factors of their account
	Logout     Kind = "logout"       // the request of an app to sign out, in the form that asks the person
)

// Max is the greatest length of a capability in bytes. A page usually has some 600; with an
// e-mail address of 254 characters and a payment of 100 characters of another script it has
// 2,000.
const Max = 2560

// maxAuthorize is that of the request of an app, which is in a form: its state alone may have 4 KB.
const maxAuthorize = 12 << 10

func (k Kind) max() int {
	if k == Authorize || k == Logout {
		return maxAuthorize
	}
	return Max
}

// Errors of Seal and Open.
var (
	// ErrSize: the contents are longer than a capability may be.
	ErrSize = errors.New("capability: too long")
	// ErrClosed: the text is no capability of this kind, or one that is not valid any more
	// because its secret was retired.
	ErrClosed = errors.New("capability: does not open")
)

// Seal returns a capability with v, which is encoded as JSON. Its characters need no escape
// in a URL or a cookie.
func Seal(keys *secret.Keyring, kind Kind, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(keys.SealCapability(plain, string(kind)))
	if len(text) > kind.max() {
		return "", ErrSize
	}
	return text, nil
}

// Open reads into v what Seal was given. The error is ErrClosed.
func Open(keys *secret.Keyring, kind Kind, text string, v any) error {
	if len(text) > kind.max() {
		return ErrClosed
	}
	box, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return ErrClosed
	}
	plain, err := keys.OpenCapability(box, string(kind))
	if err != nil || json.Unmarshal(plain, v) != nil {
		return ErrClosed
	}
	return nil
}
