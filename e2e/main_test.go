// Package e2e tests the service as it ships: the built binary, started by a stand-in
// for the Functions host or without a host, with Azurite as storage and a double of
// Twilio as provider, all on loopback.
//
// The tests use the service from outside: HTTP, settings, output, exit codes, and the
// requests that reach the provider. They access the table only for what no client can
// cause: expired rows, clocks that differ, and rows of earlier releases.
package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"twofa/internal/testing/browser"
)

var (
	binary    string // the path of the service, built as it ships
	appFolder string // the deployed folder: host.json, function.json files, binary
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "twofa-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, appFolder = filepath.Join(dir, "twofa"), filepath.Join(dir, "app")
	if err := errors.Join(build(binary), makeApp(appFolder)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer browser.Close()
	return m.Run()
}

// build builds the binary as `make package` does.
func build(to string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, "twofa")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// makeApp makes a folder with the function app of the repository and the built binary.
func makeApp(dir string) error {
	functions, err := filepath.Glob("../*/function.json")
	if err != nil || len(functions) == 0 {
		return fmt.Errorf("no function.json in %s: %w", filepath.Dir(dir), err)
	}
	for _, from := range append(functions, "../host.json") {
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, from[len("../"):])
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return os.Link(binary, filepath.Join(dir, "twofa"))
}
