package secretfile

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"twofa/internal/testing/fixture"
)

// A secret that another program wrote is the same secret, or the error says in which
// encoding it is.
func TestTheEncodingOfASecret(t *testing.T) {
	t.Parallel()
	text := fixture.Secret(1)
	le, be := binary.LittleEndian, binary.BigEndian
	for name, c := range map[string]struct{ file, says string }{
		"as it is": {text, ""}, "with a line end": {text + "\n", ""}, "of Windows": {text + "\r\n", ""}, "with a mark": {"\ufeff" + text + "\r\n", ""}, "with spaces": {" " + text + " ", ""},
		"UTF-16LE, with a mark": {fixture.UTF16(le, "\ufeff"+text+"\r\n"), "is in UTF-16: save it as UTF-8"}, "UTF-16BE, with a mark": {fixture.UTF16(be, "\ufeff"+text), "is in UTF-16: save it as UTF-8"},
		"UTF-16LE": {fixture.UTF16(le, text), "is in UTF-16"}, "UTF-16BE": {fixture.UTF16(be, text), "is in UTF-16"}, "UTF-32": {"\xff\xfe\x00\x00" + text, "is in UTF-32"},
	} {
		table, path := openStore(t)
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := Load(path, table.Empty)
		if c.says == "" {
			if err != nil || keys.Current() != fixture.Keys(t, 1).Current() {
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), text[:6]) {
			t.Errorf("%s: %v", name, err)
		}
		if content(t, path) != c.file {
			t.Errorf("%s: the file was changed", name)
		}
	}
}
