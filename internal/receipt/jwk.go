package receipt

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"

	"github.com/go-json-experiment/json"

	"twofa/internal/secret"
)

// jwk is a public key (RFC 7517, RFC 7518, 6.2.1).
type jwk struct {
	Curve string `json:"crv"`
	Type  string `json:"kty"`
	X     string `json:"x"`
	Y     string `json:"y"`
	ID    string `json:"kid,omitempty"`
	Use   string `json:"use,omitempty"`
	Alg   string `json:"alg,omitempty"`
}

// newJWK returns a key under its thumbprint (RFC 7638): the hash of the required members
// in alphabetical order, which is the order of the struct.
func newJWK(key *ecdsa.PublicKey) (jwk, error) {
	point, err := key.Bytes() // 4, x and y
	if err != nil || len(point) != 65 {
		return jwk{}, fmt.Errorf("receipt: no public key: %d bytes, error of type %T", len(point), err)
	}
	k := jwk{Type: "EC", Curve: "P-256", X: encode(point[1:33]), Y: encode(point[33:])}
	required, err := json.Marshal(k)
	if err != nil {
		return jwk{}, fmt.Errorf("receipt: no thumbprint: error of type %T", err)
	}
	sum := sha256.Sum256(required)
	k.ID, k.Use, k.Alg = encode(sum[:]), "sig", "ES256"
	return k, nil
}

func newKeySet(keys *secret.Keyring) (*keySet, error) {
	private, err := keys.ReceiptKeys()
	if err != nil {
		return nil, err
	}
	var public struct {
		Keys []jwk `json:"keys"`
	}
	for _, key := range private {
		k, err := newJWK(&key.PublicKey)
		if err != nil {
			return nil, err
		}
		public.Keys = append(public.Keys, k)
	}
	text, err := json.Marshal(public)
	if err != nil {
		return nil, fmt.Errorf("receipt: no key set: error of type %T", err)
	}
	return &keySet{current: private[0], kid: public.Keys[0].ID, published: text}, nil
}
