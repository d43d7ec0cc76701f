package secret_test

import (
	"testing"

	"twofa/internal/secret"
)

// benchRow has the size of a recipient with two verifications.
var benchRow = make([]byte, 300)

const benchPlace = "0123456789abcdef"

func benchRing(b *testing.B) *secret.Keyring {
	b.Helper()
	ring, err := secret.Parse(secret.Generate())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return ring
}

func BenchmarkSeal(b *testing.B) {
	ring := benchRing(b)
	for b.Loop() {
		ring.Seal(benchRow, benchPlace)
	}
}

func BenchmarkOpen(b *testing.B) {
	ring := benchRing(b)
	box := ring.Seal(benchRow, benchPlace)
	for b.Loop() {
		if _, err := ring.Open(box, benchPlace); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	ring := benchRing(b)
	for b.Loop() {
		ring.Index("+14155550123")
	}
}

func BenchmarkCodeMAC(b *testing.B) {
	ring := benchRing(b)
	message := make([]byte, 54)
	for b.Loop() {
		if _, ok := ring.CodeMAC(ring.Current(), message); !ok {
			b.Fatal("no key")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	setting := secret.Generate()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := secret.Parse(setting); err != nil {
			b.Fatal(err)
		}
	}
}
