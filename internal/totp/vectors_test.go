package totp_test

import (
	"encoding/hex"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/testing/tooltest"
	"twofa/internal/totp"
)

const rfcSecret = "1234567890123456789012345678901234567890123456789012345678901234"

// RFC 4226, appendix D.
func TestCode_RFC4226(t *testing.T) {
	a := totp.Authenticator{Secret: []byte(rfcSecret[:20]), Options: totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}}
	for counter, want := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		if got, err := a.CodeAt(int64(counter)); got != want || err != nil {
			t.Errorf("%d: %s, %v, want %s", counter, got, err, want)
		}
		if got := code(a, int64(counter)); got != want {
			t.Errorf("the tests' own code of %d is %s, want %s", counter, got, want)
		}
	}
}

// RFC 6238, appendix B: the secret is as long as the hash (erratum 2866).
var rfc6238 = []struct {
	at                   int64
	sha1, sha256, sha512 string
}{
	{59, "94287082", "46119246", "90693936"},
	{1111111109, "07081804", "68084774", "25091201"},
	{1111111111, "14050471", "67062674", "99943326"},
	{1234567890, "89005924", "91819424", "93441116"},
	{2000000000, "69279037", "90698825", "38618901"},
	{20000000000, "65353130", "77737706", "47863826"},
}

func TestAttack19_VectorsOfRFC6238AreAccepted(t *testing.T) {
	for _, v := range rfc6238 {
		for algorithm, c := range map[totp.Algorithm]struct {
			want  string
			bytes int
		}{totp.SHA1: {v.sha1, 20}, totp.SHA256: {v.sha256, 32}, totp.SHA512: {v.sha512, 64}} {
			t.Run(fmt.Sprint(algorithm, v.at), func(t *testing.T) {
				now := time.Unix(v.at, 0)
				a := totp.Authenticator{ID: id(1), Name: "Token", Secret: []byte(rfcSecret[:c.bytes]), Options: totp.Options{Algorithm: algorithm, Digits: 8}}
				s := confirmed(t, now, a)
				if got := code(s.Authenticators[0], v.at/30); got != c.want {
					t.Errorf("the tests' own code is %s, want %s", got, c.want)
				}
				s = check(t, s, c.want, now, "")
				if got := s.Authenticators[0].Step; got != v.at/30 {
					t.Errorf("step %d, want %d", got, v.at/30)
				}
			})
		}
	}
}

// oathtool is another implementation, in C.
func TestCheck_AcceptsWhatOathtoolShows(t *testing.T) {
	oathtool := tooltest.Path(t, "oathtool")
	rapid.Check(t, func(t *rapid.T) {
		a := anyAuthenticator().Draw(t, "authenticator")
		now := time.Unix(rapid.Int64Range(1e9, 1e10).Draw(t, "now"), 0)
		out, err := exec.Command(oathtool, "--totp="+string(a.Algorithm), fmt.Sprint("--digits=", a.Digits),
			fmt.Sprintf("--time-step-size=%ds", a.Period), fmt.Sprint("--now=@", now.Unix()),
			hex.EncodeToString(a.Secret)).Output()
		if err != nil {
			t.Fatalf("oathtool: %v", err)
		}
		shown := strings.TrimSpace(string(out))
		s := check(t, confirmed(t, now, a), shown, now, "")
		if s.Authenticators[0].Step != now.Unix()/int64(a.Period) {
			t.Errorf("accepted for step %d", s.Authenticators[0].Step)
		}
	})
}

// anyAuthenticator draws an authenticator that Enroll accepts.
func anyAuthenticator() *rapid.Generator[totp.Authenticator] {
	return rapid.Custom(func(t *rapid.T) totp.Authenticator {
		return totp.Authenticator{
			ID:     id(rapid.Byte().Draw(t, "id")),
			Name:   rapid.SampledFrom([]string{"Phone", "Büro", "🔑", "100% mine"}).Draw(t, "name"),
			Secret: rapid.SliceOfN(rapid.Byte(), totp.MinSecret, totp.MaxSecret).Draw(t, "secret"),
			Options: totp.Options{
				Algorithm: rapid.SampledFrom([]totp.Algorithm{totp.SHA1, totp.SHA256, totp.SHA512}).Draw(t, "algorithm"),
				Digits:    rapid.SampledFrom([]int{6, 8}).Draw(t, "digits"),
				Period:    rapid.SampledFrom([]int{30, 60}).Draw(t, "period"),
			},
		}
	})
}
