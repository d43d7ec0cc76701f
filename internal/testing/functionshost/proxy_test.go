package functionshost_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
)

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	h := startQuick(t, functionshost.Options{})
	lines := func(n int) string { return strings.Repeat("A: b\r\n", n) }
	for _, c := range []struct {
		name, head string
		want       int
	}{
		{"a line of 8,192 bytes", "GET /echo?" + strings.Repeat("x", 8192-len("GET /echo? HTTP/1.1\r\n")) + " HTTP/1.1\r\nHost: h\r\n", 200},
		{"a longer line", "GET /echo?" + strings.Repeat("x", 8193-len("GET /echo? HTTP/1.1\r\n")) + " HTTP/1.1\r\nHost: h\r\n", 414},
		{"a very long line", "GET /" + strings.Repeat("x", 100_000) + " HTTP/1.1\r\nHost: h\r\n", 414},
		{"100 headers", "GET /echo HTTP/1.1\r\nHost: h\r\n" + lines(99), 200},
		{"101 headers", "GET /echo HTTP/1.1\r\nHost: h\r\n" + lines(100), 431},
		{"32 KiB of headers", "GET /echo HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("x", 32<<10-len("Host: h\r\nA: \r\n")) + "\r\n", 200},
		{"more than 32 KiB", "GET /echo HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("x", 32<<10-len("Host: h\r\nA: \r\n")+1) + "\r\n", 431},
		{"a blank in the target", "GET /echo/a b HTTP/1.1\r\nHost: h\r\n", 400},
		{"no protocol", "GET /echo\r\nHost: h\r\n", 400},
		{"a star", "OPTIONS * HTTP/1.1\r\nHost: h\r\n", 400},
		{"a relative target", "GET echo HTTP/1.1\r\nHost: h\r\n", 400},
		{"another host's absolute form", "GET http://other/echo HTTP/1.1\r\nHost: h\r\n", 400},
		{"another port", "GET http://h:81/echo HTTP/1.1\r\nHost: h\r\n", 400},
		{"absolute form with a port", "GET http://h:81/echo HTTP/1.1\r\nHost: h:81\r\n", 200},
		{"the scheme's port", "GET http://h/echo HTTP/1.1\r\nHost: h:80\r\n", 200},
		{"a UTF-8 header", "GET /echo HTTP/1.1\r\nHost: h\r\nName: Zoë\r\n", 500},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := rawCall(t, h, c.head+"\r\n"); got.StatusCode != c.want {
				t.Errorf("status %d, want %d", got.StatusCode, c.want)
			}
		})
	}
}

// The path that was matched, and the path that arrives. Only a target in absolute form climbs
// out of its function, and only out of a catch-all.
func TestAbsoluteFormClimbs(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{Root: newApp(t, files{
		"do/function.json": "", "echo/function.json": "",
		"all/function.json":   httpFunction("all/{*path}", "anonymous"),
		"shut/function.json":  httpFunction("shut/{a:regex(^[^.])}/{b:regex(^[^.])?}/{c:regex(^[^.])?}", "anonymous"),
		"alpha/function.json": httpFunction("alpha/{a:alpha}", "anonymous"),
		"keyed/function.json": httpFunction("api/keyed", "function"),
	})})
	for _, c := range []struct {
		target, want string // what reaches the handler, or the status
	}{
		{"/api/keyed", "401"},
		{"/all/../api/keyed", "401"},
		{"/all/%2e%2e/api/keyed", "401"},
		{"/all/..%2fapi/keyed", "/all/..%252fapi/keyed"},
		{"/all/..%5Capi/keyed", "/all/..%5Capi/keyed"},
		{"/all/%252e%252e/api/keyed", "/all/%252e%252e/api/keyed"},
		{"http://h/api/keyed", "401"},
		{"http://h/all/../api/keyed", "401"},
		{"http://h/all/..%2fapi/keyed", "/api/keyed"},
		{"http://h/all/x/..%2f..%2fpurge", "/purge"},
		{"http://h/shut/..%2fapi/keyed", "404"},
		{"http://h/shut/x/..%2f..%2fapi", "404"},
		{"http://h/shut/x%2fy", "/shut/x/y"},
		{"http://h/alpha/..%2fapi%2fkeyed", "404"},
		{"/ALPHA/%73tatus/", "/ALPHA/status/"},
		{"/alpha/status%0A", "/alpha/status%0A"},
		{"/alpha/status%0A%0A", "404"},
	} {
		response := rawCall(t, h, "POST "+c.target+" HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		got := response.Header.Get("X-Arrived")
		if response.StatusCode != 200 {
			got = fmt.Sprint(response.StatusCode)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.target, got, c.want)
		}
	}
}

func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	sent := http.Header{
		"Host":                           {"app.example"},
		"Authorization":                  {"Bearer token"},
		"X-Forwarded-For":                {"192.0.2.1"},
		"X-Forwarded-Host":               {"evil.example"},
		"X-Forwarded-Proto":              {"https"},
		"X-Azure-Functions-Invocationid": {"mine"},
		"X-Azure-Functions-Hostversion":  {"mine"},
		"X-Ms-Invocation-Id":             {"mine"},
		"Cookie":                         {"a=1", "b=2"},
		"X-Functions-Key":                {"k1", "k2"},
		"User-Agent":                     {"client/1"},
		"Accept-Encoding":                {"br"},
		"Content-Encoding":               {"gzip"},
		"Expect":                         {"100-continue"},
		"If-None-Match":                  {"*"},
		"Range":                          {"bytes=0-1"},
		"Traceparent":                    {"00-1-2-00"},
		"Client-Ip":                      {"192.0.2.1"},
		"Forwarded":                      {"for=x"},
		"X-Forwarded-Prefix":             {"/x"},
		"Keep-Alive":                     {"x"},
		"Te":                             {"trailers"},
		"Upgrade":                        {"h2c"},
		"Connection":                     {"Upgrade"},
		"Upgrade-Insecure-Requests":      {"1"},
		"Proxy-Authorization":            {"x"},
		"Proxy-Connection":               {"x"},
	}
	got := callEcho(t, http.MethodPost, h.URL()+"/echo", strings.NewReader("x"), sent)
	id := got.Header.Get("X-Ms-Invocation-Id")
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("the invocation id is %q", id)
	}
	if !regexp.MustCompile(`^127\.0\.0\.1:\d+$`).MatchString(got.Host) {
		t.Errorf("Host %q", got.Host)
	}
	want := http.Header{
		"Authorization":                  {"Bearer token"},
		"X-Forwarded-For":                {"127.0.0.1"},
		"X-Forwarded-Host":               {"app.example"},
		"X-Forwarded-Proto":              {"http"},
		"X-Azure-Functions-Invocationid": {id},
		"X-Azure-Functions-Hostversion":  {"4.1037.0.0"},
		"X-Ms-Invocation-Id":             {id},
		"Cookie":                         {"a=1; b=2"},
		"X-Functions-Key":                {"k1, k2"},
		"User-Agent":                     {"client/1"},
		"Accept-Encoding":                {"br"},
		"Content-Encoding":               {"gzip"},
		"Content-Length":                 {"1"},
		"Expect":                         {"100-continue"},
		"If-None-Match":                  {"*"},
		"Range":                          {"bytes=0-1"},
		"Traceparent":                    {"00-1-2-00"},
		"Client-Ip":                      {"192.0.2.1"},
	}
	if !maps.EqualFunc(got.Header, want, func(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }) {
		t.Errorf("got %v, want %v", got.Header, want)
	}
	if all := h.Invocations(); len(all) != 1 || all[0] != (functionshost.Invoked{ID: id, Function: "echo", Deliveries: 1}) {
		t.Errorf("invocations %+v", all)
	}
	// The host adds nothing else.
	got = callEcho(t, http.MethodGet, h.URL()+"/echo", nil, http.Header{"User-Agent": {""}})
	for name := range got.Header {
		if !strings.HasPrefix(name, "X-Forwarded-") && !strings.HasPrefix(name, "X-Azure-Functions-") && name != "X-Ms-Invocation-Id" {
			t.Errorf("the host has added %s: %q", name, got.Header[name])
		}
	}
}

func TestRequestBody(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	header := http.Header{"Content-Type": {"text/x-test"}}
	for _, c := range []struct {
		name    string
		body    io.Reader
		text    string
		chunked bool
		length  string
	}{
		{"with a length", strings.NewReader("body"), "body", false, "4"},
		{"chunked", io.MultiReader(strings.NewReader("body")), "body", true, ""},
		{"chunked and empty", io.MultiReader(strings.NewReader("")), "", true, ""},
		{"length 0", http.NoBody, "", false, "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := callEcho(t, http.MethodPost, h.URL()+"/echo", c.body, header)
			if got.Method != http.MethodPost || got.Body != c.text || got.Chunked != c.chunked || got.Header.Get("Content-Length") != c.length {
				t.Errorf("got %+v", got)
			}
			if got.Header.Get("Content-Type") != "text/x-test" {
				t.Errorf("got %+v", got)
			}
		})
	}
	t.Run("a POST without a length", func(t *testing.T) {
		response := rawCall(t, h, "POST /echo HTTP/1.1\r\nHost: h\r\n\r\n")
		body, _ := io.ReadAll(response.Body)
		if got := decode[seen](t, body); got.Header["Content-Length"] != nil || got.Chunked {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("chunks are streamed", func(t *testing.T) {
		// The handler has the first chunk before the client sends the second.
		gate := filepath.Join(t.TempDir(), "gate")
		body, write := io.Pipe()
		r, err := http.NewRequestWithContext(timeLimit(t), http.MethodPost, h.URL()+"/do/first?for="+gate, body)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = io.WriteString(write, "first")
			awaitFile(t.Context(), gate)
			_, _ = io.WriteString(write, " second")
			_ = write.Close()
		}()
		response, err := client.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if text, _ := io.ReadAll(response.Body); string(text) != "first second" {
			t.Errorf("answered %q", text)
		}
	})
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	h := startQuick(t, functionshost.Options{})
	// The length alone is enough. A chunked body is counted. The limit of startQuick is 30 MB.
	if got := rawCall(t, h, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 31457281\r\n\r\n"); got.StatusCode != http.StatusInternalServerError {
		t.Errorf("a length over the limit: status %d", got.StatusCode)
	}
	for size, want := range map[int]int{30 << 20: http.StatusOK, 30<<20 + 1: http.StatusInternalServerError} {
		response, _ := call(t, http.MethodPost, h.URL()+"/do/count", io.MultiReader(bytes.NewReader(make([]byte, size))), nil)
		if response.StatusCode != want {
			t.Errorf("%d bytes in chunks: status %d, want %d", size, response.StatusCode, want)
		}
	}
	for size, want := range map[int]int{1 << 20: http.StatusRequestEntityTooLarge, 20 << 20: http.StatusInternalServerError} {
		response, _ := call(t, http.MethodPost, h.URL()+"/do/early", bytes.NewReader(make([]byte, size)), nil)
		if response.StatusCode != want {
			t.Errorf("an early 413 for %d bytes: status %d, want %d", size, response.StatusCode, want)
		}
	}
	response, text := call(t, http.MethodPost, h.URL()+"/do/count", bytes.NewReader(make([]byte, 20<<20)), nil)
	if response.StatusCode != http.StatusOK || string(text) != fmt.Sprint(20<<20) {
		t.Errorf("20 MB that the handler reads: %d %s", response.StatusCode, text)
	}
	// A chunked body may be answered before its end.
	response = rawCall(t, h, "POST /do/early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("an early 413 for chunks: status %d", response.StatusCode)
	}
}

func TestReplies(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	response, body := call(t, http.MethodGet, h.URL()+"/do/headers", nil, nil)
	if response.StatusCode != http.StatusUnauthorized || len(response.Header.Values("Set-Cookie")) != 2 || response.Header.Get("Www-Authenticate") != "Basic" {
		t.Errorf("got %v", response)
	}
	for _, name := range []string{"Alt-Svc", "Keep-Alive", "Upgrade", "Trailer", "X-Late", "Content-Type", "Link"} {
		if response.Header[name] != nil || response.Trailer[name] != nil {
			t.Errorf("%s has reached the client: %v %v", name, response.Header, response.Trailer)
		}
	}
	if string(body) != "text" {
		t.Errorf("body %q", body)
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

// The first part of an answer reaches the client before the handler has the second.
func TestRepliesStream(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	gate := filepath.Join(t.TempDir(), "gate")
	response := rawCall(t, h, "GET /do/stream?for="+gate+" HTTP/1.1\r\nHost: h\r\n\r\n")
	first := make([]byte, 5)
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("got %q, %v", first, err)
	}
	touch(t, gate)
	if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != " second" {
		t.Errorf("got %q, %v", rest, err)
	}
	// An answer that breaks off reaches the client as broken.
	response = rawCall(t, h, "GET /do/break HTTP/1.1\r\nHost: h\r\n\r\n")
	if rest, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the broken answer %q has an end", rest)
	}
}

// Each of these answers is a 500 for the client, and the handler has run once.
func TestRefusedReplies(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"UTF-8 in a header":        "HTTP/1.1 200 OK\r\nX-Name: Zoë\r\nContent-Length: 0\r\n\r\n",
		"control byte in a header": "HTTP/1.1 200 OK\r\nX-Name: a\x01b\r\nContent-Length: 0\r\n\r\n",
		"205":                      "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
		"101":                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startQuick(t, functionshost.Options{Env: []string{storage, "HANDLER_RAW=" + answer}})
			response, body := call(t, http.MethodGet, h.URL()+"/echo", nil, nil)
			if response.StatusCode != http.StatusInternalServerError || len(body) > 0 {
				t.Errorf("status %d %q", response.StatusCode, body)
			}
			if all := h.Invocations(); all[0].Deliveries != 1 {
				t.Errorf("%+v, want 1 delivery", all)
			}
		})
	}
	h := startQuick(t, functionshost.Options{Env: []string{storage, "HANDLER_RAW=HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"}})
	wantStatus(t, h.URL()+"/echo", http.StatusCreated) // after a 1xx
}

// How often the handler gets a request, by what it does and by the kind of body.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	const noBody, emptyBody, withBody = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n", "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
	for _, c := range []struct {
		behavior, kind, request   string
		deliveries, tries, status int
	}{
		{"refuse", "no body", noBody, 0, 10, 500},
		{"refuse", "length 0", emptyBody, 0, 10, 500},
		{"refuse", "with a body", withBody, 0, 10, 500},
		{"close", "no body", noBody, 40, 40, 500},
		{"close", "length 0", emptyBody, 10, 10, 500},
		{"close", "with a body", withBody, 1, 1, 500},
		{"reset", "no body", noBody, 10, 10, 500},
		{"reset", "length 0", emptyBody, 10, 10, 500},
		{"reset", "with a body", withBody, 1, 1, 500},
		{"garbage", "no body", noBody, 10, 10, 500},
		{"garbage", "length 0", emptyBody, 10, 10, 500},
		{"garbage", "with a body", withBody, 1, 1, 500},
		{"answer", "no body", noBody, 1, 1, 503},
		{"answer", "length 0", emptyBody, 1, 1, 503},
		{"answer", "with a body", withBody, 1, 1, 503},
	} {
		t.Run(c.behavior+", "+c.kind, func(t *testing.T) {
			t.Parallel()
			gate := filepath.Join(t.TempDir(), "gate")
			h := startQuick(t, functionshost.Options{Env: []string{storage, "HANDLER_RAW=" + c.behavior, "HANDLER_GATE_2=" + gate}})
			await(t, h, functionshost.Running)
			if c.behavior == "refuse" {
				awaitLine(t, h, "closed")
			}
			response := rawCall(t, h, c.request)
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != c.status || len(body) > 0 {
				t.Errorf("status %d %q, want %d without a body", response.StatusCode, body, c.status)
			}
			all := h.Invocations()
			if all[0].Deliveries != c.deliveries || h.Tries() != c.tries {
				t.Errorf("%d deliveries in %d tries, want %d in %d", all[0].Deliveries, h.Tries(), c.deliveries, c.tries)
			}
			kill(t, h) // so that all its output is read
			if got := countLines(h, "delivered "+all[0].ID); got != c.deliveries {
				t.Errorf("the handler has got the request %d times with its id, want %d", got, c.deliveries)
			}
		})
	}
}

// A handler that is back in time gets the request, also one with a body.
func TestRefusedConnectionsLoseNothing(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	h := startBy(t, functionshost.StartPatient, functionshost.Options{Env: []string{storage, "HANDLER_RAW=refuse", "HANDLER_GATE_2=" + gate}})
	awaitLine(t, h, "closed")
	answered := make(chan int, 1)
	go func() {
		response, err := http.Post(h.URL()+"/echo", "text/plain", strings.NewReader("x"))
		if err != nil {
			answered <- 0
			return
		}
		_ = response.Body.Close()
		answered <- response.StatusCode
	}()
	for h.Tries() < 2 {
		time.Sleep(time.Millisecond)
	}
	touch(t, gate)
	if status := <-answered; status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want the handler's own 503", status)
	}
	if all := h.Invocations(); all[0].Deliveries != 1 {
		t.Errorf("%+v, want 1 delivery", all)
	}
}

func countLines(h *functionshost.Host, text string) (n int) {
	for _, e := range h.Logs() {
		if e.Text == text {
			n++
		}
	}
	return n
}

// At functionTimeout the handler is killed, with all that is in flight. That is no error of
// the handler.
func TestFunctionTimeoutKills(t *testing.T) {
	t.Parallel()
	h := startQuick(t, functionshost.Options{FunctionTimeout: time.Second})
	for round := range 4 { // more than the number of errors that stop the host
		await(t, h, functionshost.Running)
		never := filepath.Join(t.TempDir(), "never")
		first := getLater(t, h.URL()+"/do/wait?for="+never)
		for len(h.Invocations()) == 2*round {
			time.Sleep(time.Millisecond)
		}
		if round == 0 {
			time.Sleep(500 * time.Millisecond) // so that the second one's own time is not over
		}
		second := getLater(t, h.URL()+"/do/wait?for="+never)
		for _, answered := range []<-chan int{first, second} {
			if status := <-answered; status != http.StatusInternalServerError {
				t.Errorf("status %d", status)
			}
		}
		awaitExits(t, h, round+1)
	}
	await(t, h, functionshost.Running)
	wantStatus(t, h.URL()+"/echo", http.StatusOK)
	for i, v := range h.Invocations() {
		if v.Deliveries != 1 {
			t.Errorf("request %d: %d deliveries", i, v.Deliveries)
		}
	}
	if e := awaitLine(t, h, "exceeded functionTimeout"); e.Level != functionshost.Error {
		t.Errorf("logged %+v", e)
	}
	wantExits(t, h, 137, 137, 137, 137)
}

// The time that a request waits for a starting handler counts.
func TestWaitingCountsIntoFunctionTimeout(t *testing.T) {
	t.Parallel()
	h := startQuick(t, functionshost.Options{FunctionTimeout: 100 * time.Millisecond, Env: []string{storage, "HANDLER_GATE=" + filepath.Join(t.TempDir(), "never")}})
	wantStatus(t, h.URL()+"/echo", http.StatusInternalServerError)
	awaitLine(t, h, "not running: the function exceeded functionTimeout")
	awaitExits(t, h, 1)
	wantExits(t, h, 137)
	if all := h.Invocations(); all[0].Deliveries != 0 {
		t.Errorf("%+v, want no delivery", all)
	}
}

// When the client leaves, the handler's connection is closed, and the request is not repeated.
func TestHandlerNoticesThatTheClientHasLeft(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{})
	for kind, body := range map[string]io.Reader{"no body": nil, "a body": strings.NewReader("x"), "chunks": io.MultiReader(strings.NewReader("x"))} {
		t.Run(kind, func(t *testing.T) {
			before, count := countLines(h, "canceled"), len(h.Invocations())
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL()+"/do/wait?for="+filepath.Join(t.TempDir(), "never"), body)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if response, err := client.RoundTrip(r); err == nil {
					_ = response.Body.Close()
					t.Error("answered")
				}
			}()
			for len(h.Invocations()) == count || h.Invocations()[count].Deliveries == 0 || countLines(h, "waiting") == before {
				time.Sleep(time.Millisecond)
			}
			leave()
			for countLines(h, "canceled") == before {
				if timeLimit(t).Err() != nil {
					t.Fatal("the handler has not noticed it")
				}
				time.Sleep(time.Millisecond)
			}
			if all := h.Invocations(); all[count].Deliveries != 1 {
				t.Errorf("%+v, want 1 delivery", all)
			}
		})
	}
}

func TestEdge(t *testing.T) {
	t.Parallel()
	sent := http.Header{
		"Host":              {"app.example"},
		"X-Forwarded-For":   {"192.0.2.1", "192.0.2.2"},
		"X-Forwarded-Proto": {"http"},
		"Client-Ip":         {"192.0.2.1"},
		"Disguised-Host":    {"evil.example"},
		"X-Arr-Log-Id":      {"mine"},
	}
	h := start(t, functionshost.Options{Edge: true})
	got := callEcho(t, http.MethodGet, h.URL()+"/echo", nil, sent)
	for name, want := range map[string]string{
		"X-Forwarded-For":   `^192\.0\.2\.1, 192\.0\.2\.2, 127\.0\.0\.1:\d+$`,
		"X-Forwarded-Proto": `^https$`,
		"X-Forwarded-Host":  `^app\.example$`,
		"Client-Ip":         `^127\.0\.0\.1:\d+$`,
		"Disguised-Host":    `^app\.example$`,
		"X-Arr-Log-Id":      `^[0-9a-f-]{36}$`,
	} {
		if value := got.Header.Get(name); !regexp.MustCompile(want).MatchString(value) {
			t.Errorf("%s: %q, want %s", name, value, want)
		}
	}
	for target, want := range map[string]string{
		"/echo/a%2Fb":                "/echo/a/b",
		"/echo/a%5Cb":                "/echo/a/b",
		`/echo/a\b`:                  "/echo/a/b",
		"/echo/a%252Fb%20c":          "/echo/a%252Fb%20c",
		"/do/..%2fecho":              "/echo",
		"/do/x%5C..%5C..%5Cecho?a=b": "/echo?a=b",
		"http://h/do/..%2fecho":      "/echo",
		"http://h":                   "",
		"http://other/echo":          "",
		"/echo/%C3%A9%FF":            "/echo/%C3%A9%25FF",
	} {
		response := rawCall(t, h, "POST "+target+" HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
		if got := response.Header.Get("X-Arrived"); got != want {
			t.Errorf("%s arrives as %q, want %q", target, got, want)
		}
	}
}
