package handler

import (
	"net/http/httptest"
	"testing"
)

// The log and the answer carry the id under which the host knows the request. A
// client cannot choose it, and nothing it sends gets into the log.
func TestRequestIDIsTheHosts(t *testing.T) {
	const header, host, client = "X-Azure-Functions-InvocationId", "8f0c1e1a-0000-4000-8000-0123456789ab", "11111111-2222-3333-4444-555555555555"
	for _, tc := range []struct {
		name  string
		lines []string
		want  string // "" for a random one
	}{
		{"the host's", []string{host}, host},
		{"behind the client's, in one line", []string{client + ", " + host}, host},
		{"behind the client's, in lines of their own", []string{client, host}, host},
		{"none", nil, ""},
		{"something else", []string{"<script>"}, ""},
		{"too long", []string{host + host}, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for _, line := range tc.lines {
			r.Header.Add(header, line)
		}
		got := requestID(r)
		if tc.want != "" && got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
		if again := requestID(r); tc.want == "" && (len(got) != 16 || got == again) {
			t.Errorf("%s: got %q and %q, want random ones", tc.name, got, again)
		}
	}
}
