package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guide is a language of docs/integrate.md: its name there, that of its code blocks, how a comment
// begins, and its program.
type guide struct {
	name, block, comment string
	files                []string
}

var guides = []guide{
	{"Go", "go", "// ", []string{"twofa.go", "main.go"}},
	{"Node", "js", "// ", []string{"twofa.mjs", "shop.mjs"}},
	{"Python", "python", "# ", []string{"twofa.py", "shop.py"}},
}

// lines returns the lines of the program, without the spaces around them.
func (g guide) lines(t *testing.T) (lines []string) {
	t.Helper()
	for _, file := range g.files {
		lines = append(lines, trimmedLines(read(t, "examples/shop/"+strings.ToLower(g.name)+"/"+file))...)
	}
	return lines
}

func trimmedLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// has reports whether the program has these lines, one after the other.
func (g guide) has(t *testing.T, part []string) bool {
	t.Helper()
	program := g.lines(t)
	for i := range program {
		if i+len(part) <= len(program) && slices.Equal(program[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

// The code in docs/integrate.md is that of the programs which the tests in e2e run, and each
// step is there in every language. The parts of a block are apart by an empty line. The first line
// of a part may be a comment of the document. The warehouse is run as the document shows it.
func TestIntegrate_CodeIsThatOfThePrograms(t *testing.T) {
	text := read(t, "docs/integrate.md")
	for i, section := range strings.Split(text, "\n## ")[1:] {
		var counts []int
		for _, g := range guides {
			blocks := regexp.MustCompile("(?s)<details><summary>"+g.name+"</summary>\n\n```"+g.block+"\n(.*?)\n```\n</details>").FindAllStringSubmatch(section, -1)
			counts = append(counts, len(blocks))
			for _, block := range blocks {
				if strings.Contains(block[1], "WAREHOUSE_ADDR") {
					continue
				}
				for _, part := range regexp.MustCompile(`\n\n+`).Split(block[1], -1) {
					lines := trimmedLines(part)
					if !g.has(t, lines) && (!strings.HasPrefix(part, g.comment) || !g.has(t, lines[1:])) {
						t.Errorf("section %d: the program in %s does not have\n%s", i, g.name, part)
					}
				}
			}
		}
		if slices.Min(counts) != slices.Max(counts) {
			t.Errorf("section %d has blocks %v in %v", i, counts, guides)
		}
	}
	if n := strings.Count(text, "<details>"); n != strings.Count(text, "```go\n")+strings.Count(text, "```js\n")+strings.Count(text, "```python\n") || n < 20 {
		t.Errorf("%d blocks are not all in the form that this test reads", n)
	}
	seen := 0
	for _, g := range guides {
		for _, m := range regexp.MustCompile(fmt.Sprintf("(?m)^\\| %s \\| `([^`]*)` \\|$", g.name)).FindAllStringSubmatch(text, -1) {
			seen++
			if !g.has(t, []string{m[1]}) {
				t.Errorf("the program in %s does not have the right line %s", g.name, m[1])
			}
		}
	}
	if seen != 12 {
		t.Errorf("%d right lines were looked at", seen)
	}
}
