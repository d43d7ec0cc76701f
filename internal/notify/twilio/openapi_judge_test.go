package twilio

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/testing/tooltest"
	"twofa/internal/testing/twiliotest"
)

// judge is the document and the mock that enforces it. As a transport, it also records the
// requests and how the mock has answered them.
type judge struct {
	document map[string]any
	url      string
	change   func(url.Values) // changes the form of a request. Nil: no change

	mu       sync.Mutex
	verdicts []verdict
}

// verdict is a request and the mock's answer.
type verdict struct {
	method, path string
	form         url.Values
	status       int
	answer       string
}

// The paths of the document, and the type of their bodies.
const (
	accountPath  = "/2010-04-01/Accounts/{Sid}.json"
	messagesPath = "/2010-04-01/Accounts/{AccountSid}/Messages.json"
	callsPath    = "/2010-04-01/Accounts/{AccountSid}/Calls.json"
	formType     = "application/x-www-form-urlencoded"
)

func startJudge(t *testing.T) *judge {
	t.Helper()
	j := new(judge)
	if err := json.Unmarshal(tooltest.SharedData(t, "twilio_api_v2010_trimmed.json"), &j.document); err != nil {
		t.Fatal(err)
	}
	j.tighten(t)
	text, err := json.Marshal(j.document)
	file := filepath.Join(t.TempDir(), "openapi.json")
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	j.url = "http://127.0.0.1:" + tooltest.StartNode(t, filepath.Join("testdata", "openapi_mock.js"), file)
	return j
}

// tighten makes the document refuse what it leaves open: an unknown parameter or field, and a
// request without a body.
func (j *judge) tighten(t *testing.T) {
	t.Helper()
	n := 0
	for _, path := range j.document["paths"].(map[string]any) {
		for _, operation := range path.(map[string]any) {
			body, ok := at(operation, "requestBody").(map[string]any)
			if !ok {
				continue
			}
			at(body, "content", formType, "schema").(map[string]any)["additionalProperties"] = false
			body["required"] = true
			n++
		}
	}
	if n < 2 { // messages and calls
		t.Fatalf("the document has %d operations with a body", n)
	}
	for _, schema := range at(j.document, "components", "schemas").(map[string]any) {
		if at(schema, "properties") != nil {
			schema.(map[string]any)["additionalProperties"] = false
		}
	}
}

// parameters returns the names of the parameters of a POST.
func (j *judge) parameters(path string) []string {
	properties, _ := at(j.document, "paths", path, "post", "requestBody", "content", formType, "schema", "properties").(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

// at returns the value at these keys of nested objects, nil if there is none.
func at(value any, keys ...string) any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

// RoundTrip implements http.RoundTripper.
func (j *judge) RoundTrip(r *http.Request) (*http.Response, error) {
	v := verdict{method: r.Method, path: r.URL.Path}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if v.form, err = url.ParseQuery(string(body)); err != nil {
			return nil, err
		}
		if j.change != nil {
			j.change(v.form)
			body = []byte(v.form.Encode())
		}
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	if err == nil {
		err = res.Body.Close()
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	v.status, v.answer = res.StatusCode, string(answer)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.verdicts = append(j.verdicts, v)
	return res, err
}

// take returns the verdicts since the last call.
func (j *judge) take() []verdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	taken := j.verdicts
	j.verdicts = nil
	return taken
}

// resource is the resource of the request: messages or calls.
func (v verdict) resource() string {
	return strings.ToLower(strings.TrimSuffix(path.Base(v.path), ".json"))
}

// judgedOptions are options whose requests go to the mock.
func (j *judge) judgedOptions(change func(*Options)) Options {
	o := options()
	o.BaseURL, o.Transport = j.url, j
	o.Timeout, o.TotalTimeout = time.Minute, time.Minute // a busy machine must not cause a second try
	if change != nil {
		change(&o)
	}
	return o
}

// rawRequest is a request to the mock that is not one of ours.
type rawRequest struct {
	method, path, body string
	contentType        string // empty: none
	user               string // for Basic. Empty: no credentials
}

// send sends a request and returns the mock's answer.
func (j *judge) send(t *testing.T, r rawRequest) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, j.url+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.user != "" {
		req.SetBasicAuth(r.user, twiliotest.AuthToken)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}
