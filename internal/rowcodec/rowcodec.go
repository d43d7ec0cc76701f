// Package rowcodec has the encodings that all rows share, in addition to
// cryptobyte's. What they write is in tables: it must never change.
package rowcodec

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// AddText writes a text behind its length in one byte. It sets the builder's
// error for one of over 255 bytes.
func AddText(b *cryptobyte.Builder, text string) {
	if len(text) > math.MaxUint8 {
		b.SetError(fmt.Errorf("rowcodec: a text of %d bytes cannot be kept", len(text)))
		return
	}
	b.AddUint8(uint8(len(text)))
	b.AddBytes([]byte(text))
}

// ReadText reads what AddText wrote.
func ReadText(s *cryptobyte.String, out *string) bool {
	var text cryptobyte.String
	ok := s.ReadUint8LengthPrefixed(&text)
	*out = string(text)
	return ok
}

// AddTime writes a time in Unix milliseconds, big-endian; parts of one are lost.
func AddTime(b *cryptobyte.Builder, t time.Time) {
	b.AddUint64(uint64(t.UnixMilli())) // the zero Time too is a whole millisecond
}

// ReadTime reads what AddTime wrote, in UTC.
func ReadTime(s *cryptobyte.String, out *time.Time) bool {
	var ms uint64
	if !s.ReadUint64(&ms) {
		return false
	}
	*out = time.UnixMilli(int64(ms)).UTC()
	return true
}
