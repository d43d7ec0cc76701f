package functionshost_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"twofa/internal/testing/functionshost"
)

// Every line of the recorded targets gets the recorded status, or reaches the handler with
// the recorded target.
func TestTargets(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/proxying-targets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	root := newApp(t, files{"do/function.json": "", "echo/function.json": "", "all/function.json": httpFunction("{*path}", "anonymous")})
	h := start(t, functionshost.Options{Root: root, Env: []string{storage, "HANDLER_PLAIN=1"}})
	for decoder := json.NewDecoder(bytes.NewReader(text)); decoder.More(); {
		var want struct {
			Target, Method, Arrives string
			Status                  int
		}
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if want.Method == "" {
			want.Method = http.MethodGet
		}
		var raw []byte
		for _, r := range want.Target {
			raw = append(raw, byte(r)) // each byte is written as the character of that number
		}
		if want.Status == 0 {
			want.Status = http.StatusOK
		}
		response := rawCall(t, h, want.Method+" "+string(raw)+" HTTP/1.1\r\nHost: h.example\r\n\r\n")
		if got := response.Header.Get("X-Arrived"); response.StatusCode != want.Status || got != want.Arrives {
			t.Errorf("%s %q: %d %q, want %d %q", want.Method, raw, response.StatusCode, got, want.Status, want.Arrives)
		}
	}
}
