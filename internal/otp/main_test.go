package otp_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/secret"
)

func TestMain(m *testing.M) {
	// Daily limits need longer runs than rapid's default of 30 steps. A flag on
	// the command line still wins: m.Run parses it after this.
	if err := flag.Set("rapid.steps", "120"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

const (
	alice      = "+14155550123"
	aliceEmail = "alice@example.com"
	bob        = "+919876543210"
)

// noon is when most tests begin: a whole second, far from any edge.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// keyring is the real one, over a secret that is the same in every run.
var keyring = mustParse(fixedSecret(1))

// fixedSecret is bytes seed, seed+1, ... in the form that the setting has.
func fixedSecret(seed byte) string {
	b := make([]byte, 32)
	for i := range b {
		b[i] = seed + byte(i)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func mustParse(setting string) *secret.Keyring {
	ring, err := secret.Parse(setting)
	if err != nil {
		panic(err)
	}
	return ring
}

// quiet is the default policy without the pause between sends, for tests that
// are about something else.
func quiet() otp.Policy {
	p := otp.DefaultPolicy()
	p.ResendAfter = 0
	return p
}

// bench drives one recipient. It keeps the recipient that a transition returns
// in every case, as the contract asks.
type bench struct {
	t      rapid.TB
	r      otp.Recipient
	p      otp.Policy
	keys   otp.Keys
	now    time.Time
	nextID uint64
}

func newBench(t rapid.TB, p otp.Policy) *bench {
	return &bench{t: t, p: p, keys: keyring, now: noon}
}

func (b *bench) request(address, purpose string, c otp.Context) otp.StartRequest {
	b.nextID++
	req := otp.StartRequest{
		ID: newID(address, b.nextID), Key: keyring.Current(),
		Address: address, Purpose: purpose, Workflow: []string{"whatsapp"}, Context: c,
	}
	binary.BigEndian.PutUint64(req.Nonce[8:], b.nextID)
	return req
}

func newID(address string, n uint64) otp.ID {
	var random [8]byte
	binary.BigEndian.PutUint64(random[:], n)
	return otp.NewID(otp.RowKey(keyring.Index(address)), random)
}

func (b *bench) tryStart(purpose string) (otp.Verification, error) {
	var v otp.Verification
	var err error
	b.r, v, err = otp.Start(b.r, b.request(alice, purpose, otp.Context{}), b.p, b.now)
	return v, err
}

func (b *bench) start(purpose string) otp.Verification {
	b.t.Helper()
	v, err := b.tryStart(purpose)
	if err != nil {
		b.t.Fatalf("start %q at %v: %v", purpose, b.now.Sub(noon), err)
	}
	return v
}

// startWith is a start of its own purpose, with something changed in the request.
func (b *bench) startWith(change func(*otp.StartRequest)) otp.Verification {
	b.t.Helper()
	req := b.request(alice, "login", otp.Context{})
	change(&req)
	var v otp.Verification
	var err error
	if b.r, v, err = otp.Start(b.r, req, b.p, b.now); err != nil {
		b.t.Fatalf("start of %+v at %v: %v", req, b.now.Sub(noon), err)
	}
	return v
}

// startOver starts a verification with that workflow.
func (b *bench) startOver(workflow ...string) otp.Verification {
	b.t.Helper()
	return b.startWith(func(req *otp.StartRequest) {
		req.Workflow = workflow
		if slices.Contains(workflow, "email") {
			req.Other = aliceEmail
		}
	})
}

func (b *bench) resend(v otp.Verification, channel string) error {
	var err error
	b.r, _, err = otp.Resend(b.r, otp.ResendRequest{ID: v.ID, Channel: channel}, b.p, b.now)
	return err
}

// follow tells news of a message and returns the verification as it is then.
func (b *bench) follow(g otp.Progress) (v otp.Verification, begun bool) {
	b.t.Helper()
	var err error
	if b.r, v, begun, err = otp.Follow(b.r, g, b.p, b.now); err != nil {
		b.t.Fatalf("follow of %+v at %v: %v", g, b.now.Sub(noon), err)
	}
	return v, begun
}

// report tells how far message n has come, without any failure's details.
func (b *bench) report(v otp.Verification, n int, status otp.DeliveryStatus) otp.Verification {
	b.t.Helper()
	v, _ = b.follow(otp.Progress{ID: v.ID, Attempt: n, Status: status})
	return v
}

// fail tells that message n failed, and what may follow.
func (b *bench) fail(v otp.Verification, n int, next otp.Next) (otp.Verification, bool) {
	b.t.Helper()
	return b.follow(otp.Progress{ID: v.ID, Attempt: n, Status: otp.Failed, Error: 63024, Next: next})
}

func (b *bench) check(v otp.Verification, code string) error {
	var err error
	b.r, _, err = otp.Check(b.r, otp.CheckRequest{ID: v.ID, Code: code}, b.keys, b.p, b.now)
	return err
}

func (b *bench) right(v otp.Verification) error { return b.check(v, codeOf(b.t, v)) }
func (b *bench) wrong(v otp.Verification) error { return b.check(v, wrongCode(codeOf(b.t, v))) }

func (b *bench) status(v otp.Verification) otp.Status {
	b.t.Helper()
	return b.found(v).Status
}

// found is the verification as the recipient has it.
func (b *bench) found(v otp.Verification) otp.Verification {
	b.t.Helper()
	found, err := b.r.Find(v.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

// channels is the channels of a verification's messages, oldest first.
func channels(v otp.Verification) []string {
	var all []string
	for _, a := range v.Attempts {
		all = append(all, a.Channel)
	}
	return all
}

func codeOf(t rapid.TB, v otp.Verification) string {
	t.Helper()
	code, ok := v.Code(keyring)
	if !ok {
		t.Fatal("the verification has no code")
	}
	return code
}

// wrongCode differs from code in its last character only.
func wrongCode(code string) string {
	last := byte('2')
	if code[len(code)-1] == last {
		last = '3'
	}
	return code[:len(code)-1] + string(last)
}

// kindOf is the kind of a refusal, "" for none. Any other error fails the test.
func kindOf(t rapid.TB, err error) problem.Kind {
	t.Helper()
	if err == nil {
		return ""
	}
	return refusal(t, err).Kind
}

func refusal(t rapid.TB, err error) *problem.Error {
	t.Helper()
	var e *problem.Error
	if !errors.As(err, &e) || e == nil {
		t.Fatalf("got error %#v, want an *problem.Error", err)
	}
	return e
}

func wantKind(t rapid.TB, err error, want problem.Kind) {
	t.Helper()
	if got := kindOf(t, err); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func wantRefusal(t rapid.TB, err error, want problem.Kind, retryAfter time.Duration) {
	t.Helper()
	if err == nil {
		t.Errorf("got no error, want %q", want)
		return
	}
	e := refusal(t, err)
	if e.Kind != want || e.RetryAfter != retryAfter {
		t.Errorf("got %q, retry after %v; want %q, retry after %v", e.Kind, e.RetryAfter, want, retryAfter)
	}
}

// same compares recipients; an empty list is the same as none.
func same(a, b otp.Recipient) bool {
	return reflect.DeepEqual(deepCopy(a), deepCopy(b))
}

// alike compares verifications in the same way.
func alike(a, b otp.Verification) bool {
	return reflect.DeepEqual(copyOf(a), copyOf(b))
}

// deepCopy shares no memory with r, and has nil for an empty list.
func deepCopy(r otp.Recipient) otp.Recipient {
	all := r.Verifications
	r.Verifications = nil
	for _, v := range all {
		r.Verifications = append(r.Verifications, copyOf(v))
	}
	r.Sends = append([]time.Time(nil), r.Sends...)
	r.Failures = append([]time.Time(nil), r.Failures...)
	r.Replays = append([]otp.Replay(nil), r.Replays...)
	return r
}

func copyOf(v otp.Verification) otp.Verification {
	v.Workflow = append([]string(nil), v.Workflow...)
	v.Attempts = append([]otp.Attempt(nil), v.Attempts...)
	return v
}
