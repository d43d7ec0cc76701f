package functionshost

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestConstraints(t *testing.T) {
	t.Parallel()
	const id = "d85b1407-351d-4694-9392-03acc5870eb1"
	for text, values := range map[string]struct{ accepted, refused []string }{
		"alpha": {
			[]string{"a", "status", "ALPHA", "alPHA", "zZ", "a\n"},
			[]string{"a1pha", "1", "a-b", "a_b", "a.b", ".", "..", "%", "a%2Fb", `a\b`, "a b", "a ", " a", "é", "AlpHA╥", "ａ", "a\nb", "a\n\n", "a\r\n", "@", "[", "`", "{", "a\x80"},
		},
		"int": {
			[]string{"0", "42", "-42", "+42", "007", " 42 ", "\t42\n", "2147483647", "-2147483648"},
			[]string{"", "42a", "43.567", "3.14", "1,000", "0x1", "2147483648", "-2147483649", "- 1", "--1", "-", "1_0", "٤", "..", "1e3", "99999999999999999999"},
		},
		"guid": {
			[]string{
				id, strings.ToUpper(id), strings.ReplaceAll(id, "-", ""), "{" + id + "}", "(" + id + ")", " " + id + "\n",
				"{0xd85b1407,0x351d,0x4694,{0x93,0x92,0x03,0xac,0xc5,0x87,0x0e,0xb1}}",
				"{0xD, 0x3, 0x4, { 0x9, 0x9, 0x0, 0xa, 0xc, 0x8, 0x0, 0xb } }",
			},
			[]string{
				"", "not-parseable-as-guid", id + "0", id[1:], "{" + id + ")", "{" + id, strings.Replace(id, "d", "g", 1), strings.ReplaceAll(id, "-", "."),
				"{" + strings.ReplaceAll(id, "-", "") + "}", "..", `..\`, "{0xd85b1407,0x351d,0x4694}",
			},
		},
		"length(3)":             {[]string{"abc", "é\u00e9é", "x\U0001F600", `..\`}, []string{"", "ab", "abcd"}},
		"length( 2 , 3 )":       {[]string{"ab", "abc"}, []string{"a", "abcd"}},
		"length(0)":             {[]string{""}, []string{"a"}},
		"minlength(2)":          {[]string{"ab", "abc", ".."}, []string{"a", ""}},
		"maxlength(2)":          {[]string{"", "a", "ab", ".."}, []string{"abc"}},
		"MaxLength(2147483647)": {[]string{"a"}, nil},
	} {
		c, err := parseConstraint(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range values.accepted {
			if !c.accepts(value) {
				t.Errorf("%s does not accept %q", text, value)
			}
		}
		for _, value := range values.refused {
			if c.accepts(value) {
				t.Errorf("%s accepts %q", text, value)
			}
		}
	}
}

// checkForwarded checks that the handler gets the same path that the route has matched. Only
// white space at the end may be lost. It reports whether the route has matched.
func checkForwarded(t interface{ Fatalf(string, ...any) }, r route, escaped string, hasQuery bool) (matched bool) {
	path, err := decodePath(escaped)
	if err != nil || !r.match(path) {
		return false
	}
	forwarded := encodePath(path, hasQuery)
	if seen := unescape(forwarded, false); seen != path && (hasQuery || seen != strings.TrimRight(path, " \t\r\n")) {
		t.Fatalf("%q was matched as %q, but the handler gets %q", escaped, path, forwarded)
	}
	return true
}

// closedRoutes are routes out of which no path may climb.
func closedRoutes(t testing.TB) (routes []route) {
	for _, template := range []string{
		"hooks/twilio/{kind:alpha}", "verify/{page:alpha}/{id:int?}", "verify/{id:guid}", "verify/jwks.json", "{kind:length(1,9):alpha}",
	} {
		r, err := parseRoute(template)
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, r)
	}
	return routes
}

// pieces are texts that have a meaning for one of the two decoders, or for the routes.
var pieces = []string{
	"", "/", "otpsend", "1", ".", "..", "%2e", "%252e", "%2F", "%252F", `\`, "%5C", "%5c", "%255C", "%c0%af", "%C0%AE", "%EF%BC%8F",
	";", "?", "%3F", "%23", "%00", "%0A", "%0a", "%20", "%0d", "%7B", "%", "%zz", "%C5%BF", "%E2%84%AA", "é", "+",
}

// pathsOfClosedRoutes are paths that match closedRoutes, and the folder of one of them.
var pathsOfClosedRoutes = []string{
	"/hooks/twilio/", "/hooks/twilio/status", "/HOOKS/twilio/Inbound/", "/verify/done/12", "/verify/done", "/verify/d85b1407351d4694939203acc5870eb1", "/verify/jwks.json", "/status",
}

// Paths with any two pieces at any place of the last segment.
func TestPathsOfClosedRoutesStay(t *testing.T) {
	t.Parallel()
	routes := closedRoutes(t)
	for _, path := range pathsOfClosedRoutes {
		matched := 0
		for at := strings.LastIndexByte(path, '/'); at <= len(path); at++ {
			for _, one := range pieces {
				for _, two := range pieces {
					for _, r := range routes {
						if checkForwarded(t, r, path[:at]+one+two+path[at:], false) {
							matched++
							checkForwarded(t, r, path[:at]+one+two+path[at:], true)
						}
					}
				}
			}
		}
		if matched == 0 {
			t.Errorf("no path like %s matched, so this test checks nothing", path)
		}
	}
}

// Paths with pieces at random places and randomly escaped bytes.
func TestSpellingsOfClosedRoutesStay(t *testing.T) {
	t.Parallel()
	routes := closedRoutes(t)
	rapid.Check(t, func(t *rapid.T) {
		var escaped strings.Builder
		for _, c := range []byte(rapid.SampledFrom(pathsOfClosedRoutes).Draw(t, "path")) {
			spelling := rapid.SampledFrom([]string{"%c", "%c", "%c", "%%%02x", "%%%02X"}).Draw(t, "spelling")
			if c == '/' {
				spelling = "%c"
			}
			fmt.Fprintf(&escaped, spelling, c)
		}
		path := escaped.String()
		for range rapid.IntRange(0, 4).Draw(t, "insertions") {
			at := rapid.IntRange(0, len(path)).Draw(t, "at")
			path = path[:at] + rapid.SampledFrom(pieces).Draw(t, "piece") + path[at:]
		}
		hasQuery := rapid.Bool().Draw(t, "query")
		for _, r := range routes {
			checkForwarded(t, r, path, hasQuery)
		}
	})
}

func FuzzPathsOfClosedRoutesStay(f *testing.F) {
	for _, path := range []string{
		"/hooks/twilio/status", "/hooks/twilio/status%0A", "/hooks/twilio/%73tatus/", "/hooks/twilio/..%5C..%5Capi%5Cotpsend", "/hooks/twilio/%252e%252e",
		"/verify/done/-7", "/verify/done/%2012%20", "/verify/%7Bd85b1407-351d-4694-9392-03acc5870eb1%7D", "/verify/jwks.json", "/x/../status",
	} {
		f.Add(path, false)
		f.Add(path, true)
	}
	routes := closedRoutes(f)
	f.Fuzz(func(t *testing.T, escaped string, hasQuery bool) {
		for _, r := range routes {
			checkForwarded(t, r, escaped, hasQuery)
		}
	})
}

func FuzzParseRoute(f *testing.F) {
	for _, template := range []string{
		"api/otpsend/{id?}", "products/{category:alpha}/{id:int?}", "a/{*rest}", "{id:length(1,2):guid}", "{id:regex(^a$)}", "{id:length(}", "{:}", "{a}{b}", "{a=b}", "//",
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
		if !r.overlaps(r) {
			t.Errorf("%q does not overlap with itself", template)
		}
		r.match(path)
	})
}
