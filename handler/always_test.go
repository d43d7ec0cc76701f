package handler_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"twofa/handler"
)

// loudLog panics instead of logging.
type loudLog struct{ slog.Handler }

func (loudLog) Enabled(context.Context, slog.Level) bool { return true }

func (loudLog) Handle(context.Context, slog.Record) error { panic("the log is broken") }

// serveOn is the service behind a real connection.
func serveOn(t *testing.T, h http.Handler) (dial func() net.Conn) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Listener = handler.FixedHeaders(server.Listener)
	server.Config.MaxHeaderBytes = 32 << 10
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	return func() net.Conn {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		return conn
	}
}

// answerTo reads the final answer on a connection.
func answerTo(t *testing.T, conn io.Reader) (status int, body string) {
	t.Helper()
	reader := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Errorf("half an answer: %v", err)
		}
		if res.StatusCode != http.StatusContinue {
			return res.StatusCode, string(text)
		}
	}
}

// A connection that closes without an answer makes the Functions host deliver a request
// up to 40 times.
func TestAttack34_NoConnectionClosesWithoutAnAnswer(t *testing.T) {
	type request struct {
		head, body string
		status     int
	}
	const post = "POST /api/otpsend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	withLength := func(n int) string { return fmt.Sprintf("%sContent-Length: %d\r\n\r\n", post, n) }
	chunk := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("x", n)) }
	const chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
	for name, tc := range map[string]request{
		"too long":                      {withLength(handler.MaxBody + 1), strings.Repeat("x", handler.MaxBody+1), 413},
		"as long as is read":            {withLength(handler.MaxDrained), strings.Repeat("x", handler.MaxDrained), 413},
		"longer than is read, unsent":   {withLength(handler.MaxDrained + 1), "", 413},
		"too long, chunked":             {chunked, chunk(handler.MaxDrained-64<<10) + "0\r\n\r\n", 413},
		"too long and waiting":          {strings.TrimSuffix(withLength(handler.MaxBody+1), "\r\n") + "Expect: 100-continue\r\n\r\n", "", 413},
		"another expectation":           {strings.TrimSuffix(withLength(2), "\r\n") + "Expect: tea\r\n\r\n", "", 417},
		"a bad chunk":                   {chunked, "zz\r\n", 400},
		"a chunk of a bad length":       {chunked, "2\r\n{}}}\r\n0\r\n\r\n", 400},
		"a form of no type":             {"POST /api/otpsend HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 600000\r\n\r\n", strings.Repeat("x", 600_000), 415},
		"no such path":                  {"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n", strings.Repeat("x", 600_000), 404},
		"another method":                {"PUT /api/otpsend HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n", strings.Repeat("x", 600_000), 405},
		"a report that is too long":     {"POST /hooks/twilio/status HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n", strings.Repeat("x", 600_000), 403},
		"an envelope that is too long":  {"POST /purge HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n", strings.Repeat("x", 600_000), 413},
		"headers over the limit":        {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "", 431},
		"a header of control character": {"GET / HTTP/1.1\r\nHost: x\r\nX: \x01\r\n\r\n", "", 400},
		"no HTTP":                       {"hello\r\n\r\n", "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := serveOn(t, newRig(t).handler)()
			go func() { _, _ = io.WriteString(conn, tc.head+tc.body) }() // it may fail: the answer is what counts
			if status, body := answerTo(t, conn); status != tc.status {
				t.Errorf("answered %d %s, want %d", status, body, tc.status)
			}
		})
	}
}

// The body of a refused request is read before the answer, so that the client, which
// reads only after it has written, gets the answer.
func TestARefusedBodyIsReadUpToAMebibyte(t *testing.T) {
	for size, want := range map[int]int{
		handler.MaxBody + 1: handler.MaxBody + 1, handler.MaxDrained: handler.MaxDrained, handler.MaxDrained + 1: 0,
	} {
		r := newRig(t)
		body := strings.NewReader(strings.Repeat("x", size))
		req := httptest.NewRequest("POST", "/api/otpsend", body)
		req.Header.Set("Content-Type", typeJSON)
		r.serve(req).problem(413, "payload_too_large")
		wantEqual(t, fmt.Sprintf("bytes read of %d", size), size-body.Len(), want)
	}
	r := newRig(t)
	endless := &counter{}
	req := httptest.NewRequest("POST", "/api/otpsend", endless)
	req.ContentLength = -1
	req.Header.Set("Content-Type", typeJSON)
	r.serve(req).problem(413, "payload_too_large")
	if endless.n < handler.MaxDrained || endless.n > handler.MaxDrained+handler.MaxBody+64<<10 {
		t.Errorf("%d bytes were read of a body without an end", endless.n)
	}
}

// counter is a body without an end.
type counter struct{ n int }

func (c *counter) Read(p []byte) (int, error) { c.n += len(p); return len(p), nil }

// A panic anywhere is an answer.
func TestAttack34_APanicOutsideAnEndpointIsAnswered(t *testing.T) {
	r := newRig(t)
	r.API.Log = slog.New(loudLog{})
	dial := serveOn(t, r.handler)
	for _, path := range []string{"/nothing", "/api/otpsend/x"} { // the line of the log comes after the answer
		conn := dial()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		if status, _ := answerTo(t, conn); status != 404 && status != 400 {
			t.Errorf("%s: answered %d", path, status)
		}
	}
	for _, panics := range []any{"canary", http.ErrAbortHandler} {
		r := newRig(t)
		calls := 0
		r.API.Now = func() time.Time {
			if calls++; calls == 1 { // before the endpoint
				panic(panics)
			}
			return time.Now()
		}
		conn := serveOn(t, r.API.Handler())()
		fmt.Fprint(conn, "DELETE /api/users/alice HTTP/1.1\r\nHost: x\r\n\r\n")
		status, body := answerTo(t, conn)
		if status != 500 || !strings.Contains(body, `"type":"urn:twofa:internal"`) || !json.Valid([]byte(body)) {
			t.Errorf("answered %d %s", status, body)
		}
		if log := r.log.String(); strings.Contains(log, "canary") || !strings.Contains(log, "panic outside an endpoint") {
			t.Errorf("logged %s", log)
		}
	}
}

// A chunked body without a byte is no body, as Content-Length 0 is.
func TestAChunkedBodyWithoutAByteIsNone(t *testing.T) {
	send := func(r *rig, method, path, contentType, body string) *response {
		req := httptest.NewRequest(method, path, struct{ io.Reader }{strings.NewReader(body)})
		wantEqual(t, "the length", req.ContentLength, -1)
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		return r.serve(req)
	}
	r := withFactors(t)
	id, _ := r.start(alice)
	for _, contentType := range []string{"", typeJSON, typeForm} {
		wantEqual(t, "resend", send(r, "POST", "/api/otpsend/"+id, contentType, "").status, 200)
		wantEqual(t, "enroll", send(r, "POST", "/api/users/alice/totp", contentType, "").status, 201)
		res := send(r, "POST", "/api/otpsend", contentType, "").problem(400, "invalid_request")
		if !strings.Contains(res.text("detail"), "The body is empty") {
			t.Errorf("%q: %s", contentType, res.body)
		}
	}
	wantEqual(t, "resend by SMS", send(r, "POST", "/api/otpsend/"+id, typeJSON, `{"channel": "sms"}`).text("channel"), "sms")
	send(r, "POST", "/api/otpsend/"+id, "", `{"channel": "sms"}`).problem(415, "unsupported_media_type")
	send(r, "POST", "/api/otpsend/"+id, typeJSON, `{`).problem(400, "invalid_request")
	req := httptest.NewRequest("POST", "/api/otpsend/"+id, brokenReader{})
	req.ContentLength = -1
	r.serve(req).problem(400, "invalid_request")
}

// The host waits until functionTimeout, and kills the process, if the reply to a timer is
// empty. Each reply has a JSON object, and only a success has 200.
func TestEveryReplyToTheTimerIsAJSONObject(t *testing.T) {
	for name, tc := range map[string]struct {
		method, body string
		prepare      func(r *rig)
		status       int
	}{
		"purged":               {"POST", envelopes[0], func(*rig) {}, 200},
		"no envelope":          {"POST", "null", func(*rig) {}, 400},
		"an empty body":        {"POST", "", func(*rig) {}, 400},
		"another method":       {"PUT", envelopes[0], func(*rig) {}, 405},
		"a DELETE":             {"DELETE", "", func(*rig) {}, 405},
		"too long":             {"POST", `{"x": "` + strings.Repeat("x", handler.MaxEnvelope) + `"}`, func(*rig) {}, 413},
		"storage fails":        {"POST", envelopes[0], func(r *rig) { r.failStore(errStoreDown) }, 503},
		"the storage panics":   {"POST", envelopes[0], func(r *rig) { r.panicStore("x") }, 500},
		"a panic at the start": {"POST", envelopes[0], func(r *rig) { r.API.Now = func() time.Time { panic("x") } }, 500},
	} {
		r := newRig(t)
		tc.prepare(r)
		r.handler = r.API.Handler()
		res := r.do(tc.method, "/purge", typeJSON, tc.body)
		wantEqual(t, name, res.status, tc.status)
		if contentType := res.header.Get("Content-Type"); len(res.object()) == 0 || (contentType == typeJSON) != (tc.status == 200) {
			t.Errorf("%s: answered %s %q", name, contentType, res.body)
		}
	}
}
