package functionshost

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// hostVersion is the version of the host that this package imitates.
	hostVersion = "4.1052.100"
	bodyLimit   = 100 << 20
	// timeoutGrace is how much longer than functionTimeout the host keeps the connection to
	// the handler. Until then the handler does not notice the time-out.
	timeoutGrace = time.Minute
)

var errFunctionTimeout = errors.New("the function exceeded functionTimeout")

// contentHeaders are the headers that HttpClient treats as headers of the body and does not
// accept as headers of a request. The host sets Content-Type and Content-Length again if
// there is a body. The others are lost.
var contentHeaders = []string{
	"Allow", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length",
	"Content-Location", "Content-Md5", "Content-Range", "Content-Type", "Expires", "Last-Modified",
}

// serve answers a client as the host does.
func (h *Host) serve(w http.ResponseWriter, r *http.Request) {
	if h.options.Edge {
		addEdge(r)
	}
	path, err := decodePath(r.URL.EscapedPath())
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if first, _, _ := strings.Cut(path[1:], "/"); strings.EqualFold(first, "admin") {
		w.WriteHeader(http.StatusNotFound) // paths of the host itself, which this package does not imitate
		return
	}
	f := h.app.match(r.Method, path, h.options.ReverseRoutes)
	if f == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if h.options.Mode == Cloud && !h.keys.allow(f, r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.ContentLength > bodyLimit {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	answer, err := h.forward(r, path)
	if err != nil {
		h.journal.host(Error, "Executed 'Functions.%s' (Failed): %v", f.name, err)
		status := http.StatusInternalServerError
		if h.State() == Stopped {
			status = http.StatusServiceUnavailable
		}
		w.WriteHeader(status)
		return
	}
	answer.write(w, r.Method)
}

// forward sends the rebuilt request to the handler as soon as the handler is ready.
func (h *Host) forward(r *http.Request, path string) (*reply, error) {
	var body []byte
	// A body of unknown length (a chunked one) is not copied: it is lost.
	if r.ContentLength > 0 {
		body = make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, err
		}
	}
	worker, err := h.ready(r.Context())
	if err != nil {
		return nil, err
	}
	target := "http://" + worker.address + encodePath(path, r.URL.RawQuery != "")
	if q := parseQuery(r.URL.RawQuery); len(q) > 0 {
		target += "?" + q.encode()
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	out := &http.Request{Method: r.Method, URL: u, Host: r.Host, Header: rebuildHeader(r.Header)}
	if len(body) > 0 {
		// With GetBody, the transport can use a new connection if the handler has closed the
		// kept one before anything was written.
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		out.Body, _ = out.GetBody()
		out.ContentLength = r.ContentLength
		if t := r.Header.Get("Content-Type"); t != "" {
			out.Header.Set("Content-Type", t)
		}
	}
	addInvocation(out.Header)
	return h.send(context.Background(), worker, out)
}

// rebuildHeader copies the headers that the host copies. HttpClient writes all values of a
// header on one line.
func rebuildHeader(in http.Header) http.Header {
	out := make(http.Header)
	for name, values := range in {
		if slices.Contains(contentHeaders, name) {
			continue
		}
		separator := ", "
		switch name {
		case "Cookie":
			separator = "; "
		case "User-Agent":
			separator = " "
		}
		out[name] = []string{strings.Join(values, separator)}
	}
	return out
}

// addInvocation adds the host's own headers. It does not replace values of the client: an
// invocation id of the client comes first, and the host's id follows.
func addInvocation(header http.Header) {
	for name, value := range map[string]string{
		"X-Azure-Functions-Hostversion":  hostVersion,
		"X-Azure-Functions-Invocationid": newUUID(),
	} {
		header[name] = []string{strings.Join(append(header[name], value), ", ")}
	}
	agent := strings.Join(append(header["User-Agent"], "Azure-Functions-Host/"+hostVersion), " ")
	header.Set("User-Agent", agent)
}

// reply is the handler's complete answer. The host does not stream.
type reply struct {
	*http.Response
	body []byte
}

// send calls the handler and waits until functionTimeout. The call goes on after the client
// has closed its connection, because the host does not tell its HttpClient. ctx ends the
// wait only.
func (h *Host) send(ctx context.Context, w *worker, request *http.Request) (*reply, error) {
	type result struct {
		*reply
		error
	}
	done := make(chan result, 1)
	go func() {
		call, cancel := context.WithTimeout(h.ctx, h.app.functionTimeout+timeoutGrace)
		defer cancel()
		response, err := w.transport.RoundTrip(request.WithContext(call))
		if err != nil {
			done <- result{error: err}
			return
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		done <- result{&reply{response, body}, err}
	}()
	timeout := time.NewTimer(h.app.functionTimeout)
	defer timeout.Stop()
	select {
	case r := <-done:
		return r.reply, r.error
	case <-timeout.C:
		return nil, fmt.Errorf("%w (%v)", errFunctionTimeout, h.app.functionTimeout)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.ctx.Done():
		return nil, errors.New("the host is closed")
	}
}

// write sends the answer to the client.
func (a *reply) write(w http.ResponseWriter, method string) {
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	hasBody := method != http.MethodHead && a.StatusCode != http.StatusNoContent && a.StatusCode != http.StatusNotModified
	if hasBody {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.StatusCode)
	if hasBody {
		_, _ = w.Write(a.body) // fails only if the client has closed the connection
	}
}

// addEdge adds the headers of Azure's front end. It appends the client's address to the
// client's own X-Forwarded-For, and replaces the other headers.
func addEdge(r *http.Request) {
	forwarded := append(r.Header.Values("X-Forwarded-For"), r.RemoteAddr)
	r.Header.Set("X-Forwarded-For", strings.Join(forwarded, ", "))
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("Client-Ip", r.RemoteAddr)
	r.Header.Set("Disguised-Host", r.Host)
	r.Header.Set("X-Arr-Log-Id", newUUID())
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
