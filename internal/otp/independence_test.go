package otp_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// R17, attack 27. Two callers at one address: below the shared totals, all that one of
// them observes is what it would observe if the other did not exist.

// world is one recipient. Each step of a caller has the same arguments in two worlds: one
// with both callers, and one in which the other caller does nothing.
type world struct {
	kept   otp.Recipient
	right  string // code of the verification of a check
	shared bool   // a limit that callers share has refused something
}

// step does one thing and returns what the caller observes.
type step func(w *world, now time.Time) string

// observe is what a caller is told.
func (w *world) observe(r otp.Recipient, v otp.Verification, err error, p otp.Policy, now time.Time) string {
	w.kept = r
	if _, ok := errors.AsType[*otp.SharedLimitError](err); ok || problem.Is(err, problem.TooManyChanges) {
		w.shared = true
	}
	told := fmt.Sprintf("%s %s %v %v %v", v.ID, v.Status, v.ExpiresAt, v.Workflow, v.Attempts)
	switch e := err.(type) {
	case nil:
		told += fmt.Sprintf(" %d sends left until %v, %d checks left", r.SendsLeft(v.Caller, p, now), r.ResendAfter(v.Caller, p), r.ChecksLeft(v, p, now))
	case *problem.Error:
		left := -1
		if e.ChecksLeft != nil {
			left = *e.ChecksLeft
		}
		told += fmt.Sprintf(" %s %v %q %d %t %t", e.Kind, e.RetryAfter, e.Detail, left, e.Alerted, e.Replaced)
	case *otp.Replay:
		told += fmt.Sprintf(" the answer again: %+v", *e)
	default:
		told += fmt.Sprintf(" %v", err)
	}
	return told
}

// player draws the steps of one caller.
type player struct {
	caller otp.Caller
	p      otp.Policy
	// workflow has one channel if the other caller is the same client: the channel that
	// works is remembered by client.
	workflow []channel.Channel
	began    []otp.StartRequest
	number   uint64 // of the last id
}

func (a *player) any(t *rapid.T) (req otp.StartRequest) {
	if len(a.began) == 0 {
		return otp.StartRequest{ID: newID(fixture.Alice, 1<<40), Purpose: "login"}
	}
	return a.began[rapid.IntRange(max(0, len(a.began)-6), len(a.began)-1).Draw(t, "which")]
}

func (a *player) step(t *rapid.T) step {
	switch rapid.SampledFrom([]string{"start", "start", "resend", "wrong", "wrong", "wrong", "right", "by purpose", "cancel", "report", "report", "person", "their code", "unlock"}).Draw(t, "step") {
	case "start":
		a.number++
		req := otp.StartRequest{
			ID: newID(fixture.Alice, a.number), Caller: a.caller, Key: keyring.Current(), Address: fixture.Alice,
			Purpose: fmt.Sprintf("p%d", rapid.IntRange(0, 5).Draw(t, "purpose")), Workflow: a.workflow,
			Idempotency: known(rapid.IntRange(1, 6).Draw(t, "key")), // the same keys as the other caller
		}
		if rapid.IntRange(0, 5).Draw(t, "inbound") == 0 {
			req.Workflow = []channel.Channel{channel.Inbound}
		}
		if rapid.Bool().Draw(t, "no key") {
			req.Idempotency = otp.Idempotency{}
		}
		a.began = append(a.began, req)
		return func(w *world, now time.Time) string {
			r, v, err := otp.Start(w.kept, req, a.p, now)
			if err == nil {
				r = otp.Conclude(r, req.Idempotency, v, otp.OutcomeSent, 0)
			}
			return w.observe(r, v, err, a.p, now)
		}
	case "resend":
		req := otp.ResendRequest{ID: a.any(t).ID, Owner: a.caller.Owner(), AnyOrigin: true, Channel: rapid.SampledFrom([]channel.Channel{"", "next", "sms"}).Draw(t, "over")}
		return func(w *world, now time.Time) string {
			r, v, err := otp.Resend(w.kept, req, a.p, now)
			return w.observe(r, v, err, a.p, now)
		}
	case "by purpose":
		purpose := a.any(t).Purpose
		return a.check(otp.CheckRequest{Caller: a.caller, Purpose: purpose, Address: fixture.Alice}, wrong)
	case "right":
		return a.check(otp.CheckRequest{Caller: a.caller, ID: a.any(t).ID}, func(w *world, _ string) string { return w.right })
	case "their code": // of the newest verification of another caller
		return a.check(otp.CheckRequest{Caller: a.caller, ID: a.any(t).ID}, func(w *world, wrong string) string {
			for _, v := range slices.Backward(w.kept.Verifications) {
				if v.Client != a.caller.Client || v.Origin != a.caller.Origin {
					code, _ := v.Code(keyring)
					return code
				}
			}
			return wrong
		})
	case "unlock": // nobody at a page can
		return func(w *world, now time.Time) string {
			if a.caller.Origin != otp.OriginServer {
				return ""
			}
			r, left, err := otp.AddUnlock(w.kept, fixture.Alice, a.caller, [16]byte{}, now)
			return w.observe(r, otp.Verification{Caller: a.caller}, err, a.p, now) + fmt.Sprint(left)
		}
	case "cancel":
		id := a.any(t).ID
		return func(w *world, now time.Time) string {
			r, v, err := otp.Cancel(w.kept, a.caller.Owner(), id, now)
			return w.observe(r, v, err, a.p, now)
		}
	case "report":
		g := otp.Progress{ID: a.any(t).ID, Attempt: rapid.IntRange(1, 2).Draw(t, "attempt"), Status: rapid.SampledFrom(allDeliveries).Draw(t, "news"), MayRecover: true}
		return func(w *world, now time.Time) string {
			r, v, _, err := otp.Follow(w.kept, g, a.p, now)
			return w.observe(r, v, err, a.p, now)
		}
	case "person":
		id := a.any(t).ID
		return func(w *world, now time.Time) string {
			code := "none"
			if v, err := w.kept.Find(id); err == nil {
				code, _ = v.Code(keyring)
			}
			r, v, err := otp.Confirm(w.kept, []string{code}, keyring, now)
			if err == nil {
				r, v, err = otp.Claim(r, otp.CheckRequest{Caller: a.caller, ID: id}, a.p, now)
			}
			return w.observe(r, v, err, a.p, now)
		}
	}
	return a.check(otp.CheckRequest{Caller: a.caller, ID: a.any(t).ID}, wrong)
}

func wrong(_ *world, code string) string { return code }

// check is a check with the code that choose returns, which gets a wrong one. If the
// answer asks for an alert, that is made, too.
func (a *player) check(req otp.CheckRequest, choose func(w *world, wrong string) string) step {
	return func(w *world, now time.Time) string {
		w.right = "000000"
		if v, err := w.kept.Find(req.ID); err == nil {
			w.right, _ = v.Code(keyring)
		}
		req.Code = choose(w, wrongCode(w.right))
		r, v, err := otp.Check(w.kept, req, keyring, a.p, now)
		told := w.observe(r, v, err, a.p, now)
		if e, ok := errors.AsType[*problem.Error](err); ok && e.Alerted {
			alerted, err := otp.Alert(w.kept, fixture.Alice, v.Caller, now)
			w.kept = alerted
			told += fmt.Sprintf(" alert: %v", err)
			var limit *problem.Error
			if errors.As(err, &limit) && limit.Detail != "This address had an alert of wrong codes within the last hour." {
				w.shared = true // the notices of all clients together
			}
		}
		return told
	}
}

// play draws the steps of all callers, and fails if the others make a difference to what
// mine observes.
func play(t *rapid.T, mine otp.Caller, others []otp.Caller) {
	p := otp.DefaultPolicy()
	p.ResendAfter = rapid.SampledFrom([]time.Duration{0, 30 * time.Second}).Draw(t, "pause")
	p.MaxChecks = rapid.IntRange(1, 3).Draw(t, "checks")
	workflow := []channel.Channel{"whatsapp", "sms"}
	if slices.ContainsFunc(others, func(c otp.Caller) bool { return c.Client == mine.Client }) {
		workflow = workflow[:1]
	}
	a := &player{caller: mine, p: p, workflow: workflow, number: 1000}
	var b []*player
	for i, c := range others {
		b = append(b, &player{caller: c, p: p, workflow: workflow, number: uint64(2000 + 1000*i)})
	}
	var both, alone world
	now := fixture.Noon
	for range rapid.IntRange(1, 80).Draw(t, "steps") {
		now = now.Add(rapid.SampledFrom([]time.Duration{0, ms, time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 5 * time.Hour}).Draw(t, "pause"))
		if rapid.Bool().Draw(t, "another") {
			rapid.SampledFrom(b).Draw(t, "who").step(t)(&both, now)
			continue
		}
		s := a.step(t)
		got, want := s(&both, now), s(&alone, now)
		if both.shared || alone.shared {
			return
		}
		if got != want {
			t.Fatalf("%+v observes\n%s\nand without %+v\n%s", mine, got, others, want)
		}
		if x, y := both.kept.Settle(now).Tally(mine), alone.kept.Settle(now).Tally(mine); fmt.Sprint(x) != fmt.Sprint(y) {
			t.Fatalf("%+v has %+v\nand without %+v %+v", mine, x, others, y)
		}
	}
}

func TestAttack27_WhatACallerObservesDoesNotDependOnAnother(t *testing.T) {
	bank, shop := otp.Caller{Client: "bank"}, otp.Caller{Client: "shop"}
	pay := otp.Caller{Client: "pay"}
	typed := func(c otp.Caller, n byte) otp.Caller {
		c.Origin, c.Network = otp.OriginTyped, otp.Network{n}
		return c
	}
	known := func(c otp.Caller) otp.Caller {
		c.Origin = otp.OriginKnown
		return c
	}
	for name, tc := range map[string]struct {
		mine   otp.Caller
		others []otp.Caller
	}{
		"clients":                       {bank, []otp.Caller{shop, pay, server}},
		"the nameless client":           {server, []otp.Caller{shop, bank}},
		"a server and its page":         {bank, []otp.Caller{typed(bank, 1), typed(bank, 2), known(bank)}},
		"a page and its server":         {typed(bank, 1), []otp.Caller{bank, known(bank)}},
		"pages of clients":              {typed(bank, 1), []otp.Caller{typed(shop, 2), typed(shop, 3), typed(pay, 4)}},
		"a server and others' pages":    {bank, []otp.Caller{typed(shop, 1), typed(pay, 2), known(shop)}},
		"a known browser and strangers": {known(bank), []otp.Caller{typed(bank, 1), typed(shop, 2), bank}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { play(t, tc.mine, tc.others) })
		})
	}
}
