package users_test

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/users"
)

// modelUser is a user of the model, which is a map.
type modelUser struct {
	req          users.Request
	phone, email bool
	etag         string
	updated      time.Time
}

var (
	modelNames  = []string{"alice", "Alice", "al ice", "Am\u00e9lie"}
	modelPhones = map[string]string{"": "", number: "+1******0123", fixture.Bob: "+91******3210"}
	modelMails  = map[string]string{"": "", mail: "a******@example.com", "bob@example.org": "b******@example.org"}
)

func TestService_DoesWhatTheModelDoes(t *testing.T) {
	r := newRig(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++ // each run has its own names
		r.t = t
		model := map[string]*modelUser{}
		seen := map[string]bool{} // all ETags so far
		newTag := func(tag string) {
			if seen[tag] {
				t.Fatalf("the ETag %s came back", tag)
			}
			seen[tag] = true
		}
		name := rapid.SampledFrom(modelNames)
		phone, mails := rapid.SampledFrom([]string{"", number, fixture.Bob}), rapid.SampledFrom([]string{"", mail, "bob@example.org"})
		condition := rapid.SampledFrom([]string{"", "", "", "*", "current", "stale"})
		full := func(n string) string { return fmt.Sprintf("%s %d", n, run) }
		// met draws the headers, and whether RFC 9110 lets the request go on.
		met := func(t *rapid.T, u *modelUser) (users.Conditions, bool) {
			header := func(kind string) (string, bool) { // the header, and whether it names the state
				switch kind {
				case "*":
					return "*", u != nil
				case "current":
					if u != nil {
						return `"x", ` + u.etag, true
					}
				case "stale":
				default:
					return "", false
				}
				return `"00000000000000aa"`, false
			}
			ifMatch, matches := header(condition.Draw(t, "If-Match"))
			ifNoneMatch, ruledOut := header(condition.Draw(t, "If-None-Match"))
			return users.Conditions{IfMatch: ifMatch, IfNoneMatch: ifNoneMatch}, (ifMatch == "" || matches) && !ruledOut
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				r.Advance(3 * time.Hour) // no more than ten changes a day
				n := name.Draw(t, "name")
				req := users.Request{Phone: phone.Draw(t, "phone"), Email: mails.Draw(t, "email"), Locale: rapid.SampledFrom([]string{"", "en"}).Draw(t, "locale")}
				if rapid.Bool().Draw(t, "channels") && req.Phone != "" {
					req.Channels = []channel.Channel{"sms"}
				}
				old := model[n]
				cond, goOn := met(t, old)
				a, created, err := r.s.Put(context.Background(), full(n), req, cond)
				if req.Phone == "" && req.Email == "" {
					fixture.Problem(t, err, problem.InvalidRequest)
					return
				}
				if !goOn {
					fixture.Problem(t, err, problem.PreconditionFailed)
					return
				}
				if err != nil || created != (old == nil) {
					t.Fatalf("created: %v, %v", created, err)
				}
				if old != nil && reflect.DeepEqual(old.req, req) {
					if a.ETag != old.etag {
						t.Fatal("nothing but the ETag was changed")
					}
					return
				}
				newTag(a.ETag)
				next := &modelUser{req: req, etag: a.ETag, updated: r.Now()}
				if old != nil {
					next.phone = old.phone && old.req.Phone == req.Phone
					next.email = old.email && old.req.Email == req.Email
				}
				model[n] = next
			},
			"confirm": func(t *rapid.T) {
				n := name.Draw(t, "name")
				address := rapid.OneOf(phone, mails).Draw(t, "address")
				r.confirmAddress(full(n), address)
				u := model[n]
				if u == nil || address == "" {
					return
				}
				before := *u
				u.phone = u.phone || u.req.Phone == address
				u.email = u.email || u.req.Email == address
				if u.phone != before.phone || u.email != before.email {
					u.etag = r.get(full(n)).ETag
					newTag(u.etag)
				}
			},
			"delete": func(t *rapid.T) {
				n := name.Draw(t, "name")
				cond, goOn := met(t, model[n])
				r.recipients.erased = nil
				err := r.s.Delete(context.Background(), full(n), cond)
				switch {
				case model[n] == nil:
					fixture.Problem(t, err, problem.NotFound)
				case !goOn:
					fixture.Problem(t, err, problem.PreconditionFailed)
				case err != nil:
					t.Fatal(err)
				default:
					want := strings.Fields(model[n].req.Phone + " " + model[n].req.Email)
					if !reflect.DeepEqual(r.recipients.erased, want) {
						t.Fatalf("erased %q, want %q", r.recipients.erased, want)
					}
					delete(model, n)
					return
				}
				if len(r.recipients.erased) > 0 {
					t.Fatal("an address was erased, but not the user")
				}
			},
			"wait": func(t *rapid.T) {
				r.Advance(time.Duration(rapid.IntRange(1, 5).Draw(t, "seconds")) * time.Second)
			},
			"": func(t *rapid.T) {
				for _, n := range modelNames {
					got, err := r.s.Get(context.Background(), full(n))
					u := model[n]
					if u == nil {
						fixture.Problem(t, err, problem.NotFound)
						continue
					}
					want := users.Answer{
						Name: full(n), Phone: modelPhones[u.req.Phone], Email: modelMails[u.req.Email],
						Locale: u.req.Locale, Channels: u.req.Channels, UpdatedAt: u.updated, ETag: u.etag,
					}
					if u.req.Phone != "" {
						want.Verified.Phone = &u.phone
					}
					if u.req.Email != "" {
						want.Verified.Email = &u.email
					}
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Fatalf("got  %+v, %v\nwant %+v", got, err, want)
					}
				}
			},
		})
	})
}

func TestPut_OfManyWithTheSameIfMatchExactlyOneWins(t *testing.T) {
	r := newRig(t)
	start, _ := r.put("alice", both, users.Conditions{})
	const racers = 32
	gate := new(sync.WaitGroup)
	gate.Add(racers)
	r.Table.Before(func(testrig.Call) error { // all have read the user before the first one writes
		gate.Done()
		gate.Wait()
		return nil
	})
	var won atomic.Int32
	var winner atomic.Value
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			req := both
			req.Locale = fmt.Sprintf("en-x-%d", i)
			a, created, err := r.s.Put(r.Ctx(), "alice", req, users.Conditions{IfMatch: start.ETag})
			if err == nil && !created {
				won.Add(1)
				winner.Store(a)
				return
			}
			if !problem.Is(err, problem.PreconditionFailed) {
				t.Errorf("got %v, want %s", err, problem.PreconditionFailed)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d have succeeded, want 1", won.Load())
	}
	r.Table.Before(nil)
	if got := r.get("alice"); !reflect.DeepEqual(got, winner.Load()) {
		t.Errorf("got %+v, want %+v", got, winner.Load())
	}
}

// Before a change that removes an address is kept, no verification of the user can
// be approved there any more.
func TestPut_CancelsWhatIsPendingAtAnAddressThatTheUserLoses(t *testing.T) {
	r := withAlice(t)
	r.put("alice", users.Request{Phone: both.Phone, Email: both.Email, Locale: "de"}, users.Conditions{})
	if len(r.recipients.canceled) != 0 {
		t.Errorf("canceled at %q, though the addresses stay", r.recipients.canceled)
	}
	// A verification of the number may send to the e-mail address next.
	r.put("alice", users.Request{Phone: both.Phone}, users.Conditions{})
	if got := r.recipients.canceled; !slices.Equal(got, []string{number, mail}) {
		t.Errorf("canceled at %q, want both old addresses", got)
	}
}

// Attack 21: no name, number or e-mail address in an error, a log line or a row.
func TestNothingQuotesAPerson(t *testing.T) {
	const name = "canary.name@example.net"
	r := newRig(t)
	ctx, line := reqlog.With(t.Context())
	req := users.Request{Name: name, Phone: "+14155550177", Email: "canary.mail@example.com"}
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	put := func(name string, req users.Request, cond users.Conditions) {
		_, _, err := r.s.Put(ctx, name, req, cond)
		note(err)
	}
	put(name, req, users.Conditions{})
	put(name, req, users.Conditions{IfMatch: `"canary"`})
	put(name, req, users.Conditions{IfMatch: `canary`, IfNoneMatch: "canary"})
	put(name+"%41", req, users.Conditions{})
	put(name+"x", req, users.Conditions{})
	put(name, users.Request{Name: name, Phone: "canary", Email: "canary", Locale: "canary canary", Channels: []channel.Channel{"canary"}}, users.Conditions{})
	put(name, users.Request{Phone: "+19005550177"}, users.Conditions{})
	note(r.s.Delete(ctx, name, users.Conditions{IfMatch: `"canary"`}))
	note(r.s.Delete(ctx, name+"/", users.Conditions{}))
	_, err := r.s.Get(ctx, name+"?")
	note(err)
	_, err = r.s.Get(ctx, name+"x")
	note(err)

	key := store.Key(r.Users.Key("main", name))
	row, err := r.Table.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(row.Data), string(key)}
	for _, attr := range line.Attrs() {
		texts = append(texts, attr.String())
	}
	if want := slog.String("user", string(r.Users.Key("main", name+"x"))[1:9]); !line.Attrs()[0].Equal(want) || len(line.Attrs()) > 2 || len(line.Attrs()) == 2 && line.Attrs()[1].Key != "country" {
		t.Errorf("the log has %v, want %v, and a country at most", line.Attrs(), want)
	}
	r.Table.Before(func(testrig.Call) error { return fmt.Errorf("%s %s", name, req.Phone) })
	put(name, req, users.Conditions{})
	for i, err := range errs {
		if e, ok := err.(*problem.Error); ok {
			texts = append(texts, e.Error(), e.Detail, fmt.Sprint(e.Fields))
		} else if i > 0 {
			t.Errorf("error %d is %v", i, err)
		}
	}
	for _, text := range texts {
		if strings.Contains(text, "canary") || strings.Contains(text, "5550177") || strings.Contains(text, "example.") && !strings.Contains(text, "name@example.com") {
			t.Errorf("quotes a person: %q", text)
		}
	}
}
