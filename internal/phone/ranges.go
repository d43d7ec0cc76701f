package phone

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// A Range is numbers that count as valid although the tables do not have them: all
// that begin with a prefix and have a length. The tables are as old as the program,
// and numbering plans change every few weeks.
type Range struct {
	prefix string // "+8160"
	digits int    // of the whole number: 12 for +81 60 1234 5678
	region string
}

// Ranges are the operator's ranges (TWOFA_EXTRA_NUMBERS).
type Ranges []Range

// installed is what the service was started with. Numbers are read in packages that
// are pure functions of their input. The ranges are a part of the tables, so they
// are kept here and not passed through all of those.
var installed atomic.Pointer[Ranges]

// Install makes Parse accept the ranges, in place of those installed before. It is
// called once, when the service starts, before the first number is read.
func Install(ranges Ranges) { installed.Store(&ranges) }

// maxRanges is the greatest number of ranges. Each invalid number is compared with
// all.
const maxRanges = 100

// ParseRanges reads ranges, comma-separated, each a prefix and the number of digits
// of the whole number: "+8160:12, +1679:11". Empty: none. The error says what is
// wrong, and quotes nothing.
func ParseRanges(text string) (Ranges, error) {
	var ranges Ranges
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for entry := range strings.SplitSeq(text, ",") {
		r, err := parseRange(strings.TrimSpace(entry))
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(ranges)+1, err)
		}
		if ranges = append(ranges, r); len(ranges) > maxRanges {
			return nil, fmt.Errorf("there are more than %d ranges", maxRanges)
		}
	}
	return ranges, nil
}

func parseRange(entry string) (Range, error) {
	prefix, length, ok := strings.Cut(entry, ":")
	digits, err := strconv.Atoi(length)
	if !ok || err != nil || len(prefix) < 2 || prefix[0] != '+' || strings.Trim(prefix[1:], "0123456789") != "" {
		return Range{}, errors.New("it has to be a prefix and the number of digits of the whole number, like +8160:12")
	}
	c, national, ok := cutCountry(prefix[1:])
	switch {
	case !ok:
		return Range{}, errors.New("the prefix does not begin with the calling code of a country")
	case national == "":
		return Range{}, errors.New("the prefix has to go on after the calling code: a whole country is too much")
	case len(prefix)-1 >= digits || digits > maxDigits:
		return Range{}, fmt.Errorf("the number of digits counts the whole number with its calling code: more than the prefix has, and at most %d", maxDigits)
	}
	region, refused := c.under(national)
	if refused {
		return Range{}, errors.New("the prefix is one of numbers that never get codes, such as premium-rate and satellite numbers")
	}
	return Range{prefix: prefix, digits: digits, region: region}, nil
}

// under returns the region of the numbers that begin with a prefix, given without
// its calling code, and whether the tables have only such numbers there that never
// get codes. If the tables have no number under the prefix, what they have under the
// longest part of it counts for the region. If those numbers are in several regions,
// it is the main region of the calling code.
func (c *country) under(prefix string) (region string, refused bool) {
	node, known := int(c.root), true
	for _, digit := range []byte(prefix) {
		to := next(node, digit-'0')
		if to == 0 {
			known = false
			break
		}
		node = to
	}
	refused = true
	regions := map[string]bool{}
	seen := map[int]bool{0: true}
	var visit func(node int)
	visit = func(node int) {
		if seen[node] {
			return
		}
		seen[node] = true
		if o := outcomes[word(node)>>9]; o != (outcome{}) {
			n := Number{Region: c.region(o.region), Type: o.typ}
			regions[n.Region] = true
			refused = refused && n.Refused()
		}
		for digit := range byte(10) {
			visit(next(node, digit))
		}
	}
	visit(node)
	region = c.region(0)
	if len(regions) == 1 {
		for only := range regions {
			region = only
		}
	}
	return region, refused && (known || region == NonGeographic)
}

// find returns the region of a number that is in a range.
func (r Ranges) find(e164 string) (region string, ok bool) {
	for _, rng := range r {
		if len(e164) == 1+rng.digits && strings.HasPrefix(e164, rng.prefix) {
			return rng.region, true
		}
	}
	return "", false
}
