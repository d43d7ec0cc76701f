package notify_test

import (
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
)

func TestFailureText(t *testing.T) {
	for _, tc := range []struct {
		f    notify.Failure
		want string
	}{
		{notify.Failure{Outcome: otp.OutcomeInvalidAddress}, "notify: invalid_address"},
		{notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 63024}, "notify: undeliverable (provider error 63024)"},
		{notify.Failure{Outcome: otp.OutcomeUndeliverable, Word: "blocked_by_carrier", Detail: "filtered"},
			"notify: undeliverable (provider error blocked_by_carrier): filtered"},
		{notify.Failure{Outcome: otp.OutcomeRefused, Detail: "blocked"}, "notify: refused: blocked"},
		{notify.Failure{Outcome: otp.OutcomeMisconfigured, Code: 63016, Setting: "TWILIO_CONTENT_SID", Detail: "no template"},
			"notify: misconfigured (provider error 63016), see TWILIO_CONTENT_SID: no template"},
		{notify.Failure{Outcome: otp.OutcomeUnavailable}, "notify: unavailable"},
		{notify.Failure{Outcome: 99}, "notify: Outcome(99)"},
	} {
		if got := tc.f.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"line ends", "Shop\r\n\u2028@evil.test #1", "Shop @evil.test #1"},
		{"bidi and zero-width are dropped", "A\u202eB\u2066C\u200bD\U000E0041", "ABCD"},
		{"joiners of a name stay", "می\u200cخواهم", "می\u200cخواهم"},
		{"terminal escapes and invalid UTF-8", "A\x1b[31m\x00\xff\u009bB", "A [31m \uFFFD B"},
		{"spaces", "\u00a0 A\t\u3000B ", "A B"},
		{"10 KB", strings.Repeat("x", 10<<10), strings.Repeat("x", notify.MaxBrand-3) + "..."},
		{"a dot before the cut", strings.Repeat("x", notify.MaxBrand-4) + ". and more", strings.Repeat("x", notify.MaxBrand-4) + "..."},
		{"exactly the limit is not cut", strings.Repeat("é", notify.MaxBrand), strings.Repeat("é", notify.MaxBrand)},
	} {
		if got := notify.OneLine(tc.in, notify.MaxBrand); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
