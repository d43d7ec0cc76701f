package secret

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"math/big"
)

// seedBytes is the length of the seed of a receipt key. It is 16 bytes more than the
// order of the curve has, so that the reduction prefers no key by more than 2^-128
// (FIPS 186-5, A.2.1).
const seedBytes = 48

// ReceiptKeys returns the keys (ECDSA on P-256) that sign receipts: one for each secret
// that is not marked for the index only, the current one first. The same secret always
// gives the same key. Each call derives all keys, in some 20 µs each.
func (r *Keyring) ReceiptKeys() (keys []*ecdsa.PrivateKey, err error) {
	for _, k := range r.keys {
		if k.retired {
			continue
		}
		key, err := receiptKey(k.receipt)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// receiptKey makes a private key of a seed: the seed modulo n-1, plus 1.
func receiptKey(seed []byte) (*ecdsa.PrivateKey, error) {
	curve, one := elliptic.P256(), big.NewInt(1)
	d := new(big.Int).SetBytes(seed)
	d.Mod(d, new(big.Int).Sub(curve.Params().N, one)).Add(d, one)
	key, err := ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, 32)))
	if err != nil { // its text may hold anything
		return nil, fmt.Errorf("secret: no receipt key: error of type %T", err)
	}
	return key, nil
}

// Subject returns HMAC-SHA256 of a text under a key of its own for the subjects of
// receipts. As Index, it stays the same as long as the last secret stays the last one.
func (r *Keyring) Subject(text string) [32]byte { return sum(r.subject, []byte(text)) }
