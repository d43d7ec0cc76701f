package azuretable

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"twofa/internal/store"
)

// rowKey is the same in all entities: a partition holds one row, so that the
// service can spread rows as it likes.
const rowKey = "r"

// entity is what is kept of a row, as the service returns it without metadata.
// Binary properties are base64, and 64-bit integers are strings.
type entity struct {
	Data      []byte
	Mark      string
	KeepUntil int64 `json:",string"`

	etag string // from the response's header; "" means that there is no row
}

// parseEntity reads the body of an answer. It reports false for anything that
// this package hasn't written; in particular, a body that was cut off or comes
// from some proxy on the way never passes for a row.
func parseEntity(body []byte, etag string) (entity, bool) {
	var e entity
	if err := json.Unmarshal(body, &e); err != nil {
		return entity{}, false
	}
	if len(e.Data) == 0 || len(e.Mark) == 0 || len(e.Mark)%markLen != 0 || !validETag(etag) {
		return entity{}, false
	}
	e.etag = etag
	return e, true
}

// appendEntity returns the body of an insert or a replacement. It is put
// together by hand, as nothing in it needs escaping: the key has been checked,
// and the rest is base64, hexadecimal and digits.
func appendEntity(key store.Key, row store.Row, marks string) []byte {
	const fixed = `{"PartitionKey":"","RowKey":"","Data@odata.type":"Edm.Binary","Data":"","Mark":"","KeepUntil@odata.type":"Edm.Int64","KeepUntil":""}`
	b := make([]byte, 0, len(fixed)+len(key)+len(rowKey)+base64.StdEncoding.EncodedLen(len(row.Data))+len(marks)+20)
	b = append(b, `{"PartitionKey":"`...)
	b = append(b, key...)
	b = append(b, `","RowKey":"`+rowKey+`","Data@odata.type":"Edm.Binary","Data":"`...)
	b = base64.StdEncoding.AppendEncode(b, row.Data)
	b = append(b, `","Mark":"`...)
	b = append(b, marks...)
	b = append(b, `","KeepUntil@odata.type":"Edm.Int64","KeepUntil":"`...)
	b = strconv.AppendInt(b, store.Seconds(row.KeepUntil), 10)
	return append(b, `"}`...)
}

// validETag accepts the weak ETags that the service makes. An empty one or "*"
// would turn a conditional write into an unconditional one.
func validETag(s string) bool {
	if len(s) < len(`W/""`) || len(s) > 256 || !strings.HasPrefix(s, `W/"`) || s[len(s)-1] != '"' {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false // no header can hold it
		}
	}
	return true
}

// Marks: each write leaves 64 random bits in the row, in hexadecimal, in front
// of those of the writes before.
const (
	markLen  = 16
	maxMarks = 4
)

func newMark() string {
	var b [markLen / 2]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// pushMark puts mark in front of marks and drops the oldest.
func pushMark(marks, mark string) string {
	return mark + marks[:min(len(marks), (maxMarks-1)*markLen)]
}

// findMark returns how many writes were made after the one that left mark, or
// -1 if it isn't among marks.
func findMark(marks, mark string) int {
	for i := 0; i+markLen <= len(marks); i += markLen {
		if marks[i:i+markLen] == mark {
			return i / markLen
		}
	}
	return -1
}

func newestMark(marks string) string {
	return marks[:min(len(marks), markLen)]
}

// pending is a write that was sent and not answered. It was conditional on the
// version etag ("": on there being no row), whose newest mark was newest.
type pending struct {
	etag   string
	newest string
}

// fate is what became of a pending write.
type fate int

const (
	unknown fate = iota // nobody can tell
	lost                // it wasn't applied, and can't be any more
	open                // it hasn't been applied yet, but may be on its way
)

// fate concludes from the row as it is now (the zero entity: there is none), and
// in which the write's mark was not found, what became of the write.
//
// It relies on two things: ETags never come back, so a write that waits for one
// that has gone can't be applied; and the marks are a gapless history, so if
// they reach back to where the write started and it isn't among them, it wasn't
// applied. The one way for a row to lose its history is to be swept and made
// anew, which happens only to rows that are worthless by their KeepUntil, and
// would have to fall within the few seconds that a request can be on its way.
func (p *pending) fate(now entity) fate {
	switch {
	case p.etag == now.etag:
		return open
	case now.etag == "":
		return unknown // somebody deleted the row: before our write, or after it?
	case p.etag == "" && len(now.Mark) < maxMarks*markLen:
		return lost // all writes since the row was made are there to see
	case p.etag != "" && findMark(now.Mark, p.newest) >= 0:
		return lost // all writes since the version we started from are there to see
	default:
		return unknown // ours may have been among those whose marks were dropped
	}
}

// cursor is the service's continuation token.
type cursor struct {
	partitionKey, rowKey string
}

func (c cursor) encode() string {
	if c == (cursor{}) {
		return ""
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(c.partitionKey)) + "." + enc.EncodeToString([]byte(c.rowKey))
}

func decodeCursor(s string) (cursor, bool) {
	if s == "" {
		return cursor{}, true
	}
	pk, rk, ok := strings.Cut(s, ".")
	if !ok {
		return cursor{}, false
	}
	p, errP := base64.RawURLEncoding.DecodeString(pk)
	r, errR := base64.RawURLEncoding.DecodeString(rk)
	if errP != nil || errR != nil || len(p)+len(r) == 0 || len(p)+len(r) > 4096 {
		return cursor{}, false
	}
	return cursor{string(p), string(r)}, true
}
