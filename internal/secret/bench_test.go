package secret_test

import (
	"testing"

	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

func BenchmarkKeyring(b *testing.B) {
	const place = "0123456789abcdef"
	row := make([]byte, 300) // the size of a recipient with two verifications
	message := make([]byte, 54)
	setting := secret.Generate()
	keys := fixture.Keys(b, 1)
	box := keys.Seal(row, place)
	for _, c := range []struct {
		name string
		call func() (ok bool)
	}{
		{"Seal", func() bool { return keys.Seal(row, place) != nil }},
		{"Open", func() bool { _, err := keys.Open(box, place); return err == nil }},
		{"Index", func() bool { return keys.Index("+14155550123") != [32]byte{} }},
		{"SealID", func() bool { return keys.SealID([16]byte{1}) != [16]byte{1} }},
		{"CodeMAC", func() bool { _, ok := keys.CodeMAC(keys.Current(), message); return ok }},
		{"Parse", func() bool { _, err := secret.Parse(setting); return err == nil }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !c.call() {
					b.Fatal("failed")
				}
			}
		})
	}
}
