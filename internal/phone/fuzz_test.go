package phone

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

var (
	e164Form   = regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)
	separators = strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "")
	faults     = []error{
		ErrNoPlus, ErrTrunkZero, ErrExtension, ErrLetters, ErrCharacter,
		ErrUnknownCallingCode, ErrTooShort, ErrTooLong, ErrInvalid,
	}
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"+12015550123", "+1 (201) 555-0123", "0012015550123", "+44 (0)20 7946 0958", "+44 020 7946 0958",
		"+12015550123;ext=5", "+12015550123 x5", "tel:+12015550123", "+1-201-555-0123;phone-context=+44",
		"+\u0663\u0664\u0665\u0661\u0662\u0663\u0664", "\uff0b12015550123", "+39 06 698 12345", "+54 9 11 2345 6789",
		"+52 1 222 123 4567", "+375 810 560 8940", "+881612345678", "+1 800 FLOWERS", "+7 771 000 9998", "+",
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
			// If the spelling is not the reason, the library refuses the digits too.
			bracketed := errors.Is(err, ErrTrunkZero) && strings.Contains(s, "(")
			if e164 := separators.Replace(s); e164Form.MatchString(e164) && len(s) <= maxInput && !bracketed &&
				strings.HasPrefix(strings.TrimLeft(s, " "), "+") {
				checkAgrees(t, e164)
			}
			return
		}
		if !e164Form.MatchString(n.E164) || n.E164 != separators.Replace(s) {
			t.Errorf("Parse(%q) changes the digits: %q", s, n.E164)
		}
		if again, err := Parse(n.E164); err != nil || again != n {
			t.Errorf("Parse(%q) = %#v, but Parse(%q) = %#v, %v", s, n, n.E164, again, err)
		}
		checkAgrees(t, n.E164)
		// If the library can read the spelling, it reads the same number.
		if parsed, err := phonenumbers.Parse(s, ""); err == nil {
			if e164 := phonenumbers.Format(parsed, phonenumbers.E164); e164 != n.E164 {
				t.Errorf("Parse(%q) = %s; the library says %s", s, n.E164, e164)
			}
		}
		masked, digits := n.Masked(), len(n.E164)-1-len(n.CallingCode)
		if hidden := strings.Count(masked, "*"); len(masked) != len(n.E164) || hidden < digits-4 || 2*hidden < digits {
			t.Errorf("%s is masked as %s", n.E164, masked)
		}
	})
}
