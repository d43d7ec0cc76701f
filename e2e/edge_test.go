package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// rawRequest sends bytes over a connection to a process, and returns its first answer.
func rawRequest(t *testing.T, p *process, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	return res, string(body)
}

// Attack 30. The binary on its own, as a developer runs it: curl works as README says, a
// page of another site and a rebound name do not, and the timer's address is not there.
func TestAttack30_OnItsOwnABrowserReachesNothing(t *testing.T) {
	t.Parallel()
	p := standalone(t, t.TempDir())
	const body = `{"to":"+14155550123"}`
	post := func(path, host string, lines ...string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: 21\r\n" +
			strings.Join(append(lines, "", ""), "\r\n") + body
	}
	for name, tc := range map[string]struct {
		request string
		want    int
	}{
		"curl":                     {post("/api/otpsend", "localhost:7071"), 201},
		"a rebound name":           {post("/api/otpsend", "evil.example:7071"), 403},
		"a rebound name's page":    {post("/api/otpsend", "evil.example", "Origin: http://evil.example", "Sec-Fetch-Site: same-origin"), 403},
		"another site":             {post("/api/otpsend", "localhost:7071", "Origin: https://evil.example"), 403},
		"a sandboxed frame":        {post("/api/otpsend", "localhost:7071", "Origin: null"), 403},
		"another port":             {post("/api/otpsend", "localhost:7071", "Sec-Fetch-Site: same-site"), 403},
		"the timer":                {post("/purge", "localhost:7071"), 404},
		"everything's OPTIONS":     {"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404},
		"not HTTP":                 {"hello\r\n\r\n", 400},
		"two hosts":                {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400},
		"a name in the target":     {"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 403},
		"no name":                  {"GET / HTTP/1.0\r\n\r\n", 403},
		"a name that we could own": {post("/api/otpsend", "localhost.evil.example"), 403},
	} {
		res, text := rawRequest(t, p, tc.request)
		if res.StatusCode != tc.want || strings.Contains(text, "evil") {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, text, tc.want)
		}
		if h := res.Header; h.Get("X-Request-Id") == "" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: the headers are %v", name, h)
		}
	}
	// A line may come after its answer.
	refused := func() int { return strings.Count(p.stdout.String(), `"outcome":"forbidden"`) }
	waitFor(t, "a line for each refusal", func() bool { return refused() >= 8 })
	if strings.Contains(p.stdout.String(), "evil") || refused() != 8 {
		t.Errorf("the log is not one line for each refusal, without what was sent: %s", p.stdout)
	}
}
