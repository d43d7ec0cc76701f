package otp_test

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
)

// row1 is a row as the program wrote it whose rows had version 1: a verification
// for paying with one wrong code and two resends by SMS, one that was approved,
// and one that is pending.
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
	r, err := otp.Decode(row)
	if err != nil {
		t.Fatal(err)
	}
	return r, row
}

func TestRow1_IsReadAsItWasMeant(t *testing.T) {
	r, _ := decodeRow1(t)
	began, later := noon.Add(7*ms), noon.Add(time.Minute)
	shape, key := otp.DefaultPolicy().Shape, keyring.Current()
	queued := func(channel string) otp.Attempt { return otp.Attempt{Channel: channel, At: began, Status: otp.Queued} }
	want := otp.Recipient{
		Address: alice, Sends: []time.Time{began, began, later, later, later}, Failures: []time.Time{later},
		Verifications: []otp.Verification{
			{
				ID: newID(alice, 1), Purpose: "pay", Context: otp.Context{Amount: "EUR 5", Payee: "Acme"},
				Workflow: []string{"sms"}, Attempts: []otp.Attempt{queued("sms"), queued("sms"), queued("sms")},
				Nonce: [16]byte{15: 1}, Key: key, Shape: shape, Status: otp.Pending,
				CreatedAt: began, ExpiresAt: noon.Add(10 * time.Minute), Checks: 1,
			},
			{
				ID: newID(alice, 2), Purpose: "login", Workflow: []string{"whatsapp"}, Attempts: []otp.Attempt{queued("whatsapp")},
				Nonce: [16]byte{15: 2}, Key: key, Shape: shape, Status: otp.Approved,
				CreatedAt: began, ExpiresAt: noon.Add(10 * time.Minute), EndedAt: began, Checks: 1,
			},
			{
				ID: newID(alice, 3), Purpose: "login", Workflow: []string{"whatsapp"},
				Attempts: []otp.Attempt{{Channel: "whatsapp", At: later, Status: otp.Queued}},
				Nonce:    [16]byte{15: 3}, Key: key, Shape: shape, Status: otp.Pending,
				CreatedAt: later, ExpiresAt: noon.Add(11 * time.Minute),
			},
		},
	}
	if !same(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
}

// A code that was sent before the program was replaced works after it, once.
func TestRow1_CodesUnderWayGoOnWorking(t *testing.T) {
	r, _ := decodeRow1(t)
	b := newBench(t, quiet())
	b.r, b.now = r, noon.Add(2*time.Minute)
	login := r.Verifications[2]
	wantKind(t, b.right(login), "")
	wantKind(t, b.right(login), problem.AlreadyUsed)
	wantKind(t, b.right(r.Verifications[1]), problem.AlreadyUsed)
	pay := otp.CheckRequest{Purpose: "pay", Code: "424158", Context: otp.Context{Amount: "EUR 5", Payee: "Acme"}}
	_, _, err := otp.Check(b.r, pay, keyring, b.p, b.now)
	wantKind(t, err, "")
	b.p.MaxSends = 6
	wantKind(t, b.resend(r.Verifications[0], ""), "")
	wantKind(t, b.resend(r.Verifications[0], ""), problem.TooManySends) // what was sent before counts
}

func TestRow1_IsWrittenAsVersion2(t *testing.T) {
	r, _ := decodeRow1(t)
	row := mustEncode(t, r)
	again, err := otp.Decode(row)
	if row[0] != 2 || err != nil || !same(again, r) {
		t.Errorf("version %d, %v:\ngot  %+v\nwant %+v", row[0], err, again, r)
	}
}

func TestRow1_RefusesWhatWasNeverWritten(t *testing.T) {
	_, row := decodeRow1(t)
	end := len(row)
	edit := func(at int, b byte) []byte {
		c := bytes.Clone(row)
		c[at] = b
		return c
	}
	const behindStatus = 3*8 + 2 + 2
	for name, bad := range map[string][]byte{
		"version 0":                edit(0, 0),
		"version 2":                edit(0, 2),
		"version 3":                edit(0, 3),
		"no message":               edit(end-1, 0),
		"more messages than a day": edit(end-1, otp.MaxCounted+1),
		"65,281 messages":          edit(end-2, 0xff),
		"an unknown status":        edit(end-behindStatus-1, 7),
		"an unknown alphabet":      edit(end-behindStatus-2, 3),
		"a code that is too short": edit(end-behindStatus-3, otp.MinCodeLength-1),
		"a spare byte":             append(bytes.Clone(row), 0),
		"a byte too few":           row[:end-1],
		"an id with a capital":     bytes.Replace(row, []byte("\x22VE"), []byte("\x22Ve"), 1),
	} {
		if r, err := otp.Decode(bad); err == nil || len(r.Verifications) > 0 {
			t.Errorf("%s: decodes to %+v, %v", name, r, err)
		}
	}
	if r, err := otp.Decode(edit(end-1, otp.MaxCounted)); err != nil || len(r.Verifications[2].Attempts) != otp.MaxCounted {
		t.Errorf("100 messages: %v", err)
	}
}
