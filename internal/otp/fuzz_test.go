package otp_test

import (
	"bytes"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/recipient"
	"twofa/internal/testing/fixture"
)

// A row that decodes is encoded as the same bytes. A row of version 1 is encoded
// as the present version. No transition panics on a recipient that was decoded.
func FuzzDecodeRow(f *testing.F) {
	_, old := decodeRow1(f)
	f.Add([]byte(nil))
	for _, row := range [][]byte{sampleRow(f), old} {
		f.Add(row)
		f.Add(row[:len(row)/2])
		f.Add(append(bytes.Clone(row), 0))
	}
	f.Add([]byte{1, 0, 0, 0, 0, 0})
	f.Add([]byte{2, 0, 0, 0, 0, 0})
	f.Add(append([]byte{2}, make([]byte, 32)...))
	f.Add(append([]byte{3}, make([]byte, 36)...))
	f.Add(append([]byte{4}, make([]byte, 52)...))
	f.Add(append([]byte{5}, make([]byte, 50)...))
	f.Add(append([]byte{1, 0, 0, 8}, make([]byte, 8+2)...))
	f.Fuzz(func(t *testing.T, row []byte) {
		r, err := recipient.Decode(row)
		if err != nil {
			return
		}
		again, err := recipient.Encode(r)
		if row[0] < 6 {
			if row[0] == 1 && tooLong(r) {
				return
			}
			if row = again; err == nil {
				r2, err2 := recipient.Decode(again)
				if err2 != nil || !same(r, r2) {
					t.Fatalf("%+v\nis kept as\n%+v, %v", r, r2, err2)
				}
				again, err = recipient.Encode(r2)
			}
		}
		if err != nil || len(row) == 0 || row[0] != 6 || !bytes.Equal(again, row) {
			t.Fatalf("%x\ndecodes and encodes to\n%x, %v", row, again, err)
		}
		tryAll(t, r, fixture.Noon)
		tryAll(t, r, fixture.Noon.Add(9*time.Minute+30*time.Second))
	})
}

// tooLong reports whether a channel is longer than every existing one. As the only
// channel of a workflow, it has no room in a row of version 2.
func tooLong(r otp.Recipient) bool {
	for _, v := range r.Verifications {
		if len(v.Workflow[0]) > 254 {
			return true
		}
	}
	return false
}

// tryAll runs every transition and every query on any recipient.
func tryAll(t *testing.T, r otp.Recipient, now time.Time) {
	p := quiet()
	p.MaxSends, p.MaxSendsPerDay = otp.MaxCounted, otp.MaxCounted
	before := deepCopy(r)
	keep := func(r otp.Recipient) {
		_ = r.KeepUntil()
		row, err := recipient.Encode(r)
		if err != nil {
			return // the transition added something for which there is no room
		}
		if again, err := recipient.Decode(row); err != nil || !same(again, r) {
			t.Fatalf("%+v\nis kept as\n%+v, %v", r, again, err)
		}
	}
	keep(r.Settle(now))
	spent, _ := otp.Spend(r, r.Address, server, p, now)
	keep(spent)
	denied, _, _ := otp.Deny(r, now)
	keep(denied)
	for _, a := range r.Replays {
		_, _, _ = r.Replayed(a.Caller, a.Idempotency)
		keep(otp.Conclude(r, a.Idempotency, otp.Verification{Caller: a.Caller}, otp.OutcomeRefused, time.Minute))
		keep(otp.Forget(r, a.Idempotency, otp.Verification{Caller: a.Caller}))
	}
	for i, v := range r.Verifications {
		if i >= 8 { // no row has more
			break
		}
		tryOne(v, r, p, now, keep)
	}
	if !same(r, before) {
		t.Fatalf("was\n%+v\nand is\n%+v", before, r)
	}
}

func tryOne(v otp.Verification, r otp.Recipient, p otp.Policy, now time.Time, keep func(otp.Recipient)) {
	_, _, _ = r.Knows(v.ID), r.ChecksLeft(v, p, now), r.Proven(v)
	_, _ = r.Settle(now).SendsLeft(v.Caller, p, now), r.Settle(now).ResendAfter(v.Caller, p)
	_ = r.AddressFor(v, v.Channel())
	code, _ := v.Code(keyring)
	for _, code := range []string{code, "000000", ""} {
		req := otp.CheckRequest{Caller: v.Caller, ID: v.ID, Code: code, Transaction: v.Transaction}
		checked, _, _ := otp.Check(r, req, keyring, p, now)
		keep(checked)
		claimed, _, _ := otp.Claim(r, req, p, now)
		keep(claimed)
		confirmed, _, _ := otp.Confirm(r, []string{code}, keyring, now)
		keep(confirmed)
	}
	_, _, _ = otp.Check(r, otp.CheckRequest{Purpose: v.Purpose, User: v.User, Address: r.Address, Code: code}, keyring, p, now)
	canceled, _, _ := otp.Cancel(r, otp.Owner{}, v.ID, now)
	keep(canceled)
	for _, c := range []channel.Channel{"", channel.Next, "sms"} {
		resent, _, _ := otp.Resend(r, otp.ResendRequest{ID: v.ID, Channel: c, Idempotency: known(1)}, p, now)
		keep(resent)
	}
	for n := -1; n <= min(len(v.Attempts)+1, 5); n++ {
		for _, g := range []otp.Progress{
			{Status: otp.Read}, {Status: otp.Failed}, {Status: otp.Failed, Next: otp.NextCall, Unsent: true},
			{Status: otp.Failed, Next: otp.NextAddress}, {Status: otp.Failed, Next: otp.NextNone}, {Status: "lost"},
		} {
			g.ID, g.Attempt = v.ID, n
			followed, _, _, _ := otp.Follow(r, g, p, now)
			keep(followed)
		}
	}
	for ending := otp.NoScenario; ending <= otp.EndsExhausted; ending++ {
		for _, workflow := range [][]channel.Channel{v.Workflow, {channel.Inbound}, threeChannels} {
			started, _, _ := otp.Start(r, otp.StartRequest{
				ID: newID(fixture.Alice, 1), Key: keyring.Current(), Address: r.Address, Purpose: v.Purpose, Workflow: workflow,
				Idempotency: known(1), Scenario: otp.Scenario{Ending: ending, Code: fixed},
			}, p, now)
			keep(started)
		}
	}
}
