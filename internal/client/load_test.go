package client_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"twofa/internal/client"
)

// everything has each field once.
const everything = `{"id": "bank-web", "secrets": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "sha256:60303AE22B998861BCE3B28F33EEC1BE758A213C86C93C076DBE9F558C11C752"],
	"scopes": ["send", "check", "users", "users:read", "alerts", "support", "signin", "verify", "entra"], "directory": "bank-2", "brand": "Acme\u00a0Bank", "color": "#0b5FFf", "logo": "@logo.svg",
	"max_sends_per_day": 20000, "countries": ["IN", "US"], "test_numbers": true, "return_urls": ["https://bank.example/2fa/done?x=1", "http://127.0.0.1:8080/"],
	"redirect_uris": ["https://app.example/callback", "http://[::1]:1/cb", "http://localhost/cb", "https://app.example/cb?x=%20y"], "post_logout_redirect_uris": ["com.example.app:/bye"],
	"sector": "app.example", "require": ["email"], "origins": ["https://app.example", "https://app.example:8443", "http://localhost:3000"], "public": false, "pkce": false, "consent": "implied",
	"verify_services": {"VA0123456789abcdef0123456789abcdef": "login", "VA1123456789abcdef0123456789abcdef": "pay_2-x"}, "account_sid": "AC0123456789abcdef0123456789abcdef",
	"custom_codes": true, "brands": ["Acme", "Acme Two"]}`

// folder has the clients file, and a logo beside it.
func folder(t *testing.T, clients string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, filepath.Join(dir, "clients.json"), clients)
	write(t, filepath.Join(dir, "logo.svg"), "<svg/>")
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryFieldIsRead(t *testing.T) {
	t.Parallel()
	dir := folder(t, "\ufeff["+everything+"]\n")
	r := load(t, " @"+filepath.Join(dir, "clients.json")+"\n")
	got, ok := r.Authenticate("bank-web", "test")
	if _, second := r.Authenticate("bank-web", "test2"); !ok || !second {
		t.Error("a secret does not authenticate")
	}
	want := client.Client{
		ID: "bank-web", Directory: "bank-2", Brand: "Acme Bank", Countries: map[string]bool{"IN": true, "US": true}, MaxSendsPerDay: 20000, TestNumbers: true,
		ReturnURLs: []string{"https://bank.example/2fa/done?x=1", "http://127.0.0.1:8080/"}, Color: "#0b5FFf", Logo: []byte("<svg/>"),
		Scopes:                 []client.Scope{"send", "check", "users", "users:read", "alerts", "support", "signin", "verify", "entra"},
		RedirectURIs:           []string{"https://app.example/callback", "http://[::1]:1/cb", "http://localhost/cb", "https://app.example/cb?x=%20y"},
		PostLogoutRedirectURIs: []string{"com.example.app:/bye"}, Sector: "app.example", Require: []string{"email"}, Consent: client.ConsentImplied,
		Origins: []string{"https://app.example", "https://app.example:8443", "http://localhost:3000"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	for _, name := range client.Fields() {
		if !strings.Contains(everything, `"`+name+`": `) {
			t.Errorf("%s is not in the test", name)
		}
	}
}

func TestDefaultsOfAClient(t *testing.T) {
	t.Parallel()
	c, ok := load(t, `[{"id": "a", "secrets": ["`+hash("x")+`"], "scopes": ["send"]}]`).Client("a")
	if want := (client.Client{ID: "a", Directory: "main", Scopes: []client.Scope{"send"}, Sector: "a", PKCE: true, Consent: client.ConsentOnce}); !ok || !reflect.DeepEqual(c, want) {
		t.Errorf("%+v", c)
	}
}

// values are values of fields, and whether they are valid.
var values = map[string]struct{ valid, wrong []string }{
	"id":      {[]string{`"a"`, `"A.b_c-9"`, `"` + strings.Repeat("a", 64) + `"`}, []string{`""`, `"a b"`, `"a:b"`, `"ä"`, `"a\n"`, `"` + strings.Repeat("a", 65) + `"`, `1`, `null`, `["a"]`}},
	"secrets": {[]string{`["sha256:` + strings.Repeat("aB", 32) + `"]`}, []string{`[]`, `"x"`, `[null]`, `["canary"]`, `["SHA256:` + strings.Repeat("a", 64) + `"]`, `["sha256:` + strings.Repeat("a", 63) + `"]`, `["sha256:` + strings.Repeat("a", 65) + `"]`, `["sha256:` + strings.Repeat("g", 64) + `"]`, `["` + strings.Repeat("a", 64) + `"]`, `["sha256:` + strings.Repeat("a", 64) + `", "sha256:` + strings.Repeat("A", 64) + `"]`, `["` + hash("1") + `", "` + hash("2") + `", "` + hash("3") + `"]`, `["` + hash("") + `"]`, `["` + hash("1") + `", 2]`}},
	"scopes":  {[]string{`["users:read"]`, `["send", "entra"]`}, []string{`[]`, `["sends"]`, `["Send"]`, `[""]`, `[null]`, `["send", "send"]`, `"send"`, `null`, `{"send": true}`}},
	"directory": {[]string{`"main"`, `"a-9"`, `"oidc2"`, `"` + strings.Repeat("a", 32) + `"`},
		[]string{`""`, `"oidc"`, `"entra"`, `"Main"`, `"a_b"`, `"a.b"`, `"a/b"`, `"` + strings.Repeat("a", 33) + `"`, `null`}},
	"brand":             {[]string{`"Acme"`, `"` + strings.Repeat("é", 40) + `"`}, []string{`""`, `" "`, `"a\nb"`, `"{{1}}"`, `"a\u202eb"`, `"` + strings.Repeat("é", 41) + `"`, `1`}},
	"brands":            {[]string{`[]`, `["a", "b"]`}, []string{`[""]`, `["a", "a"]`, `["{{1}}"]`, `"a"`}},
	"color":             {[]string{`"#0b5fff"`, `"#00008B"`}, []string{`""`, `"#ABCDEF"`, `"0b5fff"`, `"#0b5ff"`, `"#0b5fff0"`, `"red"`, `"#0b5ffg"`, `"#0b5fff;"`}},
	"logo":              {[]string{`"@logo.svg"`, `"@largest"`}, []string{`""`, `"@text"`, `"@"`, `"logo.svg"`, `"@missing"`, `"@too-large"`, `"@folder"`, `1`}},
	"max_sends_per_day": {[]string{`1`, `1000000000`}, []string{`0`, `-1`, `1000000001`, `1.5`, `"20"`, `true`, `99999999999999999999`, `null`}},
	"countries":         {[]string{`["IN"]`, `["US", "XK"]`}, []string{`[]`, `["UK"]`, `["us"]`, `["US", "US"]`, `["*"]`, `"US"`, `null`}},
	"test_numbers":      {[]string{`true`, `false`}, []string{`"true"`, `1`, `null`}},
	"return_urls": {[]string{`[]`, `["https://a.example"]`, `["https://a.example:8443/x?y=%20z"]`, `["http://127.0.0.1:1/"]`, `["http://[::1]/"]`, `["http://localhost:3000/x"]`},
		[]string{`["http://a.example/"]`, `["https://a.example/#x"]`, `["https://a.example/#"]`, `["https://u@a.example/"]`, `["https://u:p@a.example/"]`, `["/x"]`, `["//a.example/"]`, `["https:///x"]`,
			`["https:a"]`, `["https://a.example\\@b.example/"]`, `["https://a b/"]`, `["https://*.example/"]`, `["https://a.example:99999/"]`, `["https://a.example:/"]`, `["HTTPS://a.example/"]`, `["javascript:alert(1)"]`,
			`["com.example.app:/x"]`, `["https://bücher.example/"]`, `["https://a.example/\n"]`, `["https://a", "https://a"]`, `["http://localhost.evil.example/"]`, `[""]`, `"https://a"`, `["https://a.example/` + strings.Repeat("a", 2048) + `"]`}},
	"redirect_uris":             {[]string{`["https://a/b"]`, `["http://127.0.0.1/b"]`}, []string{`["http://a/b"]`, `["com.example.app:/b"]`, `["com.example.app://b"]`, `["app:/b"]`, `["app://b"]`, `["javascript:alert(1)"]`, `["data:text/html,x"]`, `["com.example.x:"]`, `["com.example.app:/b#c"]`, `["com.example.app://u@b"]`, `["urn:ietf:wg:oauth:2.0:oob"]`, `["Com.example.app:/b"]`, `["file:///etc/passwd"]`, `[1]`}},
	"post_logout_redirect_uris": {[]string{`[]`, `["com.example.app:/b"]`}, []string{`["http://a/b"]`, `["app:/b"]`, `["https://a/#b"]`, `null`}},
	"origins": {[]string{`["https://a.example"]`, `["http://localhost:3000"]`, `["https://a.example:8443"]`, `["http://[::1]:1"]`},
		[]string{`["https://a.example/"]`, `["http://a.example"]`, `["https://A.example"]`, `["https://a.example:443"]`, `["http://localhost:80"]`, `["https://a.example?x"]`, `["https://u@a.example"]`, `["*"]`, `["null"]`, `["com.example.app://b"]`, `["a.example"]`}},
	"sector":          {[]string{`"app.example"`, `"` + strings.Repeat("a", 253) + `"`}, []string{`""`, `"a b"`, `"https://a"`, `"` + strings.Repeat("a", 254) + `"`}},
	"require":         {[]string{`[]`, `["email", "phone"]`}, []string{`["mfa"]`, `["email", "email"]`, `"email"`}},
	"public":          {[]string{`false`}, []string{`"false"`, `0`, `null`}},
	"pkce":            {[]string{`true`, `false`}, []string{`"S256"`, `null`}},
	"consent":         {[]string{`"once"`, `"implied"`}, []string{`""`, `"never"`, `true`}},
	"account_sid":     {[]string{`"AC` + strings.Repeat("0f", 16) + `"`}, []string{`""`, `"AC` + strings.Repeat("0F", 16) + `"`, `"VA` + strings.Repeat("0f", 16) + `"`, `"AC` + strings.Repeat("0", 31) + `"`, `"AC` + strings.Repeat("0", 33) + `"`, `null`}},
	"verify_services": {[]string{`{}`, `{"VA` + strings.Repeat("0f", 16) + `": "login"}`}, []string{`{"VA0": "login"}`, `{"VA` + strings.Repeat("0f", 16) + `": ""}`, `{"VA` + strings.Repeat("0f", 16) + `": "Log in"}`, `{"VA` + strings.Repeat("0f", 16) + `": null}`, `{"VA` + strings.Repeat("0f", 16) + `": "a", "VA` + strings.Repeat("1f", 16) + `": "a"}`, `{"VA` + strings.Repeat("0f", 16) + `": "a", "VA` + strings.Repeat("0f", 16) + `": "b"}`, `{"VA` + strings.Repeat("0f", 16) + `": "` + strings.Repeat("a", 33) + `"}`, `[]`, `null`}},
	"custom_codes":    {[]string{`true`, `false`}, []string{`"true"`, `null`}},
}

// entryWith returns an entry with a value of one field.
func entryWith(field, value string) string {
	entry := `{"` + field + `": ` + value
	for _, d := range [][2]string{{"id", `"bank-web"`}, {"secrets", `["` + hash("x") + `"]`}, {"scopes", `["send"]`}} {
		if d[0] != field {
			entry += `, "` + d[0] + `": ` + d[1]
		}
	}
	return entry + "}"
}

// Each value of each field is valid, or a fault that names the client and the field and
// does not repeat the value.
func TestEveryFieldIsChecked(t *testing.T) {
	t.Parallel()
	dir := folder(t, "")
	write(t, filepath.Join(dir, "largest"), "<svg>"+strings.Repeat("x", 32<<10-5))
	write(t, filepath.Join(dir, "text"), "no picture")
	write(t, filepath.Join(dir, "too-large"), "<svg>"+strings.Repeat("x", 32<<10-4))
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, field := range client.Fields() {
		v, ok := values[field]
		if !ok || len(v.valid) == 0 || len(v.wrong) == 0 {
			t.Errorf("the test has no values of %s", field)
		}
		for _, value := range v.valid {
			if r, faults := client.Parse([]byte("["+entryWith(field, value)+"]"), dir); r == nil || len(faults) > 0 {
				t.Errorf("%s %s: %q", field, value, faults)
			}
		}
		for _, value := range v.wrong {
			r, faults := client.Parse([]byte("["+entryWith(field, value)+"]"), dir)
			want := `TWOFA_CLIENTS client "bank-web": ` + field + " "
			if field == "id" {
				want = `TWOFA_CLIENTS client 1: id `
			}
			if r != nil || len(faults) != 1 || !strings.HasPrefix(faults[0], want) || len(value) > 12 && strings.Contains(faults[0], strings.Trim(value, `"[]`)) {
				t.Errorf("%s %s: %q", field, value, faults)
			}
		}
	}
}

// What is wrong with the list as a whole, or in how fields and clients fit together.
func TestWrongLists(t *testing.T) {
	t.Parallel()
	const secret = `"secrets": ["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]`
	a, b := `{"id": "a", "scopes": ["send"], `+secret, `{"id": "b", "scopes": ["send"], `+secret
	const sid = `0123456789abcdef0123456789abcdef"`
	for list, want := range map[string][]string{
		"":                             {"is set, but has no clients"},
		" \n":                          {"is set, but has no clients"},
		"[]":                           {"is set, but has no clients"},
		" [ ] ":                        {"is set, but has no clients"},
		"null":                         {"is set, but has no clients"},
		"{}":                           {"has to be a JSON list"},
		`"canary"`:                     {"has to be a JSON list"},
		a + "}":                        {"has to be a JSON list"},
		"[" + a + "}":                  {"is not valid JSON"},
		"[" + a + "}] x":               {"is not valid JSON"},
		"[" + a + "}][]":               {"is not valid JSON"},
		"[\n\n" + a + ",}]":            {"is not valid JSON (RFC 8259, in UTF-8) at line 3:"},
		"[" + a + "},]":                {"is not valid JSON"},
		"[" + a + "\xff}]":             {"is not valid JSON"},
		"[{\"canary\xff\": 1}]":        {"is not valid JSON"},
		"\xff\xfe[\x00]\x00":           {"is in UTF-16"},
		`["canary", 1, null]`:          {"client 1: it has to be a JSON object", "client 2: it has", "client 3: it has"},
		`[{}]`:                         {"client 1: id is missing", "client 1: scopes has to name", "client 1: secrets is missing"},
		`[` + a + `, "x": 1}]`:         {`client "a": "x" is not a field`},
		`[` + a + `, "ID": "b"}]`:      {`client "a": "ID" is not a field`},
		`[` + a + `, "id": "c"}]`:      {`client "a": id is given twice`},
		`[` + a + `, ` + secret + `}]`: {`client "a": secrets is given twice`},
		`[` + a + `, "` + strings.Repeat("é", 100) + `": 1}]`:                                                               {`client "a": "` + strings.Repeat("é", 20) + `…" is not a field`},
		`[` + a + `, "a\nb": 1}]`:                                                                                           {`client "a": "a\nb" is not a field`},
		`[` + a + `, "public": true}]`:                                                                                      {`client "a": secrets has to be left out`},
		`[{"id": "a", "scopes": ["signin"]}]`:                                                                               {`client "a": secrets is missing`, `client "a": redirect_uris has to have at least one`},
		`[{"id": "a", "scopes": ["signin"], "redirect_uris": [], "public": false}]`:                                         {`client "a": secrets is missing`, `client "a": redirect_uris has to have at least one`},
		`[{"id": "a", "scopes": ["signin"], "redirect_uris": ["http://a/"], "public": true}]`:                               {`client "a": redirect_uris has to be a list`},
		`[` + a + `, "redirect_uris": ["https://a/", "com.example.a:/b"]}]`:                                                 {`client "a": redirect_uris has to have web addresses alone`},
		`[` + a + `, "redirect_uris": ["com.example.a:/b"], "public": 1}]`:                                                  {`client "a": public has to be`},
		`[{"id": "a", "scopes": ["send"], "public": 1}]`:                                                                    {`client "a": public has to be true or false`},
		`[{"id": "a", "scopes": ["send"], "public": true, "pkce": false}]`:                                                  {`client "a": pkce has to be true`},
		`[` + a + `}, ` + a + `}]`:                                                                                          {`client "a": id is that of an earlier client`},
		`[` + a + `, "account_sid": "AC` + sid + `}, ` + b + `, "account_sid": "AC` + sid + `}]`:                            {`client "b": account_sid is that of an earlier client`},
		`[` + a + `, "verify_services": {"VA` + sid + `: "x"}}, ` + b + `, "verify_services": {"VA` + sid + `: "y"}}]`:      {`client "b": verify_services has a service or a purpose that was given before`},
		`[` + a + `, "verify_services": {"VA` + sid + `: "x"}}, ` + b + `, "verify_services": {"VA1` + sid[1:] + `: "x"}}]`: {`client "b": verify_services has a service or a purpose that was given before`},
		`[` + a + `, "verify_services": {"VA` + sid + `: "x"}}, ` + b + `, "verify_services": {"VA` + sid + `: "x"}}]`:      {`client "b": verify_services has a service or a purpose that was given before`},
		`[` + a + `, "color": "blue", "pkce": 1, "z": 2}, {"id": "ä", "scopes": ["x"]}, {"id": "c", "secrets": ["canary"], "secrets": [], "brand": "\n"}]`: {
			`client "a": color has`, `client "a": pkce has`, `client "a": "z" is not`, `client 2: id has`, `client 2: scopes has to be`, `client 2: secrets is missing`,
			`client "c": secrets has`, `client "c": secrets is given twice`, `client "c": brand has`, `client "c": scopes has to name`,
		},
	} {
		r, faults := client.Load(list)
		matches := func(fault, want string) bool { return strings.HasPrefix(fault, "TWOFA_CLIENTS "+want) }
		if r != nil || !slices.EqualFunc(faults, want, matches) || strings.Contains(strings.Join(faults, ""), "canary") || strings.Contains(strings.Join(faults, ""), "9f86") {
			t.Errorf("%s:\n got %q\nwant %q", list, faults, want)
		}
	}
}

// Two clients without the fields that have to be unique do not clash.
func TestTwoClientsWithoutUniqueFields(t *testing.T) {
	t.Parallel()
	load(t, `[{"id": "a", "secrets": ["`+hash("x")+`"], "scopes": ["send"], "verify_services": {}}, {"id": "A", "secrets": ["`+hash("x")+`"], "scopes": ["send"], "verify_services": {}}]`)
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := folder(t, "[]")
	write(t, filepath.Join(dir, "large.json"), strings.Repeat(" ", 1<<20)+"x")
	for path, want := range map[string]string{
		"canary.json": "there is no such file", ".": "it is no regular file", "large.json": "it has more than 1024 KB", "clients.json/canary": "it cannot be opened",
	} {
		r, faults := client.Load("@" + filepath.Join(dir, path))
		if r != nil || len(faults) != 1 || faults[0] != "TWOFA_CLIENTS names a file that cannot be read: "+want {
			t.Errorf("%s: %q", path, faults)
		}
	}
	if _, faults := client.Load("@"); len(faults) != 1 {
		t.Errorf("without a path: %q", faults)
	}
}

// A logo's path counts from the clients file, and without one from the working directory.
func TestWhereALogoIs(t *testing.T) {
	t.Parallel()
	dir := folder(t, "["+entryWith("logo", `"@logo.svg"`)+"]")
	load(t, "@"+filepath.Join(dir, "clients.json"))
	load(t, "["+entryWith("logo", `"@`+filepath.Join(dir, "logo.svg")+`"`)+"]")
	load(t, "["+entryWith("logo", `"@testdata/logo.svg"`)+"]")
	if _, faults := client.Load("[" + entryWith("logo", `"@logo.svg"`) + "]"); len(faults) != 1 || !strings.Contains(faults[0], "logo has to be @ and the path of a picture (SVG, PNG, JPEG, GIF or WebP) of at most 32 KB: there is no such file") {
		t.Errorf("%q", faults)
	}
}

// docs/clients.md has a row for every field.
func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range client.Fields() {
		if !regexp.MustCompile("(?m)^\\|.*`" + name + "`.*\\|.*\\|").Match(docs) {
			t.Errorf("docs/clients.md has no row for %s", name)
		}
	}
}

// Any text is a registry whose clients hold the rules, or faults on one line each without
// a hash.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"[" + strings.ReplaceAll(everything, `"logo": "@logo.svg",`, "") + "]", "", "[]", "{}", "[{}]", "[null]", "[[]]", `[{"id": "a", "id": "b"}]`, "[{\"\xff\": 1}]", "\ufeff[]",
		`[{"id": "a", "public": true, "scopes": ["signin"], "redirect_uris": ["com.example.a:/b"]}]`, strings.Repeat("[", 20000), `[{"verify_services": {"a": {}, "a": 1}}]`, `[{"id": "\ud800"}]`, `[{"": 1, "\n": 2}]`,
	} {
		f.Add([]byte(seed))
	}
	oneLine := regexp.MustCompile(`^TWOFA_CLIENTS [^\n\r]+$`)
	hashed := regexp.MustCompile(`sha256:[0-9a-fA-F]{64}`)
	id := regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		r, faults := client.Parse(text, dir)
		if (r == nil) == (len(faults) == 0) {
			t.Fatalf("a registry: %t, faults: %q", r != nil, faults)
		}
		for _, fault := range faults {
			if !oneLine.MatchString(fault) || hashed.MatchString(fault) {
				t.Fatalf("the fault %q", fault)
			}
		}
		seen := make(map[string]bool)
		for _, c := range r.Clients() {
			if seen[c.ID] || !id.MatchString(c.ID) || len(c.Scopes) == 0 || c.May("") || c.Directory == "oidc" || c.Directory == "entra" || c.MaxSendsPerDay < 0 || c.Public != (r.Secrets(c.ID) == 0) {
				t.Fatalf("the client %+v", c)
			}
			seen[c.ID] = true
			if _, ok := r.Authenticate(c.ID, ""); ok {
				t.Fatalf("%s needs no secret", c.ID)
			}
		}
	})
}
