package azurite

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

func endpoint(t *testing.T, connectionString string) string {
	t.Helper()
	for part := range strings.SplitSeq(connectionString, ";") {
		if u, ok := strings.CutPrefix(part, "TableEndpoint="); ok {
			return u
		}
	}
	t.Fatal("no TableEndpoint in the connection string")
	return ""
}

// answers reports whether Azurite's table service answers at the endpoint. It refuses the
// request because there is no signature, but the answer has Azurite's Server header.
func answers(endpoint string) bool {
	resp, err := http.Get(endpoint + "/Tables")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return strings.HasPrefix(resp.Header.Get("Server"), "Azurite-Table")
}

func TestStart(t *testing.T) {
	var ep string
	t.Run("run", func(t *testing.T) {
		ep = endpoint(t, Start(t))
		if u, err := url.Parse(ep); err != nil || u.Hostname() != "127.0.0.1" {
			t.Errorf("listens at %q, want loopback", ep)
		}
		if !answers(ep) {
			t.Error("does not answer as Azurite")
		}
	})
	if answers(ep) {
		t.Error("still answers after the end of the test that started it")
	}
}

func TestShared(t *testing.T) {
	if a, b := Shared(t), Shared(t); a != b {
		t.Error("two instances in one process")
	}
	if !answers(endpoint(t, Shared(t))) {
		t.Error("does not answer as Azurite")
	}
}

func TestNotInstalled(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/go.mod", []byte("module x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	_, err := start()
	if err == nil || !strings.Contains(err.Error(), "make tools") {
		t.Errorf("error %v, want one that says how to install it", err)
	}
}
