package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// client calls one instance of the service.
type client struct {
	url    string
	header http.Header // sent with every request
	http   *http.Client
}

func newClient(t *testing.T, url string) *client {
	// With more connections at once, a test would measure how fast a busy machine
	// opens connections.
	transport := &http.Transport{MaxConnsPerHost: 100, MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{url, make(http.Header), &http.Client{Transport: transport, Timeout: 40 * time.Second}}
}

// with returns a client that also sends a header.
func (c client) with(name, value string) *client {
	c.header = c.header.Clone()
	c.header.Set(name, value)
	return &c
}

// without returns a client that does not send a header.
func (c client) without(name string) *client {
	c.header = c.header.Clone()
	c.header.Del(name)
	return &c
}

type fields map[string]any

// reply is the service's answer to a request.
type reply struct {
	status int
	header http.Header
	body   string
	fields fields // of a JSON body
	err    error  // not nil if there was no answer
}

func (c *client) post(path string, body fields) reply {
	text, err := json.Marshal(body)
	if err != nil {
		return reply{err: err}
	}
	return c.do("POST", path, "application/json", string(text))
}

func (c *client) check(body fields) reply { return c.post("/api/otpverify", body) }

func (c *client) get(path string) reply { return c.do("GET", path, "", "") }

// status looks up a verification.
func (c *client) status(id string) reply { return c.get("/api/otpsend/" + id) }

func (c *client) do(method, path, contentType, body string) reply {
	return c.send(method, path, contentType, strings.NewReader(body))
}

// send does the same with any reader. A body of unknown length is sent in chunks.
func (c *client) send(method, path, contentType string, body io.Reader) reply {
	req, err := http.NewRequest(method, c.url+path, body)
	if err != nil {
		return reply{err: err}
	}
	req.Header = c.header.Clone()
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return readReply(c.http.Do(req))
}

// readReply reads the whole answer.
func readReply(res *http.Response, err error) reply {
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{err: err}
	}
	r := reply{status: res.StatusCode, header: res.Header, body: string(text)}
	if strings.HasSuffix(res.Header.Get("Content-Type"), "json") && res.Request.Method != http.MethodHead {
		r.err = json.Unmarshal(text, &r.fields)
	}
	return r
}

// String is the status and, of a problem, the kind: "422 wrong_code".
func (r reply) String() string {
	if r.err != nil {
		return fmt.Sprintf("no answer (%v)", r.err)
	}
	if kind, found := strings.CutPrefix(r.text("type"), "urn:twofa:"); found {
		return fmt.Sprintf("%d %s", r.status, kind)
	}
	return fmt.Sprint(r.status)
}

// text returns a field of the answer, "" if there is none.
func (r reply) text(field string) string {
	s, _ := r.fields[field].(string)
	return s
}

// number returns a field of the answer, -1 if there is none.
func (r reply) number(field string) int {
	f, ok := r.fields[field].(float64)
	if !ok {
		return -1
	}
	return int(f)
}

// want ends the test unless String of the answer is the wanted text. It returns
// the answer.
func want(t *testing.T, r reply, wanted string) reply {
	t.Helper()
	if r.String() != wanted {
		t.Fatalf("answered %v, want %s: %s", r, wanted, r.body)
	}
	return r
}

// wantFields fails the test unless the answer has these fields. Other fields do
// not matter.
func wantFields(t *testing.T, r reply, wanted fields) {
	t.Helper()
	for field, value := range wanted {
		if got, found := r.fields[field]; !found || fmt.Sprint(got) != fmt.Sprint(value) {
			t.Errorf("answered %v with %s %v, want %v: %s", r, field, got, value, r.body)
		}
	}
}

// concurrently calls f n times at the same time and returns the answers. Tests
// that do this with a large n do not run in parallel with other tests: Azurite
// serves one request at a time, so all requests would wait for storage longer than
// the service does.
func concurrently(n int, f func(i int) reply) []reply {
	replies := make([]reply, n)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-begin
			replies[i] = f(i)
		})
	}
	close(begin)
	all.Wait()
	return replies
}

// inBackground calls f and returns a channel for its answer.
func inBackground(f func() reply) <-chan reply {
	answer := make(chan reply, 1)
	go func() { answer <- f() }()
	return answer
}

// count returns how many answers have each String.
func count(replies []reply) map[string]int {
	n := make(map[string]int)
	for _, r := range replies {
		n[r.String()]++
	}
	return n
}
