package phone

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"
)

// These tests compare this package with the library that it was generated from.

// raceDetector is true if the tests run with the race detector. The library is then 25 times
// slower. Its patterns have no races, so only every twentieth calling code is compared.
var raceDetector bool

var libraryTypes = map[phonenumbers.PhoneNumberType]Type{
	phonenumbers.FIXED_LINE:           FixedLine,
	phonenumbers.MOBILE:               Mobile,
	phonenumbers.FIXED_LINE_OR_MOBILE: FixedLineOrMobile,
	phonenumbers.TOLL_FREE:            TollFree,
	phonenumbers.PREMIUM_RATE:         PremiumRate,
	phonenumbers.SHARED_COST:          SharedCost,
	phonenumbers.VOIP:                 VoIP,
	phonenumbers.PERSONAL_NUMBER:      PersonalNumber,
	phonenumbers.PAGER:                Pager,
	phonenumbers.UAN:                  UAN,
	phonenumbers.VOICEMAIL:            Voicemail,
}

// fromLibrary returns what the library reads from a + and digits. It is stricter than the
// library in two points: a number that the library rewrites is not valid, and neither is a
// number that is longer than E.164 allows.
func fromLibrary(e164 string) (Number, bool) {
	parsed, err := phonenumbers.Parse(e164, "")
	if err != nil || !phonenumbers.IsValidNumber(parsed) ||
		phonenumbers.Format(parsed, phonenumbers.E164) != e164 || len(e164) > 1+maxDigits {
		return Number{}, false
	}
	return Number{
		E164:        e164,
		CallingCode: strconv.Itoa(int(parsed.GetCountryCode())),
		Region:      phonenumbers.GetRegionCodeForNumber(parsed),
		Type:        libraryTypes[phonenumbers.GetNumberType(parsed)],
	}, true
}

// checkAgrees checks that Parse and the library read the same from a + and digits.
func checkAgrees(t interface{ Errorf(string, ...any) }, e164 string) {
	want, valid := fromLibrary(e164)
	switch got, err := Parse(e164); {
	case (err == nil) != valid:
		t.Errorf("Parse(%q) = %#v, %v; the library says %#v, valid %v", e164, got, err, want, valid)
	case got != want:
		t.Errorf("Parse(%q) = %#v; the library says %#v", e164, got, want)
	}
}

func TestAgreesOnExamples(t *testing.T) {
	checked := map[Type]int{}
	check := func(n *phonenumbers.PhoneNumber) {
		if n == nil {
			return
		}
		e164 := phonenumbers.Format(n, phonenumbers.E164)
		checkAgrees(t, e164)
		if got, err := Parse(e164); err == nil {
			checked[got.Type]++
		}
	}
	for region := range phonenumbers.GetSupportedRegions() {
		check(phonenumbers.GetExampleNumber(region))
		for typ := range libraryTypes {
			check(phonenumbers.GetExampleNumberForType(region, typ))
		}
	}
	for code := range phonenumbers.GetSupportedGlobalNetworkCallingCodes() {
		check(phonenumbers.GetExampleNumberForNonGeoEntity(code))
	}
	for _, typ := range libraryTypes {
		if checked[typ] == 0 {
			t.Errorf("no example was of type %s", typ)
		}
	}
}

// Under every calling code, the test takes each step of the automaton once, including dead
// ends, and then completes the number with as few digits as possible.
func TestAgreesOnEveryStep(t *testing.T) {
	// completion returns the fewest digits that lead from node to a valid number.
	completions := map[int]string{}
	var completion func(node int) string
	completion = func(node int) string {
		if done, ok := completions[node]; ok || word(node)>>9 != 0 {
			return done
		}
		var best string
		for digit := range byte(10) {
			if to := next(node, digit); to != 0 {
				if c := string('0'+digit) + completion(to); best == "" || len(c) < len(best) {
					best = c
				}
			}
		}
		completions[node] = best
		return best
	}
	steps := 0
	for i, c := range countries {
		if raceDetector && i%20 != 0 {
			continue
		}
		seen := map[int]bool{}
		var visit func(node int, digits string)
		visit = func(node int, digits string) {
			if seen[node] {
				return
			}
			seen[node] = true
			checkAgrees(t, digits)
			for digit := range byte(10) {
				to, digits := next(node, digit), digits+string('0'+digit)
				steps++
				checkAgrees(t, digits+completion(to))
				if to != 0 {
					visit(to, digits)
				} else {
					checkAgrees(t, digits+strings.Repeat("2", max(0, c.maxLen+len(c.code)+1-len(digits))))
				}
			}
		}
		visit(int(c.root), "+"+c.code)
	}
	t.Log("steps:", steps)
}

// numbers draws digits under a calling code: random digits, and digits that match a pattern
// of the library, sometimes with its prefixes or with one digit changed.
func numbers(callingCode int) *rapid.Generator[string] {
	collection, err := phonenumbers.MetadataCollection()
	if err != nil {
		panic(err)
	}
	national := []*rapid.Generator[string]{rapid.StringMatching(`[0-9]{0,16}`)}
	for _, m := range collection.GetMetadata() {
		if int(m.GetCountryCode()) != callingCode {
			continue
		}
		for _, d := range []*phonenumbers.PhoneNumberDesc{
			m.GetGeneralDesc(), m.GetFixedLine(), m.GetMobile(), m.GetTollFree(), m.GetPremiumRate(), m.GetSharedCost(),
			m.GetPersonalNumber(), m.GetVoip(), m.GetPager(), m.GetUan(), m.GetVoicemail(), m.GetNoInternationalDialling(),
		} {
			if p := d.GetNationalNumberPattern(); p != "" {
				national = append(national, rapid.StringMatching(p))
			}
		}
		if p := m.GetNationalPrefixForParsing(); p != "" {
			// A prefix that the library may remove or rewrite, then a number.
			prefix, rest := rapid.StringMatching(strings.ReplaceAll(p, "$", "")), rapid.OneOf(national...)
			national = append(national, rapid.Custom(func(t *rapid.T) string {
				return prefix.Draw(t, "prefix") + rest.Draw(t, "rest")
			}))
		}
	}
	return rapid.Custom(func(t *rapid.T) string {
		digits := []byte(rapid.OneOf(national...).Draw(t, "national"))
		if len(digits) > 0 && rapid.IntRange(0, 3).Draw(t, "change") == 0 {
			digits[rapid.IntRange(0, len(digits)-1).Draw(t, "at")] = byte('0' + rapid.IntRange(0, 9).Draw(t, "to"))
		}
		return "+" + strconv.Itoa(callingCode) + string(digits)
	})
}

func TestAgreesOnRandomNumbers(t *testing.T) {
	for code := range phonenumbers.GetSupportedCallingCodes() {
		if raceDetector && code%20 != 1 {
			continue
		}
		t.Run(strconv.Itoa(code), rapid.MakeCheck(func(t *rapid.T) {
			checkAgrees(t, numbers(code).Draw(t, "number"))
		}))
	}
}

// All spellings of a number are read as the same number.
func TestSpellings(t *testing.T) {
	codes := make([]int, 0, len(countries))
	for code := range phonenumbers.GetSupportedCallingCodes() {
		codes = append(codes, code)
	}
	slices.SortFunc(codes, cmp.Compare[int])
	rapid.Check(t, func(t *rapid.T) {
		e164 := numbers(rapid.SampledFrom(codes).Draw(t, "code")).Draw(t, "number")
		want, wantErr := Parse(e164)
		spelled := rapid.StringMatching(" *").Draw(t, "before") + "+"
		for _, digit := range e164[1:] {
			spelled += rapid.SampledFrom([]string{"", "", "", " ", "-", ".", "(", ")", ") "}).Draw(t, "separator") + string(digit)
		}
		if len(spelled) > maxInput {
			t.Skip("too long")
		}
		got, err := Parse(spelled)
		if errors.Is(err, ErrTrunkZero) && strings.Contains(spelled, "(") {
			return // a zero is in parentheses
		}
		if got != want || !errors.Is(err, wantErr) {
			t.Errorf("Parse(%q) = %#v, %v; but Parse(%q) = %#v, %v", spelled, got, err, e164, want, wantErr)
		}
	})
}
