package otp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

// most is what a row may have: some bytes are left for the seal around it.
const most = store.MaxData - 1024

func TestSize_IsAtLeastThatOfTheRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRow.Draw(t, "recipient")
		if n := len(mustEncode(t, r)); n > r.Size() {
			t.Fatalf("%d bytes, and the size is %d: %+v", n, r.Size(), r)
		}
	})
}

// What is always counted fits beside the largest recipient that a start leaves: the wrong
// codes of a day, notices, the person's messages, and the messages that follow failed ones.
func TestSize_LeavesRoomForWhatIsAlwaysCounted(t *testing.T) {
	times := make([]time.Time, otp.MaxCounted)
	r := otp.Recipient{
		Notices: make([]time.Time, otp.MaxNoticesPerDay), Messages: make([]otp.Message, otp.MaxMessages),
		Tallies: []otp.Tally{{Failures: times}, {Caller: otp.Caller{Origin: otp.OriginKnown}, Failures: times[:otp.MaxKnownFailuresPerDay]}},
		Events:  slices.Repeat([]otp.Event{{Client: strings.Repeat("x", 64), Name: strings.Repeat("x", 14)}}, otp.MaxNoticesPerDay),
	}
	attempts := 3 * 64 // of 64 workflows that fail over three channels more
	if n := otp.MaxSize + r.Size() + attempts*24; n > most {
		t.Errorf("up to %d bytes, want %d at most", n, most)
	}
}

// fillRow starts and resends as often as the rules allow, for two days, as each of the
// callers in turn, and returns the largest row.
func fillRow(t *testing.T, r *rig, callers []otp.Caller, scenario otp.Scenario) (largest int) {
	t.Helper()
	payment := otp.Transaction{Amount: strings.Repeat("€", otp.MaxAmount), Payee: strings.Repeat("€", otp.MaxPayee)}
	n := 0
	for round := range 9 {
		r.now = fixture.Noon.Add(time.Duration(6*round) * time.Hour)
		for _, c := range callers {
			for _, purpose := range []string{"a", "b", "c", "d"} {
				n++
				req := r.request(fixture.Alice, purpose, payment)
				req.Caller, req.Workflow, req.Other = c, []channel.Channel{"whatsapp", "sms", "call", "email"}, fixture.AliceMail
				req.Idempotency, req.Scenario = known(n), scenario
				v, err := r.apply(req)
				for k := 0; err == nil && k < 40; k++ {
					r.kept, _, err = otp.Resend(r.kept, otp.ResendRequest{ID: v.ID, Owner: c.Owner(), AnyOrigin: true, Channel: "whatsapp"}, r.policy, r.now)
				}
				largest = max(largest, len(mustEncode(t, r.kept)))
				if size := r.kept.Size(); size > otp.MaxSize {
					t.Fatalf("the size is %d, want %d at most", size, otp.MaxSize)
				}
			}
		}
	}
	return largest
}

// The row stays within its bound under constant resends, starts and idempotency keys,
// with the highest limits, by one client and by twenty, also of a test number, which no
// limit on messages protects.
func TestRow_FillsUpToABound(t *testing.T) {
	twenty := []otp.Caller{}
	for i := range 20 {
		name := fmt.Sprintf("%064d", i)
		twenty = append(twenty, otp.Caller{Client: name}, otp.Caller{Client: name, Origin: otp.OriginTyped, Network: otp.Network{byte(i)}}, otp.Caller{Client: name, Origin: otp.OriginKnown})
	}
	for name, callers := range map[string][]otp.Caller{"one client": {server}, "twenty clients": twenty} {
		for _, scenario := range []otp.Scenario{{}, {Ending: otp.EndsDelivered, Code: fixed}} {
			t.Run(fmt.Sprintf("%s, test number %t", name, scenario.Code != ""), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, quiet())
				r.policy.MaxSends, r.policy.MaxSendsPerDay, r.policy.TTL = otp.MaxCounted, otp.MaxCounted, window.Day
				largest := fillRow(t, r, callers, scenario)
				t.Logf("%d bytes of %d", largest, store.MaxData)
				if largest > most {
					t.Errorf("the row had %d bytes, the store takes %d", largest, store.MaxData)
				}
			})
		}
	}
}

// full returns a rig whose row has no room for another verification of the caller, and
// the verifications in it.
func full(t *testing.T, ended bool) (*rig, []otp.Verification) {
	r := newRig(t, quiet())
	r.policy.MaxSends, r.policy.MaxSendsPerDay, r.policy.TTL = otp.MaxCounted, otp.MaxCounted, window.Day
	var all []otp.Verification
	for i := 0; ; i++ {
		req := r.request(fixture.Alice, "login", otp.Transaction{Payee: strings.Repeat("€", otp.MaxPayee)})
		req.Client = fmt.Sprintf("client-%d", i)
		v, err := r.apply(req)
		if err != nil {
			if wantKind(t, err, problem.TooManySends); ended {
				t.Fatalf("an ended verification held the place of a new one: %v", err)
			}
			return r, all
		}
		if all = append(all, v); !ended {
			continue
		}
		r.kept, _, err = otp.Cancel(r.kept, req.Owner(), v.ID, r.now)
		wantKind(t, err, "")
		if _, err := r.kept.Find(all[0].ID); err != nil {
			return r, all
		}
	}
}

// What is dropped first: ended verifications, the oldest first. Pending ones are never
// dropped: a start is refused until the first of them expires.
func TestRow_DropsEndedVerificationsFirstAndNoPendingOne(t *testing.T) {
	r, all := full(t, true)
	for _, v := range all[1:] {
		r.found(v)
	}
	r, all = full(t, false)
	for _, v := range all {
		if r.status(v) != otp.Pending {
			t.Errorf("%s is %s", v.ID, r.status(v))
		}
	}
	req := r.request(fixture.Alice, "login", otp.Transaction{Payee: strings.Repeat("€", otp.MaxPayee)})
	req.Client = "another"
	r.unchanged("a start without room", func() {
		_, err := r.apply(req)
		wantRefusal(t, err, problem.TooManySends, window.Day)
	})
	r.now = r.now.Add(window.Day)
	_, err := r.apply(req)
	wantKind(t, err, "")
}

// An approval that nobody has fetched yet is kept until its time is over.
func TestRow_NeverDropsAnApprovalThatCanBeFetched(t *testing.T) {
	r := newRig(t, quiet())
	r.policy.MaxSends, r.policy.MaxSendsPerDay = otp.MaxCounted, otp.MaxCounted
	first := r.startOver(channel.Inbound)
	var err error
	r.kept, _, err = otp.Confirm(r.kept, []string{codeOf(t, first)}, keyring, r.now)
	wantKind(t, err, "")
	for i := range 30 { // more than are kept of one caller
		r.start(fmt.Sprintf("p%d", i%4))
	}
	if r.status(first) != otp.Approved {
		t.Fatal("it is gone")
	}
	r.now = first.ExpiresAt
	r.start("login")
	if _, err := r.kept.Find(first.ID); err == nil {
		t.Error("it is kept beyond its time")
	}
	if n := len(slices.DeleteFunc(r.kept.Verifications, func(v otp.Verification) bool { return v.Client != "" })); n > 8 {
		t.Errorf("%d verifications are kept", n)
	}
}
