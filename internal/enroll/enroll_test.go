package enroll_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp/totp"
	"pgregory.net/rapid"

	"twofa/internal/enroll"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
	"twofa/internal/user"
)

var now = fixture.Noon

// alice is a user with some confirmed apps.
func alice(t testing.TB, apps ...string) user.User {
	t.Helper()
	u := user.User{Name: "alice", Directory: "main", CreatedAt: now.Add(-time.Hour), Email: fixture.AliceMail, EmailVerified: true}
	for i, name := range apps {
		var err error
		a := totp.Authenticator{ID: id(100 + i), Name: name, Secret: secret(100 + i), Options: totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}}
		if u.TOTP, err = totp.Import(u.TOTP, a, now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

func id(n int) string { return totp.NewID([8]byte{byte(n >> 8), byte(n)}) }

func secret(n int) []byte {
	return []byte(strings.Repeat(string(rune('a'+n%26)), 16) + fmt.Sprintf("%04d", n))
}

func begin(u user.User) enroll.Draft { return enroll.Begin("ualice", u, "Acme", 0) }

// code is what the pending app shows.
func code(t interface{ Fatal(...any) }, d enroll.Draft, at time.Time) string {
	text, err := pquerna.GenerateCode(strings.ReplaceAll(d.Pending.Key(), " ", ""), at)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func added(t testing.TB, d enroll.Draft, n int, name string) enroll.Draft {
	t.Helper()
	d, err := enroll.Add(d, id(n), secret(n), now)
	if err == nil {
		d, err = enroll.Confirm(d, code(t, d, now), name, enroll.Form{byte(n)}, now)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// kept is the draft with recovery codes that the person keeps.
func kept(t testing.TB, d enroll.Draft, fresh recovery.State) enroll.Draft {
	t.Helper()
	d, err := enroll.ShowCodes(d, fresh, enroll.Form{1})
	if err == nil {
		d, err = enroll.KeepCodes(d, enroll.Form{1})
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func names(u user.User) (list []string) {
	for _, a := range u.TOTP.Authenticators {
		list = append(list, a.Name)
	}
	return list
}

// What Apply does, and that it does it once: a fetch whose answer was lost is repeated.
func TestApply(t *testing.T) {
	t.Parallel()
	u := alice(t, "Old", "Tablet")
	d := added(t, begin(u), 1, "New")
	d, err := enroll.Remove(d, id(100))
	if err != nil {
		t.Fatal(err)
	}
	fresh := recovery.State{Salt: [16]byte{1}, Codes: []recovery.Code{{MAC: [32]byte{1}}}}
	d = kept(t, d, fresh)
	encoded, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := enroll.Decode(encoded)
	if twice, failed := again.Encode(); err != nil || failed != nil || string(twice) != string(encoded) {
		t.Fatalf("read again: %s, %v\nwant %s", twice, err, encoded)
	}
	next, c, err := again.Apply(u, now.Add(time.Minute))
	if err != nil || c != (enroll.Changes{Added: true, Removed: true, Codes: true}) || !slices.Equal(names(next), []string{"Tablet", "New"}) || next.Recovery.Salt != fresh.Salt {
		t.Fatalf("%q, %+v, %v", names(next), c, err)
	}
	if _, err := next.Encode(); err != nil {
		t.Error(err)
	}
	twice, c, err := d.Apply(next, now.Add(2*time.Minute))
	if err != nil || c != (enroll.Changes{}) || !reflect.DeepEqual(twice, next) {
		t.Errorf("again: %+v, %v", c, err)
	}
	want := enroll.Applied{User: "alice", Added: []enroll.Named{{ID: id(1), Name: "New"}}, Removed: []enroll.Named{{ID: id(100), Name: "Old"}}, NewRecoveryCodes: true}
	if got := d.Applied(next); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	// The code of the enrolment is not accepted, the next one is.
	if _, _, err := totp.Check(next.TOTP, code(t, mustAdd(t, begin(u), 1), now), now); !problem.Is(err, problem.WrongCode) {
		t.Errorf("the code of the enrolment: %v", err)
	}
	// An app that was removed after the enrolment took effect does not come back.
	gone, _, err := totp.Remove(next.TOTP, id(1), now.Add(3*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	next.TOTP = gone
	if last, c, err := d.Apply(next, now.Add(4*time.Minute)); err != nil || c.Added || !slices.Equal(names(last), []string{"Tablet"}) {
		t.Errorf("after a removal: %q, %+v, %v", names(last), c, err)
	}
}

func mustAdd(t testing.TB, d enroll.Draft, n int) enroll.Draft {
	t.Helper()
	d, err := enroll.Add(d, id(n), secret(n), now)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A draft meets a user who was changed meanwhile.
func TestApply_ToAUserWhoWasChanged(t *testing.T) {
	t.Parallel()
	u := alice(t, "Old")
	d := added(t, begin(u), 1, "Phone")
	d, _ = enroll.Remove(d, id(100))
	t.Run("another app has the name", func(t *testing.T) {
		v := alice(t, "Old", "phone", "Phone 2")
		next, _, err := d.Apply(v, now)
		if err != nil || !slices.Equal(names(next), []string{"phone", "Phone 2", "Phone 3"}) || d.Applied(next).Added[0].Name != "Phone 3" {
			t.Errorf("%q, %v", names(next), err)
		}
	})
	t.Run("the app is gone", func(t *testing.T) {
		next, c, err := d.Apply(alice(t), now)
		if err != nil || c.Removed || !slices.Equal(names(next), []string{"Phone"}) {
			t.Errorf("%q, %+v, %v", names(next), c, err)
		}
	})
	t.Run("no place is left", func(t *testing.T) {
		v := alice(t, "Old", "1", "2", "3", "4")
		full := enroll.Draft{User: "ualice", Name: "alice", Since: u.CreatedAt, Added: d.Added}
		next, _, err := full.Apply(v, now)
		if !problem.Is(err, problem.InvalidRequest) || !reflect.DeepEqual(next, v) {
			t.Errorf("%q, %v", names(next), err)
		}
	})
	t.Run("the user was registered anew", func(t *testing.T) {
		v := alice(t, "Old")
		v.CreatedAt = now
		next, _, err := d.Apply(v, now)
		if !problem.Is(err, problem.NotFound) || !reflect.DeepEqual(next, v) {
			t.Errorf("%q, %v", names(next), err)
		}
	})
	t.Run("an app that waits for its code", func(t *testing.T) {
		v := alice(t, "1", "2", "3", "4")
		v.CreatedAt = u.CreatedAt
		var err error
		a := totp.Authenticator{ID: id(50), Name: "Waiting", Secret: secret(50), Options: totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}}
		if v.TOTP, err = totp.Enroll(v.TOTP, a, now); err != nil {
			t.Fatal(err)
		}
		next, _, err := enroll.Draft{User: "ualice", Name: "alice", Since: u.CreatedAt, Added: d.Added}.Apply(v, now)
		if err != nil || !slices.Equal(names(next), []string{"1", "2", "3", "4", "Phone"}) {
			t.Errorf("%q, %v", names(next), err)
		}
	})
	t.Run("newer recovery codes", func(t *testing.T) {
		v := alice(t, "Old")
		v.Recovery = recovery.State{Salt: [16]byte{2}, MadeAt: now, Codes: []recovery.Code{{MAC: [32]byte{2}}}}
		older := recovery.State{Salt: [16]byte{1}, MadeAt: now.Add(-time.Second), Codes: []recovery.Code{{MAC: [32]byte{1}}}}
		next, c, err := kept(t, d, older).Apply(v, now)
		if err != nil || c.Codes || next.Recovery.Salt != v.Recovery.Salt || kept(t, d, older).Applied(next).NewRecoveryCodes {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// A name that is the longest possible stays a name that can be kept.
func TestApply_ALongNameThatIsTaken(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", totp.MaxName)
	d := added(t, begin(alice(t)), 1, long)
	next, _, err := d.Apply(alice(t, long), now)
	if err != nil || len(next.TOTP.Authenticators) != 2 {
		t.Fatalf("%q, %v", names(next), err)
	}
	if _, err := next.Encode(); err != nil {
		t.Error(err)
	}
}

func TestDecode_Refuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "null", "{}", "[]", `{"user":""}`, `{"user":1}`, "x"} {
		if d, err := enroll.Decode([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, d)
		}
	}
}

// Over random steps: the draft never holds more apps than a user may have, no two names are
// equal, and what Apply makes can be kept, has exactly the apps that the draft shows, and is not
// changed by a second Apply.
func TestDraft_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := user.User{Name: "alice", Directory: "main", CreatedAt: now.Add(-time.Hour)}
		for i := range rapid.IntRange(0, 5).Draw(t, "apps") {
			a := totp.Authenticator{ID: id(100 + i), Name: fmt.Sprint("App ", i), Secret: secret(100 + i), Options: totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}}
			u.TOTP, _ = totp.Import(u.TOTP, a, now.Add(-time.Hour))
		}
		d, at := begin(u), now
		for n := range rapid.IntRange(0, 30).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "seconds")) * time.Second)
			some := func() string {
				list := []string{id(7)}
				for _, a := range slices.Concat(d.Apps, d.Added) {
					list = append(list, a.ID)
				}
				return rapid.SampledFrom(list).Draw(t, "app")
			}
			before := d
			var err error
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				d, err = enroll.Add(d, id(n), secret(n), at)
			case 1:
				text := "000000"
				if d.Pending != nil && rapid.Bool().Draw(t, "right") {
					text = code(t, d, at)
				}
				d, err = enroll.Confirm(d, text, rapid.SampledFrom([]string{"", "App 1", "app 2", "Phone"}).Draw(t, "name"), enroll.Form{byte(n + 1)}, at)
			case 2:
				d, err = enroll.Remove(d, some())
			case 3:
				d, err = enroll.Keep(d, some())
			}
			if err != nil && (len(d.Added) != len(before.Added) || !slices.Equal(d.Removed, before.Removed)) {
				t.Fatalf("an error changes the apps: %v", err)
			}
		}
		next, c, err := d.Apply(u, at)
		if err != nil {
			t.Fatalf("%v: %+v", err, d)
		}
		if _, err := next.Encode(); err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, a := range d.Apps {
			if !d.Goes(a.ID) {
				want++
			}
		}
		if want += len(d.Added); len(next.TOTP.Authenticators) != want || want > totp.MaxAuthenticators || c.Added != (len(d.Added) > 0) || c.Removed != (len(d.Removed) > 0) || d.Changed() != (c.Added || c.Removed) {
			t.Fatalf("%d apps, want %d, %+v", len(next.TOTP.Authenticators), want, c)
		}
		for i, a := range next.TOTP.Authenticators {
			for _, b := range next.TOTP.Authenticators[:i] {
				if strings.EqualFold(a.Name, b.Name) {
					t.Fatalf("two apps are named %q", a.Name)
				}
			}
		}
		if twice, c, err := d.Apply(next, at); err != nil || c != (enroll.Changes{}) || !slices.Equal(names(twice), names(next)) {
			t.Fatalf("a second time: %+v, %v", c, err)
		}
	})
}

// An error never quotes a secret, and a draft has no form that prints one.
func TestConfirm_Errors(t *testing.T) {
	t.Parallel()
	d := mustAdd(t, begin(alice(t, "Phone")), 1)
	for name, tc := range map[string]struct {
		code, name string
		at         time.Time
		want       error
	}{
		"no code":          {"12", "", now, otp.ErrForm},
		"a name in use":    {code(t, d, now), "PHONE", now, enroll.ErrName},
		"a name with bidi": {code(t, d, now), "a\u202eb", now, enroll.ErrName},
		"too late":         {code(t, d, now), "", now.Add(totp.PendingFor), enroll.ErrGone},
	} {
		next, err := enroll.Confirm(d, tc.code, tc.name, enroll.Form{1}, tc.at)
		if !errors.Is(err, tc.want) || len(next.Added) != 0 || strings.Contains(err.Error(), d.Pending.Key()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.HasPrefix(d.URI(), "otpauth://totp/Acme:alice?") {
		t.Errorf("the URI is %s", d.URI())
	}
}

// A form that is sent twice has one effect, and codes count when the person keeps them.
func TestForms(t *testing.T) {
	t.Parallel()
	d := mustAdd(t, begin(alice(t)), 1)
	text, by := code(t, d, now), enroll.Form{7}
	d, err := enroll.Confirm(d, text, "", by, now)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := enroll.Confirm(d, text, "", by, now); err != nil || len(again.Added) != 1 {
		t.Errorf("again: %+v, %v", again.Added, err)
	}
	first, second := recovery.State{Salt: [16]byte{1}}, recovery.State{Salt: [16]byte{2}}
	d, err = enroll.ShowCodes(d, first, enroll.Form{1})
	if err != nil || d.Codes != nil {
		t.Fatalf("%+v, %v", d.Codes, err)
	}
	if _, err := enroll.ShowCodes(d, second, enroll.Form{1}); !errors.Is(err, enroll.ErrShown) {
		t.Errorf("the same form shows again: %v", err)
	}
	d, _ = enroll.ShowCodes(d, second, enroll.Form{2})
	if _, err := enroll.KeepCodes(d, enroll.Form{1}); !errors.Is(err, enroll.ErrShown) {
		t.Errorf("a set that was replaced is kept: %v", err)
	}
	for range 2 {
		if d, err = enroll.KeepCodes(d, enroll.Form{2}); err != nil || d.Codes.Salt != second.Salt {
			t.Fatalf("%+v, %v", d.Codes, err)
		}
	}
	if _, err := enroll.KeepCodes(begin(alice(t)), enroll.Form{}); !errors.Is(err, enroll.ErrShown) {
		t.Errorf("nothing was shown: %v", err)
	}
}
