package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// idp is the service as an OpenID Connect provider, with the embedded store and its messages on
// the console.
type idp struct {
	*process
	issuer string
}

// relyingParty is an app that has people sign in.
type relyingParty struct{ id, secret, entry string }

// newRelyingParty makes an app. The rest of its entry is JSON.
func newRelyingParty(id, rest string) relyingParty {
	secret, hash := newSecret()
	return relyingParty{id, secret, fmt.Sprintf(`{"id": %q, "secrets": [%q], "scopes": ["signin"], %s}`, id, hash, rest)}
}

// newPublicParty makes an app that can keep no secret.
func newPublicParty(id, rest string) relyingParty {
	return relyingParty{id, "", fmt.Sprintf(`{"id": %q, "public": true, "scopes": ["signin"], %s}`, id, rest)}
}

// newSecret makes a secret of a client, and what its entry has of it.
func newSecret() (secret, hash string) {
	secret = randomHex(32)
	return secret, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(secret)))
}

// randomHex is n random bytes.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// newIDP adds an account for each address, as an operator does, and then serves these apps.
func newIDP(t *testing.T, addresses []string, parties ...relyingParty) *idp {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	var entries []string
	for _, p := range parties {
		entries = append(entries, p.entry)
	}
	writeFile(t, filepath.Join(dir, "clients.json"), "["+strings.Join(entries, ",\n")+"]\n")
	env := []string{
		"TWOFA_ADDR=" + address, "TWOFA_PUBLIC_URL=http://" + address, "TWOFA_CLIENTS=@" + filepath.Join(dir, "clients.json"),
		"TWOFA_DATA_DIR=" + filepath.Join(dir, "data"), "TWOFA_COUNTRIES=*", "TWOFA_CHANNELS=whatsapp,email",
	}
	var faults []string
	for _, a := range addresses { // before it serves: the embedded store has one process at a time
		if stdout, stderr, code := runCommand(t, dir, env, "", "accounts", "add", a); code != 0 {
			faults = append(faults, fmt.Sprintf("accounts add %s: %d %s %s", a, code, stdout, stderr))
		}
	}
	p := &idp{serve(t, env), "http://" + address + "/oidc"}
	if r := p.get("/oidc/.well-known/openid-configuration"); r.status != http.StatusOK || len(faults) > 0 {
		t.Fatalf("discovery answers %v; %s", r, faults)
	}
	return p
}

var plainCode = regexp.MustCompile(`\b\d{6}\b`)

// code is the code of the last message to an address.
func (p *idp) code(address string) string {
	messages := strings.Split(p.stdout.String(), "│ To ")
	for _, m := range slices.Backward(messages) {
		if strings.HasPrefix(m, address+" ") {
			return plainCode.FindString(strings.TrimPrefix(m, address))
		}
	}
	return ""
}

// signIn begins at an address of an app, and does what the service's pages ask for: it types the
// address of the person and the code, and presses the main button where there is nothing to type.
// It returns how many pages these were when the person is back at an app.
func (p *idp) signIn(v *visitor, begin, address string) (pages int) {
	v.t.Helper()
	for v.get(begin); strings.HasPrefix(p.issuer, "http://"+v.at.Host+"/"); pages++ {
		if goesOn.MatchString(v.body) {
			v.get(v.next())
			continue
		}
		f := mainForm(v)
		if f.typed("address") {
			f.values.Set("address", address)
		}
		if f.typed("code") {
			f.values.Set("code", p.code(address))
		}
		if pages > 10 {
			v.t.Fatalf("the sign-in does not end; the page %d of %s is %s", v.status, v.at.Path, v.body)
		}
		f.send(v)
	}
	return pages
}

// form is a form of a page: what a browser would send, and the fields to type in.
type form struct {
	action, method string
	values         url.Values
	fields         []string
	main           bool // it has the page's main button
}

func (f form) typed(name string) bool { return slices.Contains(f.fields, name) }

// mainForm is the form that asks for an address or a code, else the one with the main button, else
// the first.
func mainForm(v *visitor) form {
	v.t.Helper()
	root, err := html.Parse(strings.NewReader(v.body))
	if err != nil {
		v.t.Fatal(err)
	}
	var forms []form
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			forms = append(forms, readForm(n))
		}
	}
	for _, fits := range []func(form) bool{
		func(f form) bool { return f.typed("address") || f.typed("code") },
		func(f form) bool { return f.main },
		func(form) bool { return true },
	} {
		if i := slices.IndexFunc(forms, fits); i >= 0 {
			return forms[i]
		}
	}
	v.t.Fatalf("the page %d of %s has no form: %s", v.status, v.at.Path, v.body)
	return form{}
}

func readForm(n *html.Node) form {
	f := form{action: attribute(n, "action"), method: strings.ToUpper(attribute(n, "method")), values: url.Values{}}
	for e := range n.Descendants() {
		if e.Type != html.ElementNode {
			continue
		}
		name, value := attribute(e, "name"), attribute(e, "value")
		switch {
		case e.Data == "input" && attribute(e, "type") == "hidden":
			f.values.Add(name, value)
		case e.Data == "input" && attribute(e, "type") != "checkbox" && attribute(e, "type") != "submit":
			f.fields = append(f.fields, name)
		case e.Data == "option" && has(e, "selected"):
			f.values.Add(attribute(selectOf(e), "name"), value)
		case e.Data == "button" && slices.Contains(strings.Fields(attribute(e, "class")), "main"):
			f.main = true
			if name != "" {
				f.values.Set(name, value)
			}
		}
	}
	return f
}

func selectOf(option *html.Node) *html.Node {
	n := option.Parent
	for n.Data != "select" { // an option outside is no option for the parser
		n = n.Parent
	}
	return n
}

func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// send sends the form as the page's browser would, also to another site (response_mode=form_post).
func (f form) send(v *visitor) {
	v.t.Helper()
	to, err := v.at.Parse(f.action)
	if err != nil {
		v.t.Fatal(err)
	}
	var body io.Reader = strings.NewReader(f.values.Encode())
	if f.method != http.MethodPost {
		f.method, to.RawQuery, body = http.MethodGet, f.values.Encode(), nil
	}
	req, err := http.NewRequest(f.method, to.String(), body)
	if err != nil {
		v.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if to.Host != v.at.Host {
		req.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	v.do(req)
}
