package otp_test

import (
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// linked follows the link of a mail with the code of v.
func (r *rig) linked(v otp.Verification, change ...func(*otp.CheckRequest)) error {
	req := otp.CheckRequest{ID: v.ID, Link: 1, Transaction: v.Transaction}
	for _, f := range change {
		f(&req)
	}
	return r.checkWith(req)
}

// A link is as good as the right code, once, and no better.
func TestCheck_ByALink(t *testing.T) {
	t.Parallel()
	r := newRig(t, otp.DefaultPolicy())
	v := r.start("login")
	r.wrongTimes(v, 4)
	wantKind(t, r.linked(v), "")
	if got := r.found(v); got.Status != otp.Approved || got.Checks != 5 {
		t.Errorf("%+v", got)
	}
	wantKind(t, r.linked(v), problem.AlreadyUsed)
	wantKind(t, r.right(v), problem.AlreadyUsed)

	for name, tc := range map[string]struct {
		spoil func(r *rig, v otp.Verification)
		ask   func(*otp.CheckRequest)
		want  problem.Kind
	}{
		"expired":            {func(r *rig, v otp.Verification) { r.now = v.ExpiresAt }, nil, problem.Expired},
		"five wrong codes":   {func(r *rig, v otp.Verification) { r.wrongTimes(v, 5) }, nil, problem.TooManyChecks},
		"canceled":           {func(r *rig, _ otp.Verification) { r.start("login") }, nil, problem.Canceled},
		"another purpose":    {nil, func(q *otp.CheckRequest) { q.Purpose = "payment" }, problem.NotFound},
		"another session":    {nil, func(q *otp.CheckRequest) { q.Session = otp.Session{1} }, problem.NotFound},
		"another client":     {nil, func(q *otp.CheckRequest) { q.Client = "shop" }, problem.NotFound},
		"no such message":    {nil, func(q *otp.CheckRequest) { q.Link = 2 }, problem.NotFound},
		"a message before":   {nil, func(q *otp.CheckRequest) { q.Link = -1 }, problem.NotFound},
		"another payment":    {nil, func(q *otp.CheckRequest) { q.Transaction = otp.Transaction{Amount: "EUR 1"} }, problem.WrongCode},
		"a secret that went": {func(r *rig, _ otp.Verification) { r.keys = fixture.Keys(t, 9) }, nil, problem.Expired},
	} {
		r := newRig(t, otp.DefaultPolicy())
		v := r.start("login")
		r.now = r.now.Add(time.Minute)
		if tc.spoil != nil {
			tc.spoil(r, v)
		}
		change := tc.ask
		if change == nil {
			change = func(*otp.CheckRequest) {}
		}
		t.Log(name)
		wantKind(t, r.linked(v, change), tc.want)
		if r.found(v).Status == otp.Approved {
			t.Errorf("%s: approved", name)
		}
	}
}

// Usable says what a check would say of a code, without spending a try.
func TestUsable(t *testing.T) {
	t.Parallel()
	r := newRig(t, otp.DefaultPolicy())
	v := r.start("login")
	ask := func() error {
		_, err := r.kept.Usable(otp.Owner{}, v.ID, r.policy, r.now)
		return err
	}
	wantKind(t, ask(), "")
	if r.found(v).Checks != 0 {
		t.Error("a try was spent")
	}
	_, err := r.kept.Usable(otp.Owner{Client: "shop"}, v.ID, r.policy, r.now)
	wantKind(t, err, problem.NotFound)
	r.wrongTimes(v, 5)
	wantKind(t, ask(), problem.TooManyChecks)
	r.now = r.now.Add(time.Minute)
	w := r.start("login")
	r.wrongTimes(w, 5)
	r.now = r.now.Add(time.Minute)
	wantKind(t, ask(), problem.TooManyChecks) // ten wrong codes: the address is locked
	r = newRig(t, otp.DefaultPolicy())
	v = r.start("login")
	r.now = v.ExpiresAt
	wantKind(t, ask(), problem.Expired)
}
