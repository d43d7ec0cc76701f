package azuretable

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"twofa/internal/store"
)

// rowKey is the same in all entities. Each partition holds one row, so that the
// service can distribute the rows freely.
const rowKey = "r"

// entity is the stored form of a row, as the service returns it without metadata.
// Binary properties are base64, and 64-bit integers are strings.
type entity struct {
	Data      []byte
	Mark      string
	KeepUntil int64 `json:",string"`

	etag string // from the response's header. Empty: there is no row
	// damaged: the service has the row, but not as this package writes it. Data is
	// empty, but not nil, and there are no marks.
	damaged bool
}

// parseEntity reads the body of a response about a row. It returns false for what
// does not come from the service or is about another row, such as a truncated body,
// a proxy's page or a wrong answer of a cache. A row with properties that this
// package has not written is damaged: asking again would not help.
func parseEntity(body []byte, etag string, key store.Key) (entity, bool) {
	var id struct{ PartitionKey, RowKey string }
	if err := json.Unmarshal(body, &id); err != nil || id.PartitionKey != string(key) || id.RowKey != rowKey || !validETag(etag) {
		return entity{}, false
	}
	var e entity
	if err := json.Unmarshal(body, &e); err != nil || len(e.Data) == 0 || !validMarks(e.Mark) {
		return entity{Data: []byte{}, etag: etag, damaged: true}, true
	}
	e.etag = etag
	return e, true
}

// row returns the row of an entity that is not damaged.
//
// Its version is the entity's marks and its ETag: a write that begins with the row
// needs the ETag as its condition, and has to keep the marks, because other writers
// look for theirs.
func (e entity) row() store.Row {
	return store.Row{Data: e.Data, KeepUntil: time.Unix(e.KeepUntil, 0).UTC(), Version: e.Mark + e.etag}
}

// knownEntity returns the entity of which row was made, as far as a write needs it,
// or nil if that is not known. The zero Row is the zero entity.
func knownEntity(row store.Row) *entity {
	if row.Data == nil && row.Version == "" {
		return &entity{}
	}
	n := max(0, strings.IndexByte(row.Version, 'W')) // marks have no capitals
	e := entity{Data: row.Data, Mark: row.Version[:n], etag: row.Version[n:]}
	if len(e.Data) == 0 || !validMarks(e.Mark) || !validETag(e.etag) {
		return nil
	}
	return &e
}

// validMarks reports whether s is one or more marks. Anything else must not get into
// the body of the next write.
func validMarks(s string) bool {
	return len(s) > 0 && len(s)%markLen == 0 && strings.Trim(s, "0123456789abcdef") == ""
}

// appendEntity returns the body of an insert or a replacement. It does not use
// package json, because nothing needs escaping: the key has been checked, and the
// rest is base64, hexadecimal and digits.
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

// validETag accepts the weak ETags that the service makes. An empty ETag or "*" would
// turn a conditional write into an unconditional one.
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

// Marks: each write stores 64 random bits in the row, in hexadecimal, before the
// marks of earlier writes.
const (
	markLen  = 16
	maxMarks = 4
)

func newMark() string {
	var b [markLen / 2]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// pushMark puts mark before marks and drops the oldest one.
func pushMark(marks, mark string) string {
	return mark + marks[:min(len(marks), (maxMarks-1)*markLen)]
}

// findMark returns how many writes were made after the write with the mark, or -1 if
// the mark is not among marks.
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
// version etag, whose newest mark was newest. Empty etag: on there being no row.
type pending struct {
	etag   string
	newest string
}

// fate is what happened to a pending write.
type fate int

const (
	unknown fate = iota // it may or may not have been applied
	lost                // it was not applied, and never will be
	open                // it has not been applied yet, but still may be
)

// fate returns what happened to the write, judged by the current row (the zero
// entity: there is none). The write's mark is not in the row.
//
// It relies on two facts. ETags are never reused, so a write with an ETag that is
// gone can never be applied. And the marks are a history without gaps: if they reach
// back to the version that the write started from, and the write's mark is not
// among them, it was not applied. A row loses its history only if it is deleted by a
// sweep and created again. Only expired rows are deleted, and it would have to happen
// within the few seconds for which a request can be on its way.
func (p *pending) fate(now entity) fate {
	switch {
	case p.etag == now.etag:
		return open
	case now.etag == "":
		return unknown // the row was deleted, either before or after our write
	case p.etag == "" && len(now.Mark) < maxMarks*markLen:
		return lost // the marks show all writes since the row was created
	case p.etag != "" && findMark(now.Mark, p.newest) >= 0:
		return lost // the marks show all writes since the version we started from
	default:
		return unknown // our mark may have been dropped
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
