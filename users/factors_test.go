package users_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	testrig "twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/users"
)

// confirmed enrolls and confirms an app.
func (r *rig) confirmed(req users.EnrollRequest) (users.Enrollment, users.Authenticator) {
	r.t.Helper()
	e := r.enroll(req)
	return e, r.confirm(e)
}

func (r *rig) list() []users.Authenticator {
	r.t.Helper()
	l, err := r.s.ListAuthenticators(r.Ctx(), "alice")
	if err != nil {
		r.t.Fatalf("list: %v", err)
	}
	return l.Authenticators
}

func (r *rig) wantList(want ...users.Authenticator) {
	r.t.Helper()
	if got := r.list(); !slices.Equal(got, want) {
		r.t.Fatalf("got %+v, want %+v", got, want)
	}
}

func (r *rig) confirmFails(code string, kind problem.Kind) *problem.Error {
	r.t.Helper()
	a, err := r.s.Confirm(r.Ctx(), "alice", users.ConfirmRequest{Code: code})
	if a != (users.Authenticator{}) {
		r.t.Fatalf("an authenticator beside an error: %+v", a)
	}
	return fixture.Problem(r.t, err, kind)
}

// wrongCode returns another code of six digits.
func wrongCode(code string) string { return code[:5] + string('0'+(code[5]-'0'+5)%10) }

func TestConfirm_ConfirmsThePendingAppByItsFirstCode(t *testing.T) {
	r := withAlice(t)
	e := r.enroll(users.EnrollRequest{})
	r.Set(fixture.Noon.Add(time.Minute + 1500*time.Millisecond))
	code := r.code(e)
	if left := r.confirmFails(wrongCode(code), problem.WrongCode).ChecksLeft; left == nil || *left != 9 {
		t.Errorf("%v checks left, want 9", left)
	}
	got, err := r.s.Confirm(r.Ctx(), "alice", users.ConfirmRequest{Code: " " + code[:3] + "-" + code[3:]})
	want := e.Authenticator
	want.Status, want.ConfirmedAt = "confirmed", r.Now().Truncate(time.Second)
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	r.wantList(want)
	r.confirmFails(code, problem.NotFound) // no app is pending any more
	for _, none := range []string{"", " ", "12345!", strings.Repeat("1", 1000)} {
		wantFields(t, r.confirmFails(none, problem.InvalidRequest), "code")
	}
}

// What cannot be a code of the pending app costs no try and leaves the user's row as it
// is; what people paste around the code is taken off.
func TestConfirm_ATextThatIsNoCodeCostsNothing(t *testing.T) {
	r := withAlice(t)
	e := r.enroll(users.EnrollRequest{})
	code := r.code(e)
	before := r.Registered("alice")
	for _, text := range []string{"!", code[:1], code[:5], code + "0", "12345678", "ABCDEF", code[:5] + "O", "1234.56", "+" + code, "code 123456, 654321", "123456, 12345678 or 654321"} {
		wantFields(t, r.confirmFails(text, problem.InvalidRequest), "code")
		if after := r.Registered("alice"); !reflect.DeepEqual(after, before) {
			t.Fatalf("%q has changed the user: %+v", text, after)
		}
	}
	if left := r.confirmFails(wrongCode(code), problem.WrongCode).ChecksLeft; left == nil || *left != 9 {
		t.Errorf("%v checks left, want 9", left)
	}
	if _, err := r.s.Confirm(r.Ctx(), "alice", users.ConfirmRequest{Code: "Acme: “" + code + "”."}); err != nil {
		t.Error(err)
	}
}

func TestConfirm_TheTenthWrongCodeRemovesThePendingApp(t *testing.T) {
	r := withAlice(t)
	e := r.enroll(users.EnrollRequest{})
	code := r.code(e)
	for left := 9; left >= 0; left-- {
		if got := r.confirmFails(wrongCode(code), problem.WrongCode).ChecksLeft; got == nil || *got != left {
			t.Fatalf("%v checks left, want %d", got, left)
		}
	}
	r.confirmFails(code, problem.NotFound)
	r.wantList()
}

func TestEnroll_PendingFor15Minutes(t *testing.T) {
	r := withAlice(t)
	e := r.enroll(users.EnrollRequest{})
	end := e.ExpiresAt
	for _, step := range []struct {
		at     time.Time
		listed int
	}{{end.Add(-time.Nanosecond), 1}, {end, 0}} {
		if r.Set(step.at); len(r.list()) != step.listed {
			t.Errorf("at %v %d are listed", step.at, len(r.list()))
		}
	}
	r.confirmFails(r.code(e), problem.NotFound)
	r.Set(end.Add(-time.Minute)) // a clock that goes back revives nothing
	r.confirmFails(r.code(e), problem.NotFound)

	r.Set(fixture.Noon)
	e = r.enroll(users.EnrollRequest{})
	r.Set(e.ExpiresAt.Add(-time.Nanosecond))
	r.confirm(e)
}

func TestEnroll_ReplacesThePendingOne(t *testing.T) {
	r := withAlice(t)
	_, kept := r.confirmed(users.EnrollRequest{Name: "Tablet"})
	first, second := r.enroll(users.EnrollRequest{}), r.enroll(users.EnrollRequest{})
	if list := r.list(); len(list) != 2 || list[0] != kept || list[1] != second.Authenticator || second.Name != first.Name || second.ID == first.ID {
		t.Errorf("listed %+v", list)
	}
	r.confirmFails(r.code(first), problem.WrongCode)
	r.confirm(second)
	// A refused enrolment does not change the pending one.
	third := r.enroll(users.EnrollRequest{})
	r.refusedEnrollment(users.EnrollRequest{Name: "tABLET"}, problem.InvalidRequest)
	if list := r.list(); len(list) != 3 || list[2] != third.Authenticator {
		t.Errorf("listed %+v", list)
	}
}

func TestEnroll_FiveAtMost(t *testing.T) {
	r := withAlice(t)
	var all []users.Authenticator
	for range 5 {
		_, a := r.confirmed(users.EnrollRequest{})
		all = append(all, a)
	}
	for i, want := range []string{"Authenticator", "Authenticator 2", "Authenticator 3", "Authenticator 4", "Authenticator 5"} {
		if all[i].Name != want {
			t.Errorf("number %d is named %q", i+1, all[i].Name)
		}
	}
	if e := r.refusedEnrollment(users.EnrollRequest{}, problem.InvalidRequest); !strings.Contains(e.Detail, "at most 5") {
		t.Errorf("says %q", e.Detail)
	}
	if got := r.get("alice").Authenticators; got != 5 {
		t.Errorf("the user has %d", got)
	}
	if err := r.s.RemoveAuthenticator(r.Ctx(), "alice", all[1].ID); err != nil {
		t.Fatal(err)
	}
	if e := r.enroll(users.EnrollRequest{}); e.Name != "Authenticator 2" || len(r.list()) != 5 || r.get("alice").Authenticators != 4 {
		t.Errorf("then %q, %d in all, %d confirmed", e.Name, len(r.list()), r.get("alice").Authenticators)
	}
	r.refusedEnrollment(users.EnrollRequest{URI: "otpauth://totp/a?secret=" + rfcBase32, Name: "Authenticator"}, problem.InvalidRequest)
}

// Each authenticator has its own last step, so two with the same secret would both
// accept the same code.
func TestEnroll_RefusesASecretThatTheUserHas(t *testing.T) {
	r := withAlice(t)
	e, _ := r.confirmed(users.EnrollRequest{})
	refused := r.refusedEnrollment(users.EnrollRequest{URI: e.URI}, problem.InvalidRequest)
	if wantFields(t, refused, "secret"); strings.Contains(fmt.Sprint(refused.Fields), e.Secret) {
		t.Errorf("the fault quotes the secret: %+v", refused.Fields)
	}
}

func TestRenameAndRemoveAuthenticator(t *testing.T) {
	r := withAlice(t)
	_, phone := r.confirmed(users.EnrollRequest{Name: "Phone"})
	_, tablet := r.confirmed(users.EnrollRequest{Name: "Tablet"})
	pending := r.enroll(users.EnrollRequest{Name: "Token"})
	rename := func(id, name string) (users.Authenticator, error) {
		return r.s.RenameAuthenticator(r.Ctx(), "alice", id, users.RenameRequest{Name: name})
	}
	want := phone
	want.Name = "Zoë's phone 📱"
	if got, err := rename(phone.ID, "Zoe\u0308's phone 📱"); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := rename(pending.ID, "Key"); err != nil || got.Name != "Key" || got.Status != "pending" {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", " ", "a\nb", "tABLET", strings.Repeat("x", 65), "\u202e"} {
		_, err := rename(phone.ID, bad)
		wantFields(t, err, "name")
	}
	const unknown = "TA0123456789abcdef"
	for id, kind := range map[string]problem.Kind{unknown: problem.NotFound, "TA0123456789ABCDEF": problem.InvalidRequest, "x": problem.InvalidRequest, "TA": problem.InvalidRequest} {
		_, err := rename(id, "Name")
		fixture.Problem(t, err, kind)
		fixture.Problem(t, r.s.RemoveAuthenticator(r.Ctx(), "alice", id), kind)
	}
	key := pending.Authenticator
	key.Name = "Key"
	r.wantList(want, tablet, key)

	if err := r.s.RemoveAuthenticator(r.Ctx(), "alice", phone.ID); err != nil {
		t.Fatal(err)
	}
	fixture.Problem(t, r.s.RemoveAuthenticator(r.Ctx(), "alice", phone.ID), problem.NotFound)
	r.wantList(tablet, key)
	for range 2 {
		if err := r.s.RemoveAuthenticator(r.Ctx(), "alice", ""); err != nil {
			t.Error(err)
		}
		r.wantList()
	}
}

var groups = regexp.MustCompile(`^[A-HJ-NP-Z2-9]{4}(-[A-HJ-NP-Z2-9]{4}){3}$`)

func TestMakeRecoveryCodes(t *testing.T) {
	r := withAlice(t)
	if s, err := r.s.LeftRecoveryCodes(r.Ctx(), "alice"); err != nil || s != (users.RecoveryState{}) {
		t.Errorf("before: %+v, %v", s, err)
	}
	seen := map[string]bool{}
	for i := range 2 {
		r.Set(fixture.Noon.Add(time.Duration(i)*time.Minute + 1234567*time.Nanosecond))
		set, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice")
		if err != nil || len(set.Codes) != 10 || !set.MadeAt.Equal(r.Now().Truncate(time.Second)) {
			t.Fatalf("%d codes, made at %v, %v", len(set.Codes), set.MadeAt, err)
		}
		for _, code := range set.Codes {
			if !groups.MatchString(code) || seen[code] {
				t.Errorf("the code %s, seen before: %t", code, seen[code])
			}
			seen[code] = true
		}
		if s, err := r.s.LeftRecoveryCodes(r.Ctx(), "alice"); err != nil || s.Left != 10 || !s.MadeAt.Equal(set.MadeAt) {
			t.Errorf("afterwards: %+v, %v", s, err)
		}
		if got := r.get("alice").RecoveryCodesLeft; got != 10 {
			t.Errorf("the user has %d", got)
		}
	}
}

// A user keeps the factors with another address, and an erased user leaves none.
func TestFactorsStayWithTheUser(t *testing.T) {
	r := withAlice(t)
	r.confirmed(users.EnrollRequest{})
	if _, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice"); err != nil {
		t.Fatal(err)
	}
	a, created := r.put("alice", users.Request{Phone: fixture.Bob}, users.Conditions{})
	if created || a.Authenticators != 1 || a.RecoveryCodesLeft != 10 || len(r.list()) != 1 {
		t.Errorf("with another number: %+v", a)
	}
	if err := r.s.Delete(r.Ctx(), "alice", users.Conditions{}); err != nil {
		t.Fatal(err)
	}
	r.put("alice", both, users.Conditions{})
	if a := r.get("alice"); a.Authenticators != 0 || a.RecoveryCodesLeft != 0 || len(r.list()) != 0 {
		t.Errorf("registered again: %+v", a)
	}
}

// Each change that clients see changes the entity tag. A refused change does not.
func TestFactorsChangeTheETag(t *testing.T) {
	r := withAlice(t)
	tag := r.get("alice").ETag
	changes := func(what string, want bool, call func() error) {
		t.Helper()
		if err := call(); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
		now := r.get("alice").ETag
		if (now != tag) != want {
			t.Errorf("%s: changed the ETag: %t", what, now != tag)
		}
		tag = now
	}
	var e users.Enrollment
	changes("enroll", true, func() (err error) { e, err = r.s.Enroll(r.Ctx(), "alice", users.EnrollRequest{}); return err })
	confirm := func(code string) func() error {
		return func() error { _, err := r.s.Confirm(r.Ctx(), "alice", users.ConfirmRequest{Code: code}); return err }
	}
	code := r.code(e)
	changes("a wrong code", false, confirm(wrongCode(code)))
	changes("confirm", true, confirm(code))
	changes("make codes", true, func() error { _, err := r.s.MakeRecoveryCodes(r.Ctx(), "alice"); return err })
	changes("remove", true, func() error { return r.s.RemoveAuthenticator(r.Ctx(), "alice", e.ID) })
	changes("remove again", false, func() error { return r.s.RemoveAuthenticator(r.Ctx(), "alice", e.ID) })
}

// calls returns all calls about a user's factors. Each returns its answer.
func (r *rig) calls(name, id string) map[string]func(ctx context.Context) (any, error) {
	return map[string]func(ctx context.Context) (any, error){
		"enroll": func(ctx context.Context) (any, error) { return r.s.Enroll(ctx, name, users.EnrollRequest{}) },
		"confirm": func(ctx context.Context) (any, error) {
			return r.s.Confirm(ctx, name, users.ConfirmRequest{Code: "123456"})
		},
		"rename": func(ctx context.Context) (any, error) {
			return r.s.RenameAuthenticator(ctx, name, id, users.RenameRequest{Name: "x"})
		},
		"remove":     func(ctx context.Context) (any, error) { return nil, r.s.RemoveAuthenticator(ctx, name, id) },
		"remove all": func(ctx context.Context) (any, error) { return nil, r.s.RemoveAuthenticator(ctx, name, "") },
		"make codes": func(ctx context.Context) (any, error) { return r.s.MakeRecoveryCodes(ctx, name) },
		"list": func(ctx context.Context) (any, error) {
			l, err := r.s.ListAuthenticators(ctx, name)
			return len(l.Authenticators), err
		},
		"count codes": func(ctx context.Context) (any, error) { return r.s.LeftRecoveryCodes(ctx, name) },
	}
}

func TestFactors_RoundTrips(t *testing.T) {
	want := map[string]int64{
		"enroll": 2, "confirm": 2, "rename": 2, "remove": 2, "remove all": 2, "make codes": 4, "list": 1, "count codes": 1,
	}
	for name := range want {
		r := withAlice(t)
		e := r.enroll(users.EnrollRequest{})
		for _, tc := range []struct {
			user string
			kind problem.Kind // "" for any outcome
			want int64
		}{{"alice", "", want[name]}, {"bob", problem.NotFound, 1}, {" a", problem.InvalidRequest, 0}} {
			call := r.calls(tc.user, e.ID)[name]
			got := r.Trips(func(ctx context.Context) {
				if _, err := call(ctx); tc.kind != "" {
					fixture.Problem(t, err, tc.kind)
				}
			})
			if got != tc.want {
				t.Errorf("%s of %s: %d round trips, want %d", name, tc.user, got, tc.want)
			}
		}
	}
}

// R16. If it is unknown whether a change was kept, the answer has neither a secret
// nor recovery codes.
func TestFactors_StorageFaultsAreStorageUnavailable(t *testing.T) {
	for _, fault := range []testrig.Fault{testrig.Down, testrig.Lost} {
		r := withAlice(t)
		e := r.enroll(users.EnrollRequest{})
		for name, call := range r.calls("alice", e.ID) {
			r.Table.Break(func(int) testrig.Fault { return fault })
			got, err := call(r.Ctx())
			fixture.Problem(t, err, problem.StorageUnavailable)
			text, jsonErr := json.Marshal(got)
			if jsonErr != nil || regexp.MustCompile(`otpauth|[A-Z2-9]{4}`).Match(text) {
				t.Errorf("%s: the answer is %s, %v", name, text, jsonErr)
			}
		}
	}
}

func TestFactors_AnotherUsersRowIsRefused(t *testing.T) {
	r := withAlice(t)
	r.plant("bob")
	for name, call := range r.calls("bob", "TA0123456789abcdef") {
		if _, err := call(r.Ctx()); !problem.Is(err, problem.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// R10, attack 21. A secret and recovery codes are in the answer to the request that
// makes them: in no other answer, error, log line or row.
func TestAttack21_FactorsAreReturnedOnce(t *testing.T) {
	r := withAlice(t)
	ctx, line := reqlog.With(context.Background())
	e, err := r.s.Enroll(ctx, "alice", users.EnrollRequest{Name: "Canary phone", Issuer: "Canary Bank"})
	if err != nil {
		t.Fatal(err)
	}
	codes, err := r.s.MakeRecoveryCodes(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := totp.ParseSecret(e.Secret)
	if err != nil {
		t.Fatal(err)
	}
	code := r.code(e)
	secrets := append(slices.Clone(codes.Codes), e.Secret, string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), e.URI, wrongCode(code))

	var output strings.Builder
	note := func(answer any, err error) {
		text, jsonErr := json.Marshal(answer)
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		fmt.Fprintf(&output, "%s %v\n", text, err)
		if refused, ok := err.(*problem.Error); ok {
			fmt.Fprintln(&output, refused.Detail, refused.Fields, refused.Err)
		}
	}
	note(r.s.ListAuthenticators(ctx, "alice"))
	note(r.s.Confirm(ctx, "alice", users.ConfirmRequest{Code: wrongCode(code)}))
	note(r.s.Confirm(ctx, "alice", users.ConfirmRequest{Code: e.URI}))
	note(r.s.Confirm(ctx, "alice", users.ConfirmRequest{Code: code}))
	note(nil, r.s.RemoveAuthenticator(ctx, "alice", e.Secret))
	_, err = r.s.Enroll(ctx, "alice", users.EnrollRequest{URI: e.URI})
	note(nil, err)
	_, err = r.s.Enroll(ctx, "alice", users.EnrollRequest{URI: e.URI, Name: "Canary phone", Digits: 6})
	note(nil, err)
	_, err = r.s.Enroll(ctx, "alice", users.EnrollRequest{URI: strings.Replace(e.URI, "digits=6", "digits=7", 1)})
	note(nil, err)
	note(r.s.RenameAuthenticator(ctx, "alice", e.ID, users.RenameRequest{Name: "x"}))
	note(r.s.LeftRecoveryCodes(ctx, "alice"))
	note(r.get("alice"), nil)
	fmt.Fprintln(&output, line.Attrs())
	row, err := r.Table.Get(ctx, store.Key(r.Users.Key("main", "alice")))
	if err != nil {
		t.Fatal(err)
	}
	output.Write(row.Data)
	for _, secret := range secrets {
		if at := strings.Index(output.String(), secret); at >= 0 {
			t.Errorf("%q is there again: %q", secret, output.String()[max(0, at-100):at])
		}
	}
}
