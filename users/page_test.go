package users_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pquernatotp "github.com/pquerna/otp/totp"

	"twofa/internal/capability"
	"twofa/internal/client"
	"twofa/internal/enroll"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/session"
	testrig "twofa/internal/testing/rig"
	"twofa/users"
)

// pageState is what an app keeps in its cookie.
const pageState = "0123456789abcdefghijklmnopqrstuv"

var pageClient = client.Client{
	ID: "bank", Directory: client.MainDirectory, Scopes: []client.Scope{client.ScopeUsers, client.ScopeCheck}, ReturnURLs: []string{"https://bank.example/done"}, Brand: "Bank",
}

// asked is a page of the client.
func (r *rig) asked(name string, change func(*users.PageRequest)) (users.PageAnswer, error) {
	r.s.Pages = session.Site{PublicURL: "https://twofa.example.com", HasClients: true}
	req := users.PageRequest{Kind: "enroll", ReturnURL: pageClient.ReturnURLs[0], State: pageState}
	if change != nil {
		change(&req)
	}
	return r.s.StartPage(client.With(r.Ctx(), pageClient), name, req)
}

// draft is what a person does on a page: a new app, the removal of all others, and codes.
func (r *rig) draft(app, remove, codes bool) enroll.Draft {
	r.t.Helper()
	page := session.Page{User: r.Users.Key("main", "alice"), Since: r.Registered("alice").CreatedAt.UnixMilli()}
	ctx := client.With(r.Ctx(), pageClient)
	d, err := r.s.BeginDraft(ctx, page)
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	if app {
		if d, err = r.s.AddToDraft(d); err == nil {
			code, failed := pquernatotp.GenerateCode(strings.ReplaceAll(d.Pending.Key(), " ", ""), r.Now())
			if failed != nil {
				r.t.Fatalf("%v", failed)
			}
			d, err = enroll.Confirm(d, code, "", enroll.Form{1}, r.Now())
		}
	}
	for _, a := range d.Apps {
		if remove && err == nil {
			d, err = enroll.Remove(d, a.ID)
		}
	}
	if codes && err == nil {
		_, fresh, failed := r.s.DraftCodes(ctx, d)
		if failed != nil {
			r.t.Fatalf("%v", failed)
		}
		if d, err = enroll.ShowCodes(d, fresh, enroll.Form{1}); err == nil {
			d, err = enroll.KeepCodes(d, enroll.Form{1})
		}
	}
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	return d
}

func (r *rig) apply(id otp.Session, d enroll.Draft) (enroll.Applied, error) {
	return r.s.ApplyDraft(client.With(r.Ctx(), pageClient), id, d)
}

// The page holds who asked, for whom, and where to go back; and it costs one round trip.
func TestStartPage(t *testing.T) {
	t.Parallel()
	r := telling(t, mail)
	var a users.PageAnswer
	if n := r.Trips(func(ctx context.Context) {
		var err error
		r.s.Pages = session.Site{PublicURL: "https://twofa.example.com", HasClients: true}
		a, err = r.s.StartPage(client.With(ctx, pageClient), "alice", users.PageRequest{Kind: "enroll", ReturnURL: pageClient.ReturnURLs[0], State: pageState})
		if err != nil {
			t.Fatal(err)
		}
	}); n != 1 {
		t.Errorf("%d round trips", n)
	}
	text, ok := strings.CutPrefix(a.PageURL, "https://twofa.example.com/verify/enroll?t=")
	var page session.Page
	if err := capability.Open(r.Keys, capability.Enroll, text, &page); !ok || err != nil {
		t.Fatalf("%s: %v", a.PageURL, err)
	}
	id, _ := session.Parse(a.Session)
	if page.Session != id || page.User != r.Users.Key("main", "alice") || page.Client != "bank" || page.State != session.HashOf(pageState) || page.Locale != "pt-BR" || !page.Valid(pageClient, client.ScopeUsers) || !a.ExpiresAt.Equal(r.Now().Add(session.Lifetime)) {
		t.Errorf("%+v, %+v", a, page)
	}
	if again, err := r.asked("alice", func(q *users.PageRequest) { q.Locale = "de_AT" }); err != nil || again.Session == a.Session {
		t.Errorf("a second page: %+v, %v", again, err)
	}
}

func TestStartPage_Refuses(t *testing.T) {
	t.Parallel()
	r := telling(t, mail)
	for name, change := range map[string]func(*users.PageRequest){
		"kind":       func(q *users.PageRequest) { q.Kind = "check" },
		"return_url": func(q *users.PageRequest) { q.ReturnURL += "?x" },
		"state":      func(q *users.PageRequest) { q.State = q.State[:21] },
	} {
		_, err := r.asked("alice", change)
		wantFields(t, err, name)
	}
	_, err := r.asked("nobody", nil)
	r.Refused(err, problem.NotFound)
	c := pageClient
	c.Scopes = []client.Scope{client.ScopeUsers}
	_, err = r.s.StartPage(client.With(r.Ctx(), c), "alice", users.PageRequest{Kind: "enroll", ReturnURL: c.ReturnURLs[0], State: pageState})
	r.Refused(err, problem.Forbidden)
	for i := range byte(10) {
		if _, err := r.apply(otp.Session{i + 1}, r.draft(i%2 == 0, i%2 == 1, false)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.asked("alice", nil)
	r.Refused(err, problem.TooManyChanges)
}

// R27. All that was done on a page is one change, and is told in one notice.
func TestR27_EachChangeOfAPageIsTold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		app, remove, codes bool
		want               string
	}{
		{true, false, false, "app_added"},
		{false, true, false, "app_removed"},
		{true, false, true, "app_added+recovery_codes"},
		{true, true, true, "app_added+app_removed+recovery_codes"},
	} {
		r := telling(t, number, mail)
		if _, err := r.apply(otp.Session{9}, r.draft(true, false, false)); err != nil {
			t.Fatal(err)
		}
		before, changes := r.told(), len(r.Registered("alice").Changes)
		r.Advance(time.Hour)
		d := r.draft(tc.app, tc.remove, tc.codes)
		var a enroll.Applied
		trips := r.Trips(func(ctx context.Context) {
			var err error
			if a, err = r.s.ApplyDraft(client.With(ctx, pageClient), otp.Session{1}, d); err != nil {
				t.Fatal(err)
			}
		})
		want := append(before, tc.want+" to "+mail)
		slices.Sort(want)
		if got := r.told(); !a.Notified || !slices.Equal(got, want) || len(r.Registered("alice").Changes) != changes+1 || len(r.Recipient(mail).Notices) != 2 {
			t.Errorf("%+v: notified %t, told %q, %d notices are counted", tc, a.Notified, got, len(r.Recipient(mail).Notices))
		}
		if trips != 7 {
			t.Errorf("%+v: %d round trips", tc, trips)
		}
		// Again, because the answer was lost: nothing more.
		if b, err := r.apply(otp.Session{1}, d); err != nil || !reflect.DeepEqual(a, b) || len(r.told()) != 2 || len(r.Registered("alice").Changes) != changes+1 {
			t.Errorf("%+v, again: %+v, %v, told %q", tc, b, err, r.told())
		}
	}
}

// R27. If the address can take no more notices, nothing changes.
func TestR27_APageChangesNothingUntold(t *testing.T) {
	t.Parallel()
	r := telling(t, mail)
	d := r.draft(true, false, true)
	for range otp.MaxNoticesPerDay {
		if err := r.s.Notifier.CountNotice(r.Ctx(), mail, r.Now()); err != nil {
			t.Fatal(err)
		}
	}
	before := r.Registered("alice")
	_, err := r.apply(otp.Session{1}, d)
	r.Refused(err, problem.TooManyChanges)
	if u := r.Registered("alice"); len(u.TOTP.Authenticators) != 0 || u.Recovery.Left() != 0 || u.Revision != before.Revision || len(r.told()) != 0 {
		t.Errorf("the user has %d apps and %d codes, told %q", len(u.TOTP.Authenticators), u.Recovery.Left(), r.told())
	}
	r.Advance(25 * time.Hour)
	if a, err := r.apply(otp.Session{1}, d); err != nil || !a.Notified || len(r.told()) != 1 {
		t.Errorf("a day later: %+v, %v, told %q", a, err, r.told())
	}
}

// Many fetches at once make the changes once, and tell them once.
func TestApplyDraft_AtOnce(t *testing.T) {
	t.Parallel()
	r := telling(t, mail)
	d := r.draft(true, false, true)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := r.apply(otp.Session{1}, d); err != nil && !problem.Is(err, problem.StorageUnavailable) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	u := r.Registered("alice")
	if len(u.TOTP.Confirmed()) != 1 || u.Recovery.Left() != 10 || len(u.Changes) != 1 || len(u.Recovery.Sets) != 1 || !slices.Equal(r.told(), []string{"app_added+recovery_codes to " + mail}) {
		t.Errorf("%d apps, %d codes, %d changes, told %q", len(u.TOTP.Confirmed()), u.Recovery.Left(), len(u.Changes), r.told())
	}
}

// Whatever call of storage fails or loses its answer, a repetition makes the changes, once, and
// nothing is untold that was done.
func TestApplyDraft_StorageFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []testrig.Fault{testrig.Down, testrig.Lost} {
		for at := range 8 {
			r := telling(t, mail)
			d := r.draft(true, false, true)
			calls := 0
			r.Table.Break(func(int) testrig.Fault {
				if calls++; calls == at+1 {
					return fault
				}
				return testrig.None
			})
			_, err := r.apply(otp.Session{1}, d)
			r.Table.Break(nil)
			if err != nil && !problem.Is(err, problem.StorageUnavailable) {
				t.Errorf("fault %v at %d: %v", fault, at, err)
			}
			if err != nil {
				if _, err := r.apply(otp.Session{1}, d); err != nil {
					t.Errorf("fault %v at %d, again: %v", fault, at, err)
				}
			}
			u := r.Registered("alice")
			if len(u.TOTP.Confirmed()) != 1 || u.Recovery.Left() != 10 || len(u.Changes) != 1 || len(r.Recipient(mail).Notices) != 1 || len(r.told()) == 0 {
				t.Errorf("fault %v at %d: %d apps, %d codes, %d changes, %d notices counted, told %q", fault, at, len(u.TOTP.Confirmed()), u.Recovery.Left(), len(u.Changes), len(r.Recipient(mail).Notices), r.told())
			}
		}
	}
}

// A user who was erased, registered anew, or is in another directory now gets nothing.
func TestApplyDraft_ToSomebodyElse(t *testing.T) {
	t.Parallel()
	r := telling(t, mail)
	d := r.draft(true, false, false)
	other := session.Page{User: r.Users.Key("main", "alice"), Since: 1}
	_, err := r.s.BeginDraft(client.With(r.Ctx(), pageClient), other) // registered again between the start and the first form
	r.Refused(err, problem.NotFound)
	again := d
	again.Since = d.Since.Add(time.Second)
	_, _, err = r.s.DraftCodes(client.With(r.Ctx(), pageClient), again)
	r.Refused(err, problem.NotFound)
	moved := pageClient
	moved.Directory = "shops"
	_, err = r.s.ApplyDraft(client.With(r.Ctx(), moved), otp.Session{1}, d)
	r.Refused(err, problem.NotFound)
	r.delete(users.Conditions{}, "")
	_, err = r.apply(otp.Session{1}, d)
	r.Refused(err, problem.NotFound)
	r.Advance(time.Minute)
	r.put("alice", both, users.Conditions{})
	_, err = r.apply(otp.Session{1}, d)
	r.Refused(err, problem.NotFound)
	if u := r.Registered("alice"); len(u.TOTP.Authenticators) != 0 {
		t.Errorf("the new user has %d apps", len(u.TOTP.Authenticators))
	}
}
