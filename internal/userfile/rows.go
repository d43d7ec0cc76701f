package userfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"twofa/internal/problem"
)

// Columns are what a kind of file has.
type Columns struct {
	// Names are the columns that a file may have, in lower case.
	Names []string
	// Required is how many of them, from the first one on, a file must have. They may be
	// empty.
	Required int
}

// maxRecord is the longest record in bytes. The longest valid one of a user has about
// 6,000.
const maxRecord = 64 << 10

// errRecord ends an import: a quote that is not closed makes the rest of the file
// one field. If the import went on within that field, whoever wrote the field
// could forge lines.
var errRecord = fmt.Errorf("a line has over %d KiB; most likely a quote is not closed", maxRecord>>10)

// Row is a record of a file.
type Row struct {
	// Line is the number of the record's first line in the file, from 1.
	Line int
	// Fields are the texts by column, as the file has them.
	Fields map[string]string
	// Fault is why the row cannot be read, "" if it can. It quotes nothing of the file. With a
	// fault, Fields are not complete.
	Fault string
}

// Rows reads CSV (RFC 4180) with a header line, one row at a time: UTF-8, or UTF-16 with its
// mark, with any line ends, the columns in any order.
type Rows struct {
	csv       *csv.Reader
	bound     *boundedReader
	converted bool // from UTF-16
	header    []string
}

// boundedReader returns errRecord instead of more than left bytes.
type boundedReader struct {
	io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRecord
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// NewRows reads the header. Its errors quote no column of the file: without a header, the
// first line is a person's data.
func NewRows(file io.Reader, columns Columns) (*Rows, error) {
	text, converted, err := openText(file)
	if err != nil {
		return nil, err
	}
	bound := &boundedReader{text, maxRecord}
	r := &Rows{csv: csv.NewReader(bound), bound: bound, converted: converted}
	r.csv.LazyQuotes = true // of other separators than commas, too; a name has no quotes in it
	header, err := r.csv.Read()
	r.csv.LazyQuotes = false
	if err == io.EOF {
		return nil, errors.New("the file is empty; its first line has to name the columns")
	}
	if err != nil {
		return nil, err
	}
	if err := misread(header, columns.Names); err != nil {
		return nil, err
	}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(columns.Names, name) {
			return nil, fmt.Errorf("column %d of the first line is unknown; columns are separated by commas, and may be: %s", i+1, strings.Join(columns.Names, ", "))
		}
		if slices.Contains(r.header, name) {
			return nil, fmt.Errorf("the column %s is there twice", name)
		}
		r.header = append(r.header, name)
	}
	for _, name := range columns.Names[:columns.Required] {
		if !slices.Contains(r.header, name) {
			return nil, fmt.Errorf("the column %s is missing; it may be empty, but has to be there", name)
		}
	}
	r.csv.FieldsPerRecord = -1 // Next counts them, and has a better message
	return r, nil
}

// Next returns the next row, which may have a fault. The error is io.EOF at the end of the
// file, or says why the rest cannot be read; it quotes nothing of the file.
func (r *Rows) Next() (Row, error) {
	r.bound.left = maxRecord
	fields, err := r.csv.Read()
	if bad, ok := errors.AsType[*csv.ParseError](err); ok {
		return Row{Line: bad.StartLine, Fault: "its quotes are not as in RFC 4180"}, nil
	}
	if err != nil {
		return Row{}, err
	}
	at, _ := r.csv.FieldPos(0)
	row := Row{Line: at, Fields: make(map[string]string, len(fields))}
	if len(fields) != len(r.header) {
		row.Fault = fmt.Sprintf("it has %d fields, and the first line has %d", len(fields), len(r.header))
		return row, nil
	}
	for i, field := range fields {
		row.Fields[r.header[i]] = field
		switch {
		case !utf8.ValidString(field):
			row.Fault = r.header[i] + ": this is not UTF-8"
		case r.converted && strings.ContainsRune(field, utf8.RuneError):
			row.Fault = r.header[i] + ": this is not UTF-16"
		}
	}
	return row, nil
}

// Reason says in one line why a row was refused. columnOf has the columns of fields whose name
// is not the column's. It quotes nothing of the file, because a [problem.Error] never quotes
// a client's data.
func Reason(e *problem.Error, columnOf map[string]string) string {
	if len(e.Fields) == 0 {
		return e.Detail
	}
	var parts []string
	for _, f := range e.Fields {
		name := f.Name
		if column, ok := columnOf[name]; ok {
			name = column
		}
		parts = append(parts, name+": "+f.Message)
	}
	return strings.Join(parts, " ")
}
