package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"twofa/internal/testing/browser"
	"twofa/internal/web"
)

var answer = []web.Field{{Name: "code", Value: "abc"}, {Name: "state", Value: "a\"b<c> d&e=%20\u00e9\u2028"}}

// A PostScreen goes to the app with its fields as they are: by itself, and without script by a click.
func TestPostScreen(t *testing.T) {
	posted := make(chan url.Values, 4)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/callback" || r.Referer() != "" {
			return // the icon
		}
		_ = r.ParseForm()
		posted <- r.PostForm
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>app</title><p id=in>in</p>"))
	}))
	t.Cleanup(app.Close)
	doc := render(t, "en", look, web.PostScreen{Action: app.URL + "/callback", Fields: answer})
	if title := textOf(all(doc, "h1")[0]); title != "Continue to Acme Bank" || len(all(doc, "form")) != 1 || len(all(doc, "button")) != 1 {
		t.Errorf("the page is %q", textOf(doc))
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == web.ScriptPath {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(web.Script())
			return
		}
		body, err := renderer(t).Render("de", look, web.PostScreen{Action: app.URL + "/callback", Fields: answer}, now)
		if err != nil {
			t.Error(err)
		}
		for name, value := range web.Headers(app.URL) {
			w.Header().Set(name, value)
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(service.Close)
	for _, noScript := range []bool{false, true} {
		b := browser.New(t, browser.Options{NoScript: noScript})
		b.Open(service.URL + "/")
		if noScript {
			b.Click("button.main")
		}
		got := <-posted
		for _, f := range answer {
			if got.Get(f.Name) != f.Value || len(got) != len(answer) {
				t.Errorf("without script %t: the app got %q", noScript, got)
			}
		}
	}
}
