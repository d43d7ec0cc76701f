package totp_test

import (
	"testing"

	"twofa/internal/totp"
)

// A URI and a secret are read as lines of files and pasted texts come: with a byte order
// mark, direction marks, spaces and line ends around them.
func TestAPastedURIIsRead(t *testing.T) {
	t.Parallel()
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	for _, around := range [][2]string{{"", ""}, {"\ufeff", ""}, {"\ufeff\r\n", "\r\n"}, {"\u200e", "\u200f"}, {"\u00a0", "\u202f"}, {" \u200b", "\u2060 "}, {"\t", "\u2028"}} {
		uri := around[0] + "otpauth://totp/X:alice?secret=" + secret + "&issuer=X" + around[1]
		if a, issuer, account, err := totp.ParseURI(uri); err != nil || issuer != "X" || account != "alice" || len(a.Secret) != 20 {
			t.Errorf("%+q: %v, %q, %q", uri, err, issuer, account)
		}
		text := around[0] + secret[:8] + around[1] + around[0] + secret[8:] + around[1]
		if got, err := totp.ParseSecret(text); err != nil || len(got) != 20 {
			t.Errorf("%+q: %v", text, err)
		}
	}
	for _, uri := range []string{"x\ufeffotpauth://totp/X?secret=" + secret, "otp\u200bauth://totp/X?secret=" + secret, "\u202eotpauth://totp/X?secret=" + secret} {
		if _, _, _, err := totp.ParseURI(uri); err == nil {
			t.Errorf("%+q is read", uri)
		}
	}
}
