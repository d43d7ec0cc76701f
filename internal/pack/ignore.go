package main

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
)

// ignoreFile is a .funcignore as Azure Functions Core Tools reads it. The rules differ from
// git's (src/Azure.Functions.Cli/Common/GitIgnoreParser.cs):
//
//   - A pattern has to match the beginning of the path from the root: `bin` matches bin/x and
//     bingo.txt.
//   - So `*.go` matches files of the root only. `**.go` matches the files of all folders, here
//     and in git.
//   - `*` matches one or more characters other than a slash, `**` one or more characters of any
//     kind. ? and [ match themselves.
//   - A pattern with ! takes precedence over all others, in any order.
type ignoreFile struct {
	denied, accepted []*regexp.Regexp
}

// readIgnoreFile reads the file. If there is none, nothing is ignored.
func readIgnoreFile(path string) (ignoreFile, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ignoreFile{}, nil
	}
	return parseIgnore(string(text)), err
}

func parseIgnore(text string) (f ignoreFile) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		rest, negative := strings.CutPrefix(line, "!")
		pattern := prefixPattern(strings.TrimPrefix(rest, "/"))
		if negative {
			f.accepted = append(f.accepted, pattern)
		} else {
			f.denied = append(f.denied, pattern)
		}
	}
	return f
}

// prefixPattern returns an expression for paths whose beginning matches the pattern.
func prefixPattern(pattern string) *regexp.Regexp {
	var long []string
	for part := range strings.SplitSeq(pattern, "**") {
		var short []string
		for literal := range strings.SplitSeq(part, "*") {
			short = append(short, regexp.QuoteMeta(literal))
		}
		long = append(long, strings.Join(short, `[^/]+`))
	}
	return regexp.MustCompile(`^(?s:` + strings.Join(long, `.+`) + `)`)
}

// denies reports whether the package must not have the file with that path (from the root,
// with slashes).
func (f ignoreFile) denies(path string) bool {
	matches := func(p *regexp.Regexp) bool { return p.MatchString(path) }
	return slices.ContainsFunc(f.denied, matches) && !slices.ContainsFunc(f.accepted, matches)
}

// neverFolder and neverFile report names that the publishing tool always leaves out, in any
// folder (FileSystemHelpers.GetLocalFiles).
func neverFolder(name string) bool {
	return strings.EqualFold(name, ".git") || strings.EqualFold(name, ".vscode")
}

func neverFile(name string) bool {
	for _, never := range []string{".funcignore", ".gitignore", "local.settings.json", "project.lock.json"} {
		if strings.EqualFold(name, never) {
			return true
		}
	}
	return false
}
