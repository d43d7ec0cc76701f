package totp_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/totp"
	"twofa/internal/window"
)

func enroll(t *testing.T, s totp.State, a totp.Authenticator, now time.Time) totp.State {
	t.Helper()
	s, err := totp.Enroll(s, a, now)
	if err != nil {
		t.Fatalf("Enroll: %s", describe(err))
	}
	return s
}

func TestOptions_Check(t *testing.T) {
	for _, c := range []struct {
		in, want totp.Options
		faults   []string
	}{
		{totp.Options{}, totp.Options{Algorithm: "SHA1", Digits: 6, Period: 30}, nil},
		{totp.Options{Algorithm: "SHA256", Digits: 8, Period: 60}, totp.Options{Algorithm: "SHA256", Digits: 8, Period: 60}, nil},
		{totp.Options{Algorithm: "SHA512"}, totp.Options{Algorithm: "SHA512", Digits: 6, Period: 30}, nil},
		{totp.Options{Algorithm: "sha1"}, totp.Options{Algorithm: "sha1", Digits: 6, Period: 30}, []string{"algorithm"}},
		{totp.Options{Digits: 7}, totp.Options{Algorithm: "SHA1", Digits: 7, Period: 30}, []string{"digits"}},
		{totp.Options{Algorithm: "MD5", Digits: -6, Period: 1}, totp.Options{Algorithm: "MD5", Digits: -6, Period: 1}, []string{"algorithm", "digits", "period"}},
	} {
		var faults problem.Faults
		if got := c.in.Check(&faults); got != c.want || !slices.Equal(fixture.FieldNames(faults.Err()), c.faults) {
			t.Errorf("%+v: %+v, %v", c.in, got, faults.Err())
		}
	}
}

func TestParseID(t *testing.T) {
	good := "TA00ff000000000a9e"
	if got, err := totp.ParseID(good); got != good || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "TA", good[:17], good + "0", "VE" + good[2:], strings.ToUpper(good), "ta" + good[2:], "TA" + good[3:] + "g", "TA00ff000000000a9\n"} {
		if got, err := totp.ParseID(bad); got != "" || err == nil || !slices.Equal(fixture.FieldNames(err), []string{"id"}) {
			t.Errorf("%q is read as %q, %v", bad, got, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for in, want := range map[string]string{
		"Phone": "Phone", "Ame\u0301lie's 📱": "Amélie's 📱", "a": "a", "100% mine: yes": "100% mine: yes",
		strings.Repeat("😀", 64): strings.Repeat("😀", 64), strings.Repeat("e\u0301", 64): strings.Repeat("é", 64),
		" a": "a", "a\u00a0": "a", "a  b": "a b", "iPhone de\u00a0Léa": "iPhone de Léa", "a\u200bb": "ab", "\ufeffa": "a", "a\u034fb": "ab",
		"گوشی\u200cهای من": "گوشی\u200cهای من", "❤\ufe0f": "❤", "👩\u200d🍳": "👩\u200d🍳", "\u200fטלפון\u200f": "טלפון",
	} {
		var faults problem.Faults
		if got := totp.CheckName(in, &faults); got != want || faults.Err() != nil {
			t.Errorf("%q: %q, %v", in, got, faults.Err())
		}
	}
	for _, bad := range []string{
		"", " ", "a\nb", "a\x00", "\xff", "a\u202eb", "a\u2066b", "\u200b", "\u00a0", "\ufeff", "\u034f", "\u3164", strings.Repeat("x", 65),
	} {
		var faults problem.Faults
		totp.CheckName(bad, &faults)
		if !slices.Equal(fixture.FieldNames(faults.Err()), []string{"name"}) {
			t.Errorf("%q: %v", bad, faults.Err())
		}
	}
}

func TestEnroll_SetsTheOtherFields(t *testing.T) {
	a := phone
	a.Step, a.Failed, a.ConfirmedAt, a.UsedAt = 7, 7, fixture.Noon, fixture.Noon
	s := enroll(t, totp.State{}, a, fixture.Noon.Add(ms+1))
	want := phone
	want.Options = totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}
	want.CreatedAt = fixture.Noon.Add(ms)
	if !reflect.DeepEqual(s, totp.State{Authenticators: []totp.Authenticator{want}}) {
		t.Errorf("%+v", s)
	}
	a.Secret[0]++ // the caller may overwrite its copy
	if s.Authenticators[0].Secret[0] == a.Secret[0] {
		t.Error("the secret is shared")
	}
	a.Secret[0]--
}

// Import keeps the last step, which another system may know.
func TestImport_IsConfirmedAtOnce(t *testing.T) {
	a := phone
	a.Step, a.Failed, a.UsedAt, a.Options = stepOf(phone, fixture.Noon), 7, fixture.Noon, totp.Options{Algorithm: totp.SHA1, Digits: 6, Period: 30}
	pending := enroll(t, totp.State{}, tablet, fixture.Noon)
	s, err := totp.Import(pending, a, fixture.Noon)
	if err != nil {
		t.Fatal(describe(err))
	}
	a.Failed, a.CreatedAt, a.ConfirmedAt, a.UsedAt = 0, fixture.Noon, fixture.Noon, time.Time{}
	if want := append(slices.Clone(pending.Authenticators), a); !reflect.DeepEqual(s.Authenticators, want) {
		t.Errorf("%+v", s)
	}
	s = check(t, s, codeFor(phone, fixture.Noon), fixture.Noon, problem.WrongCode)
	check(t, s, codeFor(phone, fixture.Noon.Add(step)), fixture.Noon, "")

	a.Step = -1
	if again, err := totp.Import(pending, a, fixture.Noon); kind(err) != problem.Internal || !reflect.DeepEqual(again, pending) {
		t.Errorf("a negative step: %s", describe(err))
	}
}

func TestEnroll_ReplacesAPendingOne(t *testing.T) {
	s := enroll(t, confirmed(t, fixture.Noon, phone), tablet, fixture.Noon)
	s = enroll(t, s, totp.Authenticator{ID: id(3), Name: "tablet", Secret: secret(2)}, fixture.Noon)
	if len(s.Authenticators) != 2 || s.Authenticators[0].ID != phone.ID || s.Authenticators[1].ID != id(3) {
		t.Errorf("%+v", s.Authenticators)
	}
}

func TestEnroll_Refuses(t *testing.T) {
	five := func() totp.State {
		var list []totp.Authenticator
		for i := range byte(totp.MaxAuthenticators) {
			list = append(list, totp.Authenticator{ID: id(i + 10), Name: fmt.Sprint("Device ", i), Secret: secret(i + 10)})
		}
		return confirmed(t, fixture.Noon, list...)
	}()
	with := func(change func(a *totp.Authenticator)) totp.Authenticator {
		a := tablet
		change(&a)
		return a
	}
	for name, c := range map[string]struct {
		s      totp.State
		a      totp.Authenticator
		kind   problem.Kind
		fields []string
	}{
		"a sixth":              {five, phone, problem.InvalidRequest, nil},
		"the name":             {totp.State{}, with(func(a *totp.Authenticator) { a.Name = "PHONE" }), problem.InvalidRequest, []string{"name"}},
		"the secret":           {totp.State{}, with(func(a *totp.Authenticator) { a.Secret = secret(1) }), problem.InvalidRequest, []string{"secret"}},
		"the secret with zero": {totp.State{}, with(func(a *totp.Authenticator) { a.Secret = append(secret(1), 0, 0) }), problem.InvalidRequest, []string{"secret"}},
		"bad options":          {totp.State{}, with(func(a *totp.Authenticator) { a.Digits = 7; a.Period = 10; a.Name = "" }), problem.InvalidRequest, []string{"name", "digits", "period"}},
		"no id":                {totp.State{}, with(func(a *totp.Authenticator) { a.ID = "" }), problem.Internal, nil},
		"a taken id":           {totp.State{}, with(func(a *totp.Authenticator) { a.ID = phone.ID }), problem.Internal, nil},
	} {
		t.Run(name, func(t *testing.T) {
			old := c.s
			if old.Authenticators == nil {
				old = enroll(t, confirmed(t, fixture.Noon, phone), totp.Authenticator{ID: id(9), Name: "Earlier", Secret: secret(9)}, fixture.Noon)
			}
			s, err := totp.Enroll(old, c.a, fixture.Noon)
			if kind(err) != c.kind || !slices.Equal(fixture.FieldNames(err), c.fields) {
				t.Errorf("%s", describe(err))
			}
			if !reflect.DeepEqual(s, old) {
				t.Errorf("the state has changed: %+v", s)
			}
		})
	}
}

// HMAC pads keys with zeros, so these two secrets make the same codes. That is why
// Enroll refuses the second one.
func TestEnroll_ZerosAtTheEndMakeNoOtherSecret(t *testing.T) {
	longer := phone
	longer.Secret = append(secret(1), 0)
	if code(phone, 1) != code(longer, 1) {
		t.Error("the codes differ")
	}
}

func TestEnroll_FourConfirmedAndAPendingOne(t *testing.T) {
	var s totp.State
	for i := range byte(totp.MaxAuthenticators) {
		a := totp.Authenticator{ID: id(i), Name: fmt.Sprint("Device ", i), Secret: secret(i)}
		s = enroll(t, s, totp.Authenticator{ID: id(99), Name: "Abandoned", Secret: secret(99)}, fixture.Noon)
		s = enroll(t, s, a, fixture.Noon)
		var err error
		if s, _, err = totp.Confirm(s, codeFor(a, fixture.Noon), fixture.Noon); err != nil {
			t.Fatalf("%d: %s", i, describe(err))
		}
	}
	if _, err := totp.Enroll(s, phone, fixture.Noon); kind(err) != problem.InvalidRequest {
		t.Errorf("a sixth: %s", describe(err))
	}
}

func TestConfirm_UntilThePendingTimeIsOver(t *testing.T) {
	pending := enroll(t, totp.State{}, phone, fixture.Noon)
	last := fixture.Noon.Add(totp.PendingFor - 1)
	s, a, err := totp.Confirm(pending, codeFor(phone, last), last)
	if err != nil || a.Pending() || a.Step != stepOf(phone, last) || !a.ConfirmedAt.Equal(last.Truncate(ms)) || !a.UsedAt.IsZero() {
		t.Errorf("%+v, %s", a, describe(err))
	}
	if _, _, err := totp.Confirm(s, codeFor(phone, last.Add(step)), last.Add(step)); kind(err) != problem.NotFound {
		t.Errorf("again: %s", describe(err))
	}
	end := fixture.Noon.Add(totp.PendingFor)
	s, _, err = totp.Confirm(pending, codeFor(phone, end), end)
	if kind(err) != problem.NotFound || len(s.Authenticators) != 0 {
		t.Errorf("%+v, %s", s, describe(err))
	}
	if _, _, err := totp.Confirm(s, codeFor(phone, fixture.Noon), fixture.Noon); kind(err) != problem.NotFound {
		t.Errorf("a clock that goes back revives it: %s", describe(err))
	}
}

func TestConfirm_TenWrongCodesRemoveThePendingOne(t *testing.T) {
	s := enroll(t, confirmed(t, fixture.Noon, phone), tablet, fixture.Noon)
	for i := range totp.MaxConfirmFailures {
		var err error
		s, _, err = totp.Confirm(s, "000000", fixture.Noon)
		if e, ok := err.(*problem.Error); !ok || e.Kind != problem.WrongCode || *e.ChecksLeft != totp.MaxConfirmFailures-1-i {
			t.Fatalf("%d: %s", i, describe(err))
		}
	}
	if len(s.Authenticators) != 1 || len(s.Failures) != 0 {
		t.Errorf("%+v", s)
	}
	if _, _, err := totp.Confirm(s, "000000", fixture.Noon); kind(err) != problem.NotFound {
		t.Error(describe(err))
	}
}

func TestConfirm_WithAClockThatIsLate(t *testing.T) {
	pending := enroll(t, totp.State{}, phone, fixture.Noon)
	for behind, want := range map[time.Duration]problem.Kind{window.MaxSkew: "", window.MaxSkew + ms: problem.NotFound} {
		now := fixture.Noon.Add(-behind)
		if _, _, err := totp.Confirm(pending, codeFor(phone, now), now); kind(err) != want {
			t.Errorf("%v late: %s", behind, describe(err))
		}
	}
}

func TestCheck_TenFailuresADayExactly(t *testing.T) {
	s := confirmed(t, fixture.Noon, phone, tablet)
	now := fixture.Noon
	for i := range totp.MaxFailuresPerDay {
		var err error
		s, _, err = totp.Check(s, "000000", now)
		if e, ok := err.(*problem.Error); !ok || e.Kind != problem.WrongCode || *e.ChecksLeft != totp.MaxFailuresPerDay-1-i {
			t.Fatalf("%d: %s", i, describe(err))
		}
		now = now.Add(time.Hour)
		if i < totp.MaxFailuresPerDay-1 { // a right code resets nothing
			s = check(t, s, codeFor(phone, now), now, "")
		}
	}
	_, _, err := totp.Check(s, codeFor(phone, now), now)
	if e, ok := err.(*problem.Error); !ok || e.Kind != problem.TooManyChecks || *e.ChecksLeft != 0 || e.RetryAfter != 14*time.Hour {
		t.Fatalf("%+v", err)
	}
	// Neither removing nor enrolling gives more tries.
	s = totp.RemoveAll(s, now)
	if s, err = totp.Import(s, phone, now); err != nil {
		t.Fatal(describe(err))
	}
	first := fixture.Noon.Add(window.Day)
	s = check(t, s, codeFor(phone, first), first.Add(-1), problem.TooManyChecks)
	s = check(t, s, "000000", first, problem.WrongCode)
	check(t, s, codeFor(phone, first), first, problem.TooManyChecks)
	check(t, s, codeFor(phone, first.Add(time.Hour)), first.Add(time.Hour), "")
}

// A wrong clock locks nobody out for longer than Day and MaxSkew.
func TestSettle_FailuresFromAWrongClock(t *testing.T) {
	s := confirmed(t, fixture.Noon, phone)
	for range totp.MaxFailuresPerDay {
		s = check(t, s, "000000", fixture.Noon.Add(400*window.Day), problem.WrongCode)
	}
	s, _, err := totp.Check(s, codeFor(phone, fixture.Noon), fixture.Noon)
	e, ok := err.(*problem.Error)
	if !ok || e.Kind != problem.TooManyChecks || e.RetryAfter != window.Day+window.MaxSkew {
		t.Fatalf("%+v", err)
	}
	end := fixture.Noon.Add(e.RetryAfter)
	check(t, s, codeFor(phone, end), end.Add(-1), problem.TooManyChecks)
	check(t, s, codeFor(phone, end), end, "")
}

func TestRename(t *testing.T) {
	s := enroll(t, confirmed(t, fixture.Noon, phone), tablet, fixture.Noon)
	for _, c := range []struct {
		id, name, want string
		kind           problem.Kind
	}{
		{phone.ID, "New\nphone", "", problem.InvalidRequest},
		{phone.ID, "New phone", "New phone", ""},
		{phone.ID, "phone", "phone", ""}, // its own name, in another case
		{phone.ID, "TABLET", "", problem.InvalidRequest},
		{tablet.ID, "Phone", "", problem.InvalidRequest},
		{tablet.ID, "Pad", "Pad", ""},
		{id(3), "Other", "", problem.NotFound},
		{"", "Other", "", problem.NotFound},
	} {
		next, a, err := totp.Rename(s, c.id, c.name, fixture.Noon)
		if kind(err) != c.kind || a.Name != c.want {
			t.Errorf("%q: %q, %s", c.name, a.Name, describe(err))
		}
		if changed := !reflect.DeepEqual(next, s); changed != (err == nil) {
			t.Errorf("%q: changed %v", c.name, changed)
		}
	}
	if _, _, err := totp.Rename(s, tablet.ID, "Late", fixture.Noon.Add(totp.PendingFor)); kind(err) != problem.NotFound {
		t.Errorf("an expired one: %s", describe(err))
	}
}

func TestRemove(t *testing.T) {
	s := check(t, confirmed(t, fixture.Noon, phone, tablet), "000000", fixture.Noon, problem.WrongCode)
	next, a, err := totp.Remove(s, phone.ID, fixture.Noon)
	if err != nil || a.ID != phone.ID || len(next.Authenticators) != 1 || next.Authenticators[0].ID != tablet.ID {
		t.Fatalf("%+v, %s", next, describe(err))
	}
	check(t, next, codeFor(phone, fixture.Noon), fixture.Noon, problem.WrongCode)
	check(t, next, codeFor(tablet, fixture.Noon), fixture.Noon, "")
	if again, _, err := totp.Remove(next, phone.ID, fixture.Noon); kind(err) != problem.NotFound || !reflect.DeepEqual(again, next) {
		t.Error(describe(err))
	}
	if all := totp.RemoveAll(s, fixture.Noon); len(all.Authenticators) != 0 || len(all.Failures) != 1 {
		t.Errorf("%+v", all)
	}
}

// No error has a secret, a code or a name.
func TestErrors_QuoteNothing(t *testing.T) {
	a := totp.Authenticator{ID: id(1), Name: "Canary", Secret: []byte("canary canary canary")}
	s := confirmed(t, fixture.Noon, a)
	for _, do := range []func() error{
		func() error { _, err := totp.Enroll(s, a, fixture.Noon); return err },
		func() error { _, _, err := totp.Check(s, "canary", fixture.Noon); return err },
		func() error { _, _, err := totp.Rename(s, a.ID, "canary\n", fixture.Noon); return err },
		func() error { _, _, err := totp.Remove(s, "canary", fixture.Noon); return err },
		func() error { _, err := totp.ParseSecret("canary 1"); return err },
		func() error { _, _, _, err := totp.ParseURI("otpauth://totp/canary?secret=canary%zz"); return err },
		func() error { _, _, _, err := totp.ParseURI("otpauth://totp/canary%zz?secret=canary1"); return err },
		func() error {
			_, err := totp.ParseMigration("otpauth-migration://offline?data=canary!")
			return err
		},
	} {
		err := do()
		if text := describe(err); err == nil || strings.Contains(strings.ToLower(text), "canary") {
			t.Errorf("%s", text)
		}
	}
}

func TestAuthenticator_IsPrintedWithoutItsSecret(t *testing.T) {
	a := totp.Authenticator{ID: id(1), Name: "Canary", Secret: []byte("canary canary canary")}
	s := confirmed(t, fixture.Noon, a)
	migrated := totp.Migrated{Authenticator: s.Authenticators[0]}
	var b bytes.Buffer
	for _, v := range []any{a, &a, s, &s, []any{s}, migrated} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&b, verb+"\n", v)
		}
		for _, h := range []slog.Handler{slog.NewJSONHandler(&b, nil), slog.NewTextHandler(&b, nil)} {
			slog.New(h).Info("m", "v", v)
		}
	}
	text := b.String()
	for _, form := range []string{"canary", fmt.Sprintf("%x", a.Secret), fmt.Sprint(a.Secret), base64.StdEncoding.EncodeToString(a.Secret), "99 97 110"} {
		if strings.Contains(text, form) {
			t.Errorf("%q is in\n%s", form, text)
		}
	}
	if !strings.Contains(text, "totp.Authenticator("+a.ID+")") {
		t.Error("the id is not shown")
	}
}
