package otp_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/testing/fixture"
)

var (
	anyText = rapid.StringN(0, -1, 255)
	anyName = rapid.Map(anyText, toChannel)
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

func toChannel(text string) channel.Channel { return channel.Channel(text) }

// anyRow draws any recipient that can be kept, also one that breaks the rules.
var anyRow = rapid.Custom(func(t *rapid.T) otp.Recipient {
	times := rapid.SliceOfN(anyTime, 0, otp.MaxCounted)
	r := otp.Recipient{
		Address: anyText.Draw(t, "address"), BlockedUntil: anyTime.Draw(t, "blocked"),
		KnownAt: anyTime.Draw(t, "known"), Epoch: anyTime.Draw(t, "epoch"),
		Notices: times.Draw(t, "notices"), NoticeCall: any16.Draw(t, "notice call"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "callers") {
		tally := otp.Tally{
			Caller: anyCaller.Draw(t, "caller"), Sends: times.Draw(t, "sends"), Failures: times.Draw(t, "failures"), AlertedAt: anyTime.Draw(t, "alerted"),
		}
		for range rapid.IntRange(0, otp.MaxUnlocksPerDay).Draw(t, "unlocks") {
			tally.Unlocks = append(tally.Unlocks, otp.Unlock{At: anyTime.Draw(t, "unlocked"), Call: any16.Draw(t, "unlock call")})
		}
		r.Tallies = append(r.Tallies, tally)
		r.Preferred = append(r.Preferred, otp.Preferred{Client: anyText.Draw(t, "client"), Channel: anyName.Draw(t, "preferred"), At: anyTime.Draw(t, "preferred at")})
		if rapid.Bool().Draw(t, "preferred over a route") {
			p := &r.Preferred[len(r.Preferred)-1]
			p.Provider, p.Alone = anyText.Draw(t, "preferred provider"), rapid.Bool().Draw(t, "alone")
		}
	}
	for range rapid.IntRange(0, otp.MaxNoticesPerDay).Draw(t, "events") {
		r.Events = append(r.Events, otp.Event{Client: anyText.Draw(t, "client"), Name: anyText.Draw(t, "event"), At: anyTime.Draw(t, "event at")})
	}
	for range rapid.IntRange(0, otp.MaxMessages).Draw(t, "messages") {
		hash := any16.Draw(t, "message")
		r.Messages = append(r.Messages, otp.Message{Hash: otp.MessageHash(hash[:8]), At: anyTime.Draw(t, "message at")})
	}
	for range rapid.IntRange(0, 4).Draw(t, "replays") {
		r.Replays = append(r.Replays, otp.Replay{
			Idempotency: otp.Idempotency{Key: any16.Draw(t, "key"), Body: any16.Draw(t, "body"), Call: any16.Draw(t, "call")},
			At:          anyTime.Draw(t, "at"), ID: otp.ID(anyText.Draw(t, "id")),
			Purpose: anyText.Draw(t, "purpose"), Channel: anyName.Draw(t, "channel"),
			ExpiresAt: anyTime.Draw(t, "expires"), ResendAfter: anyTime.Draw(t, "resend after"),
			SendsLeft: anyCount.Draw(t, "sends left"), ChecksLeft: anyCount.Draw(t, "checks left"),
			Outcome:    otp.Outcome(rapid.IntRange(0, int(otp.OutcomeUnclear)).Draw(t, "outcome")),
			RetryAfter: time.Duration(rapid.Uint32().Draw(t, "retry after")) * time.Second,
			UnderWay:   rapid.Bool().Draw(t, "under way"), Caller: anyCaller.Draw(t, "replay of"),
		})
	}
	for range rapid.IntRange(0, 8).Draw(t, "verifications") {
		r.Verifications = append(r.Verifications, anyKept.Draw(t, "verification"))
	}
	return r
})

var anyKept = rapid.Custom(func(t *rapid.T) otp.Verification {
	v := otp.Verification{
		ID:      newID(fixture.Alice, rapid.Uint64().Draw(t, "id")),
		Purpose: anyText.Draw(t, "purpose"), User: otp.UserKey(anyText.Draw(t, "user")), Unverified: rapid.Bool().Draw(t, "unverified"),
		Other: anyText.Draw(t, "other"), Locale: anyText.Draw(t, "locale"),
		Workflow:    rapid.SliceOfN(rapid.Map(rapid.StringN(0, -1, 50), toChannel), 1, 5).Draw(t, "workflow"),
		Transaction: otp.Transaction{Amount: anyText.Draw(t, "amount"), Payee: anyText.Draw(t, "payee")},
		Nonce:       any16.Draw(t, "nonce"),
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
			Channel: anyName.Draw(t, "channel"), At: anyTime.Draw(t, "sent"),
			Status: rapid.SampledFrom(allDeliveries).Draw(t, "delivery"),
			Error:  int(rapid.Uint32().Draw(t, "error")), MayRecover: rapid.Bool().Draw(t, "may recover"),
		})
		if rapid.Bool().Draw(t, "over routes") {
			a, call := &v.Attempts[len(v.Attempts)-1], any16.Draw(t, "call")
			a.Provider, a.Asked, a.Call = anyText.Draw(t, "provider"), rapid.IntRange(0, otp.MaxAsked).Draw(t, "asked"), otp.MessageHash(call[:8])
			a.Refused = rapid.Bool().Draw(t, "refused")
		}
	}
	return v
})

func mustEncode(t rapid.TB, r otp.Recipient) []byte {
	t.Helper()
	row, err := recipient.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func TestRow_DecodesToWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRow.Draw(t, "recipient")
		row := mustEncode(t, r)
		got, err := recipient.Decode(row)
		if err != nil || !same(got, r) {
			t.Fatalf("got  %+v, %v\nwant %+v", got, err, r)
		}
	})
}

// sampleRow is a row with no empty list.
func sampleRow(t rapid.TB) []byte {
	r, v := begin(t, quiet(), "whatsapp", "sms", "email")
	r.fail(v, 1, otp.NextChannel)
	r.report(v, 2, otp.Read)
	v = r.startWith(func(req *otp.StartRequest) {
		req.Purpose, req.User, req.Unverified, req.Other, req.Locale = "pay", "u1", true, fixture.AliceMail, "en"
		req.Transaction = otp.Transaction{Amount: "EUR 5", Payee: "Acme"}
		req.Idempotency = otp.Idempotency{Key: [16]byte{1}, Body: [16]byte{2}}
	})
	for range 5 {
		_ = r.wrong(v)
	}
	r.fail(v, 1, otp.NextNone)
	r.kept.Notices = []time.Time{r.now}
	r.kept.Messages = []otp.Message{{Hash: otp.MessageHash{0xcc, 7: 0xdd}, At: r.now}}
	r.kept.Events = []otp.Event{{Client: "bank", Name: "other", At: r.now}}
	return mustEncode(t, r.kept)
}

// keptInFull is a recipient in which all that a row of version 2 holds is set, with
// its bytes in that version.
func keptInFull(t *testing.T) (*rig, func(version, notices, replays, underWay string) string) {
	r := newRig(t, quiet())
	r.now = fixture.Noon.Add(7 * ms)
	v := r.startWith(func(req *otp.StartRequest) {
		req.Purpose, req.Transaction = "pay", otp.Transaction{Amount: "EUR 5", Payee: "Acme"}
		req.User, req.Unverified, req.Other, req.Locale = "u1", true, fixture.AliceMail, "en"
		req.Workflow = []channel.Channel{"whatsapp", "sms"}
		req.Idempotency = otp.Idempotency{Key: [16]byte{0xaa}, Body: [16]byte{15: 0xbb}}
	})
	r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, Error: 63018, MayRecover: true})
	r.report(v, 2, otp.Delivered)
	r.policy.MaxChecks = 1
	wantKind(t, r.check(v, wrongCode(codeOf(t, v))), problem.WrongCode)
	r.kept.BlockedUntil = fixture.Noon.Add(time.Minute)
	r.kept.Verifications[0].TestCode, r.kept.Verifications[0].Claimed = "424242", true
	r.kept = otp.Conclude(r.kept, r.kept.Replays[0].Idempotency, r.found(v), otp.OutcomeUnclear, 30*time.Second)
	r.kept.Tallies[0].AlertedAt = r.now

	unix := func(t time.Time) string { return fmt.Sprintf("%016x", t.UnixMilli()) }
	at, expires := unix(r.now), unix(fixture.Noon.Add(10*time.Minute))
	text := func(s string) string { return fmt.Sprintf("%02x%x", len(s), s) }
	zeros := strings.Repeat("00", 15)
	return r, func(version, notices, replays, underWay string) string {
		return strings.Join([]string{
			version, text(fixture.Alice), "0010", at, at, "0008", at,
			at, unix(fixture.Noon.Add(time.Minute)), at, text("sms"),
			notices, replays, "aa" + zeros, zeros + "bb", at, text(string(v.ID)), text("pay"), text("sms"),
			expires, at, "0004", "0005", "06", "0000001e", underWay,
			text(string(v.ID)), text("pay"), text("u1"), "01", text(fixture.AliceMail), text("en"),
			"0d", text("whatsapp"), text("sms"),
			"0029", text("whatsapp"), at, "02", "0000f62a", "01", text("sms"), at, "03", "00000000", "00",
			text("EUR 5"), text("Acme"),
			"0000000000000000" + "0000000000000001", fmt.Sprintf("%x", v.Key), "06", "01", text("424242"), "05",
			at, expires, at, "0001", "01",
		}, "")
	}
}

// A change of these bytes is a change of the layout, which needs a new version:
// existing rows have to stay readable.
func TestRow_LayoutOfVersion6IsFixed(t *testing.T) {
	r, layout := keptForCallers(t)
	session := otp.Session{0xfe, 15: 0xdc}
	r.kept.Suspects = []otp.Suspect{{ID: [8]byte{0x77, 7: 0x88}, Failures: 3, At: r.now}}
	r.kept.Verifications[0].Session, r.kept.Replays[0].Caller.Session = session, session
	at, owner := fmt.Sprintf("%016x", r.now.UnixMilli()), "01"+fmt.Sprintf("%x", session[:])
	if got, want := fmt.Sprintf("%x", mustEncode(t, r.kept)), layout("06", "0011"+"7700000000000088"+"03"+at, owner); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Version 7 is for rows in which a provider has a name. All others stay readable for the release
// before.
func TestRow_LayoutOfVersion7IsFixed(t *testing.T) {
	r, layout := keptForCallers(t)
	v := &r.kept.Verifications[0]
	r.kept.Preferred[0].Provider, v.Attempts[0].Provider, v.Attempts[1].Provider = "plivo", "twilio", "plivo"
	v.Attempts[1].Asked, v.Attempts[1].Call = 2, otp.MessageHash{0x99, 7: 0x9a}
	v.Attempts[0].Refused, r.kept.Preferred[0].Alone = true, true
	v.Session, r.kept.Replays[0].Caller.Session = otp.Session{}, otp.Session{}
	want := layout("07", "0000", "00")
	if got := fmt.Sprintf("%x", mustEncode(t, r.kept)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	row, err := hex.DecodeString(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := recipient.Decode(row); err != nil || !same(got, r.kept) {
		t.Errorf("%v:\ngot  %+v\nwant %+v", err, got, r.kept)
	}
}

// An earlier release wrote these bytes.
func TestRow5_IsReadInFull(t *testing.T) {
	r, layout := keptForCallers(t)
	row, err := hex.DecodeString(layout("05", "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := recipient.Decode(row); err != nil || !same(got, r.kept) {
		t.Errorf("%v:\ngot  %+v\nwant %+v", err, got, r.kept)
	}
}

// keptForCallers is a recipient in which all that a row of version 5 holds is set, with its
// bytes in that version, or in a later one that has more.
func keptForCallers(t *testing.T) (*rig, func(version, suspects, owner string) string) {
	r, _ := keptInFull(t)
	bank := otp.Caller{Client: "bank", Origin: otp.OriginTyped, Network: otp.Network{1, 2, 3, 4}}
	r.kept.Tallies = append(r.kept.Tallies, otp.Tally{Caller: bank, Failures: []time.Time{r.now}, Unlocks: []otp.Unlock{{At: r.now, Call: [16]byte{0xab}}}})
	r.kept.Preferred = append(r.kept.Preferred, otp.Preferred{Client: "bank", Channel: "call", At: r.now})
	r.kept.KnownAt, r.kept.Epoch = r.now, r.now
	r.kept.Notices, r.kept.NoticeCall = []time.Time{r.now}, [16]byte{0xee}
	r.kept.Events = []otp.Event{{Client: "bank", Name: "other", At: r.now}}
	r.kept.Messages = []otp.Message{{Hash: otp.MessageHash{0xcc, 7: 0xdd}, At: r.now}}
	r.kept.Replays[0].Caller, r.kept.Replays[0].UnderWay, r.kept.Replays[0].Call = otp.Caller{Client: "bank", Origin: otp.OriginKnown}, true, [16]byte{15: 0xff}
	r.kept.Verifications[0].Caller = bank

	unix := func(t time.Time) string { return fmt.Sprintf("%016x", uint64(t.UnixMilli())) }
	at, never, zeros, expires := unix(r.now), unix(time.Time{}), strings.Repeat("00", 15), unix(fixture.Noon.Add(10*time.Minute))
	text := func(s string) string { return fmt.Sprintf("%02x%x", len(s), s) }
	list := func(parts ...string) string {
		all := strings.Join(parts, "")
		return fmt.Sprintf("%04x%s", len(all)/2, all)
	}
	server, typed := text("")+"00", text("bank")+"01"+"01020304"
	v := r.kept.Verifications[0]
	return r, func(version, suspects, owner string) string {
		provider, call := func(string) string { return "" }, func(string) string { return "" } // of version 7 only
		if version == "07" {
			provider, call = text, func(bytes string) string { return bytes }
		}
		return strings.Join([]string{
			version, text(fixture.Alice),
			list(server, list(at, at), list(at), at, "00", typed, list(), list(at), never, "18"+at+"ab"+zeros),
			unix(fixture.Noon.Add(time.Minute)),
			list(text(""), at, text("sms"), provider("plivo"), call("01"), text("bank"), at, text("call"), provider(""), call("00")),
			at, at, suspects, list(at), "ee" + zeros,
			list(text("bank"), text("other"), at),
			list("cc000000000000dd", at),
			list(text("bank"), "02", owner, "aa"+zeros, zeros+"bb", at, text(string(v.ID)), text("pay"), text("sms"),
				expires, at, "0004", "0005", "06", "0000001e", "01", zeros+"ff"),
			text(string(v.ID)), typed, owner, text("pay"), text("u1"), "01", text(fixture.AliceMail), text("en"),
			"0d", text("whatsapp"), text("sms"),
			list(text("whatsapp"), at, "02", "0000f62a", "01", provider("twilio"), call("01"+"00"+"0000000000000000"),
				text("sms"), at, "03", "00000000", "00", provider("plivo"), call("00"+"02"+"990000000000009a")),
			text("EUR 5"), text("Acme"),
			"0000000000000000" + "0000000000000001", fmt.Sprintf("%x", v.Key), "06", "01", text("424242"), "05",
			at, expires, at, "0001", "01",
		}, "")
	}
}

// An earlier release wrote these bytes.
func TestRow4_IsReadInFull(t *testing.T) {
	r, layout := keptInFull(t)
	r.kept.Notices = []time.Time{r.now}
	r.kept.Messages = []otp.Message{{Hash: otp.MessageHash{0xcc, 7: 0xdd}, At: r.now}}
	r.kept.Replays[0].UnderWay = true
	r.kept.NoticeCall, r.kept.Replays[0].Call = [16]byte{0xee}, [16]byte{15: 0xff}
	at, zeros := fmt.Sprintf("%016x", r.now.UnixMilli()), strings.Repeat("00", 15)
	row, err := hex.DecodeString(layout("04", "0008"+at+"ee"+zeros+"0010"+"cc000000000000dd"+at, "007d", "01"+zeros+"ff"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := recipient.Decode(row); err != nil || !same(got, r.kept) {
		t.Errorf("%v:\ngot  %+v\nwant %+v", err, got, r.kept)
	}
}

// An earlier release wrote these bytes.
func TestRow3_IsReadInFull(t *testing.T) {
	r, layout := keptInFull(t)
	r.kept.Notices = []time.Time{r.now}
	r.kept.Messages = []otp.Message{{Hash: otp.MessageHash{0xcc, 7: 0xdd}, At: r.now}}
	r.kept.Replays[0].UnderWay = true
	at := fmt.Sprintf("%016x", r.now.UnixMilli())
	row, err := hex.DecodeString(layout("03", "0008"+at+"0010"+"cc000000000000dd"+at, "006d", "01"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := recipient.Decode(row); err != nil || !same(got, r.kept) {
		t.Errorf("%v:\ngot  %+v\nwant %+v", err, got, r.kept)
	}
}

// An earlier release wrote these bytes.
func TestRow2_IsReadInFull(t *testing.T) {
	r, layout := keptInFull(t)
	row, err := hex.DecodeString(layout("02", "", "006c", ""))
	if err != nil {
		t.Fatal(err)
	}
	got, err := recipient.Decode(row)
	if err != nil || !same(got, r.kept) {
		t.Errorf("%v:\ngot  %+v\nwant %+v", err, got, r.kept)
	}
	for version := range byte(8) {
		if _, err := recipient.Decode(edited(row, 0, version)); (err == nil) != (version == 2) {
			t.Errorf("as version %d: %v", version, err)
		}
	}
	again, err := recipient.Decode(mustEncode(t, got))
	if err != nil || !same(again, got) {
		t.Errorf("%v: kept as %+v", err, again)
	}
}

// behindStatus is the number of bytes after the last verification's status: three
// times, a count and a bool.
const behindStatus = 3*8 + 2 + 1

func TestRow_NumbersOfStatusesAreFixed(t *testing.T) {
	r, _ := begin(t, quiet())
	wantNumber := func(status any, fromEnd, want int) {
		t.Helper()
		row := mustEncode(t, r.kept)
		if got := int(row[len(row)-fromEnd]); got != want {
			t.Errorf("%s is kept as %d, want %d", status, got, want)
		}
	}
	for i, status := range []otp.Status{
		otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable,
	} {
		r.kept.Verifications[0].Status = status
		wantNumber(status, behindStatus+1, i)
	}
	for i, status := range []otp.DeliveryStatus{otp.Queued, otp.Sent, otp.Failed, otp.Delivered, otp.Read} {
		r.kept.Verifications[0].Attempts[0].Status = status
		// The attempt's error and bool, no context, nonce, key, shape, no test code.
		wantNumber(status, behindStatus+1+(5+2+16+4+2+1)+1, i)
	}
}

func TestDecode_RefusesEveryTruncatedRow(t *testing.T) {
	row := sampleRow(t)
	// A row that ends after a verification is complete. The seal around the row
	// shows that one is missing.
	var whole []int
	for n := range row {
		if r, err := recipient.Decode(row[:n]); err == nil {
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
	edit := func(at int, b byte) []byte { return edited(row, at, b) }
	// In place of the last occurrence: the last verification's.
	instead := func(old, with string) []byte {
		i := bytes.LastIndex(row, []byte(old))
		if i < 0 {
			t.Fatalf("the row has no %x", old)
		}
		return slices.Concat(row[:i], []byte(with), row[i+len(old):])
	}
	at := string(binary.BigEndian.AppendUint64(nil, uint64(fixture.Noon.UnixMilli())))
	hash := "\xcc\x00\x00\x00\x00\x00\x00\xdd"
	failed := "\x08whatsapp" + at + "\x02\x00\x00\xf6\x30\x00"
	wantRefused(t, row, map[string][]byte{
		"nothing":                      nil,
		"version 0":                    edit(0, 0),
		"a later version":              edit(0, 8),
		"version 6 as version 7":       edit(0, 7),
		"version 6 as version 1":       edit(0, 1),
		"version 6 as version 2":       edit(0, 2),
		"version 6 as version 3":       edit(0, 3),
		"version 6 as version 4":       edit(0, 4),
		"version 6 as version 5":       edit(0, 5),
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
		"an unknown outcome":           instead("\x00\x05\x00\x00\x00\x00\x00\x01", "\x00\x05\x07\x00\x00\x00\x00\x01"),
		"under way, or not":            instead("\x00\x05\x00\x00\x00\x00\x00\x01", "\x00\x05\x00\x00\x00\x00\x00\x02"),
		"half an event":                instead("\x00\x13\x04bank\x05other"+at, "\x00\x12\x04bank\x05other"+at),
		"half a message of the person": instead("\x00\x10"+hash+at, "\x00\x0c"+hash+at[:4]),
		"a list of half a time":        append([]byte{1, 0, 0, 4}, make([]byte, 4+2)...),
		"an id with a capital":         bytes.Replace(row, []byte("\x22VE"), []byte("\x22Ve"), 2),
		"an empty row of zero version": make([]byte, 64),
	})
}

// edited returns the row with another byte in one place.
func edited(row []byte, at int, b byte) []byte {
	row = bytes.Clone(row)
	row[at] = b
	return row
}

// wantRefused checks that no change of the row decodes.
func wantRefused(t *testing.T, row []byte, changed map[string][]byte) {
	t.Helper()
	for name, bad := range changed {
		if bytes.Equal(bad, row) {
			t.Errorf("%s: nothing was changed", name)
		}
		if r, err := recipient.Decode(bad); err == nil || len(r.Verifications) > 0 || r.Address != "" {
			t.Errorf("%s: decodes to %+v, %v", name, r, err)
		}
	}
}

func TestEncode_RefusesWhatDecodeCouldNotRead(t *testing.T) {
	for name, spoil := range map[string]func(r *otp.Recipient){
		"a text over 255 bytes": func(r *otp.Recipient) { r.Verifications[0].Transaction.Payee = strings.Repeat("x", 256) },
		"an unknown status":     func(r *otp.Recipient) { r.Verifications[0].Status = "new" },
		"an unknown delivery":   func(r *otp.Recipient) { r.Verifications[0].Attempts[0].Status = "lost" },
		"no workflow":           func(r *otp.Recipient) { r.Verifications[0].Workflow = nil },
		"no message":            func(r *otp.Recipient) { r.Verifications[0].Attempts = nil },
		"an id of another form": func(r *otp.Recipient) { r.Verifications[0].ID = "VE1" },
		"a shape out of range":  func(r *otp.Recipient) { r.Verifications[0].Shape.Length = 262 },
		"too many sends":        func(r *otp.Recipient) { r.Tallies[0].Sends = make([]time.Time, 1<<13) },
		"too many replays":      func(r *otp.Recipient) { r.Replays = make([]otp.Replay, 1<<10) },
		"too many channels":     func(r *otp.Recipient) { r.Verifications[0].Workflow = make([]channel.Channel, 1<<8) },
		"too many messages": func(r *otp.Recipient) {
			r.Verifications[0].Attempts = slices.Repeat(r.Verifications[0].Attempts, 1<<12)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, quiet())
			r.start("login")
			spoil(&r.kept)
			if row, err := recipient.Encode(r.kept); err == nil {
				t.Errorf("%d bytes were written", len(row))
			}
		})
	}
}
