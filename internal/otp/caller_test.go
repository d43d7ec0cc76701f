package otp_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// Callers of the tests of limits.
var (
	bank, shop, pay = otp.Caller{Client: "bank"}, otp.Caller{Client: "shop"}, otp.Caller{Client: "pay"}
)

// strangers type addresses in the forms of five clients, each in a network of its own.
var strangers = []otp.Caller{typedBy("bank", 1), typedBy("shop", 2), typedBy("pay", 3), typedBy("", 4), typedBy("post", 5)}

// typedBy is a caller with an address that was typed in network n, 0 if unknown.
func typedBy(client string, n byte) otp.Caller {
	return otp.Caller{Client: client, Origin: otp.OriginTyped, Network: otp.Network{n}}
}

func knownTo(client string) otp.Caller { return otp.Caller{Client: client, Origin: otp.OriginKnown} }

// beginAs starts a verification of a caller with the purpose "login".
func (r *rig) beginAs(c otp.Caller) (otp.Verification, error) {
	req := r.request(fixture.Alice, "login", otp.Transaction{})
	req.Caller = c
	if c.Origin == otp.OriginKnown {
		if r.kept.KnownAt.IsZero() {
			r.kept.KnownAt = r.now
		}
		req.Browser = otp.Browser{ID: [8]byte{1}, ProvenAt: r.kept.KnownAt}
	}
	return r.apply(req)
}

func (r *rig) mustBeginAs(c otp.Caller) otp.Verification {
	r.t.Helper()
	v, err := r.beginAs(c)
	wantKind(r.t, err, "")
	return v
}

// wrongAs checks a wrong code on a caller's verification.
func (r *rig) wrongAs(v otp.Verification) error {
	return r.checkWith(otp.CheckRequest{Caller: v.Caller, ID: v.ID, Code: wrongCode(codeOf(r.t, v))})
}

func (r *rig) rightAs(v otp.Verification) error {
	return r.checkWith(otp.CheckRequest{Caller: v.Caller, ID: v.ID, Code: codeOf(r.t, v)})
}

// isShared reports whether a refusal is one of a limit that callers share, which shows no
// counter, and ends the test unless it is TooManySends or TooManyChecks.
func isShared(t *testing.T, err error, kind problem.Kind) bool {
	t.Helper()
	e := fixture.Problem(t, err, kind)
	_, shared := errors.AsType[*otp.SharedLimitError](err)
	if shared && e.ChecksLeft != nil || !shared && kind == problem.TooManyChecks && (e.ChecksLeft == nil || *e.ChecksLeft != 0) {
		t.Errorf("shared %t, and the counter is %v", shared, e.ChecksLeft)
	}
	return shared
}

// limits is the table of limits, row by row. The callers act in turn.
var limits = map[string]struct {
	callers      []otp.Caller
	policy       func(p *otp.Policy)
	wrong, sends int // how many are accepted in a day; 0: not tried
	soon         int // messages in 10 minutes
	shared       bool
}{
	"a client's server":                     {callers: []otp.Caller{bank}, wrong: 10, sends: 20, soon: 5},
	"the nameless client's server":          {callers: []otp.Caller{server}, wrong: 10, sends: 20, soon: 5},
	"typed, over clients and networks":      {callers: strangers, wrong: 10, sends: 5, soon: 5, shared: true},
	"typed, in one network":                 {callers: []otp.Caller{typedBy("bank", 1), typedBy("shop", 1)}, wrong: 10, sends: 2, soon: 2, shared: true},
	"typed, in unknown networks":            {callers: []otp.Caller{typedBy("bank", 0), typedBy("shop", 0)}, wrong: 10, sends: 2, soon: 2, shared: true},
	"known browsers, over clients":          {callers: []otp.Caller{knownTo("bank"), knownTo("shop")}, wrong: 10, sends: 10, soon: 5, shared: true},
	"all servers together":                  {callers: []otp.Caller{bank, shop, pay, server}, wrong: 30, sends: 40, soon: 10, shared: true},
	"servers and typed together":            {callers: []otp.Caller{bank, shop, typedBy("bank", 1), pay}, wrong: 30, shared: true},
	"lower settings, a server":              {callers: []otp.Caller{bank}, policy: lower, wrong: 4, sends: 3, soon: 2},
	"lower settings, typed":                 {callers: []otp.Caller{typedBy("bank", 1), typedBy("shop", 2)}, policy: lower, wrong: 4, sends: 3, soon: 2, shared: true},
	"lower settings, known browsers":        {callers: []otp.Caller{knownTo("bank"), knownTo("shop")}, policy: lower, wrong: 4, sends: 3, soon: 2, shared: true},
	"lower settings, all together":          {callers: []otp.Caller{bank, shop, pay, server}, policy: lower, wrong: 12, sends: 6, soon: 4, shared: true},
	"one message a day, one network":        {callers: []otp.Caller{typedBy("bank", 1), typedBy("shop", 1)}, policy: func(p *otp.Policy) { p.MaxSendsPerDay = 1 }, sends: 1, soon: 1, shared: true},
	"40 wrong codes a client, all together": {callers: []otp.Caller{bank, shop, pay}, policy: func(p *otp.Policy) { p.MaxFailuresPerDay = 40 }, wrong: 90, shared: true},
	"95 wrong codes a client, all together": {callers: []otp.Caller{bank, shop, pay}, policy: func(p *otp.Policy) { p.MaxFailuresPerDay = 95 }, wrong: 105, shared: true},
	"the highest settings, typed":           {callers: strangers, policy: highest, wrong: 10, sends: 5, soon: 5, shared: true},
	"the highest settings, known browsers":  {callers: []otp.Caller{knownTo("bank"), knownTo("shop")}, policy: highest, wrong: 10, sends: 10, soon: 10, shared: true},
}

func lower(p *otp.Policy) { p.MaxFailuresPerDay, p.MaxSendsPerDay, p.MaxSends = 4, 3, 2 }

func highest(p *otp.Policy) {
	p.MaxFailuresPerDay, p.MaxSendsPerDay, p.MaxSends = otp.MaxCounted, otp.MaxCounted, otp.MaxCounted
}

// allRefused fails the test unless the callers are refused until the time, and one of them
// is not from then on.
func (r *rig) allRefused(t *testing.T, callers []otp.Caller, kind problem.Kind, until time.Time, shared bool) {
	t.Helper()
	for _, at := range []time.Time{r.now, until.Add(-1)} {
		for _, c := range callers {
			r.now = at
			_, err := r.beginAs(c)
			if wantRefusal(t, err, kind, until.Sub(at)); isShared(t, err, kind) != shared {
				t.Errorf("%+v: %v; shared: %t", c, err, shared)
			}
		}
	}
	r.now = until
	r.mustBeginAs(callers[0])
}

// countSends sends as each of the callers in turn until one is refused.
func (r *rig) countSends(callers []otp.Caller, step time.Duration) (sent int) {
	for ; ; sent++ {
		if _, err := r.beginAs(callers[sent%len(callers)]); err != nil {
			return sent
		}
		r.now = r.now.Add(step)
	}
}

func TestLimits_EachRowIsExactAtItsEdge(t *testing.T) {
	t.Parallel()
	for name, tc := range limits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := quiet()
			if tc.policy != nil {
				tc.policy(&p)
			}
			if tc.wrong > 0 {
				r := newRig(t, p)
				r.policy.MaxChecks, r.policy.TTL = otp.MaxCounted, window.Day
				r.wrongUntilRefused(t, tc.callers, tc.wrong)
				r.allRefused(t, tc.callers, problem.TooManyChecks, fixture.Noon.Add(window.Day), tc.shared)
			}
			if tc.sends > 0 {
				r := newRig(t, p)
				if got := r.countSends(tc.callers, 11*time.Minute); got != tc.sends {
					t.Errorf("%d messages in a day, want %d", got, tc.sends)
				}
				r.allRefused(t, tc.callers, problem.TooManySends, fixture.Noon.Add(window.Day), tc.shared)
			}
			if tc.soon > 0 {
				r := newRig(t, p)
				if got := r.countSends(tc.callers, time.Second); got != tc.soon {
					t.Errorf("%d messages in 10 minutes, want %d", got, tc.soon)
				}
				end := otp.SendWindow
				if tc.soon == tc.sends {
					end = window.Day
				}
				r.allRefused(t, tc.callers, problem.TooManySends, fixture.Noon.Add(end), tc.shared)
			}
		})
	}
}

// wrongUntilRefused checks wrong codes of the callers in turn, one each second from noon
// on, and fails the test unless that many are compared.
func (r *rig) wrongUntilRefused(t *testing.T, callers []otp.Caller, most int) {
	t.Helper()
	var began []otp.Verification
	for _, c := range callers {
		r.now = fixture.Noon.Add(-time.Minute)
		began = append(began, r.mustBeginAs(c))
	}
	r.now = fixture.Noon
	for compared := 0; ; compared++ {
		v := began[compared%len(began)]
		err := r.wrongAs(v)
		if kindOf(t, err) == problem.WrongCode {
			r.now = r.now.Add(time.Second)
			continue
		}
		if compared != most {
			t.Fatalf("%d wrong codes are compared, want %d", compared, most)
		}
		r.unchanged("the right code of a locked address", func() {
			wantRefusal(t, r.rightAs(v), problem.TooManyChecks, fixture.Noon.Add(window.Day).Sub(r.now))
		})
		return
	}
}

// R26: whatever the settings are, strangers cannot use up what one client's server has.
func TestR26_TheTotalsHaveRoomForOneServerAndAllStrangers(t *testing.T) {
	t.Parallel()
	for n := 1; n <= otp.MaxCounted; n++ {
		p := otp.Policy{MaxFailuresPerDay: n, MaxSendsPerDay: n}
		if got, want := p.TotalFailuresPerDay(), n+min(n, otp.MaxTypedFailuresPerDay); got < want {
			t.Errorf("%d wrong codes a client: %d together, want %d at least", n, got, want)
		}
		if got, want := p.TotalSendsPerDay(), n+min(n, otp.MaxTypedSendsPerDay); got < want {
			t.Errorf("%d messages a client: %d together, want %d at least", n, got, want)
		}
	}
}

func TestLimits_Totals(t *testing.T) {
	t.Parallel()
	for perClient, want := range map[int]int{1: 3, 10: 30, 30: 90, 31: 90, 80: 90, 81: 91, 90: 100, 100: 110} {
		p := otp.Policy{MaxFailuresPerDay: perClient, MaxSendsPerDay: perClient}
		if got := p.TotalFailuresPerDay(); got != want {
			t.Errorf("%d wrong codes a client: %d together, want %d", perClient, got, want)
		}
		if got := p.TotalSendsPerDay(); got != 2*perClient {
			t.Errorf("%d messages a client: %d together", perClient, got)
		}
	}
}

// Known browsers count beside the totals, in both directions.
func TestR26_KnownBrowsersCountBesideTheTotals(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	r.policy.MaxChecks, r.policy.TTL = otp.MaxCounted, window.Day
	browser := r.mustBeginAs(knownTo("bank"))
	for range otp.MaxKnownFailuresPerDay - 1 {
		wantKind(t, r.wrongAs(browser), problem.WrongCode)
	}
	r.wrongUntilRefused(t, []otp.Caller{bank, shop, pay, server}, 30)
	wantKind(t, r.rightAs(browser), "")

	r = newRig(t, quiet())
	for range otp.MaxKnownSendsPerDay - 1 {
		r.mustBeginAs(knownTo("bank"))
		r.now = r.now.Add(3 * time.Minute)
	}
	if got := r.countSends([]otp.Caller{bank, shop, pay}, 3*time.Minute); got != 40 {
		t.Errorf("%d messages, want 40", got)
	}
	r.mustBeginAs(knownTo("shop"))
}

// A stranger who types an address into forms uses up what typed addresses have. The
// client's server and the person's own browser send and approve as before.
func TestR26_Attack22_StrangersUseUpTheTypedRowOnly(t *testing.T) {
	t.Parallel()
	for name, attack := range map[string]func(r *rig){
		"messages": func(r *rig) {
			for i, c := range []otp.Caller{typedBy("bank", 1), typedBy("shop", 2), typedBy("bank", 3), typedBy("shop", 1), typedBy("bank", 2)} {
				if _, err := r.beginAs(c); err != nil {
					t.Errorf("message %d: %v", i+1, err)
				}
				r.now = r.now.Add(time.Minute)
			}
		},
		"wrong codes": func(r *rig) {
			for _, c := range []otp.Caller{typedBy("bank", 1), typedBy("shop", 2)} {
				v := r.mustBeginAs(c)
				for range 5 {
					wantKind(t, r.wrongAs(v), problem.WrongCode)
				}
				r.now = r.now.Add(time.Minute)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, otp.DefaultPolicy())
			attack(r)
			_, err := r.beginAs(typedBy("pay", 9))
			locked, _ := errors.AsType[*problem.Error](err)
			if !problem.Is(err, problem.TooManySends, problem.TooManyChecks) {
				t.Fatalf("the typed row is not used up: %v", err)
			}
			began := r.now
			for _, c := range []otp.Caller{bank, shop, knownTo("bank")} {
				v := r.mustBeginAs(c)
				for range 4 {
					wantKind(t, r.wrongAs(v), problem.WrongCode)
				}
				wantKind(t, r.rightAs(v), "")
			}
			r.now = began.Add(locked.RetryAfter - 1)
			if _, err := r.beginAs(typedBy("pay", 9)); err == nil {
				t.Error("the lock ended too early")
			}
			r.now = began.Add(locked.RetryAfter)
			wantKind(t, r.rightAs(r.mustBeginAs(typedBy("pay", 9))), "")
		})
	}
}

// The log learns who used up what callers share, most first.
func TestSharedLimit_NamesWhoUsedItUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	r.policy.MaxChecks = otp.MaxCounted
	for c, n := range map[otp.Caller]int{server: 2, typedBy("bank", 1): 2, typedBy("bank", 2): 3, shop: 9, pay: 8, {Client: "x"}: 3, {Client: "y"}: 2, {Client: "z"}: 1} {
		tally := otp.Tally{Caller: c}
		for range n {
			tally.Failures = append(tally.Failures, r.now.Add(-time.Hour))
		}
		r.kept.Tallies = append(r.kept.Tallies, tally)
	}
	slices.SortFunc(r.kept.Tallies, func(a, b otp.Tally) int { return len(b.Failures) - len(a.Failures) })
	r.kept.Address = fixture.Alice
	_, err := r.beginAs(bank)
	shared, ok := errors.AsType[*otp.SharedLimitError](err)
	if !ok || shared.By != "shop server 9, pay server 8, bank typed 5, x server 3, (nameless) server 2" && shared.By != "shop server 9, pay server 8, bank typed 5, x server 3, y server 2" {
		t.Errorf("%+v", shared)
	}

	// Whoever has caused none of the events is not named.
	r.kept.Tallies = []otp.Tally{tallyOf(shop, 30, r.now), {Caller: pay, Sends: []time.Time{r.now}}, tallyOf(knownTo("post"), 3, r.now)}
	_, err = r.beginAs(bank)
	if shared, ok := errors.AsType[*otp.SharedLimitError](err); !ok || shared.By != "shop server 30" {
		t.Errorf("%+v", shared)
	}
}

// tallyOf has n wrong codes and n messages, one every 15 minutes until now.
func tallyOf(c otp.Caller, n int, now time.Time) otp.Tally {
	t := otp.Tally{Caller: c}
	for i := range n {
		at := now.Add(time.Duration(i-n) * 15 * time.Minute)
		t.Failures, t.Sends = append(t.Failures, at), append(t.Sends, at)
	}
	return t
}

func (r *rig) unlock(client string, call byte) (left int, err error) {
	r.kept, left, err = otp.AddUnlock(r.kept, fixture.Alice, otp.Caller{Client: client}, [16]byte{call}, r.now)
	return left, err
}

func (r *rig) mustUnlock(client string, want int) {
	r.t.Helper()
	if left, err := r.unlock(client, 0); err != nil || left != want {
		r.t.Fatalf("unlock for %s: %d left, %v; want %d", client, left, err, want)
	}
}

// Only the client that asks gets an allowance more, of wrong codes and of messages, and
// only for its server. Nothing that is counted goes.
func TestUnlock_OneAllowanceForOneClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	r.kept = otp.Recipient{Address: fixture.Alice, Tallies: []otp.Tally{tallyOf(bank, 10, r.now), tallyOf(shop, 10, r.now)}}
	counted := r.kept.Tally(bank).Failures
	r.mustUnlock("bank", 2)
	if got := r.kept.Tally(bank).Failures; !slices.Equal(got, counted) {
		t.Errorf("the wrong codes are %v, want %v", got, counted)
	}
	for _, c := range []otp.Caller{bank, shop, typedBy("bank", 1), knownTo("bank")} {
		want := map[otp.Caller]int{bank: 10, shop: 0, typedBy("bank", 1): 10, knownTo("bank"): 10}[c]
		left, err := r.reserveAll(c)
		if left != want {
			t.Errorf("%+v has %d wrong codes left, want %d: %v", c, left, want, err)
		}
	}
	r = newRig(t, quiet())
	r.kept = otp.Recipient{Address: fixture.Alice, Tallies: []otp.Tally{tallyOf(bank, 20, r.now)}}
	r.kept.Tallies[0].Failures = nil
	wantKind(t, r.beginErrorAs(bank), problem.TooManySends)
	r.mustUnlock("bank", 2)
	if got := r.countSends([]otp.Caller{bank}, 11*time.Minute); got != 20 {
		t.Errorf("%d messages more, want 20", got)
	}
}

func (r *rig) beginErrorAs(c otp.Caller) error {
	_, err := r.beginAs(c)
	return err
}

// reserveAll counts how many wrong codes a caller has left, and leaves the recipient as it
// was.
func (r *rig) reserveAll(c otp.Caller) (left int, err error) {
	at := r.kept
	for ; ; left++ {
		if at, _, err = otp.Reserve(at, fixture.Alice, c, r.policy, r.now); err != nil {
			return left, err
		}
	}
}

// unlockFor unlocks the address for each of the clients. What others did is not shown.
func unlockFor(r *rig, clients []string) {
	r.t.Helper()
	had := make(map[string]int)
	for _, c := range clients {
		had[c]++
		r.mustUnlock(c, otp.MaxUnlocksPerDay-had[c])
	}
}

// The operator's unlock is for all who type the address, whatever the client and the network: the limits that
// these share, and no other. A network that had its messages has no more.
func TestR26_UnlockOfWhatIsTyped(t *testing.T) {
	t.Parallel()
	home, stranger := typedBy("shop", 1), typedBy("bank", 2)
	unlock := func(r *rig, want int) {
		t.Helper()
		var err error
		var left int
		if r.kept, left, err = otp.AddUnlock(r.kept, fixture.Alice, typedBy("", 0), [16]byte{}, r.now); err != nil || left != want {
			t.Fatalf("%d left, %v", left, err)
		}
	}
	r := newRig(t, quiet())
	r.kept = otp.Recipient{Address: fixture.Alice, Tallies: []otp.Tally{tallyOf(stranger, 10, r.now), tallyOf(bank, 10, r.now)}}
	r.kept.Tallies[0].Sends = nil
	wantKind(t, r.beginErrorAs(home), problem.TooManyChecks)
	for want := 2; want >= 0; want-- {
		unlock(r, want)
	}
	for c, want := range map[otp.Caller]int{home: 10, stranger: 10, bank: 0, shop: 10, knownTo("shop"): 10} { // 10 of the total of 30
		if left, err := r.reserveAll(c); left != want {
			t.Errorf("%+v has %d wrong codes left, want %d: %v", c, left, want, err)
		}
	}
	if _, _, err := otp.AddUnlock(r.kept, fixture.Alice, bank, [16]byte{}, r.now); !problem.Is(err, problem.TooManyChanges) {
		t.Errorf("a fourth unlock of a day: %v", err)
	}

	r = newRig(t, quiet())
	for _, n := range []byte{1, 1, 2, 2, 3} {
		r.now = r.now.Add(11 * time.Minute)
		r.mustBeginAs(typedBy("shop", n))
	}
	r.now = r.now.Add(11 * time.Minute)
	wantKind(t, r.beginErrorAs(typedBy("shop", 4)), problem.TooManySends)
	unlock(r, 2)
	wantKind(t, r.beginErrorAs(typedBy("bank", 1)), problem.TooManySends)
	for _, n := range []byte{3, 4, 4, 5, 5} {
		r.now = r.now.Add(11 * time.Minute)
		r.mustBeginAs(typedBy("shop", n))
	}
	wantKind(t, r.beginErrorAs(typedBy("shop", 6)), problem.TooManySends)
}

// What a caller is told of its own wrong codes has the operator's unlock in it.
func TestUnlock_OfWhatIsTypedShowsInTheCallersOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	home := typedBy("shop", 1)
	r.kept = otp.Recipient{Address: fixture.Alice, Tallies: []otp.Tally{tallyOf(home, 10, r.now)}}
	r.kept, _, _ = otp.AddUnlock(r.kept, fixture.Alice, typedBy("", 0), [16]byte{}, r.now)
	_, got, err := otp.Reserve(r.kept, fixture.Alice, home, r.policy, r.now)
	if err != nil || got.Left != 9 || got.Wait != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// The totals stay, however often a client unlocks.
func TestAttack38_UnlocksNeverLiftTheTotals(t *testing.T) {
	t.Parallel()
	for _, clients := range [][]string{{"bank", "bank", "bank"}, {"bank", "shop", "pay"}} {
		r := newRig(t, quiet())
		unlockFor(r, clients)
		guesses, sends := 0, 0
		for _, c := range []otp.Caller{bank, shop, pay, server, typedBy("bank", 1), typedBy("shop", 2)} {
			for {
				next, _, err := otp.Reserve(r.kept, fixture.Alice, c, r.policy, r.now)
				if err != nil {
					break
				}
				r.kept = next
				guesses++
			}
		}
		r = newRig(t, quiet())
		unlockFor(r, clients)
		for _, c := range []otp.Caller{bank, shop, pay, server} {
			sends += r.countSends([]otp.Caller{c}, 11*time.Minute)
		}
		if guesses != 30 || sends != 40 {
			t.Errorf("unlocked for %q: %d guesses and %d messages, want 30 and 40", clients, guesses, sends)
		}
		_, _, err := otp.Reserve(r.kept, fixture.Alice, bank, r.policy, r.now)
		wantKind(t, err, "")
	}
}

func TestUnlock_ThreeADayOverAllClients(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	for i, c := range []string{"bank", "shop", ""} {
		r.now = fixture.Noon.Add(time.Duration(i) * time.Hour)
		r.mustUnlock(c, 2) // what others did is not shown
	}
	r.unchanged("the refusal", func() {
		for _, c := range []string{"bank", "pay"} {
			_, err := r.unlock(c, 0)
			wantRefusal(t, err, problem.TooManyChanges, window.Day-2*time.Hour)
		}
	})
	r.now = fixture.Noon.Add(window.Day - 1)
	_, err := r.unlock("bank", 0)
	wantRefusal(t, err, problem.TooManyChanges, 1)
	r.now = fixture.Noon.Add(window.Day)
	r.mustUnlock("bank", 2)
}

// The host delivers a call again: it counts once, and shows what it showed.
func TestUnlock_ARepeatedCallCountsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	r.kept.KnownAt = r.now
	for _, call := range []byte{1, 2} {
		if left, err := r.unlock("bank", call); err != nil || left != 3-int(call) {
			t.Fatalf("%d left, %v", left, err)
		}
	}
	r.now = r.now.Add(time.Minute)
	r.unchanged("a repetition", func() {
		for range 39 {
			if left, err := r.unlock("bank", 1); err != nil || left != 1 {
				t.Errorf("%d left, %v", left, err)
			}
		}
	})
	if left, err := r.unlock("bank", 3); err != nil || left != 0 { // the third one: all are used up
		t.Errorf("%d left, %v", left, err)
	}
	if left, err := r.unlock("bank", 1); err != nil || left != 0 {
		t.Errorf("a repetition when all are used up: %d left, %v", left, err)
	}
	if n := len(r.kept.Tally(bank).Unlocks); n != 3 {
		t.Errorf("%d unlocks", n)
	}
}

// An unlock ends while the wrong codes that it allowed go on to count.
func TestUnlock_EndsBeforeTheWrongCodes(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	r.mustUnlock("bank", 2)
	tally := r.kept.Tally(bank)
	for i := range 15 { // hours 9 to 23 after the unlock
		tally.Failures = append(tally.Failures, fixture.Noon.Add(time.Duration(9+i)*time.Hour))
	}
	r.kept.Tallies = one(tally)
	r.now = fixture.Noon.Add(window.Day - 1)
	wantKind(t, r.beginErrorAs(bank), "")
	r.kept.Verifications = nil
	r.now = fixture.Noon.Add(window.Day) // the unlock has ended, 15 wrong codes count
	lockedUntil := fixture.Noon.Add(window.Day + 14*time.Hour)
	wantRefusal(t, r.beginErrorAs(bank), problem.TooManyChecks, lockedUntil.Sub(r.now))
	r.now = lockedUntil.Add(-1)
	wantRefusal(t, r.beginErrorAs(bank), problem.TooManyChecks, 1)
	r.now = lockedUntil
	wantKind(t, r.beginErrorAs(bank), "")
}

// unlocked draws recipients with unlocks whose times are in the past, so that retry_after
// is exact.
var unlocked = rapid.Custom(func(t *rapid.T) otp.Recipient {
	now := fixture.Noon
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return now.Add(-time.Duration(rapid.Int64Range(0, int64(26*time.Hour/ms)).Draw(t, "ms")) * ms)
	})
	recently := rapid.Custom(func(t *rapid.T) time.Time {
		return now.Add(-time.Duration(rapid.Int64Range(0, int64(11*time.Minute/ms)).Draw(t, "ms")) * ms)
	})
	times := func(label string, most int) []time.Time {
		s := append(rapid.SliceOfN(at, 0, most).Draw(t, label), rapid.SliceOfN(recently, 0, 4).Draw(t, "recent "+label)...)
		slices.SortFunc(s, time.Time.Compare)
		return s
	}
	r := otp.Recipient{Address: fixture.Alice}
	for _, c := range callers[:rapid.IntRange(1, len(callers)).Draw(t, "callers")] {
		tally := otp.Tally{Caller: c, Sends: times("sends", 12), Failures: times("failures", 12)}
		if c.Origin == otp.OriginServer || c == (otp.Caller{Origin: otp.OriginTyped}) {
			for _, at := range rapid.SliceOfN(at, 0, otp.MaxUnlocksPerDay).Draw(t, "unlocks") {
				tally.Unlocks = append(tally.Unlocks, otp.Unlock{At: at})
			}
		}
		r.Tallies = append(r.Tallies, tally)
	}
	if rapid.IntRange(0, 4).Draw(t, "blocked") == 0 {
		r.BlockedUntil = now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "minutes")) * time.Minute)
	}
	return r
})

// After RetryAfter no rule refuses a message or a check, and until then one does: also if
// an unlock ends meanwhile, so that a rule that allowed it at first does not any more.
func TestUnlock_AfterRetryAfterNoRuleRefuses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := unlocked.Draw(t, "recipient")
		p := otp.DefaultPolicy()
		p.MaxFailuresPerDay, p.MaxSendsPerDay = rapid.IntRange(1, 12).Draw(t, "wrong codes"), rapid.IntRange(1, 12).Draw(t, "messages")
		c := anyCaller.Draw(t, "caller")
		for what, refusal := range map[string]func(now time.Time) error{
			"a message": func(now time.Time) error { return r.Settle(now).SendRefusal(c, p, now) },
			"a check": func(now time.Time) error {
				_, _, err := otp.Reserve(r, fixture.Alice, c, p, now)
				return err
			},
		} {
			err := refusal(fixture.Noon)
			if err == nil {
				continue
			}
			wait := err.(*problem.Error).RetryAfter
			if again := refusal(fixture.Noon.Add(wait)); again != nil {
				t.Fatalf("%s is refused (%v), and again after %v: %v, %v", what, err, wait, again, again.(*problem.Error).RetryAfter)
			}
			if refusal(fixture.Noon.Add(wait-1)) == nil {
				t.Fatalf("%s is refused for %v (%v), and allowed before", what, wait, err)
			}
		}
	})
}

// An unlock and an erasure make known browsers unknown, if there is one.
func TestEpoch_RisesOnUnlockAndErasure(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *rig){
		"unlock":  func(r *rig) { r.mustUnlock("bank", 2) },
		"erasure": func(r *rig) { r.kept = r.kept.Forgotten(all, r.now) },
	} {
		r := newRig(t, quiet())
		if change(r); !r.kept.Epoch.IsZero() {
			t.Errorf("%s: no browser is known, and the epoch is %v", name, r.kept.Epoch)
		}
		r = newRig(t, quiet())
		r.kept.KnownAt = r.now.Add(-time.Hour)
		if change(r); !r.kept.Epoch.Equal(r.now) {
			t.Errorf("%s: the epoch is %v, want %v", name, r.kept.Epoch, r.now)
		}
		r = newRig(t, quiet()) // the clock that wrote the epoch is ahead
		r.kept.KnownAt, r.kept.Epoch = r.now, r.now.Add(time.Minute)
		if change(r); !r.kept.Epoch.After(r.now.Add(time.Minute)) {
			t.Errorf("%s: the epoch is %v and has not risen", name, r.kept.Epoch)
		}
	}
}

// An erasure for one directory leaves what clients of others have, and every count.
func TestAttack38_ForgottenLeavesWhatOtherClientsHave(t *testing.T) {
	t.Parallel()
	r := newRig(t, quiet())
	ids := map[string]otp.ID{}
	for i, c := range []otp.Caller{bank, shop, typedBy("shop", 1), typedBy("bank", 2)} {
		req := r.request(fixture.Alice, "login", otp.Transaction{})
		req.Caller, req.Idempotency = c, known(i+1)
		v, err := r.apply(req)
		wantKind(t, err, "")
		ids[c.Client+c.Origin.String()] = v.ID
		wantKind(t, r.wrongAs(v), problem.WrongCode)
	}
	r.kept.Preferred = []otp.Preferred{{Client: "bank", Channel: "sms", At: r.now}, {Client: "shop", Channel: "sms", At: r.now}}
	before := deepCopy(r.kept)
	after := r.kept.Forgotten(func(client string) bool { return client == "bank" }, r.now)
	for who, id := range ids {
		v, err := after.Find(id)
		if kept := err == nil && v.Status == otp.Pending; kept != (who[:4] == "shop") {
			t.Errorf("%s: kept %t, %v", who, kept, err)
		}
	}
	if len(after.Replays) != 2 || slices.ContainsFunc(after.Replays, func(p otp.Replay) bool { return p.Caller.Client != "shop" }) {
		t.Errorf("answers: %+v", after.Replays)
	}
	if len(after.Preferred) != 1 || after.Preferred[0].Client != "shop" || after.Address != fixture.Alice {
		t.Errorf("preferred: %+v, address %q", after.Preferred, after.Address)
	}
	after.Verifications, after.Replays, after.Preferred = before.Verifications, before.Replays, before.Preferred
	if !same(after, before) {
		t.Errorf("the rest changed:\nfrom %+v\nto   %+v", before, after)
	}
}

// What is left of a client's may need the address: its answers to repetitions show it, and
// it can be erased in its turn.
func TestForgotten_TheAddressStaysWhileAnotherClientHasAnything(t *testing.T) {
	t.Parallel()
	ofBank := func(client string) bool { return client == "bank" }
	for name, left := range map[string]otp.Recipient{
		"an answer":           {Replays: []otp.Replay{{Caller: shop, At: fixture.Noon}}},
		"a preferred channel": {Preferred: []otp.Preferred{{Client: "shop", Channel: "sms", At: fixture.Noon}}},
		"a verification":      {Verifications: []otp.Verification{{Caller: shop}}},
	} {
		left.Address = fixture.Alice
		left.Verifications = append(left.Verifications, otp.Verification{Caller: bank})
		r := left.Forgotten(ofBank, fixture.Noon)
		if r.Address != fixture.Alice {
			t.Errorf("%s of shop: the address is %q", name, r.Address)
		}
		if r = r.Forgotten(func(client string) bool { return client == "shop" }, fixture.Noon); r.Address != "" || len(r.Verifications)+len(r.Replays)+len(r.Preferred) > 0 {
			t.Errorf("%s: nobody has anything any more, and %+v is left", name, r)
		}
	}
}
