package otp_test

import (
	"testing"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/testing/fixture"
)

// benchRig has a recipient in its usual state before a check: one verification
// is pending, an earlier one is canceled, and one wrong code was typed.
func benchRig(b *testing.B) (*rig, otp.Verification) {
	b.Helper()
	r := newRig(b, quiet())
	r.start("login")
	v := r.start("login")
	wantKind(b, r.wrong(v), problem.WrongCode)
	return r, v
}

// measure runs f again and again. f reports whether it worked.
func measure(b *testing.B, f func() bool) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if !f() {
			b.Fatal("it did not work")
		}
	}
}

func BenchmarkStart(b *testing.B) {
	r, _ := benchRig(b)
	req := r.request(fixture.Alice, "login", otp.Transaction{})
	measure(b, func() bool {
		_, _, err := otp.Start(r.kept, req, r.policy, r.now)
		return err == nil
	})
}

func BenchmarkCheckRight(b *testing.B) {
	r, v := benchRig(b)
	req := otp.CheckRequest{ID: v.ID, Code: codeOf(b, v)}
	measure(b, func() bool {
		_, _, err := otp.Check(r.kept, req, keyring, r.policy, r.now)
		return err == nil
	})
}

func BenchmarkCheckWrong(b *testing.B) {
	r, v := benchRig(b)
	req := otp.CheckRequest{ID: v.ID, Code: wrongCode(codeOf(b, v))}
	measure(b, func() bool {
		_, _, err := otp.Check(r.kept, req, keyring, r.policy, r.now)
		return err != nil
	})
}

func BenchmarkCode(b *testing.B) {
	_, v := benchRig(b)
	measure(b, func() bool { _, ok := v.Code(keyring); return ok })
}

func BenchmarkReadCode(b *testing.B) {
	measure(b, func() bool { _, ok := otp.ReadCode("123 456"); return ok })
}

func BenchmarkEncode(b *testing.B) {
	r, _ := benchRig(b)
	measure(b, func() bool { _, err := recipient.Encode(r.kept); return err == nil })
}

func BenchmarkDecode(b *testing.B) {
	r, _ := benchRig(b)
	row := mustEncode(b, r.kept)
	measure(b, func() bool { _, err := recipient.Decode(row); return err == nil })
}
