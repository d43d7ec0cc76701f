// Package tooltest is test support: the programs of others that tests compare
// with, installed by `make tools`.
//
// It must never be part of a production binary.
package tooltest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Path is where a program is. Without it the test fails: one that is skipped
// shows nothing.
func Path(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: run make tools", name)
	}
	return path
}

// ReadQR is what zbar, the reader of many scanners, finds in a PNG.
func ReadQR(t testing.TB, picture []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "qr.png")
	if err := os.WriteFile(file, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(Path(t, "zbarimg"), "--quiet", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable", file).Output()
	if err != nil {
		t.Fatalf("zbarimg finds nothing: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// DrawSVG is a drawing as a PNG, some hundreds of pixels wide.
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
