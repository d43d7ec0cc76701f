package phone

import "strings"

// canonical returns the number under which the line of e164 is known. ok is false if
// e164 has no other number. The result may be invalid: then e164 is read as it is.
//
// Some lines have two numbers that networks accept, or that people still write. All
// limits are counted per number, so such a line must have one number here. The
// sources of each rule are in docs/decisions/0012-one-number-a-line.md.
func canonical(e164 string) (number string, ok bool) {
	for _, r := range rules {
		if rest, ok := strings.CutPrefix(e164, r.old); ok && len(rest) == r.digits {
			return r.now + rest, true
		}
	}
	return canonicalArgentine(e164)
}

// Current returns the number that Parse makes of a number in E.164 that an earlier
// version has stored: another one if a rule was added since, else e164 itself.
func Current(e164 string) string {
	if number, ok := canonical(e164); ok {
		if _, ok := lookUp(number); ok {
			return number
		}
	}
	return e164
}

// rules of canonical: an old prefix becomes another one if this many digits follow.
var rules = [...]struct {
	old, now string
	digits   int
}{
	{"+390549", "+3780549", 6}, // San Marino's landlines are reached through Italy's area code 0549, too
	{"+521", "+52", 10},        // Mexico abolished the 1 of mobile numbers in 2019
	{"+229", "+22901", 8},      // Benin put 01 before all numbers in 2024
	{"+241", "+2410", 7},       // in Gabon's old numbers the 0 is a part of the number, and is often left out
}

// canonicalArgentine is canonical for Argentina: people in the country write a
// mobile number as area code, 15 and subscriber's number. What is dialed is +54 9,
// area code and subscriber's number.
func canonicalArgentine(e164 string) (number string, ok bool) {
	national, ok := strings.CutPrefix(e164, "+54")
	if !ok || len(national) != 12 {
		return "", false
	}
	// At most one place fits, because two of them would overlap, or lead to the same number.
	for area := 2; area <= 4; area++ {
		if national[area:area+2] == "15" && isArgentineArea(national[:area]) {
			return "+549" + national[:area] + national[area+2:], true
		}
	}
	return "", false
}

func isArgentineArea(digits string) bool {
	for area := range strings.SplitSeq(argentineAreas, " ") {
		if area == digits {
			return true
		}
	}
	return false
}

// Variants returns the other forms in which a provider may report the sender whose
// number is e164, or the number of a sender that it reports as e164. It returns nil
// if there are none. A form may be one that Parse refuses or changes, and the line
// of a form may be another one: whoever looks a sender up must compare with numbers
// that were sent to, and must not take a form for an address.
//
//   - Mexico: +52 1 and ten digits for +52 and the ten digits.
//   - Brazil: +55, area code and eight digits that begin with 6 to 9, for +55, area
//     code, 9 and the eight digits. Eight digits that begin with 2 to 5 are a landline.
//   - Argentina: +54 9 and ten digits for +54 and the ten digits, which may be a landline.
//
// WhatsApp keeps the form in which an account was registered, so both occur.
func Variants(e164 string) []string {
	national := func(code string, digits int) (string, bool) {
		rest, ok := strings.CutPrefix(e164, code)
		return rest, ok && len(rest) == digits && strings.Trim(rest, "0123456789") == ""
	}
	isMexican := func(rest string) bool { return rest[0] >= '2' }
	isArgentine := func(rest string) bool { return '1' <= rest[0] && rest[0] <= '3' }
	isOldMobile := func(subscriber string) bool { return '6' <= subscriber[0] && subscriber[0] <= '9' }
	if rest, ok := national("+521", 10); ok && isMexican(rest) {
		return []string{"+52" + rest}
	}
	if rest, ok := national("+52", 10); ok && isMexican(rest) {
		return []string{"+521" + rest}
	}
	if rest, ok := national("+55", 11); ok && rest[2] == '9' && isOldMobile(rest[3:]) {
		return []string{"+55" + rest[:2] + rest[3:]}
	}
	if rest, ok := national("+55", 10); ok && isOldMobile(rest[2:]) {
		return []string{"+55" + rest[:2] + "9" + rest[2:]}
	}
	if rest, ok := national("+549", 10); ok && isArgentine(rest) {
		return []string{"+54" + rest}
	}
	if rest, ok := national("+54", 10); ok && isArgentine(rest) {
		return []string{"+549" + rest}
	}
	return nil
}
