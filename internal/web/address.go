package web

import (
	"slices"
	"strings"
	"unicode/utf8"

	"twofa/internal/address"
	"twofa/internal/phone"
)

// MaxTypedAddress is the longest address that is read, in bytes.
const MaxTypedAddress = 320

// The keys of the texts that say what is wrong with an address.
const (
	faultEmpty   = "page_error_empty"
	faultEmail   = "page_error_email"
	faultPhone   = "page_error_phone"
	faultCountry = "page_error_country"
)

// ReadAddress reads a phone number or an e-mail address as a person types it, also a number as
// it is dialed in the country (a region, "" if none was chosen). It returns the address in the
// form of address.Address, or else the key of a text that says what to mend.
//
// It never guesses: a number that could be two is refused.
func ReadAddress(typed, country string) (to, fault string) {
	typed = phone.Trim(typed)
	isEmail := strings.ContainsAny(typed, "@\uff20")
	switch {
	case typed == "":
		return "", faultEmpty
	case len(typed) > MaxTypedAddress && !isEmail:
		return "", faultPhone
	}
	if a, err := address.Parse(typed); err == nil {
		return a.Text, ""
	} else if isEmail {
		return "", faultEmail
	}
	return readNumber(typed, country)
}

// readNumber reads a number that is not written as address.Parse wants it.
func readNumber(typed, country string) (to, fault string) {
	first, size := utf8.DecodeRuneInString(typed)
	hasPlus := phone.IsPlus(first)
	if hasPlus {
		typed = typed[size:]
	}
	digits, err := phone.Dialed(strings.ReplaceAll(typed, "/", " ")) // 0171/1234567
	if err != nil || digits == "" {
		return "", faultPhone
	}
	if hasPlus {
		return onlyOne(international(digits))
	}
	code := phone.CallingCode(country)
	if rest, ok := cutAbroad(code, digits); ok {
		return onlyOne(international(rest))
	}
	if code == "" {
		return "", faultCountry
	}
	return onlyOne(national(code, digits))
}

// onlyOne returns the number if there is one.
func onlyOne(numbers []string) (to, fault string) {
	if len(numbers) != 1 {
		return "", faultPhone
	}
	return numbers[0], ""
}

// addNumber adds the number of a calling code to a list if it is a valid one.
func addNumber(list []string, code, rest string) []string {
	a, err := address.Parse("+" + code + rest)
	if err != nil || a.Number.CallingCode != code || slices.Contains(list, a.Text) {
		return list
	}
	return append(list, a.Text)
}

// cutAbroad cuts the digits that are dialed before the calling code of another country: 00
// almost everywhere, 011 in North America.
func cutAbroad(code, digits string) (rest string, ok bool) {
	prefix := "00"
	if code == "1" {
		prefix = "011"
	}
	rest, ok = strings.CutPrefix(digits, prefix)
	return rest, ok && len(international(rest)) > 0
}

// international returns the valid numbers that digits with the calling code may be. Many
// people write the 0 that is dialed inside the country only: +49 (0)171 1234567.
func international(digits string) (numbers []string) {
	for n := 1; n <= 3 && n < len(digits); n++ {
		code, rest := digits[:n], digits[n:]
		numbers = addNumber(numbers, code, rest)
		if rest[0] == '0' {
			numbers = addNumber(numbers, code, rest[1:])
		}
	}
	return numbers
}

// national returns the valid numbers that digits may be as they are dialed in a country.
func national(code, digits string) (numbers []string) {
	numbers = addNumber(numbers, code, digits)
	for _, prefix := range trunkPrefixes(code) {
		if rest, ok := strings.CutPrefix(digits, prefix); ok {
			numbers = addNumber(numbers, code, rest)
		}
	}
	if rest, ok := strings.CutPrefix(digits, code); ok { // only the + is missing
		numbers = addNumber(numbers, code, rest)
	}
	return numbers
}

// trunkPrefixes are dialed only inside a country, before a number (ITU-T E.164, national
// prefixes): 0 in most.
func trunkPrefixes(code string) []string {
	switch code {
	case "1":
		return []string{"1"}
	case "7", "993":
		return []string{"8"}
	case "375":
		return []string{"8", "80", "0"}
	case "370", "992", "996", "998":
		return []string{"8", "0"}
	case "36":
		return []string{"06"}
	case "52":
		return []string{"01", "044", "045"}
	}
	return []string{"0"}
}
