// Package tooltest is test support: it runs other programs with which tests compare results.
// `make tools` installs the programs.
//
// It must never be part of a production binary.
package tooltest

import (
	"os"
	"os/exec"
	"path/filepath"
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
