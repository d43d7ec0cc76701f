package session_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/capability"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
)

var (
	bank  = client.Client{ID: "bank", Directory: "main", Scopes: []client.Scope{client.ScopeSend}, ReturnURLs: []string{"https://bank.example/done", "https://bank.example/other"}}
	asked = session.Asked{ReturnURL: bank.ReturnURLs[0], State: strings.Repeat("s", 43)}
	alice = session.HashOf("alice's browser")
	eve   = session.HashOf("eve's browser")
)

func newPage(change func(*session.Page)) session.Page {
	p := session.New(otp.Session{1}, bank, asked, fixture.Noon)
	if change != nil {
		change(&p)
	}
	return p
}

// approved is a session that was approved at noon.
func approved(t testing.TB) (session.Page, session.Record) {
	t.Helper()
	p := newPage(nil)
	r, err := session.Approve(session.Record{}, p, alice, []byte(`{"a":1}`), session.Result{7}, fixture.Noon)
	if err != nil {
		t.Fatal(err)
	}
	return p, r
}

// The largest page that a client can ask for fits into the parameter.
func TestPage_TheLargestFits(t *testing.T) {
	keys := fixture.Keys(t, 1)
	p := newPage(func(p *session.Page) {
		p.Client, p.Directory, p.Purpose, p.Locale = strings.Repeat("c", 64), strings.Repeat("d", 32), strings.Repeat("p", 32), strings.Repeat("l", 35)
		p.Context = otp.Transaction{Amount: strings.Repeat("𝟘", otp.MaxAmount), Payee: strings.Repeat("𝟘", otp.MaxPayee)}
		p.Given, p.App, p.Recovery, p.Origin = true, true, true, otp.OriginTyped
		address := strings.Repeat("a", 64) + "@" + strings.Repeat("b", 185) + ".com"
		p.Sent = &session.Sent{
			ID: otp.ID("VE" + strings.Repeat("0", 32)), Address: address, To: "a******" + address[64:], Channel: channel.WhatsApp, Workflow: channel.Sending,
			ExpiresAt: 1 << 33, ResendAfter: 1 << 33, Length: 10, Failed: true,
		}
	})
	text, err := capability.Seal(keys, capability.Page, p)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var again session.Page
	if err := capability.Open(keys, capability.Page, text, &again); err != nil || again.Sent.Address != p.Sent.Address || again.Context != p.Context {
		t.Errorf("%+v, %v", again, err)
	}
	if len(text) > capability.Max-512 { // an error, and what was typed
		t.Errorf("%d characters leave no room for what the page shows", len(text))
	}
	usual, err := capability.Seal(keys, capability.Page, newPage(func(p *session.Page) {
		p.Purpose, p.Sent = "login", &session.Sent{ID: otp.ID("VE" + strings.Repeat("0", 32)), Address: fixture.Alice, To: "+1******0123", Channel: "whatsapp", Workflow: channel.Sending, ExpiresAt: 1 << 33, ResendAfter: 1 << 33, Length: 6, Digits: true}
	}))
	if err != nil || len(usual) > 700 {
		t.Errorf("a usual page has %d characters, %v", len(usual), err)
	}
}

func TestPage_TheClientHasToHaveItStill(t *testing.T) {
	p := newPage(nil)
	if !p.Valid(bank, client.ScopeSend) || p.ReturnURL(bank) != asked.ReturnURL {
		t.Error("the page of the client is not valid")
	}
	for name, c := range map[string]client.Client{
		"another id":        {ID: "shop", Directory: "main", Scopes: bank.Scopes, ReturnURLs: bank.ReturnURLs},
		"another directory": {ID: "bank", Directory: "x", Scopes: bank.Scopes, ReturnURLs: bank.ReturnURLs},
		"no scope":          {ID: "bank", Directory: "main", ReturnURLs: bank.ReturnURLs},
	} {
		if p.Valid(c, client.ScopeSend) {
			t.Errorf("%s: valid", name)
		}
	}
	if got := p.ReturnURL(client.Client{ReturnURLs: bank.ReturnURLs[1:]}); got != "" {
		t.Errorf("it goes to %q", got)
	}
	p.Version++
	if p.Valid(bank, client.ScopeSend) {
		t.Error("a page of a later version is valid")
	}
}

func TestName(t *testing.T) {
	s := otp.Session{0xab, 15: 0x01}
	name := session.Name(s)
	if got, ok := session.Parse(name); !ok || got != s || len(name) != 34 {
		t.Errorf("%s, %v", name, ok)
	}
	for _, wrong := range []string{"", "PS", name[:33], name + "0", strings.ToUpper(name), "ps" + name[2:], "VE" + name[2:], "PS" + strings.Repeat("0", 32), "PS" + strings.Repeat("g", 32)} {
		if _, ok := session.Parse(wrong); ok {
			t.Errorf("%q is a name", wrong)
		}
	}
}

// Within a session, the first browser is the only one, until the end.
func TestRecord_BelongsToTheFirstBrowser(t *testing.T) {
	p := newPage(nil)
	r, err := session.Enter(session.Record{}, p, alice, fixture.Noon)
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"enter": func() error { _, err := session.Enter(r, p, eve, fixture.Noon); return err },
		"begin": func() error {
			_, err := session.Begin(r, p, eve, "x", "VE1", [8]byte{}, true, fixture.Noon)
			return err
		},
		"approve": func() error { _, err := session.Approve(r, p, eve, nil, session.Result{}, fixture.Noon); return err },
		"cancel":  func() error { _, err := session.Cancel(r, p, eve, fixture.Noon); return err },
		"another state": func() error {
			_, err := session.Enter(r, newPage(func(p *session.Page) { p.State[0]++ }), alice, fixture.Noon)
			return err
		},
		"another client": func() error {
			_, err := session.Enter(r, newPage(func(p *session.Page) { p.Client = "shop" }), alice, fixture.Noon)
			return err
		},
	} {
		if err := try(); !errors.Is(err, session.ErrBrowser) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecord_ThreeAddresses(t *testing.T) {
	p, r := newPage(nil), session.Record{}
	var err error
	for _, row := range []otp.RowKey{"a", "b", "c", "a", "c"} { // an address again is no further one
		if r, err = session.Begin(r, p, alice, row, otp.ID("VE"+row+otp.RowKey(r.Verification)), [8]byte{}, true, fixture.Noon); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
	before := r
	if r, err = session.Begin(r, p, alice, "d", "VEd", [8]byte{}, true, fixture.Noon); !errors.Is(err, session.ErrAddresses) || r.Verification == "VEd" || len(r.Tried) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = session.Begin(before, p, alice, "d", before.Verification, [8]byte{}, true, fixture.Noon); err != nil || len(r.Tried) != 3 {
		t.Errorf("a repetition of the form: %+v, %v", r, err)
	}
}

// The times at which a session, and then its approval, ends.
func TestRecord_Ends(t *testing.T) {
	p := newPage(nil)
	end := fixture.Noon.Add(session.Lifetime)
	for at, want := range map[time.Time]error{end.Add(-time.Second): nil, end: session.ErrOver} {
		if _, err := session.Enter(session.Record{}, p, alice, at); !errors.Is(err, want) {
			t.Errorf("the first request at %s: %v", at, err)
		}
	}
	_, r := approved(t)
	if _, err := session.Enter(r, p, alice, fixture.Noon.Add(session.FetchFor-time.Second)); !errors.Is(err, session.ErrApproved) {
		t.Errorf("before the approval's end: %v", err)
	}
	if _, err := session.Enter(r, p, alice, fixture.Noon.Add(session.FetchFor)); !errors.Is(err, session.ErrOver) {
		t.Errorf("after the approval's end: %v", err)
	}
}

func TestFetch_Once(t *testing.T) {
	_, r := approved(t)
	result := session.Result{7}.String()
	wrong := map[string]func(client, state, result *string, now *time.Time){
		"another client":  func(c, _, _ *string, _ *time.Time) { *c = "shop" },
		"another state":   func(_, s, _ *string, _ *time.Time) { *s += "s" },
		"another result":  func(_, _, r *string, _ *time.Time) { *r = session.Result{8}.String() },
		"no result":       func(_, _, r *string, _ *time.Time) { *r = "" },
		"a longer result": func(_, _, r *string, _ *time.Time) { *r += "A" },
		"too late":        func(_, _, _ *string, now *time.Time) { *now = now.Add(session.FetchFor) },
	}
	for name, change := range wrong {
		c, s, got, now := "bank", asked.State, result, fixture.Noon
		change(&c, &s, &got, &now)
		if next, err := session.Fetch(r, c, s, got, now); !problem.Is(err, problem.NotFound) || next.Fetched {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := session.Fetch(session.Record{}, "", "", session.Result{}.String(), fixture.Noon); !problem.Is(err, problem.NotFound) {
		t.Errorf("a session that does not exist: %v", err)
	}
	next, err := session.Fetch(r, "bank", asked.State, result, fixture.Noon)
	if err != nil || !next.Fetched || next.Approval != nil {
		t.Errorf("%s, %v", next.Approval, err)
	}
	if _, err := session.Fetch(next, "bank", asked.State, result, fixture.Noon); !problem.Is(err, problem.AlreadyUsed) {
		t.Errorf("again: %v", err)
	}
}

// Over random steps of two browsers and two clients: one browser acts, at most three addresses
// are tried, and the approval is fetched once at most, by the client that began it.
func TestRecord_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, now := newPage(nil), fixture.Noon
		var r session.Record
		var owner session.Hash
		rows, links, fetched, canceled := map[otp.RowKey]bool{}, map[session.Shown]bool{}, 0, false
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "seconds")) * time.Second)
			by := rapid.SampledFrom([]session.Hash{alice, eve}).Draw(t, "by")
			before := r
			var err error
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 0:
				row := rapid.SampledFrom([]otp.RowKey{"a", "b", "c", "d", "e"}).Draw(t, "row")
				if r, err = session.Begin(r, p, by, row, otp.ID("VE"+row), [8]byte{}, true, now); err == nil {
					rows[row] = true
				}
			case 1:
				r, err = session.Enter(r, p, by, now)
			case 2:
				r, err = session.Approve(r, p, by, []byte(`1`), session.Result{1}, now)
			case 3:
				if r, err = session.Cancel(r, p, by, now); err == nil {
					canceled = true
				}
			case 4:
				c := rapid.SampledFrom([]string{"bank", "shop"}).Draw(t, "client")
				if r, err = session.Fetch(r, c, asked.State, session.Result{1}.String(), now); err == nil {
					if fetched++; c != "bank" || before.ApprovedAt == 0 || canceled {
						t.Fatalf("%s fetched from %+v", c, before)
					}
				}
				by = owner
			case 5: // a link, in no browser of the session
				l := session.Link{Page: p, Verification: r.Verification, Attempt: rapid.IntRange(1, 3).Draw(t, "attempt")}
				if r, err = session.Show(r, l, now); err == nil {
					shown := session.Shown{Verification: l.Verification, Attempt: l.Attempt}
					if links[shown] || before.ApprovedAt != 0 || canceled || r.Browser != before.Browser {
						t.Fatalf("%+v is shown for %+v", shown, before)
					}
					links[shown] = true
				}
				by = owner
			case 6:
				r, err = session.Edit(r, p, by, func(draft []byte) ([]byte, error) { return append(draft, '1'), nil }, now)
			case 7:
				r, err = session.Save(r, p, by, session.Result{1}, now)
			}
			if err != nil {
				r = before // as the store does
				continue
			}
			if owner == (session.Hash{}) {
				owner = by
			}
			if by != owner {
				t.Fatalf("two browsers act on one session")
			}
		}
		if len(rows) > session.MaxAddresses || fetched > 1 {
			t.Fatalf("%d addresses, %d fetches", len(rows), fetched)
		}
	})
}

// A record is the same after it was stored, and a damaged one is an error.
func TestStore_KeepsARecord(t *testing.T) {
	s := &session.Store{Table: rig.Open(t), Keys: fixture.Keys(t, 1)}
	p, want := approved(t)
	want.Tried = []session.Try{{Row: "a", ID: "VE1"}}
	got, err := s.Change(t.Context(), p.Session, func(old session.Record) (session.Record, error) {
		if !old.IsZero() {
			t.Errorf("%+v", old)
		}
		return want, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := s.Load(t.Context(), p.Session)
	if err != nil || string(loaded.Approval) != string(want.Approval) || !slices.Equal(loaded.Tried, want.Tried) || loaded.Result != want.Result || got.Result != want.Result {
		t.Errorf("%+v, %v", loaded, err)
	}
	if other, err := s.Load(t.Context(), otp.Session{2}); err != nil || !other.IsZero() {
		t.Errorf("%+v, %v", other, err)
	}
	refusal := errors.New("no")
	if r, err := s.ChangeFrom(t.Context(), p.Session, loaded, func(old session.Record) (session.Record, error) {
		old.Fetched = true
		return old, refusal
	}); !errors.Is(err, refusal) || !r.Fetched {
		t.Errorf("%+v, %v", r, err)
	}
	if again, _ := s.Load(t.Context(), p.Session); again.Fetched {
		t.Error("a refused change is stored")
	}
}
