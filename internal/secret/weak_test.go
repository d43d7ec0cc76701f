package secret_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

// weak are secrets that are long enough and have enough different bytes, and can be
// guessed all the same.
var weak = map[string]struct {
	bytes []byte
	want  string
}{
	"0, 1, 2, 3":                  {steps(0, 1, 32), "sequence"},
	"1, 2, 3, 4":                  {steps(1, 1, 48), "sequence"},
	"3, 6, 9, 12":                 {steps(3, 3, 32), "sequence"},
	"255, 254, 253":               {steps(255, 255, 32), "sequence"},
	"steps of 17":                 {steps(200, 17, 64), "sequence"},
	"steps of 128 and 1":          {alternating(128, 1), "sequence"},
	"0 to 16, twice":              {append(steps(0, 1, 17), steps(0, 1, 17)...), "sequence"},
	"a random half, twice":        {bytes.Repeat(random(24), 2), "pattern"},
	"a random third, cut":         {bytes.Repeat(random(20), 3)[:50], "pattern"},
	"a sentence":                  {[]byte("correct horse battery staple, twelve times a day"), "text"},
	"hexadecimal digits":          {[]byte("9f86d081884c7d659a2feaa0c55ad015g3bf4f1b2b0b822cd15d6c15b0f00a08"), "text"},
	"base64 in base64":            {[]byte(fixture.Secret(77)), "text"},
	"a text and 3 bytes of 33":    {append([]byte("The quick brown fox jumps over"), 0, 200, 10), "text"},
	"a text with a line break":    {[]byte("my dog Rex has fleas & eats 17 zucchini\n"), "text"},
	"the alphabet and the digits": {[]byte("abcdefghijklmnopqrstuvwxyz0123456789"), "text"},
}

func steps(first, step byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)*step
	}
	return b
}

func alternating(one, other byte) []byte {
	b := make([]byte, 40)
	for i := 1; i < len(b); i++ {
		b[i] = b[i-1] + one
		if i%2 == 0 {
			b[i] = b[i-1] + other
		}
	}
	return b
}

// random returns bytes that look random, and are the same in each run.
func random(n int) []byte {
	raw, err := base64.StdEncoding.DecodeString(fixture.Secret(200))
	if err != nil {
		panic(err)
	}
	return raw[:n]
}

// A secret that can be guessed is refused where it makes codes and seals rows.
// Behind another secret it is a warning: an operator who has used one must be able to
// rotate away from it.
func TestAttack13_ASecretThatCanBeGuessedIsRefusedAsTheFirstEntry(t *testing.T) {
	for name, tc := range weak {
		t.Run(name, func(t *testing.T) {
			entry := base64.StdEncoding.EncodeToString(tc.bytes)
			for _, setting := range []string{entry, entry + "," + fixture.Secret(1), " " + strings.TrimRight(entry, "=")} {
				if _, err := secret.Parse(setting); err == nil || !strings.HasPrefix(err.Error(), "entry 1 ") || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want a fault of entry 1 with %q", err, tc.want)
				}
			}
			r, err := secret.Parse(fixture.Secret(2) + "," + entry + "," + fixture.Secret(1))
			if err != nil {
				t.Fatal(err)
			}
			if w := r.Warnings(); len(w) != 1 || !strings.HasPrefix(w[0], "entry 2 ") || !strings.Contains(w[0], tc.want) || strings.Contains(w[0], entry[:6]) {
				t.Errorf("warnings %q", w)
			}
		})
	}
}

// No random secret is refused.
func TestAttack13_RandomSecretsAreNotWeak(t *testing.T) {
	for range 20_000 {
		r, err := secret.Parse(secret.Generate())
		if err != nil || len(r.Warnings()) > 0 {
			t.Fatal(err, r.Warnings())
		}
	}
}
