package otp_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/testing/fixture"
)

var allStatuses = []otp.Status{
	otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable,
}

var allDeliveries = []otp.DeliveryStatus{otp.Queued, otp.Sent, otp.Failed, otp.Delivered, otp.Read}

var (
	anyNext    = rapid.SampledFrom([]otp.Next{otp.NextChannel, otp.NextCall, otp.NextAddress, otp.NextNone})
	anyChannel = rapid.SampledFrom([]channel.Channel{"whatsapp", "sms", "call", "email"})
	// anyWorkflow has one to four channels, each of them once.
	anyWorkflow = rapid.SliceOfNDistinct(anyChannel, 1, 4, rapid.ID)
)

// callers are callers at one address.
var (
	callers = []otp.Caller{
		server, {Client: "bank"}, {Client: "shop"}, {Client: "bank", Origin: otp.OriginTyped, Network: otp.Network{1}},
		{Client: "shop", Origin: otp.OriginTyped}, {Client: "shop", Origin: otp.OriginKnown},
	}
	anyCaller = rapid.SampledFrom(callers)
)

// recipients draws recipients as a store may hold them around now: settled or
// not, with times before and after it.
func recipients(now time.Time) *rapid.Generator[otp.Recipient] {
	return rapid.Custom(func(t *rapid.T) otp.Recipient {
		at := rapid.Custom(func(t *rapid.T) time.Time {
			return now.Add(time.Duration(rapid.Int64Range(-26*3600*1000, 3600*1000).Draw(t, "ms")) * ms)
		})
		maybe := func(label string) time.Time {
			if rapid.Bool().Draw(t, "no "+label) {
				return time.Time{}
			}
			return at.Draw(t, label)
		}
		times := func(label string) []time.Time {
			s := rapid.SliceOfN(at, 0, 12).Draw(t, label)
			slices.SortFunc(s, time.Time.Compare)
			return s
		}
		r := otp.Recipient{Address: fixture.Alice, BlockedUntil: maybe("block"), Notices: times("notices")}
		for _, c := range callers[:rapid.IntRange(0, len(callers)).Draw(t, "callers")] {
			r.Tallies = append(r.Tallies, otp.Tally{Caller: c, Sends: times("sends"), Failures: times("failures"), AlertedAt: maybe("alert")})
		}
		if at := maybe("known"); !at.IsZero() {
			r.KnownAt, r.Epoch = at, maybe("epoch")
		}
		for _, at := range times("messages") {
			r.Messages = append(r.Messages, otp.Message{Hash: otp.NewMessageHash(at.String()), At: at})
		}
		for i, at := range times("events") {
			r.Events = append(r.Events, otp.Event{Client: fmt.Sprint(i % 2), Name: fmt.Sprint(i % 3), At: at})
		}
		if at := maybe("preferred"); !at.IsZero() {
			r.Preferred = append(r.Preferred, otp.Preferred{Client: anyCaller.Draw(t, "by").Client, Channel: anyChannel.Draw(t, "preferred channel"), At: at.AddDate(0, 0, -rapid.IntRange(0, 90).Draw(t, "days"))})
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "replays") {
			r.Replays = append(r.Replays, otp.Replay{
				Idempotency: otp.Idempotency{Key: [16]byte{byte(i + 1)}, Call: [16]byte{byte(rapid.IntRange(0, 1).Draw(t, "call"))}}, At: at.Draw(t, "answered"), ID: newID(fixture.Alice, uint64(i)),
				UnderWay: rapid.Bool().Draw(t, "under way"), Caller: anyCaller.Draw(t, "replay of"),
			})
		}
		live := 0
		for i := range rapid.IntRange(0, 8).Draw(t, "verifications") {
			v := anyVerification(t, i, at.Draw(t, "created"))
			if v.Status == otp.Pending {
				live++
			}
			if live > otp.MaxLive {
				v.Status = otp.Canceled
			}
			if v.Status != otp.Pending {
				v.EndedAt = v.CreatedAt.Add(time.Minute)
			}
			r.Verifications = append(r.Verifications, v)
		}
		return r
	})
}

func anyVerification(t *rapid.T, i int, created time.Time) otp.Verification {
	v := otp.Verification{
		ID: newID(fixture.Alice, uint64(i)), Key: keyring.Current(), Shape: otp.DefaultPolicy().Shape,
		Purpose: fmt.Sprintf("p%d", i%5), Nonce: [16]byte{byte(i)}, Other: fixture.AliceMail,
		Status:    rapid.SampledFrom(allStatuses).Draw(t, "status"),
		CreatedAt: created,
		ExpiresAt: created.Add(10 * time.Minute).Truncate(time.Second),
		Checks:    rapid.IntRange(0, 5).Draw(t, "checks"),
	}
	switch rapid.IntRange(0, 5).Draw(t, "sort") {
	case 0:
		v.Workflow = []channel.Channel{channel.Inbound}
		return v
	case 1:
		v.TestCode = "424242"
	}
	v.Workflow = anyWorkflow.Draw(t, "workflow")
	for range rapid.IntRange(1, 5).Draw(t, "sent") {
		v.Attempts = append(v.Attempts, otp.Attempt{
			Channel: anyChannel.Draw(t, "channel"), At: created,
			Status:     rapid.SampledFrom(allDeliveries).Draw(t, "delivery"),
			MayRecover: rapid.Bool().Draw(t, "may recover"),
		})
	}
	return v
}

type transition = func(otp.Recipient) (otp.Recipient, otp.Verification, error)

func anyStart(t *rapid.T) otp.StartRequest {
	start := otp.StartRequest{
		ID: newID(fixture.Alice, 99), Address: fixture.Alice, Key: keyring.Current(),
		Idempotency: otp.Idempotency{Key: [16]byte{rapid.ByteRange(0, 6).Draw(t, "key")}, Call: [16]byte{rapid.ByteRange(0, 1).Draw(t, "call")}},
		Purpose:     rapid.SampledFrom([]string{"p0", "p1", "p2", "p3", "p4"}).Draw(t, "purpose"),
		Workflow:    anyWorkflow.Draw(t, "workflow"),
	}
	if rapid.IntRange(0, 3).Draw(t, "inbound") == 0 {
		start.Workflow = []channel.Channel{channel.Inbound}
	}
	return start
}

// anyTransition draws one call of one transition.
func anyTransition(t *rapid.T, now time.Time) transition {
	p := otp.DefaultPolicy()
	p.ResendAfter = rapid.SampledFrom([]time.Duration{0, 30 * time.Second}).Draw(t, "pause")
	id := newID(fixture.Alice, rapid.Uint64Range(0, 8).Draw(t, "id"))
	start := anyStart(t)
	idempotency := start.Idempotency
	// Without EndsExpired: only Settle marks its verification as expired.
	endings := []otp.Ending{otp.NoScenario, otp.EndsDelivered, otp.EndsUndeliverable, otp.EndsFallback, otp.EndsExhausted}
	scenario := otp.Scenario{Ending: rapid.SampledFrom(endings).Draw(t, "ending"), Code: "424242"}
	progress := otp.Progress{
		ID: id, Attempt: rapid.IntRange(0, 6).Draw(t, "attempt"), Status: rapid.SampledFrom(allDeliveries).Draw(t, "news"),
		MayRecover: rapid.Bool().Draw(t, "may recover"), Unsent: rapid.Bool().Draw(t, "unsent"), Next: anyNext.Draw(t, "next"),
	}
	question := otp.Question{ID: id, Attempt: progress.Attempt, To: []string{fixture.Alice}, Call: otp.MessageHash{1}}
	over := rapid.SampledFrom([]channel.Channel{"", channel.Next, "sms"}).Draw(t, "channel")
	checkRight := rapid.Bool().Draw(t, "right")
	c := anyCaller.Draw(t, "caller")
	check := func(r otp.Recipient) otp.CheckRequest {
		req := otp.CheckRequest{ID: id, Code: "000000"}
		if v, err := r.Find(id); err == nil {
			req.Caller = v.Caller
			if checkRight {
				req.Code, _ = v.Code(keyring)
			}
		}
		return req
	}
	type (
		R = otp.Recipient
		V = otp.Verification
	)
	bySMS := V{Workflow: []channel.Channel{"sms"}}
	withScenario := start
	withScenario.Scenario = scenario
	all := map[string]transition{
		"settle":                func(r R) (R, V, error) { return r.Settle(now), V{}, nil },
		"start":                 func(r R) (R, V, error) { return otp.Start(r, start, p, now) },
		"start with a scenario": func(r R) (R, V, error) { return otp.Start(r, withScenario, p, now) },
		"resend": func(r R) (R, V, error) {
			return otp.Resend(r, otp.ResendRequest{ID: id, Channel: over, Idempotency: idempotency}, p, now)
		},
		"check":   func(r R) (R, V, error) { return otp.Check(r, check(r), keyring, p, now) },
		"cancel":  func(r R) (R, V, error) { return otp.Cancel(r, c.Owner(), id, now) },
		"deny":    func(r R) (R, V, error) { return otp.Deny(r, now) },
		"follow":  func(r R) (R, V, error) { r, v, _, err := otp.Follow(r, progress, p, now); return r, v, err },
		"answer":  func(r R) (R, V, error) { return otp.Answer(r, question, now) },
		"spend":   func(r R) (R, V, error) { r, err := otp.Spend(r, fixture.Alice, c, p, now); return r, V{}, err },
		"confirm": func(r R) (R, V, error) { return otp.Confirm(r, []string{check(r).Code}, keyring, now) },
		"claim":   func(r R) (R, V, error) { return otp.Claim(r, check(r), quiet(), now) },
		"conclude": func(r R) (R, V, error) {
			return otp.Conclude(r.Settle(now), idempotency, bySMS, otp.OutcomeUnclear, time.Minute), bySMS, nil
		},
		"reserve": func(r R) (R, V, error) {
			r, _, err := otp.Reserve(r, fixture.Alice, c, p, now)
			return r, V{}, err
		},
		"give back": func(r R) (R, V, error) {
			reserved := otp.Reservation{Address: r.Address, Caller: c}
			if len(r.Tally(c).Failures) > 0 {
				reserved.At = r.Tally(c).Failures[0]
			}
			return otp.GiveBack(r, reserved, now), V{}, nil
		},
		"notify":   func(r R) (R, V, error) { r, err := otp.Notify(r, fixture.Alice, now); return r, V{}, err },
		"alert":    func(r R) (R, V, error) { r, err := otp.Alert(r, fixture.Alice, c, now); return r, V{}, err },
		"event":    func(r R) (R, V, error) { r, err := otp.AlertEvent(r, fixture.Alice, "0", "1", now); return r, V{}, err },
		"continue": func(r R) (R, V, error) { return otp.Continue(r.Settle(now), idempotency, bySMS), bySMS, nil },
		"unlock": func(r R) (R, V, error) {
			r, _, err := otp.AddUnlock(r, fixture.Alice, c, [16]byte{1}, now)
			return r, V{}, err
		},
		"erase": func(r R) (R, V, error) {
			return r.Settle(now).Forgotten(func(client string) bool { return client == c.Client }, now), V{}, nil
		},
		"once": func(r R) (R, V, error) {
			return otp.Once(r, otp.NewMessageHash("SM1"), now, func(r R) (R, V, error) { return otp.Deny(r, now) })
		},
		"forget": func(r R) (R, V, error) { return otp.Forget(r, idempotency, bySMS).Settle(now), V{}, nil },
	}
	return all[rapid.SampledFrom(slices.Sorted(maps.Keys(all))).Draw(t, "transition")]
}

// isRepetition reports whether a request had an idempotency key that was used
// before. The transition then returns the old recipient itself.
func isRepetition(err error) bool {
	_, replayed := errors.AsType[*otp.Replay](err)
	_, underWay := errors.AsType[*otp.UnderWayError](err)
	return replayed || underWay || problem.Is(err, problem.IdempotencyConflict)
}

func TestTransitions_NeverChangeTheirArguments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := recipients(fixture.Noon).Draw(t, "recipient")
		// Spare capacity of each list: an append to a shared list would write there.
		old.Verifications = slices.Grow(old.Verifications, 4)
		old.Tallies, old.Preferred = slices.Grow(old.Tallies, 4), slices.Grow(old.Preferred, 4)
		for i := range old.Tallies {
			old.Tallies[i].Sends, old.Tallies[i].Failures = slices.Grow(old.Tallies[i].Sends, 4), slices.Grow(old.Tallies[i].Failures, 4)
		}
		old.Replays = slices.Grow(old.Replays, 4)
		old.Notices, old.Events, old.Messages = slices.Grow(old.Notices, 4), slices.Grow(old.Events, 4), slices.Grow(old.Messages, 4)
		for i := range old.Verifications {
			old.Verifications[i].Attempts = slices.Grow(old.Verifications[i].Attempts, 4)
			old.Verifications[i].Workflow = slices.Grow(old.Verifications[i].Workflow, 4)
		}
		apply := anyTransition(t, fixture.Noon)
		before, room := deepCopy(old), deepCopy(toCapacity(old))

		r, v, err := apply(old)
		if !same(old, before) || !same(toCapacity(old), room) {
			t.Fatalf("the argument is now\n%+v\nand was\n%+v", old, before)
		}
		if isRepetition(err) {
			return
		}
		scribble(r, v)
		if !same(old, before) || !same(toCapacity(old), room) {
			t.Fatal("the result shares memory with the argument")
		}
	})
}

// toCapacity returns r with its lists extended to their capacities.
func toCapacity(r otp.Recipient) otp.Recipient {
	r.Verifications = slices.Clone(r.Verifications[:cap(r.Verifications)])
	for i := range r.Verifications {
		v := &r.Verifications[i]
		v.Attempts, v.Workflow = v.Attempts[:cap(v.Attempts)], v.Workflow[:cap(v.Workflow)]
	}
	r.Tallies = slices.Clone(r.Tallies[:cap(r.Tallies)])
	for i := range r.Tallies {
		t := &r.Tallies[i]
		t.Sends, t.Failures = t.Sends[:cap(t.Sends)], t.Failures[:cap(t.Failures)]
	}
	r.Replays, r.Preferred = r.Replays[:cap(r.Replays)], r.Preferred[:cap(r.Preferred)]
	r.Events = r.Events[:cap(r.Events)]
	return r
}

// scribble overwrites every list of a result up to its capacity, except the
// workflows: nothing ever changes one, so two recipients may share it.
func scribble(r otp.Recipient, v otp.Verification) {
	all := r.Verifications[:cap(r.Verifications)]
	for _, v := range append(slices.Clone(all), v) {
		for i := range v.Attempts[:cap(v.Attempts)] {
			v.Attempts[:cap(v.Attempts)][i] = otp.Attempt{Channel: "scribbled"}
		}
	}
	for i := range all {
		all[i] = otp.Verification{ID: "scribbled"}
	}
	for _, t := range r.Tallies {
		for _, times := range [][]time.Time{t.Sends, t.Failures} {
			for i := range times[:cap(times)] {
				times[:cap(times)][i] = time.Unix(0, 0)
			}
		}
	}
	for i := range r.Tallies[:cap(r.Tallies)] {
		r.Tallies[:cap(r.Tallies)][i] = otp.Tally{Caller: otp.Caller{Client: "scribbled"}}
	}
	for i := range r.Preferred[:cap(r.Preferred)] {
		r.Preferred[:cap(r.Preferred)][i] = otp.Preferred{Channel: "scribbled"}
	}
	for i := range r.Events[:cap(r.Events)] {
		r.Events[:cap(r.Events)][i] = otp.Event{Name: "scribbled"}
	}
	for i := range r.Replays[:cap(r.Replays)] {
		r.Replays[:cap(r.Replays)][i] = otp.Replay{Purpose: "scribbled"}
	}
}

func TestTransitions_SameInputSameOutput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := recipients(fixture.Noon).Draw(t, "recipient")
		apply := anyTransition(t, fixture.Noon)
		r1, v1, err1 := apply(old)
		r2, v2, err2 := apply(old)
		if !same(r1, r2) || !alike(v1, v2) || !reflect.DeepEqual(err1, err2) {
			t.Fatalf("first  %+v %+v %v\nsecond %+v %+v %v", r1, v1, err1, r2, v2, err2)
		}
	})
}

// A transition returns a settled recipient. A repetition returns the old one.
func TestTransitions_ReturnASettledRecipient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		apply, old := anyTransition(t, fixture.Noon), recipients(fixture.Noon).Draw(t, "recipient")
		r, _, err := apply(old)
		if isRepetition(err) {
			if !same(r, old) {
				t.Fatalf("a repetition returned %+v\nfor %+v", r, old)
			}
			return
		}
		if again := r.Settle(fixture.Noon); !same(again, r) {
			t.Fatalf("returned %+v\nsettled  %+v", r, again)
		}
	})
}

// A row holds whole milliseconds and a clock is finer: a transition returns what
// the row will hold.
func TestTransitions_ReturnWhatARowCanHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := fixture.Noon.Add(123456 * time.Nanosecond)
		r, v, err := anyTransition(t, now)(recipients(fixture.Noon).Draw(t, "recipient"))
		if isRepetition(err) {
			return
		}
		kept, err := recipient.Decode(mustEncode(t, r))
		if err != nil || !same(kept, r) {
			t.Fatalf("returned %+v\nkept     %+v, %v", r, kept, err)
		}
		if found, err := kept.Find(v.ID); err == nil && !alike(found, v) {
			t.Fatalf("answered %+v\nkept     %+v", v, found)
		}
	})
}

// An error is a *problem.Error, an *otp.Replay, an *otp.UnderWayError, or what a check needs of another row,
// and never a nil pointer in an interface.
func TestTransitions_RefuseWithAProblemOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, err := anyTransition(t, fixture.Noon)(recipients(fixture.Noon).Draw(t, "recipient"))
		if err == nil {
			return
		}
		if replay, ok := err.(*otp.Replay); ok && replay != nil {
			return
		}
		if other, ok := err.(*otp.UnderWayError); ok && other != nil && other.Left > 0 && other.Left <= otp.MaxRequest {
			return
		}
		if needed, ok := err.(*otp.NeedsReservationError); ok && needed != nil && needed.Address != "" || err == otp.ErrNeedsUser {
			return
		}
		e, ok := err.(*problem.Error)
		if !ok || e == nil {
			t.Fatalf("got %#v", err)
		}
		if e.Detail == "" && len(e.Fields) == 0 && e.Kind != problem.Internal {
			t.Fatalf("%v has neither a detail nor fields", e.Kind)
		}
		if e.RetryAfter < 0 {
			t.Fatalf("retry after %v", e.RetryAfter)
		}
	})
}

func TestKeepUntil_IsNeverBeforeTheEndOfAWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keptLongEnough(t, recipients(fixture.Noon).Draw(t, "recipient").Settle(fixture.Noon))
	})
}

// keptLongEnough fails if the row of a settled recipient may be removed while
// something in it is still needed.
func keptLongEnough(t *rapid.T, r otp.Recipient) {
	t.Helper()
	until := r.KeepUntil()
	need := func(what string, end time.Time) {
		if until.Before(end) {
			t.Fatalf("kept until %v, %s is needed until %v", until, what, end)
		}
	}
	for _, v := range r.Verifications {
		if v.Status == otp.Pending {
			need("a verification", v.ExpiresAt)
		} else {
			need("an ended verification", v.EndedAt.Add(24*time.Hour))
		}
	}
	for _, tally := range r.Tallies {
		for _, event := range slices.Concat(tally.Sends, tally.Failures) {
			need("an event", event.Add(24*time.Hour))
		}
		for _, u := range tally.Unlocks {
			need("an unlock", u.At.Add(24*time.Hour))
		}
		if !tally.AlertedAt.IsZero() {
			need("an alert", tally.AlertedAt.Add(time.Hour))
		}
	}
	for _, e := range r.Events {
		need("an alert of an event", e.At.Add(24*time.Hour))
	}
	for _, p := range r.Replays {
		need("a replay", p.At.Add(24*time.Hour))
	}
	need("a block", r.BlockedUntil)
	for _, p := range r.Preferred {
		need("a preferred channel", p.At.Add(90*24*time.Hour))
	}
	if !r.KnownAt.IsZero() {
		need("a known browser", r.KnownAt.Add(90*24*time.Hour))
	}
}

func TestKeepUntil_AtThatTimeNothingIsRemembered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := recipients(fixture.Noon).Draw(t, "recipient").Settle(fixture.Noon)
		if r = r.Settle(r.KeepUntil()); !same(r, otp.Recipient{}) {
			t.Fatalf("still remembers %+v", r)
		}
		if !r.KeepUntil().IsZero() {
			t.Fatalf("an empty recipient is kept until %v", r.KeepUntil())
		}
	})
}

// Each entry alone keeps the row, with its address, to the end of its window and
// no longer.
func TestKeepUntil_OfEachThingAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		r    otp.Recipient
		keep time.Duration
	}{
		"a send":    {otp.Recipient{Tallies: one(otp.Tally{Sends: []time.Time{fixture.Noon}})}, 24 * time.Hour},
		"a failure": {otp.Recipient{Tallies: one(otp.Tally{Failures: []time.Time{fixture.Noon}})}, 24 * time.Hour},
		"an alert":  {otp.Recipient{Tallies: one(otp.Tally{AlertedAt: fixture.Noon})}, time.Hour},
		"an unlock": {otp.Recipient{Tallies: one(otp.Tally{Unlocks: []otp.Unlock{{At: fixture.Noon}}})}, 24 * time.Hour},
		"a browser": {otp.Recipient{KnownAt: fixture.Noon, Epoch: fixture.Noon}, 90 * 24 * time.Hour},
		"an event":  {otp.Recipient{Events: []otp.Event{{At: fixture.Noon}}}, 24 * time.Hour},
		"a block":   {otp.Recipient{BlockedUntil: fixture.Noon.Add(time.Minute)}, time.Minute},
		"a channel": {otp.Recipient{Preferred: []otp.Preferred{{Channel: "sms", At: fixture.Noon}}}, 90 * 24 * time.Hour},
		"a replay":  {otp.Recipient{Replays: []otp.Replay{{At: fixture.Noon}}}, 24 * time.Hour},
		"an end":    {otp.Recipient{Verifications: []otp.Verification{{Status: otp.Denied, EndedAt: fixture.Noon}}}, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			tc.r.Address = fixture.Alice
			end := fixture.Noon.Add(tc.keep)
			if until := tc.r.KeepUntil(); !until.Equal(end) {
				t.Errorf("kept until %v, want %v", until, end)
			}
			if got := tc.r.Settle(end.Add(-1)); !same(got, tc.r) {
				t.Errorf("before its end: %+v", got)
			}
			if got := tc.r.Settle(end); !same(got, otp.Recipient{}) {
				t.Errorf("at its end: %+v", got)
			}
		})
	}
}
