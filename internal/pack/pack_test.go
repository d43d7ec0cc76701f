package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The publishing tool reads .funcignore by other rules than git's. If this command used git's
// rules, the tool could send files that the command has excluded.
func TestIgnoreIsReadAsThePublishingToolDoes(t *testing.T) {
	for _, c := range []struct {
		file   string
		denied []string
		sent   []string
	}{
		{"*.go", []string{"main.go", "main.gone"}, []string{"handler/routes.go", ".go", "go"}},
		{"**.go", []string{"main.go", "a/b.go", "a/b/c.go"}, []string{"a/b.g", ".go"}},
		{"bin", []string{"bin", "bin/x", "bingo.txt"}, []string{"a/bin", "Bin"}},
		{"/bin/", []string{"bin/x"}, []string{"bin", "bingo.txt"}},
		{"docs/*.md", []string{"docs/a.md"}, []string{"docs/a/b.md", "docs/.md", "a.md"}},
		{"**/testdata/", []string{"a/testdata/x", "a/b/testdata/x"}, []string{"testdata/x"}},
		{"a?[b]+(c).txt", []string{"a?[b]+(c).txt"}, []string{"ab.txt"}},
		{"*\n!host.json", []string{"main.go", "a/host.json"}, []string{"host.json"}},
		{"!host.json\n*", []string{"main.go"}, []string{"host.json"}},
		{"# main.go\n\n  lib  \r\n", []string{"lib/x"}, []string{"main.go", "# main.go"}},
		{"", nil, []string{"main.go"}},
	} {
		t.Run(strings.ReplaceAll(c.file, "/", "|"), func(t *testing.T) {
			f := parseIgnore(c.file)
			for _, path := range c.denied {
				if !f.denies(path) {
					t.Errorf("%s would be sent", path)
				}
			}
			for _, path := range c.sent {
				if f.denies(path) {
					t.Errorf("%s would be left out", path)
				}
			}
		})
	}
}

const hostJSON = `{"customHandler": {"description": {"defaultExecutablePath": "app"}}}`

// writeTree writes files by name into a new folder and returns the folder.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestPackage(t *testing.T) {
	root := writeTree(t, map[string]string{
		"host.json":             hostJSON,
		".funcignore":           "**.go\n.env\n",
		"app":                   "an old binary",
		"f/function.json":       "{}",
		"f/f.go":                "package f",
		".env":                  "SECRET=1",
		"local.settings.json":   "{}",
		"f/Local.Settings.json": "{}",
		".git/config":           "[core]",
		".vscode/launch.json":   "{}",
		".gitignore":            "app",
	})
	built := filepath.Join(t.TempDir(), "built")
	if err := os.WriteFile(built, []byte("a new binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "app.zip")
	if err := pack(root, built, out); err != nil {
		t.Fatal(err)
	}

	archive, err := zip.OpenReader(out)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	var got []string
	for _, f := range archive.File {
		content, err := archive.Open(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if _, err := text.ReadFrom(content); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%v %s: %s", f.Mode(), f.Name, &text))
	}
	want := []string{
		"-rwxr-xr-x app: a new binary",
		"-rw-r--r-- f/function.json: {}",
		"-rw-r--r-- host.json: " + hostJSON,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the package has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheSameFilesMakeTheSameBytes(t *testing.T) {
	root := writeTree(t, map[string]string{"host.json": hostJSON, "b/function.json": "{}", "a/function.json": "{}"})
	binary := filepath.Join(root, "host.json") // any file
	var packages [2][]byte
	for i := range packages {
		if err := os.Chtimes(filepath.Join(root, "a/function.json"), time.Time{}, time.Unix(int64(i)*1e6, 0)); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "app.zip")
		if err := pack(root, binary, out); err != nil {
			t.Fatal(err)
		}
		var err error
		if packages[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(packages[0], packages[1]) {
		t.Error("two packages of the same files differ")
	}
}

func TestPackRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		link  string
		want  string
	}{
		"no host.json":       {nil, "", "host.json"},
		"a broken host.json": {map[string]string{"host.json": "{"}, "", "host.json"},
		"no executable":      {map[string]string{"host.json": "{}"}, "", "defaultExecutablePath"},
		"a path":             {map[string]string{"host.json": strings.Replace(hostJSON, "app", "./app", 1)}, "", "defaultExecutablePath"},
		"a stray file":       {map[string]string{"host.json": hostJSON, "run.log": "x"}, "", "run.log is no part of the app"},
		"a file in a folder": {map[string]string{"host.json": hostJSON, "otpsend/key.pem": "x"}, "", "otpsend/key.pem is no part"},
		"a link":             {map[string]string{"host.json": hostJSON}, "/etc/passwd", "not a plain file"},
	} {
		t.Run(name, func(t *testing.T) {
			root := writeTree(t, c.files)
			if c.link != "" {
				if err := os.Symlink(c.link, filepath.Join(root, "link")); err != nil {
					t.Fatal(err)
				}
			}
			out := filepath.Join(t.TempDir(), "app.zip")
			err := pack(root, filepath.Join(root, "host.json"), out)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
			if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
				t.Errorf("a failed run left %v", left)
			}
		})
	}
}
