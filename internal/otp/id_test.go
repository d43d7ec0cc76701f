package otp_test

import (
	"strings"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

func TestID_LeadsToTheRowOfItsAddress(t *testing.T) {
	var index [32]byte
	copy(index[:], "\x01\x23\x45\x67\x89\xab\xcd\xefnot in the key")
	key := otp.NewRowKey(index)
	if want := otp.RowKey("0123456789abcdef"); key != want {
		t.Errorf("row key %q, want %q", key, want)
	}
	id := otp.NewID(key, [8]byte{0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10})
	if want := otp.ID("VE0123456789abcdeffedcba9876543210"); id != want {
		t.Errorf("id %q, want %q", id, want)
	}
	if id.RowKey() != key {
		t.Errorf("the id leads to %q, want %q", id.RowKey(), key)
	}
}

func TestParseID(t *testing.T) {
	const good = "VE0123456789abcdeffedcba9876543210"
	if id, err := otp.ParseID(good); err != nil || id != good {
		t.Errorf("%q: got %q, %v", good, id, err)
	}
	for name, s := range map[string]string{
		"nothing":                "",
		"only the prefix":        "VE",
		"no prefix":              good[2:],
		"other prefix":           "VA" + good[2:],
		"lower-case prefix":      "ve" + good[2:],
		"upper-case digits":      "VE" + strings.ToUpper(good[2:]),
		"a digit short":          good[:len(good)-1],
		"a digit more":           good + "0",
		"g":                      good[:len(good)-1] + "g",
		"the character before 0": good[:10] + "/" + good[11:],
		"the character after 9":  good[:10] + ":" + good[11:],
		"the character before a": good[:10] + "`" + good[11:],
		"a space in front":       " " + good[:len(good)-1],
		"a line break":           good[:len(good)-1] + "\n",
		"a quote":                good[:len(good)-1] + "'",
		"a path":                 "VE../../../../../../../../../../..",
		"NUL":                    good[:len(good)-1] + "\x00",
		"full-width digits of the same number of bytes": "VE" + strings.Repeat("０", 10) + "00",
	} {
		t.Run(name, func(t *testing.T) {
			id, err := otp.ParseID(s)
			fields := fixture.Problem(t, err, problem.InvalidRequest).Fields
			if id != "" || len(fields) != 1 || fields[0].Name != "id" {
				t.Errorf("%q: got %q and the fields %+v, want id", s, id, fields)
			}
		})
	}
}

func FuzzParseID(f *testing.F) {
	for _, seed := range []string{"", "VE", "VE0123456789abcdeffedcba9876543210", "VE0123456789ABCDEFFEDCBA9876543210", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := otp.ParseID(s)
		if err != nil {
			return
		}
		key := string(id.RowKey())
		if string(id) != s || len(s) != 34 || strings.Trim(key, "0123456789abcdef") != "" || s[2:18] != key {
			t.Errorf("%q: read as %q in row %q", s, id, key)
		}
	})
}

func TestNotFound_NamesEveryReason(t *testing.T) {
	_, err := otp.Recipient{}.Find(newID(fixture.Alice, 1))
	for _, reason := range []string{"over a day old", "replaced by a newer one", "started for another purpose"} {
		if detail := wantKind(t, err, problem.NotFound).Detail; !strings.Contains(detail, reason) {
			t.Errorf("%q does not say %q", detail, reason)
		}
	}
}
