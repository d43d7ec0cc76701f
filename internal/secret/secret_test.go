package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

// sequence returns n bytes, the first one seed.
func sequence(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i)
	}
	return b
}

func TestKeyring_MatchesVectorsComputedElsewhere(t *testing.T) {
	var vectors []struct {
		Setting, Text, Index, Place, Box string
		KeyID                            string `json:"key_id"`
		CodeMAC                          string `json:"code_mac"`
		RecoveryMAC                      string `json:"recovery_mac"`
		IDBlock                          string `json:"id_block"`
		ID                               string
	}
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 4 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, want := range vectors {
		r, err := secret.Parse(want.Setting)
		if err != nil {
			t.Fatal(err)
		}
		id := r.Current()
		mac, ok := r.CodeMAC(id, []byte(want.Text))
		recoveryMAC, recoveryOK := r.RecoveryMAC(id, []byte(want.Text))
		index := r.Index(want.Text)
		box, err := hex.DecodeString(want.Box)
		if err != nil {
			t.Fatal(err)
		}
		block, err := hex.DecodeString(want.IDBlock)
		if err != nil {
			t.Fatal(err)
		}
		opaque := r.SealID([16]byte(block))
		if r.OpenID(opaque) != [16]byte(block) {
			t.Errorf("%.20q: the id does not open", want.Text)
		}
		plain, err := r.Open(box, want.Place)
		if err != nil {
			t.Errorf("%.20q: the box does not open: %v", want.Text, err)
		}
		for _, c := range []struct{ what, got, want string }{
			{"key id", hex.EncodeToString(id[:]), want.KeyID},
			{"code MAC", hex.EncodeToString(mac[:]), want.CodeMAC},
			{"recovery MAC", hex.EncodeToString(recoveryMAC[:]), want.RecoveryMAC},
			{"index", hex.EncodeToString(index[:]), want.Index},
			{"opened box", string(plain), want.Text},
			{"id", hex.EncodeToString(opaque[:]), want.ID},
		} {
			if c.got != c.want || !ok || !recoveryOK {
				t.Errorf("%.20q: %s is %s, want %s", want.Text, c.what, c.got, c.want)
			}
		}
	}
}

func TestParse_ReadsEveryFormOfBase64ThatPeoplePaste(t *testing.T) {
	want := fixture.Keys(t, 1).Current()
	for name, setting := range map[string]string{
		"padded":       fixture.Secret(1),
		"not padded":   strings.TrimRight(fixture.Secret(1), "="),
		"spaces":       "  " + fixture.Secret(1) + "\t",
		"a line break": fixture.Secret(1) + "\n",
		"first of two": fixture.Secret(1) + " , " + fixture.Secret(50),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := secret.Parse(setting)
			if err != nil {
				t.Fatal(err)
			}
			if r.Current() != want {
				t.Error("another secret was read")
			}
		})
	}
}

// The error gives the position of the entry and the reason, and quotes no part of it.
func TestAttack13_WeakSecretsAreRefusedByPositionNeverByValue(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	for _, tc := range []struct {
		name, setting, want string
	}{
		{"empty", "", "entry 1 is empty"},
		{"only spaces", "  ", "entry 1 is empty"},
		{"an additional comma", fixture.Secret(1) + ",", "entry 2 is empty"},
		{"an empty one in between", fixture.Secret(1) + ",," + fixture.Secret(50), "entry 2 is empty"},
		{"31 bytes", encode(sequence(1, 31)), "entry 1 has 31 bytes"},
		{"16 bytes after a valid one", fixture.Secret(1) + "," + encode(sequence(50, 16)), "entry 2 has 16 bytes"},
		{"only padding", "====", "entry 1 has 0 bytes"},
		{"the same twice", fixture.Secret(1) + "," + fixture.Secret(1), "entry 2 repeats entry 1"},
		{"the same twice in other forms", fixture.Secret(9) + "," + fixture.Secret(1) + ", " + strings.TrimRight(fixture.Secret(1), "="), "entry 3 repeats entry 2"},
		{"zeros", encode(make([]byte, 32)), "entry 1 repeats a few bytes"},
		{"a long password, repeated", encode(bytes.Repeat([]byte("correct horse"), 10)), "entry 1 repeats a few bytes"},
		{"not base64", "correct-horse-battery-staple-canary-0123456789", "entry 1 is not base64"},
		{"the URL alphabet", strings.Repeat("-_", 30), "entry 1 is not base64"},
		{"hexadecimal digits and a stray sign", "%" + hex.EncodeToString(sequence(1, 32)), "entry 1 is not base64"},
		{"spare bits in the last character", strings.TrimRight(fixture.Secret(1), "=")[:42] + "B", "entry 1 is not base64"},
		{"padding in the middle", fixture.Secret(1) + fixture.Secret(50), "entry 1 is not base64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := secret.Parse(tc.setting)
			if err == nil || r != nil {
				t.Fatalf("accepted: %v", err)
			}
			if !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got %q, want it to begin with %q", err, tc.want)
			}
			for i := 0; i+6 <= len(tc.setting); i++ {
				if piece := tc.setting[i : i+6]; strings.Contains(err.Error(), piece) {
					t.Errorf("%q has the part %q of the setting", err, piece)
				}
			}
		})
	}
}

func TestAttack13_SixteenDifferentBytesAreTheLeast(t *testing.T) {
	for distinct, want := range map[int]bool{15: false, 16: true, 17: true} {
		var values []byte
		for _, b := range random(32) {
			if len(values) < distinct && !bytes.Contains(values, []byte{b}) {
				values = append(values, b)
			}
		}
		b := values
		for i := distinct; i < 32; i++ { // neither a sequence nor a pattern
			b = append(b, values[int(random(32)[i])%distinct])
		}
		if _, err := secret.Parse(base64.StdEncoding.EncodeToString(b)); (err == nil) != want {
			t.Errorf("%d different bytes: got %v, want acceptance: %v", distinct, err, want)
		}
	}
}

func TestGenerate_MakesDifferentSecretsThatParseReads(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := secret.Generate()
		if seen[s] {
			t.Fatal("the same secret twice")
		}
		seen[s] = true
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) != secret.MinBytes {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		if _, err := secret.Parse(s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRotation_OldOpensNewSealsAndTheIndexStays(t *testing.T) {
	old, rotated := fixture.Keys(t, 1), fixture.Keys(t, 50, 1)
	const place = "row"
	box := old.Seal([]byte("before"), place)
	if plain, err := rotated.Open(box, place); err != nil || string(plain) != "before" {
		t.Errorf("an old box: got %q, %v", plain, err)
	}
	if rotated.Index("x") != old.Index("x") {
		t.Error("the index has changed: rows are not found any more")
	}
	want, _ := old.CodeMAC(old.Current(), []byte("x"))
	if got, ok := rotated.CodeMAC(old.Current(), []byte("x")); !ok || got != want {
		t.Error("a code that was sent before is not right any more")
	}
	want, _ = old.RecoveryMAC(old.Current(), []byte("x"))
	if got, ok := rotated.RecoveryMAC(old.Current(), []byte("x")); !ok || got != want {
		t.Error("a recovery code from before is not right any more")
	}

	onlyNew := fixture.Keys(t, 50)
	if rotated.Current() != onlyNew.Current() || rotated.Current() == old.Current() {
		t.Error("the first secret is not the current one")
	}
	box = rotated.Seal([]byte("after"), place)
	if plain, err := onlyNew.Open(box, place); err != nil || string(plain) != "after" {
		t.Errorf("a new box under the new secret alone: got %q, %v", plain, err)
	}
	if _, err := old.Open(box, place); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("a new box under the old secret: got %v, want ErrSealed", err)
	}
}

func TestRotation_ThreeSecretsAndTheLastOneKeysTheIndex(t *testing.T) {
	r := fixture.Keys(t, 100, 50, 1)
	if r.Index("x") != fixture.Keys(t, 1).Index("x") {
		t.Error("the last secret does not key the index")
	}
	for _, seed := range []byte{100, 50, 1} {
		one := fixture.Keys(t, seed)
		if plain, err := r.Open(one.Seal([]byte("x"), "row"), "row"); err != nil || string(plain) != "x" {
			t.Errorf("secret %d: got %q, %v", seed, plain, err)
		}
	}
}

func TestRotation_ARemovedSecretOpensAndDerivesNothing(t *testing.T) {
	old, without := fixture.Keys(t, 1), fixture.Keys(t, 50)
	box := old.Seal([]byte("x"), "row")
	if _, err := without.Open(box, "row"); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("got %v, want ErrSealed", err)
	}
	if mac, ok := without.CodeMAC(old.Current(), []byte("x")); ok || mac != [32]byte{} {
		t.Errorf("derives %x for a secret that was removed", mac)
	}
	if mac, ok := without.RecoveryMAC(old.Current(), []byte("x")); ok || mac != [32]byte{} {
		t.Errorf("derives %x for a secret that was removed", mac)
	}
}

func TestSeal_OpensWhereItWasSealedAndAddsOverhead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := fixture.Keys(t, 1)
		plain := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plain")
		place := rapid.String().Draw(t, "place")
		before := bytes.Clone(plain)
		box := r.Seal(plain, place)
		if len(box) != len(plain)+secret.Overhead {
			t.Fatalf("the box has %d bytes for %d, want %d more", len(box), len(plain), secret.Overhead)
		}
		if len(plain) >= 4 && bytes.Contains(box, plain) {
			t.Fatal("the box has the plain text")
		}
		got, err := r.Open(box, place)
		if err != nil || !bytes.Equal(got, before) || !bytes.Equal(plain, before) {
			t.Fatalf("got %x, %v; want %x", got, err, before)
		}
	})
}

func TestSeal_NeverTheSameBoxTwice(t *testing.T) {
	r := fixture.Keys(t, 1)
	seen := map[string]bool{}
	for range 1000 {
		box := string(r.Seal([]byte("x"), "row"))
		if seen[box] {
			t.Fatal("the same nonce twice")
		}
		seen[box] = true
	}
}

func TestOpen_RefusesAMovedBox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := fixture.Keys(t, 1)
		here, there := rapid.String().Draw(t, "here"), rapid.String().Draw(t, "there")
		if here == there {
			t.Skip("the same place")
		}
		if plain, err := r.Open(r.Seal([]byte("x"), here), there); !errors.Is(err, secret.ErrSealed) || plain != nil {
			t.Fatalf("got %q, %v; want ErrSealed", plain, err)
		}
	})
}

func TestOpen_RefusesAnyFlippedBitAndAnyOtherLength(t *testing.T) {
	r := fixture.Keys(t, 50, 1) // a flipped key id may name the second secret
	box := r.Seal([]byte("plain text"), "row")
	refused := func(what string, box []byte) {
		t.Helper()
		plain, err := r.Open(box, "row")
		if !errors.Is(err, secret.ErrSealed) || plain != nil {
			t.Errorf("%s: got %q, %v; want ErrSealed", what, plain, err)
		}
	}
	for bit := range 8 * len(box) {
		changed := bytes.Clone(box)
		changed[bit/8] ^= 1 << (bit % 8)
		refused("a flipped bit", changed)
	}
	for n := range box {
		refused("cut off at the end", box[:n])
		refused("cut off at the front", box[n+1:])
	}
	refused("an additional byte", append(bytes.Clone(box), 0))
	refused("nothing", nil)

	other := fixture.Keys(t, 1)
	id := other.Current()
	refused("the other secret's key id", append(id[:], box[len(id):]...))
}

func FuzzParse(f *testing.F) {
	f.Add("")
	f.Add(fixture.Secret(1))
	f.Add(fixture.Secret(1) + "," + fixture.Secret(2))
	f.Add("====")
	f.Add(fixture.Secret(1) + ",index:" + fixture.Secret(2))
	f.Add("index:")
	f.Fuzz(func(t *testing.T, setting string) {
		r, err := secret.Parse(setting)
		if (err == nil) != (r != nil) {
			t.Fatalf("got %v, %v", r, err)
		}
		if err != nil {
			return
		}
		if plain, err := r.Open(r.Seal([]byte("x"), "row"), "row"); err != nil || string(plain) != "x" {
			t.Errorf("a sealed text opens as %q, %v", plain, err)
		}
	})
}
