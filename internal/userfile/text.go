package userfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"twofa/internal/charset"
)

// openText returns the text of a file in UTF-8, with line ends that package csv knows.
// converted reports whether U+FFFD in it stands for what could not be read.
func openText(file io.Reader) (text io.Reader, converted bool, err error) {
	text, converted, err = charset.Reader(file)
	switch {
	case errors.Is(err, charset.ErrUTF16), errors.Is(err, charset.ErrUTF32):
		return nil, false, fmt.Errorf("the file is in %w: save it as UTF-8", err)
	case err != nil:
		return nil, false, err
	}
	buffered := bufio.NewReader(text)
	if start, _ := buffered.Peek(len(workbook)); string(start) == workbook { // the next Read returns the error
		return nil, false, errWorkbook
	}
	return &lineEnds{text: buffered}, converted, nil
}

// lineEnds turns each CR into LF if the first line ends with a CR alone, as in files of
// old spreadsheet programs. Else it changes nothing: a CR inside a line must not become a
// line end, because whoever wrote the field could forge a line.
type lineEnds struct {
	text    *bufio.Reader
	decided bool
	onlyCR  bool // once decided
}

// Read implements io.Reader.
func (l *lineEnds) Read(p []byte) (int, error) {
	n, err := l.text.Read(p)
	for i := 0; i < n && (l.onlyCR || !l.decided); i++ {
		switch {
		case p[i] == '\n':
			l.decided = true
		case p[i] == '\r':
			if !l.decided {
				l.decided, l.onlyCR = true, !l.isLF(p[i+1:n])
			}
			if l.onlyCR {
				p[i] = '\n'
			}
		}
	}
	return n, err
}

// isLF reports whether the next byte is LF. rest is what was read of the text.
func (l *lineEnds) isLF(rest []byte) bool {
	if len(rest) == 0 {
		rest, _ = l.text.Peek(1) // the next Read returns the error
	}
	return len(rest) > 0 && rest[0] == '\n'
}

// workbook is how a ZIP archive begins, which a workbook is.
const workbook = "PK\x03\x04"

// errWorkbook and errSeparatorLine are what spreadsheet programs write instead of a CSV
// file, and before one.
var (
	errWorkbook      = errors.New("the file is a workbook of a spreadsheet program: save it as CSV, in UTF-8")
	errSeparatorLine = errors.New("the first line tells a spreadsheet program the separator: remove it, so that the first line names the columns, separated by commas")
)

// misread returns what a first line is that is not the names of columns between commas,
// nil if it is not known. The error quotes nothing.
func misread(header, columns []string) error {
	first := strings.ToLower(strings.TrimSpace(header[0]))
	switch {
	case strings.HasPrefix(first, "sep="):
		return errSeparatorLine
	case len(header) > 1:
		return nil
	}
	for separator, name := range map[string]string{";": "semicolons", "\t": "tabs", "|": "bars"} {
		if before, _, found := strings.Cut(first, separator); found && slices.Contains(columns, strings.Trim(before, `" `)) {
			return fmt.Errorf("the columns are separated by %s: separate them by commas", name)
		}
	}
	return nil
}
