package app

import (
	"strings"
	"testing"

	"twofa/internal/check"
	"twofa/internal/client"
	"twofa/internal/config"
)

// A service with a public address warns of each client that sends people back to this
// machine. One without does not: that is a trial.
func TestCheckWarnsOfReturnAddressesOnThisMachine(t *testing.T) {
	entry := func(id, address string) string {
		_, hash := client.NewSecret()
		return `{"id": "` + id + `", "secrets": ["` + hash + `"], "scopes": ["send"], "return_urls": ["https://canary.example", "` + address + `"]}`
	}
	registry, faults := client.Load("[" + entry("shop", "http://localhost:3000/canary") + "," + entry("bank", "https://other.example") + "]")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for public, want := range map[string]string{
		"https://twofa.example":  "has 2 clients;of the client shop",
		"":                       "has 2 clients",
		"http://localhost:7071":  "has 2 clients",
		"https://127.0.0.1:7071": "has 2 clients",
	} {
		var texts []string
		for i, f := range clientsCheck(config.Settings{PublicURL: public, Clients: registry})(t.Context()) {
			if (f.Result == check.Warning) != (i > 0) || f.Setting != "TWOFA_CLIENTS" || strings.Contains(f.Text, "canary") {
				t.Errorf("%s: %+v", public, f)
			}
			texts = append(texts, f.Text)
		}
		parts := strings.Split(want, ";")
		if len(texts) != len(parts) || !strings.Contains(strings.Join(texts, ""), parts[len(parts)-1]) {
			t.Errorf("%s: %q, want %q", public, texts, parts)
		}
	}
}
