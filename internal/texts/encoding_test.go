package texts

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"twofa/internal/testing/fixture"
)

// An operator's file that an editor wrote with a byte order mark is read. In another
// encoding, it is named for what it is.
func TestTheEncodingOfAnOperatorsFile(t *testing.T) {
	t.Parallel()
	const text, own = `{"secret": "Geheim bleibt's."}`, "Geheim bleibt's."
	le, be := binary.LittleEndian, binary.BigEndian
	for name, c := range map[string]struct{ file, fault string }{
		"as it is": {text, ""}, "with a mark": {"\ufeff" + text, ""}, "with a mark and CRLF": {"\ufeff\r\n" + text + "\r\n", ""}, "with CR": {"\r" + text + "\r", ""}, "with two marks": {"\ufeff\ufeff" + text, ""},
		"UTF-16LE, with a mark": {fixture.UTF16(le, "\ufeff"+text), "de.json is in UTF-16: save it as UTF-8"}, "UTF-16BE, with a mark": {fixture.UTF16(be, "\ufeff"+text), "de.json is in UTF-16: save it as UTF-8"},
		"UTF-16LE": {fixture.UTF16(le, text), "de.json is in UTF-16: save it as UTF-8"}, "UTF-16BE": {fixture.UTF16(be, text), "de.json is in UTF-16: save it as UTF-8"},
		"UTF-32": {"\x00\x00\xfe\xff\x00\x00\x00{\x00\x00\x00}", "de.json is in UTF-32: save it as UTF-8"}, "Latin-1": {"{\"secret\": \"\xe9\"}", "de.json is not one JSON object in UTF-8 with each key once"},
	} {
		catalogue, err := Load(Options{Dir: folder(t, map[string]string{"de.json": c.file})})
		if c.fault != "" {
			if faults, _ := errors.AsType[Faults](err); !slices.Equal(faults, Faults{c.fault}) {
				t.Errorf("%s: got %q, want %q", name, faults, c.fault)
			}
		} else if err != nil || catalogue.wording("de").texts["secret"] != own {
			t.Errorf("%s: %v", name, err)
		}
	}
}
