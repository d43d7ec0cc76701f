package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"

	"twofa/bench/bare"
	"twofa/internal/phone"
)

// operation is a kind of request that is measured.
type operation int

const (
	send operation = iota
	wrong
	right
	operations
)

func (o operation) String() string { return [...]string{"send", "wrong check", "right check"}[o] }

// wants is the expected status of each operation.
var wants = [operations]int{http.StatusCreated, http.StatusUnprocessableEntity, http.StatusOK}

// barePaths are the paths of the operations on the yardsticks.
var barePaths = [operations]string{"/send", "/wrong", "/right"}

// target is a server under load.
type target struct {
	name  string
	proc  *process
	paths [operations]string
	// codes returns the code that was sent to a number. nil: ids and codes are made up, for
	// servers that do not check them.
	codes func(number string) string
}

// batch is a set of numbers and, after the operation send, their verifications. For each number
// the operations run in order: a send, a wrong check, a right check.
type batch struct {
	numbers []string
	ids     []string
}

// numbers generates valid numbers, each one once.
type numbers struct{ next int }

// areas are area codes of the United States with enough numbers.
var areas = []string{"212", "213", "312", "415", "617", "702"}

func (g *numbers) take(n int) []string {
	taken := make([]string, 0, n)
	for len(taken) < n {
		area := areas[g.next/7_000_000]
		text := fmt.Sprintf("+1%s%07d", area, 3_000_000+g.next%7_000_000)
		g.next++
		if number, err := phone.Parse(text); err == nil && number.Region == "US" && !number.Refused() {
			taken = append(taken, text)
		}
	}
	return taken
}

// request returns a function that builds an operation's request as the Functions host forwards it.
func (t *target) request(o operation, b *batch) func(buf []byte, i int) []byte {
	return func(buf []byte, i int) []byte {
		var body []byte
		if o == send {
			body = append(append(append(body, `{"to":"`...), b.numbers[i]...), `"}`...)
		} else {
			code := "123456"
			if t.codes != nil {
				code = t.codes(b.numbers[i])
			}
			if o == wrong {
				code = string('0'+('9'-code[0])) + code[1:] // 9 minus the digit is never the digit
			}
			body = append(append(append(append(append(body, `{"id":"`...), b.ids[i]...), `","code":"`...), code...), `"}`...)
		}
		buf = append(append(append(buf, "POST "...), t.paths[o]...), " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n"...)
		buf = append(buf, "Content-Type: application/json\r\nx-ms-invocation-id: 0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f\r\n"...)
		buf = fmt.Appendf(buf, "Content-Length: %d\r\n\r\n", len(body))
		return append(buf, body...)
	}
}

// accept returns a function that checks an answer and, for a send, keeps the id.
func (t *target) accept(o operation, b *batch) func(i, status int, body []byte) error {
	return func(i, status int, body []byte) error {
		if status != wants[o] {
			return fmt.Errorf("%s: %s: status %d, want %d: %s", t.name, o, status, wants[o], body)
		}
		if o != send {
			return nil
		}
		if t.codes == nil { // make up an id with the number's row
			b.ids[i] = "VE" + bare.Request{To: b.numbers[i]}.Key() + "0123456789abcdef"
			return nil
		}
		const mark = `"id":"`
		at := bytes.Index(body, []byte(mark))
		if at < 0 || len(body) < at+len(mark)+34 {
			return errors.New("an answer without an id")
		}
		b.ids[i] = string(body[at+len(mark) : at+len(mark)+34])
		return nil
	}
}

// sample is the result of one run of one operation.
type sample struct {
	perSecond, p50, p99 float64 // requests, milliseconds
	cpu                 float64 // microseconds per operation
}

// run runs one operation for a batch.
func (t *target) run(o operation, b *batch, conns int) (sample, error) {
	if b.ids == nil {
		b.ids = make([]string, len(b.numbers))
	}
	before, err := t.proc.cpu()
	if err != nil {
		return sample{}, err
	}
	r, err := load(t.proc.addr, conns, len(b.numbers), t.request(o, b), t.accept(o, b))
	if err != nil {
		return sample{}, fmt.Errorf("%w %s", err, t.proc.fault)
	}
	after, err := t.proc.cpu()
	if err != nil {
		return sample{}, err
	}
	return sample{
		perSecond: r.perSecond(), p50: r.quantile(0.5), p99: r.quantile(0.99),
		cpu: float64((after - before).Microseconds()) / float64(r.n),
	}, nil
}

// record runs the operations for one number and returns the complete answers.
func (t *target) record(b *batch) (bare.Answers, error) {
	all := bare.Answers{}
	b.ids = make([]string, 1)
	c, err := dial(t.proc.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for o := range operations {
		status, header, body, err := c.exchange(t.request(o, b)(nil, 0), true)
		if err == nil {
			err = t.accept(o, b)(0, status, body)
		}
		if err != nil {
			return nil, err
		}
		delete(header, "Date") // net/http sets its own
		all[barePaths[o]] = bare.Answer{Status: status, Header: header, Body: bytes.Clone(body)}
	}
	return all, nil
}
