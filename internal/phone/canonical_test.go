package phone

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Attack 8: one line has one number, also if networks or people know two of it.
func TestAttack8_OneNumberALine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		want, region string
		spellings    []string
	}{
		{"+3780549886377", "SM", []string{"+378 0549 886377", "+39 0549 886377", "+39 0549 88 63 77"}},
		{"+3780549991234", "SM", []string{"+3780549991234", "+390549991234"}},
		{"+522221234567", "MX", []string{"+52 222 123 4567", "+52 1 222 123 4567", "+5212221234567"}},
		{"+525512345678", "MX", []string{"+525512345678", "+5215512345678"}},
		{"+5491123456789", "AR", []string{"+54 9 11 2345 6789", "+54 11 15 2345-6789", "+54 (11) 15-2345-6789"}},
		{"+5492235123456", "AR", []string{"+54 9 223 512-3456", "+54 223 15-512-3456"}},
		{"+5492202412345", "AR", []string{"+54 9 2202 41-2345", "+54 2202 15-41-2345"}},
		{"+5491115234567", "AR", []string{"+54 9 11 1523 4567", "+54 11 15 1523-4567"}}, // 15 at two places, one result
		{"+2290197123456", "BJ", []string{"+229 01 97 12 34 56", "+229 97 12 34 56"}},
		{"+24106031234", "GA", []string{"+241 06 03 12 34", "+241 6 03 12 34"}},
		// These look like one of those above, and are not.
		{"+390549221234", "IT", []string{"+39 0549 221234"}},
		{"+390669812345", "VA", []string{"+39 06 698 12345"}},
		{"+541123456789", "AR", []string{"+54 11 2345-6789"}}, // may be a landline
		{"+5511987654321", "BR", []string{"+55 11 98765-4321"}}, {"+551123456789", "BR", []string{"+55 11 2345-6789"}},
		{"+37745123456", "MC", []string{"+377 45 12 34 56"}}, {"+38345123456", "XK", []string{"+383 45 123 456"}},
	} {
		for _, in := range tc.spellings {
			if n, err := Parse(in); err != nil || n.E164 != tc.want || n.Region != tc.region {
				t.Errorf("Parse(%q) = %s of %s, %v; want %s of %s", in, n.E164, n.Region, err, tc.want, tc.region)
			}
		}
	}
	for _, in := range []string{
		"+54 11 2 15 345 6789",  // 112 is no area code
		"+54 9 11 15 2345 6789", // both 9 and 15
		"+54 11 2345 6789 15",   // 15 at the end
		"+52 1 122 123 4567",    // no number without the 1 either
		"+229 01 97 12 34",      // a digit is missing
		"+55 11 8765-4321",      // a mobile without its 9: a landline's length
		"+378 886377",           // without the area code
	} {
		if n, err := Parse(in); err == nil {
			t.Errorf("Parse(%q) = %s", in, n.E164)
		}
	}
}

// No number that is the result of a rule has another number.
func TestCanonicalIsFinal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e164 := rapid.StringMatching(`\+(390549\d{6}|521\d{10}|229\d{8}|241\d{7}|54(11|2[0-9]{2,3}|3[0-9]{2,3})15\d{6,8})`).Draw(t, "number")
		if number, ok := canonical(e164); ok {
			if again, ok := canonical(number); ok {
				t.Errorf("%s becomes %s and then %s", e164, number, again)
			}
		}
	})
}

// Every area code of Argentina leads to a number that the metadata has for mobile lines.
func TestArgentineAreas(t *testing.T) {
	t.Parallel()
	areas := strings.Split(argentineAreas, " ")
	if len(areas) < 250 || !slices.Contains(areas, "11") || !slices.Contains(areas, "221") || !slices.Contains(areas, "2202") || slices.Contains(areas, "112") {
		t.Errorf("%d area codes: %s", len(areas), argentineAreas)
	}
	for _, area := range areas {
		subscriber := "4" + strings.Repeat("5", 9-len(area))
		if n, err := Parse("+54" + area + "15" + subscriber); err == nil && n.E164 != "+549"+area+subscriber {
			t.Errorf("%s: read as %s", area, n.E164)
		}
	}
}

func TestVariants(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want []string
	}{
		{"+5215512345678", []string{"+525512345678"}},
		{"+525512345678", []string{"+5215512345678"}},
		{"+5511987654321", []string{"+551187654321"}},
		{"+551187654321", []string{"+5511987654321"}},
		{"+551167654321", []string{"+5511967654321"}},
		{"+5511923456789", nil}, // without its 9 this would be a landline
		{"+551123456789", nil},  // a landline
		{"+551157654321", nil},  // a landline
		{"+5511887654321", nil}, // no ninth digit
		{"+5491123456789", []string{"+541123456789"}},
		{"+541123456789", []string{"+5491123456789"}},
		{"+14155550132", nil}, {"+919876543210", nil}, {"", nil}, {"+", nil}, {"+55", nil}, {"+52", nil}, {"+521551234567", nil},
		{"525512345678", nil}, {"+52551234567x", nil}, {"+5215512345678901", nil}, {"+55119876543211", nil}, {"whatsapp:+5215512345678", nil},
	} {
		if got := Variants(tc.in); !slices.Equal(got, tc.want) {
			t.Errorf("Variants(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

// A provider's form leads back to the number, in one step.
func TestVariantsLeadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e164 := rapid.StringMatching(`\+(52[0-9]{10,11}|55[0-9]{10,11}|54[0-9]{10,11}|[0-9]{1,15})`).Draw(t, "number")
		for _, v := range Variants(e164) {
			if v == e164 || !slices.Contains(Variants(v), e164) {
				t.Errorf("%s has the form %s, which has the forms %q", e164, v, Variants(v))
			}
		}
	})
}

// A number that an earlier version has stored is read as Parse reads it today.
func TestCurrent(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"+390549886377": "+3780549886377", "+22997123456": "+2290197123456", "+2416031234": "+24106031234",
		"+390549221234": "+390549221234", "+14155550132": "+14155550132", "+229971234": "+229971234", "+37749123456": "+37749123456", "": "", "+": "+",
	} {
		if got := Current(in); got != want {
			t.Errorf("Current(%q) = %q, want %q", in, got, want)
		}
	}
}
