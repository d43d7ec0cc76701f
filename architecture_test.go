package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The function packages: use cases, which know nothing of each other.
var functionPackages = []string{"twofa/hooks", "twofa/otpsend", "twofa/otpverify", "twofa/purge", "twofa/users"}

// withoutHTTP are the packages that know nothing of HTTP: all use cases and what
// keeps their rows, but hooks, whose job is to read a provider's requests.
var withoutHTTP = []string{
	"twofa/otpsend", "twofa/otpverify", "twofa/purge", "twofa/users",
	"twofa/internal/delivery", "twofa/internal/recipient", "twofa/internal/user", "twofa/internal/texts",
}

// concrete are the packages that only main, and the settings that it reads, know.
var concrete = []string{
	"twofa/internal/config",
	"twofa/internal/store/azuretable", "twofa/internal/store/boltstore",
	"twofa/internal/notify/console", "twofa/internal/notify/email", "twofa/internal/notify/twilio",
}

// pure is all that the domain may import: no I/O, no clock of its own.
var pure = []string{
	"crypto/subtle", "encoding/binary", "encoding/hex", "errors", "fmt", "math", "slices", "strings", "time",
	"unicode", "unicode/utf8", "golang.org/x/crypto/cryptobyte", "twofa/internal/problem", "twofa/internal/rowcodec", "twofa/internal/window",
}

// mayImport is the rule of docs/architecture.md: imports point down only.
func mayImport(from, to string) bool {
	switch {
	case from == "twofa":
		return true
	case from == "twofa/internal/otp":
		return slices.Contains(pure, to)
	case slices.Contains([]string{"twofa/internal/totp", "twofa/internal/recovery"}, from) && strings.HasPrefix(to, "twofa"):
		return to == "twofa/internal/otp" || slices.Contains(pure, to) // domains of their own, which read and keep nothing either
	case slices.Contains(concrete, to):
		return from == "twofa/internal/config"
	case !strings.HasPrefix(to, "twofa"):
		return to != "net/http" || !slices.Contains(withoutHTTP, from)
	case from == "twofa/handler":
		return slices.Contains(functionPackages, to) || strings.HasPrefix(to, "twofa/internal/")
	default:
		return strings.HasPrefix(to, "twofa/internal/")
	}
}

// testSupport packages and commands are no part of the product; they may reach
// for any part of it.
func testSupport(path string) bool {
	for _, prefix := range []string{
		"twofa/bench", "twofa/e2e", "twofa/internal/testing", "twofa/internal/pack", "twofa/internal/phone/gen",
	} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&pkg); err != nil {
			t.Fatal(err)
		}
		if testSupport(pkg.ImportPath) {
			continue
		}
		seen++
		for _, to := range pkg.Imports {
			if !mayImport(pkg.ImportPath, to) || testSupport(to) {
				t.Errorf("%s must not import %s", pkg.ImportPath, to)
			}
		}
	}
	if seen < 12 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

// The domains have no clock of their own: "time" is there for its types alone.
func TestDomainNeverLooksAtAClock(t *testing.T) {
	for _, domain := range []string{"internal/otp", "internal/totp", "internal/recovery"} {
		out, err := exec.Command("grep", "-rnE", `time\.(Now|Since|Until|After|Sleep|Tick|NewTimer)\(`, domain, "--include=*.go", "--exclude=*_test.go").CombinedOutput()
		if err == nil || len(out) > 0 {
			t.Errorf("%s reads the clock:\n%s", domain, out)
		}
	}
}
