package secret_test

import (
	"crypto/ecdsa"
	"encoding/hex"
	"testing"

	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

func receiptKeys(t *testing.T, r *secret.Keyring) []*ecdsa.PrivateKey {
	t.Helper()
	keys, err := r.ReceiptKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// The key of a secret never changes: apps have the old receipts, and other processes sign
// with it, too.
func TestReceiptKeys_TheKeyOfASecretIsFixed(t *testing.T) {
	t.Parallel()
	keys := receiptKeys(t, fixture.Keys(t, 1))
	d, err := keys[0].Bytes()
	if err != nil || len(keys) != 1 {
		t.Fatal(len(keys), err)
	}
	const want = "f9434377466f582193fe0bd989a2ad2f854d2a3c6a08477228fdc66a38b86417"
	if got := hex.EncodeToString(d); got != want {
		t.Errorf("the key is %s, want %s", got, want)
	}
}

func TestReceiptKeys_OneForEachSecretTheCurrentOneFirst(t *testing.T) {
	t.Parallel()
	one, two := receiptKeys(t, fixture.Keys(t, 1))[0], receiptKeys(t, fixture.Keys(t, 50))[0]
	both := receiptKeys(t, fixture.Keys(t, 50, 1))
	if len(both) != 2 || !both[0].Equal(two) || !both[1].Equal(one) || one.Equal(two) {
		t.Errorf("%d keys, in another order, or two that are equal", len(both))
	}
}

func TestR28_AMarkedSecretHasNoReceiptKey(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*secret.Keyring{"of two": marked(t, 50, 1), "of three": marked(t, 100, 50, 1)} {
		old := receiptKeys(t, fixture.Keys(t, 1))[0]
		keys := receiptKeys(t, r)
		if len(keys) == 0 {
			t.Errorf("%s: no key", name)
		}
		for _, k := range keys {
			if k.Equal(old) {
				t.Errorf("%s: the marked secret still signs", name)
			}
		}
	}
}

// Rotating and retiring keep the subjects.
func TestSubject_StaysAsLongAsTheLastSecret(t *testing.T) {
	t.Parallel()
	old := fixture.Keys(t, 1)
	for name, r := range map[string]*secret.Keyring{"rotated": fixture.Keys(t, 50, 1), "retired": marked(t, 50, 1)} {
		if r.Subject("x") != old.Subject("x") {
			t.Errorf("%s: the subject has changed", name)
		}
	}
	if old.Subject("x") == old.Index("x") || old.Subject("x") == fixture.Keys(t, 1, 50).Subject("x") {
		t.Error("the subject has the key of another use, or of another secret")
	}
}
