// Package totp is the domain of authenticator apps (RFC 6238): what one is, how
// a person proves to have it, and how its codes are accepted once. It decides;
// it never reads, writes or looks at a clock.
//
// A transition takes the old State, a request and now, and returns the new State
// with an outcome or an *problem.Error. The new State is valid, and has to be kept,
// in either case: a wrong code is a counted code. No transition changes its
// arguments, so one may run it again on a newer state.
//
// The package must never put a secret, a code, a URI or a name into an error,
// and must never forget the last step of an authenticator while that is kept.
package totp

import (
	"bytes"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"twofa/internal/problem"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"golang.org/x/text/unicode/norm"
)

// Limits of what one user may have.
const (
	// MaxAuthenticators counts the confirmed ones and the pending one.
	MaxAuthenticators = 5
	// PendingFor is how long an authenticator waits to be confirmed.
	PendingFor = 15 * time.Minute
	// MaxConfirmFailures is the wrong code that ends a pending authenticator.
	MaxConfirmFailures = 10
	// MaxFailuresPerDay is how many wrong codes of a user are looked at within
	// window.Day, all authenticators together.
	MaxFailuresPerDay = 10
	// MaxName is the longest name in characters.
	MaxName = 64
)

// SecretBytes is the length of the secrets that we make (RFC 4226, R6
// recommends 160 bits). Those of others may have MinSecret to MaxSecret bytes:
// 128 bits is what R6 requires.
const (
	SecretBytes = 20
	MinSecret   = 16
	MaxSecret   = 64
)

// allowedSteps is how many steps a code may be early or late (RFC 6238, 5.2): the
// person types slowly, or the phone's clock is off.
const allowedSteps = 1

// Algorithm is the hash under the HMAC, named as in a key URI.
type Algorithm string

// The algorithms. Many apps take SHA1 only, whatever the URI says.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

// algorithms fixes the number of each algorithm in a row. Append only.
var algorithms = []Algorithm{SHA1, SHA256, SHA512}

// hash is the library's name of the algorithm.
func (a Algorithm) hash() pquerna.Algorithm {
	switch a {
	case SHA256:
		return pquerna.AlgorithmSHA256
	case SHA512:
		return pquerna.AlgorithmSHA512
	}
	return pquerna.AlgorithmSHA1
}

// Options is how codes are made from the secret.
type Options struct {
	Algorithm Algorithm
	Digits    int // 6 or 8
	Period    int // of one step, 30 or 60 seconds
}

// Check returns the options with the defaults (SHA1, 6 digits, 30 seconds: the
// only ones that every app knows) in place of zeros, and notes faults of the
// fields algorithm, digits and period.
func (o Options) Check(faults *problem.Faults) Options {
	if o.Algorithm == "" {
		o.Algorithm = SHA1
	}
	if o.Digits == 0 {
		o.Digits = 6
	}
	if o.Period == 0 {
		o.Period = 30
	}
	if !slices.Contains(algorithms, o.Algorithm) {
		faults.Add("algorithm", "The algorithm is SHA1, SHA256 or SHA512.")
	}
	if o.Digits != 6 && o.Digits != 8 {
		faults.Add("digits", "A code has 6 or 8 digits.")
	}
	if o.Period != 30 && o.Period != 60 {
		faults.Add("period", "A code holds for 30 or 60 seconds.")
	}
	return o
}

// Authenticator is one app on one device, or one hardware token.
type Authenticator struct {
	ID     string // as NewID makes it
	Name   string // what the person calls it, as CheckName returns it
	Secret []byte `json:"-"` // MinSecret to MaxSecret bytes
	Options
	// Step is the last step that a code was accepted for, 0 for none. No code of
	// this step or an earlier one is accepted again.
	Step int64
	// The times are kept in milliseconds. ConfirmedAt is zero while the
	// authenticator is pending, UsedAt until a check has accepted its code.
	CreatedAt, ConfirmedAt, UsedAt time.Time
	Failed                         int // wrong codes at the confirmation
}

// Format hides the secret whatever verb prints an Authenticator, or what holds one.
func (a Authenticator) Format(f fmt.State, _ rune) { fmt.Fprint(f, "totp.Authenticator("+a.ID+")") }

// LogValue implements slog.LogValuer for the same reason.
func (a Authenticator) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(a)) }

// State is all that the service remembers of one user's authenticators.
type State struct {
	Authenticators []Authenticator // oldest first; at most one is pending
	Failures       []time.Time     // wrong codes of the last window.Day, oldest first
}

// Pending reports whether the person has yet to prove that the app has the
// secret. Until then its codes open nothing.
func (a Authenticator) Pending() bool { return a.ConfirmedAt.IsZero() }

const idPrefix = "TA"

// NewID makes the id of an authenticator from 8 random bytes: "TA" and 16
// hexadecimal digits.
func NewID(random [8]byte) string { return idPrefix + hex.EncodeToString(random[:]) }

// ParseID reads an id as NewID writes it; anything else is an InvalidRequest.
func ParseID(s string) (string, error) {
	if random, ok := idBytes(s); !ok || NewID(random) != s {
		return "", problem.Invalid("id", "An authenticator's id is TA and 16 hexadecimal digits in lower case, as the enrolment answered it.")
	}
	return s, nil
}

// idBytes takes capital hexadecimal digits, too.
func idBytes(id string) (random [8]byte, ok bool) {
	digits, ok := strings.CutPrefix(id, idPrefix)
	if !ok || len(digits) != hex.EncodedLen(len(random)) {
		return random, false
	}
	_, err := hex.Decode(random[:], []byte(digits))
	return random, err == nil
}

// CheckName returns the name in its one form, NFC (UAX #15), and notes a fault
// of the field name. A name cannot hold what is not seen, so that two names that
// look alike are alike.
func CheckName(name string, faults *problem.Faults) string {
	const field = "name"
	if !utf8.ValidString(name) {
		faults.Add(field, "A name has to be valid UTF-8.")
		return name
	}
	name = norm.NFC.String(name)
	switch {
	case name == "":
		faults.Add(field, "An authenticator app needs a name, such as Phone.")
	case utf8.RuneCountInString(name) > MaxName:
		faults.Add(field, "A name has at most %d characters.", MaxName)
	case strings.ContainsFunc(name, unseen):
		faults.Add(field, "A name has only characters that can be seen, and plain spaces: no line breaks, control, direction, joining or unassigned characters.")
	case name != strings.Join(strings.Fields(name), " "):
		faults.Add(field, "A name has single spaces only, and none at its beginning or end.")
	}
	return name
}

// unseen reports what is not printable, and what is printed as nothing.
func unseen(r rune) bool {
	return !unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// usable reports what has to hold for an authenticator to be kept, and to accept
// anything.
func (a Authenticator) usable() bool {
	var faults problem.Faults
	if a.Options.Check(&faults) != a.Options || faults.Err() != nil {
		return false
	}
	return len(a.Secret) >= MinSecret && len(a.Secret) <= MaxSecret && a.Step >= 0
}

// noPadding is how secrets are written in URIs, and what hotp reads.
var noPadding = base32.StdEncoding.WithPadding(base32.NoPadding)

var errNoCode = errors.New("totp: no code can be made")

// codeAt is the code of a step, the moving factor of RFC 4226.
func (a Authenticator) codeAt(step int64) (string, error) {
	code, err := hotp.GenerateCodeCustom(noPadding.EncodeToString(a.Secret), uint64(step), hotp.ValidateOpts{
		Digits: pquerna.Digits(a.Digits), Algorithm: a.Algorithm.hash(),
	})
	if err != nil {
		return "", errNoCode // the library's text is not ours to pass on
	}
	return code, nil
}

// match returns the step whose code this is, 0 if there is none in the window
// or it was spent. All steps are computed and compared, whichever is right.
//
// Should two steps share the code (one chance in 10^6), it is the later one: the
// code is then spent for both.
func (a Authenticator) match(code string, now time.Time) int64 {
	if !a.usable() || now.Unix() < 0 {
		return 0
	}
	current := now.Unix() / int64(a.Period)
	var matched int64
	for step := current - allowedSteps; step <= current+allowedSteps; step++ {
		want, err := a.codeAt(step)
		right := subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && err == nil
		if right && step > a.Step {
			matched = step
		}
	}
	return matched
}

// sameKey reports whether two secrets make the same codes. HMAC fills a key up
// with zeros, so those at its end make no difference.
func sameKey(a, b []byte) bool {
	return subtle.ConstantTimeCompare(bytes.TrimRight(a, "\x00"), bytes.TrimRight(b, "\x00")) == 1
}
