package client

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
)

// Registry is the clients of TWOFA_CLIENTS. It is safe for concurrent use. A nil
// Registry means that no clients are configured; it authenticates nobody.
type Registry struct {
	byID map[string]*record
	ids  []string // in the order of the setting
}

// record is a client with the hashes of its secrets, which a Client must not carry into
// contexts and logs.
type record struct {
	client  Client
	hashes  hashes
	secrets int // 0 for a public client
}

// hashes are two, so that each comparison takes as long as any other. A client with one
// secret has its hash twice.
type hashes [2][sha256.Size]byte

// nobody is compared with the secret of an unknown client. Nobody knows a secret for it.
var nobody = func() *record {
	r := new(record)
	for i := range r.hashes {
		_, _ = rand.Read(r.hashes[i][:])
	}
	return r
}()

// Authenticate returns the client of that id if the secret is one of its secrets. The
// time it takes does not depend on whether there is such a client, nor on how much of the
// secret is right.
func (r *Registry) Authenticate(id, secret string) (Client, bool) {
	found := nobody
	if r != nil {
		if known := r.byID[id]; known != nil && known.secrets > 0 { // a public client has none
			found = known
		}
	}
	sum := sha256.Sum256([]byte(secret))
	same := subtle.ConstantTimeCompare(found.hashes[0][:], sum[:]) | subtle.ConstantTimeCompare(found.hashes[1][:], sum[:])
	if same != 1 || found == nobody {
		return Client{}, false
	}
	return found.client, true
}

// Client returns the client of that id.
func (r *Registry) Client(id string) (Client, bool) {
	if r == nil {
		return Client{}, false
	}
	found := r.byID[id]
	if found == nil {
		return Client{}, false
	}
	return found.client, true
}

// HasOrigin reports whether the origin is one of any client: the preflight of a browser (Fetch, 4.8) does
// not name the client.
func (r *Registry) HasOrigin(origin string) bool {
	return slices.ContainsFunc(r.Clients(), func(c Client) bool { return slices.Contains(c.Origins, origin) })
}

// Clients returns all clients, in the order of the setting.
func (r *Registry) Clients() []Client {
	if r == nil {
		return nil
	}
	all := make([]Client, 0, len(r.ids))
	for _, id := range r.ids {
		all = append(all, r.byID[id].client)
	}
	return all
}

// Secrets returns how many secrets the client of that id has: 0, 1 or 2.
func (r *Registry) Secrets(id string) int {
	if r == nil || r.byID[id] == nil {
		return 0
	}
	return r.byID[id].secrets
}

// NewSecret makes a secret of 256 bits. It returns the secret in hexadecimal, and its hash
// as the field secrets has it.
func NewSecret() (secret, hash string) {
	var random [32]byte
	_, _ = rand.Read(random[:])
	secret = hex.EncodeToString(random[:])
	sum := sha256.Sum256([]byte(secret))
	return secret, hashPrefix + hex.EncodeToString(sum[:])
}

// NewSID makes an id of Twilio's form: the prefix, AC or VA, and 32 hexadecimal digits.
func NewSID(prefix string) string {
	var random [16]byte
	_, _ = rand.Read(random[:])
	return prefix + hex.EncodeToString(random[:])
}

const hashPrefix = "sha256:"

// readHash returns the hash that a text like sha256:9f86… has. The hash of an empty
// secret is none.
func readHash(text string) (hash [sha256.Size]byte, ok bool) {
	if len(text) != len(hashPrefix)+2*sha256.Size || text[:len(hashPrefix)] != hashPrefix {
		return hash, false
	}
	_, err := hex.Decode(hash[:], []byte(text[len(hashPrefix):]))
	return hash, err == nil && hash != sha256.Sum256(nil)
}

// readHashes returns the hashes of one or two different secrets.
func readHashes(texts []string) (h hashes, ok bool) {
	if len(texts) < 1 || len(texts) > 2 {
		return h, false
	}
	for i := range h {
		if h[i], ok = readHash(texts[min(i, len(texts)-1)]); !ok {
			return h, false
		}
	}
	return h, len(texts) == 1 || !slices.Equal(h[0][:], h[1][:])
}
