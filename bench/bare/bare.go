// Package bare is shared by the two yardsticks: the request that they read and the answers that
// they give. The driver has recorded the answers from the service, so that all three servers send
// the same bytes.
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

// Answers are the recorded answers by path: /send, /wrong and /right.
type Answers map[string]Answer

// Load reads the file that the driver has written. It returns no answers for the path "".
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

// Request is the body of all three operations.
type Request struct {
	To   string `json:"to"`
	ID   string `json:"id"`
	Code string `json:"code"`
}

// Key returns the key of the request's row: the number, or the part of the id that is made of it.
func (r Request) Key() string {
	if r.ID != "" {
		return r.ID[2:18]
	}
	digits := strings.TrimPrefix(r.To, "+")
	return strings.Repeat("0", 16-len(digits)) + digits
}

// Handle registers a handler that reads the request, calls do (nil: nothing) and gives the
// recorded answer.
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

// Ready registers a handler that answers the host's poll as the service does.
func Ready(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{\"service\":\"twofa\"}\n")
	})
}
