package otp_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
)

// recipients draws recipients as a store may hold them around now: settled or
// not, with times before and after it.
func recipients(now time.Time) *rapid.Generator[otp.Recipient] {
	return rapid.Custom(func(t *rapid.T) otp.Recipient {
		at := rapid.Custom(func(t *rapid.T) time.Time {
			return now.Add(time.Duration(rapid.Int64Range(-26*3600*1000, 3600*1000).Draw(t, "ms")) * ms)
		})
		times := func(label string) []time.Time {
			s := rapid.SliceOfN(at, 0, 12).Draw(t, label)
			slices.SortFunc(s, time.Time.Compare)
			return s
		}
		r := otp.Recipient{Address: alice, Sends: times("sends"), Failures: times("failures")}
		statuses := []otp.Status{
			otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable,
		}
		live := 0
		for i := range rapid.IntRange(0, 8).Draw(t, "verifications") {
			created := at.Draw(t, "created")
			v := otp.Verification{
				ID: newID(alice, uint64(i)), Key: keyring.Current(), Shape: otp.DefaultPolicy().Shape,
				Purpose: fmt.Sprintf("p%d", i%5), Channel: "sms", Nonce: [16]byte{byte(i)},
				Status:    rapid.SampledFrom(statuses).Draw(t, "status"),
				CreatedAt: created,
				ExpiresAt: created.Add(10 * time.Minute).Truncate(time.Second),
				Checks:    rapid.IntRange(0, 5).Draw(t, "checks"),
				Sends:     rapid.IntRange(1, 5).Draw(t, "sent"),
			}
			if v.Status == otp.Pending {
				live++
			}
			if live > otp.MaxLive {
				v.Status = otp.Canceled
			}
			if v.Status != otp.Pending {
				v.EndedAt = created.Add(time.Minute)
			}
			r.Verifications = append(r.Verifications, v)
		}
		return r
	})
}

// anyTransition draws one call of one transition.
func anyTransition(t *rapid.T, now time.Time) func(otp.Recipient) (otp.Recipient, otp.Verification, error) {
	p := otp.DefaultPolicy()
	p.ResendAfter = rapid.SampledFrom([]time.Duration{0, 30 * time.Second}).Draw(t, "pause")
	id := newID(alice, rapid.Uint64Range(0, 8).Draw(t, "id"))
	purpose := rapid.SampledFrom([]string{"p0", "p1", "p2", "p3", "p4"}).Draw(t, "purpose")
	checkRight := rapid.Bool().Draw(t, "right")
	name := rapid.SampledFrom([]string{"settle", "start", "resend", "check", "cancel", "fail delivery"}).Draw(t, "transition")
	return func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		switch name {
		case "start":
			return otp.Start(r, otp.StartRequest{
				ID: newID(alice, 99), Address: alice, Purpose: purpose, Key: keyring.Current(), Channel: "sms",
			}, p, now)
		case "resend":
			return otp.Resend(r, id, "voice", p, now)
		case "check":
			req := otp.CheckRequest{ID: id, Code: "000000"}
			if v, err := r.Find(id); err == nil && checkRight {
				req.Code, _ = v.Code(keyring)
			}
			return otp.Check(r, req, keyring, p, now)
		case "cancel":
			return otp.Cancel(r, id, now)
		case "fail delivery":
			return otp.FailDelivery(r, id, now)
		}
		return r.Settle(now), otp.Verification{}, nil
	}
}

func TestTransitions_NeverChangeTheirArguments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := recipients(noon).Draw(t, "recipient")
		// Room behind each list: an append to a shared list would land there.
		old.Verifications = slices.Grow(old.Verifications, 4)
		old.Sends = slices.Grow(old.Sends, 4)
		old.Failures = slices.Grow(old.Failures, 4)
		apply := anyTransition(t, noon)
		before := deepCopy(old)

		r, _, _ := apply(old)
		if !same(old, before) {
			t.Fatalf("the argument is now\n%+v\nand was\n%+v", old, before)
		}
		scribble(r)
		if !same(old, before) {
			t.Fatal("the result shares memory with the argument")
		}
	})
}

// scribble overwrites every list of r up to its capacity.
func scribble(r otp.Recipient) {
	for i := range r.Verifications[:cap(r.Verifications)] {
		r.Verifications[:cap(r.Verifications)][i] = otp.Verification{ID: "scribbled"}
	}
	for _, times := range [][]time.Time{r.Sends, r.Failures} {
		for i := range times[:cap(times)] {
			times[:cap(times)][i] = time.Unix(0, 0)
		}
	}
}

func TestTransitions_SameInputSameOutput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := recipients(noon).Draw(t, "recipient")
		apply := anyTransition(t, noon)
		r1, v1, err1 := apply(old)
		r2, v2, err2 := apply(old)
		if !same(r1, r2) || v1 != v2 || !reflect.DeepEqual(err1, err2) {
			t.Fatalf("first  %+v %+v %v\nsecond %+v %+v %v", r1, v1, err1, r2, v2, err2)
		}
	})
}

// What a transition returns is settled already, so that it is kept as it is.
func TestTransitions_ReturnASettledRecipient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, _, _ := anyTransition(t, noon)(recipients(noon).Draw(t, "recipient"))
		if again := r.Settle(noon); !same(again, r) {
			t.Fatalf("returned %+v\nsettled  %+v", r, again)
		}
	})
}

// A refusal is an *otp.Error, and never one that is nil inside an interface.
func TestTransitions_RefuseWithAnOTPErrorOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, err := anyTransition(t, noon)(recipients(noon).Draw(t, "recipient"))
		if err == nil {
			return
		}
		e, ok := err.(*otp.Error)
		if !ok || e == nil {
			t.Fatalf("got %#v", err)
		}
		if e.Detail == "" && e.Kind != otp.Internal {
			t.Fatalf("%v says nothing to the client's developer", e.Kind)
		}
		if e.RetryAfter < 0 {
			t.Fatalf("retry after %v", e.RetryAfter)
		}
	})
}

func TestKeepUntil_IsNeverBeforeTheEndOfAWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := recipients(noon).Draw(t, "recipient").Settle(noon)
		until := r.KeepUntil()
		for _, v := range r.Verifications {
			if v.Status == otp.Pending && until.Before(v.ExpiresAt) {
				t.Fatalf("kept until %v, a verification lives until %v", until, v.ExpiresAt)
			}
		}
		for _, event := range append(slices.Clone(r.Sends), r.Failures...) {
			if until.Before(event.Add(otp.Day)) {
				t.Fatalf("kept until %v, an event of %v still counts", until, event)
			}
		}
	})
}

func TestKeepUntil_AtThatTimeNothingIsRemembered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := recipients(noon).Draw(t, "recipient").Settle(noon)
		r = r.Settle(r.KeepUntil())
		if len(r.Verifications)+len(r.Sends)+len(r.Failures) != 0 {
			t.Fatalf("still remembers %+v", r)
		}
		if !r.KeepUntil().IsZero() {
			t.Fatalf("an empty recipient is kept until %v", r.KeepUntil())
		}
	})
}
