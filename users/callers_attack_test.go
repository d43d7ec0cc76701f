package users_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/users"
)

// desk shares the users of the main directory with bank.
var (
	bankClient = client.Client{ID: "bank", Directory: client.MainDirectory}
	deskClient = client.Client{ID: "desk", Directory: client.MainDirectory}
)

// prove registers a user with the number of Alice in a client's directory, as proven.
func (r *rig) prove(c client.Client, name string) {
	r.t.Helper()
	ctx := r.as(c)
	if _, _, err := r.s.Put(ctx, name, users.Request{Phone: number}, users.Conditions{}); err != nil {
		r.t.Fatalf("%v", err)
	}
	if err := r.Users.Confirm(ctx, r.Users.Key(user.DirectoryOf(ctx), name), number); err != nil {
		r.t.Fatalf("%v", err)
	}
}

// guess starts a verification for a user and checks wrong codes until a check is refused.
// It returns how many were compared.
func (r *rig) guess(ctx context.Context, name string) (compared int) {
	r.t.Helper()
	a, _, err := r.Send.Start(ctx, otpsend.Request{User: name, Channel: "sms"}, "")
	for err == nil {
		_, err = r.Verify.Check(ctx, otpverify.Request{ID: string(a.ID), Code: r.Wrong(a.ID)})
		if problem.Is(err, problem.WrongCode) {
			compared, err = compared+1, nil
		}
	}
	if !problem.Is(err, problem.TooManyChecks, problem.TooManySends, problem.ResendTooSoon) {
		r.t.Fatalf("%v", err)
	}
	return compared
}

// Attack 38. Fifty names hold one number, and each is unlocked, used for guesses, erased and
// registered again, by clients of two directories. All guesses of a day stay at the limit
// that callers share, and so do the messages.
func TestAttack38_FiftyNamesOfOneNumber(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	guesses, unlocks := 0, 0
	for i := range 50 {
		c, name := []client.Client{bankClient, deskClient, shop}[i%3], fmt.Sprintf("name-%d", i)
		r.prove(c, name)
		for range 2 {
			if _, err := r.s.Unlock(r.as(c), name); err == nil {
				unlocks++
			} else {
				fixture.Problem(t, err, problem.TooManyChanges)
			}
			r.Advance(10 * time.Minute)
			guesses += r.guess(r.as(c), name)
			if err := r.s.Delete(r.as(c), name, users.Conditions{}); err != nil {
				t.Fatal(err)
			}
			r.prove(c, name)
		}
	}
	if total := otp.DefaultPolicy().TotalFailuresPerDay(); guesses != total || unlocks != otp.MaxUnlocksPerDay {
		t.Errorf("%d guesses and %d unlocks in a day, want %d and %d", guesses, unlocks, total, otp.MaxUnlocksPerDay)
	}
	if sent := len(r.Sender("sms").Sent()); sent > otp.DefaultPolicy().TotalSendsPerDay()+otp.MaxNoticesPerDay {
		t.Errorf("%d messages", sent)
	}
}

// Attack 38. Erasing all users with a number ends what clients of their directory started
// at it, and nothing else: a client of another directory approves its code.
func TestAttack38_AnErasureLeavesTheVerificationsOfOtherDirectories(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ids := map[string]otp.ID{}
	for i, c := range []client.Client{bankClient, deskClient, shop} {
		r.prove(c, fmt.Sprintf("name-%d", i))
		a, _, err := r.Send.Start(r.as(c), otpsend.Request{To: number}, "key")
		if err != nil {
			t.Fatal(err)
		}
		ids[c.ID] = a.ID
	}
	r.Recipients.DirectoryOf = func(id string) string {
		return map[string]string{"shop": "shop"}[id] + map[string]string{"bank": "main", "desk": "main"}[id]
	}
	code := r.Code(ids["shop"])
	for i := range 50 {
		name := fmt.Sprintf("name-%d", i)
		if i > 1 {
			r.prove(bankClient, name)
		}
		if err := r.s.Delete(r.as(bankClient), name, users.Conditions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []client.Client{bankClient, deskClient} {
		_, err := r.Send.Status(r.as(c), string(ids[c.ID]))
		fixture.Problem(t, err, problem.NotFound)
	}
	again, replayed, err := r.Send.Start(r.as(shop), otpsend.Request{To: number}, "key")
	if err != nil || !replayed || again.ID != ids["shop"] || again.To != "+1******0123" {
		t.Errorf("the answer to a repetition: %+v, replayed %t, %v", again, replayed, err)
	}
	if _, err := r.Verify.Check(r.as(shop), otpverify.Request{To: number, Code: code}); err != nil {
		t.Errorf("the right code: %v", err)
	}
	again, replayed, err = r.Send.Start(r.as(shop), otpsend.Request{To: number}, "key")
	if err != nil || !replayed || again.To != "+1******0123" {
		t.Errorf("after the approval: %+v, replayed %t, %v", again, replayed, err)
	}
}
