package client_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/client"
)

// hash is the hash of a secret, as an entry has it.
func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// load reads a list that has to have no faults.
func load(t interface {
	Helper()
	Fatalf(string, ...any)
}, list string) *client.Registry {
	t.Helper()
	r, faults := client.Load(list)
	if len(faults) > 0 || r == nil {
		t.Fatalf("faults: %q", faults)
	}
	return r
}

func TestR17_OnlyTheClientsOwnSecretsAuthenticate(t *testing.T) {
	t.Parallel()
	r := load(t, `[{"id": "one", "secrets": ["`+hash("first")+`"], "scopes": ["send"]},
		{"id": "two", "secrets": ["`+hash("old")+`", "`+hash("new")+`"], "scopes": ["check"], "directory": "bank"},
		{"id": "app", "public": true, "scopes": ["signin"], "redirect_uris": ["com.example.app:/done"]}]`)
	for _, tc := range []struct {
		id, secret string
		ok         bool
	}{
		{"one", "first", true}, {"two", "old", true}, {"two", "new", true},
		{"one", "old", false}, {"one", "new", false}, {"two", "first", false}, {"one", "", false}, {"one", "First", false}, {"one", "first ", false}, {"one", hash("first"), false},
		{"One", "first", false}, {"", "first", false}, {"", "", false}, {"unknown", "first", false}, {"unknown", "", false},
		{"app", "", false}, {"app", "first", false}, {"app", string(make([]byte, 32)), false},
	} {
		c, ok := r.Authenticate(tc.id, tc.secret)
		if ok != tc.ok || ok && c.ID != tc.id || !ok && (c.ID != "" || c.May(client.ScopeSend)) {
			t.Errorf("%q with %q: %+v, %t", tc.id, tc.secret, c, ok)
		}
	}
	if c, _ := r.Authenticate("two", "new"); c.Directory != "bank" || !c.May(client.ScopeCheck) || c.May(client.ScopeSend) {
		t.Errorf("the client is %+v", c)
	}
	if c, ok := r.Client("app"); !ok || !c.Public || c.Directory != client.MainDirectory {
		t.Errorf("the public client: %+v, %t", c, ok)
	}
	if _, ok := r.Client("unknown"); ok {
		t.Error("an unknown client was found")
	}
	var ids []string
	for _, c := range r.Clients() {
		ids = append(ids, fmt.Sprint(c.ID, r.Secrets(c.ID)))
	}
	if want := []string{"one1", "two2", "app0"}; !slices.Equal(ids, want) {
		t.Errorf("the clients and their secrets: %q, want %q", ids, want)
	}
}

func TestANilRegistryKnowsNobody(t *testing.T) {
	t.Parallel()
	var r *client.Registry
	if _, ok := r.Authenticate("", ""); ok {
		t.Error("somebody was authenticated")
	}
	if _, ok := r.Client(""); ok || r.Clients() != nil || r.Secrets("") != 0 {
		t.Error("there is a client")
	}
}

// A client is authenticated if and only if the secret is one of its own.
func TestR17_AuthenticationIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfNDistinct(rapid.StringN(1, 8, -1), 2, 12, rapid.ID).Draw(t, "secrets")
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z0-9._-]{1,8}`), 1, 4, rapid.ID).Draw(t, "ids")
		own := make(map[string][]string)
		var list []map[string]any
		for _, id := range ids {
			own[id] = rapid.SliceOfNDistinct(rapid.SampledFrom(secrets), 1, 2, rapid.ID).Draw(t, "own")
			var hashes []string
			for _, s := range own[id] {
				hashes = append(hashes, hash(s))
			}
			list = append(list, map[string]any{"id": id, "secrets": hashes, "scopes": []string{"send"}})
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		r := load(t, string(text))
		for _, id := range append(ids, "", "somebody-else") {
			for _, s := range append(secrets, "") {
				if c, ok := r.Authenticate(id, s); ok != slices.Contains(own[id], s) || ok && c.ID != id {
					t.Fatalf("%q with %q: %t", id, s, ok)
				}
			}
		}
	})
}

func TestANewSecretHas256BitsAndItsHash(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 100 {
		secret, itsHash := client.NewSecret()
		raw, err := hex.DecodeString(secret)
		if err != nil || len(raw) != 32 || seen[secret] || itsHash != hash(secret) {
			t.Fatalf("%q %q, %v", secret, itsHash, err)
		}
		seen[secret] = true
		if sid := client.NewSID("AC"); len(sid) != 34 || sid[:2] != "AC" || seen[sid] {
			t.Fatalf("the SID is %q", sid)
		} else {
			seen[sid] = true
		}
	}
}

// An unknown id and a wrong secret take the same time. To compare:
//
//	go test ./internal/client -run '^$' -bench Authenticate -count 10
func BenchmarkAuthenticate(b *testing.B) {
	secret, _ := client.NewSecret()
	r := load(b, `[{"id": "bank-web", "secrets": ["`+hash(secret)+`"], "scopes": ["send"]}, {"id": "spa", "public": true, "scopes": ["signin"], "redirect_uris": ["com.example.app:/done"]}]`)
	other, _ := client.NewSecret()
	for _, bench := range []struct{ name, id, secret string }{
		{"unknown_id", "bank-app", secret}, {"wrong_secret", "bank-web", other}, {"public_client", "spa", secret}, {"right_secret", "bank-web", secret},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				r.Authenticate(bench.id, bench.secret)
			}
		})
	}
}
