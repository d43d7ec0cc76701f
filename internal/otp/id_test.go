package otp_test

import (
	"strings"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

func TestID_HoldsItsDigitsAsBytes(t *testing.T) {
	var index [32]byte
	copy(index[:], "\x01\x23\x45\x67\x89\xab\xcd\xefnot in the key")
	key := otp.NewRowKey(index)
	if want := otp.RowKey("0123456789abcdef"); key != want || key.Bytes() != [8]byte(index[:8]) {
		t.Errorf("row key %q of the bytes %x, want %q", key, key.Bytes(), want)
	}
	digits := [16]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}
	id := otp.NewID(digits)
	if want := otp.ID("VE0123456789abcdeffedcba9876543210"); id != want || id.Bytes() != digits {
		t.Errorf("id %q of the bytes %x, want %q", id, id.Bytes(), want)
	}
	if id.FormerRowKey() != key {
		t.Errorf("as an id of the former form it leads to %q, want %q", id.FormerRowKey(), key)
	}
}

func TestKnows_VerificationsAndRememberedAnswers(t *testing.T) {
	a, b, c := newID(fixture.Alice, 1), newID(fixture.Alice, 2), newID(fixture.Alice, 3)
	r := otp.Recipient{Verifications: []otp.Verification{{ID: a}}, Replays: []otp.Replay{{ID: b}}}
	if !r.Knows(a) || !r.Knows(b) || r.Knows(c) || r.Knows("") || (otp.Recipient{}).Knows(a) {
		t.Errorf("%+v", r)
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
		former := string(id.FormerRowKey())
		if string(id) != s || len(s) != 34 || strings.Trim(s[2:], "0123456789abcdef") != "" || otp.NewID(id.Bytes()) != id || s[2:18] != former {
			t.Errorf("%q: read as %q, formerly in row %q", s, id, former)
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
