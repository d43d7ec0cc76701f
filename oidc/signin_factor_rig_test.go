package oidc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"twofa/internal/totp"
)

// anApp is an authenticator app that was confirmed two days ago, whose codes are those of appCode.
func anApp(s *service, n byte) totp.State {
	s.TB.Helper()
	a := totp.Authenticator{ID: totp.NewID([8]byte{n}), Name: "Canary phone", Secret: fmt.Appendf(nil, "app-canary-number-%03d", n), Options: totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}}
	s.Secret("the secret of an app", string(a.Secret))
	s.Secret("the secret of an app", a.Base32())
	state, err := totp.Import(totp.State{}, a, s.Now().Add(-2*day))
	if err != nil {
		s.TB.Fatal(err)
	}
	return state
}

// appCode is the code that an app shows now.
func (s *service) appCode(n byte) string {
	s.TB.Helper()
	return codeOf(s.TB, anApp(s, n).Authenticators[0].Base32(), s.Now())
}

// codeOf is the code that an app with that key shows.
func codeOf(t testing.TB, key string, now time.Time) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(key, uint64(now.Unix()/30), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

const day = 24 * time.Hour
