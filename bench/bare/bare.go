// Package bare is what the two yardsticks share: the request that they read and
// the answers that they give. The answers are the service's own, which the
// driver has recorded, so that all three send the same bytes.
package bare

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
)

// Answer is one recorded answer.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Answers are the recorded ones by path: /send, /wrong and /right.
type Answers map[string]Answer

// Load reads the file that the driver has written; "" has no answers.
func Load(path string) (Answers, error) {
	var a Answers
	if path == "" {
		return a, nil
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	return a, err
}

// Request is what the three operations send.
type Request struct {
	To   string `json:"to"`
	ID   string `json:"id"`
	Code string `json:"code"`
}

// Key is the key of the request's row: the number, or what the id holds of it.
func (r Request) Key() string {
	if r.ID != "" {
		return r.ID[2:18]
	}
	digits := strings.TrimPrefix(r.To, "+")
	return strings.Repeat("0", 16-len(digits)) + digits
}

// Handle reads the request, does what do says and gives the recorded answer.
func (a Answers) Handle(mux *http.ServeMux, path, answer string, do func(*http.Request, Request) error) {
	recorded := a[answer]
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var req Request
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &req)
		}
		if err == nil && do != nil {
			err = do(r, req)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for name, value := range recorded.Header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(recorded.Status)
		_, _ = w.Write(recorded.Body)
	})
}

// Ready answers as the service does when the host asks whether it is up.
func Ready(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{\"service\":\"twofa\"}\n")
	})
}
