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
	// More connections at once would measure how fast a busy machine opens them.
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

// reply is an answer, or err where there was none.
type reply struct {
	status int
	header http.Header
	body   string
	fields fields // of a JSON body
	err    error
}

func (c *client) post(path string, body fields) reply {
	text, err := json.Marshal(body)
	if err != nil {
		return reply{err: err}
	}
	return c.do("POST", path, "application/json", string(text))
}

func (c *client) check(body fields) reply { return c.post("/api/otpverify", body) }

// status looks a verification up.
func (c *client) status(id string) reply { return c.do("GET", "/api/otpsend/"+id, "", "") }

func (c *client) do(method, path, contentType, body string) reply {
	return c.send(method, path, contentType, strings.NewReader(body))
}

// send is do with any reader: one of unknown length is sent in chunks.
func (c *client) send(method, path, contentType string, body io.Reader) reply {
	req, err := http.NewRequest(method, c.url+path, body)
	if err != nil {
		return reply{err: err}
	}
	req.Header = c.header.Clone()
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{err: err}
	}
	r := reply{status: res.StatusCode, header: res.Header, body: string(text)}
	if strings.HasSuffix(res.Header.Get("Content-Type"), "json") {
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

// text is a field of the answer, "" if there is none.
func (r reply) text(field string) string {
	s, _ := r.fields[field].(string)
	return s
}

// number is a field of the answer, -1 if there is none.
func (r reply) number(field string) int {
	f, ok := r.fields[field].(float64)
	if !ok {
		return -1
	}
	return int(f)
}

// want fails the test unless the answer is the wanted one, as String has it.
func want(t *testing.T, r reply, wanted string) {
	t.Helper()
	if r.String() != wanted {
		t.Fatalf("answered %v, want %s: %s", r, wanted, r.body)
	}
}

// atOnce calls f n times at the same time and returns the answers. Tests that do
// so with many do not run in parallel with others: Azurite takes one request
// after the other, and all would wait behind the crowd for longer than the
// service waits for storage.
func atOnce(n int, f func(i int) reply) []reply {
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

// count groups answers as String has them.
func count(replies []reply) map[string]int {
	n := make(map[string]int)
	for _, r := range replies {
		n[r.String()]++
	}
	return n
}
