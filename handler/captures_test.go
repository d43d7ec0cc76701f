package handler_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// capture is one request as a handler received it from the real Functions host in
// proxying mode. The texts have one character for each byte.
type capture struct {
	Client  string `json:"client"` // what sent it to the host
	Head    string `json:"head"`   // request line and headers
	Body    string `json:"body"`   // without the frames of chunks
	Chunked bool   `json:"chunked"`
	// Answer is what a service without any rows has to answer: the status, the kind of an
	// error, and the field at fault.
	Answer string `json:"answer"`
}

// octets returns the bytes of a text that has one character for each byte.
func octets(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	for _, r := range text {
		if r > 0xff {
			t.Fatalf("%q is no byte", r)
		}
		b.WriteByte(byte(r))
	}
	return b.String()
}

// request returns the bytes on the connection. A chunked body is cut in two chunks.
func (c capture) request(t *testing.T) string {
	t.Helper()
	head, body := octets(t, c.Head)+"\r\n", octets(t, c.Body)
	if !c.Chunked {
		return head + body
	}
	half := len(body) / 2
	return head + fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", half, body[:half], len(body)-half, body[half:])
}

// header returns the value of a header of the capture, "" for none.
func (c capture) header(name string) string {
	m := regexp.MustCompile(`(?im)^` + name + `: (.*)\r$`).FindStringSubmatch(c.Head)
	if m == nil {
		return ""
	}
	return m[1]
}

func captures(t *testing.T) (list []capture) {
	t.Helper()
	text, err := os.ReadFile("testdata/host-captures.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var c capture
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	if len(list) != 33 {
		t.Fatalf("%d captures, want 33", len(list))
	}
	return list
}

// documentedStatuses are the statuses of docs/errors.md, by kind.
func documentedStatuses(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	statuses := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\d{3}) \\|").FindAllStringSubmatch(string(text), -1) {
		statuses[m[1]] = m[2]
	}
	return statuses
}

// Every request that the real host passed on is answered as docs/errors.md says. Each is
// sent byte for byte to a service of its own.
func TestRequestsOfTheRealHost(t *testing.T) {
	t.Parallel()
	statuses := documentedStatuses(t)
	for _, c := range captures(t) {
		t.Run(c.Client, func(t *testing.T) {
			t.Parallel()
			want := strings.Fields(c.Answer)
			if len(want) > 1 && statuses[want[1]] != want[0] {
				t.Fatalf("docs/errors.md gives %s the status %q, this test %s", want[1], statuses[want[1]], want[0])
			}
			r := newRig(t)
			res, body := r.raw(c.request(t))
			if got := answerOf(t, res, body); got != c.Answer {
				t.Errorf("answered %s, want %s: %s", got, c.Answer, body)
			}
			id := c.header("x-ms-invocation-id")
			if id == "" {
				id = c.header("X-Azure-Functions-InvocationId") // of the timer
			}
			if got := res.Header.Get("X-Request-Id"); got == "" || id != "" && got != id {
				t.Errorf("X-Request-Id %q, want %q", got, id)
			}
			if key := c.header("x-functions-key"); key != "" && strings.Contains(r.log.String(), key) {
				t.Errorf("the log has the key: %s", r.log)
			}
		})
	}
}

// answerOf returns an answer in the form of capture.Answer.
func answerOf(t *testing.T, res *http.Response, body string) string {
	t.Helper()
	if res.StatusCode < 400 {
		return fmt.Sprint(res.StatusCode)
	}
	var p struct {
		Type   string
		Status int
		Errors []struct{ Field string }
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != res.StatusCode || res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d with %s is not a problem: %s", res.StatusCode, res.Header.Get("Content-Type"), body)
	}
	got := fmt.Sprint(res.StatusCode, " ", strings.TrimPrefix(p.Type, "urn:twofa:"))
	for _, e := range p.Errors {
		got += " " + e.Field
	}
	return got
}
