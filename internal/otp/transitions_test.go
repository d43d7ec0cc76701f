package otp_test

import (
	"slices"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// inStatus returns a rig whose recipient holds one verification of that status.
// It reached the status as it does in production, if a transition leads there.
func inStatus(t *testing.T, status otp.Status) (*rig, otp.Verification) {
	t.Helper()
	r, v := begin(t, quiet())
	var err error
	switch status {
	case otp.Pending:
	case otp.Approved:
		err = r.right(v)
	case otp.Canceled:
		r.kept, _, err = otp.Cancel(r.kept, otp.Owner{}, v.ID, r.now)
	case otp.Undeliverable:
		r.fail(v, 1, otp.NextChannel) // the only channel
	case otp.Expired:
		r.now = v.ExpiresAt
		r.kept = r.kept.Settle(r.now)
	case otp.Exhausted:
		r.wrongTimes(v, r.policy.MaxChecks)
	case otp.Denied:
		r.kept, _, err = otp.Deny(r.kept, r.now)
	default: // no transition leads there
		r.kept.Verifications[0].Status = status
		r.kept.Verifications[0].EndedAt = r.now
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := r.status(v); got != status {
		t.Fatalf("the verification is %q, want %q", got, status)
	}
	v, _ = r.kept.Find(v.ID)
	return r, v
}

func TestTransitions_EachOneInEveryStatus(t *testing.T) {
	allStatuses := append(slices.Clone(allStatuses), "no such status")
	type result struct {
		kind   problem.Kind
		status otp.Status
	}
	check := func(r *rig, v otp.Verification, code string) (otp.Recipient, otp.Verification, error) {
		return otp.Check(r.kept, otp.CheckRequest{ID: v.ID, Code: code}, r.keys, r.policy, r.now)
	}
	for _, tr := range []struct {
		name  string
		apply func(r *rig, v otp.Verification) (otp.Recipient, otp.Verification, error)
		// accepted are the statuses that are not refused, and their results.
		accepted map[otp.Status]result
	}{
		{"resend", func(r *rig, v otp.Verification) (otp.Recipient, otp.Verification, error) {
			return otp.Resend(r.kept, otp.ResendRequest{ID: v.ID, Channel: "sms"}, r.policy, r.now)
		}, map[otp.Status]result{otp.Pending: {"", otp.Pending}}},
		{"check right", func(r *rig, v otp.Verification) (otp.Recipient, otp.Verification, error) {
			return check(r, v, codeOf(r.t, v))
		}, map[otp.Status]result{otp.Pending: {"", otp.Approved}}},
		{"check wrong", func(r *rig, v otp.Verification) (otp.Recipient, otp.Verification, error) {
			return check(r, v, wrongCode(codeOf(r.t, v)))
		}, map[otp.Status]result{otp.Pending: {problem.WrongCode, otp.Pending}}},
		{"cancel", func(r *rig, v otp.Verification) (otp.Recipient, otp.Verification, error) {
			return otp.Cancel(r.kept, otp.Owner{}, v.ID, r.now)
		}, map[otp.Status]result{otp.Pending: {"", otp.Canceled}, otp.Canceled: {"", otp.Canceled}}},
	} {
		for _, status := range allStatuses {
			t.Run(tr.name+"/"+string(status), func(t *testing.T) {
				r, v := inStatus(t, status)
				want, accepted := tr.accepted[status]
				if !accepted {
					want = result{refusedAs[status], status}
				}
				before := r.kept.Settle(r.now)
				next, out, err := tr.apply(r, v)
				if got := (result{kindOf(t, err), out.Status}); got != want {
					t.Errorf("got %v, want %v", got, want)
				}
				if kept, err := next.Find(v.ID); err != nil || !alike(kept, out) {
					t.Errorf("the recipient keeps %+v (%v), the outcome was %+v", kept, err, out)
				}
				if changed := !same(next, before); changed != (status == otp.Pending) {
					t.Errorf("changed the recipient: %v", changed)
				}
			})
		}
	}
}

func TestStart_AfterEveryStatusMakesANewPendingOne(t *testing.T) {
	for _, status := range allStatuses {
		t.Run(string(status), func(t *testing.T) {
			r, old := inStatus(t, status)
			v := r.start("login")
			if v.ID == old.ID || r.status(v) != otp.Pending {
				t.Errorf("got %v %v, want a new pending one", v.ID, v.Status)
			}
			want := status
			if status == otp.Pending {
				want = otp.Canceled
			}
			if got := r.status(old); got != want {
				t.Errorf("the earlier one is %v, want %v", got, want)
			}
		})
	}
}

func TestStart_MakesWhatTheRequestSays(t *testing.T) {
	r := newRig(t, otp.DefaultPolicy())
	r.now = fixture.Noon.Add(1234567 * time.Nanosecond)
	req := r.request(fixture.Alice, "pay", otp.Transaction{Amount: "EUR 25.00", Payee: "Acme"})
	req.User, req.Unverified, req.Other, req.Locale = "u1", true, fixture.AliceMail, "pt-BR"
	req.Workflow = []channel.Channel{"whatsapp", "email"}
	req.Idempotency = otp.Idempotency{Key: [16]byte{1}, Body: [16]byte{2}}
	v, err := r.apply(req)
	wantKind(t, err, "")
	want := otp.Verification{
		ID: req.ID, Purpose: "pay", User: "u1", Unverified: true, Other: fixture.AliceMail, Locale: "pt-BR",
		Workflow:    []channel.Channel{"whatsapp", "email"},
		Attempts:    []otp.Attempt{{Channel: "whatsapp", At: fixture.Noon.Add(time.Millisecond), Status: otp.Queued}},
		Transaction: req.Transaction, Nonce: req.Nonce, Key: req.Key, Shape: r.policy.Shape, Status: otp.Pending,
		CreatedAt: fixture.Noon.Add(time.Millisecond), ExpiresAt: fixture.Noon.Add(10 * time.Minute),
	}
	if !alike(v, want) {
		t.Errorf("got  %+v\nwant %+v", v, want)
	}
	wantRecipient := otp.Recipient{
		Address: fixture.Alice, Verifications: []otp.Verification{want}, Tallies: one(otp.Tally{Sends: []time.Time{want.CreatedAt}}),
		Replays: []otp.Replay{{
			Idempotency: req.Idempotency, At: want.CreatedAt, ID: want.ID, Purpose: "pay", Channel: "whatsapp",
			ExpiresAt: want.ExpiresAt, ResendAfter: want.CreatedAt.Add(30 * time.Second), SendsLeft: 4, ChecksLeft: 5,
			UnderWay: true,
		}},
	}
	if !same(r.kept, wantRecipient) {
		t.Errorf("got  %+v\nwant %+v", r.kept, wantRecipient)
	}
}

func TestStart_RefusesAnAddressWhoseRowBelongsToAnother(t *testing.T) {
	r, _ := begin(t, otp.DefaultPolicy())
	r.now = fixture.Noon.Add(time.Hour)
	_, err := r.apply(r.request(fixture.Bob, "login", otp.Transaction{}))
	wantKind(t, err, problem.Internal)
	if r.kept.Address != fixture.Alice || len(r.kept.Tally(server).Sends) != 1 {
		t.Errorf("the refusal left %+v", r.kept)
	}
}

func TestStart_CancelsOnlyThePendingOneOfItsPurpose(t *testing.T) {
	r := newRig(t, quiet())
	login, pay := r.start("login"), r.start("pay")
	r.now = fixture.Noon.Add(1234567 * time.Nanosecond)
	second := r.start("login")
	if got := r.found(login).EndedAt; !got.Equal(fixture.Noon.Add(ms)) { // as a row holds it
		t.Errorf("ended at %v", got)
	}
	for _, want := range []struct {
		v      otp.Verification
		status otp.Status
	}{{login, otp.Canceled}, {pay, otp.Pending}, {second, otp.Pending}} {
		if got := r.status(want.v); got != want.status {
			t.Errorf("%s %s is %v, want %v", want.v.Purpose, want.v.ID, got, want.status)
		}
	}
	wantKind(t, r.right(login), problem.Canceled)
}

func TestResend_KeepsCodeAndExpiryAndChangesTheChannel(t *testing.T) {
	r, v := begin(t, quiet())
	r.now = fixture.Noon.Add(time.Minute)
	r.resendOver(v, "call")
	got := r.found(v)
	want := copyOf(v)
	want.Attempts = append(want.Attempts, otp.Attempt{Channel: "call", At: r.now, Status: otp.Queued})
	if !alike(got, want) || got.Channel() != "call" {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestCancel_TwiceKeepsTheFirstEnd(t *testing.T) {
	r, v := inStatus(t, otp.Canceled)
	_, again, err := otp.Cancel(r.kept, otp.Owner{}, v.ID, r.now.Add(time.Minute))
	if err != nil || !alike(again, v) {
		t.Errorf("got %+v, %v; want %+v", again, err, v)
	}
}

func TestTransitions_UnknownIDIsNotFound(t *testing.T) {
	r, _ := begin(t, quiet())
	unknown := newID(fixture.Alice, 999)
	_, _, resent := otp.Resend(r.kept, otp.ResendRequest{ID: unknown, Channel: "sms"}, r.policy, r.now)
	_, _, checked := otp.Check(r.kept, otp.CheckRequest{ID: unknown, Code: "000000"}, r.keys, r.policy, r.now)
	_, _, canceled := otp.Cancel(r.kept, otp.Owner{}, unknown, r.now)
	_, _, _, followed := otp.Follow(r.kept, otp.Progress{ID: unknown, Attempt: 1, Status: otp.Failed}, r.policy, r.now)
	_, _, claimed := otp.Claim(r.kept, otp.CheckRequest{ID: unknown}, r.policy, r.now)
	_, _, noPurpose := otp.Check(r.kept, otp.CheckRequest{Purpose: "pay", Code: "000000"}, r.keys, r.policy, r.now)
	_, _, nobody := otp.Check(otp.Recipient{}, otp.CheckRequest{Address: fixture.Alice, Purpose: "login", Code: "000000"}, r.keys, r.policy, r.now)
	for name, err := range map[string]error{
		"resend": resent, "check": checked, "cancel": canceled, "follow": followed, "claim": claimed,
		"check of an unused purpose": noPurpose, "check of an unknown recipient": nobody,
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, err, problem.NotFound) })
	}
}

func TestCheck_CodeOfARemovedSecretIsExpiredAndSpendsNothing(t *testing.T) {
	r, v := begin(t, quiet())
	code := codeOf(t, v)
	r.keys = fixture.Keys(t, 100)
	r.unchanged("the check", func() { wantKind(t, r.check(v, code), problem.Expired) })
	r.keys = mustParse(fixture.Secret(100) + "," + keyringSecret) // rotated, not removed
	wantKind(t, r.check(v, code), "")
}

func TestCheck_ByPurposeMeansTheNewestOneEvenIfItHasEnded(t *testing.T) {
	r, first := begin(t, quiet())
	second := r.start("login")
	for _, step := range []struct {
		v    otp.Verification
		want problem.Kind
	}{{first, problem.WrongCode}, {second, ""}, {second, problem.AlreadyUsed}} {
		wantKind(t, r.checkWith(otp.CheckRequest{Purpose: "login", Code: codeOf(t, step.v)}), step.want)
	}
}

func TestForgetting_KeepsEightVerificationsAndNeverDropsAPendingOne(t *testing.T) {
	p := quiet()
	p.MaxSends, p.MaxSendsPerDay = 100, 100
	r := newRig(t, p)
	live := []otp.Verification{r.start("a"), r.start("b"), r.start("c")}
	var ended []otp.Verification
	for range 20 {
		ended = append(ended, r.start("d")) // each cancels the one before
	}
	if n := len(r.kept.Verifications); n != 8 {
		t.Errorf("keeps %d verifications, want 8", n)
	}
	for _, v := range append(live, ended[19]) {
		if got := r.status(v); got != otp.Pending {
			t.Errorf("%s is %v, want pending", v.Purpose, got)
		}
	}
	wantKind(t, r.right(ended[15]), problem.Canceled)
	wantKind(t, r.right(ended[14]), problem.NotFound)
}

func TestForgetting_AnEndedOneIsRememberedForADay(t *testing.T) {
	for _, tc := range []struct {
		status otp.Status
		want   problem.Kind
	}{
		{otp.Approved, problem.AlreadyUsed},
		{otp.Expired, problem.Expired},
	} {
		r, v := inStatus(t, tc.status)
		r.now = v.EndedAt.Add(window.Day - 1)
		wantKind(t, r.right(v), tc.want)
		r.now = v.EndedAt.Add(window.Day)
		wantKind(t, r.right(v), problem.NotFound)
	}
}
