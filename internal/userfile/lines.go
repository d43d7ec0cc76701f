package userfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/phone"
	"twofa/internal/problem"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// columns are the columns that a file may have, in the order in which Export
// writes them. The first four are required: if one of these were left out by
// mistake, every user would lose the data in it.
var columns = []string{"name", "phone", "email", "secret", "locale", "channels", "authenticator"}

const requiredColumns = 4

// maxRecord is the longest record in bytes. The longest valid one has about 6,000.
const maxRecord = 64 << 10

// errRecord ends an import: a quote that is not closed makes the rest of the file
// one field. If the import went on within that field, whoever wrote the field
// could forge lines.
var errRecord = fmt.Errorf("a line has over %d KiB; most likely a quote is not closed", maxRecord>>10)

// record is a record of the file, by column.
type record struct {
	at     int // the number of its first line in the file, from 1
	fields map[string]string
	fault  string // why the record cannot be read; "" if it can
}

// recordReader reads CSV (RFC 4180) with a header line, one record at a time.
type recordReader struct {
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

// newRecordReader reads the header. Its errors quote no column of the file: without
// a header, the first line is a person's data.
func newRecordReader(file io.Reader) (*recordReader, error) {
	text, converted, err := openText(file)
	if err != nil {
		return nil, err
	}
	bound := &boundedReader{text, maxRecord}
	r := &recordReader{csv: csv.NewReader(bound), bound: bound, converted: converted}
	r.csv.LazyQuotes = true // of other separators than commas, too; a name has no quotes in it
	header, err := r.csv.Read()
	r.csv.LazyQuotes = false
	if err == io.EOF {
		return nil, errors.New("the file is empty; its first line has to name the columns")
	}
	if err != nil {
		return nil, err
	}
	if err := misread(header); err != nil {
		return nil, err
	}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(columns, name) {
			return nil, fmt.Errorf("column %d of the first line is unknown; columns are separated by commas, and may be: %s", i+1, strings.Join(columns, ", "))
		}
		if slices.Contains(r.header, name) {
			return nil, fmt.Errorf("the column %s is there twice", name)
		}
		r.header = append(r.header, name)
	}
	for _, name := range columns[:requiredColumns] {
		if !slices.Contains(r.header, name) {
			return nil, fmt.Errorf("the column %s is missing; it may be empty, but has to be there", name)
		}
	}
	r.csv.FieldsPerRecord = -1 // next counts them, and has a better message
	return r, nil
}

// next returns the next record. The error is io.EOF at the end of the file, or
// says why the rest cannot be read.
func (r *recordReader) next() (record, error) {
	r.bound.left = maxRecord
	fields, err := r.csv.Read()
	if bad, ok := errors.AsType[*csv.ParseError](err); ok {
		return record{at: bad.StartLine, fault: "its quotes are not as in RFC 4180"}, nil
	}
	if err != nil {
		return record{}, err
	}
	at, _ := r.csv.FieldPos(0)
	rec := record{at: at, fields: make(map[string]string, len(fields))}
	if len(fields) != len(r.header) {
		rec.fault = fmt.Sprintf("it has %d fields, and the first line has %d", len(fields), len(r.header))
		return rec, nil
	}
	for i, field := range fields {
		rec.fields[r.header[i]] = field
		switch {
		case !utf8.ValidString(field):
			rec.fault = r.header[i] + ": this is not UTF-8"
		case r.converted && strings.ContainsRune(field, utf8.RuneError):
			rec.fault = r.header[i] + ": this is not UTF-16"
		}
	}
	return rec, nil
}

// line is a record that was checked.
type line struct {
	number int // of the record's first line in the file, from 1
	seq    int // counts records from 0, without gaps
	want   user.User
	app    totp.Authenticator // has no secret if the line has none
	fault  string             // why the line is skipped; "" if it is not
	// contradicts is true if an earlier line has other data about the same user.
	contradicts bool
}

// readLine makes all checks that need no store.
func (im *Import) readLine(rec record) line {
	l := line{number: rec.at, fault: rec.fault}
	if l.fault != "" {
		return l
	}
	faults := new(problem.Faults)
	name, err := user.ParseName(rec.fields["name"])
	faults.AddAll(err)
	p := user.Profile{Directory: im.Directory, Name: name, Phone: rec.fields["phone"], Email: rec.fields["email"], Locale: rec.fields["locale"]}
	for _, c := range strings.FieldsFunc(rec.fields["channels"], func(r rune) bool { return r == ' ' || r == '|' }) {
		p.Channels = append(p.Channels, channel.Channel(c))
	}
	var number address.Address
	l.want, number = p.Read(im.Channels, faults)
	l.app = readApp(rec.fields["secret"], rec.fields["authenticator"], faults)
	err = faults.Err()
	if err == nil && l.want.Phone != "" {
		err = number.MayReach(im.Countries)
	}
	if err != nil {
		l.fault = reason(err)
	}
	return l
}

// readApp reads the columns secret and authenticator.
func readApp(secret, name string, faults *problem.Faults) (a totp.Authenticator) {
	secret = phone.Trim(secret)
	switch scheme, _, isURI := strings.Cut(secret, ":"); {
	case secret == "":
		if name != "" {
			faults.Add("authenticator", "There is a name and no secret.")
		}
		return a
	case isURI && strings.HasPrefix(strings.ToLower(scheme), "otpauth"):
		var err error
		a, _, _, err = totp.ParseURI(secret)
		faults.AddAll(err)
	default:
		raw, err := totp.ParseSecret(secret)
		faults.AddAll(err)
		a.Secret, a.Options = raw, totp.Options{}.Check(faults)
	}
	if name != "" {
		a.Name = totp.CheckName(name, faults)
	}
	return a
}

// columnOf returns the column of a field whose name is not the column's.
var columnOf = map[string]string{"user": "name", "uri": "secret", "name": "authenticator"}

// reason says in one line why a line was refused. It quotes nothing of the file,
// because a [problem.Error] never quotes a client's data.
func reason(err error) string {
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e.Kind == problem.Internal {
		return "the stored user cannot be read or written"
	}
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

// memory holds the users of the last lines, about half a million, in little space.
// It only serves to report contradictions and to undo what a contradicted line has
// added. A forgotten user counts as a new one.
type memory struct {
	seed    maphash.Seed
	buckets [][bucketSize]trace
}

// trace is the hashes of a user's name and data.
type trace struct{ name, data uint64 }

const (
	memoryBuckets = 1 << 17 // of 64 bytes: 8 MiB in all
	bucketSize    = 4
)

func newMemory() *memory {
	return &memory{maphash.MakeSeed(), make([][bucketSize]trace, memoryBuckets)}
}

// contradicts stores the user, and reports whether the last line about the same
// user had other data.
func (m *memory) contradicts(u user.User) bool {
	now := trace{
		maphash.String(m.seed, u.Name),
		maphash.String(m.seed, strings.Join([]string{u.Phone, u.Email, u.Locale, joinChannels(u)}, "\x00")),
	}
	bucket := &m.buckets[now.name%memoryBuckets]
	last := bucketSize - 1
	before := trace{}
	for i, t := range bucket {
		if t.name == now.name {
			last, before = i, t
			break
		}
	}
	copy(bucket[1:last+1], bucket[:last]) // the newest is first, and the oldest is dropped
	bucket[0] = now
	return before.name == now.name && before.data != now.data
}
