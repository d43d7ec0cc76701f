package functionshost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strings"
	"sync/atomic"
	"time"
)

// bodyKind decides how often the host repeats a request.
type bodyKind int

const (
	noBody    bodyKind = iota // neither Content-Length nor chunks
	emptyBody                 // Content-Length: 0
	withBody
)

const (
	// closedTries is how often a request without a body is sent again at once, if the handler
	// closes the connection without an answer.
	closedTries = 4
	// earlyAnswerLimit is the size up to which a body may be answered before the handler
	// has read it.
	earlyAnswerLimit = 3_500_000
)

var errClosed = errors.New("the handler closed the connection without an answer")

// answered is an error after an answer of the handler. The host does not repeat the request.
type answered struct{ error }

// call is one request to the handler.
type call struct {
	method, target string
	header         http.Header
	kind           bodyKind
	body           []byte    // with a length
	stream         io.Reader // chunked
	sent           bool      // the body is gone: it can't be sent again
	delivered      *atomic.Int32
}

// reply is an answer of the handler, whose body is still to be read.
type reply struct {
	*http.Response
	close func()
}

// deliver sends the call until the handler answers.
func (h *Host) deliver(ctx context.Context, address string, c *call) (answer *reply, err error) {
	for try := 0; ; try++ {
		for range closedTries {
			if c.sent {
				break // the try fails at once
			}
			h.tries.Add(1)
			if answer, err = c.exchange(ctx, address); err == nil {
				return answer, nil
			}
			if c.kind != noBody || !errors.Is(err, errClosed) {
				break
			}
		}
		if _, done := errors.AsType[answered](err); done || try == len(h.timing.pauses) {
			return nil, err
		}
		select {
		case <-time.After(h.timing.pauses[try]):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// exchange sends the call on a connection of its own and reads the head of the answer. The end
// of ctx closes the connection.
func (c *call) exchange(ctx context.Context, address string) (*reply, error) {
	for name, values := range c.header {
		if strings.ContainsFunc(strings.Join(values, ""), func(r rune) bool { return r > '~' }) {
			return nil, fmt.Errorf("the header %s is not ASCII", name)
		}
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", address)
	if err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	c.delivered.Add(1)
	c.sent = c.kind == withBody
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	written := make(chan error, 1)
	go func() { written <- c.write(conn, address) }()
	done := func() {
		stop()
		_ = conn.Close()
	}
	response, err := c.readHead(conn)
	if err == nil {
		err = c.checkWritten(written)
	}
	if err != nil {
		done()
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return &reply{response, done}, nil
}

// write sends the request. Its bytes are those of YARP, except for the order of headers.
func (c *call) write(conn net.Conn, address string) error {
	w := bufio.NewWriter(conn)
	fmt.Fprintf(w, "%s %s HTTP/1.1\r\nHost: %s\r\n", c.method, c.target, address)
	_ = c.header.Write(w) // the error comes with Flush
	switch {
	case c.stream != nil:
		fmt.Fprint(w, "Transfer-Encoding: chunked\r\n")
	case c.kind != noBody:
		fmt.Fprintf(w, "Content-Length: %d\r\n", len(c.body))
	}
	fmt.Fprint(w, "\r\n")
	if c.stream == nil {
		_, _ = w.Write(c.body)
		return w.Flush()
	}
	if err := w.Flush(); err != nil {
		return err
	}
	chunks := httputil.NewChunkedWriter(conn)
	if _, err := io.Copy(chunks, c.stream); err != nil {
		_ = conn.Close() // the handler must not take it for the end of the body
		return err
	}
	_ = chunks.Close() // writes the last chunk, without the end of the body
	_, err := io.WriteString(conn, "\r\n")
	return err
}

// readHead reads the head of the answer. It skips those with a status of 1xx.
func (c *call) readHead(conn net.Conn) (*http.Response, error) {
	r := bufio.NewReader(conn)
	if _, err := r.Peek(1); err == io.EOF {
		return nil, errClosed
	}
	for {
		response, err := http.ReadResponse(r, &http.Request{Method: c.method})
		if _, malformed := errors.AsType[textproto.ProtocolError](err); malformed {
			return nil, answered{err} // a control byte in a header
		}
		if err != nil {
			return nil, err
		}
		switch code := response.StatusCode; {
		case code == http.StatusSwitchingProtocols || code == http.StatusResetContent:
			return nil, answered{fmt.Errorf("the answer has status %d", code)}
		case code/100 == 1:
			continue
		}
		for name, values := range response.Header {
			if strings.ContainsFunc(strings.Join(values, ""), func(r rune) bool { return r > '~' || r < ' ' && r != '\t' }) {
				return nil, answered{fmt.Errorf("the answer's header %s has a byte that is not allowed", name)}
			}
		}
		return response, nil
	}
}

// checkWritten returns an error for an answer that comes before a long body is sent.
func (c *call) checkWritten(written <-chan error) error {
	if len(c.body) <= earlyAnswerLimit {
		return nil
	}
	select {
	case err := <-written:
		if err != nil {
			return answered{err}
		}
		return nil
	case <-time.After(200 * time.Millisecond): // the handler does not read any more
		return answered{errors.New("the handler answered before it has read the body")}
	}
}
