package row

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// The encodings that all rows share, in addition to those of cryptobyte. They must
// never change, because existing rows have to stay readable.

// AddText writes a text after its length in one byte. It sets the builder's
// error for a text of over 255 bytes.
func AddText[S ~string](b *cryptobyte.Builder, text S) {
	if len(text) > math.MaxUint8 {
		b.SetError(fmt.Errorf("row: a text of %d bytes cannot be kept", len(text)))
		return
	}
	b.AddUint8(uint8(len(text)))
	b.AddBytes([]byte(text))
}

// ReadText reads what AddText wrote.
func ReadText[S ~string](s *cryptobyte.String, out *S) bool {
	var text cryptobyte.String
	ok := s.ReadUint8LengthPrefixed(&text)
	*out = S(text)
	return ok
}

// AddTexts writes texts after their total length, which has one byte.
func AddTexts[S ~string](b *cryptobyte.Builder, texts []S) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, text := range texts {
			AddText(b, text)
		}
	})
}

// ReadTexts reads what AddTexts wrote.
func ReadTexts[S ~string](s *cryptobyte.String, out *[]S) bool {
	var list cryptobyte.String
	ok := s.ReadUint8LengthPrefixed(&list)
	for ok && !list.Empty() {
		var text S
		ok = ReadText(&list, &text)
		*out = append(*out, text)
	}
	return ok
}

// AddTime writes a time in Unix milliseconds, big-endian. It drops fractions of a
// millisecond.
func AddTime(b *cryptobyte.Builder, t time.Time) {
	b.AddUint64(uint64(t.UnixMilli())) // the zero Time is in whole milliseconds, too
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

// AddTimes writes times after their total length, which has two bytes.
func AddTimes(b *cryptobyte.Builder, times []time.Time) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, t := range times {
			AddTime(b, t)
		}
	})
}

// ReadTimes reads what AddTimes wrote.
func ReadTimes(s *cryptobyte.String, out *[]time.Time) bool {
	var list cryptobyte.String
	ok := s.ReadUint16LengthPrefixed(&list)
	for ok && !list.Empty() {
		var t time.Time
		ok = ReadTime(&list, &t)
		*out = append(*out, t)
	}
	return ok
}

// AddBool writes 1 for true and 0 for false.
func AddBool(b *cryptobyte.Builder, set bool) {
	if set {
		b.AddUint8(1)
	} else {
		b.AddUint8(0)
	}
}

// ReadBool reads what AddBool wrote. It reports false for any other byte.
func ReadBool(s *cryptobyte.String, out *bool) bool {
	var b uint8
	ok := s.ReadUint8(&b)
	*out = b == 1
	return ok && b <= 1
}
