package otp

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// rowVersion is the first byte of an encoded recipient. A later layout gets a
// number of its own, and Decode keeps reading the older ones.
const rowVersion = 1

// errRow: the bytes are no recipient of a version that this program knows.
var errRow = errors.New("otp: not an encoded recipient")

// statuses fixes the number of each status in a row. Append only.
var statuses = []Status{Pending, Approved, Canceled, Denied, Expired, Exhausted, Undeliverable}

// Encode writes the recipient as bytes: numbers in big-endian order, texts and
// lists behind their length in bytes, times in Unix milliseconds. It fails for
// what Decode would not read again, and for texts longer than 255 bytes.
func (r Recipient) Encode() ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 64+192*len(r.Verifications)+8*(len(r.Sends)+len(r.Failures))))
	b.AddUint8(rowVersion)
	addText(b, r.Address)
	addTimes(b, r.Sends)
	addTimes(b, r.Failures)
	for _, v := range r.Verifications {
		status := slices.Index(statuses, v.Status)
		if _, bad := ParseID(string(v.ID)); status < 0 || bad != nil || !v.Shape.Valid() {
			return nil, fmt.Errorf("otp: cannot keep the verification %q, %s, %+v", v.ID, v.Status, v.Shape)
		}
		addText(b, string(v.ID))
		addText(b, v.Purpose)
		addText(b, v.Channel)
		addText(b, v.Context.Amount)
		addText(b, v.Context.Payee)
		b.AddBytes(v.Nonce[:])
		b.AddBytes(v.Key[:])
		b.AddUint8(uint8(v.Shape.Length))
		b.AddUint8(uint8(v.Shape.Alphabet))
		b.AddUint8(uint8(status))
		addTime(b, v.CreatedAt)
		addTime(b, v.ExpiresAt)
		addTime(b, v.EndedAt)
		b.AddUint16(uint16(v.Checks))
		b.AddUint16(uint16(v.Sends))
	}
	return b.Bytes()
}

// Decode reads what Encode wrote, and nothing else: an unknown version, an
// unknown status, a missing or a spare byte is an error.
func Decode(row []byte) (Recipient, error) {
	var r Recipient
	s := cryptobyte.String(row)
	var version uint8
	if !s.ReadUint8(&version) || version != rowVersion {
		return Recipient{}, fmt.Errorf("%w: version %d", errRow, version)
	}
	if !readText(&s, &r.Address) || !readTimes(&s, &r.Sends) || !readTimes(&s, &r.Failures) {
		return Recipient{}, errRow
	}
	for !s.Empty() {
		v, ok := readVerification(&s)
		if !ok {
			return Recipient{}, errRow
		}
		r.Verifications = append(r.Verifications, v)
	}
	return r, nil
}

func readVerification(s *cryptobyte.String) (v Verification, ok bool) {
	var id string
	var length, alphabet, status uint8
	var checks, sends uint16
	ok = readText(s, &id) &&
		readText(s, &v.Purpose) &&
		readText(s, &v.Channel) &&
		readText(s, &v.Context.Amount) &&
		readText(s, &v.Context.Payee) &&
		s.CopyBytes(v.Nonce[:]) &&
		s.CopyBytes(v.Key[:]) &&
		s.ReadUint8(&length) &&
		s.ReadUint8(&alphabet) &&
		s.ReadUint8(&status) &&
		readTime(s, &v.CreatedAt) &&
		readTime(s, &v.ExpiresAt) &&
		readTime(s, &v.EndedAt) &&
		s.ReadUint16(&checks) &&
		s.ReadUint16(&sends)
	if !ok || int(status) >= len(statuses) {
		return v, false
	}
	parsed, err := ParseID(id)
	v.ID = parsed
	v.Shape = Shape{Length: int(length), Alphabet: Alphabet(alphabet)}
	v.Status = statuses[status]
	v.Checks, v.Sends = int(checks), int(sends)
	return v, err == nil && v.Shape.Valid()
}

func addText(b *cryptobyte.Builder, text string) {
	if len(text) > math.MaxUint8 {
		b.SetError(fmt.Errorf("otp: a text of %d bytes cannot be kept", len(text)))
		return
	}
	b.AddUint8(uint8(len(text)))
	b.AddBytes([]byte(text))
}

func readText(s *cryptobyte.String, out *string) bool {
	var text cryptobyte.String
	ok := s.ReadUint8LengthPrefixed(&text)
	*out = string(text)
	return ok
}

func addTime(b *cryptobyte.Builder, t time.Time) {
	b.AddUint64(uint64(t.UnixMilli())) // the zero Time too is a whole millisecond
}

func readTime(s *cryptobyte.String, out *time.Time) bool {
	var ms uint64
	if !s.ReadUint64(&ms) {
		return false
	}
	*out = time.UnixMilli(int64(ms)).UTC()
	return true
}

func addTimes(b *cryptobyte.Builder, times []time.Time) {
	const size = 8
	if size*len(times) > math.MaxUint16 {
		b.SetError(fmt.Errorf("otp: %d times cannot be kept", len(times)))
		return
	}
	b.AddUint16(uint16(size * len(times)))
	for _, t := range times {
		addTime(b, t)
	}
}

func readTimes(s *cryptobyte.String, out *[]time.Time) bool {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var t time.Time
		if !readTime(&list, &t) {
			return false
		}
		*out = append(*out, t)
	}
	return true
}
