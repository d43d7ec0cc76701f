package e2e

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
)

// fault is what the proxy does with one request, in the order of the fields. The
// zero fault forwards the request and returns the answer.
type fault struct {
	hold   <-chan struct{} // wait until this is closed before anything else
	lose   bool            // do not forward the request to storage
	stall  <-chan struct{} // wait until this is closed before the answer
	drop   bool            // close the connection instead of answering
	status int             // if not 0: answer this instead of storage's answer
}

// faults chooses the fault of each request.
type faults func(*http.Request) fault

// onAll is the same fault for all requests.
func onAll(f fault) faults { return func(*http.Request) fault { return f } }

// onWrites is the same fault for all writes, and none for reads.
func onWrites(f fault) faults {
	return func(r *http.Request) fault {
		if isWrite(r) {
			return f
		}
		return fault{}
	}
}

// onReads is the same fault for all reads, and none for writes.
func onReads(f fault) faults {
	return func(r *http.Request) fault {
		if isWrite(r) {
			return fault{}
		}
		return f
	}
}

// onFirstWrite is a fault for one write. seen, if not nil, is closed by that write.
func onFirstWrite(f fault, seen chan<- struct{}) faults {
	var first sync.Once
	return func(r *http.Request) (chosen fault) {
		if isWrite(r) {
			first.Do(func() {
				chosen = f
				if seen != nil {
					close(seen)
				}
			})
		}
		return chosen
	}
}

// isWrite reports whether a request writes a row. To create a table is no write.
func isWrite(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/Tables")
}

// storageProxy stands between processes and Azurite, and causes faults of storage
// and of the network.
type storageProxy struct {
	setting string // the app setting with the connection string of the proxy

	target *url.URL
	closed chan struct{} // closed at the end of the test: no request is held any more
	mu     sync.Mutex
	faults faults
}

// proxy starts a proxy in front of the rig's storage.
func (rig *rig) proxy() *storageProxy {
	rig.t.Helper()
	_, endpoint, _ := strings.Cut(rig.storage, "TableEndpoint=")
	target, err := url.Parse(strings.TrimSuffix(endpoint, ";"))
	if err != nil {
		rig.t.Fatal(err)
	}
	p := &storageProxy{target: target, closed: make(chan struct{})}
	server := httptest.NewServer(p)
	rig.t.Cleanup(func() {
		close(p.closed)
		server.Close()
	})
	p.setting = "TWOFA_TABLES_CONNECTION=" + strings.Replace(rig.storage, "http://"+target.Host, server.URL, 1)
	return p
}

// proxied starts a proxy, a process that uses it, and a process that does not.
func (rig *rig) proxied(extra ...string) (proxy *storageProxy, p, direct *process) {
	rig.t.Helper()
	proxy = rig.proxy()
	return proxy, rig.process(append(extra, proxy.setting)...), rig.process(extra...)
}

// set changes the faults from now on. nil: none.
func (p *storageProxy) set(f faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
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
	choose := p.faults
	p.mu.Unlock()
	var f fault
	if choose != nil {
		f = choose(r)
	}
	p.await(f.hold)
	status, header, answer := f.status, http.Header(nil), []byte(nil)
	if !f.lose {
		// Without the caller's context: a request that was sent arrives, even if the
		// caller has ended meanwhile.
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
	p.await(f.stall)
	if f.drop {
		panic(http.ErrAbortHandler) // net/http closes the connection
	}
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	if f.status == 0 {
		_, _ = w.Write(answer) // fails if the caller has ended
	}
}
