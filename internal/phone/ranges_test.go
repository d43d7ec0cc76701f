package phone

import (
	"errors"
	"strings"
	"testing"
)

func parseRanges(t *testing.T, text string) Ranges {
	ranges, err := ParseRanges(text)
	if err != nil {
		t.Fatal(err)
	}
	return ranges
}

func TestRangesAddNumbers(t *testing.T) {
	t.Parallel()
	ranges := parseRanges(t, "+8151:12, +1679:11,+77999:11 , +1242999:11, +4499:13, +441534999:12, +39054922:13")
	for _, tc := range []struct{ in, e164, region string }{
		{"+81 51 1234 5678", "+815112345678", ""}, // the tables have another reading for some of these
		{"+1 679 555 0123", "+16795550123", "US"},
		{"\ufeff+1\u00a0679-555-0123", "+16795550123", "US"},
		{"+7 799 912 3456", "+77999123456", "KZ"},
		{"+1 242 999 0123", "+12429990123", "BS"},
		{"+44 1534 999123", "+441534999123", "JE"},
	} {
		n, err := ranges.Parse(tc.in)
		if err != nil || n.E164 != tc.e164 || tc.region != "" && n.Region != tc.region || n.Refused() {
			t.Errorf("Parse(%q) = %s of %s, %v; want %s of %s", tc.in, n.E164, n.Region, err, tc.e164, tc.region)
		}
		if again, err := ranges.Parse(n.E164); err != nil || again != n {
			t.Errorf("Parse(%q) = %#v, %v; want %#v", n.E164, again, err, n)
		}
	}
	if _, err := Parse("+1 679 555 0123"); !errors.Is(err, ErrUnknownRange) {
		t.Errorf("without the range: %v", err)
	}
}

// A range is no way around a refusal, and makes no second spelling.
func TestAttack8_RangesMakeNoSecondNumber(t *testing.T) {
	t.Parallel()
	ranges := parseRanges(t, "+440:13, +1679:11, +521:13, +5411:14, +390549:12, +19:11, +2299:11, +1201:12")
	for _, tc := range []struct {
		in   string
		want error
		e164 string // if there is no error
	}{
		{"+4402079460958", ErrTrunkZero, ""},
		{"+5212221234567", nil, "+522221234567"},
		{"+541115234567890", ErrTooLong, ""},
		{"+54111523456789", nil, "+5491123456789"},
		{"+390549886377", nil, "+3780549886377"},
		{"+16795550123", nil, "+16795550123"},
		{"+1679555012", ErrTooShort, ""},  // another length
		{"+167955501234", ErrTooLong, ""}, //
		{"+12015550123", nil, "+12015550123"},
	} {
		n, err := ranges.Parse(tc.in)
		if !errors.Is(err, tc.want) || n.E164 != tc.e164 {
			t.Errorf("Parse(%q) = %q, %v; want %q, %v", tc.in, n.E164, err, tc.e164, tc.want)
		}
	}
	for _, in := range []string{"+1 900 234 5678"} { // the range +19 has it, and the tables say premium rate
		if n, err := ranges.Parse(in); err != nil || !n.Refused() {
			t.Errorf("%s: %v, %v; want a number that gets no codes", in, n.Type, err)
		}
	}
}

func TestParseRangesRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"+8160":              "like +8160:12",
		"+8160=12":           "like +8160:12",
		"8160:12":            "like +8160:12",
		"+:12":               "like +8160:12",
		"+81-60:12":          "like +8160:12",
		"+\uff18\uff1160:12": "like +8160:12",
		"+8160:":             "like +8160:12",
		"+8160:12:13":        "like +8160:12",
		"+8160:12,":          "entry 2: ",
		",":                  "entry 1: ",
		"+99960:12":          "calling code",
		"+81:12":             "whole country",
		"+1:11":              "whole country",
		"+8160:4":            "more than the prefix has",
		"+8160:-1":           "more than the prefix has",
		"+8160:16":           "at most 15",
		"+1900:11":           "never get codes",
		"+1800:11":           "never get codes",
		"+44843:12":          "never get codes",
		"+8816:12":           "never get codes",
		"+88199:12":          "never get codes", // no such number is known, and none of the calling code is a person's
		"+9795:12":           "never get codes",
		strings.Repeat("+8160:12,", 100) + "+8160:12": "more than 100",
	} {
		ranges, err := ParseRanges(text)
		if err == nil || !strings.Contains(err.Error(), want) || ranges != nil {
			t.Errorf("ParseRanges(%.40q) = %v, %v; want an error with %q", text, ranges, err, want)
		}
		if err != nil && len(text) > 1 && !strings.HasPrefix(want, "like") && strings.Contains(err.Error(), text) {
			t.Errorf("the error quotes the setting: %v", err)
		}
	}
	for _, text := range []string{"", " ", strings.TrimSuffix(strings.Repeat("+8160:12,", 100), ",")} {
		if _, err := ParseRanges(text); err != nil {
			t.Errorf("ParseRanges(%.40q): %v", text, err)
		}
	}
}

// Not parallel: the installed ranges are the whole process's.
func TestInstall(t *testing.T) {
	const number = "+16795550123"
	if _, err := Parse(number); !errors.Is(err, ErrUnknownRange) {
		t.Fatal(err)
	}
	Install(parseRanges(t, "+1679:11"))
	defer Install(nil)
	if n, err := Parse(number); err != nil || n.E164 != number {
		t.Errorf("Parse = %s, %v", n.E164, err)
	}
	if _, err := Parse("+16805550123"); err != nil && !errors.Is(err, ErrUnknownRange) {
		t.Errorf("another range: %v", err)
	}
	if got := testing.AllocsPerRun(100, func() { Parse("+1 (201) 555-0123") }); got > 1 && !raceDetector {
		t.Errorf("Parse allocates %v times with ranges, want at most 1", got)
	}
}

func FuzzParseRanges(f *testing.F) {
	for _, seed := range []string{"+8160:12, +1679:11", "", ",", "+1:1", "+19:11", "+440:13", "+88199:12", "+8160:99999999999999999999"} {
		f.Add(seed, "+16795550123")
	}
	f.Fuzz(func(t *testing.T, text, number string) {
		ranges, err := ParseRanges(text)
		if err != nil {
			return
		}
		n, err := ranges.Parse(number)
		if err != nil {
			return
		}
		if again, err := ranges.Parse(n.E164); err != nil || again != n {
			t.Errorf("with %q, %q is %#v, and that %#v, %v", text, number, n, again, err)
		}
		if known, err := Parse(number); err == nil && known != n {
			t.Errorf("the ranges %q change %#v into %#v", text, known, n)
		}
	})
}
