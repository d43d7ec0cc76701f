package secret_test

import (
	"errors"
	"strings"
	"testing"

	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

// marked returns a keyring of the secrets of the seeds, of which the last is marked.
func marked(t *testing.T, seeds ...byte) *secret.Keyring {
	t.Helper()
	last := len(seeds) - 1
	r, err := secret.Parse(fixture.Secret(seeds[:last]...) + ",index:" + fixture.Secret(seeds[last]))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestR28_OnlyTheLastOfSeveralSecretsMayBeMarked(t *testing.T) {
	one, two, three := fixture.Secret(1), fixture.Secret(50), fixture.Secret(100)
	for setting, want := range map[string]string{
		"index:" + one:                             "entry 1 is marked index: and is the only one",
		"index:" + one + "," + two:                 "entry 1 is marked index:, which only the last",
		"index:" + one + ",index:" + two:           "entry 1 is marked index:, which only the last",
		one + ",index:" + two + "," + three:        "entry 2 is marked index:, which only the last",
		one + ", index:" + two + ",index:" + three: "entry 2 is marked index:, which only the last",
		one + ",index:":                            "entry 2 is empty",
		one + ",index:index:" + two:                "entry 2 is not base64",
		one + ",INDEX:" + two:                      "entry 2 is not base64",
		one + ",index" + two:                       "entry 2 begins with index without a colon",
		one + "," + two + ":index":                 "entry 2 is not base64",
		one + ",index:" + one:                      "entry 2 repeats entry 1",
		one + ",index:c2hvcnQ=":                    "entry 2 has 5 bytes",
		one + ",index:" + two + ",":                "entry 2 is marked index:, which only the last",
		"index: " + one + "\n":                     "entry 1 is marked index: and is the only one",
	} {
		r, err := secret.Parse(setting)
		if err == nil || r != nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
			continue
		}
		for _, s := range []string{one, two, three} {
			if strings.Contains(err.Error(), s[:6]) {
				t.Errorf("%q quotes a secret", err)
			}
		}
	}
	for _, setting := range []string{
		one + ",index:" + two, one + " , index: " + two + "\n", one + "," + two + ",index:" + strings.TrimRight(three, "="),
	} {
		if _, err := secret.Parse(setting); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func TestR28_AMarkedSecretKeysTheIndexAndOpensRows(t *testing.T) {
	old := fixture.Keys(t, 1)
	for name, r := range map[string]*secret.Keyring{"of two": marked(t, 50, 1), "of three": marked(t, 100, 50, 1)} {
		if r.Index("x") != old.Index("x") {
			t.Errorf("%s: the index has changed: rows and users are not found any more", name)
		}
		id := old.SealID([16]byte{1, 2, 3})
		if r.OpenID(id) != [16]byte{1, 2, 3} || r.SealID([16]byte{1, 2, 3}) != id {
			t.Errorf("%s: ids from before do not open", name)
		}
		if plain, err := r.Open(old.Seal([]byte("x"), "row"), "row"); err != nil || string(plain) != "x" {
			t.Errorf("%s: a row from before opens as %q, %v", name, plain, err)
		}
		want, _ := old.RecoveryMAC(old.Current(), []byte("x"))
		if got, ok := r.RecoveryMAC(old.Current(), []byte("x")); !ok || got != want {
			t.Errorf("%s: recovery codes from before are not right any more", name)
		}
	}
}

func TestR28_NothingIsDerivedOrSealedUnderAMarkedSecret(t *testing.T) {
	old := fixture.Keys(t, 1)
	for name, r := range map[string]*secret.Keyring{"of two": marked(t, 50, 1), "of three": marked(t, 100, 50, 1)} {
		if mac, ok := r.CodeMAC(old.Current(), []byte("x")); ok || mac != [32]byte{} {
			t.Errorf("%s: derives %x for codes", name, mac)
		}
		if r.Current() == old.Current() {
			t.Errorf("%s: the marked secret is the current one", name)
		}
		if plain, err := old.Open(r.Seal([]byte("x"), "row"), "row"); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("%s: who has the marked secret opens a new row: %q, %v", name, plain, err)
		}
	}
	// The secrets in front of it are not affected.
	middle := fixture.Keys(t, 50)
	want, _ := middle.CodeMAC(middle.Current(), []byte("x"))
	if got, ok := marked(t, 100, 50, 1).CodeMAC(middle.Current(), []byte("x")); !ok || got != want {
		t.Error("a code of the secret in the middle is not right any more")
	}
}

func TestR30_IDsOpenUnderTheIndexSecretOnly(t *testing.T) {
	old := fixture.Keys(t, 1)
	block := [16]byte{1, 2, 3}
	id := old.SealID(block)
	for name, r := range map[string]*secret.Keyring{
		"rotated once": fixture.Keys(t, 50, 1), "rotated twice": fixture.Keys(t, 100, 50, 1), "retired": marked(t, 50, 1),
	} {
		if r.OpenID(id) != block || r.SealID(block) != id {
			t.Errorf("%s: the id does not open any more", name)
		}
	}
	for name, r := range map[string]*secret.Keyring{
		"another deployment": fixture.Keys(t, 50), "the secret in front": fixture.Keys(t, 1, 50), "a marked one": marked(t, 1, 50),
	} {
		if r.OpenID(id) == block {
			t.Errorf("%s opens the id", name)
		}
	}
}
