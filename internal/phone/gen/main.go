// Gen compiles the metadata of Google's libphonenumber into the tables that package
// phone embeds: an automaton over digits, and a list of the calling codes.
//
// The metadata is in gen/source, which is a copy from the npm package
// libphonenumber-js. To update it, set the version in tools/package.json, and then:
//
//	npm --prefix tools install
//	cd internal/phone
//	go run ./gen -from ../../tools/node_modules/libphonenumber-js
//
// Without -from, gen reads gen/source and needs no network. See
// docs/decisions/0002-phone-metadata-at-build-time.md.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/format"
	"log"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The generated files, relative to the folder of package phone, where go generate
// runs.
const (
	automatonFile = "automaton.bin"
	tableFile     = "metadata_gen.go"
)

func main() {
	log.SetFlags(0)
	from := flag.String("from", "", "the folder of an installed libphonenumber-js; its metadata replaces that in gen/source")
	flag.Parse()
	folder := filepath.Join("gen", sourceFolder)
	if *from != "" {
		if err := copySource(*from, folder); err != nil {
			log.Fatal(err)
		}
	}
	files, err := generate(folder)
	if err != nil {
		log.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// maxDigits is the length of the longest number, calling code included (ITU-T E.164, 6.2.1).
const maxDigits = 15

// generate returns the generated files by name, from the source in a folder.
func generate(folder string) (map[string][]byte, error) {
	src, err := readSource(folder)
	if err != nil {
		return nil, err
	}
	g := generator{automaton: newAutomaton(), source: src}
	var countries []country
	// Sorted as strings, not as numbers: the package searches by prefix.
	for _, code := range slices.Sorted(maps.Keys(src.codes)) {
		c, err := g.add(code)
		if err != nil {
			return nil, fmt.Errorf("calling code %s: %w", code, err)
		}
		countries = append(countries, c)
	}
	data, addresses, err := g.automaton.encode()
	if err != nil {
		return nil, err
	}
	table, err := g.table(countries, addresses)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{automatonFile: data, tableFile: table}, nil
}

type generator struct {
	automaton *automaton
	source    source
	outcomes  []outcome // an outcome's number in the automaton is its index here plus one
}

// An outcome is what a valid number is: its region, as an index into the regions of
// its calling code, and its type.
type outcome struct {
	region   int
	typeName string // the constant's name in package phone
}

// A country is everything under one calling code.
type country struct {
	code    string
	regions []string
	lengths lengths
	root    int
}

// The lengths of a calling code's national numbers, for the errors about missing or
// additional digits. Only people's lines count: because of Canada's seven-digit
// service numbers, a number without one digit would otherwise not be reported as
// too short.
type lengths struct{ min, max int }

// The constants of package phone for people's lines.
var lineTypes = []string{"FixedLine", "Mobile", "FixedLineOrMobile", "VoIP"}

func (l *lengths) add(length int) {
	if l.min == 0 || length < l.min {
		l.min = length
	}
	l.max = max(l.max, length)
}

// add adds the numbers of one calling code to the automaton.
func (g *generator) add(code string) (country, error) {
	c := country{code: code, regions: g.source.codes[code]}
	set := patternSet{byExpr: map[string]int{}}
	var regions []region
	for _, name := range c.regions {
		p, ok := g.source.plan(code, name)
		if !ok {
			return country{}, fmt.Errorf("no metadata for region %s", name)
		}
		r, err := set.region(p)
		if err != nil {
			return country{}, fmt.Errorf("region %s: %w", name, err)
		}
		regions = append(regions, r)
	}
	main, _ := g.source.plan(code, c.regions[0])
	stripped, err := set.stripped(main)
	if err != nil {
		return country{}, err
	}

	var lines, all lengths
	c.root = g.automaton.add(set.patterns, maxDigits-len(code), func(states []int, length int) int {
		n := nationalNumber{set.patterns, states, length}
		i, typeName := n.classify(regions)
		if typeName == "" || n.matches(stripped) {
			return 0
		}
		all.add(length)
		if slices.Contains(lineTypes, typeName) {
			lines.add(length)
		}
		return g.outcome(outcome{i, typeName})
	})
	if c.root == 0 {
		return country{}, errors.New("no number is valid")
	}
	c.lengths = lines
	if lines == (lengths{}) {
		c.lengths = all
	}
	return c, nil
}

// outcome returns the number of o.
func (g *generator) outcome(o outcome) int {
	i := slices.Index(g.outcomes, o)
	if i < 0 {
		i = len(g.outcomes)
		g.outcomes = append(g.outcomes, o)
	}
	return i + 1
}

// A desc is Google's PhoneNumberDesc: the numbers that match this pattern of
// the patternSet and have one of these lengths. Empty lengths: any length.
type desc struct {
	pattern int
	lengths []int32
}

// none is a desc that no number matches.
var none = desc{pattern: -1}

// A region is Google's PhoneMetadata.
type region struct {
	leadingDigits      desc
	general            desc
	types              []typeDesc // in the order in which the library tries them
	fixedLine, mobile  desc
	sameMobileAndFixed bool
}

type typeDesc struct {
	name string
	desc desc
}

// A patternSet holds the patterns of one calling code, each once.
type patternSet struct {
	patterns []*pattern
	byExpr   map[string]int
}

func (s *patternSet) desc(expr string, lengths []int32) (desc, error) {
	if expr == "" {
		return none, nil
	}
	i, ok := s.byExpr[expr]
	if !ok {
		p, err := newPattern(expr)
		if err != nil {
			return none, err
		}
		i = len(s.patterns)
		s.patterns = append(s.patterns, p)
		s.byExpr[expr] = i
	}
	return desc{i, lengths}, nil
}

func (s *patternSet) region(p plan) (region, error) {
	var failed error
	byName := map[string]desc{}
	for i, e := range p.types {
		// Lengths that are absent are those of the region, which general has.
		d, err := s.desc(e.pattern, e.lengths)
		if err != nil {
			failed = err
		}
		byName[typeNames[i]] = d
	}
	general, err := s.desc(p.pattern, p.lengths)
	if err != nil {
		failed = err
	}
	r := region{
		leadingDigits: none,
		general:       general,
		fixedLine:     byName["FixedLine"],
		mobile:        byName["Mobile"],
	}
	r.sameMobileAndFixed = r.fixedLine.pattern >= 0 && r.fixedLine.pattern == r.mobile.pattern
	for _, name := range []string{"PremiumRate", "TollFree", "SharedCost", "VoIP", "PersonalNumber", "Pager", "UAN", "Voicemail"} {
		r.types = append(r.types, typeDesc{name, byName[name]})
	}
	if failed == nil && p.leadingDigits != "" {
		r.leadingDigits, failed = s.desc("(?:"+p.leadingDigits+`)\d*`, nil)
	}
	return r, failed
}

// stripped describes complete numbers with a + from which the library's parser
// nevertheless removes a national prefix: +375 810 5608940 becomes +375 105608940.
// The library does so if the remaining digits also look like a number of the
// country. Such a number has two spellings, so the tables must not have it.
//
// The rules of some countries rewrite a prefix instead. They are ignored here,
// because none of them changes a complete number. If that changes,
// TestAgreesOnEveryStep and TestAgreesOnRandomNumbers in package phone fail.
func (s *patternSet) stripped(main plan) (desc, error) {
	if main.prefix == "" || main.transform != "" {
		return none, nil
	}
	return s.desc("(?:"+main.prefix+")(?:"+main.pattern+")", nil)
}

// A nationalNumber stands for all strings of one length after which the patterns
// are in the same states.
type nationalNumber struct {
	patterns []*pattern
	states   []int
	length   int
}

func (n nationalNumber) matches(d desc) bool {
	return d.pattern >= 0 &&
		(len(d.lengths) == 0 || slices.Contains(d.lengths, int32(n.length))) &&
		n.patterns[d.pattern].states[n.states[d.pattern]].match
}

// classify returns the index of the number's region and its type. Empty type: the
// number is not valid. It combines the library's IsValidNumber,
// GetRegionCodeForNumber and GetNumberType, and keeps their order.
func (n nationalNumber) classify(regions []region) (int, string) {
	if len(regions) == 1 {
		return 0, n.typeIn(regions[0])
	}
	for i, r := range regions {
		if r.leadingDigits.pattern >= 0 {
			if n.matches(r.leadingDigits) {
				return i, n.typeIn(r) // the region's even if it is not valid there
			}
		} else if t := n.typeIn(r); t != "" {
			return i, t
		}
	}
	return 0, ""
}

// typeIn is the library's getNumberTypeHelper.
func (n nationalNumber) typeIn(r region) string {
	if !n.matches(r.general) {
		return ""
	}
	for _, t := range r.types {
		if n.matches(t.desc) {
			return t.name
		}
	}
	switch fixed := n.matches(r.fixedLine); {
	case fixed && (r.sameMobileAndFixed || n.matches(r.mobile)):
		return "FixedLineOrMobile"
	case fixed:
		return "FixedLine"
	case !r.sameMobileAndFixed && n.matches(r.mobile):
		return "Mobile"
	}
	return ""
}

// table returns the Go file. All of its values are constant, so that no code runs
// for them when the program starts.
func (g *generator) table(countries []country, addresses []int) ([]byte, error) {
	var b bytes.Buffer
	v := g.source.version
	fmt.Fprintf(&b, "// Code generated by internal/phone/gen; DO NOT EDIT.\n//\n// From Google's metadata %s in the npm package %s %s.\n// SHA-256 of its %s: %s\n\n",
		v.Google, v.Package, v.Version, metadataFile, v.SHA256)
	b.WriteString("package phone\n\n")
	b.WriteString("var countries = [...]country{\n")
	for _, c := range countries {
		// Two letters each, without separators: one string takes less space than a slice.
		fmt.Fprintf(&b, "{%q, %d, %d, %d, %q},\n", c.code, addresses[c.root], c.lengths.min, c.lengths.max, strings.Join(c.regions, ""))
	}
	b.WriteString("}\n\nvar outcomes = [...]outcome{\n{},\n")
	for _, o := range g.outcomes {
		fmt.Fprintf(&b, "{%d, %s},\n", o.region, o.typeName)
	}
	b.WriteString("}\n\n")
	areas, err := g.argentineAreas()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "// argentineAreas are the area codes of Argentina after which people write 15 for a mobile number.\nconst argentineAreas = %q\n", strings.Join(areas, " "))
	return format.Source(b.Bytes())
}

// argentineAreas returns the area codes of Argentina, of two to four digits. The
// metadata has them in the expression that finds 15 in a mobile number.
func (g *generator) argentineAreas() (areas []string, err error) {
	p, ok := g.source.plan("54", "AR")
	if !ok || p.transform != "9$1" {
		return nil, errors.New("the metadata of Argentina has another rule for mobile numbers than 9$1")
	}
	mobile, err := regexp.Compile("^(?:" + p.prefix + ")$")
	if err != nil {
		return nil, err
	}
	for digits := 2; digits <= 4; digits++ {
		for n, end := 0, int(math.Pow10(digits)); n < end; n++ {
			area := fmt.Sprintf("%0*d", digits, n)
			if m := mobile.FindStringSubmatch(area + "15"); m != nil && m[1] == area {
				areas = append(areas, area)
			}
		}
	}
	if len(areas) == 0 {
		return nil, errors.New("the metadata of Argentina has no area codes")
	}
	return areas, nil
}
