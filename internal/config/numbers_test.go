package config_test

import (
	"testing"

	"twofa/internal/otp"
	"twofa/internal/phone"
)

func ranges(text string) phone.Ranges {
	r, err := phone.ParseRanges(text)
	if err != nil {
		panic(err)
	}
	return r
}

func TestExtraNumbers(t *testing.T) {
	for _, tc := range []struct {
		value, fault string // "" for none
	}{
		{"", ""},
		{" ", ""},
		{"+8160:12", ""},
		{"+8160:12, +1679:11", ""},
		{"+8160", "like +8160:12"},
		{"8160:12", "like +8160:12"},
		{"+81 60:12", "like +8160:12"},
		{"+8160:twelve", "like +8160:12"},
		{"+8160:12,", "entry 2"},
		{"+99960:12", "calling code"},
		{"+81:12", "a whole country is too much"},
		{"+8160:16", "at most 15"},
		{"+8160:4", "more than the prefix has"},
		{"+1900:11", "never get codes"},
		{"+8816:12", "never get codes"},
	} {
		_, err := load(t, setting{"TWOFA_EXTRA_NUMBERS", tc.value})
		if tc.fault != "" {
			wantFault(t, err, "TWOFA_EXTRA_NUMBERS", tc.fault)
		} else if err != nil {
			t.Errorf("%q: %v", tc.value, err)
		}
	}
}

// A test number may be in an extra range, and an extra range is in force although nothing has
// installed it yet.
func TestTestNumbersMayBeExtraNumbers(t *testing.T) {
	numbers := setting{"TWOFA_TEST_NUMBERS", "until=2026-03-31,code=424242,+16795550101=delivered"}
	_, err := load(t, numbers)
	wantFault(t, err, "TWOFA_TEST_NUMBERS", "numbers like")
	got, err := load(t, setting{"TWOFA_EXTRA_NUMBERS", "+1679:11"}, numbers)
	if err != nil || got.TestNumbers.Scenarios["+16795550101"].Ending != otp.EndsDelivered {
		t.Errorf("got %+v, %v", got.TestNumbers, err)
	}
}
