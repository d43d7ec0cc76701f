package pages_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"twofa/pages"
)

// docs returns the page and the document of a service with a public URL.
func docs(t *testing.T) (page, document pages.Asset) {
	t.Helper()
	d := &pages.Docs{PublicURL: "https://twofa.example.com"}
	page, err := d.Page(nil)
	if err != nil {
		t.Fatal(err)
	}
	if document, err = d.OpenAPI(nil); err != nil {
		t.Fatal(err)
	}
	return page, document
}

// The page allows its own style and an empty icon, and has nothing else to load.
func TestDocs_ThePageAllowsItsOwnStyleAlone(t *testing.T) {
	t.Parallel()
	page, _ := docs(t)
	text := string(page.Body)
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(text)
	if style == nil {
		t.Fatal("the page has no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := page.Header["Content-Security-Policy"]; got != want {
		t.Errorf("the policy is\n%s, want\n%s", got, want)
	}
	if page.Header["Referrer-Policy"] != "no-referrer" || page.Header["Cache-Control"] != "public, max-age=300" || page.ContentType != "text/html; charset=utf-8" {
		t.Errorf("%s %v", page.ContentType, page.Header)
	}
	for _, forbidden := range []string{`<script`, ` style=`, ` on[a-z]+=`, ` src=`, `javascript:`, ` href="(https?:)?//`, `@import`, `url\(`, `<iframe`, `<form`, `<base`} {
		if m := regexp.MustCompile(forbidden).FindString(text); m != "" {
			t.Errorf("the page has %s", m)
		}
	}
}

// A reader finds each operation and each kind of problem, and every link leads somewhere.
func TestDocs_ThePageShowsTheWholeDocument(t *testing.T) {
	t.Parallel()
	page, document := docs(t)
	text := string(page.Body)
	ids := make(map[string]bool)
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if ids[m[1]] {
			t.Errorf("two elements have the id %s", m[1])
		}
		ids[m[1]] = true
	}
	links := regexp.MustCompile(` href="#([^"]*)"`).FindAllStringSubmatch(text, -1)
	for _, m := range links {
		if !ids[m[1]] {
			t.Errorf("a link leads to %s, which is nowhere", m[1])
		}
	}
	var d struct {
		Paths map[string]map[string]struct {
			OperationID string
			RequestBody struct {
				Content map[string]struct{ Example any }
			}
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Const any }
			}
		}
	}
	if err := json.Unmarshal(document.Body, &d); err != nil {
		t.Fatal(err)
	}
	shown := strings.ReplaceAll(strings.ReplaceAll(text, "&#34;", `"`), "&#39;", "'")
	if !strings.Contains(shown, "Call the API from your app's server") {
		t.Error("the page does not show the introduction")
	}
	operations, kinds := 0, 0
	for path, item := range d.Paths {
		for method, o := range item {
			operations++
			if !ids[o.OperationID] || !strings.Contains(shown, "<code>"+strings.ToUpper(method)+" "+path+"</code>") {
				t.Errorf("the page does not show %s %s (%s)", method, path, o.OperationID)
			}
			if strings.Count(text, `href="#`+o.OperationID+`"`) != 1 {
				t.Errorf("the contents do not name %s once", o.OperationID)
			}
			if example := o.RequestBody.Content["application/json"].Example; example != nil {
				if curl := " --json '" + strings.Split(compact(t, example), `"`)[0]; !strings.Contains(shown, curl) || strings.Contains(compact(t, example), "'") {
					t.Errorf("no curl example of %s with %s", o.OperationID, curl)
				}
			}
		}
	}
	for name, s := range d.Components.Schemas {
		if urn, ok := s.Properties["type"].Const.(string); ok {
			kinds++
			if !ids["problem-"+strings.TrimPrefix(urn, "urn:twofa:")] {
				t.Errorf("the page does not show the problem %s", name)
			}
		}
	}
	if operations < 20 || kinds < 20 || len(links) < 100 {
		t.Errorf("only %d operations, %d kinds and %d links were looked at", operations, kinds, len(links))
	}
}

func compact(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
