package users_test

import (
	"slices"
	"strings"
	"testing"

	"twofa/internal/problem"
	"twofa/users"
)

func TestDelete_ForgetsTheAddressesFirst(t *testing.T) {
	b := newBench(t)
	b.put("alice", both, users.Conditions{})
	b.recipients.during = func(address string) error {
		if b.get("alice").Name != "alice" {
			t.Error("the user went first")
		}
		if address == mail {
			return &problem.Error{Kind: problem.StorageUnavailable}
		}
		return nil
	}
	wantKind(t, b.s.Delete(t.Context(), "alice", users.Conditions{}), problem.StorageUnavailable)
	if got := b.get("alice"); got.Phone == "" || got.Email == "" {
		t.Errorf("got %+v", got)
	}
	b.recipients.during = nil
	if err := b.s.Delete(t.Context(), "alice", users.Conditions{}); err != nil {
		t.Fatal(err)
	}
	if want := []string{number, number, mail}; !slices.Equal(b.recipients.erased, want) {
		t.Errorf("forgot %q, want %q", b.recipients.erased, want)
	}
	_, err := b.s.Get(t.Context(), "alice")
	wantKind(t, err, problem.NotFound)
	wantKind(t, b.s.Delete(t.Context(), "alice", users.Conditions{}), problem.NotFound)
	if a, created := b.put("alice", users.Request{Phone: number}, users.Conditions{IfNoneMatch: "*"}); !created || *a.Verified.Phone {
		t.Errorf("registered again: %+v, %v", a, created)
	}
}

func TestDelete_ForgetsAnAddressThatWasRegisteredMeanwhile(t *testing.T) {
	b := newBench(t)
	b.put("alice", users.Request{Phone: number}, users.Conditions{})
	b.recipients.during = func(address string) error {
		if address == number {
			b.put("alice", users.Request{Email: mail}, users.Conditions{})
		}
		return nil
	}
	if err := b.s.Delete(t.Context(), "alice", users.Conditions{}); err != nil {
		t.Fatal(err)
	}
	if want := []string{number, mail}; !slices.Equal(b.recipients.erased, want) {
		t.Errorf("forgot %q, want %q", b.recipients.erased, want)
	}

	// On a condition, a user who changed meanwhile is another one than was meant.
	a, _ := b.put("alice", users.Request{Phone: number}, users.Conditions{})
	err := b.s.Delete(t.Context(), "alice", users.Conditions{IfMatch: a.ETag})
	wantKind(t, err, problem.PreconditionFailed)
	a = b.get("alice")
	b.recipients.during = func(address string) error {
		b.confirm("alice", address)
		return nil
	}
	err = b.s.Delete(t.Context(), "alice", users.Conditions{IfMatch: a.ETag})
	wantKind(t, err, problem.PreconditionFailed)
	if got := b.get("alice"); !*got.Verified.Email {
		t.Errorf("got %+v", got)
	}
}

func TestDelete_DoesNotGoOnForever(t *testing.T) {
	b := newBench(t)
	b.put("alice", users.Request{Email: "a@example.com"}, users.Conditions{})
	n := 0
	b.recipients.during = func(string) error {
		n++
		b.put("alice", users.Request{Email: strings.Repeat("a", n) + "@example.org"}, users.Conditions{})
		return nil
	}
	e := wantKind(t, b.s.Delete(t.Context(), "alice", users.Conditions{}), problem.StorageUnavailable)
	if e.RetryAfter <= 0 || n != 3 {
		t.Errorf("%d rounds, %+v", n, e)
	}
	b.get("alice")
}
