package recovery_test

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

func TestIsCode(t *testing.T) {
	for text, want := range map[string]bool{
		"ABCDEFGHJKLMNPQR":    true,
		"2345678923456789":    true,
		"ZZZZZZZZZZZZZZZZ":    true,
		"":                    false,
		"ABCDEFGHJKLMNPQ":     false, // 15
		"ABCDEFGHJKLMNPQRS":   false, // 17
		"ABCD-EFGH-JKLM-NPQR": false, // otp.ReadCode removes hyphens
		"abcdefghjklmnpqr":    false,
		"ABCDEFGHJKLMNPQ0":    false,
		"OBCDEFGHJKLMNPQR":    false,
		"ABCDEFG1JKLMNPQR":    false,
		"ABCDEFGIJKLMNPQR":    false,
		"ABCDEFGH JKLMNPQ":    false,
		"ABCDEFGHJKLMNPÄ":     false, // 16 bytes
		"123456":              false,
		"ABCDEFGHJK":          false,
	} {
		if got := recovery.IsCode(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

func TestIsCode_NoOneTimeCodeIsARecoveryCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.SampledFrom([]otp.Alphabet{otp.Digits, otp.Alphanumeric}).Draw(t, "alphabet")
		length := rapid.IntRange(otp.MinCodeLength, otp.MaxCodeLength).Draw(t, "length")
		text := rapid.StringOfN(rapid.SampledFrom([]rune(alphabet.Symbols())), 1, 20, -1).Draw(t, "text")
		if recovery.IsCode(text) && (otp.Shape{Length: length, Alphabet: alphabet}).Fits(text) {
			t.Fatalf("%q is both", text)
		}
		if want := len(text) == 16 && !strings.ContainsAny(text, "01"); recovery.IsCode(text) != want {
			t.Fatalf("%q: got %v", text, !want)
		}
	})
}

// All of these are the same code, as people type, paste and dictate it.
func TestCodes_AreReadLeniently(t *testing.T) {
	codes, s := newSet(t, 1)
	code := codes[4]
	plain := strings.ReplaceAll(code, "-", "")
	wide := func(r rune) rune {
		if r > ' ' && r <= '~' {
			return r + 0xFEE0
		}
		return r
	}
	for name, text := range map[string]string{
		"as shown":                  code,
		"without hyphens":           plain,
		"small letters":             strings.ToLower(code),
		"spaces for hyphens":        strings.ReplaceAll(code, "-", " "),
		"no-break spaces around":    "\u00a0" + code + "\u00a0",
		"a tab and a line break":    "\t" + code + "\r\n",
		"dashes for hyphens":        strings.ReplaceAll(code, "-", "\u2013"),
		"full-width":                strings.Map(wide, code),
		"full-width, small letters": strings.Map(wide, strings.ToLower(code)),
		"direction marks":           "\u200f" + code + "\u200e",
		"zero-width spaces":         strings.ReplaceAll(code, "-", "\u200b"),
		"soft hyphens":              strings.ReplaceAll(code, "-", "\u00ad"),
		"a space after each symbol": strings.Join(strings.Split(plain, ""), " "),
	} {
		t.Run(name, func(t *testing.T) {
			after, _ := use(t, s, text, fixture.Noon, "")
			if after.Left() != 9 || !after.Codes[4].UsedAt.Equal(fixture.Noon) {
				t.Errorf("%d codes left", after.Left())
			}
		})
	}
}

func TestCodes_LookAlikesAreRefusedAndDoNotCount(t *testing.T) {
	codes, s := newSet(t, 1)
	for _, r := range "0OoIi1" {
		text := string(r) + codes[0][1:]
		after, e := use(t, s, text, fixture.Noon, problem.InvalidRequest)
		if len(e.Fields) != 1 || e.Fields[0].Name != "code" || after.Left() != 10 || len(after.Failures) != 0 {
			t.Errorf("%c: got %+v, %d left, %d failures", r, e, after.Left(), len(after.Failures))
		}
	}
}

type vector struct {
	Secret, Random, Salt string
	Codes, MACs          []string
}

func vectors(t *testing.T) []vector {
	t.Helper()
	var all []vector
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &all); err != nil || len(all) < 2 {
		t.Fatalf("%d vectors, %v", len(all), err)
	}
	return all
}

func TestNew_MatchesVectorsComputedElsewhere(t *testing.T) {
	for i, want := range vectors(t) {
		keys, err := secret.Parse(want.Secret)
		if err != nil {
			t.Fatal(err)
		}
		codes, s, err := recovery.New(recovery.Slow, hex.NewDecoder(strings.NewReader(want.Random)), keys, fixture.Noon)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(codes, want.Codes) {
			t.Errorf("vector %d: codes %v, want %v", i, codes, want.Codes)
		}
		if got := hex.EncodeToString(s.Salt[:]); got != want.Salt {
			t.Errorf("vector %d: salt %s, want %s", i, got, want.Salt)
		}
		for j, c := range s.Codes {
			if got := hex.EncodeToString(c.MAC[:]); got != want.MACs[j] {
				t.Errorf("vector %d, code %d: MAC %s, want %s", i, j, got, want.MACs[j])
			}
		}
	}
}

// HMAC(key, Argon2id(code, salt)) is kept of a code, at the cost that OWASP
// recommends. This test computes it from its parts, and makes sure that neither the
// salt nor the slow hash nor the key is missing.
func TestR8_CodesAreSaltedSlowHashedAndKeyed(t *testing.T) {
	codes, s, err := recovery.New(recovery.Slow, rand.Reader, keyring, fixture.Noon)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(fixture.Secret(1))
	if err != nil {
		t.Fatal(err)
	}
	key, err := hkdf.Key(sha256.New, raw, nil, "twofa/v1/recovery", 32)
	if err != nil {
		t.Fatal(err)
	}
	keyed := func(message []byte) (sum [32]byte) {
		h := hmac.New(sha256.New, key)
		h.Write(message)
		h.Sum(sum[:0])
		return sum
	}
	code := strings.ReplaceAll(codes[3], "-", "")
	hash := argon2.IDKey([]byte(code), s.Salt[:], 5, 7*1024, 1, 32)
	if got := s.Codes[3].MAC; got != keyed(hash) {
		t.Errorf("%x is kept, want %x", got, keyed(hash))
	}
	for name, mac := range map[string][32]byte{
		"without the key":       [32]byte(hash),
		"without the salt":      keyed(argon2.IDKey([]byte(code), make([]byte, 16), 5, 7*1024, 1, 32)),
		"without the slow hash": keyed(append(s.Salt[:], code...)),
	} {
		if s.Codes[3].MAC == mac {
			t.Errorf("kept %s", name)
		}
	}

	if s.Salt == [16]byte{} {
		t.Error("no salt was drawn")
	}
	_, other, err := recovery.New(recovery.Slow, rand.Reader, keyring, fixture.Noon)
	if err != nil {
		t.Fatal(err)
	}
	if s.Salt == other.Salt {
		t.Error("two sets share a salt")
	}
	// The check uses them, too: the right code under another salt or key is wrong.
	resalted := deepCopy(s)
	resalted.Salt[0] ^= 1
	_, _, err = recovery.Use(resalted, hashed(t, resalted, code, keyring), fixture.Noon)
	wantKind(t, err, problem.WrongCode)
	rotated := fixture.Keys(t, 50, 1)
	rekeyed := deepCopy(s)
	rekeyed.Key = rotated.Current()
	_, _, err = recovery.Use(rekeyed, hashed(t, rekeyed, code, rotated), fixture.Noon)
	wantKind(t, err, problem.WrongCode)
	_, left, err := recovery.Use(s, hashed(t, s, code, rotated), fixture.Noon)
	if wantKind(t, err, ""); left != 9 {
		t.Errorf("%d codes left, want 9", left)
	}
}
