package recovery_test

import (
	"crypto/sha256"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

// keyring is the real one. Its secret is the same in every run.
var keyring, _ = secret.Parse(fixture.Secret(1))

// quick replaces the slow hash in tests that are not about it.
func quick(code string, salt [16]byte) []byte {
	h := sha256.Sum256(append(salt[:], code...))
	return h[:]
}

// source returns random bytes that are the same in every run.
func source(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// newSet makes a set with the quick hash.
func newSet(t rapid.TB, seed byte) ([]string, recovery.State) {
	t.Helper()
	codes, s, err := recovery.NewWith(quick, source(seed), keyring, fixture.Noon)
	if err != nil {
		t.Fatal(err)
	}
	return codes, s
}

// typed returns a code as the package gets it.
func typed(t rapid.TB, code string) string {
	t.Helper()
	read, ok := otp.ReadCode(code)
	if !ok {
		t.Fatalf("%q cannot be read", code)
	}
	return read
}

// use uses a code once, with the quick hash, and makes sure of the kind of the error
// ("" for none).
func use(t rapid.TB, s recovery.State, code string, now time.Time, want problem.Kind) (recovery.State, *problem.Error) {
	t.Helper()
	after, left, err := recovery.AttemptWith(quick, typed(t, code), keyring, now)(s)
	if left != after.Left() {
		t.Fatalf("%d codes left, but %d in the state", left, after.Left())
	}
	return after, wantKind(t, err, want)
}

// wrong has the form of a code, and is in no set of these tests.
const wrong = "WRNG-CKEY-2345-6789"

// wantKind is fixture.Problem, or makes sure that there is no error if want is "".
func wantKind(t rapid.TB, err error, want problem.Kind) *problem.Error {
	t.Helper()
	if want != "" {
		return fixture.Problem(t, err, want)
	}
	if err != nil {
		t.Fatalf("got %v, want no error", err)
	}
	return nil
}

// deepCopy returns a copy that shares no memory with s, with nil for an empty list.
func deepCopy(s recovery.State) recovery.State {
	s.Codes = append([]recovery.Code(nil), s.Codes...)
	s.Failures = append([]time.Time(nil), s.Failures...)
	s.Sets = append([]time.Time(nil), s.Sets...)
	return s
}

// same compares states. An empty list equals nil.
func same(a, b recovery.State) bool { return reflect.DeepEqual(deepCopy(a), deepCopy(b)) }

// withFailures returns s after wrong codes at these times.
func withFailures(s recovery.State, at ...time.Time) recovery.State {
	s.Failures = slices.Clone(at)
	return s
}

// locked returns s after too many wrong codes.
func locked(s recovery.State) recovery.State {
	return withFailures(s, slices.Repeat([]time.Time{fixture.Noon}, recovery.MaxFailuresPerDay)...)
}

// hashed prepares a code with the slow hash.
func hashed(t rapid.TB, s recovery.State, code string, keys recovery.Keys) recovery.Hashed {
	t.Helper()
	h, err := s.Hash(recovery.Slow, code, keys)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
