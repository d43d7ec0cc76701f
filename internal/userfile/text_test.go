package userfile_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"twofa/internal/testing/fixture"
	"twofa/internal/userfile"
)

// inUTF16 writes a file as spreadsheet programs do, with a mark unless bare.
func inUTF16(order binary.AppendByteOrder, text string, bare bool) string {
	if !bare {
		text = "\ufeff" + text
	}
	return fixture.UTF16(order, text)
}

// Files as other programs write them are read like the same file in UTF-8 with LF.
func TestImport_ReadsFilesOfOtherPrograms(t *testing.T) {
	t.Parallel()
	const file = head + "alice,+14155550123,,,pt_BR,,\n\"Zoë, \"\"Z\"\"\",+919876543210,zoe@example.com,otpauth://totp/x?secret=" + secretA + ",,sms|email,📱\n"
	crlf, cr := strings.ReplaceAll(file, "\n", "\r\n"), strings.ReplaceAll(file, "\n", "\r")
	le, be := binary.LittleEndian, binary.BigEndian
	for name, text := range map[string]string{
		"LF": file, "CRLF": crlf, "CR": cr, "CR, without the last": strings.TrimSuffix(cr, "\r"), "CR, an empty line": strings.Replace(cr, "\ralice", "\r\ralice", 1),
		"mark, LF": "\ufeff" + file, "mark, CRLF": "\ufeff" + crlf, "mark, CR": "\ufeff" + cr, "two marks": "\ufeff\ufeff" + file,
		"UTF-16LE, LF": inUTF16(le, file, false), "UTF-16LE, CRLF": inUTF16(le, crlf, false), "UTF-16LE, CR": inUTF16(le, cr, false),
		"UTF-16BE, LF": inUTF16(be, file, false), "UTF-16BE, CRLF": inUTF16(be, crlf, false), "UTF-16BE, CR": inUTF16(be, cr, false),
		"invisible characters around a secret": strings.Replace(strings.Replace(file, "otpauth", "\ufeff\u200eotpauth", 1), secretA, secretA+"\u00a0", 1),
	} {
		for way, wrap := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "halves": iotest.HalfReader} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				got := r.readFrom(t.Context(), wrap(strings.NewReader(text)))
				if got.err != nil || got.Created != 2 || len(got.reports) > 0 {
					t.Fatalf("%v, %+v, %q", got.err, got.Tally, got.reports)
				}
				alice, zoe := r.load("alice"), r.load(`Zoë, "Z"`)
				if alice.Phone != fixture.Alice || alice.Locale != "pt-BR" || zoe.Email != "zoe@example.com" || len(zoe.Channels) != 2 || zoe.TOTP.Authenticators[0].Name != "📱" {
					t.Errorf("got %+v, %+v", alice, zoe)
				}
			})
		}
	}
}

// A file that is not read is named for what it is.
func TestImport_NamesFilesThatItDoesNotRead(t *testing.T) {
	t.Parallel()
	const file = head + "canary,+14155550123,,,,,\n"
	le, be := binary.LittleEndian, binary.BigEndian
	utf32 := func(order binary.AppendByteOrder, text string) string {
		var b []byte
		for _, r := range text {
			b = order.AppendUint32(b, uint32(r))
		}
		return string(b)
	}
	for name, tc := range map[string]struct{ file, says string }{
		"bare UTF-16LE":              {inUTF16(le, file, true), "UTF-16: save it as UTF-8"},
		"bare UTF-16BE":              {inUTF16(be, file, true), "UTF-16: save it as UTF-8"},
		"UTF-32LE":                   {utf32(le, "\ufeff"+file), "UTF-32: save it as UTF-8"},
		"UTF-32BE":                   {utf32(be, "\ufeff"+file), "UTF-32: save it as UTF-8"},
		"bare UTF-32LE":              {utf32(le, file), "UTF-32: save it as UTF-8"},
		"semicolons":                 {strings.ReplaceAll(file, ",", ";"), "separated by semicolons: separate them by commas"},
		"semicolons, quoted":         {`"name";"phone";"email";"secret"` + "\r\n", "separated by semicolons"},
		"semicolons, with a mark":    {"\ufeff" + strings.ReplaceAll(file, ",", ";"), "separated by semicolons"},
		"semicolons, CR":             {strings.NewReplacer(",", ";", "\n", "\r").Replace(file), "separated by semicolons"},
		"tabs":                       {strings.ReplaceAll(file, ",", "\t"), "separated by tabs"},
		"Unicode text of Excel":      {inUTF16(le, strings.ReplaceAll(file, ",", "\t"), false), "separated by tabs"},
		"bars":                       {strings.ReplaceAll(file, ",", "|"), "separated by bars"},
		"a line for Excel":           {"sep=;\r\n" + strings.ReplaceAll(file, ",", ";"), "remove it"},
		"a line for Excel, commas":   {"SEP=,\n" + file, "remove it"},
		"a workbook":                 {"PK\x03\x04\x14\x00\x06\x00\"canary", "workbook"},
		"another file of semicolons": {"canary;x\n", "column 1 of the first line is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			got := r.read(tc.file)
			if got.err == nil || !strings.Contains(got.err.Error(), tc.says) || strings.Contains(got.err.Error(), "canary") || got.Tally != (userfile.Tally{}) || len(r.all()) > 0 {
				t.Errorf("%v, %+v", got.err, got.Tally)
			}
		})
	}
}

// What cannot be read in UTF-16 is no character of a name: two users could become one.
func TestImport_SkipsWhatIsNotUTF16(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]string{"a high half": "\x00\xd8", "a low half": "\x00\xdc", "halves in the wrong order": "\x00\xdc\x00\xd8", "the replacement": "\xfd\xff", "two high halves": "\x00\xd8\x00\xd8"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			file := inUTF16(binary.LittleEndian, head+"canary#,+14155550123,,,,,\nzoe,+919876543210,,,,,\n", false)
			got := r.read(strings.Replace(file, "#\x00", put, 1))
			if got.err != nil || got.Created != 1 || !slices.Equal(got.reports, []string{"2 skipped: name: this is not UTF-16"}) {
				t.Errorf("%v, %+v, %q", got.err, got.Tally, got.reports)
			}
		})
	}
}

// In a file with LF or CRLF, a CR inside a field ends no line: whoever wrote the field
// could add users.
func TestImport_ACarriageReturnInAFieldForgesNoLine(t *testing.T) {
	t.Parallel()
	const mallory = "\rmallory,+14155550124,,,,,"
	for name, file := range map[string]string{
		"LF":               head + "canary" + mallory + "\rx\nzoe,+919876543210,,,,,\n",
		"CRLF":             strings.TrimSuffix(head, "\n") + "\r\ncanary" + mallory + "\rx\r\nzoe,+919876543210,,,,,\r\n",
		"quoted, LF":       head + `"canary` + mallory + `",+14155550123,,,,,` + "\nzoe,+919876543210,,,,,\n",
		"quoted, CR":       strings.TrimSuffix(head, "\n") + "\r\"canary" + mallory + "\",+14155550123,,,,,\rzoe,+919876543210,,,,,\r",
		"a mark before it": "\ufeff" + head + "canary" + mallory + "\rx\nzoe,+919876543210,,,,,\n",
	} {
		for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				got := r.readFrom(t.Context(), wrap(strings.NewReader(file)))
				if users := r.all(); got.err != nil || len(users) != 1 || users["zoe"].Phone == "" || got.Skipped != 1 || strings.Contains(fmt.Sprint(got.reports), "canary") {
					t.Errorf("%v, %+v, %q, users %v", got.err, got.Tally, got.reports, users)
				}
			})
		}
	}
}
