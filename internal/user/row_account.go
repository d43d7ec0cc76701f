package user

import (
	"errors"

	"github.com/go-json-experiment/json"
	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/account"
)

// errAccount: readAccount could not read the encoded account again.
var errAccount = errors.New("user: the account cannot be kept")

// addAccount writes an account as JSON behind its length in two bytes.
func addAccount(b *cryptobyte.Builder, a account.State) {
	text, err := json.Marshal(a)
	if err != nil {
		b.SetError(errAccount)
		return
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(text) })
}

// readAccount reads what addAccount wrote. No row has an account that is zero.
func readAccount(s *cryptobyte.String, a *account.State) bool {
	var text cryptobyte.String
	return s.ReadUint16LengthPrefixed(&text) && json.Unmarshal(text, a) == nil && !a.IsZero()
}
