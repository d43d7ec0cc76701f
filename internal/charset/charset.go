// Package charset is the one rule for texts from outside, in every reader: they are in
// UTF-8. A byte order mark before a text is dropped, and a text in UTF-16 or UTF-32 is
// named as such.
//
// It must never guess: bytes that are not UTF-8 are nobody's text, and its errors quote
// none of them.
package charset

import (
	"bytes"
	"errors"
	"strings"
)

// The errors of Text and Reader. Their texts continue "the file is in" and "the body is in".
var (
	ErrUTF16 = errors.New("UTF-16")
	ErrUTF32 = errors.New("UTF-32")
)

// mark is the byte order mark in UTF-8.
const mark = "\ufeff"

// Text returns a text without the byte order marks before it. The error is ErrUTF16 or
// ErrUTF32 if the text is in one of these, with or without a mark. Text does not look for
// other bytes that are not UTF-8.
func Text(data []byte) ([]byte, error) {
	switch guess(data) {
	case utf16LE, utf16BE, bareUTF16:
		return nil, ErrUTF16
	case utf32:
		return nil, ErrUTF32
	}
	for bytes.HasPrefix(data, []byte(mark)) {
		data = data[len(mark):]
	}
	return data, nil
}

// encoding is what the first bytes of a text say about it.
type encoding int

const (
	utf8      encoding = iota
	utf16LE            // after a mark
	utf16BE            // after a mark
	bareUTF16          // without a mark
	utf32
)

// guess looks at the first four bytes. No text that we read has a NUL, or begins with a
// character outside ASCII (RFC 4627, 3).
func guess(data []byte) encoding {
	has := func(prefix string) bool { return bytes.HasPrefix(data, []byte(prefix)) }
	switch {
	case has("\xff\xfe\x00\x00"), has("\x00\x00\xfe\xff"):
		return utf32
	case has("\xff\xfe"):
		return utf16LE
	case has("\xfe\xff"):
		return utf16BE
	}
	start := data[:min(len(data), 4)]
	zeros := bytes.Count(start, []byte{0})
	switch {
	case len(start) < 2 || zeros == 0 || zeros == len(start):
		return utf8
	case zeros == 3:
		return utf32
	case start[0] == 0 && start[1] != 0, start[0] != 0 && start[1] == 0:
		return bareUTF16
	}
	return utf8
}

// separators takes off what programs write between the parts of a charset's name.
var separators = strings.NewReplacer("-", "", "_", "")

// Check returns the error of a charset that a Content-Type names, "" for none. UTF-8 and
// its subset ASCII pass, in the spellings that programs write.
func Check(label string) error {
	label = strings.ToLower(strings.Trim(label, ` '"`))
	switch separators.Replace(label) {
	case "", "utf8", "usascii", "ascii", "utf8sig", "csutf8", "csascii", "unicode11utf8", "ansix3.41968", "cp65001":
		return nil
	}
	if len(label) > maxLabel || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") != "" {
		return errors.New("an unknown charset")
	}
	return errors.New("the charset " + label)
}

// maxLabel is the longest name of a charset that an error repeats. IANA's have at most 40
// characters.
const maxLabel = 40
