package main

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
)

// ignoreFile is a .funcignore as Azure Functions Core Tools reads it, which is
// not as git would (src/Azure.Functions.Cli/Common/GitIgnoreParser.cs):
//
//   - a pattern is matched against the whole path, from the root on, and also
//     matches whatever the path goes on with: `bin` takes bin/x and bingo.txt;
//   - so `*.go` is for the root's files only. `**.go` takes those of all folders,
//     here and in git's reading;
//   - `*` stands for one character or more other than a slash, `**` for one or
//     more of any; ? and [ stand for themselves;
//   - a pattern with ! wins over all others, wherever it stands.
type ignoreFile struct {
	denied, accepted []*regexp.Regexp
}

// readIgnoreFile reads the file; without one, nothing is ignored.
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

// prefixPattern matches paths that begin as the pattern says.
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

// denies reports whether the file with that path (from the root, with slashes)
// stays out of the package.
func (f ignoreFile) denies(path string) bool {
	matches := func(p *regexp.Regexp) bool { return p.MatchString(path) }
	return slices.ContainsFunc(f.denied, matches) && !slices.ContainsFunc(f.accepted, matches)
}

// neverFolder and neverFile are what the tool leaves out by itself, in any
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
