package otp_test

import (
	"strings"
	"testing"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

func TestCheckPurpose(t *testing.T) {
	for _, tc := range []struct {
		purpose, want string
		ok            bool
	}{
		{"", "login", true},
		{"pay", "pay", true},
		{"a-z_0-9", "a-z_0-9", true},
		{strings.Repeat("x", 32), strings.Repeat("x", 32), true},
		{strings.Repeat("x", 33), "", false},
		{"Pay", "", false},
		{"pay now", "", false},
		{"pay\n", "", false},
		{"zahlüng", "", false},
		{"p/../q", "", false},
	} {
		var faults problem.Faults
		got := otp.CheckPurpose(tc.purpose, &faults)
		fields := fixture.Fields(faults.Err())
		switch {
		case tc.ok && (got != tc.want || len(fields) != 0):
			t.Errorf("%q: got %q, faults %v; want %q", tc.purpose, got, fields, tc.want)
		case !tc.ok && (len(fields) != 1 || fields[0].Name != "purpose"):
			t.Errorf("%q: faults %v, want one of the purpose", tc.purpose, fields)
		}
	}
}

func TestContextCheck_AcceptsWhatPeopleWrite(t *testing.T) {
	for _, c := range []otp.Transaction{
		{},
		{Amount: "EUR 25.00", Payee: "Acme"},
		{Amount: "₹ 1,00,000.00", Payee: "Müller & Søn (Żary)"},
		{Payee: "東京電力"},
		{Payee: "می\u200cخواهم"},     // Persian, with a non-joiner
		{Payee: "۲۴\u200cساعته"},     // behind digits
		{Payee: "ශ්\u200dරී ලංකා"},   // Sinhala, a joiner behind a mark
		{Payee: "क्\u200dष & पुत्र"}, // Hindi
		{Amount: "₹", Payee: "…"},
		{Amount: strings.Repeat("9", 32), Payee: strings.Repeat("é", 60)},
	} {
		var faults problem.Faults
		if c.Check(&faults); faults.Err() != nil {
			t.Errorf("%+v: faults %v", c, fixture.Fields(faults.Err()))
		}
	}
}

// The part of attack 9 that the domain prevents: a context must not look like more
// than an amount and a payee.
func TestAttack09_ContextsThatPoseAsMoreAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a line break":              "Acme\n@evil.example #123456",
		"a carriage return":         "Acme\r",
		"a line separator":          "Acme\u2028x",
		"a tab":                     "Acme\tx",
		"NUL":                       "Acme\x00",
		"a right-to-left override":  "Acme\u202ex",
		"an isolate":                "Acme\u2066x",
		"a zero-width space":        "Acme\u200bx",
		"a byte order mark":         "Acme\ufeffx",
		"a soft hyphen":             "Acme\u00adx",
		"a no-break space":          "Acme\u00a0x",
		"a joiner in front":         "\u200dAcme",
		"a joiner at the end":       "Acme\u200d",
		"a joiner before a space":   "Acme\u200d Ltd",
		"a joiner behind a space":   "Acme \u200cLtd",
		"two joiners":               "Ac\u200d\u200cme",
		"a joiner behind a dot":     "evil.\u200dexample",
		"a joiner before a dot":     "evil\u200c.example",
		"a joiner in a link":        "https:\u200d//evil.example",
		"a joiner in a placeholder": "{\u200d{1}\u200d}",
		"nothing but joiners":       "\u200c\u200d",
		"a space":                   " ",
		"spaces":                    "   ",
		"a leading space":           " Acme",
		"a trailing space":          "Acme ",
		"two spaces":                "Acme  Ltd",
		"nothing but a mark":        "\u0301",
		"nothing but a selector":    "\ufe0f",
		"nothing but a filler":      "\u3164",
		"fillers and a joiner":      "\u3164\u200d\u3164",
		"an empty Braille cell":     "\u2800",
		"a template placeholder":    "{{1}}",
		"the end of a placeholder":  "1}}",
		"a link":                    "https://evil.example",
		"a link without its scheme": "WWW.evil.example",
		"ten kilobytes":             strings.Repeat("x", 10<<10),
	} {
		t.Run(name, func(t *testing.T) {
			var faults problem.Faults
			otp.Transaction{Amount: text, Payee: text}.Check(&faults)
			fields := fixture.Fields(faults.Err())
			if len(fields) != 2 || fields[0].Name != "context.amount" || fields[1].Name != "context.payee" {
				t.Fatalf("faults %v, want one of each field", fields)
			}
			for _, f := range fields {
				if strings.TrimSpace(text) != "" && strings.Contains(f.Message, text) {
					t.Error("the answer repeats the text")
				}
			}
		})
	}
	for field, c := range map[string]otp.Transaction{
		"context.amount": {Amount: strings.Repeat("9", 41)},
		"context.payee":  {Payee: strings.Repeat("é", 61)},
	} {
		var faults problem.Faults
		c.Check(&faults)
		if fields := fixture.Fields(faults.Err()); len(fields) != 1 || fields[0].Name != field {
			t.Errorf("one character too many: faults %v, want one of %s", fields, field)
		}
	}
}
