package otpverify_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/recipient"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/otpverify"
)

const (
	alice = "+14155550123"
	bob   = "+919876543210"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

type bench struct {
	t     *testing.T
	s     *otpverify.Service
	table *faultyTable
	now   time.Time
	n     byte
}

// faultyTable fails as the test says.
type faultyTable struct {
	store.Table
	updates int
	down    bool
	lost    bool // Update keeps its work, and then does not know
}

func (f *faultyTable) Update(ctx context.Context, key store.Key, fn func([]byte) (store.Row, error)) error {
	f.updates++
	if f.down {
		return store.ErrUnavailable
	}
	err := f.Table.Update(ctx, key, fn)
	if f.lost && err == nil {
		return store.ErrUnavailable
	}
	return err
}

func newBench(t *testing.T) *bench {
	t.Helper()
	bolt, err := boltstore.Open(filepath.Join(t.TempDir(), "twofa.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bolt.Close(); err != nil {
			t.Error(err)
		}
	})
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(3*i + 1)
	}
	keys, err := secret.Parse(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, table: &faultyTable{Table: bolt}, now: noon}
	policy := otp.DefaultPolicy()
	policy.ResendAfter = 0
	// Long codes: no two of a test are the same by chance.
	policy.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric}
	b.s = &otpverify.Service{
		Book: &recipient.Book{Table: b.table, Keys: keys}, Policy: policy, Now: func() time.Time { return b.now },
	}
	return b
}

// start makes a verification as otpsend does, and returns it with its code. It
// also returns why there is none.
func (b *bench) start(to, purpose string, c otp.Context) (otp.Verification, string, error) {
	b.t.Helper()
	b.n++
	row := b.s.Book.RowKey(to)
	_, v, err := b.s.Book.Change(context.Background(), row, func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return otp.Start(r, otp.StartRequest{
			ID: otp.NewID(row, [8]byte{b.n}), Nonce: [16]byte{b.n}, Key: b.s.Book.Keys.Current(),
			Address: to, Purpose: purpose, Channel: string(notify.WhatsApp), Context: c,
		}, b.s.Policy, b.now)
	})
	if err != nil {
		return v, "", err
	}
	code, ok := v.Code(b.s.Book.Keys)
	if !ok {
		b.t.Fatal("no code")
	}
	return v, code, nil
}

func (b *bench) mustStart(to, purpose string, c otp.Context) (otp.Verification, string) {
	b.t.Helper()
	v, code, err := b.start(to, purpose, c)
	if err != nil {
		b.t.Fatal(err)
	}
	return v, code
}

func (b *bench) check(req otpverify.Request) (otpverify.Answer, error) {
	return b.s.Check(context.Background(), req)
}

func kindOf(err error) otp.Kind {
	if e, ok := errors.AsType[*otp.Error](err); ok {
		return e.Kind
	}
	return otp.Kind(fmt.Sprint(err))
}

// Attack 5: of all the ways to combine what belongs to different verifications,
// only what belongs together passes.
func TestOnlyWhatBelongsTogetherPasses(t *testing.T) {
	b := newBench(t)
	b.s.Policy.MaxChecks, b.s.Policy.MaxFailuresPerDay = otp.MaxCounted, otp.MaxCounted
	type started struct {
		to, purpose string
		context     otp.Context
		id          otp.ID
		code        string
	}
	var all []started
	for i, to := range []string{alice, bob} {
		for j, purpose := range []string{"login", "payment"} {
			// The same amounts and payees, in other combinations.
			c := otp.Context{Amount: fmt.Sprint("EUR ", i), Payee: fmt.Sprint("Payee ", j)}
			v, code := b.mustStart(to, purpose, c)
			all = append(all, started{to, purpose, c, v.ID, code})
		}
	}
	tried := 0
	wrong := func(req otpverify.Request) {
		t.Helper()
		tried++
		if a, err := b.check(req); err == nil {
			t.Errorf("%+v passed: %+v", req, a)
		} else if kind := kindOf(err); kind != otp.WrongCode && kind != otp.NotFound {
			t.Errorf("%+v: %v", req, err)
		}
	}
	for i, by := range all { // who is asked for
		for j, coded := range all { // whose code
			for k, told := range all { // whose context
				if i == j && j == k {
					continue
				}
				wrong(otpverify.Request{ID: string(by.id), Code: coded.code, Context: told.context})
				wrong(otpverify.Request{To: by.to, Purpose: by.purpose, Code: coded.code, Context: told.context})
			}
		}
		wrong(otpverify.Request{ID: string(by.id), Code: by.code})
		wrong(otpverify.Request{ID: string(by.id), Code: by.code, Context: otp.Context{Amount: by.context.Payee, Payee: by.context.Amount}})
		wrong(otpverify.Request{ID: string(by.id), Code: by.code, Context: otp.Context{Amount: by.context.Amount + by.context.Payee}})
		wrong(otpverify.Request{ID: string(by.id), Code: by.code, Context: otp.Context{Amount: by.context.Amount + " ", Payee: by.context.Payee}})
	}
	for i, v := range all {
		req := otpverify.Request{ID: string(v.id), Code: v.code, Context: v.context}
		if i%2 == 1 {
			req.ID, req.To, req.Purpose = "", v.to, v.purpose
		}
		a, err := b.check(req)
		if err != nil || a.ID != v.id || a.Purpose != v.purpose || a.Status != otp.Approved {
			t.Errorf("%+v: %+v %v", req, a, err)
		}
	}
	if want := 4 * (15*2 + 4); tried != want {
		t.Errorf("%d combinations, want %d", tried, want)
	}
}

// An id with somebody else's address or another purpose beside it is a mix-up of
// the client's, and never passes.
func TestAnIDWithAnothersAddressOrPurposeIsNotApproved(t *testing.T) {
	for name, req := range map[string]otpverify.Request{
		"address":          {To: bob},
		"purpose":          {Purpose: "payment"},
		"address and more": {To: bob, Purpose: "login"},
	} {
		b := newBench(t)
		v, code := b.mustStart(alice, "login", otp.Context{})
		b.mustStart(bob, "login", otp.Context{})
		b.mustStart(alice, "payment", otp.Context{})
		req.ID, req.Code = string(v.ID), code
		if a, err := b.check(req); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// Attack 2: a new code never resets the count of the failures.
func TestNewCodesDoNotResetTheFailuresOfAnAddress(t *testing.T) {
	b := newBench(t)
	b.s.Policy.MaxSends, b.s.Policy.MaxSendsPerDay = otp.MaxCounted, otp.MaxCounted
	evaluated := 0
	var last error
	for range 20 {
		v, _, err := b.start(alice, "login", otp.Context{})
		if last = err; err != nil {
			b.now = b.now.Add(time.Minute)
			continue
		}
		for range 4 {
			_, err := b.check(otpverify.Request{ID: string(v.ID), Code: "WRONG22222"})
			if kindOf(err) == otp.WrongCode {
				evaluated++
			}
		}
		b.now = b.now.Add(time.Minute)
	}
	if evaluated != 10 || kindOf(last) != otp.TooManyChecks {
		t.Errorf("%d wrong codes were evaluated, want 10; the last start: %v", evaluated, last)
	}
	if _, _, err := b.start(bob, "login", otp.Context{}); err != nil {
		t.Errorf("another address: %v", err)
	}
	b.now = b.now.Add(24 * time.Hour) // attack 22: the lock ends by itself
	v, code := b.mustStart(alice, "login", otp.Context{})
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
		t.Error(err)
	}
}

// Attack 15.
func TestExpiryIsExactAndSurvivesAClockThatStepsBack(t *testing.T) {
	b := newBench(t)
	v, code := b.mustStart(alice, "login", otp.Context{})
	b.now = v.ExpiresAt
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); kindOf(err) != otp.KindExpired {
		t.Errorf("at its end: %v", err)
	}
	b.now = v.ExpiresAt.Add(-time.Minute)
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); kindOf(err) != otp.KindExpired {
		t.Errorf("after the clock stepped back: %v", err)
	}
	v, code = b.mustStart(bob, "login", otp.Context{})
	b.now = v.ExpiresAt.Add(-1)
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); err != nil {
		t.Errorf("a nanosecond before: %v", err)
	}
}

// Fail closed: an answer that approves was kept first.
func TestAnApprovalThatWasNotKeptIsNotAnswered(t *testing.T) {
	b := newBench(t)
	v, code := b.mustStart(alice, "login", otp.Context{})
	req := otpverify.Request{ID: string(v.ID), Code: code}
	b.table.down = true
	if a, err := b.check(req); kindOf(err) != otp.StorageUnavailable || a != (otpverify.Answer{}) {
		t.Errorf("down: %+v %v", a, err)
	}
	b.table.down, b.table.lost = false, true
	if a, err := b.check(req); kindOf(err) != otp.StorageUnavailable || a != (otpverify.Answer{}) {
		t.Errorf("lost: %+v %v", a, err)
	}
	b.table.lost = false
	if a, err := b.check(req); kindOf(err) != otp.AlreadyUsed || a != (otpverify.Answer{}) {
		t.Errorf("afterwards: %+v %v", a, err)
	}
}

// What a wrong code finds must not be told while it may not have been counted.
func TestAWrongCodeThatWasNotCountedIsNotTold(t *testing.T) {
	b := newBench(t)
	v, _ := b.mustStart(alice, "login", otp.Context{})
	b.table.lost = true
	_, err := b.check(otpverify.Request{ID: string(v.ID), Code: "WRONG22222"})
	e, ok := errors.AsType[*otp.Error](err)
	if !ok || e.Kind != otp.StorageUnavailable || e.ChecksLeft != nil {
		t.Errorf("answered %+v", err)
	}
}

func TestFaultsOfTheFieldsReachNoStore(t *testing.T) {
	b := newBench(t)
	before := b.table.updates
	for _, req := range []otpverify.Request{
		{}, {Code: "123456"}, {ID: "VE", Code: "123456"}, {To: "415", Code: "123456"}, {To: alice}, {To: alice, Code: "!"},
		{To: alice, Code: strings.Repeat("1", otp.MaxTypedCode+1)}, {To: alice, Purpose: "A", Code: "123456"},
	} {
		if _, err := b.check(req); kindOf(err) != otp.InvalidRequest {
			t.Errorf("%+v: %v", req, err)
		}
	}
	if b.table.updates != before {
		t.Error("the store was asked")
	}
}

// A code of a secret that was rotated out ends, and is not taken for a wrong one.
func TestACodeWhoseSecretIsGoneIsExpired(t *testing.T) {
	b := newBench(t)
	v, code := b.mustStart(alice, "login", otp.Context{})
	_, _, err := b.s.Book.Change(context.Background(), v.ID.RowKey(), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		r.Verifications[0].Key = [4]byte{1, 2, 3, 4}
		return r, otp.Verification{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.check(otpverify.Request{ID: string(v.ID), Code: code}); kindOf(err) != otp.KindExpired {
		t.Errorf("answered %v", err)
	}
}

// A letter may be typed in either case; the alphabet has one.
func TestACodeOfLettersIsReadInEitherCase(t *testing.T) {
	b := newBench(t)
	_, code := b.mustStart(alice, "login", otp.Context{})
	a, err := b.check(otpverify.Request{To: alice, Code: " " + strings.ToLower(code[:5]) + "-" + code[5:]})
	if err != nil || a.To != "+1******0123" || !a.ApprovedAt.Equal(noon) {
		t.Errorf("%+v %v", a, err)
	}
}
