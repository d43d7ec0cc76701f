package functionshost

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestConstraints(t *testing.T) {
	t.Parallel()
	const id = "d85b1407-351d-4694-9392-03acc5870eb1"
	for text, values := range map[string]struct{ taken, refused []string }{
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
		for _, value := range values.taken {
			if !c.accepts(value) {
				t.Errorf("%s does not take %q", text, value)
			}
		}
		for _, value := range values.refused {
			if c.accepts(value) {
				t.Errorf("%s takes %q", text, value)
			}
		}
	}
}

// stays checks, for a path of a request, that the handler is asked for the path
// that the route was matched by; only white space at its end may be lost.
func stays(t interface{ Fatalf(string, ...any) }, template, escaped string, hasQuery bool) (matched bool) {
	r, err := parseRoute(template)
	if err != nil {
		t.Fatalf("%v", err)
	}
	path, err := decodePath(escaped)
	if err != nil || !r.match(path) {
		return false
	}
	forwarded := encodePath(path, hasQuery)
	if seen := unescape(forwarded, false); seen != path && (hasQuery || seen != strings.TrimRight(path, " \t\r\n")) {
		t.Fatalf("%q was matched as %q by %s, and the handler is asked for %q", escaped, path, template, forwarded)
	}
	return true
}

// closedRoutes are routes of which no path may leave, whatever a client writes.
var closedRoutes = []string{
	"hooks/twilio/{kind:alpha}", "verify/{page:alpha}/{id:int?}", "verify/{id:guid}", "verify/jwks.json", "{kind:length(1,9):alpha}",
}

func TestPathsOfClosedRoutesStay(t *testing.T) {
	t.Parallel()
	// Pieces that mean something to one of the two decoders, or to the routes.
	pieces := []string{
		"/", "hooks", "twilio", "verify", "jwks.json", "status", "Inbound", "api", "otpsend", "1", "-7", "d85b1407351d4694939203acc5870eb1",
		".", "..", "%2e", "%2E", "%252e", "%25252e", "%2F", "%2f", "%252F", `\`, "%5C", "%5c", "%255C", "%c0%af", "%C0%AE", "%E0%80%AE", "%EF%BC%8E", "%EF%BC%8F",
		";", "%3B", "?", "%3F", "%23", "%00", "%0A", "%0a", "%20", "%09", "%0d", "%7B", "%7D", "%61", "%73tatus", "%", "%2", "%zz", "%C5%BF", "%E2%84%AA", "é", ":", "@", "~", "+",
	}
	matched := 0
	rapid.Check(t, func(t *rapid.T) {
		template := rapid.SampledFrom(closedRoutes).Draw(t, "route")
		inside := rapid.SampledFrom([]string{"", "/", "/hooks/twilio/", "/verify/", "/HOOKS/%54wilio/"}).Draw(t, "begins")
		drawn := rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 8).Draw(t, "pieces")
		if stays(t, template, inside+strings.Join(drawn, ""), rapid.Bool().Draw(t, "query")) {
			matched++
		}
	})
	if matched == 0 {
		t.Error("no path matched: this test says nothing")
	}
}

func FuzzPathsOfClosedRoutesStay(f *testing.F) {
	for _, path := range []string{
		"/hooks/twilio/status", "/hooks/twilio/status%0A", "/hooks/twilio/%73tatus/", "/hooks/twilio/..%5C..%5Capi%5Cotpsend", "/hooks/twilio/%252e%252e",
		"/verify/done/-7", "/verify/done/%2012%20", "/verify/%7Bd85b1407-351d-4694-9392-03acc5870eb1%7D", "/verify/jwks.json", "/x/../status",
	} {
		f.Add(path, false)
		f.Add(path, true)
	}
	f.Fuzz(func(t *testing.T, escaped string, hasQuery bool) {
		for _, template := range closedRoutes {
			stays(t, template, escaped, hasQuery)
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
