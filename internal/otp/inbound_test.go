package otp_test

import (
	"fmt"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// confirm handles a message of the person with those codes.
func (r *rig) confirm(codes ...string) (v otp.Verification, err error) {
	r.kept, v, err = otp.Confirm(r.kept, codes, r.keys, r.now)
	return v, err
}

// notConfirmed checks that a message with those codes approves nothing.
func (r *rig) notConfirmed(codes ...string) {
	r.t.Helper()
	_, err := r.confirm(codes...)
	wantKind(r.t, err, problem.NotFound)
}

func (r *rig) deny() (v otp.Verification, err error) {
	r.kept, v, err = otp.Deny(r.kept, r.now)
	return v, err
}

func (r *rig) claim(req otp.CheckRequest) (v otp.Verification, err error) {
	r.kept, v, err = otp.Claim(r.kept, req, r.policy, r.now)
	return v, err
}

func TestConfirm_ApprovesOnlyAPendingInboundOneByItsCode(t *testing.T) {
	r := newRig(t, quiet())
	sent := r.start("sent")
	v := r.startOver(channel.Inbound)
	other := r.startWith(func(req *otp.StartRequest) { req.Purpose, req.Workflow = "other", []channel.Channel{channel.Inbound} })
	code := codeOf(t, v)
	for name, codes := range map[string][]string{
		"no code":                   nil,
		"an empty one":              {""},
		"a wrong one":               {wrongCode(code)},
		"a part of it":              {code[:5]},
		"more than it":              {code + "0"},
		"the code of one sent":      {codeOf(t, sent)},
		"many wrong ones":           {"1", "", wrongCode(code), "000000"},
		"the code of another start": {codeOf(t, otp.Verification{ID: newID(fixture.Bob, 7), Key: v.Key, Shape: v.Shape})},
	} {
		r.unchanged(name, func() { r.notConfirmed(codes...) })
	}
	r.now = fixture.Noon.Add(time.Minute)
	got, err := r.confirm("000000", code)
	wantKind(t, err, "")
	if got.ID != v.ID || got.Status != otp.Approved || !got.EndedAt.Equal(r.now) || !alike(got, r.found(v)) {
		t.Errorf("got %+v", got)
	}
	if r.status(sent) != otp.Pending || r.status(other) != otp.Pending {
		t.Errorf("the others are %s and %s", r.status(sent), r.status(other))
	}
	if len(r.kept.Tally(server).Failures) != 0 {
		t.Errorf("%d failures are counted", len(r.kept.Tally(server).Failures))
	}
}

func TestConfirm_NeverOneThatHasEnded(t *testing.T) {
	for _, status := range allStatuses[1:] {
		r, v := begin(t, quiet(), channel.Inbound)
		r.kept.Verifications[0].Status, r.kept.Verifications[0].EndedAt = status, fixture.Noon
		r.unchanged(string(status), func() { r.notConfirmed(codeOf(t, v)) })
	}
	r, v := begin(t, quiet(), channel.Inbound)
	for _, r.now = range []time.Time{v.ExpiresAt, v.ExpiresAt.Add(-1)} { // it stays expired
		r.notConfirmed(codeOf(t, v))
	}
}

func TestConfirm_WithoutTheSecretNothingIsApproved(t *testing.T) {
	r, v := begin(t, quiet(), channel.Inbound)
	r.keys = fixture.Keys(t, 100)
	r.notConfirmed("")
	r.notConfirmed(codeOf(t, v))
}

// The client that starts the verification shows the code: the code alone must
// never approve it.
func TestCheck_OfAnInboundOneNeverApprovesAndSpendsNothing(t *testing.T) {
	r, v := begin(t, quiet(), channel.Inbound)
	for range 20 {
		for _, req := range []otp.CheckRequest{
			{ID: v.ID, Code: codeOf(t, v)},
			{ID: v.ID, Code: wrongCode(codeOf(t, v))},
			{Purpose: "login", Code: codeOf(t, v)},
			{ID: v.ID},
		} {
			r.unchanged(fmt.Sprint(req), func() { wantKind(t, r.checkWith(req), problem.InvalidRequest) })
		}
	}
	_, err := r.confirm(codeOf(t, v))
	wantKind(t, err, "")
	wantKind(t, r.right(v), problem.InvalidRequest)
}

func TestClaim_FetchesAnApprovalOnce(t *testing.T) {
	bound := otp.Transaction{Amount: "EUR 25.00", Payee: "Acme"}
	r := newRig(t, quiet())
	v := r.startWith(func(req *otp.StartRequest) { req.Workflow, req.Transaction = []channel.Channel{channel.Inbound}, bound })
	r.unchanged("a claim before the message", func() {
		_, err := r.claim(otp.CheckRequest{ID: v.ID, Transaction: bound})
		wantRefusal(t, err, problem.NotYetApproved, 2*time.Second)
	})
	_, err := r.confirm(codeOf(t, v))
	wantKind(t, err, "")
	for name, req := range map[string]otp.CheckRequest{
		"another purpose": {ID: v.ID, Purpose: "pay", Transaction: bound},
		"another address": {ID: v.ID, Address: fixture.Bob, Transaction: bound},
		"another user":    {ID: v.ID, User: "u1", Transaction: bound},
		"another id":      {ID: newID(fixture.Alice, 99), Transaction: bound},
	} {
		if _, err := r.claim(req); kindOf(t, err) != problem.NotFound {
			t.Errorf("%s: got %v", name, err)
		}
	}
	got, err := r.claim(otp.CheckRequest{ID: v.ID, Purpose: "login", Address: fixture.Alice, Transaction: bound})
	wantKind(t, err, "")
	if got.ID != v.ID || got.Status != otp.Approved || !got.Claimed || !alike(got, r.found(v)) {
		t.Errorf("got %+v", got)
	}
	_, err = r.claim(otp.CheckRequest{ID: v.ID, Transaction: bound})
	wantKind(t, err, problem.AlreadyUsed)
}

// An approval can be fetched until the code expires, and not at that time.
func TestClaim_NotAfterTheCodesTime(t *testing.T) {
	for left, want := range map[time.Duration]problem.Kind{1: "", 0: problem.Expired, -time.Hour: problem.Expired} {
		r, v := begin(t, quiet(), channel.Inbound)
		_, err := r.confirm(codeOf(t, v))
		wantKind(t, err, "")
		r.now = v.ExpiresAt.Add(-left)
		_, err = r.claim(otp.CheckRequest{ID: v.ID})
		wantKind(t, err, want)
	}
}

func TestClaim_OfWhatHasEndedOtherwise(t *testing.T) {
	for status, want := range map[otp.Status]problem.Kind{otp.Canceled: problem.Canceled, otp.Denied: problem.Denied, otp.Expired: problem.Expired} {
		r, v := begin(t, quiet(), channel.Inbound)
		r.kept.Verifications[0].Status, r.kept.Verifications[0].EndedAt = status, fixture.Noon
		_, err := r.claim(otp.CheckRequest{ID: v.ID})
		wantKind(t, err, want)
	}
	r, v := begin(t, quiet(), channel.Inbound)
	r.now = v.ExpiresAt
	_, err := r.claim(otp.CheckRequest{ID: v.ID})
	wantKind(t, err, problem.Expired)
}

// A request without a code never fetches the approval of a code that was sent.
func TestClaim_NeverOfOneThatWasSent(t *testing.T) {
	for _, status := range allStatuses {
		r, v := inStatus(t, status)
		r.kept = r.kept.Settle(r.now)
		r.unchanged(string(status), func() {
			_, err := r.claim(otp.CheckRequest{ID: v.ID})
			wantKind(t, err, problem.InvalidRequest)
		})
	}
}

func TestInbound_AStartCountsAsASendAndKeepsThePause(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy(), channel.Inbound)
	if len(r.kept.Tally(server).Sends) != 1 || len(v.Attempts) != 0 || v.Channel() != channel.Inbound {
		t.Errorf("%d sends, %+v", len(r.kept.Tally(server).Sends), v)
	}
	req := r.request(fixture.Alice, "login", otp.Transaction{})
	req.Workflow = []channel.Channel{channel.Inbound}
	_, err := r.apply(req)
	wantRefusal(t, err, problem.ResendTooSoon, 30*time.Second)
}

func TestDeny_EndsAllThatIsPending(t *testing.T) {
	r := newRig(t, quiet())
	approved := r.start("done")
	wantKind(t, r.right(approved), "")
	first, inbound := r.start("login"), r.startWith(func(req *otp.StartRequest) {
		req.Purpose, req.Workflow = "message", []channel.Channel{channel.Inbound}
	})
	last := r.start("pay")
	r.now = fixture.Noon.Add(time.Minute)
	newest, err := r.deny()
	wantKind(t, err, "")
	if newest.ID != last.ID || !alike(newest, r.found(last)) {
		t.Errorf("the newest is %+v, want %s", newest, last.ID)
	}
	for _, v := range []otp.Verification{first, inbound, last} {
		if got := r.found(v); got.Status != otp.Denied || !got.EndedAt.Equal(r.now) {
			t.Errorf("%s is %s since %v", v.Purpose, got.Status, got.EndedAt)
		}
	}
	if r.status(approved) != otp.Approved {
		t.Errorf("what was approved is %s", r.status(approved))
	}
	wantKind(t, r.right(last), problem.Denied)
	r.notConfirmed(codeOf(t, inbound))
	r.unchanged("another denial", func() {
		_, err := r.deny()
		wantKind(t, err, problem.NotFound)
	})
}

func TestDeny_OfNothingThatIsPendingIsNotFound(t *testing.T) {
	for _, status := range allStatuses[1:] {
		r, v := inStatus(t, status)
		_, err := r.deny()
		wantKind(t, err, problem.NotFound)
		if got := r.status(v); got != status {
			t.Errorf("%s became %s", status, got)
		}
	}
	_, _, err := otp.Deny(otp.Recipient{}, fixture.Noon)
	wantKind(t, err, problem.NotFound)
}
