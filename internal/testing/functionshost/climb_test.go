package functionshost_test

import (
	"net/http"
	"strings"
	"testing"

	"twofa/internal/testing/functionshost"
)

// appWithRoutes is an app with one function that needs a key and several that do not.
func appWithRoutes(t *testing.T) string {
	return newApp(t, files{
		"do/function.json": "", "echo/function.json": "",
		"all/function.json":    httpFunction("all/here/{*path}", "anonymous"),
		"plain/function.json":  httpFunction("plain/here/{kind}", "anonymous"),
		"short/function.json":  httpFunction("short/here/{kind:maxlength(40)}", "anonymous"),
		"closed/function.json": httpFunction("closed/here/{kind:alpha}", "anonymous"),
		"keyed/function.json":  httpFunction("api/keyed", "function"),
	})
}

// As on the real host, an anonymous function whose route matches any text lets a path reach
// another function without that function's key.
func TestPathsClimbOutOfRoutesThatMatchAnyText(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{Root: appWithRoutes(t)})
	for _, c := range []struct {
		path, want string // the path that reaches the handler, "" if none does
	}{
		// Kestrel resolves plain dots first. Then the route of the other function matches,
		// which needs a key.
		{"/api/keyed", ""},
		{"/all/here/../../api/keyed", ""},
		{"/all/here/%2e%2e/%2e%2e/api/keyed", ""},

		{"/all/here/%252e%252e/%252e%252e/api/keyed", "/api/keyed"},
		{"/all/here/..%5C..%5Capi/keyed", "/api/keyed"},
		{"/all/here/x/.%252e/..%5C..%5Capi%5Ckeyed", "/api/keyed"},
		{"/all/here/..%2F..%2Fapi/keyed", "/all/here/..%2F..%2Fapi/keyed"},
		{"/all/here/%25252e%25252e/api/keyed", "/all/here/%252e%252e/api/keyed"},
		{"/all/here/%c0%ae%c0%ae/api/keyed", "/all/here/%c0%ae%c0%ae/api/keyed"},
		{"/all/here/x/..%20", "/all/here/"},

		// One segment is enough, because a backslash does not end the segment.
		{"/plain/here/..%5C..%5Capi%5Ckeyed", "/api/keyed"},
		{"/plain/here/%252e%252e%5C%252e%252e%5Capi%5Ckeyed", "/api/keyed"},
		{"/plain/here/..%5C..%5Capi%5Ckeyed%3Fx", "/api/keyed"},
		{"/plain/here/%252e%252e", "/plain/"},
		{"/plain/here/..%20", "/plain/"},
		{"/plain/here/..%20?x=1", "/plain/here/..%20?x=1"},
		{"/plain/here/..%5C..%5Capi/keyed", ""}, // two segments

		// A maximum length does not prevent it.
		{"/short/here/..%5C..%5Capi%5Ckeyed", "/api/keyed"},

		{"/closed/here/..%5C..%5Capi%5Ckeyed", ""},
		{"/closed/here/%252e%252e", ""},
		{"/closed/here/Status", "/closed/here/Status"},
		{"/closed/here/status/", "/closed/here/status/"},
		{"/closed/here/%73tatus", "/closed/here/status"},
		{"/closed/here/status%0A", "/closed/here/status"},
		{"/closed/here/status%0A?x=1", "/closed/here/status%0A?x=1"},
		{"/closed/here/status%20", ""},
	} {
		response, body := call(t, http.MethodPost, h.URL()+c.path, nil, nil)
		switch {
		case c.want == "":
			if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: status %d, want 404 or 401", c.path, response.StatusCode)
			}
		case response.StatusCode != http.StatusOK:
			t.Errorf("%s: status %d", c.path, response.StatusCode)
		default:
			if got := decode[seen](t, body).URI; got != c.want {
				t.Errorf("%s reached the handler as %s, want %s", c.path, got, c.want)
			}
		}
	}
}

func TestNoPathClimbsOutOfAConstrainedRoute(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{Root: appWithRoutes(t)})
	climbed := func(folder string, levels int) (out []string) {
		for _, climb := range functionshost.Climbs(levels, "api/keyed") {
			path := folder + climb
			response, body := call(t, http.MethodPost, h.URL()+path, nil, nil)
			switch response.StatusCode {
			case http.StatusOK:
				if got := decode[seen](t, body).URI; !strings.HasPrefix(got, folder) {
					out = append(out, path+" as "+got)
				}
			case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound:
			default:
				t.Errorf("%s: status %d", path, response.StatusCode)
			}
		}
		return out
	}
	for folder, levels := range map[string]int{"/closed/here/": 2, "/closed/here/status": 2, "/closed/here/status/": 3} {
		for _, path := range climbed(folder, levels) {
			t.Errorf("a path climbs out of a constrained route: %s", path)
		}
	}
	// The same texts climb out of other routes.
	for _, folder := range []string{"/all/here/", "/plain/here/"} {
		if paths := climbed(folder, 2); len(paths) < 10 {
			t.Errorf("only %[2]q climb out of %[1]s: the list of climbs does not work", folder, paths)
		}
	}
}

// With the key of a function whose route matches any text, a client can use the other functions.
func TestAFunctionKeyIsNoBoundaryBetweenFunctions(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{Root: newApp(t, files{
		"do/function.json": "", "echo/function.json": "",
		"users/function.json":     httpFunction("api/users/{*path}", "function"),
		"otpsend/function.json":   httpFunction("api/otpsend/{id?}", "function"),
		"otpverify/function.json": httpFunction("api/otpverify", "function"),
	})})
	for _, c := range []struct{ key, path, want string }{
		{"users", "/api/otpsend", ""},
		{"users", "/api/users/%252e%252e/otpsend", "/api/otpsend"},
		{"users", "/api/users/..%5Cotpverify", "/api/otpverify"},
		{"otpsend", "/api/otpverify", ""},
		{"otpsend", "/api/otpsend/..%5Cotpverify", "/api/otpverify"},
		{"otpsend", "/api/otpsend/..%5Cusers%5Cdemouser", "/api/users/demouser"},
		{"otpverify", "/api/otpverify/..%5Cotpsend", ""}, // no path climbs out of a literal route
	} {
		header := http.Header{"X-Functions-Key": {h.Keys().Functions[c.key]}}
		response, body := call(t, http.MethodPost, h.URL()+c.path, nil, header)
		if c.want == "" {
			if response.StatusCode != http.StatusUnauthorized && response.StatusCode != http.StatusNotFound {
				t.Errorf("%s with the key of %s: status %d", c.path, c.key, response.StatusCode)
			}
			continue
		}
		if response.StatusCode != http.StatusOK || decode[seen](t, body).URI != c.want {
			t.Errorf("%s with the key of %s: %d %s, want %s", c.path, c.key, response.StatusCode, body, c.want)
		}
	}
}
