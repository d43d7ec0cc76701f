package otp_test

import (
	"strings"
	"testing"

	"twofa/internal/otp"
)

// A message is a format with and without arguments, so that %% is one % in both.
func TestInvalid_MessagesAreFormats(t *testing.T) {
	var e otp.Error
	e.Add("to", "A + is written %%2B.")
	e.Add("to", "%d%% of %s", 5, "100%")
	for i, want := range []string{"A + is written %2B.", "5% of 100%"} {
		if got := e.Fields[i].Message; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got, want := otp.Invalid("to", "A + is written %%2B.").Fields[0].Message, "A + is written %2B."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNotFound_NamesEveryReason(t *testing.T) {
	_, err := otp.Recipient{}.Find(newID(alice, 1))
	for _, reason := range []string{"over a day old", "replaced by a newer one", "started for another purpose"} {
		if detail := refusal(t, err).Detail; !strings.Contains(detail, reason) {
			t.Errorf("%q does not say %q", detail, reason)
		}
	}
}
