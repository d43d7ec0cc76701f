package recipient

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/otp"
	"twofa/internal/row"
)

// The first byte of an encoded recipient is its version. A new layout gets a new
// version, and Decode still reads the older ones.
const (
	version1 = 1 // one channel for each verification, no deliveries; see row1.go
	version2 = 2 // no notices, no messages of the person, no requests under way
	version3 = 3 // no calls of the host
	version4 = 4
)

// errRow: the bytes are not a recipient in a version that this program knows.
var errRow = errors.New("recipient: not an encoded recipient")

// These fix the number of each status in a row. Append only.
var (
	statuses         = []otp.Status{otp.Pending, otp.Approved, otp.Canceled, otp.Denied, otp.Expired, otp.Exhausted, otp.Undeliverable}
	deliveryStatuses = []otp.DeliveryStatus{otp.Queued, otp.Sent, otp.Failed, otp.Delivered, otp.Read}
)

// Encode writes a recipient as bytes: numbers in big-endian order, texts and
// lists after their length in bytes, times in Unix milliseconds. It fails for a
// recipient that Decode would refuse, and for texts longer than 255 bytes.
func Encode(r otp.Recipient) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 128+288*len(r.Verifications)+8*(len(r.Sends)+len(r.Failures))+176*len(r.Replays)))
	b.AddUint8(version4)
	row.AddText(b, r.Address)
	row.AddTimes(b, r.Sends)
	row.AddTimes(b, r.Failures)
	row.AddTime(b, r.AlertedAt)
	row.AddTime(b, r.BlockedUntil)
	row.AddTime(b, r.Preferred.At)
	row.AddText(b, r.Preferred.Channel)
	row.AddTimes(b, r.Notices)
	b.AddBytes(r.NoticeCall[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, m := range r.Messages {
			b.AddBytes(m.Hash[:])
			row.AddTime(b, m.At)
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, p := range r.Replays {
			addReplay(b, p)
		}
	})
	for _, v := range r.Verifications {
		if err := mayEncode(v); err != nil {
			return nil, err
		}
		addVerification(b, v)
	}
	return b.Bytes()
}

// mayEncode returns an error for a verification that Decode would refuse.
func mayEncode(v otp.Verification) error {
	_, err := otp.ParseID(string(v.ID))
	if err != nil || !v.Shape.Valid() || !slices.Contains(statuses, v.Status) || !hasChannel(v) {
		return fmt.Errorf("recipient: cannot keep the verification %q, %s, %+v, %q", v.ID, v.Status, v.Shape, v.Workflow)
	}
	for _, a := range v.Attempts {
		if !slices.Contains(deliveryStatuses, a.Status) {
			return fmt.Errorf("recipient: cannot keep a message that is %q", a.Status)
		}
	}
	return nil
}

// hasChannel reports whether v has a workflow, and a message unless it waits for a
// message of the person. This holds for every verification.
func hasChannel(v otp.Verification) bool {
	return len(v.Workflow) > 0 && (v.Inbound() || len(v.Attempts) > 0)
}

func addReplay(b *cryptobyte.Builder, p otp.Replay) {
	b.AddBytes(p.Key[:])
	b.AddBytes(p.Body[:])
	row.AddTime(b, p.At)
	row.AddText(b, p.ID)
	row.AddText(b, p.Purpose)
	row.AddText(b, p.Channel)
	row.AddTime(b, p.ExpiresAt)
	row.AddTime(b, p.ResendAfter)
	b.AddUint16(uint16(p.SendsLeft))
	b.AddUint16(uint16(p.ChecksLeft))
	b.AddUint8(uint8(p.Outcome))
	b.AddUint32(uint32(p.RetryAfter / time.Second))
	row.AddBool(b, p.UnderWay)
	b.AddBytes(p.Call[:])
}

func addVerification(b *cryptobyte.Builder, v otp.Verification) {
	row.AddText(b, v.ID)
	row.AddText(b, v.Purpose)
	row.AddText(b, v.User)
	row.AddBool(b, v.Unverified)
	row.AddText(b, v.Other)
	row.AddText(b, v.Locale)
	row.AddTexts(b, v.Workflow)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, a := range v.Attempts {
			row.AddText(b, a.Channel)
			row.AddTime(b, a.At)
			b.AddUint8(uint8(slices.Index(deliveryStatuses, a.Status)))
			b.AddUint32(uint32(a.Error))
			row.AddBool(b, a.MayRecover)
		}
	})
	row.AddText(b, v.Transaction.Amount)
	row.AddText(b, v.Transaction.Payee)
	b.AddBytes(v.Nonce[:])
	b.AddBytes(v.Key[:])
	b.AddUint8(uint8(v.Shape.Length))
	b.AddUint8(uint8(v.Shape.Alphabet))
	row.AddText(b, v.TestCode)
	b.AddUint8(uint8(slices.Index(statuses, v.Status)))
	row.AddTime(b, v.CreatedAt)
	row.AddTime(b, v.ExpiresAt)
	row.AddTime(b, v.EndedAt)
	b.AddUint16(uint16(v.Checks))
	row.AddBool(b, v.Claimed)
}

// Decode reads what Encode of this or an earlier version wrote. Anything else is an
// error: an unknown version or status, a missing byte, an additional byte.
func Decode(encoded []byte) (otp.Recipient, error) {
	s := cryptobyte.String(encoded)
	var version uint8
	if !s.ReadUint8(&version) || version < version1 || version > version4 {
		return otp.Recipient{}, fmt.Errorf("%w: version %d", errRow, version)
	}
	var r otp.Recipient
	ok := row.ReadText(&s, &r.Address) && row.ReadTimes(&s, &r.Sends) && row.ReadTimes(&s, &r.Failures)
	readVerification := readVerification1
	if version >= version2 {
		readVerification = readVerification2
		ok = ok && row.ReadTime(&s, &r.AlertedAt) && row.ReadTime(&s, &r.BlockedUntil) &&
			row.ReadTime(&s, &r.Preferred.At) && row.ReadText(&s, &r.Preferred.Channel)
		if version >= version3 {
			ok = ok && row.ReadTimes(&s, &r.Notices) && (version < version4 || s.CopyBytes(r.NoticeCall[:])) && readMessages(&s, &r.Messages)
		}
		ok = ok && readReplays(&s, &r.Replays, version)
	}
	for ok && !s.Empty() {
		var v otp.Verification
		v, ok = readVerification(&s)
		ok = ok && hasChannel(v)
		r.Verifications = append(r.Verifications, v)
	}
	if !ok {
		return otp.Recipient{}, errRow
	}
	return r, nil
}

func readMessages(s *cryptobyte.String, out *[]otp.Message) bool {
	var list cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&list)
	for ok && !list.Empty() {
		var m otp.Message
		ok = list.CopyBytes(m.Hash[:]) && row.ReadTime(&list, &m.At)
		*out = append(*out, m)
	}
	return ok
}

func readReplays(s *cryptobyte.String, out *[]otp.Replay, version uint8) bool {
	var list cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&list)
	for ok && !list.Empty() {
		var p otp.Replay
		var sends, checks uint16
		var outcome uint8
		var retryAfter uint32
		ok = list.CopyBytes(p.Key[:]) && list.CopyBytes(p.Body[:]) && row.ReadTime(&list, &p.At) && row.ReadText(&list, &p.ID) &&
			row.ReadText(&list, &p.Purpose) && row.ReadText(&list, &p.Channel) &&
			row.ReadTime(&list, &p.ExpiresAt) && row.ReadTime(&list, &p.ResendAfter) &&
			list.ReadUint16(&sends) && list.ReadUint16(&checks) && list.ReadUint8(&outcome) && list.ReadUint32(&retryAfter) &&
			otp.Outcome(outcome) <= otp.OutcomeUnclear && (version < version3 || row.ReadBool(&list, &p.UnderWay)) &&
			(version < version4 || list.CopyBytes(p.Call[:]))
		p.SendsLeft, p.ChecksLeft = int(sends), int(checks)
		p.Outcome, p.RetryAfter = otp.Outcome(outcome), time.Duration(retryAfter)*time.Second
		*out = append(*out, p)
	}
	return ok
}

func readVerification2(s *cryptobyte.String) (v otp.Verification, ok bool) {
	var attempts cryptobyte.String
	var length, alphabet, status uint8
	var checks uint16
	ok = row.ReadText(s, &v.ID) &&
		row.ReadText(s, &v.Purpose) &&
		row.ReadText(s, &v.User) &&
		row.ReadBool(s, &v.Unverified) &&
		row.ReadText(s, &v.Other) &&
		row.ReadText(s, &v.Locale) &&
		row.ReadTexts(s, &v.Workflow) &&
		s.ReadUint16LengthPrefixed(&attempts) &&
		row.ReadText(s, &v.Transaction.Amount) &&
		row.ReadText(s, &v.Transaction.Payee) &&
		s.CopyBytes(v.Nonce[:]) &&
		s.CopyBytes(v.Key[:]) &&
		s.ReadUint8(&length) &&
		s.ReadUint8(&alphabet) &&
		row.ReadText(s, &v.TestCode) &&
		s.ReadUint8(&status) &&
		row.ReadTime(s, &v.CreatedAt) &&
		row.ReadTime(s, &v.ExpiresAt) &&
		row.ReadTime(s, &v.EndedAt) &&
		s.ReadUint16(&checks) &&
		row.ReadBool(s, &v.Claimed)
	for ok && !attempts.Empty() {
		var a otp.Attempt
		a, ok = readAttempt(&attempts)
		v.Attempts = append(v.Attempts, a)
	}
	v.Checks = int(checks)
	return v, ok && setNumbered(&v, length, alphabet, status)
}

func readAttempt(s *cryptobyte.String) (a otp.Attempt, ok bool) {
	var status uint8
	var number uint32
	ok = row.ReadText(s, &a.Channel) && row.ReadTime(s, &a.At) && s.ReadUint8(&status) && s.ReadUint32(&number) &&
		row.ReadBool(s, &a.MayRecover)
	if !ok || int(status) >= len(deliveryStatuses) {
		return a, false
	}
	a.Status, a.Error = deliveryStatuses[status], int(number)
	return a, true
}

// setNumbered sets the fields that a row holds as numbers. It reports whether the
// numbers are known, and whether the id is valid.
func setNumbered(v *otp.Verification, length, alphabet, status uint8) bool {
	if int(status) >= len(statuses) {
		return false
	}
	v.Status = statuses[status]
	v.Shape = otp.Shape{Length: int(length), Alphabet: otp.Alphabet(alphabet)}
	_, err := otp.ParseID(string(v.ID))
	return err == nil && v.Shape.Valid()
}
