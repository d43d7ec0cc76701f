package otp_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
)

var (
	anyText = rapid.StringN(0, -1, 255)
	anyTime = rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.UnixMilli(rapid.Int64Range(-1, 1<<42).Draw(t, "unix ms")).UTC()
	})
	anyCount = rapid.IntRange(0, otp.MaxCounted)
	any16    = rapid.Custom(func(t *rapid.T) [16]byte {
		return [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "16 bytes"))
	})
)

// anyRow draws any recipient that can be kept, within a service's rules or not.
var anyRow = rapid.Custom(func(t *rapid.T) otp.Recipient {
	times := rapid.SliceOfN(anyTime, 0, otp.MaxCounted)
	r := otp.Recipient{
		Address: anyText.Draw(t, "address"), Sends: times.Draw(t, "sends"), Failures: times.Draw(t, "failures"),
		AlertedAt: anyTime.Draw(t, "alerted"), BlockedUntil: anyTime.Draw(t, "blocked"),
		Good: otp.Good{Channel: anyText.Draw(t, "good"), At: anyTime.Draw(t, "good at")},
	}
	for range rapid.IntRange(0, 4).Draw(t, "replays") {
		r.Replays = append(r.Replays, otp.Replay{
			Idempotency: otp.Idempotency{Key: any16.Draw(t, "key"), Body: any16.Draw(t, "body")},
			At:          anyTime.Draw(t, "at"), ID: otp.ID(anyText.Draw(t, "id")),
			Purpose: anyText.Draw(t, "purpose"), Channel: anyText.Draw(t, "channel"),
			ExpiresAt: anyTime.Draw(t, "expires"), ResendAfter: anyTime.Draw(t, "resend after"),
			SendsLeft: anyCount.Draw(t, "sends left"), ChecksLeft: anyCount.Draw(t, "checks left"),
			Outcome:    otp.Outcome(rapid.IntRange(0, int(otp.OutcomeUnclear)).Draw(t, "outcome")),
			RetryAfter: time.Duration(rapid.Uint32().Draw(t, "retry after")) * time.Second,
		})
	}
	for range rapid.IntRange(0, 8).Draw(t, "verifications") {
		r.Verifications = append(r.Verifications, anyKept.Draw(t, "verification"))
	}
	return r
})

var anyKept = rapid.Custom(func(t *rapid.T) otp.Verification {
	v := otp.Verification{
		ID:      newID(alice, rapid.Uint64().Draw(t, "id")),
		Purpose: anyText.Draw(t, "purpose"), User: anyText.Draw(t, "user"), Unverified: rapid.Bool().Draw(t, "unverified"),
		Other: anyText.Draw(t, "other"), Locale: anyText.Draw(t, "locale"),
		Workflow: rapid.SliceOfN(rapid.StringN(0, -1, 50), 1, 5).Draw(t, "workflow"),
		Context:  otp.Context{Amount: anyText.Draw(t, "amount"), Payee: anyText.Draw(t, "payee")},
		Nonce:    any16.Draw(t, "nonce"),
		Shape: otp.Shape{
			Length:   rapid.IntRange(otp.MinCodeLength, otp.MaxCodeLength).Draw(t, "length"),
			Alphabet: rapid.SampledFrom([]otp.Alphabet{otp.Digits, otp.Alphanumeric}).Draw(t, "alphabet"),
		},
		TestCode:  anyText.Draw(t, "test code"),
		Status:    rapid.SampledFrom(allStatuses).Draw(t, "status"),
		CreatedAt: anyTime.Draw(t, "created"), ExpiresAt: anyTime.Draw(t, "expires"), EndedAt: anyTime.Draw(t, "ended"),
		Checks: anyCount.Draw(t, "checks"), Claimed: rapid.Bool().Draw(t, "claimed"),
	}
	copy(v.Key[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "key"))
	for range rapid.IntRange(1, 5).Draw(t, "attempts") {
		v.Attempts = append(v.Attempts, otp.Attempt{
			Channel: anyText.Draw(t, "channel"), At: anyTime.Draw(t, "sent"),
			Status: rapid.SampledFrom(allDeliveries).Draw(t, "delivery"),
			Error:  int(rapid.Uint32().Draw(t, "error")), MayRecover: rapid.Bool().Draw(t, "may recover"),
		})
	}
	return v
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
	v := b.startOver("whatsapp", "sms", "email")
	b.fail(v, 1, otp.NextChannel)
	b.report(v, 2, otp.Read)
	v = b.startWith(func(req *otp.StartRequest) {
		req.Purpose, req.User, req.Unverified, req.Other, req.Locale = "pay", "u1", true, aliceEmail, "en"
		req.Context = otp.Context{Amount: "EUR 5", Payee: "Acme"}
		req.Idempotency = otp.Idempotency{Key: [16]byte{1}, Body: [16]byte{2}}
	})
	for range 5 {
		_ = b.wrong(v)
	}
	b.fail(v, 1, otp.NextNone)
	return mustEncode(t, b.r)
}

// A change of these bytes is a change of the layout: rows that are in a table
// today have to stay readable, so it needs a version of its own.
func TestRow_LayoutOfVersion2IsFixed(t *testing.T) {
	b := newBench(t, quiet())
	b.now = noon.Add(7 * ms)
	v := b.startWith(func(req *otp.StartRequest) {
		req.Purpose, req.Context = "pay", otp.Context{Amount: "EUR 5", Payee: "Acme"}
		req.User, req.Unverified, req.Other, req.Locale = "u1", true, aliceEmail, "en"
		req.Workflow = []string{"whatsapp", "sms"}
		req.Idempotency = otp.Idempotency{Key: [16]byte{0xaa}, Body: [16]byte{15: 0xbb}}
	})
	b.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, Error: 63018, MayRecover: true})
	b.report(v, 2, otp.Delivered)
	b.p.MaxChecks = 1
	wantKind(t, b.check(v, "no"), problem.WrongCode)
	b.r.BlockedUntil = noon.Add(time.Minute)
	b.r.Verifications[0].TestCode, b.r.Verifications[0].Claimed = "424242", true
	b.r = otp.Conclude(b.r, b.r.Replays[0].Idempotency, b.found(v), otp.OutcomeUnclear, 30*time.Second)
	got := fmt.Sprintf("%x", mustEncode(t, b.r))

	unix := func(t time.Time) string { return fmt.Sprintf("%016x", t.UnixMilli()) }
	at, expires := unix(b.now), unix(noon.Add(10*time.Minute))
	text := func(s string) string { return fmt.Sprintf("%02x%x", len(s), s) }
	zeros := strings.Repeat("00", 15)
	want := strings.Join([]string{
		"02", text(alice), "0010", at, at, "0008", at,
		at, unix(noon.Add(time.Minute)), at, text("sms"),
		"006c", "aa" + zeros, zeros + "bb", at, text(string(v.ID)), text("pay"), text("sms"),
		expires, at, "0004", "0005", "06", "0000001e",
		text(string(v.ID)), text("pay"), text("u1"), "01", text(aliceEmail), text("en"),
		"0d", text("whatsapp"), text("sms"),
		"0029", text("whatsapp"), at, "02", "0000f62a", "01", text("sms"), at, "03", "00000000", "00",
		text("EUR 5"), text("Acme"),
		"0000000000000000" + "0000000000000001", fmt.Sprintf("%x", v.Key), "06", "01", text("424242"), "05",
		at, expires, at, "0001", "01",
	}, "")
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// behindStatus is how many bytes of a row lie behind the last verification's
// status: three times, a count and a bool.
const behindStatus = 3*8 + 2 + 1

func TestRow_StatusNumbersAreFixed(t *testing.T) {
	for i, status := range []otp.Status{
		otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable,
	} {
		b := newBench(t, quiet())
		b.start("login")
		b.r.Verifications[0].Status = status
		row := mustEncode(t, b.r)
		if got := row[len(row)-behindStatus-1]; int(got) != i {
			t.Errorf("%s is kept as %d, want %d", status, got, i)
		}
	}
}

func TestRow_DeliveryNumbersAreFixed(t *testing.T) {
	for i, status := range []otp.DeliveryStatus{otp.Queued, otp.Sent, otp.Failed, otp.Delivered, otp.Read} {
		b := newBench(t, quiet())
		b.start("login")
		b.r.Verifications[0].Attempts[0].Status = status
		row := mustEncode(t, b.r)
		// The attempt's error and bool, no context, nonce, key, shape, no test code.
		if got := row[len(row)-behindStatus-1-(5+2+16+4+2+1)-1]; int(got) != i {
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
	// In place of the last occurrence: the last verification's.
	instead := func(old, with string) []byte {
		i := bytes.LastIndex(row, []byte(old))
		if i < 0 {
			t.Fatalf("the row has no %x", old)
		}
		return slices.Concat(row[:i], []byte(with), row[i+len(old):])
	}
	at := string(binary.BigEndian.AppendUint64(nil, uint64(noon.UnixMilli())))
	failed := "\x08whatsapp" + at + "\x02\x00\x00\xf6\x30\x00"
	for name, bad := range map[string][]byte{
		"nothing":                      nil,
		"version 0":                    edit(0, 0),
		"a later version":              edit(0, 3),
		"version 2 as version 1":       edit(0, 1),
		"a spare byte":                 append(bytes.Clone(row), 0),
		"an unknown status":            edit(end-behindStatus-1, 7),
		"an unknown alphabet":          edit(end-behindStatus-3, 3),
		"a code that is too short":     edit(end-behindStatus-4, otp.MinCodeLength-1),
		"a code that is too long":      edit(end-behindStatus-4, otp.MaxCodeLength+1),
		"a bool that is neither":       edit(end-1, 2),
		"an unknown delivery":          instead(failed, "\x08whatsapp"+at+"\x05\x00\x00\xf6\x30\x00"),
		"a message of two bools":       instead("\x00\x17"+failed, "\x00\x18"+failed+"\x00"),
		"no message":                   instead("\x00\x17"+failed, "\x00\x00"),
		"no workflow":                  instead("\x09\x08whatsapp\x00\x17", "\x00\x00\x17"),
		"an unknown outcome":           instead("\x00\x05\x00\x00\x00\x00\x00", "\x00\x05\x07\x00\x00\x00\x00"),
		"a list of half a time":        append([]byte{1, 0, 0, 4}, make([]byte, 4+2)...),
		"an id with a capital":         bytes.Replace(row, []byte("\x22VE"), []byte("\x22Ve"), 2),
		"an empty row of zero version": make([]byte, 64),
	} {
		t.Run(name, func(t *testing.T) {
			if bytes.Equal(bad, row) {
				t.Fatal("nothing was changed")
			}
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
		"an unknown delivery":   func(r *otp.Recipient) { r.Verifications[0].Attempts[0].Status = "lost" },
		"no workflow":           func(r *otp.Recipient) { r.Verifications[0].Workflow = nil },
		"no message":            func(r *otp.Recipient) { r.Verifications[0].Attempts = nil },
		"an id of another form": func(r *otp.Recipient) { r.Verifications[0].ID = "VE1" },
		"a shape out of range":  func(r *otp.Recipient) { r.Verifications[0].Shape.Length = 262 },
		"too many sends":        func(r *otp.Recipient) { r.Sends = make([]time.Time, 1<<13) },
		"too many replays":      func(r *otp.Recipient) { r.Replays = make([]otp.Replay, 1<<10) },
		"too many channels":     func(r *otp.Recipient) { r.Verifications[0].Workflow = make([]string, 1<<8) },
		"too many messages": func(r *otp.Recipient) {
			r.Verifications[0].Attempts = slices.Repeat(r.Verifications[0].Attempts, 1<<12)
		},
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
