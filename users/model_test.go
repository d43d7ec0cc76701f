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

	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/store"
	"twofa/users"
)

// modelUser is a user as a naive model has it: a map and no store.
type modelUser struct {
	req          users.Request
	phone, email bool
	etag         string
	updated      time.Time
}

var (
	modelNames  = []string{"alice", "Alice", "al ice", "Am\u00e9lie"}
	modelPhones = map[string]string{"": "", number: "+1******0123", "+919876543210": "+91******3210"}
	modelMails  = map[string]string{"": "", mail: "a******@example.com", "bob@example.org": "b******@example.org"}
)

func TestService_IsAsANaiveModelOfIt(t *testing.T) {
	table := openTable(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++ // names of its own for each run, on one table
		b := benchOn(t, table)
		model := map[string]*modelUser{}
		seen := map[string]bool{} // every ETag that was ever given out
		newTag := func(tag string) {
			if seen[tag] {
				t.Fatalf("the ETag %s came back", tag)
			}
			seen[tag] = true
		}
		name := rapid.SampledFrom(modelNames)
		phone, mails := rapid.SampledFrom([]string{"", number, "+919876543210"}), rapid.SampledFrom([]string{"", mail, "bob@example.org"})
		condition := rapid.SampledFrom([]string{"", "", "", "*", "current", "stale"})
		full := func(n string) string { return fmt.Sprintf("%s %d", n, run) }
		// met is whether RFC 9110 lets a request go on, and the header.
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
				n := name.Draw(t, "name")
				req := users.Request{Phone: phone.Draw(t, "phone"), Email: mails.Draw(t, "email"), Locale: rapid.SampledFrom([]string{"", "en"}).Draw(t, "locale")}
				if rapid.Bool().Draw(t, "channels") && req.Phone != "" {
					req.Channels = []string{"sms"}
				}
				old := model[n]
				cond, goOn := met(t, old)
				a, created, err := b.s.Put(context.Background(), full(n), req, cond)
				if req.Phone == "" && req.Email == "" {
					wantKind(t, err, problem.InvalidRequest)
					return
				}
				if !goOn {
					wantKind(t, err, problem.PreconditionFailed)
					return
				}
				if err != nil || created != (old == nil) {
					t.Fatalf("created: %v, %v", created, err)
				}
				if old != nil && reflect.DeepEqual(old.req, req) {
					if a.ETag != old.etag {
						t.Fatal("nothing was changed but the ETag")
					}
					return
				}
				newTag(a.ETag)
				next := &modelUser{req: req, etag: a.ETag, updated: b.now}
				if old != nil {
					next.phone = old.phone && old.req.Phone == req.Phone
					next.email = old.email && old.req.Email == req.Email
				}
				model[n] = next
			},
			"confirm": func(t *rapid.T) {
				n := name.Draw(t, "name")
				address := rapid.OneOf(phone, mails).Draw(t, "address")
				b.confirm(full(n), address)
				u := model[n]
				if u == nil || address == "" {
					return
				}
				before := *u
				u.phone = u.phone || u.req.Phone == address
				u.email = u.email || u.req.Email == address
				if u.phone != before.phone || u.email != before.email {
					u.etag = b.get(full(n)).ETag
					newTag(u.etag)
				}
			},
			"delete": func(t *rapid.T) {
				n := name.Draw(t, "name")
				cond, goOn := met(t, model[n])
				b.recipients.erased = nil
				err := b.s.Delete(context.Background(), full(n), cond)
				switch {
				case model[n] == nil:
					wantKind(t, err, problem.NotFound)
				case !goOn:
					wantKind(t, err, problem.PreconditionFailed)
				case err != nil:
					t.Fatal(err)
				default:
					want := strings.Fields(model[n].req.Phone + " " + model[n].req.Email)
					if !reflect.DeepEqual(b.recipients.erased, want) {
						t.Fatalf("forgot %q, want %q", b.recipients.erased, want)
					}
					delete(model, n)
					return
				}
				if len(b.recipients.erased) > 0 {
					t.Fatal("forgot an address without erasing the user")
				}
			},
			"wait": func(t *rapid.T) {
				b.now = b.now.Add(time.Duration(rapid.IntRange(1, 5).Draw(t, "seconds")) * time.Second)
			},
			"": func(t *rapid.T) {
				for _, n := range modelNames {
					got, err := b.s.Get(context.Background(), full(n))
					u := model[n]
					if u == nil {
						wantKind(t, err, problem.NotFound)
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

// contended is a table whose updates read, decide and write on a condition, as
// Table Storage's do, so that several can have read the same row.
type contended struct {
	store.Table
	gate *sync.WaitGroup // all have read before the first one writes
}

func (c contended) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	read, err := c.Table.Get(ctx, key)
	if err != nil {
		return err
	}
	_, _ = fn(read.Data)
	c.gate.Done()
	c.gate.Wait()
	return c.Table.Update(ctx, key, fn)
}

func TestPut_OfManyWithTheSameIfMatchExactlyOneWins(t *testing.T) {
	b := newBench(t)
	start, _ := b.put("alice", both, users.Conditions{})
	const racers = 32
	gate := new(sync.WaitGroup)
	gate.Add(racers)
	b.s.Directory.Table = contended{b.table, gate}
	var won atomic.Int32
	var winner atomic.Value
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			req := both
			req.Locale = fmt.Sprintf("en-x-%d", i)
			a, created, err := b.s.Put(context.Background(), "alice", req, users.Conditions{IfMatch: start.ETag})
			if err == nil && !created {
				won.Add(1)
				winner.Store(a)
				return
			}
			wantPrecondition(t, err)
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d have won, want 1", won.Load())
	}
	if got := b.get("alice"); !reflect.DeepEqual(got, winner.Load()) {
		t.Errorf("got %+v, want %+v", got, winner.Load())
	}
}

// An address that is not the user's any more is left with nothing of theirs that
// could still be approved; that is so before the change is kept.
func TestPut_EndsWhatIsPendingAtAnAddressThatGoes(t *testing.T) {
	b := newBench(t)
	b.put("alice", both, users.Conditions{})
	b.put("alice", users.Request{Phone: both.Phone, Email: both.Email, Locale: "de"}, users.Conditions{})
	if len(b.recipients.canceled) != 0 {
		t.Errorf("ended at %q, though the addresses stay", b.recipients.canceled)
	}
	// A verification of the number may be about to go to the mail address.
	b.put("alice", users.Request{Phone: both.Phone}, users.Conditions{})
	if got := b.recipients.canceled; !slices.Equal(got, []string{"+14155550123", "alice@example.com"}) {
		t.Errorf("ended at %q, want both of before", got)
	}
}

// wantPrecondition may be called by any goroutine.
func wantPrecondition(t *testing.T, err error) {
	t.Helper()
	if e, ok := err.(*problem.Error); !ok || e.Kind != problem.PreconditionFailed {
		t.Errorf("got %v, want %s", err, problem.PreconditionFailed)
	}
}

// Attack 21: no name, number or e-mail address in an error, a log line or a row.
func TestNothingTellsOfAPerson(t *testing.T) {
	const name = "canary.name@example.net"
	b := newBench(t)
	ctx, line := reqlog.With(t.Context())
	req := users.Request{Name: name, Phone: "+14155550177", Email: "canary.mail@example.com"}
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	put := func(name string, req users.Request, cond users.Conditions) {
		_, _, err := b.s.Put(ctx, name, req, cond)
		note(err)
	}
	put(name, req, users.Conditions{})
	put(name, req, users.Conditions{IfMatch: `"canary"`})
	put(name, req, users.Conditions{IfMatch: `canary`, IfNoneMatch: "canary"})
	put(name+"%41", req, users.Conditions{})
	put(name+"x", req, users.Conditions{})
	put(name, users.Request{Name: name, Phone: "canary", Email: "canary", Locale: "canary canary", Channels: []string{"canary"}}, users.Conditions{})
	put(name, users.Request{Phone: "+19005550177"}, users.Conditions{})
	note(b.s.Delete(ctx, name, users.Conditions{IfMatch: `"canary"`}))
	note(b.s.Delete(ctx, name+"/", users.Conditions{}))
	_, err := b.s.Get(ctx, name+"?")
	note(err)
	_, err = b.s.Get(ctx, name+"x")
	note(err)

	key := store.Key(b.s.Directory.Key(name))
	row, err := b.table.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(row.Data), string(key)}
	for _, attr := range line.Attrs() {
		texts = append(texts, attr.String())
	}
	if want := slog.String("user", b.s.Directory.Key(name + "x")[1:9]); len(line.Attrs()) != 1 || !line.Attrs()[0].Equal(want) {
		t.Errorf("the log has %v, want %v", line.Attrs(), want)
	}
	b.s.Directory.Table = brokenTable{err: fmt.Errorf("%s %s", name, req.Phone)}
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
			t.Errorf("tells of a person: %q", text)
		}
	}
}
