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

// TestPackage makes the package in a copy of the repository that also has files that must
// never be published. It then runs the service in the unpacked folder.
func TestPackage(t *testing.T) {
	t.Parallel()
	root := copyRepository(t)
	for name, text := range map[string]string{
		"local.settings.json":           `{"Values": {"TWOFA_SECRET": "x"}}`,
		".env":                          "TWILIO_AUTH_TOKEN=x",
		".twofa/secret":                 "x",
		".twofa/twofa.db":               "x",
		"dist/old.zip":                  "x",
		"otpsend/local.settings.json":   "x",
		"otpsend/testdata/x.json":       "x",
		"tools/node_modules/x/index.js": "x",
		"cpu.prof":                      "x",
		"twofa":                         "an old binary",
	} {
		writeFile(t, filepath.Join(root, name), text)
	}
	// The build stamps the state of the repository, so the copy has to be one.
	for _, args := range [][]string{{"git", "init", "--quiet"}, {"make", "package"}} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = root
		// Without the GOOS and GOARCH of this machine: the package is for Azure.
		cmd.Env = append(os.Environ(), "GOOS=", "GOARCH=", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
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
		t.Errorf("the package has %q, want %q", got, expected)
	}

	rig := newRig(t)
	_, c := rig.host(func(o *functionshost.Options) { o.Root = unpacked }, noPause)
	useAPI(t, rig, c)
}

// copyRepository copies all files that git tracks or would add.
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
			continue // deleted, but the deletion is not committed
		}
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(root, name), string(text))
	}
	return root
}

// filesBelow lists the files below a folder, sorted.
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
