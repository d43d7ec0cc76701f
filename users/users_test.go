package users_test

import (
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/users"
)

var both = users.Request{Phone: "+1 (415) 555-0123", Email: "Alice@Example.com", Locale: "pt-BR", Channels: []string{"sms", "email"}}

func TestPut_RegistersAndGetTells(t *testing.T) {
	b := newBench(t)
	b.now = noon.Add(1234567 * time.Nanosecond).In(time.FixedZone("IST", 19800))
	got, created := b.put("alice", both, users.Conditions{})
	want := users.Answer{
		Name: "alice", Phone: "+1******0123", Email: "a******@example.com", Locale: "pt-BR", Channels: []string{"sms", "email"},
		Verified: users.Verified{Phone: yes(false), Email: yes(false)}, UpdatedAt: noon, ETag: got.ETag,
	}
	if !created || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, created, want)
	}
	if !regexp.MustCompile(`^"[0-9a-f]{16}"$`).MatchString(got.ETag) {
		t.Errorf("the ETag is %s", got.ETag)
	}
	if again := b.get("alice"); !reflect.DeepEqual(again, want) {
		t.Errorf("got  %+v\nwant %+v", again, want)
	}
	text, err := json.Marshal(got)
	if wantText := `{"name":"alice","phone":"+1******0123","email":"a******@example.com","locale":"pt-BR","channels":["sms","email"],"verified":{"phone":false,"email":false},"updated_at":"2026-03-01T12:00:00Z"}`; err != nil || string(text) != wantText {
		t.Errorf("got %s, %v", text, err)
	}
	text, err = json.Marshal(first(b.put("bob", users.Request{Email: mail}, users.Conditions{})))
	if wantText := `{"name":"bob","email":"a******@example.com","verified":{"email":false},"updated_at":"2026-03-01T12:00:00Z"}`; err != nil || string(text) != wantText {
		t.Errorf("got %s, %v", text, err)
	}
}

func first(a users.Answer, _ bool) users.Answer { return a }

func TestRoundTrips(t *testing.T) {
	b := newBench(t)
	var etag string
	put := func(req users.Request, cond func() users.Conditions, wantErr bool) func(context.Context) {
		return func(ctx context.Context) {
			a, _, err := b.s.Put(ctx, "alice", req, cond())
			if (err != nil) != wantErr {
				t.Errorf("put: %v", err)
			}
			if err == nil {
				etag = a.ETag
			}
		}
	}
	none := func() users.Conditions { return users.Conditions{} }
	match := func() users.Conditions { return users.Conditions{IfMatch: etag} }
	french := both
	french.Locale = "fr"
	del := func(ctx context.Context) {
		if err := b.s.Delete(ctx, "alice", users.Conditions{}); err != nil {
			t.Error(err)
		}
	}
	for _, step := range []struct {
		name string
		want int64
		call func(context.Context)
	}{
		{"refused before the store is asked", 0, put(users.Request{}, none, true)},
		{"created", 2, put(both, none, false)},
		{"unchanged", 1, put(both, none, false)},
		{"unchanged, in other spellings", 1, put(users.Request{Phone: number, Email: mail, Locale: "pt-BR", Channels: both.Channels}, match, false)},
		{"changed", 2, put(french, match, false)},
		{"not met", 1, put(both, func() users.Conditions { return users.Conditions{IfNoneMatch: "*"} }, true)},
		{"looked up", 1, func(ctx context.Context) { _, _ = b.s.Get(ctx, "alice") }},
		{"erased, two addresses", 3 + 2*2, del},
		{"looked up in vain", 1, func(ctx context.Context) { _, _ = b.s.Get(ctx, "alice") }},
		{"erased in vain", 1, func(ctx context.Context) { _ = b.s.Delete(ctx, "alice", users.Conditions{}) }},
		{"created again", 2, put(users.Request{Phone: number}, none, false)},
		{"erased, one address", 3 + 2, del},
	} {
		if got := trips(step.call); got != step.want {
			t.Errorf("%s: %d round trips, want %d", step.name, got, step.want)
		}
	}
}

func TestPut_ReplacesAllAndKeepsWhatIsKnownOfAnAddressThatStays(t *testing.T) {
	b := newBench(t)
	b.put("alice", both, users.Conditions{})
	b.confirm("alice", number)
	b.confirm("alice", mail)
	verified := b.get("alice")
	if !*verified.Verified.Phone || !*verified.Verified.Email {
		t.Fatalf("got %+v", verified.Verified)
	}
	b.now = noon.Add(time.Minute)

	same, created := b.put("alice", both, users.Conditions{})
	if created || !reflect.DeepEqual(same, verified) {
		t.Errorf("a Put that changes nothing: got %+v, %v", same, created)
	}
	a, created := b.put("alice", users.Request{Phone: number, Email: "alice@example.org"}, users.Conditions{})
	if created || !*a.Verified.Phone || *a.Verified.Email || a.Locale != "" || a.Channels != nil || a.ETag == same.ETag || !a.UpdatedAt.Equal(b.now) {
		t.Errorf("got %+v, %v", a, created)
	}
	a, _ = b.put("alice", users.Request{Email: "alice@example.org"}, users.Conditions{})
	if a.Phone != "" || a.Verified.Phone != nil || a.Verified.Email == nil {
		t.Errorf("got %+v", a)
	}
	if a, _ = b.put("alice", both, users.Conditions{}); *a.Verified.Phone || *a.Verified.Email {
		t.Error("an address that was away is still taken as verified")
	}
	for what, req := range map[string]users.Request{
		"order of channels": {Phone: number, Email: mail, Locale: "pt-BR", Channels: []string{"email", "sms"}},
		"language":          {Phone: number, Email: mail, Locale: "pt", Channels: []string{"email", "sms"}},
	} {
		if changed, _ := b.put("alice", req, users.Conditions{}); changed.ETag == a.ETag {
			t.Errorf("another %s changes nothing", what)
		}
	}
}

func TestConfirm_ChangesTheETag(t *testing.T) {
	b := newBench(t)
	before, _ := b.put("alice", both, users.Conditions{})
	b.confirm("alice", mail)
	after := b.get("alice")
	if after.ETag == before.ETag || !*after.Verified.Email || *after.Verified.Phone {
		t.Errorf("got %+v", after)
	}
	b.confirm("alice", "+14155550199")
	if b.get("alice").ETag != after.ETag {
		t.Error("an address that is not the user's changes the user")
	}
}

func TestPut_NamesAllFaultsAtOnce(t *testing.T) {
	b := newBench(t)
	for name, tc := range map[string]struct {
		name string
		req  users.Request
		cond users.Conditions
		want []string
	}{
		"everything":            {"%41", users.Request{Name: "..", Phone: "415", Email: "x", Locale: "x", Channels: []string{"fax"}}, users.Conditions{IfMatch: "x", IfNoneMatch: "x"}, []string{"If-Match", "If-None-Match", "channels", "email", "locale", "name", "phone", "user"}},
		"no address":            {"alice", users.Request{Locale: "en"}, users.Conditions{}, []string{"phone"}},
		"an e-mail as a number": {"alice", users.Request{Phone: mail}, users.Conditions{}, []string{"phone"}},
		"a number as an e-mail": {"alice", users.Request{Email: number}, users.Conditions{}, []string{"email"}},
		"another name":          {"Admin", users.Request{Name: "admin", Phone: number}, users.Conditions{}, []string{"name"}},
		"an escape, decoded":    {"Admin", users.Request{Name: "%41dmin", Phone: number}, users.Conditions{}, []string{"name"}},
		"no such channel":       {"alice", users.Request{Phone: number, Channels: []string{"canary"}}, users.Conditions{}, []string{"channels"}},
		"a channel not in use":  {"alice", users.Request{Phone: number, Channels: []string{"call"}}, users.Conditions{}, []string{"channels"}},
		"an empty channel":      {"alice", users.Request{Phone: number, Channels: []string{""}}, users.Conditions{}, []string{"channels"}},
		"a channel twice":       {"alice", users.Request{Phone: number, Channels: []string{"sms", "whatsapp", "sms"}}, users.Conditions{}, []string{"channels"}},
		"five channels":         {"alice", users.Request{Phone: number, Channels: []string{"sms", "sms", "sms", "sms", "sms"}}, users.Conditions{}, []string{"channels"}},
		"e-mail without one":    {"alice", users.Request{Phone: number, Channels: []string{"sms", "email"}}, users.Conditions{}, []string{"channels"}},
		"sms without a number":  {"alice", users.Request{Email: mail, Channels: []string{"email", "sms"}}, users.Conditions{}, []string{"channels"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, created, err := b.s.Put(t.Context(), tc.name, tc.req, tc.cond)
			e := wantKind(t, err, problem.InvalidRequest)
			if got := fields(e); created || !slices.Equal(got, tc.want) {
				t.Errorf("faults of %q, want %q", got, tc.want)
			}
			for _, f := range e.Fields {
				if strings.Contains(f.Message, "canary") {
					t.Errorf("quotes the value: %s", f.Message)
				}
			}
		})
	}
	if page, err := b.table.Expired(t.Context(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), ""); err != nil || len(page.Rows) > 0 {
		t.Errorf("%d rows were written, %v", len(page.Rows), err)
	}
}

func TestPut_ANameInTheBodyMayBeWrittenInAnotherForm(t *testing.T) {
	b := newBench(t)
	a, _ := b.put("Am\u00e9lie", users.Request{Name: "Ame\u0301lie", Phone: number}, users.Conditions{})
	if got := b.get("Ame\u0301lie"); a.Name != "Am\u00e9lie" || !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v, want %+v", got, a)
	}
	if _, err := b.s.Get(t.Context(), "am\u00e9lie"); err == nil {
		t.Error("the case of a name does not count")
	}
}

// Attack 6: such an address is not even kept.
func TestPut_RefusesNumbersThatAreNeverSentTo(t *testing.T) {
	b := newBench(t)
	for kind, number := range map[string]string{
		"premium rate": "+19005550123", "toll free": "+18005550123", "satellite": "+870773123456",
		"a country that is not allowed": "+447911123456",
	} {
		_, _, err := b.s.Put(t.Context(), "alice", users.Request{Phone: number, Email: mail}, users.Conditions{})
		if e := wantKind(t, err, problem.DestinationRefused); e.Detail == "" || strings.Contains(e.Detail, number[3:]) {
			t.Errorf("%s: %q", kind, e.Detail)
		}
	}
	_, err := b.s.Get(t.Context(), "alice")
	wantKind(t, err, problem.NotFound)
	b.s.Countries = nil
	b.put("alice", users.Request{Phone: "+447911123456"}, users.Conditions{})
	b.s.Countries = map[string]bool{}
	b.put("bob", users.Request{Email: mail}, users.Conditions{}) // an e-mail address has no country
}

func TestConditions(t *testing.T) {
	const stale = `"00000000000000aa"`
	for name, tc := range map[string]struct {
		ifMatch, ifNoneMatch string // ETAG stands for the user's
		nobody               bool
		met                  bool
	}{
		"none":                                {met: true},
		"none, nobody":                        {nobody: true, met: true},
		"in this state":                       {ifMatch: "ETAG", met: true},
		"in one of these states":              {ifMatch: stale + ", ETAG", met: true},
		"in another state":                    {ifMatch: stale},
		"in this state, weakly":               {ifMatch: "W/ETAG"},
		"anybody":                             {ifMatch: "*", met: true},
		"anybody, but there is nobody":        {ifMatch: "*", nobody: true},
		"in a state, but there is nobody":     {ifMatch: stale, nobody: true},
		"nobody, but there is somebody":       {ifNoneMatch: "*"},
		"nobody":                              {ifNoneMatch: "*", nobody: true, met: true},
		"not in this state":                   {ifNoneMatch: "ETAG"},
		"not in this state, weakly":           {ifNoneMatch: stale + ",W/ETAG"},
		"not in another state":                {ifNoneMatch: stale, met: true},
		"in this state and not in another":    {ifMatch: "ETAG", ifNoneMatch: stale, met: true},
		"in this state and nobody":            {ifMatch: "ETAG", ifNoneMatch: "*"},
		"another state and not another state": {ifMatch: stale, ifNoneMatch: stale},
		"not in a state, and there is nobody": {ifNoneMatch: stale, nobody: true, met: true},
	} {
		t.Run(name, func(t *testing.T) {
			setUp := func() (*bench, users.Answer, users.Conditions) {
				b := newBench(t)
				var before users.Answer
				if !tc.nobody {
					before, _ = b.put("alice", both, users.Conditions{})
				}
				set := func(s string) string { return strings.ReplaceAll(s, "ETAG", before.ETag) }
				return b, before, users.Conditions{IfMatch: set(tc.ifMatch), IfNoneMatch: set(tc.ifNoneMatch)}
			}
			for _, req := range []users.Request{both, {Phone: number}} { // what changes nothing is judged no less
				b, before, cond := setUp()
				_, created, err := b.s.Put(t.Context(), "alice", req, cond)
				if tc.met {
					if err != nil || created != tc.nobody {
						t.Errorf("created: %v, %v", created, err)
					}
					continue
				}
				if e := wantKind(t, err, problem.PreconditionFailed); e.Detail == "" || strings.Contains(e.Detail, stale) {
					t.Errorf("says %q", e.Detail)
				}
				if !tc.nobody && !reflect.DeepEqual(b.get("alice"), before) {
					t.Error("the user was changed all the same")
				}
			}
			b, before, cond := setUp()
			err := b.s.Delete(t.Context(), "alice", cond)
			switch {
			case tc.nobody:
				wantKind(t, err, problem.NotFound)
			case tc.met && err != nil:
				t.Error(err)
			case !tc.met:
				wantKind(t, err, problem.PreconditionFailed)
				if !reflect.DeepEqual(b.get("alice"), before) || len(b.recipients.erased) > 0 {
					t.Error("something was erased all the same")
				}
			}
		})
	}
}

func TestNamesAreReadByEveryCall(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"", "..", "%41dmin", "a/b", "a?b"} {
		_, _, err := b.s.Put(t.Context(), name, both, users.Conditions{})
		wantKind(t, err, problem.InvalidRequest)
		_, err = b.s.Get(t.Context(), name)
		wantKind(t, err, problem.InvalidRequest)
		wantKind(t, b.s.Delete(t.Context(), name, users.Conditions{}), problem.InvalidRequest)
	}
	e := wantKind(t, b.s.Delete(t.Context(), "..", users.Conditions{IfMatch: "x"}), problem.InvalidRequest)
	if got := fields(e); !slices.Equal(got, []string{"If-Match", "user"}) {
		t.Errorf("faults of %q", got)
	}
}

// A key has 128 bits, so this takes a row that was put there.
func TestAnotherUsersRowIsNotTakenForOnesOwn(t *testing.T) {
	b := newBench(t)
	b.put("mallory", both, users.Conditions{})
	d := b.s.Directory
	u, err := d.Load(t.Context(), d.Key("mallory"))
	if err != nil {
		t.Fatal(err)
	}
	row, err := u.Encode()
	if err != nil {
		t.Fatal(err)
	}
	err = b.table.Update(t.Context(), store.Key(d.Key("alice")), func([]byte) (store.Row, error) {
		return store.Row{Data: d.Keys.Seal(row, d.Key("alice")), KeepUntil: noon}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.s.Get(t.Context(), "alice")
	wantKind(t, err, problem.Internal)
	_, _, err = b.s.Put(t.Context(), "alice", both, users.Conditions{})
	wantKind(t, err, problem.Internal)
	wantKind(t, b.s.Delete(t.Context(), "alice", users.Conditions{}), problem.Internal)
	if len(b.recipients.erased) > 0 {
		t.Error("another user's addresses were erased")
	}
}

type brokenTable struct {
	store.Table
	err error
}

func (b brokenTable) Get(context.Context, store.Key) (store.Row, error) { return store.Row{}, b.err }

func (b brokenTable) Update(context.Context, store.Key, func([]byte) (store.Row, error)) error {
	return b.err
}

func TestStorageFaultsAreToldAsSuch(t *testing.T) {
	b := newBench(t)
	b.s.Directory.Table = brokenTable{err: store.ErrUnavailable}
	_, created, err := b.s.Put(t.Context(), "alice", both, users.Conditions{})
	wantKind(t, err, problem.StorageUnavailable)
	if created {
		t.Error("told as created")
	}
	_, err = b.s.Get(t.Context(), "alice")
	wantKind(t, err, problem.StorageUnavailable)
	wantKind(t, b.s.Delete(t.Context(), "alice", users.Conditions{}), problem.StorageUnavailable)
}
