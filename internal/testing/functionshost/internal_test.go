package functionshost

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLoadReadsTheTimeouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		more           string
		init, function time.Duration
	}{
		{``, 30 * time.Second, 30 * time.Minute},
		{`, "functionTimeout": "00:01:00"`, 30 * time.Second, time.Minute},
		{`, "functionTimeout": "-1"`, 30 * time.Second, unlimited},
	} {
		dir := t.TempDir()
		text := `{"version": "2.0", "customHandler": {"enableForwardingHttpRequest": true, "description": {"defaultExecutablePath": "x"}}` + c.more + `}`
		check := func(init time.Duration) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "host.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			a, err := load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if a.initTimeout != init || a.functionTimeout != c.function {
				t.Errorf("%s: %v and %v", text, a.initTimeout, a.functionTimeout)
			}
		}
		check(c.init)
		text = strings.Replace(text, `"customHandler": {`, `"customHandler": {"initializationTimeout": "00:00:45", `, 1)
		check(45 * time.Second)
	}
}

func TestParseTimeSpan(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{
		"00:00:01":         time.Second,
		"1:2:3":            time.Hour + 2*time.Minute + 3*time.Second,
		"00:00:00.25":      250 * time.Millisecond,
		"2.03:00:00":       51 * time.Hour,
		"23:59:59.9999999": 24*time.Hour - 100*time.Nanosecond,
	} {
		if got, err := parseTimeSpan(s); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "60", "10:00", "24:00:00", "00:60:00", "00:00:60", "-00:00:01", "00:00:01 "} {
		if got, err := parseTimeSpan(s); err == nil {
			t.Errorf("%q: %v, want an error", s, got)
		}
	}
}

func TestRouteMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		template, path string
		want           bool
	}{
		{"a/b", "/a/b", true},
		{"a/b", "/A/B/", true},
		{"a/b", "/a", false},
		{"a/b", "/a/b/c", false},
		{"a/b", "/a//b", false},
		{"a/{id}", "/a/x", true},
		{"a/{id}", "/a/x%2Fy", true},
		{"a/{id}", "/a", false},
		{"a/{id}", "/a/", false},
		{"a/{id}/b", "/a//b", false},
		{"a/{id}/b", "/a/x/b", true},
		{"a/{id?}", "/a", true},
		{"a/{id?}", "/a/x", true},
		{"a/{id?}", "/a/x/y", false},
		{"a/{id?}", "/a//", false},
		{"a/{*rest}", "/a", true},
		{"a/{*rest}", "/a/", true},
		{"a/{*rest}", "/a/x//y", true},
		{"a/{*rest}", "/ab", false},
		{"{*rest}", "/", true},
		{"a/{id:int}", "/a/1", true},
		{"a/{id:int}", "/a/x", false},
		{"a/{id:int}", "/a", false},
		{"a/{id:int}", "/a/1/2", false},
		{"a/{id:int}/b", "/a/1/b", true},
		{"a/{id:int}/b", "/a/x/b", false},
		{"a/{id:int?}", "/a", true},
		{"a/{id:int?}", "/a/1", true},
		{"a/{id:int?}", "/a/x", false},
		{"a/{id:int?}", "/a/1/2", false},
		{"a/{id:alpha:length(2)}", "/a/xy", true},
		{"a/{id:alpha:length(2)}", "/a/xyz", false},
		{"a/{id:alpha:length(2)}", "/a/12", false},
		{"a/{id:ALPHA:minlength(2)?}", "/a/xyz", true},
		{"products/{category:alpha}/{id:int?}", "/products/electronics/123", true},
		{"products/{category:alpha}/{id:int?}", "/products/electronics", true},
		{"products/{category:alpha}/{id:int?}", "/products/1/123", false},
		{"products/{category:alpha}/{id:int?}", "/products", false},
	} {
		r, err := parseRoute(c.template)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.match(c.path); got != c.want {
			t.Errorf("%s and %s: %v", c.template, c.path, got)
		}
	}
}

func TestDecodePath(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"/":                 "/",
		"/a/b/":             "/a/b/",
		"/%61%2fb%2F":       "/a%2fb%2F",
		"/%C3%BC%E2%82%AC":  "/ü€",
		"/%C3%28%FF":        "/%C3(%FF", // not UTF-8
		"/%ED%A0%80":        "/%ED%A0%80",
		"/%EF%BF%BD":        "/\uFFFD",
		"/%5C%25zz%":        `/\%zz%`,
		"/%252e":            "/%2e",
		"/a/./b/%2e%2e/c":   "/a/c",
		"/..":               "/",
		"/a/..":             "/",
		"/a/b/.":            "/a/b/",
		"/../../a//../b/..": "/a/",
		"/a/..%2Fb":         "/a/..%2Fb",
	} {
		if got, err := decodePath(sent); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", sent, got, err, want)
		}
	}
	if got, err := decodePath("/a%00"); err == nil {
		t.Errorf("null byte: %q", got)
	}
}

func TestEncodePath(t *testing.T) {
	t.Parallel()
	for decoded, want := range map[string]string{
		"/a b":           "/a%20b",
		"/a \v\n":        "/a%20%0B",
		"/a/.. \t":       "/",
		`/"<>^{|}` + "`": "/%22%3C%3E%5E%7B%7C%7D%60",
		"/ü":             "/%C3%BC",
		"/:@!$&'()*+,;=": "/:@!$&'()*+,;=",
		"/[]":            "/[]",
		"/a%2Fb%2f":      "/a%2Fb%2f",
		"/%41%zz%":       "/A%25zz%25",
		"/a#b?c":         "/a",
		"/a?b#c":         "/a",
		`/a\b`:           "/a/b",
		`/a\..\b`:        "/b",
		"/a/%2E%2e/b":    "/b",
		"/a%5Cb":         "/a%5Cb",
	} {
		got := encodePath(decoded, false)
		if got != want {
			t.Errorf("%s: %s, want %s", decoded, got, want)
		}
		// net/url, which sends the path to the handler, must not change it.
		if u, err := url.Parse("http://h" + got); err != nil || u.EscapedPath() != got {
			t.Errorf("%s is sent as %v, %v", got, u, err)
		}
	}
	// With a query, the path is not the end of the text.
	if got := encodePath("/a/.. \n", true); got != "/a/..%20%0A" {
		t.Errorf("before a query: %s", got)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                    "",
		"&&":                  "",
		"a=1;b=2":             "a=1;b%3D2",
		"=v":                  "=v",
		"a=b=c":               "a=b%3Dc",
		"a=%zz&b=%C3%BC+x":    "a=%25zz&b=%C3%BC%20x",
		"a=!$()*,;@-._~'&b=/": "a=!$()*,;@-._~%27&b=%2F",
		"%61=1&A=2&b&a=":      "a=1,2,&b=",
	} {
		if got := parseQuery(raw).encode(); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

func TestFreePortIsNotEphemeral(t *testing.T) {
	t.Parallel()
	for range 10 {
		if port, err := freePort(); err != nil || port < 12000 || port >= 32000 {
			t.Errorf("port %d, %v", port, err)
		}
	}
}
