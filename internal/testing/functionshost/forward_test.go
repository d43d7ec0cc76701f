package functionshost_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
)

func TestForwardedURL(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	for _, c := range []struct{ name, sent, want string }{
		{"plain", "/echo/a/b", "/echo/a/b"},
		{"no query", "/echo?", "/echo"},
		{"an escaped slash survives", "/echo/a%2Fb", "/echo/a%2Fb"},
		{"needless escapes are decoded", "/echo/%61%7E", "/echo/a~"},
		{"needed escapes stay", "/echo/a%20b%C3%BC%25", "/echo/a%20b%C3%BC%25"},
		{"case stays", "/ECHO/A", "/ECHO/A"},
		{"repeated keys are joined", "/echo?a=1&b=x&a=2", "/echo?a=1,2&b=x"},
		{"keys are the same in any case", "/echo?a=1&A=2", "/echo?a=1,2"},
		{"plus is a space", "/echo?a=1+2&b=%2B", "/echo?a=1%202&b=%2B"},
		{"a key alone gets an empty value", "/echo?a&b=", "/echo?a=&b="},
		{"a question mark ends the path", "/echo/a%3Fb?c=1", "/echo/a?c=1"},
		// One function was matched, but the handler gets the path of another function.
		{"escaped twice climbs", "/echo/%252e%252e/other", "/other"},
		{"backslashes climb", "/echo/..%5C..%5Cother", "/other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := callEcho(t, http.MethodGet, h.URL()+c.sent, nil, nil); got.URI != c.want {
				t.Errorf("%s reached the handler as %s, want %s", c.sent, got.URI, c.want)
			}
		})
	}
	wantStatus(t, h.URL()+"/echo/%00", http.StatusBadRequest)
}

func TestForwardedBody(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	header := http.Header{"Content-Type": {"text/x-test"}}
	t.Run("with a length", func(t *testing.T) {
		got := callEcho(t, http.MethodPost, h.URL()+"/echo", strings.NewReader("body"), header)
		if got.Method != http.MethodPost || got.Body != "body" || got.Length != 4 || got.Header.Get("Content-Type") != "text/x-test" {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("chunked", func(t *testing.T) {
		got := callEcho(t, http.MethodPost, h.URL()+"/echo", io.MultiReader(strings.NewReader("body")), header)
		if got.Body != "" || got.Length != 0 || got.Chunked || got.Header.Get("Content-Type") != "" {
			t.Errorf("the body was not lost: %+v", got)
		}
	})
	t.Run("none", func(t *testing.T) {
		got := callEcho(t, http.MethodPost, h.URL()+"/echo", nil, header)
		if got.Header.Get("Content-Type") != "" {
			t.Errorf("Content-Type without a body: %+v", got)
		}
	})
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	// The host refuses the request by its length, so the body is not sent.
	c, err := net.Dial("tcp4", strings.TrimPrefix(h.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 104857601\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("HTTP/1.1 413"))
	if _, err := io.ReadFull(c, line); err != nil || string(line) != "HTTP/1.1 413" {
		t.Errorf("answer %q, %v", line, err)
	}
}

func TestForwardedHeaders(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	got := callEcho(t, http.MethodPost, h.URL()+"/echo", strings.NewReader("x"), http.Header{
		"Host":             {"app.example"},
		"Authorization":    {"Bearer token"},
		"X-Forwarded-For":  {"192.0.2.1", "192.0.2.2"},
		"Cookie":           {"a=1"},
		"User-Agent":       {"client/1"},
		"Accept-Encoding":  {"br"},
		"Content-Encoding": {"gzip"},
		"Content-Language": {"en"},
		"Content-Md5":      {"x"},
		"Expires":          {"0"},
		"Last-Modified":    {"0"},
	})
	if got.Host != "app.example" {
		t.Errorf("Host %q", got.Host)
	}
	for name, want := range map[string]string{
		"Authorization":                 "Bearer token",
		"X-Forwarded-For":               "192.0.2.1, 192.0.2.2",
		"Cookie":                        "a=1",
		"User-Agent":                    "client/1 Azure-Functions-Host/4.1052.100",
		"Accept-Encoding":               "br",
		"X-Azure-Functions-Hostversion": "4.1052.100",
		"Content-Length":                "1",
		"Content-Encoding":              "",
		"Content-Language":              "",
		"Content-Md5":                   "",
		"Expires":                       "",
		"Last-Modified":                 "",
	} {
		if value := strings.Join(got.Header[name], "|"); value != want {
			t.Errorf("%s: %q, want %q", name, value, want)
		}
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	id := got.Header.Get("X-Azure-Functions-InvocationId")
	if !uuid.MatchString(id) {
		t.Errorf("invocation id %q", id)
	}
	again := callEcho(t, http.MethodGet, h.URL()+"/echo", nil, http.Header{"X-Azure-Functions-Invocationid": {"client's"}})
	if other := again.Header.Get("X-Azure-Functions-InvocationId"); !strings.HasPrefix(other, "client's, ") || strings.HasSuffix(other, id) {
		t.Errorf("invocation id %q, want the client's id first", other)
	}
	if values, ok := again.Header["Accept-Encoding"]; ok {
		t.Errorf("Accept-Encoding %q, which the client did not send", values)
	}
}

func TestAnswerIsReturnedWhole(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	response, body := call(t, http.MethodGet, h.URL()+"/do/stream", nil, nil)
	if response.StatusCode != http.StatusAccepted || string(body) != "partpartpart" || response.Header.Get("X-Own") != "value" {
		t.Errorf("%v with %q", response, body)
	}
	if response.ContentLength != 12 || len(response.TransferEncoding) > 0 {
		t.Errorf("the answer was streamed: length %d, encoding %v", response.ContentLength, response.TransferEncoding)
	}
	response, _ = call(t, http.MethodGet, h.URL()+"/do/redirect", nil, nil)
	if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/do/elsewhere" {
		t.Errorf("the redirect came back as %v", response)
	}
	response, body = call(t, http.MethodHead, h.URL()+"/echo", nil, nil)
	if response.StatusCode != http.StatusOK || len(body) > 0 || response.ContentLength <= 0 {
		t.Errorf("HEAD gave %v with %q", response, body)
	}
}

func TestFunctionTimeout(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{FunctionTimeout: 100 * time.Millisecond})
	await(t, h, functionshost.Running)
	gate := filepath.Join(t.TempDir(), "gate")
	wantStatus(t, h.URL()+"/do/wait?for="+gate, http.StatusInternalServerError)
	if e := awaitLine(t, h, "exceeded functionTimeout"); e.Level != functionshost.Error {
		t.Errorf("logged %+v", e)
	}
	touch(t, gate) // the handler still works on the request
	awaitLine(t, h, "finished")
}

func TestHandlerDoesNotNoticeThatTheClientHasLeft(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	gate := filepath.Join(t.TempDir(), "gate")
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL()+"/do/wait?for="+gate, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if response, err := client.RoundTrip(r); err == nil {
			_ = response.Body.Close()
			t.Error("answered before the gate was open")
		}
	}()
	awaitLine(t, h, "waiting")
	leave()
	<-gone
	// The handler would need a moment to notice.
	time.Sleep(50 * time.Millisecond)
	touch(t, gate)
	e, err := h.AwaitLog(timeLimit(t), func(e functionshost.Entry) bool { return slices.Contains([]string{"finished", "canceled"}, e.Text) })
	if err != nil || e.Text != "finished" {
		t.Errorf("the handler's work: %+v, %v", e, err)
	}
}

func TestRouting(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{
		"host.json":               strings.Replace(hostJSON, `"routePrefix": ""`, `"routePrefix": "api"`, 1),
		"posts/function.json":     httpFunction("items/{id?}", "anonymous", "post", "Put"),
		"unnamed/function.json":   httpFunction("", "anonymous"),
		"everything/readme.txt":   "a folder without function.json is no function",
		"everything/sub/function": "{",
	})
	h := start(t, functionshost.Options{Root: dir})
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/api/echo", 200},
		{"GET", "/API/Echo", 200},
		{"GET", "/echo", 404}, // without the prefix
		{"POST", "/api/items", 200},
		{"PUT", "/api/items/1", 200},
		{"GET", "/api/items/1", 404},
		{"POST", "/api/items/1/2", 404},
		{"GET", "/api/unnamed", 200}, // without a route, the name is the route
		{"GET", "/", 404},
		{"GET", "/api/tick", 404}, // a timer has no route
		{"GET", "/tick", 404},
		{"POST", "/tick", 404},
	} {
		response, body := call(t, c.method, h.URL()+c.path, nil, nil)
		if response.StatusCode != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, response.StatusCode, c.want)
		}
		if c.want == 404 && len(body) > 0 {
			t.Errorf("%s %s: the handler answered: %q", c.method, c.path, body)
		}
	}
}

func TestDefaultRoutePrefix(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{Root: newApp(t, files{"host.json": strings.Replace(hostJSON, `"routePrefix": ""`, "", 1)})})
	for path, want := range map[string]int{"/api/echo": 200, "/echo": 404} {
		wantStatus(t, h.URL()+path, want)
	}
}

func TestAdminNeverReachesTheHandler(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{"all/function.json": httpFunction("{*path}", "anonymous")})
	h := start(t, functionshost.Options{Root: dir})
	for path, want := range map[string]int{
		"/other": 200, "/administration": 200, "/admin": 404, "/admin/host/status": 404, "/Admin/x": 404, "/%61dmin/x": 404, "/x/../admin/x": 404,
	} {
		wantStatus(t, h.URL()+path, want)
	}
}

func TestLoadOrderDecides(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{
		"aaa/function.json": httpFunction("twice/{*path}", "anonymous"),
		"zzz/function.json": httpFunction("twice/{id}", "function"),
	})
	for reverse, want := range map[bool]int{false: http.StatusOK, true: http.StatusUnauthorized} {
		h := start(t, functionshost.Options{Root: dir, ReverseRoutes: reverse})
		wantStatus(t, h.URL()+"/twice/1", want)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{
		"open/function.json":   httpFunction("open", "anonymous"),
		"keyed/function.json":  httpFunction("keyed", "function"),
		"other/function.json":  httpFunction("other", ""), // the default is function
		"master/function.json": httpFunction("master", "ADMIN"),
	})
	given := map[string]string{"keyed": "keyed-key"}
	h := start(t, functionshost.Options{Root: dir, Keys: functionshost.Keys{Master: "master-key", Host: "host-key", Functions: given}})
	if len(given) != 1 {
		t.Errorf("the caller's map was changed: %v", given)
	}
	made := h.Keys().Functions["other"]
	if made == "" || made == h.Keys().Functions["master"] {
		t.Fatalf("keys %+v", h.Keys())
	}
	for _, c := range []struct {
		path, header, query string
		want                int
	}{
		{"open", "", "", 200},
		{"open", "wrong", "", 200},
		{"keyed", "", "", 401},
		{"keyed", "keyed-key", "", 200},
		{"keyed", "host-key", "", 200},
		{"keyed", "master-key", "", 200},
		{"keyed", made, "", 401},
		{"keyed", "", "?code=keyed-key", 200},
		{"keyed", "", "?CODE=keyed-key", 200},
		{"keyed", "", "?code=wrong", 401},
		{"keyed", "", "?code=", 401},
		{"keyed", "wrong", "?code=keyed-key", 401}, // the header decides
		{"keyed", "keyed-key", "?code=wrong", 200},
		{"other", "", "", 401},
		{"other", made, "", 200},
		{"other", "keyed-key", "", 401},
		{"master", "master-key", "", 200},
		{"master", "host-key", "", 401},
		{"master", h.Keys().Functions["master"], "", 401},
	} {
		header := make(http.Header)
		if c.header != "" {
			header.Set("X-Functions-Key", c.header)
		}
		response, body := call(t, http.MethodGet, h.URL()+"/"+c.path+c.query, nil, header)
		if response.StatusCode != c.want {
			t.Errorf("%+v: %d", c, response.StatusCode)
		}
		if c.want == 401 && len(body) > 0 {
			t.Errorf("%+v: 401 with a body: %q", c, body)
		}
		if c.want == 200 {
			got := decode[seen](t, body)
			if got.Header.Get("X-Functions-Key") != c.header || !strings.EqualFold(got.URI, "/"+c.path+c.query) {
				t.Errorf("%+v: the key did not reach the handler: %+v", c, got)
			}
		}
	}
}

func TestCoreToolsAsksForNoKeys(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{"keyed/function.json": httpFunction("keyed", "function")})
	h := start(t, functionshost.Options{Root: dir, Mode: functionshost.CoreTools})
	wantStatus(t, h.URL()+"/keyed", http.StatusOK)
}

func TestEdge(t *testing.T) {
	t.Parallel()
	sent := http.Header{
		"Host":              {"app.example"},
		"X-Forwarded-For":   {"192.0.2.1"},
		"X-Forwarded-Proto": {"http"},
		"Client-Ip":         {"192.0.2.1"},
		"Disguised-Host":    {"evil.example"},
		"X-Arr-Log-Id":      {"mine"},
	}
	plain := start(t, functionshost.Options{})
	got := callEcho(t, http.MethodGet, plain.URL()+"/echo", nil, sent)
	for name := range sent {
		if name != "Host" && got.Header.Get(name) != sent.Get(name) {
			t.Errorf("without the edge, %s: %q", name, got.Header.Get(name))
		}
	}
	edge := start(t, functionshost.Options{Edge: true})
	got = callEcho(t, http.MethodGet, edge.URL()+"/echo", nil, sent)
	for name, want := range map[string]string{
		"X-Forwarded-For":   `^192\.0\.2\.1, 127\.0\.0\.1:\d+$`,
		"X-Forwarded-Proto": `^https$`,
		"Client-Ip":         `^127\.0\.0\.1:\d+$`,
		"Disguised-Host":    `^app\.example$`,
		"X-Arr-Log-Id":      `^[0-9a-f-]{36}$`,
	} {
		if value := got.Header.Get(name); !regexp.MustCompile(want).MatchString(value) {
			t.Errorf("%s: %q, want %s", name, value, want)
		}
	}
	got = callEcho(t, http.MethodGet, edge.URL()+"/echo", nil, nil)
	if value := got.Header.Get("X-Forwarded-For"); !strings.HasPrefix(value, "127.0.0.1:") {
		t.Errorf("X-Forwarded-For of a client that sent none: %q", value)
	}
}
