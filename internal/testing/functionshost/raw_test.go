package functionshost_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
)

// serveRaw is a handler that answers GET / and does one thing with every other request.
func serveRaw(l net.Listener, how string) int {
	for {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		r := bufio.NewReader(c)
		request, err := http.ReadRequest(r)
		if err == nil {
			_, err = io.Copy(io.Discard, request.Body)
		}
		if err != nil {
			_ = c.Close()
			continue
		}
		if request.URL.Path == "/" {
			fmt.Fprint(c, "HTTP/1.1 204 No Content\r\n\r\n")
			_ = c.Close()
			if how == "refuse" {
				_ = l.Close()
				fmt.Println("closed")
				awaitFile(request.Context(), os.Getenv("HANDLER_GATE_2"))
				if l, err = net.Listen("tcp4", l.Addr().String()); err != nil {
					return 1
				}
				how = "answer"
			}
			continue
		}
		fmt.Println("delivered", request.Header.Get("X-Ms-Invocation-Id"))
		switch how {
		case "answer":
			fmt.Fprint(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
		case "garbage":
			fmt.Fprint(c, "garbage\r\n\r\n")
		case "reset":
			_ = c.(*net.TCPConn).SetLinger(0)
		case "close":
		default:
			fmt.Fprint(c, how)
		}
		_ = c.Close()
	}
}

// rawCall writes a request as it is and returns the answer.
func rawCall(t *testing.T, h *functionshost.Host, request string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp4", strings.TrimPrefix(h.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(c, request) }() // the answer may come before the end
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.200q: %v", request, err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}
