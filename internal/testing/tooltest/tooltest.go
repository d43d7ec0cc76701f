// Package tooltest is test support: it runs other programs with which tests compare results.
// `make tools` installs the programs.
//
// It must never be part of a production binary.
package tooltest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Path returns the path of a program. If the program is missing, the test fails: a skipped test
// would not be noticed.
func Path(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: run make tools", name)
	}
	return path
}

// ReadQR returns the text of the QR code in a PNG, as zbar reads it.
func ReadQR(t testing.TB, picture []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "qr.png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(Path(t, "zbarimg"), "--quiet", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable", file).Output()
	if err != nil {
		t.Fatalf("zbarimg finds no QR code: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// AppCode is the code that pyotp, a library that nobody here wrote, makes of the URI of a QR code
// at that time.
func AppCode(t testing.TB, uri string, at time.Time) string {
	t.Helper()
	const program = "import pyotp, sys; print(pyotp.parse_uri(sys.argv[1]).at(int(sys.argv[2])))"
	out, err := exec.Command("/usr/bin/python3", "-c", program, uri, strconv.FormatInt(at.Unix(), 10)).Output()
	if err != nil {
		t.Fatalf("pyotp makes no code (make tools installs it): %v", err)
	}
	return strings.TrimSpace(string(out))
}

// DrawSVG draws an SVG as a PNG of that width in pixels.
func DrawSVG(t testing.TB, drawing, width string) []byte {
	t.Helper()
	cmd := exec.Command(Path(t, "rsvg-convert"), "--width="+width)
	cmd.Stdin = strings.NewReader(drawing)
	picture, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// Root returns the root folder of this module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd() // go test runs each package's tests in its folder
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
}

// CodeBlock returns the one code block of a document of this module that is in a language and has a text.
func CodeBlock(t testing.TB, document, language, text string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(Root(t), document))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, block := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(content), -1) {
		if strings.Contains(block[1], text) {
			found = append(found, block[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %s with %q", document, len(found), language, text)
	}
	return found[0]
}

// SharedData returns a file of the folder shared/data, which stands beside the repository. The
// folder is no part of the project: where it is missing, the test is skipped.
func SharedData(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Root(t), "..", "shared", "data", name))
	if os.IsNotExist(err) {
		t.Skipf("there is no shared/data/%s beside the repository", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Start runs a command until the test ends, and returns its standard input and output. The command
// has to end when its input is closed, which the kernel does even if the test process is killed.
func Start(t testing.TB, cmd *exec.Cmd) (in io.Writer, out *bufio.Reader) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, errIn := cmd.StdinPipe()
	stdout, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // fails only if the command has ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v. If a module is missing, run make tools.\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
		}
	})
	return stdin, bufio.NewReader(stdout)
}

// StartNode runs a script of Node's as Start does, and returns the first line that it prints. The
// script finds the packages of tools/node_modules.
func StartNode(t testing.TB, script string, args ...string) (firstLine string) {
	t.Helper()
	if _, err := os.Stat(script); err != nil { // also tells go test on what its cached result depends
		t.Fatal(err)
	}
	cmd := exec.Command(Path(t, "node"), append([]string{script}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(Root(t), "tools", "node_modules"))
	_, out := Start(t, cmd)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s prints no line", script)
	}
	return strings.TrimSpace(line)
}
