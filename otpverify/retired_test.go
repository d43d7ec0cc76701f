package otpverify_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// retire marks the secret that the rig began with, as an operator does whose secret
// leaked, and puts another one in front.
func retire(r *rig.Rig) { r.Rotate(fixture.Secret(50) + ",index:" + fixture.Secret(1)) }

// sealedBy names the secret that sealed a row.
func sealedBy(r *rig.Rig, key store.Key) [4]byte {
	r.TB.Helper()
	row, err := r.Kept.Table.Get(context.Background(), key)
	if err != nil {
		r.TB.Fatal(err)
	}
	return [4]byte(row.Data)
}

// R28, attack 36. Somebody who has stolen the secret can compute every code that was
// made with it. Once the secret is marked, such a code is refused on every route of
// checking. A rotation that does not mark it still accepts the code.
func TestAttack36_CodesOfAMarkedSecretAreRefusedOnEveryRoute(t *testing.T) {
	pay := otp.Transaction{Amount: "EUR 5", Payee: "Acme"}
	for name, route := range map[string]struct {
		start otpsend.Request
		check func(id otp.ID, code string) otpverify.Request
	}{
		"by id":         {toAlice, rig.ByID},
		"by the number": {toAlice, func(_ otp.ID, code string) otpverify.Request { return otpverify.Request{To: alice, Code: code} }},
		"by the mail": {
			otpsend.Request{To: mail, Channel: "email"},
			func(_ otp.ID, code string) otpverify.Request { return otpverify.Request{To: mail, Code: code} },
		},
		"by a user": {toUser, func(_ otp.ID, code string) otpverify.Request { return byUser(code) }},
		"by a user, as a message": {toUser, func(_ otp.ID, code string) otpverify.Request {
			return otpverify.Request{User: canary, Code: code, Factor: otpverify.FactorMessage}
		}},
		"by a user and id": {toUser, func(id otp.ID, code string) otpverify.Request {
			return otpverify.Request{ID: string(id), User: canary, Code: code}
		}},
		"by number and id": {toAlice, func(id otp.ID, code string) otpverify.Request {
			return otpverify.Request{ID: string(id), To: alice, Code: code}
		}},
		"of another purpose": {otpsend.Request{To: alice, Purpose: "pay"}, func(_ otp.ID, code string) otpverify.Request {
			return otpverify.Request{To: alice, Purpose: "pay", Code: code}
		}},
		"with a context": {otpsend.Request{To: alice, Transaction: pay}, func(id otp.ID, code string) otpverify.Request {
			return otpverify.Request{ID: string(id), Code: code, Transaction: pay}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, marked := range []bool{true, false} {
				r := newUserRig(t, nil, channel.SMS, channel.Email)
				v, code := begin(r, route.start)
				if marked {
					retire(r)
				} else {
					r.Rotate(fixture.Secret(50, 1))
				}
				req := route.check(v.ID, code)
				if !marked {
					r.Approve(req)
					continue
				}
				for range 7 { // more often than there are checks
					r.RefuseCheck(req, problem.Expired)
				}
				req.Code = "ABCDEFGHJK"
				r.RefuseCheck(req, problem.Expired) // a wrong code is answered alike
				if _, got := r.Verification(v.ID); got.Status == otp.Approved || got.Checks != 0 {
					t.Errorf("%s after %d checks", got.Status, got.Checks)
				}
				// The person starts again, and that code works.
				r.Advance(time.Minute)
				v, code = begin(r, route.start)
				r.Approve(route.check(v.ID, code))
			}
		})
	}
}

// R28, attack 36. The person's own message does not approve with such a code either,
// and a resend does not send it.
func TestAttack36_CodesOfAMarkedSecretAreNotTakenFromMessagesNorSent(t *testing.T) {
	r := newRig(t)
	id, text := r.StartInbound(toAlice)
	retire(r)
	if reply := receive(r, alice, text); reply != "" {
		t.Errorf("the reply %q", reply)
	}
	r.RefuseCheck(rig.ByID(id, ""), problem.NotYetApproved)
	if offer := r.Status(id).Inbound; offer != nil {
		t.Errorf("offers %+v", offer)
	}

	r = newRig(t)
	v, code := begin(r, toAlice)
	retire(r)
	r.RefuseResend(v.ID, "", problem.Expired)
	if sent := r.Sender(channel.WhatsApp).Sent(); len(sent) != 1 || sent[0].Code != code {
		t.Errorf("sent %+v", sent)
	}
}

// R28. Rows that the marked secret sealed still open, and with them every limit. What
// is written is sealed with the secret in front.
func TestR28_LimitsAndRowsSurviveTheRetirement(t *testing.T) {
	r := newRig(t)
	for range 2 { // ten wrong codes
		v, _ := begin(r, toAlice)
		for range 5 {
			r.RefuseCheck(rig.ByID(v.ID, "ABCDEFGHJK"), problem.WrongCode)
		}
	}
	v, code := begin(r, otpsend.Request{To: bob})
	retire(r)
	r.RefuseStart(toAlice, problem.TooManyChecks)
	if got := len(r.Recipient(alice).Tally(otp.Caller{}).Failures); got != 10 {
		t.Errorf("%d wrong codes are left", got)
	}
	if a := r.Status(v.ID); a.Status != otp.Pending || a.SendsLeft != 4 {
		t.Errorf("%+v", a)
	}
	r.RefuseCheck(rig.ByID(v.ID, code), problem.Expired)
	for range 4 { // one of five messages in ten minutes was sent before
		r.MustStart(otpsend.Request{To: bob})
	}
	r.RefuseStart(otpsend.Request{To: bob}, problem.TooManySends)
	if got := sealedBy(r, store.Key(r.Kept.Key(bob))); got != r.Keys.Current() {
		t.Error("a row that was written is not sealed with the secret in front")
	}
}

// R28. Users are found, and their authenticator apps and recovery codes still work: a
// recovery code cannot be computed from the secret.
func TestR28_UsersAppsAndRecoveryCodesSurviveTheRetirement(t *testing.T) {
	f := newFactors(t, func(u *user.User) { verified(u) })
	key := store.Key(f.Users.Key("main", canary))
	before := sealedBy(f.Rig, key)
	retire(f.Rig)
	if u := f.Registered(canary); u.Name != canary || u.Phone != alice || !u.PhoneVerified || u.Recovery.Left() != 10 {
		t.Errorf("%+v", u)
	}
	if before != sealedBy(f.Rig, key) {
		t.Error("looking at a user wrote the row")
	}
	f.Approve(byTOTP(f.appCode(0)))
	f.RefuseCheck(byTOTP(f.appCode(0)), problem.WrongCode)
	if got := sealedBy(f.Rig, key); got != f.Keys.Current() {
		t.Error("the row is not sealed with the secret in front")
	}
	a := f.Approve(byRecovery(f.codes[3]))
	if *a.RecoveryCodesLeft != 9 {
		t.Errorf("%+v", a)
	}
	f.RefuseCheck(byRecovery(f.codes[3]), problem.WrongCode)
	v, code := begin(f.Rig, toUser)
	f.Approve(rig.ByID(v.ID, code))
}

// R28. Ids of before lead to their rows, and ids of afterwards, too: the marked secret
// still keys the index.
func TestR28_IDsSurviveTheRetirement(t *testing.T) {
	r := newRig(t)
	old := r.MustStart(toAlice).ID
	retire(r)
	next := r.MustStart(otpsend.Request{To: alice, Purpose: "pay"}).ID
	for _, id := range []otp.ID{old, next} {
		r.Table.Break(nil)
		if a := r.Status(id); a.ID != id || r.Table.Calls() != 1 {
			t.Errorf("%+v after %d calls of the table", a, r.Table.Calls())
		}
	}
	r.Rotate(fixture.Secret(100, 50) + ",index:" + fixture.Secret(1))
	r.Approve(rig.ByID(next, r.Code(next)))
}

// R28. The thief who has the marked secret reads no row that is written afterwards.
func TestR28_TheMarkedSecretOpensNoNewRow(t *testing.T) {
	r := newRig(t)
	thief := fixture.Keys(t, 1)
	r.MustStart(toAlice)
	retire(r)
	for i, address := range []string{alice, bob, "+14155550124", "+14155550125", "+14155550126"} {
		r.MustStart(otpsend.Request{To: address, Purpose: "pay"})
		key := string(r.Kept.Key(address))
		row, err := r.Kept.Table.Get(r.Ctx(), store.Key(key))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := thief.Open(row.Data, key); err == nil || bytes.Contains(plain, []byte(address)) {
			t.Errorf("row %d opens", i)
		}
	}
}
