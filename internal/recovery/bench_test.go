package recovery_test

import (
	"crypto/rand"
	"testing"

	"twofa/internal/recovery"
)

// Ten slow hashes.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := recovery.New(rand.Reader, keyring, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSet(b *testing.B) (string, recovery.State) {
	b.Helper()
	codes, s, err := recovery.New(rand.Reader, keyring, noon)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return typed(b, codes[9]), s
}

// One slow hash.
func BenchmarkCheckRight(b *testing.B) {
	code, s := benchSet(b)
	for b.Loop() {
		if _, _, err := recovery.Attempt(code, keyring, noon)(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckWrong(b *testing.B) {
	_, s := benchSet(b)
	for b.Loop() {
		if _, _, err := recovery.Attempt("2222222222222222", keyring, noon)(s); err == nil {
			b.Fatal("right")
		}
	}
}

// As many checks at once as there are processors: they take turns.
func BenchmarkCheckParallel(b *testing.B) {
	code, s := benchSet(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := recovery.Attempt(code, keyring, noon)(s); err != nil {
				b.Error(err)
			}
		}
	})
}

// A refusal before the hash.
func BenchmarkCheckLocked(b *testing.B) {
	code, s := benchSet(b)
	s = withFailures(s, noon, noon, noon, noon, noon, noon, noon, noon, noon, noon)
	for b.Loop() {
		if _, _, err := recovery.Attempt(code, keyring, noon)(s); err == nil {
			b.Fatal("compared")
		}
	}
}

// What is left of a check when the compare-and-swap runs it again.
func BenchmarkCheckAgain(b *testing.B) {
	code, s := benchSet(b)
	use := recovery.Attempt(code, keyring, noon)
	for b.Loop() {
		if _, _, err := use(s); err != nil {
			b.Fatal(err)
		}
	}
}
