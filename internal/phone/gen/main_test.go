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

// After a new version of the library in go.mod: go generate ./internal/phone
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the library in go.mod gives: run go generate ./internal/phone", name)
		}
	}
}

// Every shape of expression that the metadata uses, against package regexp.
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

// Metadata that no longer fits must stop the generator, not wrap around.
func TestEncodeRefusesWhatDoesNotFit(t *testing.T) {
	a := newAutomaton()
	a.nodes = append(a.nodes, node{outcome: 127})
	if _, _, err := a.encode(); err != nil {
		t.Errorf("outcome 127: %v", err)
	}
	a.nodes = append(a.nodes, node{outcome: 128})
	if _, _, err := a.encode(); err == nil || !strings.Contains(err.Error(), "outgrown") {
		t.Errorf("outcome 128: %v", err)
	}
	a = newAutomaton()
	for range 1 << 15 { // two words each
		a.nodes = append(a.nodes, node{})
	}
	if _, _, err := a.encode(); err == nil || !strings.Contains(err.Error(), "outgrown") {
		t.Errorf("%d nodes: %v", len(a.nodes), err)
	}
}
