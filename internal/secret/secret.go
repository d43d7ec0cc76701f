// Package secret is the keyring. Every key of the service is derived from the secrets
// in TWOFA_SECRET, with HKDF-SHA256 (RFC 5869) and a label for each use, so that no
// key has two uses.
//
// A keyring has one or more secrets, the current one first. The current secret makes
// new codes and seals rows; the others are still accepted. Only the last secret keys
// the index. The index decides the key of a row, so to rotate, an operator puts a new
// secret in front, and the rows stay where they are.
//
// The last secret may be marked "index:", because somebody has stolen it. It then keys
// the index, opens rows and verifies recovery codes, whose hashes are in sealed rows.
// Nothing is sealed or signed with it, and no one-time code is made or accepted under it.
//
// The package must never put a secret, a key or a plain text into an error.
package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MinBytes is the smallest length of a secret. It is the length of the hash, so that
// no derived key is weaker than the hash.
const MinBytes = 32

// minDistinct is how many different bytes a secret must have. 32 random bytes have 30
// on average. Fewer than 16 have a probability under 2^-60, and are typical of a text
// that somebody has typed repeatedly.
const minDistinct = 16

// The labels, one for each use. Another label makes other keys.
const (
	labelID       = "twofa/v1/key-id"
	labelCode     = "twofa/v1/code"
	labelRecovery = "twofa/v1/recovery"
	labelSeal     = "twofa/v1/seal"
	labelIndex    = "twofa/v1/index"
	labelOpaque   = "twofa/v1/opaque-id"
	labelReceipt  = "twofa/v1/receipt"
	labelSubject  = "twofa/v1/receipt-subject"
	// labelCapability is for what browsers hold: see SealCapability.
	labelCapability = "twofa/v1/capability"
)

// KeyID names the secret that a key was derived from. It is itself derived, so it
// reveals nothing about the secret.
type KeyID = [4]byte

// ErrSealed is the error of Open for a box that was not sealed with a secret of this
// keyring for this place, or was changed since.
var ErrSealed = errors.New("secret: the box does not open")

// ErrUnknownSecret is the error of Open for a box that was sealed with a secret that
// the keyring does not have. It wraps ErrSealed.
var ErrUnknownSecret = fmt.Errorf("%w: sealed with a secret that is not in TWOFA_SECRET", ErrSealed)

// Keyring derives, seals, opens and indexes. It is safe for concurrent use.
type Keyring struct {
	keys    []key
	index   []byte
	subject []byte
	opaque  cipher.Block
	weak    []string
}

type key struct {
	id       KeyID
	retired  bool // marked as for the index only
	code     []byte
	recovery []byte
	receipt  []byte // the seed of ReceiptKeys, seedBytes long
	seal     cipher.AEAD

	capability cipher.AEAD
}

// Parse reads the setting: secrets in base64 (standard alphabet, padding optional),
// separated by commas, the current one first. "index:" before the last of several
// retires that one: see the package's comment. The error gives the position of the
// entry and the reason, and never quotes it.
func Parse(setting string) (*Keyring, error) {
	var ring Keyring
	var secrets [][]byte
	entries := strings.Split(setting, ",")
	for i, entry := range entries {
		entry, retired, err := cutMark(strings.TrimSpace(entry), i, len(entries))
		if err != nil {
			return nil, err
		}
		s, err := decode(strings.TrimSpace(entry))
		if err != nil {
			return nil, fmt.Errorf("entry %d %w", i+1, err)
		}
		if err := weakness(s); err != nil && i == 0 {
			return nil, fmt.Errorf("entry 1 %w; make one with: openssl rand -base64 32", err)
		} else if err != nil {
			ring.weak = append(ring.weak, fmt.Sprintf("entry %d %s", i+1, err))
		}
		for j, earlier := range secrets {
			if bytes.Equal(s, earlier) {
				return nil, fmt.Errorf("entry %d repeats entry %d", i+1, j+1)
			}
		}
		secrets = append(secrets, s)
		k, err := newKey(s)
		if err != nil {
			return nil, err
		}
		k.retired = retired
		ring.keys = append(ring.keys, k)
	}
	var err error
	last := secrets[len(secrets)-1]
	if ring.index, err = derive(last, labelIndex); err != nil {
		return nil, err
	}
	if ring.subject, err = derive(last, labelSubject); err != nil {
		return nil, err
	}
	opaque, err := derive(last, labelOpaque)
	if err != nil {
		return nil, err
	}
	ring.opaque, err = aes.NewCipher(opaque)
	return &ring, err
}

// Warnings are the later entries that can be guessed, by position and reason. Parse
// accepts them, so that an operator can put a new secret in front.
func (r *Keyring) Warnings() []string { return r.weak }

// Count is how many secrets the keyring has.
func (r *Keyring) Count() int { return len(r.keys) }

// Generate makes a new secret in the form that Parse reads.
func Generate() string {
	s := make([]byte, MinBytes)
	_, _ = rand.Read(s) // never fails: crypto/rand ends the process instead
	return base64.StdEncoding.EncodeToString(s)
}

// indexMark marks a secret that only keys the index and opens rows.
const indexMark = "index:"

// cutMark returns entry i of n without its mark, and whether it was marked. It returns
// an error if the entry is marked and may not be.
func cutMark(entry string, i, n int) (rest string, marked bool, err error) {
	rest, marked = strings.CutPrefix(entry, indexMark)
	switch {
	case marked && i < n-1:
		err = fmt.Errorf("entry %d is marked %s, which only the last entry may be, because only the last one keys the index", i+1, indexMark)
	case marked && n == 1:
		err = fmt.Errorf("entry 1 is marked %s and is the only one; put a new secret in front of it, made with: openssl rand -base64 32", indexMark)
	case !marked && strings.HasPrefix(entry, "index"): // would be read as another secret
		err = fmt.Errorf("entry %d begins with index without a colon; write %s before a secret that only keys the index", i+1, indexMark)
	}
	return rest, marked, err
}

func decode(entry string) ([]byte, error) {
	if entry == "" {
		return nil, errors.New("is empty")
	}
	s, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(entry, "="))
	if err != nil {
		return nil, errors.New("is not base64; make one with: openssl rand -base64 32")
	}
	if len(s) < MinBytes {
		return nil, fmt.Errorf("has %d bytes, needs %d or more; make one with: openssl rand -base64 32", len(s), MinBytes)
	}
	var seen [256]bool
	distinct := 0
	for _, b := range s {
		if !seen[b] {
			seen[b] = true
			distinct++
		}
	}
	if distinct < minDistinct {
		return nil, errors.New("repeats a few bytes and can be guessed; make one with: openssl rand -base64 32")
	}
	return s, nil
}

func derive(s []byte, label string) ([]byte, error) {
	return hkdf.Key(sha256.New, s, nil, label, 32)
}

func newKey(s []byte) (k key, err error) {
	id, err := derive(s, labelID)
	if err != nil {
		return k, err
	}
	copy(k.id[:], id)
	if k.code, err = derive(s, labelCode); err != nil {
		return k, err
	}
	if k.recovery, err = derive(s, labelRecovery); err != nil {
		return k, err
	}
	if k.receipt, err = hkdf.Key(sha256.New, s, nil, labelReceipt, seedBytes); err != nil {
		return k, err
	}
	if k.seal, err = newSeal(s, labelSeal); err != nil {
		return k, err
	}
	k.capability, err = newSeal(s, labelCapability)
	return k, err
}

// newSeal returns AES-256-GCM under the secret's key of that label.
func newSeal(s []byte, label string) (cipher.AEAD, error) {
	sealKey, err := derive(s, label)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Current names the secret of new codes and new boxes.
func (r *Keyring) Current() KeyID { return r.keys[0].id }

func (r *Keyring) find(id KeyID) (key, bool) {
	for _, k := range r.keys {
		if k.id == id {
			return k, true
		}
	}
	return key{}, false
}

// CodeMAC returns HMAC-SHA256 of the message under the secret's key for one-time
// codes. ok is false if the keyring does not have the secret, or has it only for the
// index.
func (r *Keyring) CodeMAC(id KeyID, message []byte) (mac [32]byte, ok bool) {
	k, ok := r.find(id)
	if !ok || k.retired {
		return mac, false
	}
	return sum(k.code, message), true
}

// RecoveryMAC returns HMAC-SHA256 of the message under the secret's key for recovery
// codes, also under one that is marked for the index only: who has stolen it cannot
// make the code of a hash. ok is false if the keyring does not have the secret.
func (r *Keyring) RecoveryMAC(id KeyID, message []byte) (mac [32]byte, ok bool) {
	k, ok := r.find(id)
	if !ok {
		return mac, false
	}
	return sum(k.recovery, message), true
}

// Index returns HMAC-SHA256 of a text under the index key. It stays the same as long
// as the last secret of the keyring stays the last one.
func (r *Keyring) Index(text string) [32]byte { return sum(r.index, []byte(text)) }

// SealID encrypts the 16 bytes of an id as one block of AES-256, and OpenID is its
// reverse. Every block opens: the result of a made-up one is as good as random. The
// key comes from the secret that keys the index, so ids live as long as the index.
//
// One block under one key is a permutation. So the same bytes give the same id: some
// of the bytes have to be random.
func (r *Keyring) SealID(block [16]byte) (id [16]byte) {
	r.opaque.Encrypt(id[:], block[:])
	return id
}

// OpenID returns what SealID was given.
func (r *Keyring) OpenID(id [16]byte) (block [16]byte) {
	r.opaque.Decrypt(block[:], id[:])
	return block
}

func sum(key, message []byte) (mac [32]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	h.Sum(mac[:0])
	return mac
}

// Overhead is how many bytes a box has more than its plain text.
const Overhead = len(KeyID{}) + 12 + 16

// Seal encrypts with AES-256-GCM under the current secret and a random nonce of 96
// bits. It authenticates the place, too: the box opens at no other place. The box is
// the key id, the nonce, the cipher text and the tag.
func (r *Keyring) Seal(plain []byte, place string) []byte {
	k := r.keys[0]
	return sealed(k.id, k.seal, plain, place)
}

// SealCapability is Seal under the secret's key for what browsers hold: a link, a cookie.
// kind says what it is for, and it opens as no other kind.
func (r *Keyring) SealCapability(plain []byte, kind string) []byte {
	k := r.keys[0]
	return sealed(k.id, k.capability, plain, kind)
}

func sealed(id KeyID, key cipher.AEAD, plain []byte, data string) []byte {
	box := make([]byte, 0, len(plain)+Overhead)
	box = append(box, id[:]...)
	return key.Seal(box, nil, plain, []byte(data))
}

// Knows reports whether a box names a secret of the keyring. It does not open the box.
func (r *Keyring) Knows(box []byte) bool {
	var id KeyID
	if len(box) < Overhead {
		return false
	}
	copy(id[:], box)
	_, ok := r.find(id)
	return ok
}

// Open returns the plain text of a box that Seal has made with a secret of the
// keyring. The error is ErrSealed if the box was changed, was sealed for another
// place, or was sealed with another secret.
func (r *Keyring) Open(box []byte, place string) ([]byte, error) {
	k, rest, err := r.opens(box)
	if err != nil {
		return nil, err
	}
	plain, err := k.seal.Open(nil, nil, rest, []byte(place))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// OpenCapability returns the plain text of a box of SealCapability with the same kind. The
// errors are those of Open, and a box under a secret that is marked for the index only is
// one that does not open.
func (r *Keyring) OpenCapability(box []byte, kind string) ([]byte, error) {
	k, rest, err := r.opens(box)
	if err != nil {
		return nil, err
	}
	plain, err := k.capability.Open(nil, nil, rest, []byte(kind))
	if err != nil || k.retired {
		return nil, ErrSealed
	}
	return plain, nil
}

// opens returns the key that a box names, and the box without that name.
func (r *Keyring) opens(box []byte) (k key, rest []byte, err error) {
	var id KeyID
	if len(box) < Overhead {
		return k, nil, fmt.Errorf("%w: too short", ErrSealed)
	}
	n := copy(id[:], box)
	k, ok := r.find(id)
	if !ok {
		return k, nil, ErrUnknownSecret
	}
	return k, box[n:], nil
}
