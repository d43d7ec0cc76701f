package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"twofa/internal/testing/fixture"
)

// sources are the lines of the page and of the API, without the spaces around them.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"../src/*.ts*", "../src/pages/*.tsx", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(trimmed(string(text)))
		}
	}
	return all.String()
}

func trimmed(text string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		all.WriteString(strings.TrimSpace(line) + "\n")
	}
	return all.String()
}

// The code in README.md is that of the app, its sentences are those that people read, and its pictures are there and small.
func TestReadme(t *testing.T) {
	file, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text, code := string(file), sources(t)
	blocks := regexp.MustCompile("(?ms)^```(?:ts|go)\n(.*?)^```$").FindAllStringSubmatch(text, -1)
	for _, m := range blocks {
		if !strings.Contains(code, trimmed(m[1])) {
			t.Errorf("the app does not have\n%s", m[1])
		}
	}
	sentences := regexp.MustCompile(`(?m)^\| [^|]+ \| ([^|.]+)(?:\. [^|]*)? \| (?:sign in|try again|go on)`).FindAllStringSubmatch(text, -1)
	for _, m := range sentences {
		if !strings.Contains(code, `"`+m[1]+`"`) {
			t.Errorf("the app does not say %q", m[1])
		}
	}
	pictures, err := filepath.Glob("../*.png")
	if err != nil || len(blocks) < 4 || len(sentences) < 9 || len(pictures) < 4 || len(pictures) > 8 {
		t.Errorf("%d blocks of code, %d sentences, %d pictures, %v", len(blocks), len(sentences), len(pictures), err)
	}
	for _, name := range pictures {
		info, err := os.Stat(name)
		if err != nil || info.Size() > 40<<10 || !strings.Contains(text, "]("+filepath.Base(name)+")") {
			t.Errorf("%s: %d bytes, or not shown", name, info.Size())
		}
	}
	if !strings.Contains(text, fixture.Alice) {
		t.Error("another number than the tests'")
	}
}
