package account_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/account"
	"twofa/internal/channel"
	"twofa/internal/testing/fixture"
)

const (
	number = "+491711234567"
	other  = "+14155550123"
	mail   = "anna@example.com"
	day    = 24 * time.Hour
	stale  = 90 * day
)

var noon = fixture.Noon

// proof is that of an address or, if it is none, of a kind that the account has had for a year, or for a minute if it is
// new.
func proof(of string, at time.Time) account.Proof {
	name, lately := strings.CutPrefix(of, "new ")
	if kind := account.Kind(name); kind == account.App || kind == account.Recovery {
		since := at.Add(-365 * day)
		if lately {
			since = at.Add(-time.Minute)
		}
		return account.Proof{Kind: kind, At: at, Since: since}
	}
	return account.Proof{Kind: account.KindOf(of), Address: of, At: at}
}

func proofs(at time.Time, of ...string) (list []account.Proof) {
	for _, o := range of {
		list = append(list, proof(o, at))
	}
	return list
}

func given(t rapid.TB, addresses ...string) account.State {
	t.Helper()
	s := account.State{Seed: [32]byte{1}}
	for _, a := range addresses {
		var err error
		if s, err = s.Give(a, noon); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// made is an account of a number that was proven at noon.
func made(t rapid.TB, addresses ...string) account.State {
	t.Helper()
	s := given(t, addresses...)
	return s.SignIn(account.Entry{Proofs: proofs(noon, addresses...), Client: "shop"}, noon)
}

// An address that was only given is no claim. The first proof makes the account, and after that the others are
// no way in: a number that the operator mistyped opens nothing of its owner's account.
func TestR23_GivenAddresses(t *testing.T) {
	t.Parallel()
	s := given(t, number, mail)
	if s.Phone()+s.Email() != "" || !s.Opens(number) || !s.Opens(mail) || s.Opens(other) {
		t.Errorf("before the first proof: %+v", s)
	}
	if !s.Suffices(proofs(noon, mail), account.Has{}, account.Seen{}, stale, noon) {
		t.Error("the first proof does not suffice")
	}
	s = s.SignIn(account.Entry{Proofs: proofs(noon, mail), Client: "shop"}, noon)
	if s.Email() != mail || s.Phone() != "" || s.Opens(number) || !s.Opens(mail) {
		t.Errorf("after the first proof: %+v", s)
	}
	if s.Suffices(proofs(noon, number), account.Has{}, account.Seen{Known: true}, stale, noon) || s.Suffices(proofs(noon, number, "app"), account.Has{App: true}, account.Seen{}, stale, noon) {
		t.Error("a given address signs in")
	}
	if s, err := s.Add(proofs(noon.Add(time.Minute), number)[0], proofs(noon, mail), noon.Add(time.Minute), noon.Add(time.Minute)); err != nil || s.Phone() != number || !s.Opens(number) {
		t.Errorf("a given address that is proven in a session: %+v, %v", s, err)
	}
	if late := s.Settle(noon.Add(account.GivenFor)); late.Opens(number) || len(late.Addresses) != 1 {
		t.Errorf("after 30 days: %+v", late)
	}
	if until := given(t, number).KeepUntil(); !until.Equal(noon.Add(account.GivenFor)) || !s.KeepUntil().IsZero() {
		t.Errorf("an account without a proof is kept until %v", until)
	}
	if _, err := s.Give(other, noon); !errors.Is(err, account.ErrOther) {
		t.Errorf("another number: %v", err)
	}
}

// The rules of DESIGN 7: which proofs sign in.
func TestSuffices(t *testing.T) {
	t.Parallel()
	old := made(t, number, mail)
	late := noon.Add(stale)
	then := noon.Add(time.Minute)
	fresh, err := old.Add(proofs(then, other)[0], proofs(then, mail), then, then)
	if err != nil {
		t.Fatal(err)
	}
	removed, err := old.Remove(number, proofs(noon, mail), noon)
	if err != nil {
		t.Fatal(err)
	}
	alone, app := made(t, number), account.Has{App: true}
	for name, tc := range map[string]struct {
		state  account.State
		proofs []string
		has    account.Has
		known  bool
		at     time.Time
		want   bool
	}{
		"a number":                                        {old, []string{number}, app, false, noon, true},
		"a number of another person":                      {old, []string{other}, app, true, noon, false},
		"nothing":                                         {old, nil, app, true, noon, false},
		"an app alone":                                    {old, []string{"app"}, app, false, noon, false},
		"an app in a known browser":                       {old, []string{"app"}, app, true, noon, true},
		"a recovery code alone":                           {old, []string{"recovery"}, app, false, noon, false},
		"a recovery code in a known browser":              {old, []string{"recovery"}, app, true, noon, true},
		"an app and a recovery code":                      {old, []string{"app", "recovery"}, app, false, noon, false},
		"an app beside a stranger's number":               {old, []string{other, "app"}, app, false, noon, false},
		"in the last moment of 90 days":                   {alone, []string{number}, app, false, late.Add(-1), true},
		"stale, with an app":                              {alone, []string{number}, app, false, late, false},
		"stale, with recovery codes":                      {alone, []string{number}, account.Has{Recovery: true}, false, late, false},
		"stale, and there is nothing else":                {alone, []string{number}, account.Has{}, false, late, true},
		"stale, with the app's code":                      {alone, []string{number, "app"}, app, false, late, true},
		"stale, with a mail address":                      {old, []string{number}, account.Has{}, false, late, false},
		"both stale":                                      {old, []string{number, mail}, account.Has{}, false, late, true},
		"stale, unlocked":                                 {alone.Unlock(number, late), []string{number}, app, false, late.Add(account.Unlocked - 1), true},
		"stale, another address unlocked":                 {old.Unlock(mail, late), []string{number}, app, false, late, false},
		"stale, unlocked too long ago":                    {alone.Unlock(number, late), []string{number}, app, false, late.Add(account.Unlocked), false},
		"new":                                             {fresh, []string{other}, account.Has{}, false, then.Add(day - 1), false},
		"new, a day later":                                {fresh, []string{other}, account.Has{}, false, then.Add(day), true},
		"new, with the mail address":                      {fresh, []string{other, mail}, account.Has{}, false, then, true},
		"new, with an app":                                {fresh, []string{other, "app"}, app, false, then, true},
		"replaced":                                        {fresh, []string{number}, account.Has{}, false, then.Add(day - 1), true},
		"replaced, a day later":                           {fresh, []string{number}, account.Has{}, false, then.Add(day), false},
		"replaced and new, which are one kind":            {fresh, []string{other, number}, account.Has{}, false, then.Add(day), true},
		"removed":                                         {removed, []string{number}, account.Has{}, false, noon.Add(day - 1), true},
		"removed, a day later":                            {removed, []string{number, "app"}, app, false, noon.Add(day), false},
		"an app beside an address that was removed":       {removed, []string{number, "app"}, app, false, noon, true},
		"a number in a known browser that is not its own": {old, []string{other}, app, true, late, false},
	} {
		if got := tc.state.Settle(tc.at).Suffices(proofs(tc.at, tc.proofs...), tc.has, account.Seen{Known: tc.known}, stale, tc.at); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
	}
}

// Two addresses that were both added within a day do not sign in together: somebody else may have added both.
func TestSuffices_TwoNewAddresses(t *testing.T) {
	t.Parallel()
	s := made(t, number)
	s, err := s.Add(proofs(noon.Add(2*day), other)[0], proofs(noon.Add(2*day), number), noon.Add(2*day), noon.Add(2*day))
	if err == nil {
		s, err = s.Add(proofs(noon.Add(2*day), mail)[0], proofs(noon.Add(2*day), number), noon.Add(2*day), noon.Add(2*day))
	}
	if err != nil {
		t.Fatal(err)
	}
	at := noon.Add(2*day + time.Hour)
	if s.Suffices(proofs(at, other, mail), account.Has{}, account.Seen{Known: true}, stale, at) {
		t.Error("two new addresses suffice")
	}
	if !s.Suffices(proofs(at, other, mail), account.Has{}, account.Seen{}, stale, at.Add(day)) {
		t.Error("a day later they do not suffice")
	}
}

// A recycled number does not open an account that has another factor, whatever it proves elsewhere.
func TestR23_OnlyUseRefreshes(t *testing.T) {
	t.Parallel()
	s, has := made(t, number), account.Has{App: true}
	used := noon.Add(stale - day)
	s = s.SignIn(account.Entry{Proofs: proofs(used, number), Client: "shop"}, used)
	if !s.Suffices(proofs(noon.Add(stale), number), has, account.Seen{}, stale, noon.Add(stale)) {
		t.Error("use does not refresh the address")
	}
	s = s.SignIn(account.Entry{Proofs: proofs(noon.Add(stale), "app"), Client: "shop"}, noon.Add(stale)) // in a known browser
	if at := used.Add(stale); s.Suffices(proofs(at, number), has, account.Seen{}, stale, at) {
		t.Error("the use of another factor refreshes the address")
	}
}

// Attack 41. A change needs something that was held for a day and proven within five minutes; it ends all
// sessions; the old address signs in and undoes for a day.
func TestAttack41_Changes(t *testing.T) {
	t.Parallel()
	id := account.NewSessionID()
	s := made(t, number, mail).SignIn(account.Entry{Proofs: proofs(noon, number), ID: id, Client: "shop"}, noon)
	later := noon.Add(2 * day)
	changes := map[string]func(account.State, []account.Proof) (account.State, error){
		"add": func(s account.State, p []account.Proof) (account.State, error) {
			return s.Add(proofs(later, other)[0], p, later, later)
		},
		"remove": func(s account.State, p []account.Proof) (account.State, error) {
			return s.Remove(mail, p, later)
		},
		"undo": func(s account.State, p []account.Proof) (account.State, error) {
			s, err := s.Remove(number, proofs(later, mail), later)
			if err != nil {
				return s, err
			}
			s = s.Stay(account.Browser{ID: [16]byte{7}, At: later})
			return s.Undo(number, p, later)
		},
	}
	for name, change := range changes {
		for why, p := range map[string][]account.Proof{
			"no proof": nil, "five minutes ago": proofs(later.Add(-account.Fresh), number), "of a stranger": proofs(later, other), "from the future": proofs(later.Add(time.Hour), number),
		} {
			if got, err := change(s, p); !errors.Is(err, account.ErrNotFresh) || name != "undo" && got.Epoch != s.Epoch {
				t.Errorf("%s, %s: %v", name, why, err)
			}
		}
		got, err := change(s, proofs(later.Add(-account.Fresh+1), number))
		if err != nil || got.Epoch <= s.Epoch || len(got.Browsers) != 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, ok := live(got, id, s.Epoch, 30*day, later); ok {
			t.Errorf("%s: a copied cookie lives", name)
		}
		if _, ok := live(got, id, got.Epoch, 30*day, later); ok {
			t.Errorf("%s: the session lives", name)
		}
	}
	taken, err := s.Add(proofs(later, other)[0], proofs(later, number), later, later)
	if err != nil || taken.Phone() != other {
		t.Fatal(taken, err)
	}
	if _, err := taken.Remove(mail, proofs(later, other), later); !errors.Is(err, account.ErrNotFresh) {
		t.Errorf("a new address changes the account: %v", err)
	}
	back, err := taken.Undo(number, proofs(later.Add(time.Hour), number), later.Add(time.Hour))
	if err != nil || back.Phone() != number || back.Opens(other) {
		t.Errorf("the old address does not undo: %+v, %v", back, err)
	}
	if _, err := taken.Undo(number, proofs(later.Add(day), mail), later.Add(day)); !errors.Is(err, account.ErrNone) {
		t.Errorf("after a day: %v", err)
	}
	if _, err := made(t, number).Remove(number, proofs(noon, number), noon); !errors.Is(err, account.ErrLast) {
		t.Errorf("the last address: %v", err)
	}
}

// live returns the browser with an id if it has a session.
func live(s account.State, id account.SessionID, epoch int64, lifetime time.Duration, now time.Time) (account.Browser, bool) {
	b, ok := s.Browser(id, epoch, now)
	return b, ok && b.SignedIn(lifetime, now)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	first := account.NewSessionID()
	s := made(t, number).SignIn(account.Entry{Proofs: proofs(noon, number), ID: first, Client: "shop"}, noon)
	for at, want := range map[time.Duration]bool{0: true, time.Hour - 1: true, time.Hour: false, -time.Hour: false} {
		if _, ok := live(s, first, s.Epoch, time.Hour, noon.Add(at)); ok != want {
			t.Errorf("after %v: %t", at, ok)
		}
	}
	if _, ok := live(s, account.NewSessionID(), s.Epoch, time.Hour, noon); ok {
		t.Error("an id that the account does not have")
	}
	if _, ok := live(s.SignOut(), first, s.Epoch, time.Hour, noon); ok {
		t.Error("signed out everywhere")
	}
	if _, ok := live(s.End(first), first, s.Epoch, time.Hour, noon); ok {
		t.Error("ended")
	}
	b, _ := live(s, first, s.Epoch, time.Hour, noon)
	out := s.SignOut().Stay(b)
	if _, ok := live(out, first, out.Epoch, time.Hour, noon); !ok {
		t.Error("the session that stays is gone")
	}
	if _, ok := live(out, first, s.Epoch, time.Hour, noon); ok {
		t.Error("the cookie from before lives")
	}
	for range account.MaxBrowsers {
		s = s.SignIn(account.Entry{Proofs: proofs(noon, number), ID: account.NewSessionID(), Client: "shop"}, noon)
	}
	if _, ok := live(s, first, s.Epoch, time.Hour, noon); ok || len(s.Browsers) != account.MaxBrowsers {
		t.Errorf("%d sessions, and the oldest one lives: %t", len(s.Browsers), ok)
	}
}

func TestConsents(t *testing.T) {
	t.Parallel()
	s := made(t, number).Consent("shop", []string{"openid", "phone"}, noon)
	for _, tc := range []struct {
		client string
		scopes string
		want   bool
	}{{"shop", "openid", true}, {"shop", "openid phone", true}, {"shop", "openid email", false}, {"bank", "openid", false}} {
		if got := s.HasConsent(tc.client, strings.Fields(tc.scopes)); got != tc.want {
			t.Errorf("%+v: %t", tc, got)
		}
	}
	s = s.Consent("shop", []string{"openid", "email"}, noon)
	if !s.HasConsent("shop", []string{"openid", "phone", "email"}) || len(s.Consents) != 1 {
		t.Errorf("%+v", s.Consents)
	}
	for i := range account.MaxConsents {
		s = s.Consent(strings.Repeat("a", i+1), []string{"openid"}, noon)
	}
	if s.HasConsent("shop", []string{"openid"}) || len(s.Consents) != account.MaxConsents {
		t.Error("the list has no bound")
	}
}

// Subjects differ between sectors and accounts, say nothing of the address, and have the form that relying
// parties take.
func TestR23_PairwiseSubjects(t *testing.T) {
	t.Parallel()
	a, b := account.State{Seed: [32]byte{1}}, account.State{Seed: [32]byte{2}}
	seen := make(map[string]bool)
	for _, s := range []account.State{a, b} {
		for _, sector := range []string{"app.example", "shop.example", ""} {
			for _, text := range []string{s.Subject(sector), strings.TrimPrefix(s.Username(sector), "user-")} {
				if seen[text] || strings.Trim(text, "0123456789abcdef") != "" || len(text) > 60 {
					t.Errorf("the text %q", text)
				}
				seen[text] = true
			}
		}
	}
	moved, _ := made(t, number).Add(proofs(noon, other)[0], proofs(noon, number), noon, noon)
	if moved.Subject("x") != made(t, number).Subject("x") {
		t.Error("the subject changes with the number")
	}
	if strings.HasPrefix(a.Subject("x"), strings.TrimPrefix(a.Username("x"), "user-")) {
		t.Error("the username is a part of the subject")
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	by := func(c channel.Channel) account.Proof {
		kind := account.Phone
		if c == channel.Email {
			kind = account.Email
		}
		return account.Proof{Kind: kind, Channel: c}
	}
	for _, tc := range []struct {
		proofs []account.Proof
		want   string
	}{
		{[]account.Proof{by(channel.SMS)}, "otp sms"}, {[]account.Proof{by(channel.WhatsApp)}, "otp"}, {[]account.Proof{by(channel.Call)}, "otp tel"},
		{[]account.Proof{by(channel.Email)}, "otp"}, {[]account.Proof{{Kind: account.Recovery}}, ""}, {[]account.Proof{{Kind: account.App}}, "otp"},
		{[]account.Proof{by(channel.SMS), {Kind: account.App}}, "otp sms mfa"}, {[]account.Proof{by(channel.SMS), by(channel.Email)}, "otp sms mfa"},
		{[]account.Proof{by(channel.SMS), by(channel.Call)}, "otp sms tel"}, // one number is one thing
		{[]account.Proof{by(channel.WhatsApp), {Kind: account.Recovery}}, "otp mfa"},
	} {
		if got := strings.Join(account.Methods(tc.proofs, strings.HasSuffix(tc.want, "mfa")), " "); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.proofs, got, tc.want)
		}
	}
}

// Two things count as two if they are of two kinds, and none of them was made by whoever has stolen the other one.
func TestStrong(t *testing.T) {
	t.Parallel()
	at := noon.Add(2 * day)
	s, err := made(t, number, mail).Add(proofs(at, other)[0], proofs(at, mail), at, at)
	if err != nil {
		t.Fatal(err)
	}
	old, lately := account.Has{App: true, AppSince: noon, Recovery: true, RecoverySince: noon}, account.Has{App: true, AppSince: at.Add(-time.Minute), Recovery: true, RecoverySince: at.Add(-time.Minute)}
	for name, tc := range map[string]struct {
		proofs []string
		has    account.Has
		strong bool
		canBe  bool
	}{
		"nothing":                                  {nil, account.Has{}, false, true},
		"a mail":                                   {[]string{mail}, account.Has{}, false, false}, // the number is new
		"a mail, and there is an app":              {[]string{mail}, old, false, true},
		"a mail, and there is a new app":           {[]string{mail}, lately, false, false},
		"a mail and an app":                        {[]string{mail, "app"}, old, true, true},
		"a mail and a new app":                     {[]string{mail, "new app"}, lately, false, false},
		"a mail and a new app beside an older one": {[]string{mail, "new app"}, old, false, true},
		"a mail and a new number":                  {[]string{mail, other}, account.Has{}, false, false},
		"a mail and the number that it had":        {[]string{mail, number}, account.Has{}, true, false},
		"a mail and new recovery codes":            {[]string{mail, "new recovery"}, lately, false, false},
		"an app and recovery codes":                {[]string{"app", "recovery"}, old, true, true},
		"a new number, a new app, and a mail":      {[]string{other, "new app", mail}, lately, false, false},
	} {
		if got := s.Strong(proofs(at, tc.proofs...), at); got != tc.strong {
			t.Errorf("%s: strong %t", name, got)
		}
		if got := s.CanBeStronger(proofs(at, tc.proofs...), tc.has, at); got != tc.canBe {
			t.Errorf("%s: can be stronger %t", name, got)
		}
	}
}

// Attack 41. A thief who has added an address does not win by its removal, nor by replacing it again before the
// person undoes that.
func TestAttack41_ReplacedAndNew(t *testing.T) {
	t.Parallel()
	at := noon.Add(2 * day)
	thief := proofs(at, number) // the person's phone was in his hand
	s, err := made(t, number).Add(proofs(at, "thief@example.com")[0], thief, at, at)
	if err != nil {
		t.Fatal(err)
	}
	later := at.Add(20 * time.Hour)
	s, err = s.Remove("thief@example.com", proofs(later, number), later)
	if err != nil || s.Opens("thief@example.com") {
		t.Errorf("an address that was not held is not gone: %+v, %v", s.Addresses, err)
	}
	s, err = made(t, number).Add(proofs(at, other)[0], thief, at, at)
	if err == nil {
		s, err = s.Add(proofs(at.Add(time.Minute), "+919876543210")[0], proofs(at.Add(time.Minute), number), at.Add(time.Minute), at.Add(time.Minute))
	}
	if err == nil {
		s, err = s.Undo(number, proofs(later, number), later)
	}
	if err != nil || s.Phone() != number || len(s.Addresses) != 1 {
		t.Errorf("after the undo: %+v, %v", s.Addresses, err)
	}
	held, err := made(t, number).Add(proofs(at, other)[0], thief, at, at)
	if err == nil {
		held, err = held.Add(proofs(at.Add(day-time.Minute), "+919876543210")[0], proofs(at.Add(day-time.Minute), number), at.Add(day-time.Minute), at.Add(day-time.Minute))
	}
	if late := at.Add(day + time.Hour); err != nil || held.Settle(late).Opens(other) {
		t.Errorf("an address that was new when it was replaced: %+v, %v", held.Addresses, err)
	}
}

// A change relies on an app or recovery codes that were held for a day, and on none that a thief has just added.
func TestRelies_OnWhatWasHeld(t *testing.T) {
	t.Parallel()
	aged := func(kind account.Kind, age time.Duration) account.Proof {
		return account.Proof{Kind: kind, At: noon, Since: noon.Add(-age)}
	}
	for name, tc := range map[string]struct {
		proof account.Proof
		want  bool
	}{
		"an address that the account was made with": {proof(number, noon), true},
		"an address of somebody else's":             {proof(other, noon), false},
		"an app of a day":                           {aged(account.App, day), true},
		"a newer app":                               {aged(account.App, day-1), false},
		"recovery codes of a day":                   {aged(account.Recovery, day), true},
		"newer recovery codes":                      {aged(account.Recovery, day-1), false},
		"an app of which nothing is known":          {account.Proof{Kind: account.App, At: noon}, false},
	} {
		if got := made(t, number).Relies([]account.Proof{tc.proof}, noon); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// What was added lately needs something beside it that was held for a day, also in a known browser.
func TestSuffices_NewFactors(t *testing.T) {
	t.Parallel()
	at := noon.Add(2 * day)
	s, err := made(t, number).Add(proofs(at, mail)[0], proofs(at, number), at, at)
	if err != nil {
		t.Fatal(err)
	}
	has, known := account.Has{App: true, AppSince: noon, Recovery: true, RecoverySince: noon}, account.Seen{Known: true}
	for name, tc := range map[string]struct {
		proofs []string
		seen   account.Seen
		want   bool
	}{
		"a new app in a known browser":                      {[]string{"new app"}, known, false},
		"an app of a day in a known browser":                {[]string{"app"}, known, true},
		"an app of a day elsewhere":                         {[]string{"app"}, account.Seen{}, false},
		"new recovery codes in a known browser":             {[]string{"new recovery"}, known, false},
		"a new address and a new app":                       {[]string{mail, "new app"}, known, false},
		"a new address, a new app, and new recovery codes":  {[]string{mail, "new app", "new recovery"}, known, false},
		"a new address and an app of a day":                 {[]string{mail, "app"}, account.Seen{}, true},
		"a new address and an address of a day":             {[]string{mail, number}, account.Seen{}, true},
		"a new address on a remembered device":              {[]string{mail}, account.Seen{Known: true, Trusted: true}, true},
		"a new app on a remembered device":                  {[]string{"new app"}, account.Seen{Known: true, Trusted: true}, false},
		"nothing on a remembered device":                    {nil, account.Seen{Known: true, Trusted: true}, false},
		"an address of somebody else's on a trusted device": {[]string{other}, account.Seen{Known: true, Trusted: true}, false},
	} {
		if got := s.Suffices(proofs(at, tc.proofs...), has, tc.seen, stale, at); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A browser gets another id with each sign-in. Whoever comes with the one before has a copy: then the account knows
// neither.
func TestBrowsers_ACopyEndsBoth(t *testing.T) {
	t.Parallel()
	first, second := account.NewSessionID(), account.NewSessionID()
	in := account.Entry{Proofs: proofs(noon, number, mail), Client: "shop", ID: first, Strong: true, Trust: true, Label: "Firefox, Android"}
	s := made(t, number, mail).SignIn(in, noon)
	b, ok := s.Browser(first, s.Epoch, noon)
	if !ok || !b.Trusted(day, noon.Add(day-1)) || b.Trusted(day, noon.Add(day)) || b.Label != in.Label || !b.Strong || b.ByTrust {
		t.Fatalf("%+v, %t", b, ok)
	}
	s = s.SignIn(account.Entry{Proofs: proofs(noon, number), Client: "shop", Before: first, ID: second, Strong: true, ByTrust: true, Trust: true}, noon.Add(time.Hour))
	if _, ok := s.Browser(first, s.Epoch, noon); ok || len(s.Browsers) != 1 {
		t.Fatal("the id from before is known")
	}
	if b, ok := s.Browser(second, s.Epoch, noon.Add(time.Hour)); !ok || !b.TrustedAt.Equal(noon) || !b.Strong {
		t.Fatalf("use has made the device new, or forgotten it: %+v, %t", b, ok)
	}
	copied := s.SignIn(account.Entry{Proofs: proofs(noon, number), Client: "shop", Before: first, ID: account.NewSessionID()}, noon.Add(2*time.Hour))
	if _, ok := copied.Browser(second, s.Epoch, noon.Add(2*time.Hour)); ok {
		t.Error("the browser is known after a copy of its cookie was used")
	}
	for _, b := range copied.Browsers {
		if !b.TrustedAt.IsZero() {
			t.Error("the copy is remembered")
		}
	}
	if _, ok := s.Browser(second, s.Epoch, noon.Add(account.KnownFor)); ok || len(s.Settle(noon.Add(time.Hour+account.KnownFor)).Browsers) > 0 {
		t.Error("known for ever")
	}
	for name, s := range map[string]account.State{
		"forgotten": s.Forget(second), "by its name": s.ForgetRef(s.BrowserRef(s.Browsers[0])), "everywhere": s.SignOut(), "another factor": s.Changed(),
		"a shared device": s.SignIn(account.Entry{Proofs: proofs(noon, number), Before: second}, noon),
	} {
		if _, ok := s.Browser(second, s.Epoch, noon.Add(time.Hour)); ok {
			t.Errorf("%s: the browser is known", name)
		}
	}
	if b, _ := s.Changed().Stay(s.Browsers[0]).Browser(second, s.Epoch+1, noon.Add(time.Hour)); !b.TrustedAt.IsZero() || b.Strong || !b.SignedIn(day, noon.Add(time.Hour)) {
		t.Errorf("in the browser of a change: %+v", b)
	}
	one := s.SignIn(account.Entry{Proofs: proofs(noon, number), Client: "shop", ID: account.NewSessionID(), Trust: true}, noon)
	if last := one.Browsers[len(one.Browsers)-1]; !last.TrustedAt.IsZero() {
		t.Error("a device is remembered after one proof")
	}
}

// An address that replaces one that was only given makes that go, and nothing puts it back.
func TestAdd_OverGiven(t *testing.T) {
	t.Parallel()
	s := given(t, number, mail).SignIn(account.Entry{Proofs: proofs(noon, number), Client: "shop"}, noon)
	s, err := s.Add(proofs(noon.Add(time.Second), "bob@example.com")[0], proofs(noon, number), noon.Add(time.Second), noon.Add(time.Second))
	if err != nil || len(s.Addresses) != 2 || s.Email() != "bob@example.com" {
		t.Errorf("%+v, %v", s.Addresses, err)
	}
}

// Over random changes: at most one present address of a kind, never none, and sessions end with each change.
func TestChanges_Property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, now := made(t, number), noon
		addresses := []string{number, other, mail, "bob@example.com"}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "hours")) * time.Hour)
			a, p := rapid.SampledFrom(addresses).Draw(t, "address"), proofs(now, rapid.SampledFrom(addresses).Draw(t, "proof"))
			before, changed := s.Settle(now), account.State{}
			id := account.NewSessionID()
			withSession := before.SignIn(account.Entry{ID: id, Client: "shop"}, now)
			var err error
			switch rapid.IntRange(0, 2).Draw(t, "change") {
			case 0:
				changed, err = withSession.Add(proofs(now, a)[0], p, now, now)
			case 1:
				changed, err = withSession.Remove(a, p, now)
			case 2:
				changed, err = withSession.Undo(a, p, now)
			}
			if err != nil {
				continue
			}
			present := 0
			for _, a := range changed.Addresses {
				if !a.ProvenAt.IsZero() && a.ReplacedAt.IsZero() {
					present++
				}
			}
			want := 0
			for _, text := range []string{changed.Phone(), changed.Email()} {
				if text != "" {
					want++
				}
			}
			if present != want || want == 0 {
				t.Fatalf("%d present addresses: %+v", present, changed.Addresses)
			}
			if !slices.EqualFunc(changed.Addresses, before.Addresses, func(a, b account.Address) bool { return a == b }) {
				if _, lives := live(changed, id, withSession.Epoch, day, now); lives {
					t.Fatal("a session outlives the change")
				}
				if !before.Relies(p, now) {
					t.Fatal("changed without a fresh proof of a thing that was held")
				}
			}
			s = changed
		}
	})
}
