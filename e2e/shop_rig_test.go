package e2e

import (
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/testing/tooltest"
)

// mall is the service and the shops of docs/integrate.md, which use it: the same shop in
// three languages, each with its warehouse.
type mall struct {
	*rig
	*process         // the service
	api      *client // with the credentials of the shop
	other    *client // of another client, which the warehouses must not believe
	shops    []*shop
}

type shop struct {
	name           string
	url, warehouse string
	program        *process
	line           *line // between the shop and the service
}

// line is a connection to the service that loses calls while a test says so.
type line struct {
	*httptest.Server
	broken, deaf atomic.Bool  // calls do not arrive; answers do not
	lost         atomic.Int64 // calls that got no answer
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	l, proxy := new(line), httputil.NewSingleHostReverseProxy(target)
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.broken.Load() || l.deaf.Load() {
			l.lost.Add(1)
			if l.deaf.Load() {
				proxy.ServeHTTP(httptest.NewRecorder(), r)
			}
			panic(http.ErrAbortHandler) // closes the connection without an answer
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(l.Close)
	return l
}

// testNumbers have the code 424242, which proves nothing.
var testNumbers = map[string]string{"go": "+14155550101", "node": "+14155550102", "python": "+14155550103"}

// newMall starts all of them.
func newMall(t *testing.T) *mall {
	t.Helper()
	m := &mall{rig: newRig(t)}
	var returns []string
	for i, name := range []string{"go", "node", "python"} {
		s := &shop{name: name, url: "http://" + freeAddressOf(t, 2*i+1), warehouse: "http://" + freeAddressOf(t, 2*i+2)}
		m.shops = append(m.shops, s)
		for _, path := range []string{"/2fa/done", "/pay/done", "/security/done"} {
			returns = append(returns, `"`+s.url+path+`"`)
		}
	}
	a := newApps(t, func(id, entry string) string {
		return strings.Replace(entry, `["send", "check"]`, `["send", "check", "users", "alerts"], "return_urls": [`+strings.Join(returns, ", ")+`]`, 1)
	}, "shop", "newsletter")
	address := freeAddress(t)
	test := "TWOFA_TEST_NUMBERS=until=" + time.Now().AddDate(0, 0, 30).Format(time.DateOnly) + ", code=424242"
	for _, number := range testNumbers {
		test += ", " + number + "=delivered"
	}
	m.process = m.rig.process("TWOFA_ADDR="+address, "TWOFA_PUBLIC_URL=http://"+address, a.setting, test, noPause)
	m.api, m.other = a.as(m.process.client, "shop"), a.as(m.process.client, "newsletter")
	shops, warehouses := shopPrograms(t), warehousePrograms(t)
	for _, s := range m.shops {
		s.line = newLine(t, "http://"+address)
		env := []string{
			"TWOFA_URL=" + s.line.URL, "TWOFA_PUBLIC_URL=http://" + address, "TWOFA_CLIENT=shop", "TWOFA_CLIENT_SECRET=" + a.secrets["shop"],
			"SHOP_URL=" + s.url, "SHOP_ADDR=" + strings.TrimPrefix(s.url, "http://"),
			"WAREHOUSE_URL=" + s.warehouse + "/orders", "WAREHOUSE_ADDR=" + strings.TrimPrefix(s.warehouse, "http://"),
			"PYTHONDONTWRITEBYTECODE=1",
		}
		s.program = serveAt(t, s.url, env, shops[s.name])
		serveAt(t, s.warehouse, env, warehouses[s.name])
	}
	return m
}

// with is the same for a part of the test.
func (m *mall) with(t *testing.T) *mall {
	part, r := *m, *m.rig
	r.t, part.rig = t, &r
	return &part
}

// serveAt starts a program and waits until it answers.
func serveAt(t *testing.T, url string, env, command []string) *process {
	t.Helper()
	p := startProgram(t, t.TempDir(), env, nil, command[0], command[1:]...)
	waitFor(t, command[len(command)-1], func() bool {
		select {
		case <-p.exited:
			t.Fatalf("%s has ended: %s", command, p.stderr)
		default:
		}
		res, err := http.Get(url)
		return err == nil && res.Body.Close() == nil
	})
	return p
}

// freeAddress returns an address of loopback at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	return freeAddressOf(t, 0)
}

// freeAddressOf is freeAddress on an address of loopback that only program n (from 1) uses: else
// a server of another test can take the port before the program does, and answer in its place.
func freeAddressOf(t *testing.T, n int) string {
	t.Helper()
	host := "127.0.0.1"
	if n > 0 {
		host = fmt.Sprintf("127.0.8.%d", n)
	}
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// goProgram builds a Go program from a package or from files.
func goProgram(t *testing.T, sources ...string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", append([]string{"build", "-o", to}, sources...)...).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", sources, err, out)
	}
	return to
}

// python is the interpreter that has PyJWT.
func python(t *testing.T) string {
	t.Helper()
	return tooltest.Path(t, "/usr/bin/python3")
}

// absolute returns the path of a file in the repository.
func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// shopPrograms are the commands of the shops.
func shopPrograms(t *testing.T) map[string][]string {
	t.Helper()
	return map[string][]string{
		"go":     {goProgram(t, "twofa/examples/shop/go")},
		"node":   {tooltest.Path(t, "node"), absolute(t, "examples/shop/node/shop.mjs")},
		"python": {python(t), absolute(t, "examples/shop/python/shop.py")},
	}
}

// warehousePrograms are those of the warehouses: the check of docs/receipts.md, and what
// docs/integrate.md adds.
func warehousePrograms(t *testing.T) map[string][]string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, text)
		return path
	}
	if err := os.Symlink(absolute(t, "tools/node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	check := func(language string) string { return tooltest.CodeBlock(t, "docs/receipts.md", language, "") }
	order := func(language string) string {
		return tooltest.CodeBlock(t, "docs/integrate.md", language, "WAREHOUSE_ADDR")
	}
	return map[string][]string{
		"go":     {goProgram(t, write("receipts.go", strings.Replace(check("go"), "package receipts", "package main", 1)), write("warehouse.go", order("go")))},
		"node":   {tooltest.Path(t, "node"), write("warehouse.mjs", check("js")+order("js"))},
		"python": {python(t), write("warehouse.py", check("python")+order("python"))},
	}
}

// visitor is a browser without a screen. Its cookies are those of shop and service together,
// because a jar does not tell ports apart.
type visitor struct {
	t      *testing.T
	http   *http.Client
	at     *url.URL
	status int
	body   string
}

func newVisitor(t *testing.T) *visitor {
	jar, _ := cookiejar.New(nil)
	v := &visitor{t: t, http: &http.Client{Jar: jar}}
	v.moveTo("127.0.0.1")
	return v
}

// moveTo makes the browser call from another address of loopback.
func (v *visitor) moveTo(address string) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	v.t.Cleanup(transport.CloseIdleConnections)
	v.http.Transport = transport
}

func (v *visitor) do(req *http.Request) *visitor {
	v.t.Helper()
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.at, v.status, v.body = res.Request.URL, res.StatusCode, string(body)
	return v
}

func (v *visitor) get(address string) *visitor {
	v.t.Helper()
	req, err := http.NewRequest("GET", address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.do(req)
}

// follow follows a link of the page.
func (v *visitor) follow(link string) *visitor {
	v.t.Helper()
	to, err := v.at.Parse(link)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.get(to.String())
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// form returns the address and the hidden fields of a form of the page.
func (v *visitor) form(action string) (address string, hidden url.Values) {
	v.t.Helper()
	m := regexp.MustCompile(`(?s)<form [^>]*action="` + action + `"[^>]*>(.*?)</form>`).FindStringSubmatch(v.body)
	if m == nil {
		v.t.Fatalf("no form %s on the page %d of %s: %s", action, v.status, v.at.Path, v.body)
	}
	to, err := v.at.Parse(action)
	if err != nil {
		v.t.Fatal(err)
	}
	hidden = url.Values{}
	for _, field := range hiddenInput.FindAllStringSubmatch(m[1], -1) {
		hidden.Set(field[1], html.UnescapeString(field[2]))
	}
	return to.String(), hidden
}

// post fills in a form of the page and sends it. The fields are names and values in turn.
func (v *visitor) post(action string, fields ...string) *visitor {
	v.t.Helper()
	address, form := v.form(action)
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	req, err := http.NewRequest("POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.do(req)
}

// twice sends a form twice, as a double click does. The visitor sees the second answer.
func (v *visitor) twice(action string, fields ...string) *visitor {
	v.t.Helper()
	page := *v
	page.post(action, fields...)
	return v.post(action, fields...)
}

func (v *visitor) sees(want string) *visitor {
	v.t.Helper()
	if !strings.Contains(html.UnescapeString(v.body), want) {
		v.t.Fatalf("the page %d of %s does not say %q: %s", v.status, v.at.Path, want, v.body)
	}
	return v
}

var goesOn = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]*)"`)

// next is the address to which the page goes on by itself.
func (v *visitor) next() string {
	v.t.Helper()
	m := goesOn.FindStringSubmatch(v.body)
	if m == nil {
		v.t.Fatalf("the page %d of %s does not go on: %s", v.status, v.at.Path, v.body)
	}
	return html.UnescapeString(m[1])
}

// proves types a code on the service's page, and returns the way back to the shop.
func (v *visitor) proves(code string) string {
	v.t.Helper()
	return v.post("/verify/check/code", "code", code).next()
}

// edited is an address with another value of a parameter.
func edited(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return fmt.Sprint(u)
}
