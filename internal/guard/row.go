package guard

import (
	"errors"
	"math"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"twofa/internal/row"
	"twofa/internal/window"
)

// keyPrefix begins the keys of all counters. Keys of recipients are hexadecimal, those of
// users begin with u, and the cursor of the purge begins with p, in the same table.
const keyPrefix = "g"

// rowVersion1 is the first byte of a row: the version of its layout.
const rowVersion1 = 1

var (
	// errRow: the bytes are no counter in a version that this program knows.
	errRow = errors.New("guard: not an encoded counter")
	// errUnkept: decode could not read the encoded counter again.
	errUnkept = errors.New("guard: cannot be kept")
)

func (g *Guard) rows() row.Store[minutes] {
	return row.Store[minutes]{Table: g.Table, Keys: g.Keys, Codec: row.Codec[minutes]{Encode: encode, Decode: decode, KeepUntil: keepUntil}}
}

// keepUntil is when the last minute of a row does not count any more.
func keepUntil(m minutes) time.Time {
	if len(m) == 0 {
		return time.Time{}
	}
	return time.Unix((m[len(m)-1].minute+1)*60, 0).Add(window.Day)
}

// encode writes the version and the first minute (8 bytes), and then each count: minutes
// since the first one (2 bytes), sent and returned (4 bytes each). Numbers are in
// big-endian order. At most 14,439 bytes.
func encode(m minutes) ([]byte, error) {
	if len(m) > maxMinutes {
		return nil, errUnkept
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 9+10*len(m)))
	b.AddUint8(rowVersion1)
	for i, c := range m {
		if i == 0 {
			b.AddUint64(uint64(c.minute))
		}
		offset := c.minute - m[0].minute
		if offset < 0 || offset > math.MaxUint16 {
			return nil, errUnkept
		}
		b.AddUint16(uint16(offset))
		b.AddUint32(c.sent)
		b.AddUint32(c.returned)
	}
	return b.Bytes()
}

// decode reads what encode wrote. Anything else is an error: an unknown version, minutes
// that are not in order, a minute without a send, or a missing or additional byte.
func decode(encoded []byte) (minutes, error) {
	s := cryptobyte.String(encoded)
	var version uint8
	if !s.ReadUint8(&version) || version != rowVersion1 {
		return nil, errRow
	}
	if s.Empty() {
		return nil, nil
	}
	var first uint64
	if !s.ReadUint64(&first) || first > math.MaxUint32 || s.Empty() {
		return nil, errRow
	}
	var m minutes
	for !s.Empty() {
		var offset uint16
		var c count
		ok := s.ReadUint16(&offset) && s.ReadUint32(&c.sent) && s.ReadUint32(&c.returned)
		c.minute = int64(first) + int64(offset)
		inOrder := len(m) == 0 && offset == 0 || len(m) > 0 && c.minute > m[len(m)-1].minute
		if !ok || !inOrder || c.sent == 0 || c.returned > c.sent || len(m) == maxMinutes {
			return nil, errRow
		}
		m = append(m, c)
	}
	return m, nil
}
