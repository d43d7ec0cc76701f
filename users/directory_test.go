package users_test

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
	"twofa/users"
)

// shop is a client of another directory than that of the nameless client.
var shop = client.Client{ID: "shop", Directory: "shop"}

// as returns the context of a request of a client.
func (r *rig) as(c client.Client) context.Context { return client.With(r.Ctx(), c) }

// directoryRig has a user alice of the main directory with an app, recovery codes and
// both addresses.
func directoryRig(t *testing.T) (r *rig, app string, alice user.User) {
	t.Helper()
	r = withAlice(t)
	e, _ := r.confirmed(users.EnrollRequest{})
	r.enroll(users.EnrollRequest{}) // pending
	if _, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice"); err != nil {
		t.Fatal(err)
	}
	return r, e.ID, r.Registered("alice")
}

// routes returns the calls of all routes of users about alice but the one that
// registers her.
func (r *rig) routes(app string) map[string]func(ctx context.Context) (any, error) {
	routes := r.calls("alice", app)
	routes["alert"] = func(ctx context.Context) (any, error) {
		return r.s.Alert(ctx, "alice", users.AlertRequest{Event: notify.EventOther})
	}
	routes["unlock"] = func(ctx context.Context) (any, error) { return r.s.Unlock(ctx, "alice") }
	routes["get"] = func(ctx context.Context) (any, error) { return r.s.Get(ctx, "alice") }
	routes["delete"] = func(ctx context.Context) (any, error) { return nil, r.s.Delete(ctx, "alice", users.Conditions{}) }
	routes["replace"] = func(ctx context.Context) (any, error) {
		_, _, err := r.s.Put(ctx, "alice", users.Request{Phone: fixture.Bob}, users.Conditions{IfMatch: "*"})
		return nil, err
	}
	return routes
}

func TestUsersOfAnotherDirectoryDoNotExist(t *testing.T) {
	t.Parallel()
	r, app, alice := directoryRig(t)
	for name, call := range r.routes(app) {
		_, err := call(r.as(shop))
		kind := problem.NotFound
		if name == "replace" {
			kind = problem.PreconditionFailed
		}
		r.Refused(err, kind)
		if got := r.Registered("alice"); !reflect.DeepEqual(got, alice) {
			t.Errorf("%s has changed alice of the main directory to %+v", name, got)
		}
	}
	if len(r.recipients.erased)+len(r.recipients.canceled) > 0 {
		t.Errorf("erased %q, canceled %q", r.recipients.erased, r.recipients.canceled)
	}
}

// The second user has the name and an address of the first one.
func TestAChangeOfAUserLeavesTheUserOfThatNameInAnotherDirectory(t *testing.T) {
	t.Parallel()
	r, app, _ := directoryRig(t)
	a, created, err := r.s.Put(r.as(shop), "alice", users.Request{Phone: number}, users.Conditions{IfNoneMatch: "*"})
	if err != nil || !created || a.Name != "alice" || a.Email != "" || a.Authenticators != 0 || a.RecoveryCodesLeft != 0 {
		t.Fatalf("registered in the other directory: %+v, %v, %v", a, created, err)
	}
	order := []string{"get", "list", "count codes", "rename", "enroll", "confirm", "make codes", "replace", "remove", "remove all", "unlock", "alert", "delete"}
	routes := r.routes(app)
	if len(routes) != len(order) {
		t.Errorf("%d routes, want %d", len(routes), len(order))
	}
	for _, name := range order {
		r.recipients.erased, r.recipients.directories = nil, nil
		inMain := r.Registered("alice")
		_, err := routes[name](r.as(shop))
		switch name {
		case "unlock", "alert": // no address of the second user is proven
			fixture.Problem(t, err, problem.Undeliverable)
		case "rename", "remove": // the app is not this user's
			r.Refused(err, problem.NotFound)
		case "confirm": // the code is not this app's
			r.Refused(err, problem.WrongCode)
		default:
			if err != nil {
				t.Errorf("%s in the other directory: %v", name, err)
			}
		}
		if got := r.Registered("alice"); !reflect.DeepEqual(got, inMain) {
			t.Errorf("%s has changed alice of the main directory to %+v", name, got)
		}
		if name == "delete" {
			if !slices.Equal(r.recipients.erased, []string{fixture.Bob}) || !slices.Equal(r.recipients.directories, []string{"shop"}) {
				t.Errorf("erased %q in %q, want %q in the other directory", r.recipients.erased, r.recipients.directories, fixture.Bob)
			}
			r.Refused(second(r.s.Get(r.as(shop), "alice")), problem.NotFound)
			return
		}
		inShop := r.RegisteredIn("shop", "alice")
		// No address of alice is proven, so there is none to unlock or to warn.
		if _, err := routes[name](r.Ctx()); !slices.Contains([]string{"confirm", "unlock", "alert"}, name) && err != nil {
			t.Errorf("%s in the main directory: %v", name, err)
		}
		if got := r.RegisteredIn("shop", "alice"); !reflect.DeepEqual(got, inShop) {
			t.Errorf("%s has changed alice of the other directory to %+v", name, got)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// The countries of a client narrow those of the operator (US and IN), and never widen
// them.
func TestPut_RefusesACountryToWhichTheClientMayNotSend(t *testing.T) {
	t.Parallel()
	const german = "+4915123456789"
	for name, tc := range map[string]struct {
		countries map[string]bool // the client's
		phone     string
		refused   bool
	}{
		"any country of the operator's":     {nil, number, false},
		"one of the client's":               {map[string]bool{"US": true}, number, false},
		"not one of the client's":           {map[string]bool{"IN": true}, number, true},
		"the client has none":               {map[string]bool{}, number, true},
		"one of the client's alone":         {map[string]bool{"DE": true}, german, true},
		"an address has no country":         {map[string]bool{"IN": true}, "", false},
		"one of the client's, of the other": {map[string]bool{"IN": true}, fixture.Bob, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			c := shop
			c.Countries = tc.countries
			_, created, err := r.s.Put(r.as(c), "alice", users.Request{Phone: tc.phone, Email: mail}, users.Conditions{})
			if !tc.refused {
				if err != nil || !created {
					t.Errorf("created: %v, %v", created, err)
				}
				return
			}
			r.Refused(err, problem.DestinationRefused)
			r.Refused(second(r.s.Get(r.as(c), "alice")), problem.NotFound)
		})
	}
}

func TestEnroll_TheIssuerIsTheBrandOfTheClient(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ brand, issuer, want string }{
		"the service's brand":   {"", "", "Acme"},
		"the client's brand":    {"Shop", "", "Shop"},
		"the request's issuer":  {"Shop", "Desk", "Desk"},
		"an issuer, no brand":   {"", "Desk", "Desk"},
		"only spaces as issuer": {"Shop", "  ", "Shop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := withAlice(t)
			c := client.Nameless
			c.Brand = tc.brand
			e, err := r.s.Enroll(r.as(c), "alice", users.EnrollRequest{Issuer: tc.issuer})
			if err != nil || r.app(e).Issuer() != tc.want {
				t.Errorf("issuer of %s, want %s: %v", e.URI, tc.want, err)
			}
		})
	}
}
