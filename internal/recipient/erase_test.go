package recipient_test

import (
	"context"
	"errors"
	"testing"

	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/window"
)

// erase forgets Alice.
func erase(r *rig.Rig) {
	r.TB.Helper()
	if err := r.Recipients.Erase(r.Ctx(), fixture.Alice, client.MainDirectory, r.Now()); err != nil {
		r.TB.Fatal(err)
	}
}

func TestErase_LeavesOnlyTheTimesOfTheLimits(t *testing.T) {
	r, v := begin(t)
	code := r.Code(v.ID)
	r.Refused(check(r, r.Recipients, v.ID, r.Wrong(v.ID)), problem.WrongCode)
	erase(r)
	left := r.Recipient(fixture.Alice)
	if left.Address != "" || len(left.Verifications)+len(left.Replays) != 0 || len(left.Preferred) != 0 {
		t.Errorf("left: %+v", left)
	}
	// R4: an erasure gives nobody new tries.
	if len(left.Tally(otp.Caller{}).Sends) != 1 || len(left.Tally(otp.Caller{}).Failures) != 1 {
		t.Errorf("%d sends and %d failures are counted, want 1 and 1", len(left.Tally(otp.Caller{}).Sends), len(left.Tally(otp.Caller{}).Failures))
	}
	r.Refused(check(r, r.Recipients, v.ID, code), problem.NotFound)
	if got := raw(r).KeepUntil; !got.Equal(fixture.Noon.Add(window.Day + window.MaxSkew)) {
		t.Errorf("kept until %v", got)
	}
	// A day later no event counts any more.
	r.Advance(window.Day)
	erase(r)
}

// The row has to outlive every write of the address that is under way: see
// [row.Store.Erase].
func TestErase_WithoutALimitKeepsTheRowForMaxSkew(t *testing.T) {
	r, _ := begin(t)
	r.Advance(window.Day) // the verification is remembered for a day after its end
	erase(r)
	if left := r.Recipient(fixture.Alice); len(left.Tally(otp.Caller{}).Sends) != 0 {
		t.Errorf("left: %+v", left)
	}
	if got, want := raw(r).KeepUntil, r.Now().Add(window.MaxSkew); !got.Equal(want) {
		t.Errorf("kept until %v, want %v", got, want)
	}
}

func TestCancelUser_EndsOnlyWhatIsPendingForThatUser(t *testing.T) {
	r, v := begin(t)
	cancel := func(address string, user otp.UserKey) {
		t.Helper()
		if err := r.Recipients.CancelUser(r.Ctx(), address, user, r.Now()); err != nil {
			t.Fatal(err)
		}
	}
	cancel(fixture.Alice, "u1")
	if err := check(r, r.Recipients, v.ID, r.Code(v.ID)); err != nil {
		t.Errorf("another user's verification was ended: %v", err)
	}
	v = start(r, r.Recipients, 2)
	cancel(fixture.Alice, "") // started for the address
	r.Refused(check(r, r.Recipients, v.ID, r.Code(v.ID)), problem.Canceled)
	cancel(fixture.Bob, "u1") // an unknown address
}

func TestErase_TheAddressMayComeBack(t *testing.T) {
	r, _ := begin(t)
	erase(r)
	v := start(r, r.Recipients, 2)
	if err := check(r, r.Recipients, v.ID, r.Code(v.ID)); err != nil {
		t.Error(err)
	}
}

func TestErase_WritesNothingIfNothingIsLeftToErase(t *testing.T) {
	r := rig.New(t)
	unwritten(r, "an unknown address", func() { erase(r) })
	start(r, r.Recipients, 1)
	erase(r)
	unwritten(r, "another erasure", func() { erase(r) })
}

// Two addresses may share a row's key. Nothing that is done to one of them may
// change the other's row.
func TestErase_TheRowOfAnotherAddressStays(t *testing.T) {
	r, _ := begin(t)
	_, _, err := r.Recipients.Change(r.Ctx(), r.Recipients.Key(fixture.Alice), func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		old.Address = fixture.Bob
		return old, otp.Verification{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	unwritten(r, "another's row", func() {
		erase(r)
		if err := r.Recipients.CancelUser(r.Ctx(), fixture.Alice, "", r.Now()); err != nil {
			t.Error(err)
		}
	})
}

func TestErase_ErasesWhatIsWrittenInBetweenToo(t *testing.T) {
	r, _ := begin(t)
	between(r, func() { start(r, r.Kept, 2) })
	erase(r)
	if left := r.Recipient(fixture.Alice); len(left.Verifications) != 0 {
		t.Errorf("left: %+v", left)
	}
}

func TestErase_ReturnsFaults(t *testing.T) {
	r, _ := begin(t)
	r.Table.Break(func(int) rig.Fault { return rig.Lost })
	err := r.Recipients.Erase(r.Ctx(), fixture.Alice, client.MainDirectory, r.Now())
	if e := r.Refused(err, problem.StorageUnavailable); e.RetryAfter <= 0 || !errors.Is(e, store.ErrUnavailable) {
		t.Errorf("got %+v", e)
	}
	r.Table.Break(nil)
	start(r, r.Recipients, 2)
	rotated := &recipient.Store{Table: oneRow{r.Table, store.Key(r.Recipients.Key(fixture.Alice))}, Keys: fixture.Keys(t, 90)} // a secret was lost
	unwritten(r, "a row that cannot be read", func() {
		r.Refused(rotated.Erase(r.Ctx(), fixture.Alice, client.MainDirectory, r.Now()), problem.Internal)
	})
	if left := r.Recipient(fixture.Alice); len(left.Verifications) != 1 {
		t.Errorf("left: %+v", left)
	}
}

// oneRow changes the row of its key for every key.
type oneRow struct {
	store.Table
	key store.Key
}

func (o oneRow) Update(ctx context.Context, _ store.Key, fn func([]byte) (store.Row, error)) error {
	return o.Table.Update(ctx, o.key, fn)
}
