package signin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/account"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/secret"
	"twofa/internal/signin"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
)

const (
	number = "+491711234567"
	other  = "+14155550123"
	mail   = "anna@example.com"
)

var noon = fixture.Noon

// kit is accounts over a real store.
type kit struct {
	testing.TB
	table *rig.Table
	*signin.Accounts
}

func newKit(t testing.TB) *kit {
	t.Helper()
	table := &rig.Table{Table: rig.Open(t)}
	keys := fixture.Keys(t, 1)
	return &kit{t, table, over(table, keys)}
}

// over is the accounts of one more process.
func over(table store.Table, keys *secret.Keyring) *signin.Accounts {
	return &signin.Accounts{Table: table, Keys: keys, Users: &user.Store{Table: table, Keys: keys}}
}

func (k *kit) give(g signin.Given, want signin.Result) {
	k.Helper()
	if got, err := k.Give(k.Context(), g, noon); err != nil || got != want {
		k.Fatalf("Give(%+v) = %v, %v, want %v", g, got, err, want)
	}
}

// find is the account that an address opens.
func (k *kit) find(address string, at time.Time) user.User {
	k.Helper()
	u, ok, err := k.Find(k.Context(), address, at)
	if err != nil || ok == (u.Name == "") && ok {
		k.Fatal(err)
	}
	if !ok {
		return user.User{}
	}
	return u
}

// prove signs in with an address.
func (k *kit) prove(address string, at time.Time) user.User {
	k.Helper()
	u := k.find(address, at)
	if err := k.Claim(k.Context(), address, u.Name, false, at); err != nil {
		k.Fatal(err)
	}
	u, err := k.Change(k.Context(), k.Key(u.Name), at, func(u user.User) (user.User, error) {
		u.Account = u.Account.SignIn(account.Entry{Proofs: []account.Proof{{Kind: account.KindOf(address), Address: address, At: at}}, Client: "shop"}, at)
		return u, nil
	})
	if err != nil {
		k.Fatal(err)
	}
	return u
}

func TestGive(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.give(signin.Given{Phone: number, Name: "Anna"}, signin.Added)
	k.give(signin.Given{Phone: number}, signin.Unchanged)
	k.give(signin.Given{Phone: number, Email: mail, Locale: "de"}, signin.Changed)
	k.give(signin.Given{Email: mail, Name: "Other"}, signin.Unchanged)
	a, b := k.find(number, noon), k.find(mail, noon)
	if a.Name == "" || a.Name != b.Name || a.Account.Name != "Anna" || a.Locale != "de" || a.Directory != "oidc" {
		t.Errorf("%+v, %+v", a, b)
	}
	if len(a.Addresses())+len(a.Verified()) != 0 {
		t.Error("given addresses get notices")
	}
	k.give(signin.Given{Phone: other}, signin.Added)
	for name, tc := range map[string]struct {
		given signin.Given
		want  error
	}{
		"two accounts":   {signin.Given{Phone: other, Email: mail}, signin.ErrTwo},
		"another number": {signin.Given{Phone: "+919876543210", Email: mail}, account.ErrOther},
	} {
		if _, err := k.Give(t.Context(), tc.given, noon); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if k.find("+919876543210", noon).Name != "" {
		t.Error("a refused number opens an account")
	}
	if k.find(number, noon.Add(account.GivenFor)).Name != "" {
		t.Error("an address that nobody proves opens an account after 30 days")
	}
}

// Once it is proven, an address opens its account for good, and the others that were given do not.
func TestR23_FirstProof(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.give(signin.Given{Phone: number, Email: mail}, signin.Added)
	u := k.prove(number, noon.Add(time.Hour))
	if u.Phone != number || !u.PhoneVerified || u.Email != "" {
		t.Errorf("the user is not in step: %+v", u)
	}
	if k.find(mail, noon.Add(time.Hour)).Name != "" {
		t.Error("a given address opens an account that has been made")
	}
	if k.find(number, noon.Add(1000*24*time.Hour)).Name != u.Name {
		t.Error("a proven address does not open its account")
	}
}

// Two claims of one address at once: one account has it, over two processes.
func TestAttack31_ParallelClaims(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	processes := []*signin.Accounts{k.Accounts, over(k.table, k.Keys)}
	results := make([]error, 20)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			_, results[i] = processes[i%2].Give(context.Background(), signin.Given{Phone: number}, noon)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, signin.ErrTaken) && !problem.Is(err, problem.StorageUnavailable):
			t.Error(err)
		}
	}
	accounts := 0
	err := k.Users.Each(t.Context(), 1, func(_ otp.UserKey, u user.User, err error) error {
		if _, has := u.Account.Find(number); has {
			accounts++
		}
		return err
	})
	if won < 1 || accounts != 1 || err != nil || k.find(number, noon).Name == "" {
		t.Errorf("%d claims succeeded, %d accounts have the address, %v", won, accounts, err)
	}
}

// An index row alone opens nothing, and an account alone neither. The claim of a process that died can be taken
// over after the longest request.
func TestR23_IndexAndAccountAgree(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.give(signin.Given{Phone: number}, signin.Added)
	u := k.prove(number, noon)
	if err := k.Claim(t.Context(), mail, u.Name, false, noon); err != nil {
		t.Fatal(err)
	}
	if k.find(mail, noon).Name != "" {
		t.Error("an index row opens an account that does not have the address")
	}
	if err := k.Claim(t.Context(), mail, "somebody", false, noon.Add(time.Minute)); !errors.Is(err, signin.ErrTaken) {
		t.Errorf("a claim that is at work is taken over: %v", err)
	}
	if err := k.Claim(t.Context(), mail, "somebody", false, noon.Add(3*time.Minute)); err != nil {
		t.Errorf("a claim whose process died: %v", err)
	}
	if err := k.Claim(t.Context(), number, "somebody", false, noon.Add(time.Hour)); !errors.Is(err, signin.ErrTaken) {
		t.Errorf("an address of an account: %v", err)
	}
	if _, err := k.Change(t.Context(), k.Key(u.Name), noon, func(u user.User) (user.User, error) {
		u.Account.Addresses = append(u.Account.Addresses, account.Address{Text: other, AddedAt: noon, ProvenAt: noon})
		return u, nil
	}); err != nil {
		t.Fatal(err)
	}
	if k.find(other, noon).Name != "" {
		t.Error("an account without an index row is opened")
	}
}

func TestErase(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.give(signin.Given{Phone: number}, signin.Added)
	u := k.prove(number, noon)
	refused := errors.New("not this one")
	if err := k.Erase(t.Context(), k.Key(u.Name), noon, func(user.User) error { return refused }); !errors.Is(err, refused) || k.find(number, noon).Name == "" {
		t.Errorf("an account that is not to be erased: %v", err)
	}
	if err := k.Erase(t.Context(), k.Key(u.Name), noon, func(user.User) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if k.find(number, noon).Name != "" {
		t.Error("the account is there")
	}
	if _, err := k.Load(t.Context(), k.Key(u.Name), noon); !problem.Is(err, problem.NotFound) {
		t.Errorf("the account: %v", err)
	}
	k.give(signin.Given{Phone: number}, signin.Added)
	if again := k.find(number, noon); again.Name == u.Name || again.Account.Seed == u.Account.Seed {
		t.Error("the next account of the address is the old one")
	}
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.give(signin.Given{Phone: number}, signin.Added)
	k.prove(number, noon)
	late := noon.Add(100 * 24 * time.Hour)
	if ok, err := k.Unlock(t.Context(), number, late); !ok || err != nil {
		t.Fatal(ok, err)
	}
	u := k.find(number, late)
	if !u.Account.Suffices([]account.Proof{{Kind: account.Phone, Address: number, At: late}}, account.Has{App: true}, account.Seen{}, 90*24*time.Hour, late) {
		t.Error("the address does not suffice")
	}
	k.give(signin.Given{Phone: number, Email: mail}, signin.Changed)
	for name, address := range map[string]string{"an address of nobody": other, "one that was given to an account that has been made": mail} {
		if ok, err := k.Unlock(t.Context(), address, late.Add(time.Minute)); ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
	if a, _ := k.find(number, late).Account.Find(number); !a.UnlockedAt.Equal(late) {
		t.Errorf("unlocked at %v", a.UnlockedAt)
	}
}

// The operator sees the account that has an address, also if the address does not open it.
func TestLookup(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.give(signin.Given{Phone: number, Email: mail}, signin.Added)
	u := k.prove(number, noon)
	for address, want := range map[string]string{number: u.Name, mail: u.Name, other: ""} {
		if got, ok, err := k.Lookup(t.Context(), address, noon); err != nil || got.Name != want || ok != (want != "") {
			t.Errorf("%s: %q, %t, %v", address, got.Name, ok, err)
		}
	}
	if got, ok, err := k.Lookup(t.Context(), mail, noon.Add(account.GivenFor)); ok || err != nil {
		t.Errorf("an address that nobody has proven for 30 days: %q, %v", got.Name, err)
	}
}

// What the operator writes has one form, or faults that quote nothing of it.
func TestGiven_Read(t *testing.T) {
	t.Parallel()
	got, err := signin.Given{Phone: "+49 (171) 1234567", Email: " Anna@Example.com", Name: "Anna \u200e K.", Locale: "pt_br", Account: "a"}.Read(map[string]bool{"DE": true})
	if want := (signin.Given{Phone: number, Email: mail, Name: "Anna K.", Locale: "pt-BR", Account: "a"}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for name, tc := range map[string]struct {
		given signin.Given
		field string // "" for a refusal without fields
	}{
		"nothing":               {signin.Given{Name: "canary"}, "phone"},
		"no number":             {signin.Given{Phone: "canary"}, "phone"},
		"no mail address":       {signin.Given{Email: "canary"}, "email"},
		"a name of two lines":   {signin.Given{Email: mail, Name: "canary\ncanary"}, "name"},
		"a name that is long":   {signin.Given{Email: mail, Name: strings.Repeat("c", signin.MaxName+1)}, "name"},
		"no language":           {signin.Given{Email: mail, Locale: "canary canary"}, "locale"},
		"a country":             {signin.Given{Phone: other}, ""},
		"a number that is dear": {signin.Given{Phone: "+499001123456"}, ""},
	} {
		got, err := tc.given.Read(map[string]bool{"DE": true})
		e, ok := errors.AsType[*problem.Error](err)
		if !ok || got != (signin.Given{}) || tc.field == "" && e.Kind != problem.DestinationRefused || tc.field != "" && (len(e.Fields) != 1 || e.Fields[0].Name != tc.field) || strings.Contains(fmt.Sprint(e.Detail, e.Fields), "canary") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// What a try has claimed before storage failed is not in the way of the next one that keeps the name.
func TestGive_AgainAfterAFailureOfStorage(t *testing.T) {
	t.Parallel()
	for broken := 1; broken <= 8; broken++ {
		k := newKit(t)
		g := signin.Given{Phone: number, Email: mail, Account: signin.NewName()}
		k.table.Break(rig.FaultAt(broken, rig.Lost))
		_, err := k.Give(t.Context(), g, noon)
		k.table.Break(nil)
		if again, err2 := k.Give(t.Context(), g, noon); err2 != nil || k.find(number, noon).Name != g.Account || k.find(mail, noon).Name != g.Account {
			t.Errorf("call %d fails (%v): then %v, %v", broken, err, again, err2)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.give(signin.Given{Phone: number}, signin.Added)
	for address, want := range map[string]int{number: 2, mail: 1} {
		before := k.table.Calls()
		k.find(address, noon)
		if got := k.table.Calls() - before; got != want {
			t.Errorf("%s: %d calls, want %d", address, got, want)
		}
	}
}

// asked is a code for an address.
func asked(address string, silent, known bool) signin.Asked {
	return signin.Asked{Address: address, Silent: silent, Known: known, ID: "VE1", At: noon}
}

// A draft keeps proofs of one account in one state, and those of another address are dropped. Once somebody has
// signed in, nothing can be added to it.
func TestDraft(t *testing.T) {
	t.Parallel()
	d, err := signin.Draft{}.Ask(asked(number, false, true), 1).Prove("a", 1, account.Proof{Kind: account.Phone, Address: number})
	for _, at := range []time.Time{{}, noon} {
		if err == nil {
			d, err = d.Prove("a", 1, account.Proof{Kind: account.App, At: at})
		}
	}
	if err != nil || len(d.Proofs) != 2 || !d.Proofs[1].At.Equal(noon) {
		t.Errorf("%+v, %v", d, err)
	}
	text, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := signin.Decode(text); err != nil || len(again.Proofs) != 2 || again.Account != "a" || again.Epoch != 1 || !again.Known {
		t.Errorf("%+v, %v", again, err)
	}
	in, err := d.SignIn(d, true)
	if err != nil || !in.SignedIn || !in.Session {
		t.Fatalf("%+v, %v", in, err)
	}
	refused := map[string]error{}
	_, refused["of another account"] = d.Prove("b", 1, account.Proof{Kind: account.Email})
	_, refused["after a change of the account"] = d.Prove("a", 2, account.Proof{Kind: account.Email})
	_, refused["after the sign-in"] = in.Prove("a", 1, account.Proof{Kind: account.Email})
	_, refused["another message after the sign-in"] = in.More("a", asked(mail, false, false), 1)
	_, refused["another message after a change of the account"] = d.More("a", asked(mail, false, false), 2)
	_, refused["another message for another account"] = d.More("b", asked(mail, false, false), 1)
	_, refused["another message before a proof"] = signin.Draft{}.More("", asked(mail, false, false), 0)
	_, refused["a sign-in after another address was typed"] = d.Ask(asked(mail, false, false), 1).SignIn(d, true)
	for what, err := range refused {
		if !errors.Is(err, signin.ErrOtherAccount) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if same := d.Ask(asked(number, false, true), 1); len(same.Proofs) != 2 {
		t.Error("a new code drops the proofs")
	}
	for what, d := range map[string]signin.Draft{"another address": d.Ask(asked(mail, true, false), 1), "after the sign-in": in.Ask(asked(number, true, false), 1), "after a change of the account": d.Ask(asked(number, true, false), 2)} {
		if len(d.Proofs) != 0 || d.Account != "" || !d.Silent || d.Known || d.SignedIn || d.Session {
			t.Errorf("%s: %+v", what, d)
		}
	}
}
