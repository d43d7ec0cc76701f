package otpverify_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/receipt"
	"twofa/internal/store"
	"twofa/internal/testing/rig"
	"twofa/internal/totp"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
)

const issuer = "https://twofa.example.com"

// newReceiptRig is newUserRig of a service that signs receipts.
func newReceiptRig(t *testing.T) *rig.Rig {
	t.Helper()
	r := rig.With(t, func(s *config.Settings, _ *app.Parts) { s.PublicURL = issuer }, channel.WhatsApp, channel.SMS, channel.Email)
	r.Policy(func(p *otp.Policy) {
		p.ResendAfter = 0
		p.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}
	})
	u := user.User{Name: canary, Phone: alice, Email: mail}
	verified(&u)
	r.User(u)
	return r
}

// withReceipt is a check that asks for a receipt.
func withReceipt(req otpverify.Request) otpverify.Request {
	req.Receipt = true
	return req
}

// claimsOf returns the claims of an approval's receipt. The tests of package receipt check
// signatures.
func claimsOf(t *testing.T, a otpverify.Answer) map[string]any {
	t.Helper()
	parts := strings.Split(a.Receipt, ".")
	if len(parts) != 3 {
		t.Fatalf("no receipt: %+v", a)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err := errors.Join(err, json.Unmarshal(text, &claims)); err != nil {
		t.Fatal(err)
	}
	return claims
}

func wantClaims(t *testing.T, claims map[string]any, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if claims[name] != value {
			t.Errorf("%s is %v, want %v", name, claims[name], value)
		}
	}
}

// as returns a context of a request of a client.
func as(r *rig.Rig, c client.Client) context.Context { return client.With(r.Ctx(), c) }

func TestReceipt_SaysWhatTheApprovalSays(t *testing.T) {
	t.Parallel()
	r := newReceiptRig(t)
	payment := otp.Transaction{Amount: "10 €", Payee: "Zoë"}
	v, code := begin(r, otpsend.Request{To: alice, Channel: "sms", Purpose: "payment", Transaction: payment})
	req := withReceipt(rig.ByID(v.ID, code))
	req.Transaction = otp.Transaction{Amount: "10\u00a0€", Payee: "Zoe\u0308"} // the same, in another form
	a := r.Approve(req)
	if a.Transaction != payment {
		t.Errorf("the approval has the context %q, want %q", a.Transaction, payment)
	}
	wantClaims(t, claimsOf(t, a), map[string]any{
		"iss": issuer, "aud": "twofa", "purpose": "payment", "channel": "sms", "phone_number": alice,
		"context_hash": "5JOHGFKpec5RpYhRl6wvGjNNhPATgE4CVtKq7tgsMZo", "email": nil, "test": nil,
	})
}

func TestReceipt_OnlyIfItIsAskedFor(t *testing.T) {
	t.Parallel()
	r := newReceiptRig(t)
	v, code := begin(r, toAlice)
	if a := r.Approve(rig.ByID(v.ID, code)); a.Receipt != "" {
		t.Errorf("a receipt that nobody asked for: %+v", a)
	}
}

// Without TWOFA_PUBLIC_URL there is no issuer. The request is refused before a try is spent,
// whichever factor it is about.
func TestReceipt_WithoutAPublicURLNoTryIsSpent(t *testing.T) {
	t.Parallel()
	r := newUserRig(t, verified)
	v, code := begin(r, toAlice)
	for name, req := range map[string]otpverify.Request{
		"right": rig.ByID(v.ID, code), "wrong": rig.ByID(v.ID, r.Wrong(v.ID)), "claim": {ID: string(v.ID)},
		"app": {User: canary, Code: "123456", Factor: otpverify.FactorTOTP}, "recovery": {User: canary, Code: "ABCD-EFGH-JKMN-PQRS", Factor: otpverify.FactorRecovery},
	} {
		e := r.RefuseCheck(withReceipt(req), problem.InvalidRequest)
		found := false
		for _, f := range e.Fields {
			found = found || f.Name == "receipt" && strings.Contains(f.Message, "TWOFA_PUBLIC_URL")
		}
		if !found {
			t.Errorf("%s: %+v does not name the setting", name, e.Fields)
		}
	}
	if _, now := r.Verification(v.ID); now.Checks != 0 || now.Status != otp.Pending {
		t.Errorf("%d checks are spent, status %s", now.Checks, now.Status)
	}
	r.Approve(rig.ByID(v.ID, code))
}

// The address is told to a client that gave it or may read users; every client gets a
// subject of its own for it.
func TestReceipt_TellsTheAddressToWhomMayKnowIt(t *testing.T) {
	t.Parallel()
	r := newReceiptRig(t)
	scopes := func(id string, more ...client.Scope) client.Client {
		return client.Client{ID: id, Directory: client.MainDirectory, Scopes: append(more, client.ScopeSend, client.ScopeCheck)}
	}
	subjects := make(map[any]string)
	for _, tc := range []struct {
		name   string
		client client.Client
		start  otpsend.Request
		number any
	}{
		{"an address", scopes("a"), toAlice, alice},
		{"a user", scopes("b"), bySMS("login"), nil},
		{"a user, users:read", scopes("c", client.ScopeUsersRead), bySMS("login"), alice},
		{"a user, users", scopes("d", client.ScopeUsers), bySMS("login"), alice},
	} {
		started, _, err := r.Send.Start(as(r, tc.client), tc.start, "")
		if err != nil {
			t.Fatal(tc.name, err)
		}
		a, err := r.Verify.Check(as(r, tc.client), withReceipt(rig.ByID(started.ID, r.Code(started.ID))))
		if err != nil {
			t.Fatal(tc.name, err)
		}
		claims := claimsOf(t, a)
		wantClaims(t, claims, map[string]any{"aud": tc.client.ID, "phone_number": tc.number, "email": nil})
		if other, taken := subjects[claims["sub"]]; taken {
			t.Errorf("%s and %s have one subject", tc.name, other)
		}
		subjects[claims["sub"]] = tc.name
	}
}

// The subject is of the address, whether it was given or is a user's. If both addresses of
// a user got the code, it is of the user, and the receipt names neither.
func TestReceipt_SubjectIsOfTheAddressThatACodeReached(t *testing.T) {
	t.Parallel()
	r := newReceiptRig(t)
	subject := func(req otpsend.Request, then func(otp.ID)) map[string]any {
		v, code := begin(r, req)
		if then != nil {
			then(v.ID)
		}
		return claimsOf(t, r.Approve(withReceipt(rig.ByID(v.ID, code))))
	}
	given, users := subject(otpsend.Request{To: alice, Channel: "sms"}, nil), subject(bySMS("login"), nil)
	if given["sub"] != users["sub"] {
		t.Error("one address has two subjects")
	}
	if byMail := subject(byEmail("mail"), nil); byMail["sub"] == users["sub"] || byMail["email"] != mail {
		t.Errorf("another address: %v", byMail)
	}
	both := subject(otpsend.Request{User: canary, Channels: []channel.Channel{"sms", "email"}, Purpose: "both"}, func(id otp.ID) { r.MustResend(id, "email") })
	if both["sub"] == users["sub"] || both["phone_number"] != nil || both["email"] != nil {
		t.Errorf("two addresses got the code: %v", both)
	}
	id, text := r.StartInbound(otpsend.Request{User: canary, Purpose: "inbound"})
	receive(r, alice, text)
	inbound := claimsOf(t, r.Approve(withReceipt(otpverify.Request{ID: string(id)})))
	wantClaims(t, inbound, map[string]any{"sub": users["sub"], "channel": "inbound", "phone_number": alice})
}

// Apps and recovery codes prove no address. A receipt says for which user of which
// directory they are.
func TestReceipt_OfFactorsThatNeedNoMessage(t *testing.T) {
	t.Parallel()
	f := newFactors(t, nil)
	f.Verify.Receipts = receipt.New(f.Keys, issuer, f.Now)
	app := claimsOf(t, f.Approve(withReceipt(byUser(f.appCode(0)))))
	code := claimsOf(t, f.Approve(withReceipt(byRecovery(f.codes[0]))))
	if amr, ok := app["amr"].([]any); !ok || len(amr) != 1 || amr[0] != "otp" || code["amr"] != nil {
		t.Errorf("amr of an app %v, of a recovery code %v", app["amr"], code["amr"])
	}
	for _, claims := range []map[string]any{app, code} {
		wantClaims(t, claims, map[string]any{"sub": app["sub"], "phone_number": nil, "email": nil, "purpose": nil, "channel": nil})
	}
	other := user.User{Name: canary, Directory: "staff", TOTP: imported(t, totp.State{}, f.app, noon.Add(-time.Hour))}
	f.User(other)
	a, err := f.Verify.Check(as(f.Rig, client.Client{Directory: "staff"}), withReceipt(byUser(f.appCode(1))))
	if err != nil {
		t.Fatal(err)
	}
	if claimsOf(t, a)["sub"] == app["sub"] {
		t.Error("users of two directories have one subject")
	}
}

// R29: the code of a test number proves nothing. Only a client that has asked for it gets
// such receipts, which say so and have a subject of their own.
func TestR29_ATestNumberHasNoReceiptUnlessTheClientWantsIt(t *testing.T) {
	t.Parallel()
	r := newReceiptRig(t)
	v, code := begin(r, toAlice)
	real := claimsOf(t, r.Approve(withReceipt(rig.ByID(v.ID, code))))
	testNumber(r, "ABCDEFGHJK")
	for _, tc := range []struct {
		name   string
		client client.Client
		want   bool
	}{
		{"nameless", client.Nameless, false},
		{"without test_numbers", client.Client{ID: "a", Scopes: []client.Scope{"send", "check", "users"}}, false},
		{"with test_numbers", client.Client{ID: "b", Scopes: []client.Scope{"send", "check"}, TestNumbers: true}, true},
	} {
		started, _, err := r.Send.Start(as(r, tc.client), toAlice, "")
		if err != nil {
			t.Fatal(tc.name, err)
		}
		a, err := r.Verify.Check(as(r, tc.client), withReceipt(rig.ByID(started.ID, "ABCDEFGHJK")))
		if err != nil || !a.Test || a.Status != otp.Approved || (a.Receipt != "") != tc.want {
			t.Errorf("%s: %+v %v", tc.name, a, err)
			continue
		}
		if tc.want {
			claims := claimsOf(t, a)
			wantClaims(t, claims, map[string]any{"test": true, "aud": "b", "phone_number": alice})
			asTest := r.Keys.Subject("test\x00b\x00" + alice)
			wantClaims(t, claims, map[string]any{"sub": base64.RawURLEncoding.EncodeToString(asTest[:])})
		}
	}
	if real["test"] != nil {
		t.Error("a real number is marked as a test")
	}
}

// What fails before the approval is stored is an error without a receipt. What fails in
// signing leaves the approval.
func TestR16_AReceiptIsMadeOfAStoredApprovalOnly(t *testing.T) {
	t.Parallel()
	r := newReceiptRig(t)
	v, code := begin(r, toAlice)
	for _, req := range []otpverify.Request{rig.ByID(v.ID, r.Wrong(v.ID)), rig.ByID(v.ID, "x")} {
		if a, err := r.Check(withReceipt(req)); err == nil {
			t.Errorf("approved: %+v", a)
		}
	}
	r.Table.Before(func(c rig.Call) error {
		if c.Method == "Get" {
			return nil
		}
		return store.ErrUnavailable
	})
	r.RefuseCheck(withReceipt(rig.ByID(v.ID, code)), problem.StorageUnavailable)
	r.Table.Before(nil)
	if _, now := r.Verification(v.ID); now.Status != otp.Pending {
		t.Fatal(now.Status)
	}

	// An approval that names nobody cannot be signed: here, one whose only message has
	// failed.
	r.Rewrite(v.ID, func(old *otp.Recipient) { old.Verifications[0].Attempts[0].Status = otp.Failed })
	ctx := r.Ctx()
	a, err := r.Verify.Check(ctx, withReceipt(rig.ByID(v.ID, code)))
	if err != nil || a.Status != otp.Approved || a.Receipt != "" {
		t.Errorf("an approval that cannot be signed: %+v, %v", a, err)
	}
	r.RefuseCheck(withReceipt(rig.ByID(v.ID, code)), problem.AlreadyUsed)
}
