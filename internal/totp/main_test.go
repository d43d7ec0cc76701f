package totp_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/problem"
	"twofa/internal/totp"
)

func TestMain(m *testing.M) {
	// Daily limits need longer runs than rapid's default of 30 steps. A flag on
	// the command line still wins: m.Run parses it after this.
	if err := flag.Set("rapid.steps", "100"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

const (
	ms   = time.Millisecond
	step = 30 * time.Second
)

// phone and tablet are authenticators as they are enrolled. Enroll sets the rest.
var (
	phone  = totp.Authenticator{ID: id(1), Name: "Phone", Secret: secret(1)}
	tablet = totp.Authenticator{ID: id(2), Name: "Tablet", Secret: secret(2)}
)

func id(n byte) string { return totp.NewID([8]byte{7: n}) }

// secret returns 20 bytes, other ones for every n.
func secret(n byte) []byte {
	s := make([]byte, totp.SecretBytes)
	for i := range s {
		s[i] = n + 13*byte(i)
	}
	return s
}

// code makes codes by RFC 4226, 5.3, without the package and its library.
func code(a totp.Authenticator, step int64) string {
	hashes := map[totp.Algorithm]func() hash.Hash{"": sha1.New, totp.SHA1: sha1.New, totp.SHA256: sha256.New, totp.SHA512: sha512.New}
	mac := hmac.New(hashes[a.Algorithm], a.Secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & (1<<31 - 1)
	digits := max(a.Digits, 6)
	return fmt.Sprintf("%010d", n)[10-digits:]
}

// codeFor returns the code that the app shows at now.
func codeFor(a totp.Authenticator, now time.Time) string { return code(a, stepOf(a, now)) }

func stepOf(a totp.Authenticator, now time.Time) int64 {
	period := int64(a.Period)
	if period == 0 {
		period = 30
	}
	return now.Unix() / period
}

// confirmed returns a state with these authenticators, confirmed an hour before now.
func confirmed(t rapid.TB, now time.Time, list ...totp.Authenticator) totp.State {
	t.Helper()
	var s totp.State
	for _, a := range list {
		var err error
		if s, err = totp.Import(s, a, now.Add(-time.Hour)); err != nil {
			t.Fatalf("Import: %v", describe(err))
		}
	}
	return s
}

// check checks a code, makes sure of the kind of the error ("" for none), and
// returns the new state.
func check(t rapid.TB, s totp.State, code string, now time.Time, want problem.Kind) totp.State {
	t.Helper()
	s, a, err := totp.Check(s, code, now)
	if got := kind(err); got != want {
		t.Fatalf("Check: %s, want %q", describe(err), want)
	}
	if (err == nil) != (a.ID != "") {
		t.Fatalf("Check: returned %q beside %v", a.ID, err)
	}
	return s
}

// kind is "" for no error.
func kind(err error) problem.Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*problem.Error](err); ok {
		return e.Kind
	}
	return problem.Kind("not a *problem.Error: " + err.Error())
}

func describe(err error) string {
	if e, ok := errors.AsType[*problem.Error](err); ok && e != nil {
		return fmt.Sprintf("%v %q %v", e, e.Detail, e.Fields)
	}
	return fmt.Sprint(err)
}
