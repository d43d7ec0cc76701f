package users_test

import (
	"slices"
	"strings"
	"testing"

	"twofa/internal/problem"
	"twofa/internal/store"
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

// DELETE of a user removes a row that cannot be read. GET, PUT and changes answer that
// it cannot be read.
func TestDelete_RemovesARowThatCannotBeRead(t *testing.T) {
	for what, data := range map[string][]byte{"empty": {}, "one byte": {1}, "zeros": make([]byte, 64), "a text": []byte("edited by hand, longer than a seal needs to be"), "cut": nil} {
		r := withAlice(t)
		key := store.Key(r.Users.Key("main", "alice"))
		err := r.Table.Table.Update(t.Context(), key, func(old []byte) (store.Row, error) {
			if data == nil {
				data = old[:len(old)-1]
			}
			return store.Row{Data: data, KeepUntil: fixture.Noon}, nil
		})
		if err != nil {
			t.Logf("%s: the store refuses it: %v", what, err)
			continue
		}
		_, err = r.s.Get(r.Ctx(), "alice")
		fixture.Problem(t, err, problem.Internal)
		_, _, err = r.s.Put(r.Ctx(), "alice", both, users.Conditions{})
		fixture.Problem(t, err, problem.Internal)
		_, err = r.s.MakeRecoveryCodes(r.Ctx(), "alice")
		fixture.Problem(t, err, problem.Internal)
		r.delete(users.Conditions{IfMatch: `"c58cfb42f962a06c"`}, problem.PreconditionFailed)
		r.delete(users.Conditions{IfNoneMatch: "*"}, problem.PreconditionFailed)
		_, err = r.s.Get(r.Ctx(), "alice")
		fixture.Problem(t, err, problem.Internal)
		r.delete(users.Conditions{IfMatch: "*"}, "")
		_, err = r.s.Get(r.Ctx(), "alice")
		fixture.Problem(t, err, problem.NotFound)
		if len(r.recipients.erased) != 0 {
			t.Errorf("%s: erased %q", what, r.recipients.erased)
		}
		if _, created := r.put("alice", both, users.Conditions{}); !created {
			t.Errorf("%s: not registered again", what)
		}
	}
}
