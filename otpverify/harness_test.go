package otpverify_test

import (
	"errors"
	"fmt"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
)

const (
	alice = rig.Alice
	bob   = rig.Bob
)

var noon = rig.Noon

// bench is a rig that is asked to check.
type bench struct {
	*rig.Rig
	t *testing.T
}

func newBench(t *testing.T, channels ...notify.Channel) *bench {
	t.Helper()
	b := &bench{Rig: rig.New(t, channels...), t: t}
	b.Policy(func(p *otp.Policy) {
		p.ResendAfter = 0
		// Long codes: no two of a test are the same by chance.
		p.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}
	})
	return b
}

// start makes a verification, and returns it with its code, or why there is none.
func (b *bench) start(req otpsend.Request) (otp.Verification, string, error) {
	b.t.Helper()
	a, _, err := b.Send.Start(b.Ctx(), req, "")
	if err != nil {
		return otp.Verification{}, "", err
	}
	_, v := b.Verification(a.ID)
	return v, b.Code(a.ID), nil
}

func (b *bench) mustStart(req otpsend.Request) (otp.Verification, string) {
	b.t.Helper()
	v, code, err := b.start(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return v, code
}

func (b *bench) check(req otpverify.Request) (otpverify.Answer, error) {
	return b.Verify.Check(b.Ctx(), req)
}

// refused is the error of a check that has to be refused so.
func (b *bench) refused(req otpverify.Request, kind problem.Kind) *problem.Error {
	b.t.Helper()
	a, err := b.check(req)
	if a != (otpverify.Answer{}) {
		b.t.Errorf("an answer beside an error: %+v", a)
	}
	return b.Refused(err, kind)
}

func kindOf(err error) problem.Kind {
	if e, ok := errors.AsType[*problem.Error](err); ok {
		return e.Kind
	}
	return problem.Kind(fmt.Sprint(err))
}
