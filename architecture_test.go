package main

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// layers are the product's, from the lowest to the highest. A package imports
// lower layers only; those in internal/ also import each other. Pages are above the use
// cases, which they call. What all pages share is between the two, and pages do not import
// each other.
var layers = []*regexp.Regexp{
	regexp.MustCompile(`^twofa/internal/`),
	regexp.MustCompile(`^twofa/(health|hooks|otpsend|otpverify|purge|users)$`),
	regexp.MustCompile(`^twofa/internal/visit$`),
	regexp.MustCompile(`^twofa/internal/enrollpage$`),
	regexp.MustCompile(`^twofa/(oidc|pages)$`),
	regexp.MustCompile(`^twofa/handler$`),
	regexp.MustCompile(`^twofa/internal/app$`),
	regexp.MustCompile(`^twofa$`),
}

// layer is 0 for a package of another module or of test support.
func layer(path string) (n int) {
	for i, l := range layers {
		if l.MatchString(path) {
			n = i + 1
		}
	}
	return n
}

var (
	// support is no part of the product.
	support = regexp.MustCompile(`^twofa/(bench|e2e|examples|internal/(testing|pack|phone/gen|texts/gen|web/gen))\b`)
	// concrete stores and messengers are known to internal/app alone. config has
	// their options.
	concrete = regexp.MustCompile(`^twofa/internal/(store|notify)/`)
	// gateway is what messengers have in common, and theirs alone.
	gateway = "twofa/internal/notify/gateway"
	// useCases know no HTTP. It is the job of hooks to read a provider's requests.
	useCases = regexp.MustCompile(`^twofa/(health|otpsend|otpverify|purge|users|internal/(delivery|guard|receipt|recipient|row|texts|user|userfile))$`)
	// decisions are pure: they import each other, and nothing that does I/O.
	decisions = regexp.MustCompile(`^twofa/internal/(address|channel|color|deadline|digit|otp|phone|problem|recovery|shown|totp|window)$`)
	doesIO    = regexp.MustCompile(`^(net|net/http|os|path/filepath|context|database/sql)$|^twofa/|^github.com/Azure/`)
)

func mayImport(from, to string) bool {
	switch {
	case support.MatchString(to), layer(to) >= layer(from) && layer(from) > 1:
		return false
	case layer(from) == 1 && layer(to) > 1:
		return false
	case to == gateway:
		return concrete.MatchString(from)
	case concrete.MatchString(to) && !slices.Contains([]string{"twofa/internal/app", "twofa/internal/config"}, from):
		return concrete.MatchString(from) && strings.HasPrefix(to, from)
	case useCases.MatchString(from) && to == "net/http":
		return false
	case decisions.MatchString(from) && doesIO.MatchString(to):
		return decisions.MatchString(to)
	}
	return true
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
		if support.MatchString(pkg.ImportPath) {
			continue
		}
		seen++
		for _, to := range pkg.Imports {
			if !mayImport(pkg.ImportPath, to) {
				t.Errorf("%s must not import %s", pkg.ImportPath, to)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

// Test support, and what only tests import, stay out of the binary.
func TestTheBinaryHasNoTestSupport(t *testing.T) {
	forbidden := regexp.MustCompile(`^twofa/internal/testing/|^testing$|/kin-openapi/|/jsonschema/|/chromedp/|^golang.org/x/net/html|^pgregory.net/rapid`)
	paths := strings.Fields(programOutput(t, "go", "list", "-deps", "."))
	for _, path := range paths {
		if forbidden.MatchString(path) {
			t.Errorf("the binary has %s", path)
		}
	}
	if len(paths) < 100 {
		t.Errorf("only %d packages were looked at", len(paths))
	}
}

// The decisions have no clock: they use the types of "time" alone.
func TestDecisionsReadNoClock(t *testing.T) {
	for _, folder := range []string{"otp", "totp", "recovery", "window"} {
		out, err := exec.Command("grep", "-rnE", `time\.(Now|Since|Until|After|Sleep|Tick|NewTimer)\(`, "internal/"+folder, "--include=*.go", "--exclude=*_test.go").CombinedOutput()
		if err == nil || len(out) > 0 {
			t.Errorf("%s reads the clock:\n%s", folder, out)
		}
	}
}
