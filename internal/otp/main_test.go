package otp_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

func TestMain(m *testing.M) {
	// Daily limits need longer runs than rapid's default of 30 steps. A flag on
	// the command line takes precedence: m.Run parses it after this.
	if err := flag.Set("rapid.steps", "120"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// keyringSecret ends with the secret of the bytes 1 to 32. The rows of version 1 in
// row1_test.go were written with it.
const keyringSecret = "Iq8Vt0lnc6PzXkT2dYw5oJ1mBhRe9uGsDQ7Cx4NfLaA=,AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

var keyring = mustParse(keyringSecret)

func mustParse(setting string) *secret.Keyring {
	ring, err := secret.Parse(setting)
	if err != nil {
		panic(err)
	}
	return ring
}

// server is the server of the nameless client, who calls in most tests.
var server otp.Caller

// all belong to an erasure.
func all(string) bool { return true }

// one returns the tallies of a recipient with that one caller.
func one(t otp.Tally) []otp.Tally { return []otp.Tally{t} }

// quiet is the default policy without the pause between sends, for tests that
// are about something else.
func quiet() otp.Policy {
	p := otp.DefaultPolicy()
	p.ResendAfter = 0
	return p
}

// rig drives one recipient. It keeps the recipient that a transition returns,
// also beside an error, as every caller has to.
type rig struct {
	t      rapid.TB
	kept   otp.Recipient
	policy otp.Policy
	keys   otp.Keys
	now    time.Time
	nextID uint64
}

func newRig(t rapid.TB, p otp.Policy) *rig {
	return &rig{t: t, policy: p, keys: keyring, now: fixture.Noon}
}

// begin returns a rig with one verification over the workflow, by default over
// WhatsApp.
func begin(t rapid.TB, p otp.Policy, workflow ...channel.Channel) (*rig, otp.Verification) {
	t.Helper()
	r := newRig(t, p)
	if len(workflow) == 0 {
		workflow = []channel.Channel{channel.WhatsApp}
	}
	return r, r.startOver(workflow...)
}

func (r *rig) request(address, purpose string, c otp.Transaction) otp.StartRequest {
	r.nextID++
	req := otp.StartRequest{
		ID: newID(address, r.nextID), Key: keyring.Current(),
		Address: address, Purpose: purpose, Workflow: []channel.Channel{channel.WhatsApp}, Transaction: c,
	}
	binary.BigEndian.PutUint64(req.Nonce[8:], r.nextID)
	return req
}

// newID returns an id of the former form. The transitions do not look into ids.
func newID(address string, n uint64) otp.ID {
	row := otp.NewRowKey(keyring.Index(address)).Bytes()
	return otp.NewID([16]byte(binary.BigEndian.AppendUint64(row[:], n)))
}

func (r *rig) apply(req otp.StartRequest) (v otp.Verification, err error) {
	r.kept, v, err = otp.Start(r.kept, req, r.policy, r.now)
	return v, err
}

func (r *rig) tryStart(purpose string) (otp.Verification, error) {
	return r.apply(r.request(fixture.Alice, purpose, otp.Transaction{}))
}

// startError is the error of a start.
func (r *rig) startError(purpose string) error {
	_, err := r.tryStart(purpose)
	return err
}

func (r *rig) start(purpose string) otp.Verification {
	r.t.Helper()
	return r.startWith(func(req *otp.StartRequest) { req.Purpose = purpose })
}

// startWith starts a verification with the purpose "login" after a change of the
// request.
func (r *rig) startWith(change func(*otp.StartRequest)) otp.Verification {
	r.t.Helper()
	req := r.request(fixture.Alice, "login", otp.Transaction{})
	change(&req)
	v, err := r.apply(req)
	if err != nil {
		r.t.Fatalf("start of %+v at %v: %v", req, r.now.Sub(fixture.Noon), err)
	}
	return v
}

// startOver starts a verification with that workflow.
func (r *rig) startOver(workflow ...channel.Channel) otp.Verification {
	r.t.Helper()
	return r.startWith(func(req *otp.StartRequest) {
		req.Workflow = workflow
		if slices.Contains(workflow, channel.Email) {
			req.Other = fixture.AliceMail
		}
	})
}

func (r *rig) resend(v otp.Verification, c channel.Channel) (err error) {
	r.kept, _, err = otp.Resend(r.kept, otp.ResendRequest{ID: v.ID, Channel: c}, r.policy, r.now)
	return err
}

// resendOver resends over each of the channels.
func (r *rig) resendOver(v otp.Verification, channels ...channel.Channel) {
	r.t.Helper()
	for _, c := range channels {
		wantKind(r.t, r.resend(v, c), "")
	}
}

// follow reports news of a message and returns the verification after it.
func (r *rig) follow(g otp.Progress) (v otp.Verification, begun bool) {
	r.t.Helper()
	var err error
	if r.kept, v, begun, err = otp.Follow(r.kept, g, r.policy, r.now); err != nil {
		r.t.Fatalf("follow of %+v at %v: %v", g, r.now.Sub(fixture.Noon), err)
	}
	return v, begun
}

// report reports the delivery status of message n, without details of a failure.
func (r *rig) report(v otp.Verification, n int, status otp.DeliveryStatus) otp.Verification {
	r.t.Helper()
	v, _ = r.follow(otp.Progress{ID: v.ID, Attempt: n, Status: status})
	return v
}

// reportAll reports the statuses of the messages, oldest first, "" for no news.
// Failures may recover.
func (r *rig) reportAll(v otp.Verification, news ...otp.DeliveryStatus) {
	r.t.Helper()
	for i, status := range news {
		if status != "" {
			r.follow(otp.Progress{ID: v.ID, Attempt: i + 1, Status: status, MayRecover: true})
		}
	}
}

// fail reports that message n failed, and what may follow.
func (r *rig) fail(v otp.Verification, n int, next otp.Next) (otp.Verification, bool) {
	r.t.Helper()
	return r.follow(otp.Progress{ID: v.ID, Attempt: n, Status: otp.Failed, Error: 63024, Next: next})
}

func (r *rig) checkWith(req otp.CheckRequest) (err error) {
	r.kept, _, err = otp.Check(r.kept, req, r.keys, r.policy, r.now)
	return err
}

func (r *rig) check(v otp.Verification, code string) error {
	return r.checkWith(otp.CheckRequest{ID: v.ID, Code: code})
}

func (r *rig) right(v otp.Verification) error { return r.check(v, codeOf(r.t, v)) }
func (r *rig) wrong(v otp.Verification) error { return r.check(v, wrongCode(codeOf(r.t, v))) }

// wrongTimes checks n wrong codes.
func (r *rig) wrongTimes(v otp.Verification, n int) {
	r.t.Helper()
	for range n {
		wantKind(r.t, r.wrong(v), problem.WrongCode)
	}
}

func (r *rig) status(v otp.Verification) otp.Status {
	r.t.Helper()
	return r.found(v).Status
}

// found is the verification as the recipient has it.
func (r *rig) found(v otp.Verification) otp.Verification {
	r.t.Helper()
	found, err := r.kept.Find(v.ID)
	wantKind(r.t, err, "")
	return found
}

// unchanged fails the test if f changes the recipient.
func (r *rig) unchanged(what string, f func()) {
	r.t.Helper()
	before := deepCopy(r.kept)
	if f(); !same(r.kept, before) {
		r.t.Errorf("%s changed the recipient:\nfrom %+v\nto   %+v", what, before, r.kept)
	}
}

// channels returns the channels of a verification's messages, oldest first.
func channels(v otp.Verification) (all []channel.Channel) {
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

// kindOf is the kind of a refusal, "" if there is none. Any other error ends the
// test.
func kindOf(t rapid.TB, err error) problem.Kind {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e == nil {
		t.Fatalf("got error %#v, want a *problem.Error", err)
	}
	return e.Kind
}

// wantKind is fixture.Problem with one more kind: "" for no error.
func wantKind(t rapid.TB, err error, want problem.Kind) *problem.Error {
	t.Helper()
	if want == "" && err == nil {
		return nil
	}
	return fixture.Problem(t, err, want)
}

func wantRefusal(t rapid.TB, err error, want problem.Kind, retryAfter time.Duration) {
	t.Helper()
	if e := fixture.Problem(t, err, want); e.RetryAfter != retryAfter {
		t.Errorf("%s: retry after %v, want %v", want, e.RetryAfter, retryAfter)
	}
}

// same compares recipients; an empty list is the same as none.
func same(a, b otp.Recipient) bool { return reflect.DeepEqual(deepCopy(a), deepCopy(b)) }

// alike compares verifications in the same way.
func alike(a, b otp.Verification) bool { return reflect.DeepEqual(copyOf(a), copyOf(b)) }

// deepCopy shares no memory with r, and has nil for an empty list.
func deepCopy(r otp.Recipient) otp.Recipient {
	all := r.Verifications
	r.Verifications = nil
	for _, v := range all {
		r.Verifications = append(r.Verifications, copyOf(v))
	}
	tallies := r.Tallies
	r.Tallies = nil
	for _, t := range tallies {
		t.Sends, t.Failures, t.Unlocks = fresh(t.Sends), fresh(t.Failures), fresh(t.Unlocks)
		r.Tallies = append(r.Tallies, t)
	}
	r.Replays, r.Preferred = fresh(r.Replays), fresh(r.Preferred)
	r.Notices, r.Events, r.Messages = fresh(r.Notices), fresh(r.Events), fresh(r.Messages)
	return r
}

func copyOf(v otp.Verification) otp.Verification {
	v.Workflow, v.Attempts = fresh(v.Workflow), fresh(v.Attempts)
	return v
}

func fresh[T any](s []T) []T { return append([]T(nil), s...) }
