package otp_test

import (
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
)

// confirm is a message of the person with those codes.
func (b *bench) confirm(codes ...string) (v otp.Verification, err error) {
	b.r, v, err = otp.Confirm(b.r, codes, b.keys, b.now)
	return v, err
}

func (b *bench) claim(req otp.CheckRequest) (v otp.Verification, err error) {
	b.r, v, err = otp.Claim(b.r, req, b.now)
	return v, err
}

func TestConfirm_ApprovesOnlyAPendingInboundOneByItsCode(t *testing.T) {
	b := newBench(t, quiet())
	sent := b.start("sent")
	v := b.startOver(otp.ChannelInbound)
	other := b.startWith(func(req *otp.StartRequest) { req.Purpose, req.Workflow = "other", []string{otp.ChannelInbound} })
	code, before := codeOf(t, v), deepCopy(b.r)
	for name, codes := range map[string][]string{
		"no code":                   nil,
		"an empty one":              {""},
		"a wrong one":               {wrongCode(code)},
		"a part of it":              {code[:5]},
		"more than it":              {code + "0"},
		"the code of one sent":      {codeOf(t, sent)},
		"many wrong ones":           {"1", "", wrongCode(code), "000000"},
		"the code of another start": {codeOf(t, otp.Verification{ID: newID(bob, 7), Key: v.Key, Shape: v.Shape})},
	} {
		if _, err := b.confirm(codes...); kindOf(t, err) != problem.NotFound || !same(b.r, before) {
			t.Errorf("%s: got %v, want not_found and no effect", name, err)
		}
	}
	b.now = noon.Add(time.Minute)
	got, err := b.confirm("000000", code)
	wantKind(t, err, "")
	if got.ID != v.ID || got.Status != otp.Approved || !got.EndedAt.Equal(b.now) || !alike(got, b.found(v)) {
		t.Errorf("got %+v", got)
	}
	if b.status(sent) != otp.Pending || b.status(other) != otp.Pending {
		t.Errorf("the others are %s and %s", b.status(sent), b.status(other))
	}
	if len(b.r.Failures) != 0 {
		t.Errorf("%d failures are counted", len(b.r.Failures))
	}
}

func TestConfirm_NeverOneThatHasEnded(t *testing.T) {
	for _, status := range allStatuses[1:] {
		b := newBench(t, quiet())
		v := b.startOver(otp.ChannelInbound)
		b.r.Verifications[0].Status, b.r.Verifications[0].EndedAt = status, noon
		before := deepCopy(b.r)
		if _, err := b.confirm(codeOf(t, v)); kindOf(t, err) != problem.NotFound || !same(b.r, before) {
			t.Errorf("%s: got %v", status, err)
		}
	}
	b := newBench(t, quiet())
	v := b.startOver(otp.ChannelInbound)
	b.now = v.ExpiresAt
	_, err := b.confirm(codeOf(t, v))
	wantKind(t, err, problem.NotFound)
	b.now = v.ExpiresAt.Add(-1) // it stays expired
	_, err = b.confirm(codeOf(t, v))
	wantKind(t, err, problem.NotFound)
}

func TestConfirm_WithoutTheSecretNothingIsApproved(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startOver(otp.ChannelInbound)
	b.keys = mustParse(fixedSecret(100))
	for _, code := range []string{"", codeOf(t, v)} {
		_, err := b.confirm(code)
		wantKind(t, err, problem.NotFound)
	}
}

// Whoever starts it is shown the code: it must never be enough by itself.
func TestCheck_OfAnInboundOneNeverApprovesAndSpendsNothing(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startOver(otp.ChannelInbound)
	before := deepCopy(b.r)
	for range 20 {
		for _, req := range []otp.CheckRequest{
			{ID: v.ID, Code: codeOf(t, v)},
			{ID: v.ID, Code: wrongCode(codeOf(t, v))},
			{Purpose: "login", Code: codeOf(t, v)},
			{ID: v.ID},
		} {
			r, _, err := otp.Check(b.r, req, b.keys, b.p, b.now)
			if wantKind(t, err, problem.InvalidRequest); !same(r, before) {
				t.Fatalf("%+v changed the recipient", req)
			}
		}
	}
	_, err := b.confirm(codeOf(t, v))
	wantKind(t, err, "")
	wantKind(t, b.right(v), problem.InvalidRequest)
}

func TestClaim_FetchesAnApprovalOnce(t *testing.T) {
	bound := otp.Context{Amount: "EUR 25.00", Payee: "Acme"}
	b := newBench(t, quiet())
	v := b.startWith(func(req *otp.StartRequest) { req.Workflow, req.Context = []string{otp.ChannelInbound}, bound })
	before := deepCopy(b.r)
	_, err := b.claim(otp.CheckRequest{ID: v.ID, Context: bound})
	wantRefusal(t, err, problem.NotYetApproved, 2*time.Second)
	if !same(b.r, before) {
		t.Error("asking changed the recipient")
	}
	wrong := func() {
		t.Helper()
		for _, c := range []otp.Context{{}, {Amount: "EUR 25.00"}, {Payee: "Acme"}, {Amount: "EUR 25.01", Payee: "Acme"}, {Amount: "Acme", Payee: "EUR 25.00"}} {
			before := deepCopy(b.r)
			_, err := b.claim(otp.CheckRequest{ID: v.ID, Context: c})
			if wantKind(t, err, problem.WrongCode); !same(b.r, before) {
				t.Errorf("%+v changed the recipient", c)
			}
		}
	}
	wrong()
	_, err = b.confirm(codeOf(t, v))
	wantKind(t, err, "")
	wrong()
	for name, req := range map[string]otp.CheckRequest{
		"another purpose": {ID: v.ID, Purpose: "pay", Context: bound},
		"another address": {ID: v.ID, Address: bob, Context: bound},
		"another user":    {ID: v.ID, User: "u1", Context: bound},
		"another id":      {ID: newID(alice, 99), Context: bound},
	} {
		if _, err := b.claim(req); kindOf(t, err) != problem.NotFound {
			t.Errorf("%s: got %v", name, err)
		}
	}
	got, err := b.claim(otp.CheckRequest{ID: v.ID, Purpose: "login", Address: alice, Context: bound})
	wantKind(t, err, "")
	if got.ID != v.ID || got.Status != otp.Approved || !got.Claimed || !alike(got, b.found(v)) {
		t.Errorf("got %+v", got)
	}
	_, err = b.claim(otp.CheckRequest{ID: v.ID, Context: bound})
	wantKind(t, err, problem.AlreadyUsed)
}

// An approval that nobody fetches ends with the code's time, exactly.
func TestClaim_NotAfterTheCodesTime(t *testing.T) {
	for left, want := range map[time.Duration]problem.Kind{1: "", 0: problem.Expired, -time.Hour: problem.Expired} {
		b := newBench(t, quiet())
		v := b.startWith(func(req *otp.StartRequest) { req.Workflow = []string{otp.ChannelInbound} })
		_, err := b.confirm(codeOf(t, v))
		wantKind(t, err, "")
		b.now = v.ExpiresAt.Add(-left)
		_, err = b.claim(otp.CheckRequest{ID: v.ID})
		wantKind(t, err, want)
	}
}

// What the provider blocks as fraud is sent no warning either.
func TestAlert_NotToABlockedAddress(t *testing.T) {
	b := newBench(t, quiet())
	first, second := b.start("a"), b.start("b")
	b.follow(otp.Progress{ID: first.ID, Attempt: 1, Status: otp.Failed, Next: otp.NextNone})
	for range b.p.MaxChecks {
		err := b.wrong(second)
		if e := refusal(t, err); e.Alerted {
			t.Fatalf("an alert is due: %+v", e)
		}
	}
	if !b.r.AlertedAt.IsZero() {
		t.Errorf("alerted at %v", b.r.AlertedAt)
	}
}

// A clock that is behind does not shorten a block.
func TestFollow_AnotherBlockNeverEndsEarlier(t *testing.T) {
	b := newBench(t, quiet())
	first, second := b.start("a"), b.start("b")
	b.follow(otp.Progress{ID: first.ID, Attempt: 1, Status: otp.Failed, Next: otp.NextNone})
	until := b.r.BlockedUntil
	b.now = b.now.Add(-time.Minute)
	b.follow(otp.Progress{ID: second.ID, Attempt: 1, Status: otp.Failed, Next: otp.NextNone})
	if b.r.BlockedUntil.Before(until) {
		t.Errorf("blocked until %v, before it was %v", b.r.BlockedUntil, until)
	}
}

func TestClaim_OfWhatHasEndedOtherwise(t *testing.T) {
	for status, want := range map[otp.Status]problem.Kind{
		otp.Canceled: problem.Canceled, otp.Denied: problem.Denied, otp.Expired: problem.Expired,
	} {
		b := newBench(t, quiet())
		v := b.startOver(otp.ChannelInbound)
		b.r.Verifications[0].Status, b.r.Verifications[0].EndedAt = status, noon
		_, err := b.claim(otp.CheckRequest{ID: v.ID})
		wantKind(t, err, want)
	}
	b := newBench(t, quiet())
	v := b.startOver(otp.ChannelInbound)
	b.now = v.ExpiresAt
	_, err := b.claim(otp.CheckRequest{ID: v.ID})
	wantKind(t, err, problem.Expired)
}

// A request that lacks its code never fetches what a code has approved.
func TestClaim_NeverOfOneThatWasSent(t *testing.T) {
	for _, status := range allStatuses {
		b, v := inStatus(t, status)
		before := deepCopy(b.r)
		_, err := b.claim(otp.CheckRequest{ID: v.ID})
		if wantKind(t, err, problem.InvalidRequest); !same(b.r.Settle(b.now), before.Settle(b.now)) {
			t.Errorf("%s: changed the recipient", status)
		}
	}
}

func TestInbound_AStartCountsAsASendAndKeepsThePause(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.startOver(otp.ChannelInbound)
	if len(b.r.Sends) != 1 || len(v.Attempts) != 0 || v.Channel() != otp.ChannelInbound {
		t.Errorf("%d sends, %+v", len(b.r.Sends), v)
	}
	req := b.request(alice, "login", otp.Context{})
	req.Workflow = []string{otp.ChannelInbound}
	_, _, err := otp.Start(b.r, req, b.p, b.now)
	wantRefusal(t, err, problem.ResendTooSoon, 30*time.Second)
}

func TestDeny_EndsAllThatIsPending(t *testing.T) {
	b := newBench(t, quiet())
	approved := b.start("done")
	wantKind(t, b.right(approved), "")
	first, inbound := b.start("login"), b.startWith(func(req *otp.StartRequest) {
		req.Purpose, req.Workflow = "message", []string{otp.ChannelInbound}
	})
	last := b.start("pay")
	b.now = noon.Add(time.Minute)
	r, newest, err := otp.Deny(b.r, b.now)
	b.r = r
	wantKind(t, err, "")
	if newest.ID != last.ID || !alike(newest, b.found(last)) {
		t.Errorf("the newest is %+v, want %s", newest, last.ID)
	}
	for _, v := range []otp.Verification{first, inbound, last} {
		if got := b.found(v); got.Status != otp.Denied || !got.EndedAt.Equal(b.now) {
			t.Errorf("%s is %s since %v", v.Purpose, got.Status, got.EndedAt)
		}
	}
	if b.status(approved) != otp.Approved {
		t.Errorf("what was approved is %s", b.status(approved))
	}
	wantKind(t, b.right(last), problem.Denied)
	_, err = b.confirm(codeOf(t, inbound))
	wantKind(t, err, problem.NotFound)

	before := deepCopy(b.r)
	r, _, err = otp.Deny(b.r, b.now)
	if wantKind(t, err, problem.NotFound); !same(r, before) {
		t.Error("denied again, with an effect")
	}
}

func TestDeny_OfNothingThatIsPendingIsNotFound(t *testing.T) {
	for _, status := range allStatuses[1:] {
		b, v := inStatus(t, status)
		r, _, err := otp.Deny(b.r, b.now)
		wantKind(t, err, problem.NotFound)
		if kept, _ := r.Find(v.ID); kept.Status != status {
			t.Errorf("%s became %s", status, kept.Status)
		}
	}
	_, _, err := otp.Deny(otp.Recipient{}, noon)
	wantKind(t, err, problem.NotFound)
}
