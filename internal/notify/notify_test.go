package notify_test

import (
	"testing"

	"twofa/internal/notify"
)

func TestFailureText(t *testing.T) {
	for _, tc := range []struct {
		f    notify.Failure
		want string
	}{
		{notify.Failure{Reason: notify.InvalidAddress}, "notify: invalid_address"},
		{notify.Failure{Reason: notify.Undeliverable, Code: 63024}, "notify: undeliverable (provider error 63024)"},
		{notify.Failure{Reason: notify.Refused, Detail: "blocked"}, "notify: refused: blocked"},
		{notify.Failure{Reason: notify.Misconfigured, Code: 63016, Setting: "TWILIO_CONTENT_SID", Detail: "no template"},
			"notify: misconfigured (provider error 63016), see TWILIO_CONTENT_SID: no template"},
		{notify.Failure{Reason: notify.Unavailable}, "notify: unavailable"},
		{notify.Failure{}, "notify: Reason(0)"},
	} {
		if got := tc.f.Error(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
