package apidoc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"twofa/internal/apidoc"
)

// A public linter finds nothing in the document, not even a warning.
func TestDocument_HasNoFindingOfTheLinter(t *testing.T) {
	t.Parallel()
	linter, err := filepath.Abs("../../tools/node_modules/.bin/redocly")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(linter); err != nil {
		t.Fatal("the linter is not installed: run make tools")
	}
	lint := func(file string) (string, error) {
		cmd := exec.CommandContext(t.Context(), linter, "lint", "--config", "../../tools/redocly.yaml", file)
		cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := lint("openapi.json"); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	// The linter does look at the document.
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(broken, []byte(strings.Replace(string(text), "#/components/schemas/Start", "#/components/schemas/None", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := lint(broken); err == nil {
		t.Errorf("the linter accepts a reference that leads nowhere:\n%s", out)
	}
}

func TestDocument_NamesThePublicURLAlone(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]string{"": `"servers":[{"url":"/"}]`, "https://twofa.example.com": `"servers":[{"url":"https://twofa.example.com"}]`} {
		text, err := apidoc.JSON(origin)
		if err != nil || strings.Count(string(text), `"servers":`) != 1 || !strings.Contains(string(text), want) || !strings.Contains(string(text), `"paths":`) {
			t.Errorf("%q: %v, %.200s", origin, err, text)
		}
		page, err := apidoc.Page(text)
		if err != nil || origin != "" && strings.Contains(string(page), "localhost") {
			t.Errorf("%q: %v; the page has localhost: %t", origin, err, strings.Contains(string(page), "localhost"))
		}
		if example := max(origin, "http://localhost:7071") + "/api/otpsend"; !strings.Contains(string(page), example) {
			t.Errorf("the page has no %s", example)
		}
	}
}

func TestPage_EscapesWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	const evil = `</style><script>alert(1)</script>`
	page, err := apidoc.Page([]byte(`{"info": {"title": "` + evil + `", "description": "a ` + "`" + evil + "`" + `"}, "tags": [{"name": "x", "description": "` + evil + `"}],
		"paths": {"/` + evil + `": {"get": {"tags": ["x"], "operationId": "\" onload=\"x", "responses": {"200": {"description": "` + evil + `"}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(page), "<script") || strings.Contains(string(page), `" onload`) || !strings.Contains(string(page), "&lt;script&gt;") {
		t.Errorf("the page has markup of the document:\n%s", page)
	}
}

func TestPage_RefusesWhatIsNoDocument(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "[]", `{"paths": 5}`, `{"paths": {"/": []}}`, `{"paths": {"/x": {"get"`} {
		if page, err := apidoc.Page([]byte(text)); err == nil {
			t.Errorf("%s: %s", text, page)
		}
	}
}
