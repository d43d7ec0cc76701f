package otp_test

import (
	"errors"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

func onPage(c otp.Caller, n byte) otp.Caller {
	c.Session = otp.Session{n}
	return c
}

// What belongs to a page session is found, replaced, sent again, checked and canceled within
// that session alone.
func TestSession_IsApartFromTheClientAndFromOtherSessions(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	own := r.mustBeginAs(bank)
	first := r.mustBeginAs(onPage(bank, 1))
	second := r.mustBeginAs(onPage(bank, 2))
	for name, v := range map[string]otp.Verification{"client": own, "first": first, "second": second} {
		if got := r.found(v).Status; got != otp.Pending {
			t.Errorf("%s is %s: another start has ended it", name, got)
		}
	}
	for name, tc := range map[string]struct {
		caller otp.Caller
		v      otp.Verification
	}{"client": {bank, first}, "other session": {onPage(bank, 2), first}, "session": {onPage(bank, 1), own}, "other client": {onPage(shop, 1), first}} {
		_, _, err := otp.Cancel(r.kept, tc.caller.Owner(), tc.v.ID, r.now)
		wantKind(t, err, problem.NotFound)
		_, _, err = otp.Resend(r.kept, otp.ResendRequest{ID: tc.v.ID, Owner: tc.caller.Owner(), AnyOrigin: true}, r.policy, r.now)
		wantKind(t, err, problem.NotFound)
		err = r.checkWith(otp.CheckRequest{Caller: tc.caller, AnyOrigin: true, ID: tc.v.ID, Code: codeOf(t, tc.v)})
		if wantKind(t, err, problem.NotFound); r.kept.KnowsOf(tc.caller.Owner(), tc.v.ID) {
			t.Errorf("%s knows it", name)
		}
	}
	again := r.mustBeginAs(onPage(bank, 1))
	if got := r.found(first).Status; got != otp.Canceled {
		t.Errorf("the first code of the session is %s", got)
	}
	if latest, err := r.kept.Latest(bank, "login", ""); err != nil || latest.ID != own.ID {
		t.Errorf("by address: %s, %v", latest.ID, err)
	}
	wantKind(t, r.rightAs(again), "")
	wantKind(t, r.rightAs(own), "")
	wantKind(t, r.rightAs(second), "")
}

// The limits count what happens in all sessions together.
func TestSession_CountsForTheClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	r.policy.MaxChecks = otp.MaxCounted
	var last otp.Verification
	for n := range byte(10) {
		r.now = r.now.Add(11 * time.Minute)
		last = r.mustBeginAs(onPage(bank, 1+n))
		wantKind(t, r.wrongAs(last), problem.WrongCode)
	}
	wantKind(t, r.rightAs(last), problem.TooManyChecks)
	if len(r.kept.Tallies) != 1 || r.kept.Tallies[0].Session != (otp.Session{}) {
		t.Errorf("%+v", r.kept.Tallies)
	}
}

// remembered approves a typed verification in a browser that is to be known.
func (r *rig) remembered(remember bool) {
	v := r.mustBeginAs(typedBy("bank", 1))
	req := otp.CheckRequest{Caller: v.Caller, ID: v.ID, Code: codeOf(r.t, v), Remember: remember}
	wantKind(r.t, r.checkWith(req), "")
}

// known starts from a browser that says to have proven the address then.
func (r *rig) known(id byte, provenAt time.Time) (otp.Verification, error) {
	req := r.request(fixture.Alice, "login", otp.Transaction{})
	req.Caller, req.Browser = knownTo("bank"), otp.Browser{ID: [8]byte{id}, ProvenAt: provenAt}
	return r.apply(req)
}

func TestKnownBrowser_IsKnownOnlyAfterAProof(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	if _, err := r.known(1, r.now); !errors.Is(err, otp.ErrNotKnown) {
		t.Errorf("without a proof: %v", err)
	}
	r.remembered(false)
	if _, err := r.known(1, r.now); !errors.Is(err, otp.ErrNotKnown) {
		t.Errorf("on a shared device: %v", err)
	}
	r.now = r.now.Add(time.Hour)
	r.remembered(true)
	if _, err := r.known(1, r.now); err != nil {
		t.Errorf("after a proof: %v", err)
	}
	proven := r.now
	if r.now = proven.Add(otp.KnownFor - 1); r.kept.KeepUntil().Before(r.now) {
		t.Error("the row ends before the browser is forgotten")
	}
	if _, err := r.known(1, proven); err != nil {
		t.Errorf("before 90 days: %v", err)
	}
	r.now = proven.Add(otp.KnownFor)
	if _, err := r.known(1, proven); !errors.Is(err, otp.ErrNotKnown) {
		t.Errorf("after 90 days: %v", err)
	}
}

// An unlock and an erasure end that browsers are known. A browser that proves the address
// again is known again.
func TestKnownBrowser_EndsWithTheEpoch(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *rig){
		"unlock": func(r *rig) { r.kept, _, _ = otp.AddUnlock(r.kept, fixture.Alice, shop, [16]byte{}, r.now) },
		"erase":  func(r *rig) { r.kept = r.kept.Forgotten(func(string) bool { return true }, r.now) },
	} {
		r := newRig(t, quiet())
		r.remembered(true)
		proven := r.now
		r.now = r.now.Add(time.Minute)
		end(r)
		if _, err := r.known(1, proven); !errors.Is(err, otp.ErrNotKnown) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.known(1, r.now); !errors.Is(err, otp.ErrNotKnown) {
			t.Errorf("%s, proven at the same moment: %v", name, err)
		}
		r.now = r.now.Add(time.Minute)
		r.remembered(true)
		if _, err := r.known(1, r.now); err != nil {
			t.Errorf("%s, proven again: %v", name, err)
		}
	}
}

// Five wrong codes from one browser end that it is known, on whatever days they are typed.
// Other browsers stay known.
func TestKnownBrowser_FiveWrongCodesEndIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	r.remembered(true)
	proven := r.now
	for n := range 5 {
		v, err := r.known(1, proven)
		if err != nil {
			t.Fatalf("after %d wrong codes: %v", n, err)
		}
		wantKind(t, r.checkWith(otp.CheckRequest{Caller: v.Caller, ID: v.ID, Code: wrongCode(codeOf(t, v)), Browser: [8]byte{1}}), problem.WrongCode)
		r.now = r.now.Add(window.Day)
	}
	if _, err := r.known(1, proven); !errors.Is(err, otp.ErrNotKnown) {
		t.Errorf("after five wrong codes: %v", err)
	}
	if _, err := r.known(2, proven); err != nil {
		t.Errorf("another browser: %v", err)
	}
}

// The list of browsers with wrong codes is bounded: with too many, all prove the address again.
func TestKnownBrowser_ManyEndAll(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	r.remembered(true)
	proven := r.now
	for n := byte(1); n <= 16; n++ {
		v, err := r.known(n, proven)
		if err != nil {
			t.Fatalf("browser %d: %v", n, err)
		}
		wantKind(t, r.checkWith(otp.CheckRequest{Caller: v.Caller, ID: v.ID, Code: wrongCode(codeOf(t, v)), Browser: [8]byte{n}}), problem.WrongCode)
		r.now = r.now.Add(window.Day)
	}
	v, err := r.known(17, proven)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, r.checkWith(otp.CheckRequest{Caller: v.Caller, ID: v.ID, Code: wrongCode(codeOf(t, v)), Browser: [8]byte{17}}), problem.WrongCode)
	if len(r.kept.Suspects) != 1 {
		t.Errorf("%d browsers are kept", len(r.kept.Suspects))
	}
	if _, err := r.known(18, proven); !errors.Is(err, otp.ErrNotKnown) {
		t.Errorf("a browser that proved the address before: %v", err)
	}
}
