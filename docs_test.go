package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func programOutput(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchors are those that a Markdown file's headings get on GitHub.
func anchors(text string) (list []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		list = append(list, strings.ReplaceAll(name, " ", "-"))
	}
	return list
}

// Every link between the documents leads somewhere.
func TestDocs_LinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	seen := 0
	for file := range strings.Lines(programOutput(t, "git", "ls-files", "-co", "--exclude-standard", "*.md")) {
		file = strings.TrimSpace(file)
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			to := file
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(file), m[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: no file %s", file, m[1])
			} else if m[2] != "" && !slices.Contains(anchors(read(t, to)), m[2][1:]) {
				t.Errorf("%s: no heading %s in %s", file, m[2], to)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d links were found", seen)
	}
}

// The map of docs/architecture.md names every package of the product.
func TestDocs_MapNamesEveryPackage(t *testing.T) {
	text := read(t, "docs/architecture.md")
	for path := range strings.Lines(programOutput(t, "go", "list", "./...")) {
		path = strings.TrimPrefix(strings.TrimSpace(path), "twofa/")
		name := filepath.Base(path)
		if path == "twofa" || strings.HasPrefix(path, "bench/") {
			continue
		}
		if !strings.Contains(text, "`"+path+"`") && !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`"+strings.TrimPrefix(path, "internal/")+"`") {
			t.Errorf("docs/architecture.md does not name %s", path)
		}
	}
}

// A requirement or attack that a test names has its row in docs/threats.md, and a
// row that says "tested" has its tests.
func TestDocs_ThreatsAndTestsAgree(t *testing.T) {
	text := read(t, "docs/threats.md")
	named := make(map[string]bool)
	for _, m := range regexp.MustCompile(`func Test(?:Attack0*(\d+))?_?(?:R(\d+))?_?\w*`).FindAllStringSubmatch(
		programOutput(t, "grep", "-rhE", `^func Test(Attack|R)[0-9]`, "--include=*_test.go", "."), -1) {
		named["R"+m[2]], named[m[1]] = true, true
	}
	for _, m := range regexp.MustCompile(`(?m)^\| (R?\d+) \|.*\| ([^|]*) \|$`).FindAllStringSubmatch(text, -1) {
		if tested := strings.HasPrefix(m[2], "tested"); tested && !named[m[1]] {
			t.Errorf("%s is said to be tested, and no test names it", m[1])
		}
		delete(named, m[1])
	}
	delete(named, "R")
	delete(named, "")
	for id := range named {
		t.Errorf("a test names %s, which has no row in docs/threats.md", id)
	}
}

// docs/settings.md and local.settings.json.example name every setting. The example has no
// clients, because that setting must not be empty.
func TestDocs_EverySettingIsDocumented(t *testing.T) {
	notInExample := []string{"TWOFA_ADDR", "TWOFA_UNPROTECTED", "TWOFA_HOSTS", "TWOFA_CLIENTS"} // the first three have no effect under the host
	docs, example := read(t, "docs/settings.md"), read(t, "local.settings.json.example")
	for _, m := range regexp.MustCompile("`envconfig:\"((?:TWOFA|TWILIO)_[A-Z_]+)\"`").FindAllStringSubmatch(read(t, "internal/config/config.go"), -1) {
		if !strings.Contains(docs, "`"+m[1]+"`") {
			t.Errorf("docs/settings.md does not name %s", m[1])
		}
		if !slices.Contains(notInExample, m[1]) && !strings.Contains(example, `"`+m[1]+`"`) {
			t.Errorf("local.settings.json.example does not name %s", m[1])
		}
	}
}
