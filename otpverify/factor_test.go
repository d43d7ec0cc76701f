package otpverify_test

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"strings"
	"sync"
	"testing"
	"time"

	pquerna "github.com/pquerna/otp"
	pquernatotp "github.com/pquerna/otp/totp"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

// factors is a bench with a person who has an authenticator app and recovery
// codes.
type factors struct {
	*bench
	app   totp.Authenticator
	codes []string
}

// newFactors registers the person after change.
func newFactors(t *testing.T, change func(u *user.User), channels ...notify.Channel) *factors {
	t.Helper()
	f := &factors{bench: newBench(t, channels...)}
	f.app = totp.Authenticator{
		ID: "TA00000000000000aa", Name: "Canary phone", Secret: []byte("canary-of-20-bytes.."),
		Options: totp.Options{Algorithm: totp.SHA1, Digits: 8, Period: 30},
	}
	f.Secret("a secret", string(f.app.Secret))
	f.Secret("a secret", base32.StdEncoding.EncodeToString(f.app.Secret))
	u := user.User{Name: canary, Phone: alice, Email: mail}
	var err error
	if u.TOTP, err = totp.Import(u.TOTP, f.app, noon.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	f.codes, u.Recovery = oneSet(t)
	for _, code := range f.codes {
		f.Secret("a recovery code", code)
		f.Secret("a recovery code", strings.ReplaceAll(code, "-", ""))
	}
	if change != nil {
		change(&u)
	}
	f.User(u)
	return f
}

// oneSet is the same set for all tests, under the keys that every rig begins
// with: to make one takes a while.
func oneSet(t *testing.T) ([]string, recovery.State) {
	t.Helper()
	set.Do(func() {
		set.codes, set.state, set.err = recovery.New(rand.Reader, rig.Keys(t, 1), noon.Add(-time.Hour))
	})
	if set.err != nil {
		t.Fatal(set.err)
	}
	return set.codes, set.state
}

var set struct {
	sync.Once
	codes []string
	state recovery.State
	err   error
}

// shows is what the app shows some steps from now.
func (f *factors) shows(steps int) string {
	f.t.Helper()
	code, err := pquernatotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(f.app.Secret), f.Now().Add(time.Duration(steps)*30*time.Second),
		pquernatotp.ValidateOpts{Period: 30, Digits: pquerna.DigitsEight})
	if err != nil {
		f.t.Fatal(err)
	}
	f.Secret("a code", code)
	return code
}

// never is a code that the app does not show anywhere near.
func (f *factors) never() string {
	for _, code := range []string{"00000000", "11111111"} {
		near := false
		for step := -2; step <= 2; step++ {
			near = near || f.shows(step) == code
		}
		if !near {
			return code
		}
	}
	panic("two steps of five have both codes")
}

// foreign has the form of a recovery code and is nobody's.
const foreign = "CANA-RYCA-NARY-CANA"

func ofTOTP(code string) otpverify.Request {
	return otpverify.Request{User: canary, Factor: otpverify.FactorTOTP, Code: code}
}

func ofRecovery(code string) otpverify.Request {
	return otpverify.Request{User: canary, Factor: otpverify.FactorRecovery, Code: code}
}

func (f *factors) approved(req otpverify.Request) otpverify.Answer {
	f.t.Helper()
	a, err := f.check(req)
	if err != nil || a.Status != otp.Approved {
		f.t.Fatalf("not approved: %+v %v", a, err)
	}
	return a
}

// failures is how many wrong codes of each factor are kept.
func (f *factors) failures() (app, recovery int) {
	f.t.Helper()
	u := f.Registered(canary)
	return len(u.TOTP.Failures), len(u.Recovery.Failures)
}

func (f *factors) wantFailures(app, recovery int) {
	f.t.Helper()
	if a, r := f.failures(); a != app || r != recovery {
		f.t.Errorf("%d wrong codes of the app and %d recovery codes are kept, want %d and %d", a, r, app, recovery)
	}
}

func TestCheckTOTP_NamesTheApp(t *testing.T) {
	f := newFactors(t, nil)
	f.Wait(1500 * time.Millisecond)
	a := f.approved(ofTOTP(" " + f.shows(0)[:4] + "-" + f.shows(0)[4:]))
	want := otpverify.Answer{Status: otp.Approved, Factor: "totp", User: canary, ApprovedAt: noon.Add(time.Second)}
	named := a.Authenticator
	if a.Authenticator = nil; a != want || named == nil || *named != (otpverify.Authenticator{ID: f.app.ID, Name: f.app.Name}) {
		t.Errorf("got %+v of %+v", a, named)
	}
	if got := f.Registered(canary).TOTP.Authenticators[0].UsedAt; !got.Equal(f.Now()) || f.Sent() != 0 {
		t.Errorf("used at %v, %d messages", got, f.Sent())
	}
}

// R9, attack 19. One step each way, each step once, and none after a newer one.
func TestAttack19_R9_AStepOnceAndNeverAfterANewerOne(t *testing.T) {
	for name, steps := range map[string][]struct {
		step int
		want problem.Kind
	}{
		"this one":              {{0, ""}, {0, problem.WrongCode}},
		"one late":              {{-1, ""}, {-1, problem.WrongCode}, {0, ""}, {1, ""}, {1, problem.WrongCode}},
		"one early":             {{1, ""}, {0, problem.WrongCode}, {-1, problem.WrongCode}, {1, problem.WrongCode}},
		"an older one":          {{0, ""}, {-1, problem.WrongCode}, {1, ""}, {0, problem.WrongCode}},
		"outside of the window": {{-2, problem.WrongCode}, {2, problem.WrongCode}, {-20, problem.WrongCode}, {2880, problem.WrongCode}, {0, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactors(t, nil)
			wrong := 0
			for _, s := range steps {
				if s.want == "" {
					f.approved(ofTOTP(f.shows(s.step)))
					continue
				}
				f.refused(ofTOTP(f.shows(s.step)), s.want)
				wrong++
			}
			f.wantFailures(wrong, 0)
			f.Wait(-30 * time.Second) // a clock that steps back opens nothing again
			f.refused(ofTOTP(f.shows(0)), problem.WrongCode)
			f.refused(ofTOTP(f.shows(1)), problem.WrongCode)
		})
	}
}

// Every row of what Check says of a code without a factor, and of one with it.
func TestCheck_DecidesWhatACodeIs(t *testing.T) {
	open := func(f *factors) (otp.Verification, string) { return f.mustStart(bySMS("")) }
	approve := func(f *factors) (otp.Verification, string) {
		v, code := open(f)
		f.approved(otpverify.Request{ID: string(v.ID), Code: code})
		return v, code
	}
	cancel := func(f *factors) (otp.Verification, string) {
		v, code := open(f)
		if _, err := f.Send.Cancel(f.Ctx(), string(v.ID)); err != nil {
			f.t.Fatal(err)
		}
		return v, code
	}
	deny := func(f *factors) (otp.Verification, string) {
		v, code := open(f)
		f.arrive(alice, "NO")
		return v, code
	}
	expire := func(f *factors) (otp.Verification, string) {
		v, code := open(f)
		f.Wait(f.Carrier.Policy.TTL)
		return v, code
	}
	exhaust := func(f *factors) (otp.Verification, string) {
		v, code := open(f)
		f.bench.exhaust(v.ID)
		return v, code
	}
	paying := func(f *factors) (otp.Verification, string) { return f.mustStart(bySMS("pay")) }
	none := func(*factors) (otp.Verification, string) { return otp.Verification{}, "" }
	messages := func(_ *factors, code string) string { return code }
	apps := func(f *factors, _ string) string { return f.shows(0) }
	wrong := func(f *factors, _ string) string { return f.never() }
	paper := func(f *factors, _ string) string { return f.codes[3] }
	forged := func(*factors, string) string { return foreign }
	noApp := func(u *user.User) { u.TOTP = totp.State{} }
	unconfirmed := func(u *user.User) {
		u.TOTP.Authenticators[0].ConfirmedAt, u.TOTP.Authenticators[0].CreatedAt = time.Time{}, noon
	}

	type request = otpverify.Request
	for name, tc := range map[string]struct {
		user          func(*user.User)
		verification  func(*factors) (otp.Verification, string)
		code          func(*factors, string) string
		request       request
		factor        string       // of the approval: "message" has none in the answer
		refused       problem.Kind // or this
		checks        int          // of the verification that are spent more
		app, recovery int          // wrong codes that are counted
	}{
		"nothing pending, the app's":                    {verification: none, code: apps, factor: "totp"},
		"nothing pending, a wrong one":                  {verification: none, code: wrong, refused: problem.WrongCode, app: 1},
		"pending, its code":                             {verification: open, code: messages, factor: "message"},
		"pending, the app's":                            {verification: open, code: apps, refused: problem.WrongCode, checks: 1},
		"pending, a wrong one":                          {verification: open, code: wrong, refused: problem.WrongCode, checks: 1},
		"pending for another purpose, the app's":        {verification: paying, code: apps, factor: "totp"},
		"pending for another purpose, its code":         {verification: paying, code: messages, refused: problem.WrongCode, app: 1},
		"approved, the app's":                           {verification: approve, code: apps, factor: "totp"},
		"approved, its code":                            {verification: approve, code: messages, refused: problem.WrongCode, app: 1},
		"canceled, the app's":                           {verification: cancel, code: apps, factor: "totp"},
		"denied, the app's":                             {verification: deny, code: apps, factor: "totp"},
		"expired, the app's":                            {verification: expire, code: apps, factor: "totp"},
		"exhausted, the app's":                          {verification: exhaust, code: apps, factor: "totp"},
		"the purpose is named, the app's":               {verification: none, code: apps, request: request{Purpose: "login"}, refused: problem.NotFound},
		"another purpose is named, the app's":           {verification: paying, code: apps, request: request{Purpose: "pay"}, refused: problem.WrongCode, checks: 1},
		"a context is named, the app's":                 {verification: none, code: apps, request: request{Context: otp.Context{Amount: "EUR 1"}}, refused: problem.NotFound},
		"no app, nothing pending":                       {user: noApp, verification: none, code: wrong, refused: problem.NotFound},
		"no app, approved":                              {user: noApp, verification: approve, code: messages, refused: problem.AlreadyUsed},
		"no app, expired":                               {user: noApp, verification: expire, code: messages, refused: problem.Expired},
		"an unconfirmed app's":                          {user: unconfirmed, verification: none, code: apps, refused: problem.NotFound},
		"nothing pending, a recovery code":              {verification: none, code: paper, factor: "recovery"},
		"pending, a recovery code":                      {verification: open, code: paper, factor: "recovery"},
		"no app, a recovery code":                       {user: noApp, verification: none, code: paper, factor: "recovery"},
		"a wrong recovery code":                         {verification: open, code: forged, refused: problem.WrongCode, recovery: 1},
		"the purpose is named, a recovery code":         {verification: open, code: paper, request: request{Purpose: "login"}, refused: problem.WrongCode, checks: 1},
		"a context is named, a recovery code":           {verification: none, code: paper, request: request{Context: otp.Context{Payee: "x"}}, refused: problem.NotFound},
		"as a message, its code":                        {verification: open, code: messages, request: request{Factor: "message"}, factor: "message"},
		"as a message, nothing pending, the app's":      {verification: none, code: apps, request: request{Factor: "message"}, refused: problem.NotFound},
		"as a message, approved, the app's":             {verification: approve, code: apps, request: request{Factor: "message"}, refused: problem.AlreadyUsed},
		"as a message, a recovery code":                 {verification: open, code: paper, request: request{Factor: "message"}, refused: problem.WrongCode, checks: 1},
		"as a message, its purpose is named":            {verification: paying, code: messages, request: request{Factor: "message", Purpose: "pay"}, factor: "message"},
		"as the app's, pending":                         {verification: open, code: apps, request: request{Factor: "totp"}, factor: "totp"},
		"as the app's, the pending one's":               {verification: open, code: messages, request: request{Factor: "totp"}, refused: problem.WrongCode, app: 1},
		"as the app's, a recovery code":                 {verification: none, code: paper, request: request{Factor: "totp"}, refused: problem.WrongCode, app: 1},
		"as the app's, no app":                          {user: noApp, verification: open, code: apps, request: request{Factor: "totp"}, refused: problem.NotFound},
		"as the app's, an unconfirmed one's":            {user: unconfirmed, verification: open, code: apps, request: request{Factor: "totp"}, refused: problem.NotFound},
		"as a recovery code, pending":                   {verification: open, code: paper, request: request{Factor: "recovery"}, factor: "recovery"},
		"as a recovery code, the app's":                 {verification: none, code: apps, request: request{Factor: "recovery"}, refused: problem.InvalidRequest},
		"as a recovery code, the pending one's":         {verification: open, code: messages, request: request{Factor: "recovery"}, refused: problem.InvalidRequest},
		"as a recovery code, a wrong one":               {verification: open, code: forged, request: request{Factor: "recovery"}, refused: problem.WrongCode, recovery: 1},
		"as a recovery code, none were made":            {user: func(u *user.User) { u.Recovery = recovery.State{} }, verification: open, code: paper, request: request{Factor: "recovery"}, refused: problem.NotFound},
		"none were made, and it looks like one of them": {user: func(u *user.User) { u.Recovery = recovery.State{} }, verification: open, code: paper, refused: problem.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactors(t, tc.user, notify.SMS)
			v, code := tc.verification(f)
			before := 0
			if v.ID != "" {
				_, v = f.Verification(v.ID)
				before = v.Checks
			}
			req := tc.request
			req.User, req.Code = canary, tc.code(f, code)
			if tc.refused != "" {
				f.refused(req, tc.refused)
			} else if a := f.approved(req); a.Factor != tc.factor && (a.Factor != "" || tc.factor != "message" || a.ID != v.ID) {
				t.Errorf("approved %+v, want a code of %s", a, tc.factor)
			}
			f.wantFailures(tc.app, tc.recovery)
			if v.ID != "" && tc.factor != "message" {
				if _, v = f.Verification(v.ID); v.Checks != before+tc.checks {
					t.Errorf("%d checks of the verification are spent, want %d", v.Checks-before, tc.checks)
				}
			}
			// What was taken for something else is not used up.
			if tc.user == nil && tc.factor != "totp" {
				f.approved(ofTOTP(f.shows(0)))
			}
		})
	}
}

// An id or an address is that of a message, whatever the code looks like.
func TestCheck_ByIDOrAddressIsAMessages(t *testing.T) {
	f := newFactors(t, nil, notify.SMS)
	v, code := f.mustStart(otpsend.Request{User: canary})
	for _, req := range []otpverify.Request{{ID: string(v.ID)}, {ID: string(v.ID), User: canary}} {
		for _, code := range []string{f.shows(0), f.codes[0]} {
			req.Code = code
			f.refused(req, problem.WrongCode)
		}
	}
	f.refused(otpverify.Request{To: alice, Code: f.shows(0)}, problem.NotFound) // it was for the user
	f.refused(otpverify.Request{To: alice, Code: f.codes[0]}, problem.NotFound)
	f.wantFailures(0, 0)
	f.approved(otpverify.Request{ID: string(v.ID), Code: code, Factor: otpverify.FactorMessage})
}

func TestCheck_RefusesAFactorThatCannotHoldWhatIsAsked(t *testing.T) {
	f := newFactors(t, nil)
	const id = "VE0123456789abcdef0123456789abcdef"
	for _, factor := range []string{"totp", "recovery"} {
		for name, req := range map[string]otpverify.Request{
			"an id":      {ID: id, User: canary},
			"an id only": {ID: id},
			"an address": {To: alice},
			"a purpose":  {User: canary, Purpose: "login"},
			"an amount":  {User: canary, Context: otp.Context{Amount: "EUR 1"}},
			"a payee":    {User: canary, Context: otp.Context{Payee: "Bakery"}},
		} {
			req.Factor, req.Code = factor, f.shows(0)
			if factor == "recovery" {
				req.Code = f.codes[0]
			}
			e := f.refused(req, problem.InvalidRequest)
			if len(e.Fields) != 1 || e.Fields[0].Name != "factor" {
				t.Errorf("%s, %s: faults %+v", factor, name, e.Fields)
			}
		}
		e := f.refused(otpverify.Request{User: canary, Factor: factor}, problem.InvalidRequest)
		if e.Fields[0].Name != "code" {
			t.Errorf("%s, no code: faults %+v", factor, e.Fields)
		}
		f.refused(otpverify.Request{ID: id, Factor: factor}, problem.InvalidRequest) // it asks of nothing without a code
		f.refused(otpverify.Request{User: "nobody", Factor: factor, Code: foreign}, problem.NotFound)
	}
	for _, factor := range []string{"sms", "TOTP", "canary", " totp"} {
		e := f.refused(otpverify.Request{User: canary, Factor: factor, Code: f.shows(0)}, problem.InvalidRequest)
		if len(e.Fields) != 1 || e.Fields[0].Name != "factor" || strings.Contains(e.Fields[0].Message, "canary") {
			t.Errorf("%q: faults %+v", factor, e.Fields)
		}
	}
	f.wantFailures(0, 0)
}

// What a check costs is what is said of it.
func TestFactors_StorageRoundTrips(t *testing.T) {
	both := func(*user.User) {}
	one := func(u *user.User) { u.Email = "" }
	spent := func(f *factors) {
		v, code := f.mustStart(bySMS(""))
		f.approved(otpverify.Request{ID: string(v.ID), Code: code})
	}
	expired := func(f *factors) {
		f.mustStart(bySMS(""))
		f.Wait(f.Carrier.Policy.TTL)
	}
	for name, tc := range map[string]struct {
		user   func(*user.User)
		before func(*factors)
		code   func(f *factors) string
		factor string
		want   int64
	}{
		"totp":                                 {both, nil, func(f *factors) string { return f.shows(0) }, "totp", 2},
		"totp, wrong":                          {both, nil, (*factors).never, "totp", 2},
		"recovery":                             {both, nil, func(f *factors) string { return f.codes[0] }, "recovery", 5},
		"recovery, wrong":                      {both, nil, func(*factors) string { return foreign }, "recovery", 3},
		"recovery, left out":                   {both, nil, func(f *factors) string { return f.codes[0] }, "", 5},
		"totp, left out, one address":          {one, nil, func(f *factors) string { return f.shows(0) }, "", 4},
		"totp, left out, two addresses":        {both, nil, func(f *factors) string { return f.shows(0) }, "", 6},
		"totp, left out, wrong":                {one, nil, (*factors).never, "", 4},
		"totp, left out, after a message":      {one, spent, func(f *factors) string { return f.shows(0) }, "", 4},
		"totp, left out, after an expired one": {one, expired, func(f *factors) string { return f.shows(0) }, "", 5},
		"a message's, left out, with an app":   {one, nil, func(f *factors) string { _, code := f.mustStart(bySMS("")); return code }, "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactors(t, func(u *user.User) {
				u.PhoneVerified, u.EmailVerified = true, true
				tc.user(u)
			}, notify.SMS)
			if tc.before != nil {
				tc.before(f)
			}
			req := otpverify.Request{User: canary, Factor: tc.factor, Code: tc.code(f)}
			if got := f.Trips(func(ctx context.Context) { _, _ = f.Verify.Check(ctx, req) }); got != tc.want {
				t.Errorf("%d round trips, want %d", got, tc.want)
			}
		})
	}
}
