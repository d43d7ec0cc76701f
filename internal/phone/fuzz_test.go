package phone

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	e164Form = regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)
	faults   = []error{
		ErrNoPlus, ErrTrunkZero, ErrKeptZero, ErrUnclearZero, ErrExtension, ErrLetters, ErrCharacter,
		ErrUnknownCallingCode, ErrTooShort, ErrTooLong, ErrUnknownRange,
	}
)

// plain returns the + and the ASCII digits of a text that has no other character than these
// and ASCII separators.
func plain(s string) (string, bool) {
	s = strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "").Replace(s)
	return s, e164Form.MatchString(s)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"+12015550123", "+1 (201) 555-0123", "0012015550123", "+44 (0)20 7946 0958", "+44 020 7946 0958",
		"+12015550123;ext=5", "+12015550123 x5", "tel:+12015550123", "+1-201-555-0123;phone-context=+44",
		"+\u0663\u0664\u0665\u0661\u0662\u0663\u0664", "\uff0b12015550123", "+39 06 698 12345", "+54 9 11 2345 6789",
		"+52 1 222 123 4567", "+54 11 15 2345-6789", "+390549886377", "\ufeff\u200e+\uff11\uff14\uff11\uff15\u00a0555\u20110132\r\n",
		"\u202e+12015550123", "(+44) 20 7946 0958", "+39 (0)6 698 12345", "tel:+1-415-555-0132;ext=5", "TEL:+1(415)555.0132", "+375 810 560 8940", "+881612345678", "+1 800 FLOWERS", "+7 771 000 9998", "+",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			if n != (Number{}) {
				t.Errorf("Parse(%q) gives %#v and the error %v", s, n, err)
			}
			if !slices.ContainsFunc(faults, func(fault error) bool { return errors.Is(err, fault) }) {
				t.Errorf("Parse(%q): %v is not one of the package's errors", s, err)
			}
			// If the spelling is not the reason, the metadata has no such number either.
			if e164, ok := plain(s); ok && !zeroInParentheses.MatchString(s) && strings.HasPrefix(strings.TrimLeft(s, " ("), "+") && len(s) <= maxInput {
				checkAgrees(t, e164)
			}
			return
		}
		if !e164Form.MatchString(n.E164) {
			t.Errorf("Parse(%q) = %q", s, n.E164)
		}
		if typed, ok := plain(s); ok && typed != n.E164 {
			if changed, ok := canonical(typed); !ok || changed != n.E164 {
				t.Errorf("Parse(%q) changes the digits: %q", s, n.E164)
			}
		}
		if again, err := Parse(n.E164); err != nil || again != n {
			t.Errorf("Parse(%q) = %#v, but Parse(%q) = %#v, %v", s, n, n.E164, again, err)
		}
		if again, err := Parse("\ufefftel:" + n.E164 + "\u200f\r\n"); err != nil || again != n {
			t.Errorf("pasted as a link, %q is %#v, %v", n.E164, again, err)
		}
		checkAgrees(t, n.E164)
		masked, digits := n.Masked(), len(n.E164)-1-len(n.CallingCode)
		if hidden := strings.Count(masked, "*"); len(masked) != len(n.E164) || hidden < digits-4 || 2*hidden < digits {
			t.Errorf("%s is masked as %s", n.E164, masked)
		}
	})
}
