package recovery

import (
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"

	"twofa/internal/otp"
)

// A code has 80 random bits: over the 64 that NIST SP 800-63B-4 asks of a
// look-up secret, and few enough to copy by hand. Under 112 it has to be salted
// and hashed slowly (OWASP ASVS 5.0, 6.5.2).
const (
	codeBits   = 80
	codeLength = codeBits / 5 // symbols
	groupOf    = 4
)

// Looks reports whether a text, as otp.ReadCode returns it, has the form of a
// recovery code: 16 symbols of otp.Alphanumeric. No one-time code is as long
// (otp.MaxCodeLength), so the form alone tells which of the two was typed. What
// looks like a symbol and is none (0, O, 1, I) is not read as another: each
// would have to stand for the other of its pair, and neither is in the alphabet.
func Looks(code string) bool {
	return len(code) == codeLength && strings.Trim(code, otp.Alphanumeric.Symbols()) == ""
}

// show puts hyphens between groups of a code, for reading.
func show(code string) string {
	groups := make([]string, 0, codeLength/groupOf)
	for i := 0; i < codeLength; i += groupOf {
		groups = append(groups, code[i:i+groupOf])
	}
	return strings.Join(groups, "-")
}

// The cost of the slow hash: Argon2id (RFC 9106) with 5 passes over 7 MiB by one
// thread. It is one of five settings that OWASP's password storage cheat sheet
// puts side by side as equally strong, from 46 MiB and one pass down to this one.
//
// Measured side by side, on one core of a small server: this one 18 ms and 7 MiB
// a hash, 19 MiB and two passes 31 ms, scrypt at its strength (N=2^13, p=10)
// 154 ms and 8 MiB, PBKDF2-HMAC-SHA256 at 600,000 rounds 93 ms and no memory.
// So it takes the least time, which is what a person waits for and what a flood
// of wrong codes burns, and by far the least memory of Argon2id's settings, which
// an instance of 512 MB has to find beside its other requests. It adds 80 kB to
// the binary. Nobody searches 80 random bits through any of these: stronger
// settings would buy nothing.
//
// A row's layout number stands for these numbers, too: sets made with other ones
// need another (see row.go).
const (
	passes    = 5
	memoryKiB = 7 * 1024
	threads   = 1
	hashBytes = 32
)

// hashFunc is a slow hash.
type hashFunc func(code string, salt [16]byte) []byte

// slow is held while hashing: one hash at a time in a process. However many
// requests come at once, they take 7 MiB and one core, and the others the rest.
var slow sync.Mutex

func argon2id(code string, salt [16]byte) []byte {
	slow.Lock()
	defer slow.Unlock()
	return argon2.IDKey([]byte(code), salt[:], passes, memoryKiB, threads, hashBytes)
}
