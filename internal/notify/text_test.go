package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"twofa/internal/notify"
)

func TestText(t *testing.T) {
	long := strings.Repeat("x", 10<<10)
	for _, tc := range []struct {
		name string
		m    notify.Message
		want string
	}{
		{"plain", notify.Message{Code: "482913", Brand: "Acme", ValidFor: 10 * time.Minute},
			"482913 is your Acme code. Valid for 10 minutes. Do not share it with anyone."},
		{"no brand", notify.Message{Code: "482913", ValidFor: 10 * time.Minute},
			"482913 is your code. Valid for 10 minutes. Do not share it with anyone."},
		{"both", notify.Message{Code: "482913", Brand: "Acme", ValidFor: 5 * time.Minute, Amount: "EUR 25.00", Payee: "Bike Shop"},
			"482913 is your Acme code to approve a payment of EUR 25.00 to Bike Shop. Valid for 5 minutes. Do not share it with anyone."},
		{"amount only", notify.Message{Code: "482913", Brand: "Acme", ValidFor: 5 * time.Minute, Amount: "EUR 25.00"},
			"482913 is your Acme code to approve a payment of EUR 25.00. Valid for 5 minutes. Do not share it with anyone."},
		{"payee only", notify.Message{Code: "482913", Brand: "Acme", ValidFor: 5 * time.Minute, Payee: "Bike Shop"},
			"482913 is your Acme code to approve a payment to Bike Shop. Valid for 5 minutes. Do not share it with anyone."},
		{"minutes round down", notify.Message{Code: "1", Brand: "A", ValidFor: 10*time.Minute - time.Nanosecond},
			"1 is your A code. Valid for 9 minutes. Do not share it with anyone."},
		{"one minute", notify.Message{Code: "1", Brand: "A", ValidFor: 119 * time.Second},
			"1 is your A code. Valid for 1 minute. Do not share it with anyone."},
		{"at least one", notify.Message{Code: "1", Brand: "A", ValidFor: time.Second},
			"1 is your A code. Valid for 1 minute. Do not share it with anyone."},
		{"a payee cannot end the message with a line of its own", notify.Message{Code: "1", Brand: "A", ValidFor: time.Minute, Payee: "Shop\r\n\u2028@evil.test #1"},
			"1 is your A code to approve a payment to Shop @evil. test #1. Valid for 1 minute. Do not share it with anyone."},
		{"links are broken", notify.Message{Code: "1", Brand: "Booking.com", ValidFor: time.Minute, Payee: "https://evil.test/a?b=1 wa。me"},
			"1 is your Booking.com code to approve a payment to https: //evil. test/a?b=1 wa。 me. Valid for 1 minute. Do not share it with anyone."},
		{"bidi and zero-width are dropped", notify.Message{Code: "1", Brand: "A\u202eB\u2066C\u200bD\U000E0041", ValidFor: time.Minute},
			"1 is your ABCD code. Valid for 1 minute. Do not share it with anyone."},
		{"joiners of a name stay", notify.Message{Code: "1", Brand: "می\u200cخواهم", ValidFor: time.Minute},
			"1 is your می\u200cخواهم code. Valid for 1 minute. Do not share it with anyone."},
		{"terminal escapes and invalid UTF-8", notify.Message{Code: "1", Brand: "A\x1b[31m\x00\xff\u009bB", ValidFor: time.Minute},
			"1 is your A [31m \uFFFD B code. Valid for 1 minute. Do not share it with anyone."},
		{"10 KB", notify.Message{Code: "1", Brand: long, ValidFor: time.Minute, Amount: long, Payee: long},
			"1 is your " + strings.Repeat("x", notify.MaxBrand-1) + "… code to approve a payment of " + strings.Repeat("x", notify.MaxAmount-1) + "… to " +
				strings.Repeat("x", notify.MaxPayee-1) + "…. Valid for 1 minute. Do not share it with anyone."},
		{"exactly the limit is not cut", notify.Message{Code: "1", Brand: strings.Repeat("é", notify.MaxBrand), ValidFor: time.Minute},
			"1 is your " + strings.Repeat("é", notify.MaxBrand) + " code. Valid for 1 minute. Do not share it with anyone."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := notify.Text(tc.m); got != tc.want {
				t.Errorf("Text:\n got %q\nwant %q", got, tc.want)
			}
		})
	}
}

var withoutLinks = strings.NewReplacer(":", "", ".", "", "\u3002", "", "\uff0e", "", "\uff61", "")

// Whatever the free texts hold, the message begins with the code, ends with the
// warning, is one short line and shows nothing that moves or hides text.
func TestTextIsSafeForAnyInput(t *testing.T) {
	hostile := rapid.StringOf(rapid.OneOf(
		rapid.Rune(),
		rapid.SampledFrom([]rune("\r\n\t\x00\x1b\u0085\u2028\u2029\u202a\u202e\u2066\u2069\u200b\u200e\ufeff.:/@#ab{}1")),
	))
	rapid.Check(t, func(t *rapid.T) {
		m := notify.Message{
			Code:     "482913",
			Brand:    withoutLinks.Replace(hostile.Draw(t, "brand")), // the operator's own word
			Amount:   hostile.Draw(t, "amount"),
			Payee:    hostile.Draw(t, "payee"),
			ValidFor: 10 * time.Minute,
		}
		got := notify.Text(m)
		if !strings.HasPrefix(got, "482913 is your ") {
			t.Fatalf("does not begin with the code: %q", got)
		}
		if !strings.HasSuffix(got, ". Valid for 10 minutes. Do not share it with anyone.") {
			t.Fatalf("does not end with the warning: %q", got)
		}
		if n := utf8.RuneCountInString(got); n > 350 || !utf8.ValidString(got) {
			t.Fatalf("%d characters: %q", n, got)
		}
		if strings.Contains(got, "://") {
			t.Fatalf("holds a link: %q", got)
		}
		runes := []rune(got)
		for i, r := range runes {
			if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == '\u200b' || r == '\ufeff' {
				t.Fatalf("holds %U: %q", r, got)
			}
			if r == '.' && i+1 < len(runes) && unicode.IsLetter(runes[i+1]) {
				t.Fatalf("a dot between letters, which apps turn into a link: %q", got)
			}
		}
	})
}

func ExampleText() {
	fmt.Println(notify.Text(notify.Message{
		Code: "482913", Brand: "Acme", ValidFor: 10 * time.Minute,
		Amount: "EUR 25.00", Payee: "Bike Shop",
	}))
	// Output: 482913 is your Acme code to approve a payment of EUR 25.00 to Bike Shop. Valid for 10 minutes. Do not share it with anyone.
}
