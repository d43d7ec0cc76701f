package functionshost

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// hostVersion is the version of the host that this package imitates.
const hostVersion = "4.1037.0.0"

// Invoked is a request that had a route and, if it needs one, a key.
type Invoked struct {
	ID         string // the x-ms-invocation-id of all its deliveries
	Function   string // the function whose route has matched
	Deliveries int    // how many connections to the handler it was sent on, up to now
}

type invocation struct {
	id, function string
	deliveries   atomic.Int32
}

// Invocations lists the requests that had a route and a key, in the order of their arrival.
// Calls of timers are not among them.
func (h *Host) Invocations() []Invoked {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Invoked, len(h.invocations))
	for i, v := range h.invocations {
		list[i] = Invoked{v.id, v.function, int(v.deliveries.Load())}
	}
	return list
}

// serve answers a client as the host does.
func (h *Host) serve(w http.ResponseWriter, r *http.Request) {
	t, status := h.readTarget(r)
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	f := h.app.match(r.Method, t.path, h.options.ReverseRoutes)
	first, _, _ := strings.Cut(t.path[1:], "/")
	switch {
	case f == nil || strings.EqualFold(first, "admin"): // the host's own paths, which this package does not imitate
		w.WriteHeader(http.StatusNotFound)
		return
	case h.options.Mode == Cloud && !h.keys.allow(f, r.Header, t.query):
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	ctx, cancel := h.limit(r.Context())
	defer cancel(nil)
	status, err := h.proxy(ctx, cancel, w, r, t, f)
	if err == nil {
		return
	}
	h.journal.host(Error, "Executed 'Functions.%s' (Failed): %v", f.name, err)
	if status != 0 { // the answer has begun
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusInternalServerError)
}

var (
	errFunctionTimeout = errors.New("the function exceeded functionTimeout")
	errLost            = errors.New("the handler was killed")
)

// limit ends an invocation some time after functionTimeout, together with the handler.
func (h *Host) limit(parent context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	timer := time.AfterFunc(h.app.functionTimeout+h.timing.grace, func() {
		var w *worker
		h.set(func() {
			if w = h.worker; h.state == Running {
				h.state = Starting // new requests wait for the next run
			}
		})
		w.timedOut.Store(true)
		// First the requests end, so that none is repeated because of the kill.
		cancel(fmt.Errorf("%w (%v)", errFunctionTimeout, h.app.functionTimeout))
		w.lose() // what else is in flight
		w.kill()
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
	return ctx, cancel
}

// proxy sends a request to the handler as soon as the handler is ready, and its answer to the
// client. It returns the status of an answer that has begun, or 0.
func (h *Host) proxy(ctx context.Context, cancel context.CancelCauseFunc, w http.ResponseWriter, r *http.Request, t target, f *function) (int, error) {
	v := &invocation{id: newUUID(), function: f.name}
	h.mu.Lock()
	h.invocations = append(h.invocations, v)
	h.mu.Unlock()
	c := &call{method: r.Method, target: t.arrives, header: h.header(r, v.id), delivered: &v.deliveries}
	control := http.NewResponseController(w)
	if err := c.readBody(r, h.timing.body); err != nil {
		return 0, err
	}
	if c.stream != nil { // net/http waits for reads that go on after the answer
		defer func() { _ = control.SetReadDeadline(time.Unix(1, 0)) }()
	}
	worker, err := h.ready(ctx)
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(worker.lost, func() { cancel(errLost) })()
	answer, err := h.deliver(ctx, worker.address, c)
	if err != nil {
		return 0, err
	}
	defer answer.close()
	return answer.StatusCode, answer.stream(w, control)
}

// dropped are the headers of a request that do not reach the handler, besides Proxy-*.
var dropped = []string{
	"Connection", "Content-Length", "Forwarded", "Keep-Alive", "Te", "Upgrade", "Upgrade-Insecure-Requests", "X-Forwarded-Prefix",
}

// header returns the headers of a request for the handler. Lines of one name are joined.
func (h *Host) header(r *http.Request, id string) http.Header {
	out := make(http.Header)
	for name, values := range r.Header {
		separator := ", "
		if name == "Cookie" {
			separator = "; "
		}
		if !slices.Contains(dropped, name) && !strings.HasPrefix(name, "Proxy-") {
			out.Set(name, strings.Join(values, separator))
		}
	}
	peer, _, _ := net.SplitHostPort(r.RemoteAddr)
	out.Set("X-Forwarded-For", peer)
	out.Set("X-Forwarded-Proto", "http")
	out.Set("X-Forwarded-Host", r.Host)
	if h.options.Edge {
		addEdge(out, r)
	}
	out.Set("X-Azure-Functions-HostVersion", hostVersion)
	out.Set("X-Azure-Functions-InvocationId", id)
	out.Set("X-Ms-Invocation-Id", id)
	return out
}

// addEdge adds the headers of Azure's front end. It appends the client's address to the
// client's own X-Forwarded-For, and replaces the other headers. The host then believes them.
func addEdge(out http.Header, r *http.Request) {
	forwarded := append(r.Header.Values("X-Forwarded-For"), r.RemoteAddr)
	out.Set("X-Forwarded-For", strings.Join(forwarded, ", "))
	out.Set("X-Forwarded-Proto", "https")
	out.Set("X-Forwarded-Host", r.Host)
	out.Set("Client-Ip", r.RemoteAddr)
	out.Set("Disguised-Host", r.Host)
	out.Set("X-Arr-Log-Id", newUUID())
}

// readBody reads a body with a length. A chunked one is streamed.
func (c *call) readBody(r *http.Request, limit int64) error {
	switch {
	case len(r.TransferEncoding) > 0:
		c.kind, c.stream = withBody, http.MaxBytesReader(nil, r.Body, limit)
	case r.ContentLength > limit:
		return &http.MaxBytesError{Limit: limit}
	case r.ContentLength > 0:
		var body bytes.Buffer
		if _, err := io.Copy(&body, r.Body); err != nil {
			return err
		}
		c.kind, c.body = withBody, body.Bytes()
	case r.Header.Get("Content-Length") != "":
		c.kind = emptyBody
	}
	return nil
}

// stream sends the answer to the client as it comes.
func (a *reply) stream(w http.ResponseWriter, control *http.ResponseController) error {
	header := w.Header()
	for name, values := range a.Header {
		switch name {
		case "Alt-Svc", "Connection", "Keep-Alive", "Trailer", "Transfer-Encoding", "Upgrade":
		default:
			header[name] = values
		}
	}
	w.WriteHeader(a.StatusCode)
	_ = control.Flush() // before the body, so that net/http guesses no Content-Type
	buffer := make([]byte, 32<<10)
	for {
		n, err := a.Body.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			_ = control.Flush()
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
