package user_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/row"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/internal/window"
)

// busy is a user with everything that outlives an erasure, and much that does not.
func busy(t *testing.T) user.User {
	u := sample
	u.TOTP, u.Recovery = totpSample(), recoverySample(t)
	u.Recovery.Sets = []time.Time{fixture.Noon}
	u.Changes = []time.Time{fixture.Noon.Add(-time.Minute), fixture.Noon}
	return u
}

// Erasing a user keeps what the limits need for a day, and nothing of the person.
func TestErase_KeepsWhatTheLimitsNeedForADay(t *testing.T) {
	r := newRig(t)
	u := busy(t)
	key := r.keep(u)
	r.erase(key)
	_, err := r.Users.Load(t.Context(), key)
	fixture.Problem(t, err, problem.NotFound)

	kept, err := r.Table.Get(t.Context(), store.Key(key))
	if err != nil {
		t.Fatal(err)
	}
	if want := fixture.Noon.Add(window.Day + window.MaxSkew); !kept.KeepUntil.Equal(want) {
		t.Errorf("kept until %v, want %v", kept.KeepUntil, want)
	}
	plain, err := r.Keys.Open(kept.Data, string(key))
	if err != nil || plain[0] != 0 {
		t.Fatalf("%x, %v", plain, err)
	}
	for _, canary := range []string{u.Name, u.Phone, u.Email, u.Locale, "B\u00fcro", string(u.TOTP.Authenticators[0].Secret[:8]), string(u.Recovery.Salt[:]), string(u.Recovery.Codes[0].MAC[:])} {
		if bytes.Contains(plain, []byte(canary)) {
			t.Errorf("%q is kept", canary)
		}
	}

	// The user is registered again: with the failures, the sets, the changes and the step.
	again, err := r.Users.Put(t.Context(), key, func(old user.User) (user.User, error) {
		return old.Update(user.User{Directory: "main", Name: u.Name, Phone: u.Phone}, fixture.Noon), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := totp.Spent{Period: 60, Step: u.TOTP.Authenticators[0].Step, At: fixture.Noon}
	if len(again.TOTP.Spent) != 1 {
		t.Fatalf("got %+v", again.TOTP)
	}
	want.Secret = again.TOTP.Spent[0].Secret
	if again.TOTP.Spent[0] != want || !reflect.DeepEqual(again.TOTP.Failures, u.TOTP.Failures) || !reflect.DeepEqual(again.Changes, u.Changes) ||
		!reflect.DeepEqual(again.Recovery, recovery.State{Failures: u.Recovery.Failures, Sets: u.Recovery.Sets}) || again.TOTP.Authenticators != nil {
		t.Errorf("got %+v", again)
	}
	r.wantKept(again)

	// A day later, nothing is left.
	if left := again.Forgotten(fixture.Noon.Add(window.Day)); !reflect.DeepEqual(left, user.User{}) {
		t.Errorf("a day later: %+v", left)
	}
}

func TestErasedRow_LayoutIsFixed(t *testing.T) {
	r := newRig(t)
	u := busy(t)
	u.TOTP.Failures, u.Recovery.Failures, u.Changes = u.TOTP.Failures[:1], u.Recovery.Failures[:1], u.Changes[:1]
	key := r.keep(u)
	r.erase(key)
	kept, err := r.Table.Get(t.Context(), store.Key(key))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := r.Keys.Open(kept.Data, string(key))
	noon := unix(fixture.Noon)
	want := "00" + "0008" + unix(fixture.Noon.Add(-time.Hour)) + "0008" + noon +
		"0019" + "8ae3f4b0b1d8a3b6" + "3c" + "0000000102030405" + noon + "0008" + noon + "0008" + unix(fixture.Noon.Add(-time.Minute))
	got := fmt.Sprintf("%x", plain)
	hash := strings.Index(want, "8ae3") // the hash is not the layout's
	if err != nil || len(got) != len(want) || got[:hash]+got[hash+16:] != want[:hash]+want[hash+16:] {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	for n := 2; n < len(plain); n++ {
		err := r.Table.Table.Update(t.Context(), store.Key(key), func([]byte) (store.Row, error) {
			return store.Row{Data: r.Keys.Seal(plain[:n], string(key)), KeepUntil: fixture.Noon}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Users.Load(t.Context(), key)
		fixture.Problem(t, err, problem.Internal)
	}
}

// A row that cannot be read can be removed.
func TestRemove_RemovesARowThatCannotBeRead(t *testing.T) {
	for what, data := range map[string][]byte{"not sealed": []byte("x"), "zeros": make([]byte, 100), "sealed for another": nil} {
		r := newRig(t)
		key := r.keep(sample)
		if data == nil {
			data = r.seal(mustEncode(t, sample), "bob")
		}
		err := r.Table.Table.Update(t.Context(), store.Key(key), func([]byte) (store.Row, error) {
			return store.Row{Data: data, KeepUntil: fixture.Noon}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Users.Load(t.Context(), key)
		if fixture.Problem(t, err, problem.Internal); !errors.Is(err, row.ErrUnreadable) {
			t.Errorf("%s: %v", what, err)
		}
		r.wantTrips(2, func(ctx context.Context) {
			if err := r.Users.Remove(ctx, key, fixture.Noon); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
		_, err = r.Users.Load(t.Context(), key)
		fixture.Problem(t, err, problem.NotFound)
	}
}
