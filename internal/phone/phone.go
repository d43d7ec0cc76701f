// Package phone reads phone numbers in international form (ITU-T E.164). It tells
// a number's country, and whether a code may be sent to a line of its kind.
//
// It must never guess. It accepts a number only with its complete digits. Numbers
// whose digits would have to be completed, removed or rewritten are refused, because
// two spellings of one number would have two sets of limits. The exceptions are the
// few lines that have two numbers: canonical has a rule for each.
//
// The metadata of Google's libphonenumber decides which numbers are valid, and which
// region and type they have. No library is linked in that reads it: that would
// decode the metadata at each start of a process, while a person may be waiting for
// a code. Instead, the metadata is compiled into an automaton over digits, which
// takes no time at the start. The operator may add ranges that are newer than the
// tables: see Ranges.
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
	ErrKeptZero           = errors.New("the 0 in parentheses belongs to the number: write it without the parentheses, as in +3906")
	ErrUnclearZero        = errors.New("both with and without the 0 in parentheses this is a number: write the 0 without parentheses, or leave it out")
	ErrExtension          = errors.New("a phone number must not have an extension or a parameter such as ;ext= or ;phone-context=: a code is sent to the line itself")
	ErrLetters            = errors.New("a phone number must not contain letters")
	ErrCharacter          = errors.New("a phone number may contain, after the +, digits, spaces, hyphens, dots and parentheses only")
	ErrUnknownCallingCode = errors.New("the phone number does not begin with the calling code of a country")
	ErrTooShort           = errors.New("the phone number is too short for its country")
	ErrTooLong            = errors.New("the phone number is too long for its country")
	ErrUnknownRange       = errors.New("this version does not know the range of the phone number: check for a wrong digit; if the number is right, the operator of the service can add its range with TWOFA_EXTRA_NUMBERS")
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

// Parse reads a number that begins with + and the calling code, or a tel URI of such
// a number (RFC 3966). It reads digits of any script. It drops spaces, line ends and
// invisible characters around the number, and between the digits spaces, dashes,
// dots, parentheses and invisible characters. A number of a line that has several
// is changed into the one that counts: see canonical. Parse(n.E164) returns n
// again. The error is one of this package's errors.
func Parse(s string) (Number, error) {
	if ranges := installed.Load(); ranges != nil {
		return ranges.Parse(s)
	}
	return Ranges(nil).Parse(s)
}

// Parse is the package's Parse with these ranges instead of the installed ones.
func (r Ranges) Parse(text string) (Number, error) {
	var s spelling
	if err := s.read(text); err != nil {
		return Number{}, err
	}
	if s.zeroAt > 0 {
		return Number{}, r.zeroError(s)
	}
	return r.parseDigits(string(s.e164()))
}

// zeroError returns what is wrong with a number that has a 0 in parentheses. In most
// countries the 0 is dialed only inside the country. In Italy it belongs to the number.
func (r Ranges) zeroError(s spelling) error {
	e164 := string(s.e164())
	_, dropErr := r.parseDigits(e164[:s.zeroAt] + e164[s.zeroAt+1:])
	_, keepErr := r.parseDigits(e164)
	switch {
	case dropErr == nil && keepErr == nil:
		return ErrUnclearZero
	case dropErr == nil:
		return ErrTrunkZero
	case keepErr == nil:
		return ErrKeptZero
	default:
		return dropErr
	}
}

// parseDigits is Parse for a + and digits only.
func (r Ranges) parseDigits(e164 string) (Number, error) {
	c, national, ok := cutCountry(e164[1:])
	if !ok {
		return Number{}, ErrUnknownCallingCode
	}
	if n, ok := lookUp(Current(e164)); ok {
		return n, nil
	}
	if strings.HasPrefix(national, "0") {
		// Before the ranges: one of them may be so wide that it has numbers with the 0.
		if _, err := r.parseDigits("+" + c.code + national[1:]); err == nil {
			return Number{}, ErrTrunkZero
		}
	}
	if region, ok := r.find(e164); ok {
		return Number{E164: e164, CallingCode: c.code, Region: region, Type: FixedLineOrMobile}, nil
	}
	switch {
	case len(national) < c.minLen:
		return Number{}, ErrTooShort
	case len(national) > c.maxLen:
		return Number{}, ErrTooLong
	default:
		return Number{}, ErrUnknownRange
	}
}

// lookUp returns the number of a + and digits as the tables have it.
func lookUp(e164 string) (Number, bool) {
	c, national, ok := cutCountry(e164[1:])
	if !ok {
		return Number{}, false
	}
	o := c.find(national)
	if o == (outcome{}) {
		return Number{}, false
	}
	return Number{E164: e164, CallingCode: c.code, Region: c.region(o.region), Type: o.typ}, true
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

// Regions returns the regions that have numbers, as IsRegion knows them, in the order of
// their calling codes.
func Regions() (codes []string) {
	for _, c := range countries {
		for i := 0; c.regions != NonGeographic && i < len(c.regions)/2; i++ {
			codes = append(codes, c.region(i))
		}
	}
	return codes
}

// CallingCode returns the calling code of a region: "49" for DE. It is "" if the region has
// no numbers.
func CallingCode(region string) string {
	for _, c := range countries {
		for i := 0; c.regions != NonGeographic && i < len(c.regions)/2; i++ {
			if c.region(i) == region {
				return c.code
			}
		}
	}
	return ""
}

// IsRegion reports whether there are numbers of a region: an ISO 3166-1 alpha-2
// code in capitals, or XK.
func IsRegion(code string) bool { return len(code) == 2 && CallingCode(code) != "" }

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
