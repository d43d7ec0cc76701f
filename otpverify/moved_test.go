package otpverify_test

import (
	"testing"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

const otherMail = "canary.other@example.com"

// move changes the user's row, as a request that runs beside another one does.
func move(r *rig.Rig, change func(u *user.User)) {
	u := r.Registered(canary)
	change(&u)
	r.User(u)
}

// erase removes the user.
func erase(r *rig.Rig) {
	r.TB.Helper()
	if err := r.Users.Erase(r.Ctx(), r.Users.Key("main", canary), r.Now(), func(user.User) error { return nil }); err != nil {
		r.TB.Fatal(err)
	}
}

// The user is moved or erased while the start is sending, so that nothing ends the
// verification. Its code is refused all the same, in each way to name it.
func TestAttack25_AStartBesideAMoveApprovesNothing(t *testing.T) {
	both := otpsend.Request{User: canary, Channels: []channel.Channel{"email", "sms"}}
	for name, tc := range map[string]struct {
		start otpsend.Request
		move  func(r *rig.Rig)
		// What a check by the user's name is answered.
		byName problem.Kind
	}{
		"another number":             {bySMS(""), func(r *rig.Rig) { move(r, func(u *user.User) { u.Phone = bob }) }, problem.NotFound},
		"no number any more":         {bySMS(""), func(r *rig.Rig) { move(r, func(u *user.User) { u.Phone = "" }) }, problem.NotFound},
		"another mail":               {byEmail(""), func(r *rig.Rig) { move(r, func(u *user.User) { u.Email = otherMail }) }, problem.NotFound},
		"another second mail":        {both, func(r *rig.Rig) { move(r, func(u *user.User) { u.Email = otherMail }) }, problem.Canceled},
		"no second mail any more":    {both, func(r *rig.Rig) { move(r, func(u *user.User) { u.Email = "" }) }, problem.Canceled},
		"both addresses are others":  {both, func(r *rig.Rig) { move(r, func(u *user.User) { u.Phone, u.Email = bob, otherMail }) }, problem.NotFound},
		"erased":                     {bySMS(""), erase, problem.NotFound},
		"erased, at the second mail": {both, erase, problem.NotFound},
		"erased and registered elsewhere": {bySMS(""), func(r *rig.Rig) {
			erase(r)
			r.User(user.User{Name: canary, Phone: bob})
		}, problem.NotFound},
	} {
		for way, request := range map[string]func(id otp.ID, code string) otpverify.Request{
			"by id": rig.ByID,
			"by id and user": func(id otp.ID, code string) otpverify.Request {
				return otpverify.Request{ID: string(id), User: canary, Code: code}
			},
			"by user": func(_ otp.ID, code string) otpverify.Request { return byUser(code) },
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				r := newUserRig(t, verified, channel.SMS, channel.Email)
				moved := false
				for _, c := range []channel.Channel{"sms", "email"} {
					r.Sender(c).During(func(notify.Message) {
						if !moved {
							moved = true
							tc.move(r)
						}
					})
				}
				v, code := begin(r, tc.start)
				want := problem.Canceled
				if way == "by user" {
					want = tc.byName
				}
				r.RefuseCheck(request(v.ID, code), want)
				if want != problem.Canceled {
					r.RefuseCheck(rig.ByID(v.ID, code), problem.Canceled)
				}
				// The right code does not work afterwards, even if the address comes back.
				r.User(user.User{Name: canary, Phone: alice, Email: mail})
				r.RefuseCheck(request(v.ID, code), problem.Canceled)
				r.RefuseCheck(rig.ByID(v.ID, code), problem.Canceled)
				if row, v := r.Verification(v.ID); v.Status != otp.Canceled || len(row.Tally(otp.Caller{}).Failures) != 0 {
					t.Errorf("%s, %d failures", v.Status, len(row.Tally(otp.Caller{}).Failures))
				}
				wantVerified(r, false, false)
			})
		}
	}
}

// The approval of a person's own message is refused in the same way.
func TestAttack25_AnInboundApprovalBesideAMoveIsRefused(t *testing.T) {
	for name, change := range map[string]func(r *rig.Rig){
		"moved": func(r *rig.Rig) { move(r, func(u *user.User) { u.Phone = bob }) }, "erased": erase,
	} {
		for _, before := range []bool{false, true} {
			r := newUserRig(t, nil)
			id, text := r.StartInbound(toUser)
			if before {
				change(r)
			}
			receive(r, alice, text)
			if !before {
				change(r)
			}
			r.RefuseCheck(rig.ByID(id, ""), problem.Canceled)
			if _, v := r.Verification(id); v.Claimed || v.Status != otp.Canceled {
				t.Errorf("%s: %+v", name, v)
			}
		}
	}
}

// The user is moved between the read and the write of the check. Either the check came
// first, or it is refused: nothing is approved after the answer to the move.
func TestAttack25_AMoveDuringTheCheck(t *testing.T) {
	r := newUserRig(t, verified, channel.SMS, channel.Email)
	v, code := begin(r, bySMS(""))
	once := false
	r.Table.Before(func(c rig.Call) error {
		if c.Method == "Get" && !once { // of the user
			once = true
			u := r.Registered(canary)
			u.Phone = bob
			free := &user.Store{Table: r.Kept.Table, Keys: r.Keys}
			_, err := free.Put(t.Context(), free.Key("main", canary), func(user.User) (user.User, error) { return u, nil })
			return err
		}
		return nil
	})
	r.RefuseCheck(rig.ByID(v.ID, code), problem.Canceled)
}

// If the user's row cannot be read, nothing is approved, and nothing is spent.
func TestR19_AUserWhoCannotBeReadApprovesNothing(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		r := newUserRig(t, nil, channel.SMS)
		v, code := begin(r, bySMS(""))
		r.Table.Before(func(c rig.Call) error {
			if c.Method == "Get" {
				return rig.ErrFault
			}
			return nil
		})
		for range 7 {
			r.RefuseCheck(rig.ByID(v.ID, code), problem.StorageUnavailable)
		}
		r.Table.Before(nil)
		if _, kept := r.Verification(v.ID); kept.Status != otp.Pending || kept.Checks != 0 {
			t.Errorf("fault %d: %+v", fault, kept)
		}
		r.Approve(rig.ByID(v.ID, code))
	}
}
