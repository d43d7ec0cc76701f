package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// verdict is what the proxy does with one request, step by step. The zero
// verdict passes it on and its answer back.
type verdict struct {
	hold   <-chan struct{} // wait for this to close before anything else
	lose   bool            // the request never reaches storage
	stall  <-chan struct{} // wait before answering
	drop   bool            // break the connection instead of answering
	status int             // answer this instead of storage's answer
}

// storageProxy stands between processes and Azurite and brings about the faults
// of storage and network.
type storageProxy struct {
	connection string // the connection string that leads through it

	target *url.URL
	closed chan struct{} // the test is over: nothing is held any more
	mu     sync.Mutex
	judge  judgement
}

func newStorageProxy(t *testing.T, connection string) *storageProxy {
	t.Helper()
	_, endpoint, _ := strings.Cut(connection, "TableEndpoint=")
	target, err := url.Parse(strings.TrimSuffix(endpoint, ";"))
	if err != nil {
		t.Fatal(err)
	}
	p := &storageProxy{target: target, closed: make(chan struct{})}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		close(p.closed)
		server.Close()
	})
	p.connection = strings.Replace(connection, "http://"+target.Host, server.URL, 1)
	return p
}

// set changes what happens to requests from now on; nil is nothing.
func (p *storageProxy) set(judge judgement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = judge
}

// onNextWrite gives the next write that verdict and all else is passed on. The
// channel is closed when that write has come.
func (p *storageProxy) onNextWrite(v verdict) (come <-chan struct{}) {
	ch := make(chan struct{})
	var once sync.Once
	p.set(func(r *http.Request) (judged verdict) {
		if isWrite(r) {
			once.Do(func() {
				judged = v
				close(ch)
			})
		}
		return judged
	})
	return ch
}

// isWrite tells the writes of rows from reads and from the making of tables.
func isWrite(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/Tables")
}

func (p *storageProxy) await(c <-chan struct{}) {
	if c == nil {
		return
	}
	select {
	case <-c:
	case <-p.closed:
	}
}

func (p *storageProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	p.mu.Lock()
	judge := p.judge
	p.mu.Unlock()
	var v verdict
	if judge != nil {
		v = judge(r)
	}
	p.await(v.hold)
	status, header, answer := v.status, http.Header(nil), []byte(nil)
	if !v.lose {
		// Not with the caller's context: what is on its way arrives, also
		// when the caller is dead by then.
		out, err := http.NewRequest(r.Method, "http://"+p.target.Host+r.RequestURI, bytes.NewReader(body))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		out.Header = r.Header.Clone()
		res, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer res.Body.Close()
		if answer, err = io.ReadAll(res.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		if status == 0 {
			status, header = res.StatusCode, res.Header
		}
	}
	p.await(v.stall)
	if v.drop {
		panic(http.ErrAbortHandler) // net/http closes the connection
	}
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	if v.status == 0 {
		_, _ = w.Write(answer) // the caller may be gone
	}
}

// judgement gives each request its verdict.
type judgement func(*http.Request) verdict

// everything gives all requests the same verdict.
func everything(v verdict) judgement { return func(*http.Request) verdict { return v } }

// writes gives all writes the same verdict, and passes reads on.
func writes(v verdict) judgement {
	return func(r *http.Request) verdict {
		if isWrite(r) {
			return v
		}
		return verdict{}
	}
}
