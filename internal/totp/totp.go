// Package totp decides about authenticator apps (RFC 6238): how a person enrolls
// one, proves to have it, and uses each code once. It does no I/O, and now is an
// argument.
//
// A transition takes the old [State], a request and now. It returns the new State
// with an outcome or a [problem.Error]. The new State is valid and must be kept in
// either case, because wrong codes are counted. No transition changes its
// arguments, so it may run again on a newer state.
//
// The package must never put a secret, a code, a URI or a name into an error. It
// must never forget the last step of an authenticator that is kept.
package totp

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/shown"

	pquerna "github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// Limits of one user.
const (
	// MaxAuthenticators limits the confirmed ones and the pending one together.
	MaxAuthenticators = 5
	// PendingFor is how long an authenticator can be confirmed.
	PendingFor = 15 * time.Minute
	// MaxConfirmFailures is the number of wrong codes that ends a pending
	// authenticator.
	MaxConfirmFailures = 10
	// MaxFailuresPerDay is how many wrong codes of a user are compared within
	// window.Day, with all authenticators together.
	MaxFailuresPerDay = 10
	// MaxName is the longest name in characters.
	MaxName = 64
)

// SecretBytes is the length of the secrets that this service makes: RFC 4226 (R6)
// recommends 160 bits. An imported secret may have MinSecret to MaxSecret bytes:
// R6 requires 128 bits.
const (
	SecretBytes = 20
	MinSecret   = 16
	MaxSecret   = 64
)

// allowedSteps is how many steps a code may be early or late (RFC 6238, 5.2),
// because people type slowly and clocks of phones are inaccurate.
const allowedSteps = 1

// Algorithm is the hash function of the HMAC, named as in a key URI.
type Algorithm string

// The algorithms. Many apps use SHA1 for any URI.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

var algorithms = []Algorithm{SHA1, SHA256, SHA512}

// hash returns the library's constant for the algorithm.
func (a Algorithm) hash() pquerna.Algorithm {
	switch a {
	case SHA256:
		return pquerna.AlgorithmSHA256
	case SHA512:
		return pquerna.AlgorithmSHA512
	}
	return pquerna.AlgorithmSHA1
}

// Options says how codes are made from the secret.
type Options struct {
	Algorithm Algorithm
	Digits    int // 6 or 8
	Period    int // the length of a step: 30 or 60 seconds
}

// Check returns the options with defaults in place of zeros: SHA1, 6 digits and 30
// seconds, the only options that every app knows. It notes faults of the fields
// algorithm, digits and period.
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
		faults.Add("period", "The period is 30 or 60 seconds.")
	}
	return o
}

// Authenticator is an app on one device, or a hardware token.
type Authenticator struct {
	ID     string // as NewID makes it
	Name   string // the person's name for it, as CheckName returns it
	Secret []byte `json:"-"` // MinSecret to MaxSecret bytes
	Options
	// Step is the last step of which a code was accepted, 0 for none. No code of
	// this step or an earlier one is accepted again.
	Step int64
	// The times are kept in milliseconds. ConfirmedAt is zero while the
	// authenticator is pending. UsedAt is zero until Check accepts a code.
	CreatedAt, ConfirmedAt, UsedAt time.Time
	Failed                         int // wrong codes at the confirmation
}

// Format hides the secret, for any verb and for any value that holds an
// Authenticator.
func (a Authenticator) Format(f fmt.State, _ rune) { fmt.Fprint(f, "totp.Authenticator("+a.ID+")") }

// LogValue implements slog.LogValuer and hides the secret.
func (a Authenticator) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(a)) }

// State is all that is kept of a user's authenticators.
type State struct {
	Authenticators []Authenticator // oldest first; at most one is pending
	Failures       []time.Time     // wrong codes of the last window.Day, oldest first
	Spent          []Spent         `json:",omitempty"` // of the authenticators removed within window.Day, oldest first
}

// Spent is the last step of an authenticator that was removed. If its secret comes
// back, no code of this step or an earlier one is accepted.
type Spent struct {
	Secret [8]byte // the begin of the SHA-256 of the secret
	Period int     // as in Options: steps of another period are not comparable
	Step   int64
	At     time.Time // when the authenticator was removed
}

// MaxSpent is how many removed authenticators are remembered, the newest ones.
const MaxSpent = 64

// Pending reports whether Confirm has not yet proved that the app has the secret.
// No check accepts a code of a pending authenticator.
func (a Authenticator) Pending() bool { return a.ConfirmedAt.IsZero() }

// Shape is the form of the authenticator's codes.
func (a Authenticator) Shape() otp.Shape { return otp.Shape{Length: a.Digits, Alphabet: otp.Digits} }

// Readable reports whether a typed text holds a code of any authenticator, or several.
func Readable(text string) bool {
	typed, _ := otp.ReadTyped(text)
	_, err := typed.As(otp.Shape{Length: 6, Alphabet: otp.Digits}, otp.Shape{Length: 8, Alphabet: otp.Digits})
	return err == nil || errors.Is(err, otp.ErrSeveral)
}

// readCode returns the code that a typed text holds, as [otp.Typed.As] finds it for the
// authenticators. An authenticator without a valid form accepts nothing anyway.
func readCode(text string, list []Authenticator) (string, *problem.Error) {
	typed, _ := otp.ReadTyped(text)
	var shapes []otp.Shape
	for _, a := range list {
		if a.Shape().Valid() {
			shapes = append(shapes, a.Shape())
		}
	}
	if len(shapes) == 0 {
		return typed.Whole(), nil
	}
	return typed.As(shapes...)
}

// IDPrefix begins the id of every authenticator.
const IDPrefix = "TA"

// NewID makes the id of an authenticator from 8 random bytes: "TA" and 16
// hexadecimal digits.
func NewID(random [8]byte) string { return IDPrefix + hex.EncodeToString(random[:]) }

// ParseID reads an id as NewID writes it. Otherwise the error is of kind
// InvalidRequest with the field id.
func ParseID(s string) (string, error) {
	digits, ok := strings.CutPrefix(s, IDPrefix)
	if !ok || len(digits) != 16 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", problem.Invalid("id", "An authenticator's id is TA and 16 hexadecimal digits in lower case, as the answer to the enrolment has it.")
	}
	return s, nil
}

// Valid reports whether the state can be kept. It does not check how many
// authenticators there are: that limit may change while rows stay.
func (s State) Valid() bool {
	pending := 0
	for _, a := range s.Authenticators {
		if _, err := ParseID(a.ID); err != nil || !a.usable() || a.Failed < 0 || a.Failed > math.MaxUint8 {
			return false
		}
		if n := utf8.RuneCountInString(a.Name); n < 1 || n > MaxName || !utf8.ValidString(a.Name) {
			return false
		}
		if a.Pending() {
			pending++
		}
	}
	for _, p := range s.Spent {
		if p.Period != 30 && p.Period != 60 || p.Step <= 0 {
			return false
		}
	}
	return pending <= 1 && len(s.Spent) <= MaxSpent
}

// CheckName returns the name in its one form ([shown.Form]), so that no two names look
// alike because of characters that nobody sees, and notes a fault of the field name.
func CheckName(name string, faults *problem.Faults) string {
	const field = "name"
	form, fault := shown.Read(name, MaxName)
	switch {
	case name == "":
		faults.Add(field, "An authenticator app needs a name, such as Phone.")
	case fault != "":
		faults.Add(field, "%s", fault)
	}
	return form
}

// usable reports whether the authenticator can be kept, and can accept a code.
func (a Authenticator) usable() bool {
	var faults problem.Faults
	if a.Options.Check(&faults) != a.Options || faults.Err() != nil {
		return false
	}
	return len(a.Secret) >= MinSecret && len(a.Secret) <= MaxSecret && a.Step >= 0
}

// noPadding is the encoding of secrets for apps, and for package hotp.
var noPadding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Base32 is the secret as apps read it: in base32 without padding (RFC 4648).
func (a Authenticator) Base32() string { return noPadding.EncodeToString(a.Secret) }

var errNoCode = errors.New("totp: no code can be made")

// codeAt returns the code of a step, which is the moving factor of RFC 4226.
func (a Authenticator) codeAt(step int64) (string, error) {
	code, err := hotp.GenerateCodeCustom(a.Base32(), uint64(step), hotp.ValidateOpts{
		Digits: pquerna.Digits(a.Digits), Algorithm: a.Algorithm.hash(),
	})
	if err != nil {
		return "", errNoCode // the library's text may quote the secret
	}
	return code, nil
}

// match returns the step of a code. It returns 0 if no step in the window has this
// code, or if the step was used before; used is true if it is the last step that was
// accepted. It always computes and compares all steps, so that the time it takes says
// nothing about the code.
//
// If two steps have the same code (a chance of 1 in 10^6), match returns the later
// step, so that the code is used up for both.
func (a Authenticator) match(code string, now time.Time) (matched int64, used bool) {
	if !a.usable() || now.Unix() < 0 {
		return 0, false
	}
	current := now.Unix() / int64(a.Period)
	for step := current - allowedSteps; step <= current+allowedSteps; step++ {
		want, err := a.codeAt(step)
		right := subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && err == nil
		if right && step > a.Step {
			matched = step
		}
		used = used || right && step == a.Step
	}
	return matched, used && matched == 0
}

// next is how long it takes until the step after the last accepted one begins by our
// clock, 0 if it has begun.
func (a Authenticator) next(now time.Time) time.Duration {
	return max(0, time.Unix((a.Step+1)*int64(a.Period), 0).Sub(now))
}

// SameSecret reports whether two secrets make the same codes. HMAC pads a key with
// zeros, so zeros at the end make no difference.
func SameSecret(a, b []byte) bool {
	return subtle.ConstantTimeCompare(bytes.TrimRight(a, "\x00"), bytes.TrimRight(b, "\x00")) == 1
}

// fingerprint is the same for two secrets that SameSecret takes for one. It does not
// reveal the secret, which has 128 bits or more.
func fingerprint(secret []byte) [8]byte {
	sum := sha256.Sum256(bytes.TrimRight(secret, "\x00"))
	return [8]byte(sum[:8])
}
