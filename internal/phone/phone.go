// Package phone reads phone numbers in international form (ITU-T E.164). It tells
// a number's country, and whether a code may be sent to a line of its kind.
//
// It must never guess. It accepts a number only with its complete digits. Numbers
// whose digits would have to be completed, removed or rewritten are refused,
// because two spellings of one number would have two sets of limits.
//
// Google's libphonenumber decides which numbers are valid, and which region and
// type they have, through github.com/nyaruka/phonenumbers. That library is not
// linked in: it decodes its metadata at each start of a process, while a person
// may be waiting for a code. Instead, its metadata is compiled into an automaton
// over digits, which takes no time at the start.
package phone

//go:generate go run ./gen

import (
	_ "embed" // for the automaton
	"errors"
	"log/slog"
	"math/bits"
	"slices"
	"strings"
)

// The faults of a number. The texts are for the developers of clients: each says
// what to correct, and none quotes the number.
var (
	ErrNoPlus             = errors.New("a phone number must begin with + and the calling code, as in +14155550123")
	ErrTrunkZero          = errors.New("leave out the 0 that is dialed only inside the country: not +44 (0)20 but +4420")
	ErrExtension          = errors.New("a phone number must not have an extension or parameters")
	ErrLetters            = errors.New("a phone number must not contain letters")
	ErrCharacter          = errors.New("a phone number may contain, after the +, the digits 0 to 9, spaces, hyphens, dots and parentheses only")
	ErrUnknownCallingCode = errors.New("the phone number does not begin with the calling code of a country")
	ErrTooShort           = errors.New("the phone number is too short for its country")
	ErrTooLong            = errors.New("the phone number is too long for its country")
	ErrInvalid            = errors.New("the phone number is not one that its country assigns: look for a wrong digit")
)

// A Type is the kind of a number's line. No number has the zero Type.
type Type string

const (
	FixedLine         Type = "fixed_line"
	Mobile            Type = "mobile"
	FixedLineOrMobile Type = "fixed_line_or_mobile" // the number does not tell which
	TollFree          Type = "toll_free"
	PremiumRate       Type = "premium_rate"
	SharedCost        Type = "shared_cost"
	VoIP              Type = "voip"
	PersonalNumber    Type = "personal_number"
	Pager             Type = "pager"
	UAN               Type = "uan" // a company's universal access number
	Voicemail         Type = "voicemail"
)

// NonGeographic is the Region of the calling codes that belong to no country:
// satellite and other global networks, and the international services.
const NonGeographic = "001"

// A Number is a valid phone number. Only its masked form is printed and logged.
type Number struct {
	E164        string // "+14155550123"
	CallingCode string // "1"
	Region      string // ISO 3166-1 alpha-2 ("XK" for Kosovo), or NonGeographic
	Type        Type
}

// Refused reports whether a code must never be sent to the number, regardless of
// the settings. This includes lines that charge the receiver or pay their owner
// (premium rate, shared cost, personal, toll free), lines that do not belong to a
// single person (UAN, voicemail, pager), and all numbers of satellite and other
// global networks. Unknown types are refused.
func (n Number) Refused() bool {
	switch n.Type {
	case FixedLine, Mobile, FixedLineOrMobile, VoIP:
		return n.Region == NonGeographic
	default:
		return true
	}
}

// Masked returns the form of the number that may be shown and logged: see Mask.
func (n Number) Masked() string { return Mask(n.E164) }

// String returns the masked form, so that errors and messages never show a whole number.
func (n Number) String() string { return n.Masked() }

// LogValue returns the masked form for log/slog.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.Masked()) }

// Mask hides all digits except the calling code and the last four, or fewer for a
// short number: it never shows more than half of the national digits.
// +14155550123 becomes +1******0123. A text that is not a + and the digits of an
// E.164 number becomes ***.
func Mask(e164 string) string {
	const hidden = "***************"
	if len(e164) < 1 || len(e164) > 1+maxDigits || e164[0] != '+' || strings.Trim(e164[1:], "0123456789") != "" {
		return hidden[:3]
	}
	c, national, ok := cutCountry(e164[1:])
	if !ok {
		return hidden[:3]
	}
	stars := len(national) - min(4, len(national)/2)
	return "+" + c.code + hidden[:stars] + national[stars:]
}

const (
	maxInput  = 64 // bytes; the longest number has 16, and few people put more than two separators between digits
	maxDigits = 15 // ITU-T E.164, 6.2.1
)

// Parse reads a number that begins with + and the calling code. It drops spaces
// around the number, and spaces, hyphens, dots and parentheses between the digits.
// Parse(n.E164) returns n again. The error is one of this package's errors.
func Parse(s string) (Number, error) {
	if len(s) > maxInput {
		return Number{}, ErrTooLong
	}
	s = strings.Trim(s, " ")
	if s == "" || s[0] != '+' {
		return Number{}, ErrNoPlus
	}
	var buf [1 + maxInput]byte
	e164 := append(buf[:0], '+')
	bracket := len(buf) // where the digits in parentheses begin
	for i := 1; i < len(s); i++ {
		switch ch := s[i]; {
		case '0' <= ch && ch <= '9':
			e164 = append(e164, ch)
		case ch == '(':
			bracket = len(e164)
		case ch == ')':
			if len(e164) == bracket+1 && e164[bracket] == '0' {
				return Number{}, ErrTrunkZero
			}
		case ch == ' ' || ch == '-' || ch == '.':
		default:
			return Number{}, characterError(s[i:], len(e164) > 1)
		}
	}
	return parseDigits(string(e164))
}

// characterError returns the fault of a number. rest begins with the first
// character that is not allowed.
func characterError(rest string, afterDigits bool) error {
	isLetter := 'a' <= rest[0]|0x20 && rest[0]|0x20 <= 'z'
	switch {
	case afterDigits && (strings.IndexByte(";,#xX", rest[0]) >= 0 || len(rest) > 2 && strings.EqualFold(rest[:3], "ext")):
		return ErrExtension
	case isLetter:
		return ErrLetters
	default:
		return ErrCharacter
	}
}

// parseDigits is Parse for a + and digits only.
func parseDigits(e164 string) (Number, error) {
	c, national, ok := cutCountry(e164[1:])
	if !ok {
		return Number{}, ErrUnknownCallingCode
	}
	o := c.find(national)
	switch {
	case o != outcome{}:
		return Number{E164: e164, CallingCode: c.code, Region: c.region(o.region), Type: o.typ}, nil
	case strings.HasPrefix(national, "0") && c.find(national[1:]) != outcome{}:
		return Number{}, ErrTrunkZero
	case len(national) < c.minLen:
		return Number{}, ErrTooShort
	case len(national) > c.maxLen:
		return Number{}, ErrTooLong
	default:
		return Number{}, ErrInvalid
	}
}

// A country is everything under one calling code.
type country struct {
	code           string
	root           uint16 // the address of its node in the automaton
	minLen, maxLen int    // of people's numbers, in digits after the code
	regions        string // two letters each, without separators, or NonGeographic
}

// An outcome is what a valid number is. The zero outcome means that the number is
// not valid.
type outcome struct {
	region int // index into the regions of its country
	typ    Type
}

// cutCountry splits the digits of a number after the calling code.
func cutCountry(digits string) (c *country, national string, ok bool) {
	// No calling code is the beginning of another one. So only the last code that
	// sorts before the digits can be at their beginning.
	i, found := slices.BinarySearchFunc(countries[:], digits, func(c country, digits string) int {
		return strings.Compare(c.code, digits)
	})
	if !found {
		i--
	}
	if i < 0 || !strings.HasPrefix(digits, countries[i].code) {
		return nil, "", false
	}
	c = &countries[i]
	return c, digits[len(c.code):], true
}

// IsRegion reports whether there are numbers of a region: an ISO 3166-1 alpha-2
// code in capitals, or XK.
func IsRegion(code string) bool {
	if len(code) != 2 {
		return false
	}
	for _, c := range countries {
		for i := 0; c.regions != NonGeographic && i < len(c.regions)/2; i++ {
			if c.region(i) == code {
				return true
			}
		}
	}
	return false
}

func (c *country) region(i int) string {
	if c.regions == NonGeographic {
		return NonGeographic
	}
	return c.regions[2*i : 2*i+2]
}

// automaton is described at its encoder, in gen/automaton.go.
//
//go:embed automaton.bin
var automaton string

func word(address int) uint16 {
	return uint16(automaton[2*address]) | uint16(automaton[2*address+1])<<8
}

// next returns the node that follows node for a digit, 0 to 9.
func next(node int, digit byte) int {
	upTo := uint16(1)<<digit - 1 // the header's bits of the runs that begin at a digit from 1 to digit
	run := bits.OnesCount16(word(node) & upTo)
	return int(word(node + 1 + run)) // node 0 leads only to itself
}

// find returns what the digits after the calling code are.
func (c *country) find(national string) outcome {
	node := int(c.root)
	for _, digit := range []byte(national) {
		node = next(node, digit-'0')
	}
	return outcomes[word(node)>>9]
}
