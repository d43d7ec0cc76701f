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
		{Amount: strings.Repeat(" 9\u200e", 20), Payee: strings.Repeat("e\u0301\ufeff", 60)}, // 39 and 60 characters in their form
	} {
		var faults problem.Faults
		if c.Read(&faults); faults.Err() != nil {
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
		"an embedding":              "Acme\u202ax\u202c",
		"a right-to-left embedding": "\u202bAcme",
		"a first strong isolate":    "\u2068Acme\u2069",
		"a deprecated control":      "Acme\u206ax",
		"an invisible operator":     "Acme\u2063x",
		"a tag":                     "Acme\U000E0041",
		"a paragraph separator":     "Acme\u2029",
		"a next line":               "Acme\u0085",
		"a line break at the end":   "Acme\n",
		"a private character":       "\ue000Acme",
		"an unassigned character":   "Acme\u0378",
		"an unassigned ignorable":   "Acme\u2065",
		"a pile of accents":         "a" + strings.Repeat("\u0301", 32),
		"a joiner in a link":        "https:\u200d//evil.example",
		"a mark in a link":          "https\u200b:/\u200e/evil.example",
		"a mark in a host":          "ww\u00adw\u2060.evil.example",
		"a selector in a link":      "http:\ufe0f//evil.example",
		"a mark in a placeholder":   "{\u200f{1}\ufeff}",
		"selectors in one":          "1}\ufe0e}",
		"a joiner in a placeholder": "{\u200d{1}\u200d}",
		"nothing but joiners":       "\u200c\u200d",
		"nothing but marks":         "\u200e\u200f\u061c",
		"spaces of all kinds":       "\u00a0\u202f\u3000",
		"a space":                   " ",
		"spaces":                    "   ",
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
			otp.Transaction{Amount: text, Payee: text}.Read(&faults)
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
		c.Read(&faults)
		if fields := fixture.Fields(faults.Err()); len(fields) != 1 || fields[0].Name != field {
			t.Errorf("one character too many: faults %v, want one of %s", fields, field)
		}
	}
}
