package notifytest

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// Flood is a server that answers every connection with one text, and then with
// another one for ever.
type Flood struct {
	Addr    string
	Answers atomic.Int64 // how many connections were answered
	Written atomic.Int64 // bytes of the endless text that it could send
}

// StartFlood starts a server until the test ends. On each connection it calls await,
// and then sends begin once and forever without an end, until the other side closes.
// An empty forever ends the connection.
func StartFlood(t *testing.T, await func(net.Conn), begin, forever string) *Flood {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); _ = listener.Close() })
	f := &Flood{Addr: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetWriteBuffer(16 << 10) // so that Written is close to what was read
			context.AfterFunc(ctx, func() { conn.Close() })
			go func() {
				defer conn.Close()
				await(conn)
				f.Answers.Add(1)
				_, err := io.WriteString(conn, begin)
				for piece := strings.Repeat(forever, 1000); piece != "" && err == nil; {
					var n int
					n, err = io.WriteString(conn, piece)
					f.Written.Add(int64(n))
				}
			}()
		}
	}()
	return f
}
