package charset

import (
	"bufio"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Reader returns the text of a file in UTF-8, without the byte order marks before it. A
// file in UTF-16 that begins with a mark is converted: a half of a character becomes
// U+FFFD. converted reports whether it was. The error is ErrUTF16 for UTF-16 without a
// mark, and ErrUTF32; the rest are the file's.
func Reader(file io.Reader) (text io.Reader, converted bool, err error) {
	buffered := bufio.NewReader(file)
	start, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	switch guess(start) {
	case utf16LE, utf16BE:
		decoder := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder()
		return transform.NewReader(buffered, decoder), true, nil
	case bareUTF16:
		return nil, false, ErrUTF16
	case utf32:
		return nil, false, ErrUTF32
	}
	for {
		start, err := buffered.Peek(len(mark))
		if err != nil || string(start) != mark {
			return buffered, false, nil // the next Read returns the error
		}
		_, _ = buffered.Discard(len(mark)) // cannot fail after Peek
	}
}
