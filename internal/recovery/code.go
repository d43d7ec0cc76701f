package recovery

import (
	"strings"

	"golang.org/x/crypto/argon2"

	"twofa/internal/otp"
)

// A code has 80 random bits: more than the 64 that NIST SP 800-63B-4 requires of a
// look-up secret, and few enough to copy by hand. With fewer than 112 bits, it has
// to be salted and hashed slowly (OWASP ASVS 5.0, 6.5.2).
const (
	codeBits   = 80
	codeLength = codeBits / 5 // symbols
	groupOf    = 4
)

// isCode reports whether a text, as otp.ReadCode returns it, has the form of a
// recovery code: 16 symbols of otp.Alphanumeric. No one-time code is as long
// (otp.MaxCodeLength), so the form says which of the two was typed. 0, O, 1 and I
// are not in the alphabet, so none of them can stand for another.
func isCode(code string) bool {
	return len(code) == codeLength && strings.Trim(code, otp.Alphanumeric.Symbols()) == ""
}

// Fits reports whether a text, as [otp.Typed.Whole] returns it, has the form of a
// recovery code.
func Fits(code string) bool { return isCode(code) }

// show puts hyphens between the groups of a code.
func show(code string) string {
	groups := make([]string, 0, codeLength/groupOf)
	for i := 0; i < codeLength; i += groupOf {
		groups = append(groups, code[i:i+groupOf])
	}
	return strings.Join(groups, "-")
}

// The cost of the slow hash: Argon2id (RFC 9106) with 5 passes over 7 MiB and one
// thread. OWASP's password storage cheat sheet has five settings of equal strength,
// from 46 MiB with one pass to this one.
//
// Measured on one core of a small server: this setting takes 18 ms and 7 MiB, 19 MiB
// with two passes 31 ms, scrypt of the same strength (N=2^13, p=10) 154 ms and 8 MiB,
// PBKDF2-HMAC-SHA256 with 600,000 rounds 93 ms and no memory. So this setting takes
// the least time, which matters for people who wait and for floods of wrong codes.
// Of Argon2id's settings it takes the least memory, which an instance with 512 MB
// shares between all requests. It adds 80 kB to the binary. 80 random bits cannot be
// searched with any of these settings, so a stronger one has no use.
//
// The layout number of an encoded set stands for these values, too: a set with other
// values needs another number (see user's row_recovery.go).
const (
	passes    = 5
	memoryKiB = 7 * 1024
	threads   = 1
	hashBytes = 32
)

// Hash is a slow hash of a code: [Slow], or Slow when its turn has come. An error
// says that the turn did not come.
type Hash func(code string, salt [16]byte) ([]byte, error)

// InTurn returns Slow as do runs it: when its turn has come. If it does not come, do
// returns an error without running it.
func InTurn(do func(work func()) error) Hash {
	return func(code string, salt [16]byte) (hashed []byte, err error) {
		if failed := do(func() { hashed, err = Slow(code, salt) }); failed != nil {
			return nil, failed
		}
		return hashed, err
	}
}

// Slow is the hash itself: 20 ms and 7 MiB. It never fails. A service has to bound
// how many run at a time (see package turn).
func Slow(code string, salt [16]byte) ([]byte, error) {
	return argon2.IDKey([]byte(code), salt[:], passes, memoryKiB, threads, hashBytes), nil
}
