package otp_test

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/testing/fixture"
)

// row1 is a row that an older program wrote as version 1: a verification for a
// payment with one wrong code and two resends by SMS, an approved one, and a
// pending one.
const row1 = "01" + "0c2b3134313535353530313233" +
	"0028" + "0000019ca9450a07" + "0000019ca9450a07" + "0000019ca945f460" + "0000019ca945f460" + "0000019ca945f460" +
	"0008" + "0000019ca945f460" +
	"22564530336535633961363138353265383530303030303030303030303030303030310370617903736d7305455552203504" +
	"41636d65000000000000000000000000000000015d407f980601000000019ca9450a070000019ca94e31c0ffffc77cedd3280000010003" +
	"2256453033653563396136313835326538353030303030303030303030303030303032056c6f67696e0877686174736170700000" +
	"000000000000000000000000000000025d407f980601010000019ca9450a070000019ca94e31c00000019ca9450a0700010001" +
	"2256453033653563396136313835326538353030303030303030303030303030303033056c6f67696e0877686174736170700000" +
	"000000000000000000000000000000035d407f980601000000019ca945f4600000019ca94f1c20ffffc77cedd3280000000001"

func decodeRow1(t testing.TB) (otp.Recipient, []byte) {
	t.Helper()
	row, err := hex.DecodeString(row1)
	if err != nil {
		t.Fatal(err)
	}
	r, err := recipient.Decode(row)
	if err != nil {
		t.Fatal(err)
	}
	return r, row
}

func TestRow1_IsReadInFull(t *testing.T) {
	r, _ := decodeRow1(t)
	began, later := fixture.Noon.Add(7*ms), fixture.Noon.Add(time.Minute)
	shape, key := otp.DefaultPolicy().Shape, [4]byte{0x5d, 0x40, 0x7f, 0x98}
	queued := func(c channel.Channel) otp.Attempt { return otp.Attempt{Channel: c, At: began, Status: otp.Queued} }
	want := otp.Recipient{
		Address: fixture.Alice, Tallies: one(otp.Tally{Sends: []time.Time{began, began, later, later, later}, Failures: []time.Time{later}}),
		Verifications: []otp.Verification{
			{
				ID: newID(fixture.Alice, 1), Purpose: "pay", Transaction: otp.Transaction{Amount: "EUR 5", Payee: "Acme"},
				Workflow: []channel.Channel{"sms"}, Attempts: []otp.Attempt{queued("sms"), queued("sms"), queued("sms")},
				Nonce: [16]byte{15: 1}, Key: key, Shape: shape, Status: otp.Pending,
				CreatedAt: began, ExpiresAt: fixture.Noon.Add(10 * time.Minute), Checks: 1,
			},
			{
				ID: newID(fixture.Alice, 2), Purpose: "login", Workflow: []channel.Channel{"whatsapp"}, Attempts: []otp.Attempt{queued("whatsapp")},
				Nonce: [16]byte{15: 2}, Key: key, Shape: shape, Status: otp.Approved,
				CreatedAt: began, ExpiresAt: fixture.Noon.Add(10 * time.Minute), EndedAt: began, Checks: 1,
			},
			{
				ID: newID(fixture.Alice, 3), Purpose: "login", Workflow: []channel.Channel{"whatsapp"},
				Attempts: []otp.Attempt{{Channel: "whatsapp", At: later, Status: otp.Queued}},
				Nonce:    [16]byte{15: 3}, Key: key, Shape: shape, Status: otp.Pending,
				CreatedAt: later, ExpiresAt: fixture.Noon.Add(11 * time.Minute),
			},
		},
	}
	if !same(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
}

// A code that was sent before an upgrade of the program works after it, once.
func TestRow1_PendingCodesStayValid(t *testing.T) {
	old, _ := decodeRow1(t)
	r := newRig(t, quiet())
	r.kept, r.now = old, fixture.Noon.Add(2*time.Minute)
	login := old.Verifications[2]
	wantKind(t, r.right(login), "")
	wantKind(t, r.right(login), problem.AlreadyUsed)
	wantKind(t, r.right(old.Verifications[1]), problem.AlreadyUsed)
	pay := otp.CheckRequest{Purpose: "pay", Code: "424158", Transaction: otp.Transaction{Amount: "EUR 5", Payee: "Acme"}}
	_, _, err := otp.Check(r.kept, pay, keyring, r.policy, r.now)
	wantKind(t, err, "")
	r.policy.MaxSends = 6
	wantKind(t, r.resend(old.Verifications[0], ""), "")
	wantKind(t, r.resend(old.Verifications[0], ""), problem.TooManySends) // earlier messages count
}

func TestRow1_IsWrittenAsVersion6(t *testing.T) {
	r, _ := decodeRow1(t)
	row := mustEncode(t, r)
	again, err := recipient.Decode(row)
	if row[0] != 6 || err != nil || !same(again, r) {
		t.Errorf("version %d, %v:\ngot  %+v\nwant %+v", row[0], err, again, r)
	}
}

func TestRow1_RefusesWhatWasNeverWritten(t *testing.T) {
	_, row := decodeRow1(t)
	end := len(row)
	edit := func(at int, b byte) []byte { return edited(row, at, b) }
	const behindStatus = 3*8 + 2 + 2
	wantRefused(t, row, map[string][]byte{
		"version 0":                edit(0, 0),
		"version 2":                edit(0, 2),
		"version 3":                edit(0, 3),
		"version 4":                edit(0, 4),
		"version 5":                edit(0, 5),
		"version 6":                edit(0, 6),
		"version 7":                edit(0, 7),
		"no message":               edit(end-1, 0),
		"more messages than a day": edit(end-1, otp.MaxCounted+1),
		"65,281 messages":          edit(end-2, 0xff),
		"an unknown status":        edit(end-behindStatus-1, 7),
		"an unknown alphabet":      edit(end-behindStatus-2, 3),
		"a code that is too short": edit(end-behindStatus-3, otp.MinCodeLength-1),
		"a spare byte":             append(bytes.Clone(row), 0),
		"a byte too few":           row[:end-1],
		"an id with a capital":     bytes.Replace(row, []byte("\x22VE"), []byte("\x22Ve"), 1),
	})
	if r, err := recipient.Decode(edit(end-1, otp.MaxCounted)); err != nil || len(r.Verifications[2].Attempts) != otp.MaxCounted {
		t.Errorf("100 messages: %v", err)
	}
}
