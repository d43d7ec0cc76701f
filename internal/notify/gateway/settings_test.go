package gateway

import (
	"net/url"
	"strings"
	"testing"
)

func TestIsE164(t *testing.T) {
	for s, want := range map[string]bool{
		"+14155238886": true, "+1234567": true, "+123456789012345": true,
		"": false, "+": false, "14155238886": false, "+123456": false, "+1234567890123456": false, "+04155238886": false, "+1415523888a": false, "+1 4155238886": false, "+٣٤٥٦٧٨٩": false,
	} {
		if got := IsE164(s); got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
}

func TestIsSMSSender(t *testing.T) {
	asked := 0
	isName := func(s string) bool { asked++; return s == "Acme" }
	for s, want := range map[string]bool{
		"+14155238886": true, "123": true, "12345678": true, "Acme": true,
		"": false, "12": false, "123456789": false, "acme": false, "+1415": false,
	} {
		if got := IsSMSSender(s, isName); got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
	if asked != 4 { // "Acme", "", "acme" and "+1415"
		t.Errorf("the provider was asked %d times", asked)
	}
}

// What a URL of the settings may be. The settings of every provider are tested with more.
func TestURLs(t *testing.T) {
	for value, want := range map[string]struct{ base, plain, public bool }{
		"https://proxy.example":             {true, true, true},
		"https://proxy.example:8443/":       {true, true, true},
		"http://127.0.0.1:1":                {true, true, true},
		"http://[::1]:8080":                 {true, true, true},
		"http://localhost":                  {true, true, true},
		"http://10.0.0.1":                   {false, true, false},
		"http://127.0.0.1.evil.test":        {false, true, false},
		"https://under_score.example":       {true, true, false},
		"https://proxy.example:":            {true, true, false},
		"https://proxy.example/canary":      {},
		"https://proxy.example?canary":      {},
		"https://proxy.example?":            {},
		"https://proxy.example#canary":      {},
		"https://user:canary@proxy.example": {},
		"ftp://canary.example":              {},
		"canary.example":                    {},
		"https://:443":                      {},
		"https://canary\x7f":                {},
	} {
		check := func(kind string, err error, ok bool, variable string) {
			if (err == nil) != ok || err != nil && (!strings.HasPrefix(err.Error(), variable+" ") || strings.Contains(err.Error(), "canary")) {
				t.Errorf("%s %q: %v", kind, value, err)
			}
		}
		_, err := ParseBaseURL("X_BASE_URL", value, false)
		check("base", err, want.base, "X_BASE_URL")
		_, err = ParseBaseURL("X_BASE_URL", value, true)
		check("plain base", err, want.plain, "X_BASE_URL")
		_, err = ParsePublicURL(value)
		check("public", err, want.public, "TWOFA_PUBLIC_URL")
	}
	if got, err := ParsePublicURL(""); got != "" || err != nil {
		t.Errorf("not set: %q, %v", got, err)
	}
	if got, err := ParsePublicURL("https://Twofa.example:8443/"); got != "https://Twofa.example:8443" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// An origin is scheme and host only, and reading it again gives the same.
func FuzzURLs(f *testing.F) {
	for _, seed := range []string{"", "https://a.example/", "http://[::1]:1", "https://a@b", "https://a:", "http://[fe80::1%25en0]", "https://%41"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if u, err := ParseBaseURL("X", value, false); err == nil {
			if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" || !isPrivate(u) {
				t.Errorf("%q is read as %v", value, u)
			}
		}
		public, err := ParsePublicURL(value)
		if err != nil || public == "" {
			return
		}
		u, err := url.Parse(public)
		if again, againErr := ParsePublicURL(public); err != nil || againErr != nil || again != public || u.Path != "" || u.Hostname() == "" {
			t.Errorf("%q is read as %q, which is read as %q (%v, %v)", value, public, again, err, againErr)
		}
	})
}
