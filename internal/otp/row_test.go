package otp_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/store"
)

// anyRow draws any recipient that can be kept, within a service's rules or not.
var anyRow = rapid.Custom(func(t *rapid.T) otp.Recipient {
	text := rapid.StringN(0, -1, 255)
	at := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.UnixMilli(rapid.Int64Range(-1, 1<<42).Draw(t, "unix ms")).UTC()
	})
	list := rapid.SliceOfN(at, 0, otp.MaxCounted)
	r := otp.Recipient{Address: text.Draw(t, "address"), Sends: list.Draw(t, "sends"), Failures: list.Draw(t, "failures")}
	for range rapid.IntRange(0, 8).Draw(t, "verifications") {
		v := otp.Verification{
			ID:      newID(alice, rapid.Uint64().Draw(t, "id")),
			Purpose: text.Draw(t, "purpose"), Channel: text.Draw(t, "channel"),
			Context: otp.Context{Amount: text.Draw(t, "amount"), Payee: text.Draw(t, "payee")},
			Shape: otp.Shape{
				Length:   rapid.IntRange(otp.MinCodeLength, otp.MaxCodeLength).Draw(t, "length"),
				Alphabet: rapid.SampledFrom([]otp.Alphabet{otp.Digits, otp.Alphanumeric}).Draw(t, "alphabet"),
			},
			Status: rapid.SampledFrom([]otp.Status{
				otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable,
			}).Draw(t, "status"),
			CreatedAt: at.Draw(t, "created"), ExpiresAt: at.Draw(t, "expires"), EndedAt: at.Draw(t, "ended"),
			Checks: rapid.IntRange(0, otp.MaxCounted).Draw(t, "checks"),
			Sends:  rapid.IntRange(0, otp.MaxCounted).Draw(t, "sent"),
		}
		copy(v.Nonce[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "nonce"))
		copy(v.Key[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "key"))
		r.Verifications = append(r.Verifications, v)
	}
	return r
})

func mustEncode(t rapid.TB, r otp.Recipient) []byte {
	t.Helper()
	row, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestRow_DecodesToWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRow.Draw(t, "recipient")
		row := mustEncode(t, r)
		got, err := otp.Decode(row)
		if err != nil || !same(got, r) {
			t.Fatalf("got  %+v, %v\nwant %+v", got, err, r)
		}
	})
}

// sampleRow is a row with something of everything.
func sampleRow(t rapid.TB) []byte {
	b := newBench(t, quiet())
	b.start("login")
	v := b.start("pay")
	_ = b.wrong(v)
	_ = b.right(v)
	return mustEncode(t, b.r)
}

// A change of these bytes is a change of the layout: rows that are in a table
// today have to stay readable, so it needs a version of its own.
func TestRow_LayoutOfVersion1IsFixed(t *testing.T) {
	b := newBench(t, quiet())
	b.now = noon.Add(7 * ms)
	r, v, err := otp.Start(otp.Recipient{}, b.request(alice, "pay", otp.Context{Amount: "EUR 5", Payee: "Acme"}), b.p, b.now)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err = otp.Check(r, otp.CheckRequest{ID: v.ID, Code: "no"}, keyring, b.p, b.now)
	wantKind(t, err, otp.WrongCode)
	got := fmt.Sprintf("%x", mustEncode(t, r))

	at := fmt.Sprintf("%016x", b.now.UnixMilli())
	text := func(s string) string { return fmt.Sprintf("%02x%x", len(s), s) }
	want := strings.Join([]string{
		"01", text(alice), "0008", at, "0008", at,
		text(string(v.ID)), text("pay"), text("whatsapp"), text("EUR 5"), text("Acme"),
		"0000000000000000" + "0000000000000001", fmt.Sprintf("%x", v.Key), "06", "01", "00",
		at, fmt.Sprintf("%016x", noon.Add(10*time.Minute).UnixMilli()), "ffffc77cedd32800",
		"0001", "0001",
	}, "")
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRow_StatusNumbersAreFixed(t *testing.T) {
	for i, status := range []otp.Status{
		otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable,
	} {
		b := newBench(t, quiet())
		b.start("login")
		b.r.Verifications[0].Status = status
		row := mustEncode(t, b.r)
		if got := row[len(row)-29]; int(got) != i { // three times and two counts lie behind it
			t.Errorf("%s is kept as %d, want %d", status, got, i)
		}
	}
}

func TestDecode_RefusesEveryTruncatedRow(t *testing.T) {
	row := sampleRow(t)
	// What ends where a verification does is whole: it is the seal around a row
	// that tells that one is missing.
	var whole []int
	for n := range row {
		if r, err := otp.Decode(row[:n]); err == nil {
			whole = append(whole, len(r.Verifications))
		}
	}
	if want := []int{0, 1}; !slices.Equal(whole, want) {
		t.Errorf("prefixes of %v verifications decode, want %v", whole, want)
	}
}

func TestDecode_RefusesWhatEncodeDoesNotWrite(t *testing.T) {
	row := sampleRow(t)
	end := len(row)
	edit := func(at int, b byte) []byte {
		c := bytes.Clone(row)
		c[at] = b
		return c
	}
	for name, bad := range map[string][]byte{
		"nothing":                      nil,
		"version 0":                    edit(0, 0),
		"a later version":              edit(0, 2),
		"a spare byte":                 append(bytes.Clone(row), 0),
		"an unknown status":            edit(end-29, 7),
		"an unknown alphabet":          edit(end-30, 3),
		"a code that is too short":     edit(end-31, otp.MinCodeLength-1),
		"a code that is too long":      edit(end-31, otp.MaxCodeLength+1),
		"a list of half a time":        append([]byte{1, 0, 0, 4}, make([]byte, 4+2)...),
		"an id with a capital":         bytes.Replace(row, []byte("VE"), []byte("Ve"), 1),
		"an empty row of zero version": make([]byte, 64),
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := otp.Decode(bad); err == nil {
				t.Errorf("decodes to %+v", r)
			} else if len(r.Verifications) > 0 || r.Address != "" {
				t.Errorf("returns %+v beside the error", r)
			}
		})
	}
}

func TestEncode_RefusesWhatDecodeCouldNotRead(t *testing.T) {
	for name, spoil := range map[string]func(r *otp.Recipient){
		"a text over 255 bytes": func(r *otp.Recipient) { r.Verifications[0].Context.Payee = strings.Repeat("x", 256) },
		"an unknown status":     func(r *otp.Recipient) { r.Verifications[0].Status = "new" },
		"an id of another form": func(r *otp.Recipient) { r.Verifications[0].ID = "VE1" },
		"a shape out of range":  func(r *otp.Recipient) { r.Verifications[0].Shape.Length = 262 },
		"too many sends":        func(r *otp.Recipient) { r.Sends = make([]time.Time, 1<<13) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, quiet())
			b.start("login")
			spoil(&b.r)
			if row, err := b.r.Encode(); err == nil {
				t.Errorf("%d bytes were written", len(row))
			}
		})
	}
}

// The largest row that the rules let come about: every list full, every text as
// long as a row can hold.
func TestRow_LargestFitsTheStore(t *testing.T) {
	long := strings.Repeat("\xff", 255)
	r := otp.Recipient{Address: long, Sends: make([]time.Time, otp.MaxCounted), Failures: make([]time.Time, otp.MaxCounted)}
	for i := range 8 {
		r.Verifications = append(r.Verifications, otp.Verification{
			ID: newID(alice, uint64(i)), Purpose: long, Channel: long, Context: otp.Context{Amount: long, Payee: long},
			Shape: otp.DefaultPolicy().Shape, Status: otp.Pending,
		})
	}
	n := len(mustEncode(t, r))
	t.Logf("the largest row has %d bytes of %d", n, store.MaxData)
	if n > store.MaxData/2 {
		t.Errorf("the largest row has %d bytes, want %d at most", n, store.MaxData/2)
	}
}

func FuzzDecodeRow(f *testing.F) {
	row := sampleRow(f)
	f.Add([]byte(nil))
	f.Add(row)
	f.Add(row[:len(row)/2])
	f.Add(append(bytes.Clone(row), 0))
	f.Add([]byte{1, 0, 0, 0, 0, 0})
	f.Add([]byte{2, 0, 0, 0, 0, 0})
	f.Add(append([]byte{1, 0, 0, 8}, make([]byte, 8+2)...))
	f.Fuzz(func(t *testing.T, row []byte) {
		r, err := otp.Decode(row)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil || !bytes.Equal(again, row) {
			t.Errorf("%x\ndecodes and encodes to\n%x, %v", row, again, err)
		}
		// Whatever lies in a row, the domain does not panic on it.
		r = r.Settle(noon)
		for _, v := range r.Verifications {
			_ = v.ID.RowKey()
			_, _, _ = otp.Check(r, otp.CheckRequest{ID: v.ID, Code: "000000"}, keyring, otp.DefaultPolicy(), noon)
			_, _, _ = otp.Start(r, otp.StartRequest{ID: newID(alice, 1), Address: r.Address, Purpose: v.Purpose}, otp.DefaultPolicy(), noon)
		}
	})
}
