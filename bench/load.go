package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// requestTimeout is the time limit of one request.
const requestTimeout = 20 * time.Second

// conn is a kept-alive HTTP/1.1 connection that needs little CPU time. On a small machine, a
// full client would take CPU time from the measured servers.
type conn struct {
	net.Conn
	r    *bufio.Reader
	body []byte
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 4096)}, nil
}

// do sends a request and reads its answer, which must have a Content-Length. The body is valid
// until the next call.
func (c *conn) do(request []byte) (status int, body []byte, err error) {
	status, _, body, err = c.exchange(request, false)
	return status, body, err
}

func (c *conn) exchange(request []byte, keepHeader bool) (status int, header map[string]string, body []byte, err error) {
	if err := c.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, nil, nil, err
	}
	if _, err := c.Write(request); err != nil {
		return 0, nil, nil, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, nil, nil, err
	}
	if len(line) < 12 {
		return 0, nil, nil, errors.New("no status line")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, nil, err
	}
	if keepHeader {
		header = map[string]string{}
	}
	length := -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, nil, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		if keepHeader {
			header[string(name)] = string(value)
		}
		if string(name) == "Content-Length" {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, nil, nil, err
			}
		}
	}
	if length < 0 {
		return status, header, nil, errors.New("an answer without Content-Length")
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	_, err = io.ReadFull(c.r, c.body)
	return status, header, c.body, err
}

// result is one run of load.
type result struct {
	n         int
	elapsed   time.Duration
	latencies []time.Duration // sorted
}

func (r result) perSecond() float64 { return float64(r.n) / r.elapsed.Seconds() }

// quantile returns a quantile of the latencies in milliseconds, for q from 0 to 1.
func (r result) quantile(q float64) float64 {
	i := min(int(q*float64(len(r.latencies))), len(r.latencies)-1)
	return float64(r.latencies[i].Microseconds()) / 1000
}

// load sends n requests over conns connections. Each connection sends its next request after
// the answer to the last one. load ends at the first error.
func load(addr string, conns, n int, request func(buf []byte, i int) []byte, accept func(i, status int, body []byte) error) (result, error) {
	var next atomic.Int64
	latencies := make([]time.Duration, n)
	failed := make(chan error, conns)
	connections := make([]*conn, min(conns, n))
	for i := range connections {
		c, err := dial(addr)
		if err != nil {
			return result{}, err
		}
		defer c.Close()
		connections[i] = c
	}
	var wg sync.WaitGroup
	begun := time.Now()
	for _, c := range connections {
		wg.Go(func() {
			var buf []byte
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				buf = request(buf[:0], i)
				sent := time.Now()
				status, body, err := c.do(buf)
				latencies[i] = time.Since(sent)
				if err == nil {
					err = accept(i, status, body)
				}
				if err != nil {
					next.Store(int64(n)) // the other connections end too
					failed <- fmt.Errorf("request %d: %w", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	r := result{n: n, elapsed: time.Since(begun), latencies: latencies}
	select {
	case err := <-failed:
		return r, err
	default:
	}
	slices.Sort(r.latencies)
	return r, nil
}
