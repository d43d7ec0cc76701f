package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// After a change of gen/source or of the generator, run go generate ./internal/phone.
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := generate(sourceFolder)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s does not match gen/source: run go generate ./internal/phone", name)
		}
	}
}

// Compares all forms of expressions in the metadata with package regexp.
func TestPatternMatchesAsRegexpDoes(t *testing.T) {
	exprs := []string{
		``, `1`, `\d*`, `\d{3}`, `[2-46]\d{1,3}`, `1(?:2|34)?`, `(?:1|12)(?:2|23)?3*`, `0?(?:(11|2[0-3])15)?`,
		`(?:(?:12)+|[3-5]{2})\d`, `[^3]2`, `.1|1.`,
	}
	for _, expr := range exprs {
		p, err := newPattern(expr)
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile("^(?:" + expr + ")$")
		rapid.Check(t, func(t *rapid.T) {
			s := rapid.StringMatching(`[0-5]{0,7}`).Draw(t, "s")
			state := p.start()
			for _, digit := range []byte(s) {
				state = p.step(state, int(digit-'0'))
			}
			if got, want := p.states[state].match, re.MatchString(s); got != want {
				t.Errorf("%q matches %q: %v, want %v", expr, s, got, want)
			}
		})
	}
}

func TestNewPatternRefuses(t *testing.T) {
	for _, expr := range []string{`1$`, `^1`, `1\b2`, `(1`} {
		if _, err := newPattern(expr); err == nil {
			t.Errorf("newPattern(%q) gives no error", expr)
		}
	}
}

// The library's rules that the current metadata does not use, so that the tests against the
// library do not cover them.
func TestClassify(t *testing.T) {
	set := patternSet{byExpr: map[string]int{}}
	describe := func(expr string, lengths ...int32) desc {
		d, err := set.desc(expr, lengths)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	digits := describe(`\d+`, 3, 4)
	plain := region{leadingDigits: none, general: digits, fixedLine: describe(`[12]\d+`, 3), mobile: describe(`2\d+`, 3)}
	same := region{leadingDigits: none, general: digits, fixedLine: describe(`[45]\d+`), mobile: describe(`6\d+`), sameMobileAndFixed: true}
	leading := region{
		leadingDigits: describe(`[17]\d*`), general: digits, fixedLine: describe(`[13]\d+`), mobile: none,
		types: []typeDesc{{"PremiumRate", describe(`19\d+`)}, {"TollFree", describe(`199\d+`)}},
	}
	tests := []struct {
		number  string
		regions []region
		index   int
		want    string
	}{
		{"111", []region{plain, same}, 0, "FixedLine"},
		{"222", []region{plain, same}, 0, "FixedLineOrMobile"},
		{"1111", []region{plain, same}, 0, ""},    // the type's lengths
		{"11111", []region{same, leading}, 1, ""}, // the general lengths
		{"444", []region{plain, same}, 1, "FixedLineOrMobile"},
		{"666", []region{plain, same}, 0, ""}, // mobile is ignored
		{"111", []region{leading, plain}, 0, "FixedLine"},
		{"777", []region{leading, {leadingDigits: none, general: digits, fixedLine: describe(`7\d+`), mobile: none}}, 0, ""}, // belongs to the first region, although only the second one has it
		{"222", []region{leading, plain}, 1, "FixedLineOrMobile"},
		{"199", []region{leading}, 0, "PremiumRate"}, // the first type wins
		{"1990", []region{leading}, 0, "PremiumRate"},
		{"333", []region{leading}, 0, "FixedLine"}, // the only region of its code: leading digits are ignored
		{"333", []region{leading, plain}, 0, ""},
		{"222", []region{leading}, 0, ""},
	}
	for _, test := range tests {
		n := nationalNumber{patterns: set.patterns, length: len(test.number)}
		for _, p := range set.patterns {
			state := p.start()
			for _, digit := range []byte(test.number) {
				state = p.step(state, int(digit-'0'))
			}
			n.states = append(n.states, state)
		}
		if i, typeName := n.classify(test.regions); typeName != test.want || typeName != "" && i != test.index {
			t.Errorf("%s is %q of region %d, want %q of %d", test.number, typeName, i, test.want, test.index)
		}
	}
}

// If the metadata is too large, the generator must fail instead of wrapping around.
func TestEncodeRefusesWhatDoesNotFit(t *testing.T) {
	a := newAutomaton()
	a.nodes = append(a.nodes, node{outcome: 127})
	if _, _, err := a.encode(); err != nil {
		t.Errorf("outcome 127: %v", err)
	}
	a.nodes = append(a.nodes, node{outcome: 128})
	if _, _, err := a.encode(); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("outcome 128: %v", err)
	}
	a = newAutomaton()
	for range 1 << 15 { // two words each
		a.nodes = append(a.nodes, node{})
	}
	if _, _, err := a.encode(); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%d nodes: %v", len(a.nodes), err)
	}
}
