package users_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"twofa/internal/client"
	"twofa/internal/hostcall"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/users"
)

// named is a client of the main directory.
func named(id string) client.Client { return client.Client{ID: id, Directory: client.MainDirectory} }

// lock uses up a client's wrong codes of a day at Alice's number.
func (r *rig) lock(id string) {
	r.t.Helper()
	for range 2 {
		r.Advance(time.Minute)
		a, _, err := r.Send.Start(r.as(named(id)), otpsend.Request{User: "alice", Channel: "sms"}, "")
		if err != nil {
			r.TB.Fatal(err)
		}
		for range 5 {
			_, err := r.Verify.Check(r.as(named(id)), otpverify.Request{ID: string(a.ID), Code: r.Wrong(a.ID)})
			fixture.Problem(r.t, err, problem.WrongCode)
		}
	}
	_, _, err := r.Send.Start(r.as(named(id)), otpsend.Request{User: "alice", Channel: "sms"}, "")
	fixture.Problem(r.t, err, problem.TooManyChecks)
}

func TestUnlock_GivesOneAllowanceMoreToOneClient(t *testing.T) {
	t.Parallel()
	r := telling(t, number)
	r.lock("bank")
	r.lock("shop")
	got, err := r.s.Unlock(r.as(named("bank")), "alice")
	if want := []users.UnlockedAddress{{To: "+1******0123", UnlocksLeft: 2}}; err != nil || !slices.Equal(got.Addresses, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	a, _, err := r.Send.Start(r.as(named("bank")), otpsend.Request{User: "alice", Channel: "sms"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify.Check(r.as(named("bank")), otpverify.Request{ID: string(a.ID), Code: r.Code(a.ID)}); err != nil {
		t.Error(err)
	}
	_, _, err = r.Send.Start(r.as(named("shop")), otpsend.Request{User: "alice", Channel: "sms"}, "")
	fixture.Problem(t, err, problem.TooManyChecks)
	if n := len(r.Recipient(number).Tally(otp.Caller{Client: "bank"}).Failures); n != 10 {
		t.Errorf("%d wrong codes are counted, want 10", n)
	}
}

func TestUnlock_ThreeTimesADayOverAllClients(t *testing.T) {
	t.Parallel()
	r := telling(t, number)
	for i, left := range []int{2, 2, 1} { // of the client itself: what others did is not shown
		if got, err := r.s.Unlock(r.as(named([]string{"bank", "shop", "bank"}[i])), "alice"); err != nil || got.Addresses[0].UnlocksLeft != left {
			t.Fatalf("unlock %d: %+v, %v", i+1, got, err)
		}
	}
	r.Advance(time.Hour)
	_, err := r.s.Unlock(r.as(named("bank")), "alice")
	if e := fixture.Problem(t, err, problem.TooManyChanges); e.RetryAfter != window.Day-time.Hour {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	r.Advance(window.Day - time.Hour)
	if _, err := r.s.Unlock(r.as(named("bank")), "alice"); err != nil {
		t.Error(err)
	}
}

// Only proven addresses are unlocked, and one that had all its unlocks does not keep the
// other one locked.
func TestUnlock_EachProvenAddress(t *testing.T) {
	t.Parallel()
	r := telling(t, number, mail)
	for range otp.MaxUnlocksPerDay {
		if _, err := r.Recipients.Unlock(r.Ctx(), number, otp.Caller{}, [16]byte{}, r.Now()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.s.Unlock(r.Ctx(), "alice")
	if want := []users.UnlockedAddress{{To: "a******@example.com", UnlocksLeft: 2}}; err != nil || !slices.Equal(got.Addresses, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	r = withAlice(t)
	_, err = r.s.Unlock(r.Ctx(), "alice")
	r.Refused(err, problem.Undeliverable)
	_, err = r.s.Unlock(r.Ctx(), "nobody")
	r.Refused(err, problem.NotFound)
}

// Attack 34: the host delivers a call again.
func TestAttack34_AnUnlockThatIsDeliveredAgainCountsOnce(t *testing.T) {
	t.Parallel()
	r := telling(t, number)
	for range 40 {
		got, err := r.s.Unlock(hostcall.With(r.Ctx(), "7f3b9a52-0000-4000-8000-000000000001"), "alice")
		if err != nil || got.Addresses[0].UnlocksLeft != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

func TestUnlock_StorageRoundTrips(t *testing.T) {
	t.Parallel()
	r := telling(t, number, mail)
	n := r.Trips(func(ctx context.Context) {
		if _, err := r.s.Unlock(ctx, "alice"); err != nil {
			t.Error(err)
		}
	})
	if n != 5 {
		t.Errorf("%d round trips, want 5", n)
	}
}
