package recovery_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/secret"
)

// noon is when most tests begin.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// keyring is the real one, over a secret that is the same in every run.
var keyring = mustParse(fixedSecret(1))

// fixedSecret is bytes seed, seed+1, ... in the form that the setting has.
func fixedSecret(seed byte) string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = seed + byte(i)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func mustParse(settings ...string) *secret.Keyring {
	ring, err := secret.Parse(strings.Join(settings, ","))
	if err != nil {
		panic(err)
	}
	return ring
}

// quick stands in for the slow hash in tests that are not about it.
func quick(code string, salt [16]byte) []byte {
	h := sha256.Sum256(append(salt[:], code...))
	return h[:]
}

// source is random bytes that are the same in every run.
func source(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// newSet makes a set with the quick hash.
func newSet(t rapid.TB, seed byte) ([]string, recovery.State) {
	t.Helper()
	codes, s, err := recovery.NewWith(quick, source(seed), keyring, noon)
	if err != nil {
		t.Fatal(err)
	}
	return codes, s
}

// typed is a code as it reaches the package.
func typed(t rapid.TB, code string) string {
	t.Helper()
	read, ok := otp.ReadCode(code)
	if !ok {
		t.Fatalf("%q cannot be read", code)
	}
	return read
}

// try uses a code once, with the quick hash.
func try(t rapid.TB, s recovery.State, code string, now time.Time) (recovery.State, int, error) {
	t.Helper()
	return recovery.AttemptWith(quick, typed(t, code), keyring, now)(s)
}

// wrong is a code of the right form that is in no set of these tests.
const wrong = "WRNG-CKEY-2345-6789"

func wantKind(t rapid.TB, err error, want problem.Kind) *problem.Error {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatalf("got %v, want no error", err)
		}
		return nil
	}
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e.Kind != want {
		t.Fatalf("got %v, want %q", err, want)
	}
	return e
}

// deepCopy shares no memory with s, and has nil for an empty list.
func deepCopy(s recovery.State) recovery.State {
	s.Codes = append([]recovery.Code(nil), s.Codes...)
	s.Failures = append([]time.Time(nil), s.Failures...)
	return s
}

// same compares states; an empty list is the same as none.
func same(a, b recovery.State) bool { return reflect.DeepEqual(deepCopy(a), deepCopy(b)) }

// withFailures is s after wrong codes at these times.
func withFailures(s recovery.State, at ...time.Time) recovery.State {
	s.Failures = slices.Clone(at)
	return s
}
