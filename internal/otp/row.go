package otp

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/rowcodec"
)

// rowVersion is the first byte of an encoded recipient. A later layout gets a
// number of its own, and Decode keeps reading the older ones.
const (
	rowVersion1 = 1 // one channel a verification, no deliveries; read in row1.go
	rowVersion  = 2
)

// errRow: the bytes are no recipient of a version that this program knows.
var errRow = errors.New("otp: not an encoded recipient")

// statuses fixes the number of each status in a row. Append only.
var statuses = []Status{Pending, Approved, Canceled, Denied, Expired, Exhausted, Undeliverable}

// Encode writes the recipient as bytes: numbers in big-endian order, texts and
// lists behind their length in bytes, times in Unix milliseconds. It fails for
// what Decode would not read again, and for texts longer than 255 bytes.
func (r Recipient) Encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 128+288*len(r.Verifications)+8*(len(r.Sends)+len(r.Failures))+160*len(r.Replays)))
	b.AddUint8(rowVersion)
	rowcodec.AddText(b, r.Address)
	addTimes(b, r.Sends)
	addTimes(b, r.Failures)
	rowcodec.AddTime(b, r.AlertedAt)
	rowcodec.AddTime(b, r.BlockedUntil)
	rowcodec.AddTime(b, r.Good.At)
	rowcodec.AddText(b, r.Good.Channel)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, p := range r.Replays {
			addReplay(b, p)
		}
	})
	for _, v := range r.Verifications {
		if err := v.mayKeep(); err != nil {
			return nil, err
		}
		addVerification(b, v)
	}
	return b.Bytes()
}

// mayKeep returns an error for what Decode would not read again.
func (v Verification) mayKeep() error {
	_, bad := ParseID(string(v.ID))
	if bad != nil || !v.Shape.Valid() || !slices.Contains(statuses, v.Status) || !v.hasChannel() {
		return fmt.Errorf("otp: cannot keep the verification %q, %s, %+v, %q", v.ID, v.Status, v.Shape, v.Workflow)
	}
	for _, a := range v.Attempts {
		if a.Status.rank() < 0 {
			return fmt.Errorf("otp: cannot keep a message that is %q", a.Status)
		}
	}
	return nil
}

// hasChannel reports what holds for every verification: it has a workflow, and
// unless it waits for the person's message, one of its own.
func (v Verification) hasChannel() bool {
	return len(v.Workflow) > 0 && (v.Inbound() || len(v.Attempts) > 0)
}

func addReplay(b *cryptobyte.Builder, p Replay) {
	b.AddBytes(p.Key[:])
	b.AddBytes(p.Body[:])
	rowcodec.AddTime(b, p.At)
	rowcodec.AddText(b, string(p.ID))
	rowcodec.AddText(b, p.Purpose)
	rowcodec.AddText(b, p.Channel)
	rowcodec.AddTime(b, p.ExpiresAt)
	rowcodec.AddTime(b, p.ResendAfter)
	b.AddUint16(uint16(p.SendsLeft))
	b.AddUint16(uint16(p.ChecksLeft))
	b.AddUint8(uint8(p.Outcome))
	b.AddUint32(uint32(p.RetryAfter / time.Second))
}

func addVerification(b *cryptobyte.Builder, v Verification) {
	rowcodec.AddText(b, string(v.ID))
	rowcodec.AddText(b, v.Purpose)
	rowcodec.AddText(b, v.User)
	addBool(b, v.Unverified)
	rowcodec.AddText(b, v.Other)
	rowcodec.AddText(b, v.Locale)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, c := range v.Workflow {
			rowcodec.AddText(b, c)
		}
	})
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, a := range v.Attempts {
			rowcodec.AddText(b, a.Channel)
			rowcodec.AddTime(b, a.At)
			b.AddUint8(uint8(a.Status.rank()))
			b.AddUint32(uint32(a.Error))
			addBool(b, a.MayRecover)
		}
	})
	rowcodec.AddText(b, v.Context.Amount)
	rowcodec.AddText(b, v.Context.Payee)
	b.AddBytes(v.Nonce[:])
	b.AddBytes(v.Key[:])
	b.AddUint8(uint8(v.Shape.Length))
	b.AddUint8(uint8(v.Shape.Alphabet))
	rowcodec.AddText(b, v.TestCode)
	b.AddUint8(uint8(slices.Index(statuses, v.Status)))
	rowcodec.AddTime(b, v.CreatedAt)
	rowcodec.AddTime(b, v.ExpiresAt)
	rowcodec.AddTime(b, v.EndedAt)
	b.AddUint16(uint16(v.Checks))
	addBool(b, v.Claimed)
}

// Decode reads what Encode of this or an earlier version wrote, and nothing
// else: an unknown version, an unknown status, a missing or a spare byte is an
// error.
func Decode(row []byte) (Recipient, error) {
	s := cryptobyte.String(row)
	var version uint8
	if !s.ReadUint8(&version) || version != rowVersion && version != rowVersion1 {
		return Recipient{}, fmt.Errorf("%w: version %d", errRow, version)
	}
	var r Recipient
	ok := rowcodec.ReadText(&s, &r.Address) && readTimes(&s, &r.Sends) && readTimes(&s, &r.Failures)
	readVerification := readVerification1
	if version == rowVersion {
		readVerification = readVerification2
		ok = ok && rowcodec.ReadTime(&s, &r.AlertedAt) && rowcodec.ReadTime(&s, &r.BlockedUntil) &&
			rowcodec.ReadTime(&s, &r.Good.At) && rowcodec.ReadText(&s, &r.Good.Channel) && readReplays(&s, &r.Replays)
	}
	if !ok {
		return Recipient{}, errRow
	}
	for !s.Empty() {
		v, ok := readVerification(&s)
		if !ok || !v.hasChannel() {
			return Recipient{}, errRow
		}
		r.Verifications = append(r.Verifications, v)
	}
	return r, nil
}

func readReplays(s *cryptobyte.String, out *[]Replay) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var p Replay
		var id string
		var sends, checks uint16
		var outcome uint8
		var retryAfter uint32
		ok := list.CopyBytes(p.Key[:]) && list.CopyBytes(p.Body[:]) && rowcodec.ReadTime(&list, &p.At) && rowcodec.ReadText(&list, &id) &&
			rowcodec.ReadText(&list, &p.Purpose) && rowcodec.ReadText(&list, &p.Channel) &&
			rowcodec.ReadTime(&list, &p.ExpiresAt) && rowcodec.ReadTime(&list, &p.ResendAfter) &&
			list.ReadUint16(&sends) && list.ReadUint16(&checks) && list.ReadUint8(&outcome) && list.ReadUint32(&retryAfter)
		if !ok || Outcome(outcome) > OutcomeUnclear {
			return false
		}
		p.ID, p.SendsLeft, p.ChecksLeft = ID(id), int(sends), int(checks)
		p.Outcome, p.RetryAfter = Outcome(outcome), time.Duration(retryAfter)*time.Second
		*out = append(*out, p)
	}
	return true
}

func readVerification2(s *cryptobyte.String) (v Verification, ok bool) {
	var id string
	var workflow, attempts cryptobyte.String
	var length, alphabet, status uint8
	var checks uint16
	ok = rowcodec.ReadText(s, &id) &&
		rowcodec.ReadText(s, &v.Purpose) &&
		rowcodec.ReadText(s, &v.User) &&
		readBool(s, &v.Unverified) &&
		rowcodec.ReadText(s, &v.Other) &&
		rowcodec.ReadText(s, &v.Locale) &&
		s.ReadUint8LengthPrefixed(&workflow) &&
		s.ReadUint16LengthPrefixed(&attempts) &&
		rowcodec.ReadText(s, &v.Context.Amount) &&
		rowcodec.ReadText(s, &v.Context.Payee) &&
		s.CopyBytes(v.Nonce[:]) &&
		s.CopyBytes(v.Key[:]) &&
		s.ReadUint8(&length) &&
		s.ReadUint8(&alphabet) &&
		rowcodec.ReadText(s, &v.TestCode) &&
		s.ReadUint8(&status) &&
		rowcodec.ReadTime(s, &v.CreatedAt) &&
		rowcodec.ReadTime(s, &v.ExpiresAt) &&
		rowcodec.ReadTime(s, &v.EndedAt) &&
		s.ReadUint16(&checks) &&
		readBool(s, &v.Claimed)
	for ok && !workflow.Empty() {
		var channel string
		ok = rowcodec.ReadText(&workflow, &channel)
		v.Workflow = append(v.Workflow, channel)
	}
	for ok && !attempts.Empty() {
		var a Attempt
		a, ok = readAttempt(&attempts)
		v.Attempts = append(v.Attempts, a)
	}
	v.Checks = int(checks)
	return v, ok && v.setCommon(id, length, alphabet, status)
}

func readAttempt(s *cryptobyte.String) (a Attempt, ok bool) {
	var status uint8
	var number uint32
	ok = rowcodec.ReadText(s, &a.Channel) && rowcodec.ReadTime(s, &a.At) && s.ReadUint8(&status) && s.ReadUint32(&number) &&
		readBool(s, &a.MayRecover)
	if !ok || int(status) >= len(deliveryStatuses) {
		return a, false
	}
	a.Status, a.Error = deliveryStatuses[status], int(number)
	return a, true
}

// setCommon sets what a row has as numbers, and reports whether they mean
// something.
func (v *Verification) setCommon(id string, length, alphabet, status uint8) bool {
	if int(status) >= len(statuses) {
		return false
	}
	parsed, bad := ParseID(id)
	v.ID, v.Status = parsed, statuses[status]
	v.Shape = Shape{Length: int(length), Alphabet: Alphabet(alphabet)}
	return bad == nil && v.Shape.Valid()
}

func addBool(b *cryptobyte.Builder, set bool) {
	if set {
		b.AddUint8(1)
	} else {
		b.AddUint8(0)
	}
}

func readBool(s *cryptobyte.String, out *bool) bool {
	var b uint8
	ok := s.ReadUint8(&b)
	*out = b == 1
	return ok && b <= 1
}

func addTimes(b *cryptobyte.Builder, times []time.Time) {
	const size = 8
	if size*len(times) > math.MaxUint16 {
		b.SetError(fmt.Errorf("otp: %d times cannot be kept", len(times)))
		return
	}
	b.AddUint16(uint16(size * len(times)))
	for _, t := range times {
		rowcodec.AddTime(b, t)
	}
}

func readTimes(s *cryptobyte.String, out *[]time.Time) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var t time.Time
		if !rowcodec.ReadTime(&list, &t) {
			return false
		}
		*out = append(*out, t)
	}
	return true
}
