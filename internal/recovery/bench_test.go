package recovery_test

import (
	"crypto/rand"
	"testing"

	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
)

// Ten slow hashes.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := recovery.New(recovery.Slow, rand.Reader, keyring, fixture.Noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	codes, s, err := recovery.New(recovery.Slow, rand.Reader, keyring, fixture.Noon)
	if err != nil {
		b.Fatal(err)
	}
	code := typed(b, codes[9])
	again := recovery.Attempt(recovery.Slow, code, keyring, fixture.Noon)
	if _, _, err := again(s); err != nil {
		b.Fatal(err)
	}
	attempt := func(code string, s recovery.State) func() error {
		return func() error {
			_, _, err := recovery.Attempt(recovery.Slow, code, keyring, fixture.Noon)(s)
			return err
		}
	}
	right := attempt(code, s)
	for _, c := range []struct {
		name  string
		check func() error
		ok    bool
	}{
		{"right", right, true}, // one slow hash
		{"wrong", attempt("2222222222222222", s), false},
		{"locked", attempt(code, locked(s)), false},                         // refused before the hash
		{"again", func() error { _, _, err := again(s); return err }, true}, // as the compare-and-swap does, without a hash
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.check(); (err == nil) != c.ok {
					b.Fatal(err)
				}
			}
		})
	}
	// As many checks at once as there are processors. They hash one after the other.
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := right(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
