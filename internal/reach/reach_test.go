package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"twofa/internal/check"
)

const canary = "canary.example"

// describe is what a check finds, in one line.
func describe(found []check.Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s %s %s; ", f.Name, f.Result, f.Setting, f.Text)
	}
	return b.String()
}

// transport sends every request to a handler.
type transport struct{ http.Handler }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.Handler == nil {
		return nil, errors.New("refused by " + canary)
	}
	w := httptest.NewRecorder()
	t.ServeHTTP(w, req)
	return w.Result(), nil
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/health" {
			status, body = 400, "not the health check"
		}
		w.Header().Set("Location", "https://elsewhere.example")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestPublicURL(t *testing.T) {
	const running = `{"version":"v1","storage":"ok"}`
	unknown := &net.DNSError{Err: canary, Name: canary, IsNotFound: true}
	for name, tc := range map[string]struct {
		url     string
		lookup  error
		handler http.Handler
		want    []string // result and a part of the text, by finding
	}{
		"not set":         {"", nil, nil, []string{"skipped", "is not set"}},
		"right":           {"https://" + canary, nil, answer(200, running), []string{"ok", "is https", "ok", "this version"}},
		"an IP address":   {"https://203.0.113.7", unknown, answer(200, running), []string{"ok", "is https", "ok", "this version"}},
		"another version": {"https://" + canary, nil, answer(200, `{"version":"v2 canary","storage":"ok"}`), []string{"ok", "is https", "warning", "another version"}},
		"no storage":      {"https://" + canary, nil, answer(503, `{"version":"v1","storage":"unavailable"}`), []string{"ok", "", "warning", "storage does not answer"}},
		"foreign":         {"https://" + canary, nil, answer(200, "<html>canary"), []string{"ok", "", "warning", "something else than twofa"}},
		"huge":            {"https://" + canary, nil, answer(200, strings.Repeat(" ", 5<<20)+running), []string{"ok", "", "warning", "something else than twofa"}},
		"redirect":        {"https://" + canary, nil, answer(302, ""), []string{"ok", "", "warning", "something else than twofa"}},
		"down":            {"https://" + canary, nil, nil, []string{"ok", "", "warning", "does not answer /health"}},
		"no such host":    {"https://" + canary, unknown, answer(200, running), []string{"failed", "DNS does not know", "skipped", ""}},
		"no DNS":          {"https://" + canary, &net.DNSError{Err: canary, IsTemporary: true}, answer(200, running), []string{"warning", "looked up from here", "skipped", ""}},
		"on this machine": {"http://localhost:7071", unknown, answer(200, running), []string{"warning", "trials", "ok", "this version"}},
	} {
		o := Origin{URL: tc.url, Version: "v1", Transport: transport{tc.handler}, Lookup: func(context.Context, string) error { return tc.lookup }}
		if tc.handler == nil {
			o.Transport = transport{}
		}
		found := o.Check(t.Context())
		ok := len(found)*2 == len(tc.want)
		for i := 0; ok && i < len(found); i++ {
			ok = string(found[i].Result) == tc.want[2*i] && strings.Contains(found[i].Text, tc.want[2*i+1]) && found[i].Setting == variable
		}
		if !ok || strings.Contains(describe(found), "canary") {
			t.Errorf("%s: %s", name, describe(found))
		}
	}
}

// A server that hangs is a warning when the context ends.
func TestPublicURLEndsWithTheContext(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	found := Origin{URL: server.URL, Version: "v1"}.Check(ctx)
	if len(found) != 2 || found[1].Result != check.Warning || !strings.Contains(found[1].Text, "does not answer") {
		t.Error(describe(found))
	}
}
