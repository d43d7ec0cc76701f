package otp_test

import (
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// known is the idempotency of a request n.
func known(n int) otp.Idempotency {
	return otp.Idempotency{Key: [16]byte{byte(n), byte(n >> 8), 1}, Body: [16]byte{byte(n), 15: 7}}
}

func (b *bench) startAs(n int) otp.Verification {
	b.t.Helper()
	return b.startWith(func(req *otp.StartRequest) { req.Idempotency = known(n) })
}

func TestReplay_TheSameRequestGetsItsAnswerAndAnotherOneAConflict(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.startAs(1)
	b.now = noon.Add(time.Minute)
	wantKind(t, b.wrong(v), problem.WrongCode)
	var err error
	b.r, _, err = otp.Resend(b.r, otp.ResendRequest{ID: v.ID, Channel: "sms", Idempotency: known(2)}, b.p, b.now)
	wantKind(t, err, "")
	b.now = noon.Add(2 * time.Minute)
	wantKind(t, b.right(v), "") // changes no answer of before

	first := otp.Replay{
		Idempotency: known(1), At: noon, ID: v.ID, Purpose: "login", Channel: "whatsapp", ExpiresAt: v.ExpiresAt,
		ResendAfter: noon.Add(30 * time.Second), SendsLeft: 4, ChecksLeft: 5,
	}
	second := first
	second.Idempotency, second.At, second.Channel = known(2), noon.Add(time.Minute), "sms"
	second.ResendAfter, second.SendsLeft, second.ChecksLeft = noon.Add(90*time.Second), 3, 4
	for n, want := range []otp.Replay{first, second} {
		got, ok, err := b.r.Replayed(known(n + 1))
		if !ok || err != nil || got != want {
			t.Errorf("got  %+v, %v, %v\nwant %+v", got, ok, err, want)
		}
		other := known(n + 1)
		other.Body[0] ^= 0x80
		got, ok, err = b.r.Replayed(other)
		if wantKind(t, err, problem.IdempotencyConflict); ok || got != (otp.Replay{}) {
			t.Errorf("another request with the key got %+v, %v", got, ok)
		}
	}
	if got, ok, err := b.r.Replayed(known(3)); ok || err != nil {
		t.Errorf("a new request got %+v, %v, %v", got, ok, err)
	}
}

func TestReplay_EndsAfterADay(t *testing.T) {
	b := newBench(t, quiet())
	b.startAs(1)
	for _, tc := range []struct {
		at   time.Duration
		want bool
	}{{24*time.Hour - 1, true}, {24 * time.Hour, false}} {
		r := b.r.Settle(noon.Add(tc.at))
		if _, ok, err := r.Replayed(known(1)); ok != tc.want || err != nil {
			t.Errorf("after %v: %v, %v", tc.at, ok, err)
		}
		other := known(1)
		other.Body[1]++
		if _, _, err := r.Replayed(other); (kindOf(t, err) == problem.IdempotencyConflict) != tc.want {
			t.Errorf("after %v: another request with the key: %v", tc.at, err)
		}
	}
	b.r.Replays[0].At = noon.AddDate(100, 0, 0) // by a broken clock
	r := b.r.Settle(noon)
	if _, ok, _ := r.Settle(noon.Add(24*time.Hour + window.MaxSkew)).Replayed(known(1)); ok {
		t.Error("what a broken clock wrote stays")
	}
}

func TestReplay_KeepsTheNewest64(t *testing.T) {
	b := newBench(t, quiet())
	b.p.MaxSends, b.p.MaxSendsPerDay = 100, 100
	for n := 1; n <= 70; n++ {
		b.startAs(n)
	}
	if len(b.r.Replays) != 64 {
		t.Errorf("keeps %d, want 64", len(b.r.Replays))
	}
	for n := 1; n <= 70; n++ {
		if _, ok, _ := b.r.Replayed(known(n)); ok != (n > 6) {
			t.Errorf("request %d of 70 is known: %v", n, ok)
		}
	}
}

func TestReplay_OfARequestWithoutAKeyIsNeitherKeptNorFound(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	wantKind(t, b.resend(v, "sms"), "")
	if len(b.r.Replays) != 0 {
		t.Errorf("keeps %+v", b.r.Replays)
	}
	b.r.Replays = []otp.Replay{{At: noon, ID: v.ID, Channel: "sms"}} // as no transition leaves it
	if _, ok, err := b.r.Replayed(otp.Idempotency{}); ok || err != nil {
		t.Errorf("found: %v, %v", ok, err)
	}
	if got := otp.Conclude(b.r, otp.Idempotency{}, v, otp.OutcomeRefused, time.Minute); !same(got, b.r) {
		t.Errorf("concluded %+v", got.Replays)
	}
	if got := otp.Forget(b.r, otp.Idempotency{}); !same(got, b.r) {
		t.Errorf("forgot all but %+v", got.Replays)
	}
}

func TestReplay_ARefusedRequestIsNotKept(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	req := b.request(alice, "login", otp.Context{})
	req.Idempotency = known(1)
	var started, resent error
	b.r, _, started = otp.Start(b.r, req, b.p, b.now)
	b.r, _, resent = otp.Resend(b.r, otp.ResendRequest{ID: v.ID, Idempotency: known(2)}, b.p, b.now)
	wantKind(t, started, problem.ResendTooSoon)
	wantKind(t, resent, problem.ResendTooSoon)
	if len(b.r.Replays) != 0 {
		t.Errorf("keeps %+v", b.r.Replays)
	}
}

func TestReplay_OfAStartByInbound(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startWith(func(req *otp.StartRequest) {
		req.Workflow, req.Idempotency = []string{otp.ChannelInbound}, known(1)
	})
	got, ok, err := b.r.Replayed(known(1))
	if !ok || err != nil || got.ID != v.ID || got.Channel != otp.ChannelInbound || got.SendsLeft != 4 {
		t.Errorf("got %+v, %v, %v", got, ok, err)
	}
}

func TestConclude_ChangesOnlyItsOwnAnswer(t *testing.T) {
	b := newBench(t, quiet())
	b.startAs(1)
	v := b.startAs(2)
	b.startAs(3)
	before := deepCopy(b.r)
	v.Attempts = append(v.Attempts, otp.Attempt{Channel: "call"})
	r := otp.Conclude(b.r, known(2), v, otp.OutcomeUnavailable, 90*time.Second+400*ms)
	want := deepCopy(before)
	p := &want.Replays[1]
	p.Channel, p.Outcome, p.RetryAfter = "call", otp.OutcomeUnavailable, 91*time.Second // up: no one is to come too soon
	if !same(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
	sameKey := known(2)
	sameKey.Body[0]++
	for _, other := range []otp.Idempotency{known(4), sameKey, {}} {
		if r := otp.Conclude(b.r, other, v, otp.OutcomeUnavailable, time.Minute); !same(r, before) {
			t.Errorf("%x changed %+v", other, r.Replays)
		}
	}
}

func TestForget_DropsOnlyItsOwnAnswer(t *testing.T) {
	b := newBench(t, quiet())
	for n := 1; n <= 3; n++ {
		b.startAs(n)
	}
	sameKey := known(2)
	sameKey.Body[0]++
	for _, other := range []otp.Idempotency{known(4), sameKey, {}} {
		if r := otp.Forget(b.r, other); !same(r, b.r) {
			t.Errorf("%x forgot all but %+v", other, r.Replays)
		}
	}
	want := deepCopy(b.r)
	want.Replays = append(want.Replays[:1], want.Replays[2])
	r := otp.Forget(b.r, known(2))
	if !same(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
	if _, ok, err := r.Replayed(known(2)); ok || err != nil {
		t.Errorf("its repetition is known: %v, %v", ok, err)
	}
}
