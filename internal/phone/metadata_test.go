package phone

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// These tests compare the tables with the metadata that they were generated from,
// which is read here in another way: by package regexp, as Google's library does.

// A plan is the metadata of one region. See gen/source.go.
type plan struct {
	code, region               string
	general                    described
	prefix, transform, leading string
	prefixRE, leadingRE        *regexp.Regexp
	types                      []described // in the order in which the library tries them, then fixed line and mobile
	fixed, mobile              described
}

type described struct {
	typ     Type
	expr    string // empty: no number
	re      *regexp.Regexp
	lengths []int // empty: any
}

func (d described) matches(national string) bool {
	return d.expr != "" && (len(d.lengths) == 0 || slices.Contains(d.lengths, len(national))) && d.re.MatchString(national)
}

// plans are by calling code, the main region first.
var plans = sync.OnceValue(func() map[string][]plan {
	content, err := os.ReadFile(filepath.Join("gen", "source", "metadata.max.json"))
	if err != nil {
		panic(err)
	}
	var file struct {
		Codes         map[string][]string `json:"country_calling_codes"`
		Countries     map[string][]any    `json:"countries"`
		NonGeographic map[string][]any    `json:"nonGeographic"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		panic(err)
	}
	all := map[string][]plan{}
	for code, regions := range file.Codes {
		for _, region := range regions {
			all[code] = append(all[code], readPlan(code, region, file.Countries[region]))
		}
	}
	for code, fields := range file.NonGeographic {
		all[code] = []plan{readPlan(code, NonGeographic, fields)}
	}
	return all
})

func readPlan(code, region string, fields []any) plan {
	text := func(i int) string { s, _ := fields[i].(string); return s }
	p := plan{code: code, region: region, transform: text(8), leading: text(10), prefix: text(7)}
	if p.prefix == "" {
		p.prefix = text(5)
	}
	p.prefixRE, p.leadingRE = regexp.MustCompile("^(?:"+p.prefix+")"), regexp.MustCompile("^(?:"+p.leading+")")
	p.general = describe("", []any{fields[2], fields[3]})
	types := fields[11].([]any)
	at := func(i int, typ Type) described {
		if i < len(types) {
			if entry, ok := types[i].([]any); ok {
				return describe(typ, entry)
			}
		}
		return described{}
	}
	p.fixed = at(0, FixedLine)
	if p.mobile = at(1, Mobile); len(types) > 1 && p.mobile.re != nil && p.mobile.expr == "" {
		p.mobile = p.fixed // stored as an empty text where it is the same
	}
	p.types = []described{
		at(3, PremiumRate), at(2, TollFree), at(9, SharedCost), at(8, VoIP), at(4, PersonalNumber), at(7, Pager), at(6, UAN), at(5, Voicemail),
	}
	return p
}

func describe(typ Type, entry []any) described {
	d := described{typ: typ, expr: entry[0].(string)}
	d.re = regexp.MustCompile("^(?:" + d.expr + ")$")
	if len(entry) > 1 {
		for _, n := range entry[1].([]any) {
			d.lengths = append(d.lengths, int(n.(float64)))
		}
	}
	return d
}

func (p plan) typeOf(national string) Type {
	if !p.general.matches(national) {
		return ""
	}
	for _, d := range p.types {
		if d.matches(national) {
			return d.typ
		}
	}
	switch fixed, mobile := p.fixed.matches(national), p.mobile.matches(national); {
	case fixed && mobile:
		return FixedLineOrMobile
	case fixed:
		return FixedLine
	case mobile:
		return Mobile
	}
	return ""
}

// stripped reports whether the library's parser removes or rewrites a prefix of a
// number that has its calling code.
func (p plan) stripped(national string) bool {
	if p.prefix == "" {
		return false
	}
	m := p.prefixRE.FindStringSubmatchIndex(national)
	if m == nil || m[1] == 0 {
		return false
	}
	rest := national[m[1]:]
	if groups := len(m)/2 - 1; p.transform != "" && groups > 0 && m[2*groups] >= 0 {
		rest = string(p.prefixRE.ExpandString(nil, strings.ReplaceAll(p.transform, "$1", "${1}"), national, m)) + rest
	}
	return p.general.re.MatchString(rest)
}

// fromMetadata returns what a + and digits are under the metadata.
func fromMetadata(e164 string) (Number, bool) {
	c, national, ok := cutCountry(e164[1:])
	if !ok || len(e164) > 1+maxDigits {
		return Number{}, false
	}
	regions := plans()[c.code]
	var region string
	var typ Type
	for _, p := range regions {
		if len(regions) > 1 && p.leading != "" {
			if p.leadingRE.MatchString(national) {
				region, typ = p.region, p.typeOf(national)
				break
			}
		} else if typ = p.typeOf(national); typ != "" {
			region = p.region
			break
		}
	}
	if typ == "" || regions[0].stripped(national) {
		return Number{}, false
	}
	return Number{E164: e164, CallingCode: c.code, Region: region, Type: typ}, true
}

// checkAgrees checks that the tables have what the metadata has about a + and
// digits, and that Parse says so, but for lines that have two numbers.
func checkAgrees(t interface{ Errorf(string, ...any) }, e164 string) {
	if len(e164) < 2 {
		return
	}
	want, valid := fromMetadata(e164)
	if got, ok := lookUp(e164); ok != valid || got != want {
		t.Errorf("the tables say of %q: %#v, %v; the metadata says %#v, %v", e164, got, ok, want, valid)
	}
	if _, ok := canonical(e164); ok {
		return
	}
	if got, err := Parse(e164); (err == nil) != valid || got != want {
		t.Errorf("Parse(%q) = %#v, %v; the metadata says %#v, %v", e164, got, err, want, valid)
	}
}

// expressions are the patterns of a region that has numbers, each once.
func (p plan) expressions() (exprs []string) {
	for _, d := range append(slices.Clone(p.types), p.fixed, p.mobile) {
		if d.expr != "" && !slices.Contains(exprs, d.expr) {
			exprs = append(exprs, d.expr)
		}
	}
	return exprs
}

// numbers draws digits under a calling code: random digits, and digits that match a
// pattern of the metadata, sometimes with its prefixes or with one digit changed.
func numbers(code string) *rapid.Generator[string] {
	national := []*rapid.Generator[string]{rapid.StringMatching(`[0-9]{0,16}`)}
	for _, p := range plans()[code] {
		for _, expr := range append(p.expressions(), p.general.expr) {
			national = append(national, rapid.StringMatching(expr))
		}
		if p.prefix != "" {
			// A prefix that the library may remove or rewrite, then a number.
			prefix, rest := rapid.StringMatching(strings.ReplaceAll(p.prefix, "$", "")), rapid.OneOf(national...)
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
		return "+" + code + string(digits)
	})
}

func TestAgreesOnRandomNumbers(t *testing.T) {
	for code := range plans() {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { checkAgrees(t, numbers(code).Draw(t, "number")) })
		})
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

// Every example number and 20 random valid numbers of each region of the newest
// metadata are accepted.
func TestAcceptsTheNewestMetadata(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("gen", "source", "examples.mobile.json"))
	if err != nil {
		t.Fatal(err)
	}
	var examples map[string]string
	if err := json.Unmarshal(content, &examples); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for code, regions := range plans() {
		for _, p := range regions {
			if example := examples[p.region]; example != "" {
				checked++
				if _, err := Parse("+" + code + example); err != nil {
					t.Errorf("%s: the example: %v", p.region, err)
				}
			}
			for _, e164 := range p.valid(t, 20) {
				if n, err := Parse(e164); err != nil || n.E164 != e164 {
					t.Errorf("%s: Parse(%s) = %v, %v", p.region, e164, n.E164, err)
				}
			}
		}
	}
	if checked != len(examples) || checked < 240 {
		t.Errorf("%d of %d examples were read", checked, len(examples))
	}
}

// valid returns n numbers that are valid in the region, always the same ones. The
// metadata may tell another region of the calling code for them. A line's second
// number is left out.
func (p plan) valid(t *testing.T, n int) (valid []string) {
	var all []*rapid.Generator[string]
	for _, expr := range p.expressions() {
		all = append(all, rapid.StringMatching(expr))
	}
	one := rapid.OneOf(all...)
	for seed := 0; len(valid) < n; seed++ {
		if seed == 100*n {
			t.Fatalf("%s %s: only %d valid numbers found", p.code, p.region, len(valid))
		}
		national := one.Example(seed)
		e164 := "+" + p.code + national
		if _, ok := fromMetadata(e164); !ok || p.typeOf(national) == "" {
			continue
		}
		if _, second := canonical(e164); !second {
			valid = append(valid, e164)
		}
	}
	return valid
}

// All spellings of a number are read as the same number.
func TestSpellings(t *testing.T) {
	t.Parallel()
	var codes []string
	for _, c := range countries {
		codes = append(codes, c.code)
	}
	rapid.Check(t, func(t *rapid.T) {
		e164 := numbers(rapid.SampledFrom(codes).Draw(t, "code")).Draw(t, "number")
		want, wantErr := Parse(e164)
		spelled := rapid.StringMatching(" *").Draw(t, "before") + "+"
		for _, digit := range e164[1:] {
			spelled += rapid.SampledFrom([]string{"", "", "", " ", "-", ".", "(", ")", ") "}).Draw(t, "separator") + string(digit)
		}
		got, err := Parse(spelled)
		if zeroInParentheses.MatchString(spelled) {
			return
		}
		if got != want || err != wantErr {
			t.Errorf("Parse(%q) = %#v, %v; but Parse(%q) = %#v, %v", spelled, got, err, e164, want, wantErr)
		}
	})
}

var zeroInParentheses = regexp.MustCompile(`\([ .-]*0[ .-]*\)`)

// The hash and the version in the generated file are those of the source, and
// tools/package.json names the same version.
func TestSourceIsPinned(t *testing.T) {
	t.Parallel()
	var source struct{ Package, Version, Google, SHA256 string }
	var tools struct {
		DevDependencies map[string]string `json:"devDependencies"`
	}
	for path, to := range map[string]any{"gen/source/version.json": &source, "../../tools/package.json": &tools} {
		content, err := os.ReadFile(filepath.FromSlash(path))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(content, to); err != nil {
			t.Fatal(err)
		}
	}
	if got := tools.DevDependencies[source.Package]; got != source.Version {
		t.Errorf("tools/package.json has version %q of %s, the source is from %s", got, source.Package, strconv.Quote(source.Version))
	}
	generated, err := os.ReadFile("metadata_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{source.SHA256, source.Package + " " + source.Version, "metadata " + source.Google} {
		if part == "" || !strings.Contains(string(generated), part) {
			t.Errorf("metadata_gen.go does not name %q", part)
		}
	}
}
