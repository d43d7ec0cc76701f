package users_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/users"
)

var both = users.Request{Phone: "+1 (415) 555-0123", Email: "Alice.Canary@Example.com", Locale: "pt-BR", Channels: []channel.Channel{"sms", "email"}}

func TestPut_RegistersAndGetReturns(t *testing.T) {
	r := newRig(t)
	r.Set(fixture.Noon.Add(1234567 * time.Nanosecond).In(time.FixedZone("IST", 19800)))
	got, created := r.put("alice", both, users.Conditions{})
	want := users.Answer{
		Name: "alice", Phone: "+1******0123", Email: "a******@example.com", Locale: "pt-BR", Channels: []channel.Channel{"sms", "email"},
		Verified: users.Verified{Phone: new(false), Email: new(false)}, UpdatedAt: fixture.Noon, ETag: got.ETag,
	}
	if !created || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, created, want)
	}
	if !regexp.MustCompile(`^"[0-9a-f]{16}"$`).MatchString(got.ETag) {
		t.Errorf("the ETag is %s", got.ETag)
	}
	if again := r.get("alice"); !reflect.DeepEqual(again, want) {
		t.Errorf("got  %+v\nwant %+v", again, want)
	}
	text, err := json.Marshal(got)
	if wantText := `{"name":"alice","phone":"+1******0123","email":"a******@example.com","locale":"pt-BR","channels":["sms","email"],"verified":{"phone":false,"email":false},"updated_at":"2026-03-01T12:00:00Z"}`; err != nil || string(text) != wantText {
		t.Errorf("got %s, %v", text, err)
	}
	text, err = json.Marshal(first(r.put("bob", users.Request{Email: mail}, users.Conditions{})))
	if wantText := `{"name":"bob","email":"a******@example.com","verified":{"email":false},"updated_at":"2026-03-01T12:00:00Z"}`; err != nil || string(text) != wantText {
		t.Errorf("got %s, %v", text, err)
	}
}

func first(a users.Answer, _ bool) users.Answer { return a }

func TestRoundTrips(t *testing.T) {
	r := newRig(t)
	var etag string
	put := func(req users.Request, cond func() users.Conditions, wantErr bool) func(context.Context) {
		return func(ctx context.Context) {
			a, _, err := r.s.Put(ctx, "alice", req, cond())
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
		if err := r.s.Delete(ctx, "alice", users.Conditions{}); err != nil {
			t.Error(err)
		}
	}
	erase := func(ctx context.Context) {
		r.Advance(time.Hour)                        // after the pause between two messages
		for _, to := range []string{number, mail} { // an unknown address takes one round trip
			if _, _, err := r.Send.Start(r.Ctx(), otpsend.Request{To: to}, ""); err != nil {
				t.Fatal(err)
			}
		}
		del(ctx)
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
		{"a condition does not hold", 1, put(both, func() users.Conditions { return users.Conditions{IfNoneMatch: "*"} }, true)},
		{"read", 1, func(ctx context.Context) { _, _ = r.s.Get(ctx, "alice") }},
		{"erased, two addresses", 3 + 2*2, erase},
		{"read, not found", 1, func(ctx context.Context) { _, _ = r.s.Get(ctx, "alice") }},
		{"erased, not found", 1, func(ctx context.Context) { _ = r.s.Delete(ctx, "alice", users.Conditions{}) }},
		{"created again", 2, put(users.Request{Phone: number}, none, false)},
		{"erased, one address", 3 + 2, erase},
		{"created once more", 2, put(both, none, false)},
		{"erased, one of two addresses known", 3 + 2 + 1, del},
	} {
		if got := r.Trips(step.call); got != step.want {
			t.Errorf("%s: %d round trips, want %d", step.name, got, step.want)
		}
	}
}

func TestPut_ReplacesAllAndAnAddressThatStaysRemainsVerified(t *testing.T) {
	r := withAlice(t)
	r.confirmAddress("alice", number)
	r.confirmAddress("alice", mail)
	verified := r.get("alice")
	if !*verified.Verified.Phone || !*verified.Verified.Email {
		t.Fatalf("got %+v", verified.Verified)
	}
	r.Set(fixture.Noon.Add(time.Minute))

	same, created := r.put("alice", both, users.Conditions{})
	if created || !reflect.DeepEqual(same, verified) {
		t.Errorf("a Put that changes nothing: got %+v, %v", same, created)
	}
	a, created := r.put("alice", users.Request{Phone: number, Email: "alice@example.org"}, users.Conditions{})
	if created || !*a.Verified.Phone || *a.Verified.Email || a.Locale != "" || a.Channels != nil || a.ETag == same.ETag || !a.UpdatedAt.Equal(r.Now()) {
		t.Errorf("got %+v, %v", a, created)
	}
	a, _ = r.put("alice", users.Request{Email: "alice@example.org"}, users.Conditions{})
	if a.Phone != "" || a.Verified.Phone != nil || a.Verified.Email == nil {
		t.Errorf("got %+v", a)
	}
	if a, _ = r.put("alice", both, users.Conditions{}); *a.Verified.Phone || *a.Verified.Email {
		t.Error("an address that was removed in between is still verified")
	}
	for what, req := range map[string]users.Request{
		"order of channels": {Phone: number, Email: mail, Locale: "pt-BR", Channels: []channel.Channel{"email", "sms"}},
		"language":          {Phone: number, Email: mail, Locale: "pt", Channels: []channel.Channel{"email", "sms"}},
	} {
		if changed, _ := r.put("alice", req, users.Conditions{}); changed.ETag == a.ETag {
			t.Errorf("another %s changes nothing", what)
		}
	}
}

func TestConfirm_ChangesTheETag(t *testing.T) {
	r := newRig(t)
	before, _ := r.put("alice", both, users.Conditions{})
	r.confirmAddress("alice", mail)
	after := r.get("alice")
	if after.ETag == before.ETag || !*after.Verified.Email || *after.Verified.Phone {
		t.Errorf("got %+v", after)
	}
	r.confirmAddress("alice", "+14155550199")
	if r.get("alice").ETag != after.ETag {
		t.Error("an address that is not the user's changes the user")
	}
}

func TestPut_NamesAllFaultsAtOnce(t *testing.T) {
	r := newRig(t)
	for name, tc := range map[string]struct {
		name string
		req  users.Request
		cond users.Conditions
		want []string
	}{
		"everything":            {"a ", users.Request{Name: " a", Phone: "415", Email: "x", Locale: "x", Channels: []channel.Channel{"fax"}}, users.Conditions{IfMatch: "x", IfNoneMatch: "x"}, []string{"If-Match", "If-None-Match", "channels", "email", "locale", "name", "phone", "user"}},
		"no address":            {"alice", users.Request{Locale: "en"}, users.Conditions{}, []string{"phone"}},
		"an e-mail as a number": {"alice", users.Request{Phone: mail}, users.Conditions{}, []string{"phone"}},
		"a number as an e-mail": {"alice", users.Request{Email: number}, users.Conditions{}, []string{"email"}},
		"another name":          {"Admin", users.Request{Name: "admin", Phone: number}, users.Conditions{}, []string{"name"}},
		"an escape, decoded":    {"Admin", users.Request{Name: "%41dmin", Phone: number}, users.Conditions{}, []string{"name"}},
		"no such channel":       {"alice", users.Request{Phone: number, Channels: []channel.Channel{"canary"}}, users.Conditions{}, []string{"channels"}},
		"a channel not in use":  {"alice", users.Request{Phone: number, Channels: []channel.Channel{"call"}}, users.Conditions{}, []string{"channels"}},
		"an empty channel":      {"alice", users.Request{Phone: number, Channels: []channel.Channel{""}}, users.Conditions{}, []string{"channels"}},
		"a channel twice":       {"alice", users.Request{Phone: number, Channels: []channel.Channel{"sms", "whatsapp", "sms"}}, users.Conditions{}, []string{"channels"}},
		"five channels":         {"alice", users.Request{Phone: number, Channels: []channel.Channel{"sms", "sms", "sms", "sms", "sms"}}, users.Conditions{}, []string{"channels"}},
		"e-mail without one":    {"alice", users.Request{Phone: number, Channels: []channel.Channel{"sms", "email"}}, users.Conditions{}, []string{"channels"}},
		"sms without a number":  {"alice", users.Request{Email: mail, Channels: []channel.Channel{"email", "sms"}}, users.Conditions{}, []string{"channels"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, created, err := r.s.Put(t.Context(), tc.name, tc.req, tc.cond)
			if wantFields(t, err, tc.want...); created {
				t.Error("created is true")
			}
			for _, f := range fixture.Fields(err) {
				if strings.Contains(f.Message, "canary") {
					t.Errorf("quotes the value: %s", f.Message)
				}
			}
		})
	}
	if page, err := r.Table.Expired(t.Context(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), ""); err != nil || len(page.Rows) > 0 {
		t.Errorf("%d rows were written, %v", len(page.Rows), err)
	}
}

func TestPut_ANameInTheBodyMayHaveAnotherForm(t *testing.T) {
	r := newRig(t)
	a, _ := r.put("Am\u00e9lie", users.Request{Name: "Ame\u0301lie", Phone: number}, users.Conditions{})
	if got := r.get("Ame\u0301lie"); a.Name != "Am\u00e9lie" || !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v, want %+v", got, a)
	}
	if _, err := r.s.Get(t.Context(), "am\u00e9lie"); err == nil {
		t.Error("a name in another case is the same name")
	}
}

// Attack 6: such a number is not even kept.
func TestPut_RefusesNumbersThatAreNeverSentTo(t *testing.T) {
	r := newRig(t)
	for kind, number := range map[string]string{
		"premium rate": "+19005550123", "toll free": "+18005550123", "satellite": "+870773123456",
		"a country that is not allowed": "+447911123456",
	} {
		ctx, line := reqlog.With(t.Context())
		_, _, err := r.s.Put(ctx, "alice", users.Request{Phone: number, Email: mail}, users.Conditions{})
		if want := slog.String("user", user.LogID(r.Users.Key("main", "alice"))); len(line.Attrs()) != 2 || !line.Attrs()[0].Equal(want) || line.Attrs()[1].Key != "country" {
			t.Errorf("%s: the log line has %v, want %v and the country", kind, line.Attrs(), want)
		}
		if e := fixture.Problem(t, err, problem.DestinationRefused); e.Detail == "" || strings.Contains(e.Detail, number[3:]) {
			t.Errorf("%s: %q", kind, e.Detail)
		}
	}
	_, err := r.s.Get(t.Context(), "alice")
	fixture.Problem(t, err, problem.NotFound)
	r.s.Countries = nil
	r.put("alice", users.Request{Phone: "+447911123456"}, users.Conditions{})
	r.s.Countries = map[string]bool{}
	r.put("bob", users.Request{Email: mail}, users.Conditions{}) // an e-mail address has no country
}

func TestConditions(t *testing.T) {
	const stale = `"00000000000000aa"`
	for name, tc := range map[string]struct {
		ifMatch, ifNoneMatch string // ETAG stands for the user's
		absent               bool
		met                  bool
	}{
		"none":                                 {met: true},
		"none, no user":                        {absent: true, met: true},
		"in this state":                        {ifMatch: "ETAG", met: true},
		"in one of these states":               {ifMatch: stale + ", ETAG", met: true},
		"in another state":                     {ifMatch: stale},
		"in this state, weakly":                {ifMatch: "W/ETAG"},
		"any user":                             {ifMatch: "*", met: true},
		"any user, but there is none":          {ifMatch: "*", absent: true},
		"in a state, but there is no user":     {ifMatch: stale, absent: true},
		"no user, but there is one":            {ifNoneMatch: "*"},
		"no user":                              {ifNoneMatch: "*", absent: true, met: true},
		"not in this state":                    {ifNoneMatch: "ETAG"},
		"not in this state, weakly":            {ifNoneMatch: stale + ",W/ETAG"},
		"not in another state":                 {ifNoneMatch: stale, met: true},
		"in this state and not in another":     {ifMatch: "ETAG", ifNoneMatch: stale, met: true},
		"in this state and no user":            {ifMatch: "ETAG", ifNoneMatch: "*"},
		"another state and not another state":  {ifMatch: stale, ifNoneMatch: stale},
		"not in a state, and there is no user": {ifNoneMatch: stale, absent: true, met: true},
	} {
		t.Run(name, func(t *testing.T) {
			setUp := func() (*rig, users.Answer, users.Conditions) {
				r := newRig(t)
				var before users.Answer
				if !tc.absent {
					before, _ = r.put("alice", both, users.Conditions{})
				}
				set := func(s string) string { return strings.ReplaceAll(s, "ETAG", before.ETag) }
				return r, before, users.Conditions{IfMatch: set(tc.ifMatch), IfNoneMatch: set(tc.ifNoneMatch)}
			}
			for _, req := range []users.Request{both, {Phone: number}} { // the first one changes nothing, and is checked all the same
				r, before, cond := setUp()
				_, created, err := r.s.Put(t.Context(), "alice", req, cond)
				if tc.met {
					if err != nil || created != tc.absent {
						t.Errorf("created: %v, %v", created, err)
					}
					continue
				}
				if e := fixture.Problem(t, err, problem.PreconditionFailed); e.Detail == "" || strings.Contains(e.Detail, stale) {
					t.Errorf("says %q", e.Detail)
				}
				if !tc.absent && !reflect.DeepEqual(r.get("alice"), before) {
					t.Error("the user was changed")
				}
			}
			r, before, cond := setUp()
			err := r.s.Delete(t.Context(), "alice", cond)
			switch {
			case tc.absent:
				fixture.Problem(t, err, problem.NotFound)
			case tc.met && err != nil:
				t.Error(err)
			case !tc.met:
				fixture.Problem(t, err, problem.PreconditionFailed)
				if !reflect.DeepEqual(r.get("alice"), before) || len(r.recipients.erased) > 0 {
					t.Error("something was erased")
				}
			}
		})
	}
}

func TestNamesAreReadByEveryCall(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"", " ", "a ", "a\n", "a\u202eb", "\u212a"} {
		_, _, err := r.s.Put(t.Context(), name, both, users.Conditions{})
		fixture.Problem(t, err, problem.InvalidRequest)
		_, err = r.s.Get(t.Context(), name)
		fixture.Problem(t, err, problem.InvalidRequest)
		fixture.Problem(t, r.s.Delete(t.Context(), name, users.Conditions{}), problem.InvalidRequest)
	}
	wantFields(t, r.s.Delete(t.Context(), "a ", users.Conditions{IfMatch: "x"}), "If-Match", "user")
}

// A key has 128 bits, so somebody has to plant such a row.
func TestAnotherUsersRowIsRefused(t *testing.T) {
	r := withAlice(t)
	r.plant("bob")
	_, err := r.s.Get(t.Context(), "bob")
	fixture.Problem(t, err, problem.Internal)
	_, _, err = r.s.Put(t.Context(), "bob", both, users.Conditions{})
	fixture.Problem(t, err, problem.Internal)
	fixture.Problem(t, r.s.Delete(t.Context(), "bob", users.Conditions{}), problem.Internal)
	if len(r.recipients.erased) > 0 {
		t.Error("another user's addresses were erased")
	}
}

func TestStorageFaultsAreStorageUnavailable(t *testing.T) {
	r := newRig(t)
	r.Table.Break(func(int) testrig.Fault { return testrig.Down })
	_, created, err := r.s.Put(t.Context(), "alice", both, users.Conditions{})
	fixture.Problem(t, err, problem.StorageUnavailable)
	if created {
		t.Error("created is true")
	}
	_, err = r.s.Get(t.Context(), "alice")
	fixture.Problem(t, err, problem.StorageUnavailable)
	fixture.Problem(t, r.s.Delete(t.Context(), "alice", users.Conditions{}), problem.StorageUnavailable)
}
