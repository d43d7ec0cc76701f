package functionshost

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
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
		text := `{"version": "2.0", "customHandler": {"enableProxyingHttpRequest": true, "description": {"defaultExecutablePath": "x"}}` + c.more + `}`
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
		{"a/{id:alpha}", "/a/x", true},
		{"a/{id:alpha}", "/a/1", false},
		{"a/{id:alpha}", "/a", false},
		{"a/{id:alpha}", "/a/x\n", true}, // $ lets one newline through
		{"a/{id:alpha}", "/a/x\n\n", false},
		{"a/{id:alpha}/b", "/a/x/b", true},
		{"a/{id:alpha}/b", "/a/1/b", false},
		{"a/{id:ALPHA?}", "/a", true},
		{"a/{id:alpha?}", "/a/X", true},
		{"a/{id:alpha?}", "/a/é", false},
		{"a/{id:alpha?}", "/a/x/y", false},
		{"a/{x:alpha:regex(^b)}", "/a/bc", true},
		{"a/{x:alpha:regex(^b)}", "/a/c", false},
		{"a/{x:alpha:regex(^b)}", "/a/b1", false},
		{"a/{x:regex(^[^.])}", "/a/..", false},
		{"a/{x:regex(^[^.])}", "/a/.x", false},
		{"a/{x:regex(^[^.])}", "/a/x.y", true},
		{"a/{x:regex(^[^.])}", "/a/\n", true},
		{"a/{x:regex(^[^.])}", "/a/x%2Fy", true},
		{"a/{x:regex(^b{{2}}$)}", "/a/BB", true}, // case is ignored, braces are doubled
		{"a/{x:regex(^b{{2}}$)}", "/a/bbb", false},
		{"a/{x:regex(^b{{2}}$)}", "/a/bb\n", true},
		{"a/{x:regex(^([^.]|[.]well-known$))}", "/a/.Well-Known", true},
		{"a/{x:regex(^([^.]|[.]well-known$))}", "/a/.well-known\n", true},
		{"a/{x:regex(^([^.]|[.]well-known$))}", "/a/.well-knownx", false},
		{"a/{x:regex(^([^.]|[.]well-known$))}", "/a/..", false},
		{"a/{x?}/{y?}/{z:alpha?}", "/a", true},
		{"a/{x?}/{y?}/{z:alpha?}", "/a/1", true},
		{"a/{x?}/{y?}/{z:alpha?}", "/a/1/2/", true},
		{"a/{x?}/{y?}/{z:alpha?}", "/a/1/2/b", true},
		{"a/{x?}/{y?}/{z:alpha?}", "/a/1/2/3", false},
		{"a/{x?}/{y?}/{z:alpha?}", "/a/1//b", false},
		{"a/{x?}/{y?}/{z:alpha?}", "/a/1/2/b/c", false},
		{"{*rest}", "//a", false}, // no route matches two slashes at the beginning
		{"{*rest}", "/a//b", true},
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

// The paths that routes are matched on. TestTargets checks the rest on the wire.
func TestRecordedPaths(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/proxying-targets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for decoder := json.NewDecoder(bytes.NewReader(text)); decoder.More(); lines++ {
		var want struct {
			Target, Path, Arrives string
			Status                int
		}
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		var raw []byte
		for _, r := range want.Target {
			raw = append(raw, byte(r)) // each byte is written as the character of that number
		}
		got, status := parseTarget(string(raw), "h.example", false)
		if want.Status == 0 && (status != 0 || got.path != want.Path || got.arrives != want.Arrives) {
			t.Errorf("%q: %d %+v, want %+v", raw, status, got, want)
		}
	}
	if lines != 2902 {
		t.Errorf("%d lines, want 2902", lines)
	}
}

func TestQueryValue(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                       "",
		"?":                      "",
		"?code=a":                "a",
		"?x=1&CODE=a%2Fb+c":      "a/b c",
		"?%63ode=a":              "a",
		"?code=a&code=b":         "a",
		"?code":                  "",
		"?xcode=a&codex=b&?code": "",
	} {
		if got := queryValue(query, "code"); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// The real durations, which most tests of this package shorten.
func TestRealTiming(t *testing.T) {
	t.Parallel()
	var sum time.Duration
	for _, p := range realTiming.pauses {
		sum += p
	}
	if tries := len(realTiming.pauses) + 1; tries != 10 || sum < 1800*time.Millisecond || sum > 1870*time.Millisecond {
		t.Errorf("%d tries in %v, want 10 in 1.87s", tries, sum)
	}
	if realTiming.restart != 100*time.Millisecond || realTiming.grace != 2*time.Second || realTiming.body != 100<<20 {
		t.Errorf("%+v", realTiming)
	}
}

// A handler that decodes the path once has the path that was matched, except that a slash and
// its escape can't be told apart.
func TestPathsOfOriginFormAreDecodedOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := "/" + rapid.StringOfN(rapid.SampledFrom([]rune("ab./%25efF\\;?#+ ~")), 0, 30, -1).Draw(t, "target")
		got, status := parseTarget(raw, "h", false)
		if status != 0 {
			return
		}
		arrived, _ := cutQuery(got.arrives)
		if path := unescape(arrived, false); path != got.path {
			t.Fatalf("%q was matched as %q, but arrives as %q", raw, got.path, arrived)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, raw := range []string{"/", "/a/../b?x=%41", "http://h/a/..%2fb", "https://u@h:443\\x#y", "*", "http://h", "/%00", "//", "/%C3%A9%FF"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, status := parseTarget(raw, "h", false)
		switch {
		case status != 0:
			if status != 400 {
				t.Errorf("%q: status %d", raw, status)
			}
		case !strings.HasPrefix(got.path, "/") || !strings.HasPrefix(got.arrives, "/"):
			t.Errorf("%q: %+v", raw, got)
		case strings.ContainsFunc(got.arrives, func(r rune) bool { return r <= ' ' || r > '~' }):
			t.Errorf("%q arrives as %q", raw, got.arrives)
		}
	})
}

func FuzzParseRoute(f *testing.F) {
	for _, template := range []string{
		"api/otpsend/{id?}", "products/{category:alpha}/{id?}", "a/{*rest}", "{a:regex(^[^.])?}/{b?}", "{id:regex(}", "{:}", "{a}{b}", "{a=b}", "//",
	} {
		f.Add(template, "/a/b")
	}
	f.Fuzz(func(t *testing.T, template, path string) {
		r, err := parseRoute(template)
		if err != nil {
			return
		}
		if len(r) != strings.Count(template, "/")+1 {
			t.Errorf("%q has %d segments", template, len(r))
		}
		r.match(path)
	})
}

func TestFreePortIsNotEphemeral(t *testing.T) {
	t.Parallel()
	for range 10 {
		if port, err := freePort(); err != nil || port < 12000 || port >= 32000 {
			t.Errorf("port %d, %v", port, err)
		}
	}
}
