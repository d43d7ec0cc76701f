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

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/otpverify"
)

// factorRig is a rig with a user who has an authenticator app and recovery codes.
type factorRig struct {
	*rig.Rig
	app   totp.Authenticator
	codes []string
}

// newFactors registers the user after change.
func newFactors(t *testing.T, change func(u *user.User), channels ...channel.Channel) *factorRig {
	t.Helper()
	f := &factorRig{Rig: newRig(t, channels...)}
	f.app = totp.Authenticator{
		ID: "TA00000000000000aa", Name: "Canary phone", Secret: []byte("canary-of-20-bytes.."),
		Options: totp.Options{Algorithm: totp.SHA1, Digits: 8, Period: 30},
	}
	f.Secret("a secret", string(f.app.Secret))
	f.Secret("a secret", base32.StdEncoding.EncodeToString(f.app.Secret))
	u := user.User{Name: canary, Phone: alice, Email: mail, TOTP: imported(t, totp.State{}, f.app, noon.Add(-time.Hour))}
	set, err := oneSet()
	if err != nil {
		t.Fatal(err)
	}
	f.codes, u.Recovery = set.codes, set.state
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

// imported returns the state with one more app.
func imported(t *testing.T, old totp.State, app totp.Authenticator, at time.Time) totp.State {
	t.Helper()
	state, err := totp.Import(old, app, at)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// newCodes makes recovery codes under the rig's keys.
func (f *factorRig) newCodes() ([]string, recovery.State) {
	f.TB.Helper()
	codes, state, err := recovery.New(recovery.Slow, rand.Reader, f.Keys, noon)
	if err != nil {
		f.TB.Fatal(err)
	}
	return codes, state
}

type recoverySet struct {
	codes []string
	state recovery.State
}

// oneSet is one set of recovery codes for all tests, because making a set takes
// long. Its keys are those of every new rig.
var oneSet = sync.OnceValues(func() (s recoverySet, err error) {
	keys, err := secret.Parse(fixture.Secret(1))
	if err == nil {
		s.codes, s.state, err = recovery.New(recovery.Slow, rand.Reader, keys, noon.Add(-time.Hour))
	}
	return s, err
})

// appCode is what the app shows some steps from now.
func (f *factorRig) appCode(steps int) string {
	f.TB.Helper()
	code, err := pquernatotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(f.app.Secret), f.Now().Add(time.Duration(steps)*30*time.Second),
		pquernatotp.ValidateOpts{Period: 30, Digits: pquerna.DigitsEight})
	if err != nil {
		f.TB.Fatal(err)
	}
	f.Secret("a code", code)
	return code
}

// wrongAppCode is a code that the app does not show in the steps around now.
func (f *factorRig) wrongAppCode() string {
	for _, code := range []string{"00000000", "11111111"} {
		near := false
		for step := -2; step <= 2; step++ {
			near = near || f.appCode(step) == code
		}
		if !near {
			return code
		}
	}
	panic("two steps of five have both codes")
}

// unknownCode has the form of a recovery code, and no user has it.
const unknownCode = "CANA-RYCA-NARY-CANA"

// digits8 gives messages codes of the app's form.
func digits8(p *otp.Policy) { p.Shape = otp.Shape{Length: 8, Alphabet: otp.Digits} }

func byTOTP(code string) otpverify.Request {
	return otpverify.Request{User: canary, Factor: otpverify.FactorTOTP, Code: code}
}

func byRecovery(code string) otpverify.Request {
	return otpverify.Request{User: canary, Factor: otpverify.FactorRecovery, Code: code}
}

// failures returns how many wrong codes of each factor are stored.
func (f *factorRig) failures() (app, recovery int) {
	f.TB.Helper()
	u := f.Registered(canary)
	return len(u.TOTP.Failures), len(u.Recovery.Failures)
}

func (f *factorRig) wantFailures(app, recovery int) {
	f.TB.Helper()
	if a, r := f.failures(); a != app || r != recovery {
		f.TB.Errorf("%d wrong codes of the app and %d wrong recovery codes are stored, want %d and %d", a, r, app, recovery)
	}
}

func TestCheckTOTP_NamesTheApp(t *testing.T) {
	f := newFactors(t, nil)
	f.Advance(1500 * time.Millisecond)
	a := f.Approve(byTOTP(" " + f.appCode(0)[:4] + "-" + f.appCode(0)[4:]))
	want := otpverify.Answer{Status: otp.Approved, Factor: "totp", User: canary, ApprovedAt: noon.Add(time.Second)}
	app := a.Authenticator
	if a.Authenticator = nil; a != want || app == nil || *app != (otpverify.Authenticator{ID: f.app.ID, Name: f.app.Name}) {
		t.Errorf("got %+v of %+v", a, app)
	}
	if got := f.Registered(canary).TOTP.Authenticators[0].UsedAt; !got.Equal(f.Now()) || f.Sent() != 0 {
		t.Errorf("used at %v, %d messages", got, f.Sent())
	}
}

// R9, attack 19. A code is accepted one step early or late, once, and never after
// one of a later step.
func TestAttack19_R9_AStepOnceAndNeverAfterANewerOne(t *testing.T) {
	for name, steps := range map[string][]struct {
		step int
		want problem.Kind // "": approved
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
					f.Approve(byTOTP(f.appCode(s.step)))
					continue
				}
				f.RefuseCheck(byTOTP(f.appCode(s.step)), s.want)
				wrong++
			}
			f.wantFailures(wrong, 0)
			f.Advance(-30 * time.Second) // a clock that steps back makes no code usable again
			f.RefuseCheck(byTOTP(f.appCode(0)), problem.WrongCode)
			f.RefuseCheck(byTOTP(f.appCode(1)), problem.WrongCode)
		})
	}
}

// Each line of the documentation of Check about requests with and without a
// factor.
func TestCheck_DecidesWhatACodeIs(t *testing.T) {
	// What was started before.
	type before = func(f *factorRig) (otp.Verification, string)
	none := func(*factorRig) (otp.Verification, string) { return otp.Verification{}, "" }
	open := func(f *factorRig) (otp.Verification, string) { return begin(f.Rig, bySMS("")) }
	paying := func(f *factorRig) (otp.Verification, string) { return begin(f.Rig, bySMS("pay")) }
	ended := func(end func(f *factorRig, id otp.ID, code string)) before {
		return func(f *factorRig) (otp.Verification, string) {
			v, code := open(f)
			end(f, v.ID, code)
			return v, code
		}
	}
	approved := ended(func(f *factorRig, id otp.ID, code string) { f.Approve(rig.ByID(id, code)) })
	canceled := ended(func(f *factorRig, id otp.ID, _ string) { f.MustCancel(id) })
	denied := ended(func(f *factorRig, _ otp.ID, _ string) { receive(f.Rig, alice, "NO") })
	expired := ended(func(f *factorRig, _ otp.ID, _ string) { f.Advance(f.Verify.Policy.TTL) })
	exhausted := ended(func(f *factorRig, id otp.ID, _ string) { exhaust(f.Rig, id) })
	// The code that is typed; sent is the message's.
	message := func(_ *factorRig, sent string) string { return sent }
	app := func(f *factorRig, _ string) string { return f.appCode(0) }
	wrong := func(f *factorRig, _ string) string { return f.wrongAppCode() }
	paper := func(f *factorRig, _ string) string { return f.codes[3] }
	unknown := func(*factorRig, string) string { return unknownCode }
	// The user.
	noApp := func(u *user.User) { u.TOTP = totp.State{} }
	unconfirmed := func(u *user.User) {
		u.TOTP.Authenticators[0].ConfirmedAt, u.TOTP.Authenticators[0].CreatedAt = time.Time{}, noon
	}
	noCodes := func(u *user.User) { u.Recovery = recovery.State{} }

	type request = otpverify.Request
	for name, tc := range map[string]struct {
		user          func(*user.User)
		before        before
		code          func(f *factorRig, sent string) string
		request       request
		factor        string       // of the approval; "message" is left out of the answer
		refused       problem.Kind // instead of an approval
		checks        int          // spent on the verification
		app, recovery int          // wrong codes counted
	}{
		"nothing pending, the app's":                   {before: none, code: app, factor: "totp"},
		"nothing pending, a wrong one":                 {before: none, code: wrong, refused: problem.WrongCode, app: 1},
		"pending, its code":                            {before: open, code: message, factor: "message"},
		"pending, the app's":                           {before: open, code: app, factor: "totp"},
		"pending, a wrong one":                         {before: open, code: wrong, refused: problem.WrongCode, app: 1},
		"pending for another purpose, the app's":       {before: paying, code: app, factor: "totp"},
		"pending for another purpose, its code":        {before: paying, code: message, refused: problem.InvalidRequest},
		"approved, the app's":                          {before: approved, code: app, factor: "totp"},
		"approved, its code":                           {before: approved, code: message, refused: problem.InvalidRequest},
		"canceled, the app's":                          {before: canceled, code: app, factor: "totp"},
		"denied, the app's":                            {before: denied, code: app, factor: "totp"},
		"expired, the app's":                           {before: expired, code: app, factor: "totp"},
		"exhausted, the app's":                         {before: exhausted, code: app, factor: "totp"},
		"with the purpose, the app's":                  {before: none, code: app, request: request{Purpose: "login"}, refused: problem.NotFound},
		"with another purpose, the app's":              {before: paying, code: app, request: request{Purpose: "pay"}, refused: problem.InvalidRequest},
		"with a context, the app's":                    {before: none, code: app, request: request{Transaction: otp.Transaction{Amount: "EUR 1"}}, refused: problem.NotFound},
		"no app, nothing pending":                      {user: noApp, before: none, code: wrong, refused: problem.NotFound},
		"no app, approved":                             {user: noApp, before: approved, code: message, refused: problem.AlreadyUsed},
		"no app, expired":                              {user: noApp, before: expired, code: message, refused: problem.Expired},
		"an unconfirmed app's":                         {user: unconfirmed, before: none, code: app, refused: problem.NotFound},
		"nothing pending, a recovery code":             {before: none, code: paper, factor: "recovery"},
		"pending, a recovery code":                     {before: open, code: paper, factor: "recovery"},
		"no app, a recovery code":                      {user: noApp, before: none, code: paper, factor: "recovery"},
		"a wrong recovery code":                        {before: open, code: unknown, refused: problem.WrongCode, recovery: 1},
		"with the purpose, a recovery code":            {before: open, code: paper, request: request{Purpose: "login"}, refused: problem.InvalidRequest},
		"with a context, a recovery code":              {before: none, code: paper, request: request{Transaction: otp.Transaction{Payee: "x"}}, refused: problem.NotFound},
		"as a message, its code":                       {before: open, code: message, request: request{Factor: "message"}, factor: "message"},
		"as a message, nothing pending, the app's":     {before: none, code: app, request: request{Factor: "message"}, refused: problem.NotFound},
		"as a message, approved, the app's":            {before: approved, code: app, request: request{Factor: "message"}, refused: problem.AlreadyUsed},
		"as a message, a recovery code":                {before: open, code: paper, request: request{Factor: "message"}, refused: problem.InvalidRequest},
		"as a message, with its purpose":               {before: paying, code: message, request: request{Factor: "message", Purpose: "pay"}, factor: "message"},
		"as the app's, pending":                        {before: open, code: app, request: request{Factor: "totp"}, factor: "totp"},
		"as the app's, the pending one's":              {before: open, code: message, request: request{Factor: "totp"}, refused: problem.InvalidRequest},
		"as the app's, a recovery code":                {before: none, code: paper, request: request{Factor: "totp"}, refused: problem.InvalidRequest},
		"as the app's, no app":                         {user: noApp, before: open, code: app, request: request{Factor: "totp"}, refused: problem.NotFound},
		"as the app's, an unconfirmed one's":           {user: unconfirmed, before: open, code: app, request: request{Factor: "totp"}, refused: problem.NotFound},
		"as a recovery code, pending":                  {before: open, code: paper, request: request{Factor: "recovery"}, factor: "recovery"},
		"as a recovery code, the app's":                {before: none, code: app, request: request{Factor: "recovery"}, refused: problem.InvalidRequest},
		"as a recovery code, the pending one's":        {before: open, code: message, request: request{Factor: "recovery"}, refused: problem.InvalidRequest},
		"as a recovery code, a wrong one":              {before: open, code: unknown, request: request{Factor: "recovery"}, refused: problem.WrongCode, recovery: 1},
		"as a recovery code, the user has none":        {user: noCodes, before: open, code: paper, request: request{Factor: "recovery"}, refused: problem.NotFound},
		"it looks like a recovery code, user has none": {user: noCodes, before: open, code: paper, refused: problem.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactors(t, tc.user, channel.SMS)
			v, sent := tc.before(f)
			checks := 0
			if v.ID != "" {
				_, v = f.Verification(v.ID)
				checks = v.Checks + tc.checks
			}
			req := tc.request
			req.User, req.Code = canary, tc.code(f, sent)
			if tc.refused != "" {
				f.RefuseCheck(req, tc.refused)
			} else if a := f.Approve(req); a.Factor != tc.factor && (a.Factor != "" || tc.factor != "message" || a.ID != v.ID) {
				t.Errorf("approved %+v, want a code of %s", a, tc.factor)
			}
			f.wantFailures(tc.app, tc.recovery)
			if v.ID != "" && tc.factor != "message" {
				if _, v = f.Verification(v.ID); v.Checks != checks {
					t.Errorf("the verification has %d checks, want %d", v.Checks, checks)
				}
			}
			// An app's code that was taken for another factor is not used up.
			if tc.user == nil && tc.factor != "totp" {
				f.Approve(byTOTP(f.appCode(0)))
			}
		})
	}
}

// With an id or an address the code is a message's, whatever it looks like.
func TestCheck_ByIDOrAddressIsAMessages(t *testing.T) {
	f := newFactors(t, nil, channel.SMS)
	v, sent := begin(f.Rig, toUser)
	for _, code := range []string{f.appCode(0), f.codes[0]} {
		f.RefuseCheck(rig.ByID(v.ID, code), problem.InvalidRequest) // it has not the form of the message's
		f.RefuseCheck(otpverify.Request{ID: string(v.ID), User: canary, Code: code}, problem.InvalidRequest)
		f.RefuseCheck(otpverify.Request{To: alice, Code: code}, problem.NotFound) // the verification is the user's
	}
	f.wantFailures(0, 0)
	f.Approve(otpverify.Request{ID: string(v.ID), Code: sent, Factor: otpverify.FactorMessage})
}

func TestCheck_RefusesAFactorThatDoesNotFitTheRequest(t *testing.T) {
	f := newFactors(t, nil)
	const id = "VE0123456789abcdef0123456789abcdef"
	wantFault := func(req otpverify.Request, field string) {
		t.Helper()
		e := f.RefuseCheck(req, problem.InvalidRequest)
		if e.Fields[0].Name != field || field == "factor" && len(e.Fields) != 1 || strings.Contains(e.Fields[0].Message, "canary") {
			t.Errorf("%+v: faults %+v, want %s", req, e.Fields, field)
		}
	}
	for factor, code := range map[string]string{"totp": f.appCode(0), "recovery": f.codes[0]} {
		for _, req := range []otpverify.Request{
			{ID: id, User: canary},
			{ID: id},
			{To: alice},
			{User: canary, Purpose: "login"},
			{User: canary, Transaction: otp.Transaction{Amount: "EUR 1"}},
			{User: canary, Transaction: otp.Transaction{Payee: "Bakery"}},
		} {
			req.Factor, req.Code = factor, code
			wantFault(req, "factor")
		}
		wantFault(otpverify.Request{User: canary, Factor: factor}, "code")
		f.RefuseCheck(otpverify.Request{ID: id, Factor: factor}, problem.InvalidRequest) // only an inbound check has no code
		f.RefuseCheck(otpverify.Request{User: "nobody", Factor: factor, Code: unknownCode}, problem.NotFound)
	}
	for _, factor := range []string{"sms", "TOTP", "canary", " totp"} {
		wantFault(otpverify.Request{User: canary, Factor: factor, Code: f.appCode(0)}, "factor")
	}
	f.wantFailures(0, 0)
}

// The round trips of a check are as documented.
func TestFactors_StorageRoundTrips(t *testing.T) {
	app := func(f *factorRig) string { return f.appCode(0) }
	paper := func(f *factorRig) string { return f.codes[0] }
	for name, tc := range map[string]struct {
		addresses int // of the user
		before    func(*factorRig)
		code      func(f *factorRig) string
		factor    string
		want      int64
	}{
		"totp":                              {2, nil, app, "totp", 2},
		"totp, wrong":                       {2, nil, (*factorRig).wrongAppCode, "totp", 2},
		"recovery":                          {2, nil, paper, "recovery", 5},
		"recovery, wrong":                   {2, nil, func(*factorRig) string { return unknownCode }, "recovery", 3},
		"no factor, recovery":               {2, nil, paper, "", 5},
		"no factor, totp, one address":      {1, nil, app, "", 3},
		"no factor, totp, two addresses":    {2, nil, app, "", 3},
		"no factor, totp, beside a message": {1, func(f *factorRig) { begin(f.Rig, bySMS("")) }, app, "", 3},
		"no factor, wrong, with a message":  {1, func(f *factorRig) { begin(f.Rig, bySMS("")) }, (*factorRig).wrongAppCode, "", 4},
		"no factor, message of its form":    {1, nil, func(f *factorRig) string { f.Policy(digits8); _, code := begin(f.Rig, bySMS("")); return code }, "", 7},
		"no factor, totp, wrong":            {1, nil, (*factorRig).wrongAppCode, "", 4},
		"no factor, message, with an app":   {1, nil, func(f *factorRig) string { _, code := begin(f.Rig, bySMS("")); return code }, "", 3},
		"no factor, totp, after a message":  {1, func(f *factorRig) { v, code := begin(f.Rig, bySMS("")); f.Approve(rig.ByID(v.ID, code)) }, app, "", 3},
		"no factor, totp, after an expired": {1, func(f *factorRig) { begin(f.Rig, bySMS("")); f.Advance(f.Verify.Policy.TTL) }, app, "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactors(t, func(u *user.User) {
				if verified(u); tc.addresses == 1 {
					u.Email = ""
				}
			}, channel.SMS)
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
