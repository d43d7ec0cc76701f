package totp_test

import (
	"encoding/base32"
	"fmt"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	baretotp "github.com/pquerna/otp/totp"

	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
)

// BenchmarkCheck compares Check with the library's own check (totp.Validate, but at
// a given time), which has no state, no limits and no last step. The code is that of
// the previous step. The library tries that step last, so both compute three codes
// for each authenticator.
func BenchmarkCheck(b *testing.B) {
	var list []totp.Authenticator
	for i := range byte(totp.MaxAuthenticators) {
		list = append(list, totp.Authenticator{ID: id(i), Name: fmt.Sprint(i), Secret: secret(i)})
	}
	for _, n := range []int{1, totp.MaxAuthenticators} {
		s := confirmed(b, fixture.Noon, list[:n]...)
		c := codeFor(list[n-1], fixture.Noon.Add(-step))
		b.Run(fmt.Sprint("ours-", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := totp.Check(s, c, fixture.Noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(list[0].Secret)
		c := codeFor(list[0], fixture.Noon.Add(-30*time.Second))
		options := baretotp.ValidateOpts{Period: 30, Skew: 1, Digits: pquerna.DigitsSix, Algorithm: pquerna.AlgorithmSHA1}
		b.ReportAllocs()
		for b.Loop() {
			if ok, err := baretotp.ValidateCustom(c, text, fixture.Noon, options); !ok || err != nil {
				b.Fatal(err)
			}
		}
	})
}
