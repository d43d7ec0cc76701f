package otp_test

import (
	"errors"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// known is the idempotency of request n.
func known(n int) otp.Idempotency {
	return otp.Idempotency{Key: [16]byte{byte(n), byte(n >> 8), 1}, Body: [16]byte{byte(n), 15: 7}}
}

// conflicting is another request with the key of request n.
func conflicting(n int) otp.Idempotency {
	i := known(n)
	i.Body[0] ^= 0x80
	return i
}

func (r *rig) startAs(n int) otp.Verification {
	r.t.Helper()
	return r.startWith(func(req *otp.StartRequest) { req.Idempotency = known(n) })
}

// wantKnown checks whether the answer of request n is remembered.
func (r *rig) wantKnown(n int, want bool) {
	r.t.Helper()
	if _, ok, err := r.kept.Replayed(server, known(n)); ok != want || err != nil {
		r.t.Errorf("request %d at %v: known %v, %v; want %v", n, r.now.Sub(fixture.Noon), ok, err, want)
	}
}

// answered starts a verification as request 1 and resends it over SMS as request
// 2, a minute later and after a wrong code. It returns what both were answered.
func answered(t *testing.T) (*rig, otp.Verification, []otp.Replay) {
	t.Helper()
	r := newRig(t, otp.DefaultPolicy())
	v := r.startAs(1)
	r.kept = otp.Conclude(r.kept, known(1), v, otp.OutcomeSent, 0)
	r.now = fixture.Noon.Add(time.Minute)
	wantKind(t, r.wrong(v), problem.WrongCode)
	kept, resent, err := otp.Resend(r.kept, otp.ResendRequest{ID: v.ID, Channel: "sms", Idempotency: known(2)}, r.policy, r.now)
	wantKind(t, err, "")
	r.kept = otp.Conclude(kept, known(2), resent, otp.OutcomeSent, 0)
	first := otp.Replay{
		Idempotency: known(1), At: fixture.Noon, ID: v.ID, Purpose: "login", Channel: "whatsapp", ExpiresAt: v.ExpiresAt,
		ResendAfter: fixture.Noon.Add(30 * time.Second), SendsLeft: 4, ChecksLeft: 5,
	}
	second := first
	second.Idempotency, second.At, second.Channel = known(2), fixture.Noon.Add(time.Minute), "sms"
	second.ResendAfter, second.SendsLeft, second.ChecksLeft = fixture.Noon.Add(90*time.Second), 3, 4
	return r, v, []otp.Replay{first, second}
}

func TestReplay_TheSameRequestGetsItsAnswerAndAnotherOneAConflict(t *testing.T) {
	r, v, answers := answered(t)
	r.now = fixture.Noon.Add(2 * time.Minute)
	wantKind(t, r.right(v), "") // changes no earlier answer
	for i, want := range answers {
		got, ok, err := r.kept.Replayed(server, known(i+1))
		if !ok || err != nil || got != want {
			t.Errorf("got  %+v, %v, %v\nwant %+v", got, ok, err, want)
		}
		got, ok, err = r.kept.Replayed(server, conflicting(i+1))
		if wantKind(t, err, problem.IdempotencyConflict); ok || got != (otp.Replay{}) {
			t.Errorf("another request with the key got %+v, %v", got, ok)
		}
	}
	r.wantKnown(3, false)
}

// repetitions are Start and Resend as requests of that idempotency. They ask for
// something that would be refused if they were no repetitions.
var repetitions = map[string]func(r *rig, i otp.Idempotency) (otp.Recipient, otp.Verification, error){
	"start": func(r *rig, i otp.Idempotency) (otp.Recipient, otp.Verification, error) {
		req := r.request(fixture.Bob, "pay", otp.Transaction{})
		req.Idempotency = i
		return otp.Start(r.kept, req, r.policy, r.now)
	},
	"resend": func(r *rig, i otp.Idempotency) (otp.Recipient, otp.Verification, error) {
		return otp.Resend(r.kept, otp.ResendRequest{ID: r.kept.Replays[0].ID, Channel: channel.Next, Idempotency: i}, r.policy, r.now)
	},
}

func TestReplay_ARepetitionChangesNothingAndReturnsTheAnswer(t *testing.T) {
	for name, repeat := range repetitions {
		t.Run(name, func(t *testing.T) {
			for i := range 2 {
				r, v, answers := answered(t)
				wantKind(t, r.right(v), "")
				got, found, err := repeat(r, known(i+1))
				if replay, ok := errors.AsType[*otp.Replay](err); !ok || *replay != answers[i] {
					t.Errorf("request %d: got %+v, want %+v", i+1, err, answers[i])
				}
				if !same(got, r.kept) || !alike(found, r.found(v)) {
					t.Errorf("request %d: returned %+v and %+v", i+1, got, found)
				}

				r.kept.Verifications = nil // as if newer ones had replaced it
				got, found, err = repeat(r, known(i+1))
				if replay, ok := errors.AsType[*otp.Replay](err); !ok || *replay != answers[i] || !same(got, r.kept) || !alike(found, otp.Verification{}) {
					t.Errorf("request %d, the verification is forgotten: returned %+v, %+v, %v", i+1, got, found, err)
				}
			}
		})
	}
}

func TestReplay_AnotherRequestWithTheKeyIsAConflictAndChangesNothing(t *testing.T) {
	for name, repeat := range repetitions {
		t.Run(name, func(t *testing.T) {
			for i := range 2 {
				r, _, _ := answered(t)
				got, found, err := repeat(r, conflicting(i+1))
				if wantKind(t, err, problem.IdempotencyConflict); !same(got, r.kept) || !alike(found, otp.Verification{}) {
					t.Errorf("request %d: returned %+v and %+v", i+1, got, found)
				}
			}
		})
	}
}

// After a day the request is a new one, which is judged as every other.
func TestReplay_ARepetitionAfterADayIsANewRequest(t *testing.T) {
	r, v, _ := answered(t)
	r.now = fixture.Noon.Add(window.Day + time.Minute)
	_, _, err := repetitions["resend"](r, known(2))
	wantKind(t, err, problem.Expired)
	if again := r.startAs(1); again.ID == v.ID {
		t.Error("the start made no verification")
	}
}

func TestReplay_EndsAfterADay(t *testing.T) {
	r := newRig(t, quiet())
	r.startAs(1)
	kept := r.kept
	for after, want := range map[time.Duration]bool{window.Day - 1: true, window.Day: false} {
		r.now = fixture.Noon.Add(after)
		r.kept = kept.Settle(r.now)
		r.wantKnown(1, want)
		if _, _, err := r.kept.Replayed(server, conflicting(1)); (kindOf(t, err) == problem.IdempotencyConflict) != want {
			t.Errorf("after %v: another request with the key: %v", after, err)
		}
	}
	kept.Replays[0].At = fixture.Noon.AddDate(100, 0, 0) // by a broken clock
	r.kept = kept.Settle(fixture.Noon).Settle(fixture.Noon.Add(window.Day + window.MaxSkew))
	r.wantKnown(1, false)
}

func TestReplay_KeepsTheNewest64(t *testing.T) {
	r := newRig(t, quiet())
	r.policy.MaxSends, r.policy.MaxSendsPerDay = 100, 100
	for n := 1; n <= 70; n++ {
		r.startAs(n)
	}
	if len(r.kept.Replays) != 64 {
		t.Errorf("keeps %d, want 64", len(r.kept.Replays))
	}
	for n := 1; n <= 70; n++ {
		r.wantKnown(n, n > 6)
	}
}

func TestReplay_OfARequestWithoutAKeyIsNeitherKeptNorFound(t *testing.T) {
	r, v := begin(t, quiet())
	r.resendOver(v, "sms")
	if len(r.kept.Replays) != 0 {
		t.Errorf("keeps %+v", r.kept.Replays)
	}
	r.kept.Replays = []otp.Replay{{At: fixture.Noon, ID: v.ID, Channel: "sms"}} // no transition writes this
	if _, ok, err := r.kept.Replayed(server, otp.Idempotency{}); ok || err != nil {
		t.Errorf("found: %v, %v", ok, err)
	}
	if got := otp.Conclude(r.kept, otp.Idempotency{}, v, otp.OutcomeRefused, time.Minute); !same(got, r.kept) {
		t.Errorf("concluded %+v", got.Replays)
	}
	if got := otp.Forget(r.kept, otp.Idempotency{}, otp.Verification{}); !same(got, r.kept) {
		t.Errorf("left %+v", got.Replays)
	}
}

func TestReplay_ARefusedRequestIsNotKept(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	req := r.request(fixture.Alice, "login", otp.Transaction{})
	req.Idempotency = known(1)
	_, started := r.apply(req)
	var resent error
	r.kept, _, resent = otp.Resend(r.kept, otp.ResendRequest{ID: v.ID, Idempotency: known(2)}, r.policy, r.now)
	wantKind(t, started, problem.ResendTooSoon)
	wantKind(t, resent, problem.ResendTooSoon)
	if len(r.kept.Replays) != 0 {
		t.Errorf("keeps %+v", r.kept.Replays)
	}
}

func TestReplay_OfAStartByInbound(t *testing.T) {
	r := newRig(t, quiet())
	v := r.startWith(func(req *otp.StartRequest) {
		req.Workflow, req.Idempotency = []channel.Channel{channel.Inbound}, known(1)
	})
	got, ok, err := r.kept.Replayed(server, known(1))
	if !ok || err != nil || got.ID != v.ID || got.Channel != channel.Inbound || got.SendsLeft != 4 {
		t.Errorf("got %+v, %v, %v", got, ok, err)
	}
}

// threeAnswered has three requests, with the verification of the second one.
func threeAnswered(t *testing.T) (*rig, otp.Verification) {
	r := newRig(t, quiet())
	r.startAs(1)
	v := r.startAs(2)
	r.startAs(3)
	return r, v
}

func TestConclude_ChangesOnlyItsOwnAnswer(t *testing.T) {
	r, v := threeAnswered(t)
	v.Attempts = append(v.Attempts, otp.Attempt{Channel: "call"})
	want := deepCopy(r.kept)
	p := &want.Replays[1]
	p.Channel, p.Outcome, p.RetryAfter = "call", otp.OutcomeUnavailable, 91*time.Second // rounded up: never too early
	p.UnderWay = false
	if got := otp.Conclude(r.kept, known(2), v, otp.OutcomeUnavailable, 90*time.Second+400*ms); !same(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, other := range []otp.Idempotency{known(4), conflicting(2), {}} {
		if got := otp.Conclude(r.kept, other, v, otp.OutcomeUnavailable, time.Minute); !same(got, r.kept) {
			t.Errorf("%x changed %+v", other, got.Replays)
		}
	}
}

func TestForget_DropsOnlyItsOwnAnswer(t *testing.T) {
	r, _ := threeAnswered(t)
	for _, other := range []otp.Idempotency{known(4), conflicting(2), {}} {
		if got := otp.Forget(r.kept, other, otp.Verification{}); !same(got, r.kept) {
			t.Errorf("%x left %+v", other, got.Replays)
		}
	}
	want := deepCopy(r.kept)
	want.Replays = append(want.Replays[:1], want.Replays[2])
	if r.kept = otp.Forget(r.kept, known(2), otp.Verification{}); !same(r.kept, want) {
		t.Errorf("got  %+v\nwant %+v", r.kept, want)
	}
	r.wantKnown(2, false)
}

// A request that is under way has no answer yet. If its process dies, its repetition
// has to wait for MaxRequest, and no longer.
func TestReplay_ARequestUnderWayIsNoSuccess(t *testing.T) {
	for name, repeat := range repetitions {
		for after, want := range map[time.Duration]time.Duration{
			0: 2 * time.Second, otp.MaxRequest - 3*time.Second: 2 * time.Second, otp.MaxRequest - time.Second: time.Second, otp.MaxRequest - ms: ms,
			otp.MaxRequest: 0, time.Hour: 0,
		} {
			r := newRig(t, quiet())
			r.startAs(1)
			r.now = fixture.Noon.Add(after)
			got, found, err := repeat(r, known(1))
			if want == 0 {
				if replay, ok := errors.AsType[*otp.Replay](err); !ok || replay.ID == "" {
					t.Errorf("%s after %v: %v, want the answer", name, after, err)
				}
				continue
			}
			if wantRefusal(t, err, problem.IdempotencyConflict, want); !same(got, r.kept) || !alike(found, otp.Verification{}) {
				t.Errorf("%s after %v: returned %+v and %+v", name, after, got, found)
			}
		}
	}
}

// Only what still has to be sent, or stored, is under way.
func TestReplay_WhatIsUnderWay(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*otp.StartRequest)
		want   bool
	}{
		"a message":                  {func(*otp.StartRequest) {}, true},
		"inbound":                    {func(req *otp.StartRequest) { req.Workflow = []channel.Channel{channel.Inbound} }, false},
		"a test number":              {func(req *otp.StartRequest) { req.Scenario = otp.Scenario{Ending: otp.EndsDelivered, Code: fixed} }, false},
		"a test number that is lost": {func(req *otp.StartRequest) { req.Scenario = otp.Scenario{Ending: otp.EndsUndeliverable, Code: fixed} }, true},
	} {
		r := newRig(t, quiet())
		v := r.startWith(func(req *otp.StartRequest) { req.Idempotency = known(1); tc.change(req) })
		if got := r.kept.Replays[0].UnderWay; got != tc.want {
			t.Errorf("%s: under way: %t", name, got)
		}
		v.Attempts = append(v.Attempts, otp.Attempt{Channel: "call"})
		next := otp.Continue(r.kept, known(1), v).Replays[0]
		if next.UnderWay != tc.want || next.Channel != "call" || otp.Continue(r.kept, known(2), v).Replays[0].Channel == "call" {
			t.Errorf("%s: after the next message: %+v", name, next)
		}
	}
}
