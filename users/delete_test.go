package users_test

import (
	"slices"
	"strings"
	"testing"

	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/users"
)

// delete deletes alice, and makes sure of the kind of the error ("" for none).
func (r *rig) delete(cond users.Conditions, kind problem.Kind) *problem.Error {
	r.t.Helper()
	err := r.s.Delete(r.Ctx(), "alice", cond)
	if kind != "" {
		return fixture.Problem(r.t, err, kind)
	}
	if err != nil {
		r.t.Fatalf("delete: %v", err)
	}
	return nil
}

func TestDelete_ErasesTheAddressesFirst(t *testing.T) {
	r := withAlice(t)
	r.recipients.during = func(address string) error {
		if r.get("alice").Name != "alice" {
			t.Error("the user was erased first")
		}
		if address == mail {
			return &problem.Error{Kind: problem.StorageUnavailable}
		}
		return nil
	}
	r.delete(users.Conditions{}, problem.StorageUnavailable)
	if got := r.get("alice"); got.Phone == "" || got.Email == "" {
		t.Errorf("got %+v", got)
	}
	r.recipients.during = nil
	r.delete(users.Conditions{}, "")
	if want := []string{number, number, mail}; !slices.Equal(r.recipients.erased, want) {
		t.Errorf("erased %q, want %q", r.recipients.erased, want)
	}
	_, err := r.s.Get(t.Context(), "alice")
	fixture.Problem(t, err, problem.NotFound)
	r.delete(users.Conditions{}, problem.NotFound)
	if a, created := r.put("alice", users.Request{Phone: number}, users.Conditions{IfNoneMatch: "*"}); !created || *a.Verified.Phone {
		t.Errorf("registered again: %+v, %v", a, created)
	}
}

func TestDelete_ErasesAnAddressThatWasRegisteredMeanwhile(t *testing.T) {
	r := newRig(t)
	r.put("alice", users.Request{Phone: number}, users.Conditions{})
	r.recipients.during = func(address string) error {
		if address == number {
			r.put("alice", users.Request{Email: mail}, users.Conditions{})
		}
		return nil
	}
	r.delete(users.Conditions{}, "")
	if want := []string{number, mail}; !slices.Equal(r.recipients.erased, want) {
		t.Errorf("erased %q, want %q", r.recipients.erased, want)
	}

	// With a condition, a Delete does not erase a user who has changed meanwhile.
	a, _ := r.put("alice", users.Request{Phone: number}, users.Conditions{})
	r.delete(users.Conditions{IfMatch: a.ETag}, problem.PreconditionFailed)
	a = r.get("alice")
	r.recipients.during = func(address string) error {
		r.confirmAddress("alice", address)
		return nil
	}
	r.delete(users.Conditions{IfMatch: a.ETag}, problem.PreconditionFailed)
	if got := r.get("alice"); !*got.Verified.Email {
		t.Errorf("got %+v", got)
	}
}

func TestDelete_DoesNotGoOnForever(t *testing.T) {
	r := newRig(t)
	r.put("alice", users.Request{Email: "a@example.com"}, users.Conditions{})
	n := 0
	r.recipients.during = func(string) error {
		n++
		r.put("alice", users.Request{Email: strings.Repeat("a", n) + "@example.org"}, users.Conditions{})
		return nil
	}
	e := r.delete(users.Conditions{}, problem.StorageUnavailable)
	if e.RetryAfter <= 0 || n != 3 {
		t.Errorf("%d rounds, %+v", n, e)
	}
	r.get("alice")
}
