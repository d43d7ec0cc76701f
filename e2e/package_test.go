package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"twofa/internal/testing/functionshost"
)

// TestPackage makes the package in a copy of the repository, among things that
// must never be published, and lets the unpacked folder run.
func TestPackage(t *testing.T) {
	t.Parallel()
	root := copyRepository(t)
	for name, text := range map[string]string{
		"local.settings.json":           `{"Values": {"TWOFA_SECRET": "x"}}`,
		".env":                          "TWILIO_AUTH_TOKEN=x",
		".twofa/secret":                 "x",
		".twofa/twofa.db":               "x",
		".git/config":                   "[core]",
		"dist/old.zip":                  "x",
		"otpsend/local.settings.json":   "x",
		"otpsend/testdata/x.json":       "x",
		"tools/node_modules/x/index.js": "x",
		"cpu.prof":                      "x",
		"twofa":                         "what was built last week",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, text)
	}
	cmd := exec.CommandContext(t.Context(), "make", "package")
	cmd.Dir = root
	// Not on this machine's own account: the package is for Azure's.
	cmd.Env = append(os.Environ(), "GOOS=", "GOARCH=", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make package: %v\n%s", err, out)
	}

	unpacked := filepath.Join(t.TempDir(), "wwwroot")
	if err := functionshost.Unzip(filepath.Join(root, "dist", "twofa.zip"), unpacked); err != nil {
		t.Fatal(err)
	}
	if err := functionshost.CheckPackage(unpacked); err != nil {
		t.Error(err)
	}
	functions, err := filepath.Glob("../*/function.json")
	if err != nil {
		t.Fatal(err)
	}
	expected := []string{"host.json", "twofa"}
	for _, f := range functions {
		expected = append(expected, strings.TrimPrefix(f, "../"))
	}
	slices.Sort(expected)
	if got := filesBelow(t, unpacked); !slices.Equal(got, expected) {
		t.Errorf("the package holds %q, want %q", got, expected)
	}

	w := newWorld(t)
	_, c := w.host(func(o *functionshost.Options) { o.Root = unpacked }, noPause)
	story(t, w, c)
}

// copyRepository copies what is or will be under version control.
func copyRepository(t *testing.T) string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	root := filepath.Join(t.TempDir(), "twofa")
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join("..", name))
		if os.IsNotExist(err) {
			continue // deleted and not yet committed so
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// filesBelow lists the files of a folder, sorted.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}
