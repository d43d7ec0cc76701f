package otp_test

import (
	"testing"

	"twofa/internal/otp"
)

// A recipient as it is when most checks come: one verification is pending, one
// from before is over, and one wrong code was typed.
func benchRecipient(b *testing.B) (otp.Recipient, otp.Verification) {
	b.Helper()
	p := quiet()
	r, first, err := otp.Start(otp.Recipient{}, benchStart(1), p, noon)
	if err != nil {
		b.Fatal(err)
	}
	if r, _, err = otp.Cancel(r, first.ID, noon); err != nil {
		b.Fatal(err)
	}
	r, v, err := otp.Start(r, benchStart(2), p, noon)
	if err != nil {
		b.Fatal(err)
	}
	r, _, _ = otp.Check(r, otp.CheckRequest{ID: v.ID, Code: "not it"}, keyring, p, noon)
	return r, v
}

func benchStart(n uint64) otp.StartRequest {
	return otp.StartRequest{
		ID: newID(alice, n), Nonce: [16]byte{byte(n)}, Key: keyring.Current(),
		Address: alice, Purpose: "login", Workflow: []string{"whatsapp"},
	}
}

func BenchmarkStart(b *testing.B) {
	r, _ := benchRecipient(b)
	p := quiet()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := otp.Start(r, benchStart(3), p, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckRight(b *testing.B) {
	r, v := benchRecipient(b)
	code, _ := v.Code(keyring)
	req := otp.CheckRequest{ID: v.ID, Code: code}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := otp.Check(r, req, keyring, quiet(), noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckWrong(b *testing.B) {
	r, v := benchRecipient(b)
	req := otp.CheckRequest{ID: v.ID, Code: "WRONG2"}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := otp.Check(r, req, keyring, quiet(), noon); err == nil {
			b.Fatal("approved")
		}
	}
}

func BenchmarkCode(b *testing.B) {
	_, v := benchRecipient(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := v.Code(keyring); !ok {
			b.Fatal("no code")
		}
	}
}

func BenchmarkReadCode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := otp.ReadCode("123 456"); !ok {
			b.Fatal("not read")
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	r, _ := benchRecipient(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	r, _ := benchRecipient(b)
	row, err := r.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := otp.Decode(row); err != nil {
			b.Fatal(err)
		}
	}
}
