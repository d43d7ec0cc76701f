package otp_test

import (
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// inStatus returns a bench whose recipient holds one verification of that
// status, which it reached the way it does in service.
func inStatus(t *testing.T, status otp.Status) (*bench, otp.Verification) {
	t.Helper()
	b := newBench(t, quiet())
	v := b.start("login")
	var err error
	switch status {
	case otp.Pending:
	case otp.Approved:
		err = b.right(v)
	case otp.Canceled:
		b.r, _, err = otp.Cancel(b.r, v.ID, b.now)
	case otp.Undeliverable:
		b.fail(v, 1, otp.NextChannel) // the only channel
	case otp.Expired:
		b.now = v.ExpiresAt
		b.r = b.r.Settle(b.now)
	case otp.Exhausted:
		for range b.p.MaxChecks {
			wantKind(t, b.wrong(v), problem.WrongCode)
		}
	case otp.Denied:
		b.r, _, err = otp.Deny(b.r, b.now)
	default: // no transition leads there
		b.r.Verifications[0].Status = status
		b.r.Verifications[0].EndedAt = b.now
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := b.status(v); got != status {
		t.Fatalf("the verification is %q, want %q", got, status)
	}
	v, _ = b.r.Find(v.ID)
	return b, v
}

func TestTransitions_EveryStatusAgainstEachOne(t *testing.T) {
	allStatuses := []otp.Status{
		otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable, "no such status",
	}
	refusedAs := map[otp.Status]problem.Kind{
		otp.Approved:      problem.AlreadyUsed,
		otp.Canceled:      problem.Canceled,
		otp.Denied:        problem.Denied,
		otp.Expired:       problem.Expired,
		otp.Exhausted:     problem.TooManyChecks,
		otp.Undeliverable: problem.Undeliverable,
		"no such status":  problem.Internal,
	}
	type result struct {
		kind   problem.Kind
		status otp.Status
	}
	for _, tr := range []struct {
		name  string
		apply func(b *bench, v otp.Verification) (otp.Recipient, otp.Verification, error)
		// accepted lists what is not refused, and where it leads.
		accepted map[otp.Status]result
	}{
		{"resend", func(b *bench, v otp.Verification) (otp.Recipient, otp.Verification, error) {
			return otp.Resend(b.r, otp.ResendRequest{ID: v.ID, Channel: "sms"}, b.p, b.now)
		}, map[otp.Status]result{otp.Pending: {"", otp.Pending}}},
		{"check right", func(b *bench, v otp.Verification) (otp.Recipient, otp.Verification, error) {
			return otp.Check(b.r, otp.CheckRequest{ID: v.ID, Code: codeOf(b.t, v)}, b.keys, b.p, b.now)
		}, map[otp.Status]result{otp.Pending: {"", otp.Approved}}},
		{"check wrong", func(b *bench, v otp.Verification) (otp.Recipient, otp.Verification, error) {
			return otp.Check(b.r, otp.CheckRequest{ID: v.ID, Code: wrongCode(codeOf(b.t, v))}, b.keys, b.p, b.now)
		}, map[otp.Status]result{otp.Pending: {problem.WrongCode, otp.Pending}}},
		{"cancel", func(b *bench, v otp.Verification) (otp.Recipient, otp.Verification, error) {
			return otp.Cancel(b.r, v.ID, b.now)
		}, map[otp.Status]result{otp.Pending: {"", otp.Canceled}, otp.Canceled: {"", otp.Canceled}}},
	} {
		for _, status := range allStatuses {
			t.Run(tr.name+"/"+string(status), func(t *testing.T) {
				b, v := inStatus(t, status)
				want, accepted := tr.accepted[status]
				if !accepted {
					want = result{refusedAs[status], status}
				}
				before := b.r.Settle(b.now)
				r, out, err := tr.apply(b, v)
				if got := (result{kindOf(t, err), out.Status}); got != want {
					t.Errorf("got %v, want %v", got, want)
				}
				if kept, err := r.Find(v.ID); err != nil || !alike(kept, out) {
					t.Errorf("the recipient keeps %+v (%v), the outcome was %+v", kept, err, out)
				}
				if changed := !same(r, before); changed != (status == otp.Pending) {
					t.Errorf("changed the recipient: %v", changed)
				}
			})
		}
	}
}

func TestStart_AfterEveryStatusMakesANewPendingOne(t *testing.T) {
	for _, status := range []otp.Status{
		otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable,
	} {
		t.Run(string(status), func(t *testing.T) {
			b, old := inStatus(t, status)
			v := b.start("login")
			if v.ID == old.ID || b.status(v) != otp.Pending {
				t.Errorf("got %v %v, want a new pending one", v.ID, v.Status)
			}
			want := status
			if status == otp.Pending {
				want = otp.Canceled
			}
			if got := b.status(old); got != want {
				t.Errorf("the earlier one is %v, want %v", got, want)
			}
		})
	}
}

func TestStart_MakesExactlyWhatWasAskedFor(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	b.now = noon.Add(1234567 * time.Nanosecond)
	req := b.request(alice, "pay", otp.Context{Amount: "EUR 25.00", Payee: "Acme"})
	req.User, req.Unverified, req.Other, req.Locale = "u1", true, aliceEmail, "pt-BR"
	req.Workflow = []string{"whatsapp", "email"}
	req.Idempotency = otp.Idempotency{Key: [16]byte{1}, Body: [16]byte{2}}
	r, v, err := otp.Start(b.r, req, b.p, b.now)
	if err != nil {
		t.Fatal(err)
	}
	want := otp.Verification{
		ID: req.ID, Purpose: "pay", User: "u1", Unverified: true, Other: aliceEmail, Locale: "pt-BR",
		Workflow: []string{"whatsapp", "email"},
		Attempts: []otp.Attempt{{Channel: "whatsapp", At: noon.Add(time.Millisecond), Status: otp.Queued}},
		Context:  req.Context, Nonce: req.Nonce, Key: req.Key, Shape: b.p.Shape, Status: otp.Pending,
		CreatedAt: noon.Add(time.Millisecond), ExpiresAt: noon.Add(10 * time.Minute),
	}
	if !alike(v, want) {
		t.Errorf("got  %+v\nwant %+v", v, want)
	}
	wantRecipient := otp.Recipient{
		Address: alice, Verifications: []otp.Verification{want}, Sends: []time.Time{want.CreatedAt},
		Replays: []otp.Replay{{
			Idempotency: req.Idempotency, At: want.CreatedAt, ID: want.ID, Purpose: "pay", Channel: "whatsapp",
			ExpiresAt: want.ExpiresAt, ResendAfter: want.CreatedAt.Add(30 * time.Second), SendsLeft: 4, ChecksLeft: 5,
		}},
	}
	if !same(r, wantRecipient) {
		t.Errorf("got  %+v\nwant %+v", r, wantRecipient)
	}
}

func TestStart_RefusesAnAddressWhoseRowBelongsToAnother(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	b.start("login")
	before := deepCopy(b.r)
	r, _, err := otp.Start(b.r, b.request(bob, "login", otp.Context{}), b.p, noon.Add(time.Hour))
	wantKind(t, err, problem.Internal)
	if r.Address != alice || len(r.Sends) != len(before.Sends) {
		t.Errorf("the refusal left %+v", r)
	}
}

func TestStart_CancelsOnlyTheLiveOneOfItsOwnPurpose(t *testing.T) {
	b := newBench(t, quiet())
	login, pay := b.start("login"), b.start("pay")
	b.now = noon.Add(1234567 * time.Nanosecond)
	second := b.start("login")
	if got := b.found(login).EndedAt; !got.Equal(noon.Add(ms)) { // as a row holds it
		t.Errorf("ended at %v", got)
	}
	for _, want := range []struct {
		v      otp.Verification
		status otp.Status
	}{{login, otp.Canceled}, {pay, otp.Pending}, {second, otp.Pending}} {
		if got := b.status(want.v); got != want.status {
			t.Errorf("%s %s is %v, want %v", want.v.Purpose, want.v.ID, got, want.status)
		}
	}
	wantKind(t, b.right(login), problem.Canceled)
}

func TestResend_KeepsCodeAndExpiryAndNamesTheNewChannel(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	b.now = noon.Add(time.Minute)
	if err := b.resend(v, "voice"); err != nil {
		t.Fatal(err)
	}
	got, _ := b.r.Find(v.ID)
	want := copyOf(v)
	want.Attempts = append(want.Attempts, otp.Attempt{Channel: "voice", At: b.now, Status: otp.Queued})
	if !alike(got, want) || got.Channel() != "voice" {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestCancel_TwiceKeepsTheFirstEnd(t *testing.T) {
	b, v := inStatus(t, otp.Canceled)
	_, again, err := otp.Cancel(b.r, v.ID, b.now.Add(time.Minute))
	if err != nil || !alike(again, v) {
		t.Errorf("got %+v, %v; want %+v", again, err, v)
	}
}

func TestTransitions_UnknownIDIsNotFound(t *testing.T) {
	b := newBench(t, quiet())
	b.start("login")
	unknown := newID(alice, 999)
	_, _, resent := otp.Resend(b.r, otp.ResendRequest{ID: unknown, Channel: "sms"}, b.p, b.now)
	_, _, checked := otp.Check(b.r, otp.CheckRequest{ID: unknown, Code: "000000"}, b.keys, b.p, b.now)
	_, _, canceled := otp.Cancel(b.r, unknown, b.now)
	_, _, _, followed := otp.Follow(b.r, otp.Progress{ID: unknown, Attempt: 1, Status: otp.Failed}, b.p, b.now)
	_, _, claimed := otp.Claim(b.r, otp.CheckRequest{ID: unknown}, b.now)
	_, _, noPurpose := otp.Check(b.r, otp.CheckRequest{Purpose: "pay", Code: "000000"}, b.keys, b.p, b.now)
	_, _, nobody := otp.Check(otp.Recipient{}, otp.CheckRequest{Address: alice, Purpose: "login", Code: "000000"}, b.keys, b.p, b.now)
	for name, err := range map[string]error{
		"resend": resent, "check": checked, "cancel": canceled, "follow": followed, "claim": claimed,
		"check of an unused purpose": noPurpose, "check of a recipient never seen": nobody,
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, err, problem.NotFound) })
	}
}

func TestCheck_CodeOfARemovedSecretIsExpiredAndSpendsNothing(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	code := codeOf(t, v)
	before := deepCopy(b.r)
	b.keys = mustParse(fixedSecret(100))
	wantKind(t, b.check(v, code), problem.Expired)
	if !same(b.r, before) {
		t.Error("the check changed the recipient")
	}
	b.keys = mustParse(fixedSecret(100) + "," + fixedSecret(1)) // rotated, not removed
	wantKind(t, b.check(v, code), "")
}

func TestCheck_ByPurposeMeansTheNewestOneEvenWhereItHasEnded(t *testing.T) {
	b := newBench(t, quiet())
	first := b.start("login")
	second := b.start("login")
	byPurpose := func(code string) error {
		var err error
		b.r, _, err = otp.Check(b.r, otp.CheckRequest{Purpose: "login", Code: code}, b.keys, b.p, b.now)
		return err
	}
	wantKind(t, byPurpose(codeOf(t, first)), problem.WrongCode)
	wantKind(t, byPurpose(codeOf(t, second)), "")
	wantKind(t, byPurpose(codeOf(t, second)), problem.AlreadyUsed)
}

func TestForgetting_KeepsEightVerificationsAndNeverDropsALiveOne(t *testing.T) {
	p := quiet()
	p.MaxSends, p.MaxSendsPerDay = 100, 100
	b := newBench(t, p)
	live := []otp.Verification{b.start("a"), b.start("b"), b.start("c")}
	var ended []otp.Verification
	for range 20 {
		ended = append(ended, b.start("d")) // each cancels the one before
	}
	if n := len(b.r.Verifications); n != 8 {
		t.Errorf("keeps %d verifications, want 8", n)
	}
	for _, v := range append(live, ended[19]) {
		if got := b.status(v); got != otp.Pending {
			t.Errorf("%s is %v, want pending", v.Purpose, got)
		}
	}
	wantKind(t, b.right(ended[15]), problem.Canceled)
	wantKind(t, b.right(ended[14]), problem.NotFound)
}

func TestForgetting_AnEndedOneIsRememberedForADay(t *testing.T) {
	for _, tc := range []struct {
		status otp.Status
		want   problem.Kind
	}{
		{otp.Approved, problem.AlreadyUsed},
		{otp.Expired, problem.Expired},
	} {
		b, v := inStatus(t, tc.status)
		b.now = v.EndedAt.Add(window.Day - 1)
		wantKind(t, b.right(v), tc.want)
		b.now = v.EndedAt.Add(window.Day)
		wantKind(t, b.right(v), problem.NotFound)
	}
}
