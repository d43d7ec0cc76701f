package users_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/store"
	"twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/users"
)

func (b *bench) ctx() context.Context { return context.Background() }

// confirmed enrolls an app that has to be confirmed at once.
func (b *bench) confirmed(t *testing.T, req users.EnrollRequest) (users.Enrollment, users.Authenticator) {
	t.Helper()
	e := b.enroll(req)
	a, err := b.s.Confirm(b.ctx(), "alice", users.ConfirmRequest{Code: shows(t, e.URI, b.now)})
	if err != nil {
		t.Fatalf("confirm: %v", err)
	}
	return e, a
}

func (b *bench) list() []users.Authenticator {
	b.t.Helper()
	l, err := b.s.ListAuthenticators(b.ctx(), "alice")
	if err != nil {
		b.t.Fatalf("list: %v", err)
	}
	return l.Authenticators
}

func (b *bench) confirmFails(code string, kind problem.Kind) *problem.Error {
	b.t.Helper()
	a, err := b.s.Confirm(b.ctx(), "alice", users.ConfirmRequest{Code: code})
	if a != (users.Authenticator{}) {
		b.t.Errorf("an authenticator beside an error: %+v", a)
	}
	return wantKind(b.t, err, kind)
}

// wrongCode is another code of six digits.
func wrongCode(code string) string { return code[:5] + string('0'+(code[5]-'0'+5)%10) }

func TestConfirm_ProvesThePendingAppByItsFirstCode(t *testing.T) {
	b, _ := factorBench(t)
	e := b.enroll(users.EnrollRequest{})
	b.now = noon.Add(time.Minute + 1500*time.Millisecond)
	code := shows(t, e.URI, b.now)
	if left := b.confirmFails(wrongCode(code), problem.WrongCode).ChecksLeft; left == nil || *left != 9 {
		t.Errorf("%v checks left, want 9", left)
	}
	got, err := b.s.Confirm(b.ctx(), "alice", users.ConfirmRequest{Code: " " + code[:3] + "-" + code[3:]})
	want := e.Authenticator
	want.Status, want.ConfirmedAt = "confirmed", b.now.Truncate(time.Second)
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if list := b.list(); !slices.Equal(list, []users.Authenticator{want}) {
		t.Errorf("listed %+v", list)
	}
	b.confirmFails(code, problem.NotFound) // nothing is pending any more
	for _, none := range []string{"", " ", "12345!", strings.Repeat("1", 1000)} {
		if got := fields(b.confirmFails(none, problem.InvalidRequest)); !slices.Equal(got, []string{"code"}) {
			t.Errorf("%q: faults of %q", none, got)
		}
	}
}

func TestConfirm_TheTenthWrongCodeEndsThePendingApp(t *testing.T) {
	b, _ := factorBench(t)
	e := b.enroll(users.EnrollRequest{})
	code := shows(t, e.URI, b.now)
	for left := 9; left >= 0; left-- {
		if got := b.confirmFails(wrongCode(code), problem.WrongCode).ChecksLeft; got == nil || *got != left {
			t.Fatalf("%v checks left, want %d", got, left)
		}
	}
	b.confirmFails(code, problem.NotFound)
	if len(b.list()) != 0 {
		t.Error("it is listed")
	}
}

func TestEnroll_PendingFor15Minutes(t *testing.T) {
	b, _ := factorBench(t)
	e := b.enroll(users.EnrollRequest{})
	end := e.ExpiresAt
	for _, step := range []struct {
		at     time.Time
		listed int
	}{{end.Add(-time.Nanosecond), 1}, {end, 0}} {
		if b.now = step.at; len(b.list()) != step.listed {
			t.Errorf("at %v %d are listed", step.at, len(b.list()))
		}
	}
	b.confirmFails(shows(t, e.URI, b.now), problem.NotFound)
	b.now = end.Add(-time.Minute) // a clock that steps back revives nothing
	b.confirmFails(shows(t, e.URI, b.now), problem.NotFound)

	b.now = noon
	e = b.enroll(users.EnrollRequest{})
	b.now = e.ExpiresAt.Add(-time.Nanosecond)
	if _, err := b.s.Confirm(b.ctx(), "alice", users.ConfirmRequest{Code: shows(t, e.URI, b.now)}); err != nil {
		t.Errorf("just in time: %v", err)
	}
}

func TestEnroll_TakesThePlaceOfThePendingOne(t *testing.T) {
	b, _ := factorBench(t)
	_, kept := b.confirmed(t, users.EnrollRequest{Name: "Tablet"})
	first, second := b.enroll(users.EnrollRequest{}), b.enroll(users.EnrollRequest{})
	if list := b.list(); len(list) != 2 || list[0] != kept || list[1] != second.Authenticator || second.Name != first.Name || second.ID == first.ID {
		t.Errorf("listed %+v", list)
	}
	b.confirmFails(shows(t, first.URI, b.now), problem.WrongCode)
	if _, err := b.s.Confirm(b.ctx(), "alice", users.ConfirmRequest{Code: shows(t, second.URI, b.now)}); err != nil {
		t.Error(err)
	}
	// What is refused leaves the pending one as it is.
	third := b.enroll(users.EnrollRequest{})
	b.refusedEnrollment(users.EnrollRequest{Name: "tABLET"}, problem.InvalidRequest)
	if list := b.list(); len(list) != 3 || list[2] != third.Authenticator {
		t.Errorf("listed %+v", list)
	}
}

func TestEnroll_FiveAtMost(t *testing.T) {
	b, _ := factorBench(t)
	var all []users.Authenticator
	for range 5 {
		_, a := b.confirmed(t, users.EnrollRequest{})
		all = append(all, a)
	}
	for i, want := range []string{"Authenticator", "Authenticator 2", "Authenticator 3", "Authenticator 4", "Authenticator 5"} {
		if all[i].Name != want {
			t.Errorf("number %d is named %q", i+1, all[i].Name)
		}
	}
	if e := b.refusedEnrollment(users.EnrollRequest{}, problem.InvalidRequest); !strings.Contains(e.Detail, "at most 5") {
		t.Errorf("says %q", e.Detail)
	}
	if got := b.get("alice").Authenticators; got != 5 {
		t.Errorf("the user has %d", got)
	}
	if err := b.s.RemoveAuthenticator(b.ctx(), "alice", all[1].ID); err != nil {
		t.Fatal(err)
	}
	if e := b.enroll(users.EnrollRequest{}); e.Name != "Authenticator 2" || len(b.list()) != 5 || b.get("alice").Authenticators != 4 {
		t.Errorf("then %q, %d in all, %d confirmed", e.Name, len(b.list()), b.get("alice").Authenticators)
	}
	b.refusedEnrollment(users.EnrollRequest{URI: "otpauth://totp/a?secret=" + rfcBase32, Name: "Authenticator"}, problem.InvalidRequest)
}

// Each authenticator remembers its own last step, so with one secret in two of
// them one code would work twice.
func TestEnroll_OneSecretOnce(t *testing.T) {
	b, _ := factorBench(t)
	e, _ := b.confirmed(t, users.EnrollRequest{})
	refused := b.refusedEnrollment(users.EnrollRequest{URI: e.URI}, problem.InvalidRequest)
	if got := fields(refused); !slices.Equal(got, []string{"secret"}) || strings.Contains(fmt.Sprint(refused.Fields), e.Secret) {
		t.Errorf("faults %+v", refused.Fields)
	}
}

func TestRenameAndRemoveAuthenticator(t *testing.T) {
	b, _ := factorBench(t)
	_, phone := b.confirmed(t, users.EnrollRequest{Name: "Phone"})
	_, tablet := b.confirmed(t, users.EnrollRequest{Name: "Tablet"})
	pending := b.enroll(users.EnrollRequest{Name: "Token"})
	rename := func(id, name string) (users.Authenticator, error) {
		return b.s.RenameAuthenticator(b.ctx(), "alice", id, users.RenameRequest{Name: name})
	}
	want := phone
	want.Name = "Zoë's phone 📱"
	if got, err := rename(phone.ID, "Zoe\u0308's phone 📱"); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := rename(pending.ID, "Key"); err != nil || got.Name != "Key" || got.Status != "pending" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", " x", "a\nb", "tABLET", strings.Repeat("x", 65), "\u202e"} {
		_, err := rename(phone.ID, bad)
		if got := fields(wantKind(t, err, problem.InvalidRequest)); !slices.Equal(got, []string{"name"}) {
			t.Errorf("%q: faults of %q", bad, got)
		}
	}
	const nobodys = "TA0123456789abcdef"
	for id, kind := range map[string]problem.Kind{nobodys: problem.NotFound, "TA0123456789ABCDEF": problem.InvalidRequest, "x": problem.InvalidRequest, "TA": problem.InvalidRequest} {
		_, err := rename(id, "Name")
		wantKind(t, err, kind)
		wantKind(t, b.s.RemoveAuthenticator(b.ctx(), "alice", id), kind)
	}
	if list := b.list(); len(list) != 3 || list[0] != want || list[1] != tablet || list[2].Name != "Key" {
		t.Errorf("listed %+v", list)
	}

	if err := b.s.RemoveAuthenticator(b.ctx(), "alice", phone.ID); err != nil {
		t.Fatal(err)
	}
	wantKind(t, b.s.RemoveAuthenticator(b.ctx(), "alice", phone.ID), problem.NotFound)
	if list := b.list(); len(list) != 2 || list[0] != tablet {
		t.Errorf("listed %+v", list)
	}
	for range 2 {
		if err := b.s.RemoveAuthenticator(b.ctx(), "alice", ""); err != nil || len(b.list()) != 0 {
			t.Errorf("%v, listed %+v", err, b.list())
		}
	}
}

var groups = regexp.MustCompile(`^[A-HJ-NP-Z2-9]{4}(-[A-HJ-NP-Z2-9]{4}){3}$`)

func TestMakeRecoveryCodes(t *testing.T) {
	b, _ := factorBench(t)
	if s, err := b.s.LeftRecoveryCodes(b.ctx(), "alice"); err != nil || s != (users.RecoveryState{}) {
		t.Errorf("before: %+v, %v", s, err)
	}
	seen := map[string]bool{}
	for i := range 2 {
		b.now = noon.Add(time.Duration(i)*time.Minute + 1234567*time.Nanosecond)
		set, err := b.s.MakeRecoveryCodes(b.ctx(), "alice")
		if err != nil || len(set.Codes) != 10 || !set.MadeAt.Equal(b.now.Truncate(time.Second)) {
			t.Fatalf("%d codes, made at %v, %v", len(set.Codes), set.MadeAt, err)
		}
		for _, code := range set.Codes {
			if !groups.MatchString(code) || seen[code] {
				t.Errorf("the code %s, seen before: %t", code, seen[code])
			}
			seen[code] = true
		}
		if s, err := b.s.LeftRecoveryCodes(b.ctx(), "alice"); err != nil || s.Left != 10 || !s.MadeAt.Equal(set.MadeAt) {
			t.Errorf("afterwards: %+v, %v", s, err)
		}
		if got := b.get("alice").RecoveryCodesLeft; got != 10 {
			t.Errorf("the user has %d", got)
		}
	}
}

// A user who moves keeps the factors, and one who is erased leaves none behind.
func TestFactorsStayWithTheUser(t *testing.T) {
	b, _ := factorBench(t)
	b.confirmed(t, users.EnrollRequest{})
	if _, err := b.s.MakeRecoveryCodes(b.ctx(), "alice"); err != nil {
		t.Fatal(err)
	}
	a, created := b.put("alice", users.Request{Phone: "+919876543210"}, users.Conditions{})
	if created || a.Authenticators != 1 || a.RecoveryCodesLeft != 10 || len(b.list()) != 1 {
		t.Errorf("with another number: %+v", a)
	}
	if err := b.s.Delete(b.ctx(), "alice", users.Conditions{}); err != nil {
		t.Fatal(err)
	}
	b.put("alice", both, users.Conditions{})
	if a := b.get("alice"); a.Authenticators != 0 || a.RecoveryCodesLeft != 0 || len(b.list()) != 0 {
		t.Errorf("registered again: %+v", a)
	}
}

// What a client sees of a user has another entity tag when it is another; what
// was refused has changed nothing that it sees.
func TestFactorsChangeTheETag(t *testing.T) {
	b, _ := factorBench(t)
	tag := b.get("alice").ETag
	changes := func(what string, want bool, call func() error) {
		t.Helper()
		if err := call(); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
		now := b.get("alice").ETag
		if (now != tag) != want {
			t.Errorf("%s: changed the ETag: %t", what, now != tag)
		}
		tag = now
	}
	var e users.Enrollment
	changes("enroll", true, func() (err error) { e, err = b.s.Enroll(b.ctx(), "alice", users.EnrollRequest{}); return err })
	confirm := func(code string) func() error {
		return func() error { _, err := b.s.Confirm(b.ctx(), "alice", users.ConfirmRequest{Code: code}); return err }
	}
	code := shows(t, e.URI, b.now)
	changes("a wrong code", false, confirm(wrongCode(code)))
	changes("confirm", true, confirm(code))
	changes("make codes", true, func() error { _, err := b.s.MakeRecoveryCodes(b.ctx(), "alice"); return err })
	changes("remove", true, func() error { return b.s.RemoveAuthenticator(b.ctx(), "alice", e.ID) })
	changes("remove again", false, func() error { return b.s.RemoveAuthenticator(b.ctx(), "alice", e.ID) })
}

// calls is every call that a user's factors have, with what it returns.
func (b *bench) calls(name, id string) map[string]func(ctx context.Context) (any, error) {
	return map[string]func(ctx context.Context) (any, error){
		"enroll": func(ctx context.Context) (any, error) { return b.s.Enroll(ctx, name, users.EnrollRequest{}) },
		"confirm": func(ctx context.Context) (any, error) {
			return b.s.Confirm(ctx, name, users.ConfirmRequest{Code: "123456"})
		},
		"rename": func(ctx context.Context) (any, error) {
			return b.s.RenameAuthenticator(ctx, name, id, users.RenameRequest{Name: "x"})
		},
		"remove":     func(ctx context.Context) (any, error) { return nil, b.s.RemoveAuthenticator(ctx, name, id) },
		"remove all": func(ctx context.Context) (any, error) { return nil, b.s.RemoveAuthenticator(ctx, name, "") },
		"make codes": func(ctx context.Context) (any, error) { return b.s.MakeRecoveryCodes(ctx, name) },
		"list": func(ctx context.Context) (any, error) {
			l, err := b.s.ListAuthenticators(ctx, name)
			return len(l.Authenticators), err
		},
		"count codes": func(ctx context.Context) (any, error) { return b.s.LeftRecoveryCodes(ctx, name) },
	}
}

func TestFactors_RoundTrips(t *testing.T) {
	want := map[string]int64{
		"enroll": 2, "confirm": 2, "rename": 2, "remove": 2, "remove all": 2, "make codes": 3, "list": 1, "count codes": 1,
	}
	for name := range want {
		b, _ := factorBench(t)
		e := b.enroll(users.EnrollRequest{})
		call := b.calls("alice", e.ID)[name]
		if got := trips(func(ctx context.Context) { _, _ = call(ctx) }); got != want[name] {
			t.Errorf("%s: %d round trips, want %d", name, got, want[name])
		}
		nobody := b.calls("bob", e.ID)[name]
		got := trips(func(ctx context.Context) {
			_, err := nobody(ctx)
			wantKind(t, err, problem.NotFound)
		})
		if got != 1 {
			t.Errorf("%s, of nobody: %d round trips, want 1", name, got)
		}
		wrong := b.calls("%41", e.ID)[name]
		got = trips(func(ctx context.Context) {
			_, err := wrong(ctx)
			wantKind(t, err, problem.InvalidRequest)
		})
		if got != 0 {
			t.Errorf("%s, of no name: %d round trips, want 0", name, got)
		}
	}
}

// R16. Where storage cannot say whether it was kept, nothing is told: neither a
// secret nor codes that may be dead.
func TestFactors_StorageFaultsAreToldAsSuch(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		b, table := factorBench(t)
		e := b.enroll(users.EnrollRequest{})
		for name, call := range b.calls("alice", e.ID) {
			table.Break(func(int) rig.Fault { return fault })
			got, err := call(b.ctx())
			wantKind(t, err, problem.StorageUnavailable)
			text, jsonErr := json.Marshal(got)
			if jsonErr != nil || regexp.MustCompile(`otpauth|[A-Z2-9]{4}`).Match(text) {
				t.Errorf("%s: told %s, %v", name, text, jsonErr)
			}
		}
	}
}

func TestFactors_AnotherUsersRowIsNotTakenForOnesOwn(t *testing.T) {
	b, _ := factorBench(t)
	d := b.s.Directory
	u, err := d.Load(b.ctx(), d.Key("alice"))
	if err != nil {
		t.Fatal(err)
	}
	row, err := u.Encode()
	if err != nil {
		t.Fatal(err)
	}
	err = b.table.Update(b.ctx(), store.Key(d.Key("bob")), func([]byte) (store.Row, error) {
		return store.Row{Data: d.Keys.Seal(row, d.Key("bob")), KeepUntil: noon}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range b.calls("bob", "TA0123456789abcdef") {
		if _, err := call(b.ctx()); kindOf(err) != problem.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func kindOf(err error) problem.Kind {
	if e, ok := err.(*problem.Error); ok {
		return e.Kind
	}
	return problem.Kind(fmt.Sprint(err))
}

// R10, attack 21. A secret and recovery codes are told once, to whom they are
// made for: no other answer has them, nor an error, a log line or the row.
func TestAttack21_FactorsAreToldOnce(t *testing.T) {
	b, _ := factorBench(t)
	ctx, line := reqlog.With(context.Background())
	e, err := b.s.Enroll(ctx, "alice", users.EnrollRequest{Name: "Canary phone", Issuer: "Canary Bank"})
	if err != nil {
		t.Fatal(err)
	}
	codes, err := b.s.MakeRecoveryCodes(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := totp.ParseSecret(e.Secret)
	if err != nil {
		t.Fatal(err)
	}
	code := shows(t, e.URI, b.now)
	secrets := append(slices.Clone(codes.Codes), e.Secret, string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), e.URI, wrongCode(code))

	var told strings.Builder
	note := func(answer any, err error) {
		text, jsonErr := json.Marshal(answer)
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		fmt.Fprintf(&told, "%s %v\n", text, err)
		if refused, ok := err.(*problem.Error); ok {
			fmt.Fprintln(&told, refused.Detail, refused.Fields, refused.Err)
		}
	}
	note(b.s.ListAuthenticators(ctx, "alice"))
	note(b.s.Confirm(ctx, "alice", users.ConfirmRequest{Code: wrongCode(code)}))
	note(b.s.Confirm(ctx, "alice", users.ConfirmRequest{Code: e.URI}))
	note(b.s.Confirm(ctx, "alice", users.ConfirmRequest{Code: code}))
	note(nil, b.s.RemoveAuthenticator(ctx, "alice", e.Secret))
	_, err = b.s.Enroll(ctx, "alice", users.EnrollRequest{URI: e.URI})
	note(nil, err)
	_, err = b.s.Enroll(ctx, "alice", users.EnrollRequest{URI: e.URI, Name: "Canary phone", Digits: 6})
	note(nil, err)
	_, err = b.s.Enroll(ctx, "alice", users.EnrollRequest{URI: strings.Replace(e.URI, "digits=6", "digits=7", 1)})
	note(nil, err)
	note(b.s.RenameAuthenticator(ctx, "alice", e.ID, users.RenameRequest{Name: "x"}))
	note(b.s.LeftRecoveryCodes(ctx, "alice"))
	note(b.get("alice"), nil)
	fmt.Fprintln(&told, line.Attrs())
	row, err := b.table.Get(ctx, store.Key(b.s.Directory.Key("alice")))
	if err != nil {
		t.Fatal(err)
	}
	told.Write(row.Data)
	for _, secret := range secrets {
		if at := strings.Index(told.String(), secret); at >= 0 {
			t.Errorf("%q is told again: %q", secret, told.String()[max(0, at-100):at])
		}
	}
}
