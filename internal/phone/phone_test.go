package phone

import (
	"bytes"
	"errors"
	"fmt"
	"go/build"
	"log/slog"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	us := Number{E164: "+12015550123", CallingCode: "1", Region: "US", Type: FixedLineOrMobile}
	tests := []struct {
		in   string
		want Number
	}{
		{"+12015550123", us},
		{"+1 (201) 555-0123", us},
		{"  +1.201.555.0123 ", us},
		{"+ 1 - 201 - 555 - 0123", us},
		{"+(1)2015550123", us},
		{"+919876543210", Number{"+919876543210", "91", "IN", Mobile}},
		{"+39 02 1234 5678", Number{"+390212345678", "39", "IT", FixedLine}}, // the zero belongs to the number
		{"+39 (06) 698 12345", Number{"+390669812345", "39", "VA", FixedLine}},
		{"+44 7400 123456", Number{"+447400123456", "44", "GB", Mobile}},
		{"+44 7781 123456", Number{"+447781123456", "44", "GG", Mobile}},
		{"+7 771 000 9998", Number{"+77710009998", "7", "KZ", Mobile}},
		{"+54 9 11 2345 6789", Number{"+5491123456789", "54", "AR", Mobile}},
		{"+52 222 123 4567", Number{"+522221234567", "52", "MX", FixedLineOrMobile}},
		{"+383 43 201 234", Number{"+38343201234", "383", "XK", Mobile}},
		{"+881 612 345 678", Number{"+881612345678", "881", "001", Mobile}},
		{"+44 909 879 0123", Number{"+449098790123", "44", "GB", PremiumRate}},
	}
	for _, test := range tests {
		if got, err := Parse(test.in); err != nil || got != test.want {
			t.Errorf("Parse(%q) = %#v, %v; want %#v", test.in, got, err, test.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		in   string
		want error
	}{
		{"", ErrNoPlus},
		{"   ", ErrNoPlus},
		{"12015550123", ErrNoPlus},
		{"0012015550123", ErrNoPlus},
		{"011 1 201 555 0123", ErrNoPlus},
		{"(201) 555-0123", ErrNoPlus},
		{"+44 (0)20 7946 0958", ErrTrunkZero},
		{"+44 ( 0 ) 20 7946 0958", ErrTrunkZero},
		{"+44 020 7946 0958", ErrTrunkZero},
		{"+44 (020) 7946 0958", ErrTrunkZero},
		{"+12015550123;ext=5", ErrExtension},
		{"+12015550123;phone-context=example.com", ErrExtension},
		{"+12015550123 x5", ErrExtension},
		{"+12015550123 Ext. 5", ErrExtension},
		{"+12015550123#5", ErrExtension},
		{"+12015550123,,5", ErrExtension},
		{"+1 800 FLOWERS", ErrLetters},
		{"+x", ErrLetters},
		{"++12015550123", ErrCharacter},
		{"+1201555/0123", ErrCharacter},
		{"+1201555\x000123", ErrCharacter},
		{"+1201555[0123", ErrCharacter}, // [ and { are next to the letters
		{"+1201555{0123", ErrCharacter},
		{"+1201555@0123", ErrCharacter},
		{"+\u0663\u0664\u0665", ErrTooShort}, // Arabic-Indic digits
		{"+39 (0)6 698 12345", ErrKeptZero},
		{"+39 (0) 212345678", ErrKeptZero},
		{"+39 (0) 333 1234567", ErrTrunkZero},
		{"+39 (0) 321 123456", ErrUnclearZero},   // a landline with the 0, a mobile without it
		{"+34 (0) 100 000 000", ErrUnknownRange}, // a number neither with nor without the 0
		{"+1 (0) 201 555 012", ErrTooShort},
		{"+1201555\xff0123", ErrCharacter},
		{"+", ErrUnknownCallingCode},
		{"+()", ErrUnknownCallingCode},
		{"+0012015550123", ErrUnknownCallingCode},
		{"+2101234567", ErrUnknownCallingCode},
		{"+99912345678", ErrUnknownCallingCode},
		{"+1", ErrTooShort},
		{"+1 201 555 012", ErrTooShort},
		{"+1 201 555", ErrTooShort},
		{"+44", ErrTooShort},
		{"+1 201 555 01234", ErrTooLong},
		{"+1201555012345678", ErrTooLong},
		{"+12015550123" + strings.Repeat(" ", 245), ErrTooLong},
		{"+" + strings.Repeat("1", 64), ErrTooLong},
		{"+1 155 555 0123", ErrUnknownRange},
		{"+1 999 555 0123", ErrUnknownRange},
		{"+34 100 000 000", ErrUnknownRange},
		{"+375 810 560 8940", ErrTooLong}, // the library turns it into another number
	}
	for _, test := range tests {
		if got, err := Parse(test.in); !errors.Is(err, test.want) || got != (Number{}) {
			t.Errorf("Parse(%q) = %#v, %v; want the error %q", test.in, got, err, test.want)
		}
	}
}

// The longest accepted input.
func TestParseInputLimit(t *testing.T) {
	in := "+12015550123" + strings.Repeat("-", maxInput-12)
	if _, err := Parse(in); err != nil {
		t.Errorf("Parse of %d bytes: %v", len(in), err)
	}
	if _, err := Parse(in + "-"); !errors.Is(err, ErrTooLong) {
		t.Errorf("Parse of %d bytes: %v, want ErrTooLong", len(in)+1, err)
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		number  string
		refused bool
	}{
		{"+12015550123", false},  // fixed line or mobile
		{"+919876543210", false}, // mobile
		{"+442079460958", false}, // fixed line: voice calls reach it
		{"+445612345678", false}, // voip
		{"+18002345678", true},   // toll free
		{"+19002345678", true},   // premium rate
		{"+448431234567", true},  // shared cost
		{"+447012345678", true},  // personal, charged like premium
		{"+447640123456", true},  // pager
		{"+445512345678", true},  // UAN
		{"+423697861234", true},  // voicemail
		{"+80012345678", true},   // international freephone
		{"+80812345678", true},   // international shared cost
		{"+870301234567", true},  // Inmarsat
		{"+878101234567890", true},
		{"+881612345678", true}, // satellite, though its type is mobile
		{"+8823421234", true},
		{"+883510012345", true},
		{"+88812345678901", true},
		{"+979123456789", true}, // international premium rate
	}
	for _, test := range tests {
		n, err := Parse(test.number)
		if err != nil {
			t.Errorf("Parse(%q): %v", test.number, err)
		} else if n.Refused() != test.refused {
			t.Errorf("Refused() of %s, %s, %s = %v", test.number, n.Region, n.Type, n.Refused())
		}
	}
	if !(Number{}).Refused() {
		t.Error("the zero Number is not refused")
	}
	if !(Number{Region: "US", Type: "new"}).Refused() {
		t.Error("an unknown type is not refused")
	}
}

func TestMask(t *testing.T) {
	tests := []struct{ in, want string }{
		{"+14155550123", "+1******0123"},
		{"+919876543210", "+91******3210"},
		{"+38343201234", "+383****1234"},
		{"+29012345678", "+290****5678"},
		{"+2901234567", "+290****567"},
		{"+290123456", "+290***456"},
		{"+29012345", "+290***45"},
		{"+2901234", "+290**34"},
		{"+2901", "+290*"},
		{"+290", "+290"},
		{"+878101234567890", "+878********7890"},
		{"", "***"},
		{"14155550123", "***"},
		{"+1415555012x", "***"},
		{"+1 415 555 0123", "***"},
		{"+99912345678", "***"},
		{"+1415555012345678", "***"},
		{"alice@example.com", "***"},
	}
	for _, test := range tests {
		if got := Mask(test.in); got != test.want {
			t.Errorf("Mask(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

// A Number in a message or a log line must not show the whole address.
func TestNumberPrintsMasked(t *testing.T) {
	n, err := Parse("+1 201 555 0123")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("sent", "to", n)
	slog.New(slog.NewTextHandler(&out, nil)).Info("sent", "to", n)
	fmt.Fprintf(&out, "%v %+v %s %q", n, n, n, n)
	if got := strings.Count(out.String(), "+1******0123"); got != 6 || strings.Contains(out.String(), "201555") {
		t.Errorf("%d of 6 masked in:\n%s", got, out.String())
	}
}

// The package must not link in the library.
func TestImportsStandardLibraryOnly(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pkg.Imports {
		if strings.Contains(path, ".") {
			t.Errorf("imports %s", path)
		}
	}
}

func TestParseAllocatesOnlyTheNumber(t *testing.T) {
	if got := testing.AllocsPerRun(100, func() { Parse("+1 (201) 555-0123") }); got > 1 {
		t.Errorf("Parse allocates %v times, want at most 1", got)
	}
}

func ExampleParse() {
	n, err := Parse("+44 7400 123456")
	fmt.Println(n.E164, n.Region, n.Type, err)
	_, err = Parse("07400 123456")
	fmt.Println(err)
	// Output:
	// +447400123456 GB mobile <nil>
	// a phone number must begin with + and the calling code, as in +14155550123
}

func BenchmarkParse(b *testing.B) {
	for _, in := range []string{"+12015550123", "+1 (201) 555-0123", "+919876543210", "+375810", "+44 (0)20 7946 0958"} {
		b.Run(in, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(in)
			}
		})
	}
}

func BenchmarkMask(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Mask("+12015550123")
	}
}

func TestIsRegion(t *testing.T) {
	for _, code := range []string{"US", "GB", "IN", "XK", "GG", "CA"} {
		if !IsRegion(code) {
			t.Errorf("%s is not a region", code)
		}
	}
	for _, code := range []string{"", "U", "UK", "ZZ", "QQ", "us", "001", "USA", "0"} {
		if IsRegion(code) {
			t.Errorf("%q is a region", code)
		}
	}
}
