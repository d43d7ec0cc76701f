package userfile_test

import (
	"encoding/binary"
	"io"
	"maps"
	"strings"
	"testing"

	"twofa/internal/problem"
	"twofa/internal/userfile"
)

// people are the columns of another kind of file than users.
var people = userfile.Columns{Names: []string{"phone", "email", "name", "locale"}, Required: 2}

// readRows reads a whole file. err is the error that ended it, nil at its end.
func readRows(t *testing.T, file string) (rows []userfile.Row, err error) {
	t.Helper()
	r, err := userfile.NewRows(strings.NewReader(file), people)
	for err == nil {
		var row userfile.Row
		if row, err = r.Next(); err == nil {
			rows = append(rows, row)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return rows, err
}

// Rows of any columns are read as the file has them, with their lines. A row with a fault does
// not hinder the next one.
func TestRows_ReadsTheColumnsItIsGiven(t *testing.T) {
	t.Parallel()
	row := func(line int, fields ...string) userfile.Row {
		m := make(map[string]string)
		for i := 0; i < len(fields); i += 2 {
			m[fields[i]] = fields[i+1]
		}
		return userfile.Row{Line: line, Fields: m}
	}
	fault := func(line int, text string) userfile.Row { return userfile.Row{Line: line, Fault: text} }
	for name, tc := range map[string]struct {
		file string
		want []userfile.Row
	}{
		"all columns": {"phone,email,name,locale\n+14155550123,a@example.com,Zoë,de\n", []userfile.Row{row(2, "phone", "+14155550123", "email", "a@example.com", "name", "Zoë", "locale", "de")}},
		"required ones alone, in another order and spelling": {"Email, PHONE\n , +1 415 \n", []userfile.Row{row(2, "email", " ", "phone", " +1 415 ")}},
		"a name with a line end":                             {"phone,email,name\n1,,\"a\nb\"\n2,,c\n", []userfile.Row{row(2, "phone", "1", "email", "", "name", "a\nb"), row(4, "phone", "2", "email", "", "name", "c")}},
		"an empty line":                                      {"phone,email\n\n1,\n", []userfile.Row{row(3, "phone", "1", "email", "")}},
		"UTF-16":                                             {inUTF16(binary.LittleEndian, "phone,email\r\n1,\u00fc\r\n", false), []userfile.Row{row(2, "phone", "1", "email", "ü")}},
		"no rows":                                            {"phone,email", nil},
		"too few fields, then a row":                         {"phone,email,name\ncanary,\n2,,c\n", []userfile.Row{fault(2, "it has 2 fields, and the first line has 3"), row(3, "phone", "2", "email", "", "name", "c")}},
		"a quote inside a field, then a row":                 {"phone,email\nca\"nary,\n2,\n", []userfile.Row{fault(2, "its quotes are not as in RFC 4180"), row(3, "phone", "2", "email", "")}},
		"not UTF-8":                                          {"phone,email\n1,canary\xff\n", []userfile.Row{fault(2, "email: this is not UTF-8")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readRows(t, tc.file)
			if err != nil || len(got) != len(tc.want) {
				t.Fatalf("%d rows %+v, %v", len(got), got, err)
			}
			for i, want := range tc.want {
				if got[i].Line != want.Line || got[i].Fault != want.Fault || want.Fault == "" && !maps.Equal(got[i].Fields, want.Fields) {
					t.Errorf("got %+v, want %+v", got[i], want)
				}
			}
		})
	}
}

// A file that is not understood is refused with what would be right, and nothing of it is quoted.
func TestRows_NamesTheColumnsItNeeds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, want string }{
		"a column of users":     {"phone,email,secret\n", "column 3 of the first line is unknown; columns are separated by commas, and may be: phone, email, name, locale"},
		"no header":             {"+14155550123,canary@example.com\n", "column 1 of the first line is unknown"},
		"a required one":        {"phone,name\n", "the column email is missing; it may be empty, but has to be there"},
		"twice":                 {"phone,email,Phone\n", "the column phone is there twice"},
		"semicolons":            {"phone;email;name\n", "the columns are separated by semicolons"},
		"nothing":               {"", "the file is empty"},
		"a workbook":            {"PK\x03\x04canary", "the file is a workbook"},
		"a quote that is open":  {"phone,email\n\"" + strings.Repeat("canary\n", 10_000), "most likely a quote is not closed"},
		"a separator's line":    {"sep=,\nphone,email\n", "the first line tells a spreadsheet program the separator"},
		"UTF-16 without a mark": {inUTF16(binary.BigEndian, "phone,email\n", true), "save it as UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, err := readRows(t, tc.file)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "canary") || len(rows) > 0 {
				t.Errorf("%+v, %v", rows, err)
			}
		})
	}
}

// A reason names the columns at fault.
func TestReason(t *testing.T) {
	t.Parallel()
	faults := new(problem.Faults)
	faults.Add("phone", "This is no number.")
	faults.Add("user", "This is no name.")
	e := faults.Err().(*problem.Error)
	for _, tc := range []struct {
		e        *problem.Error
		columnOf map[string]string
		want     string
	}{
		{e, map[string]string{"user": "name"}, "phone: This is no number. name: This is no name."},
		{e, nil, "phone: This is no number. user: This is no name."},
		{&problem.Error{Kind: problem.DestinationRefused, Detail: "Not there."}, nil, "Not there."},
	} {
		if got := userfile.Reason(tc.e, tc.columnOf); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
