package client_test

import (
	"slices"
	"testing"

	"twofa/internal/client"
)

func TestAScopeOpensItselfAlone(t *testing.T) {
	t.Parallel()
	all := []client.Scope{
		client.ScopeSend, client.ScopeCheck, client.ScopeUsers, client.ScopeUsersRead, client.ScopeAlerts, client.ScopeSupport,
		client.ScopeSignIn, client.ScopeVerify, client.ScopeEntra, "",
	}
	for _, has := range all[:len(all)-1] {
		c := client.Client{ID: "a", Scopes: []client.Scope{has}}
		for _, asked := range all {
			want := asked == has || has == client.ScopeUsers && asked == client.ScopeUsersRead
			if c.May(asked) != want {
				t.Errorf("a client with %q may %q: %t", has, asked, !want)
			}
		}
	}
	if slices.ContainsFunc(all, (client.Client{}).May) {
		t.Error("the zero client has a scope")
	}
	for _, asked := range all {
		if !client.Nameless.May(asked) {
			t.Errorf("the nameless client may not %q", asked)
		}
	}
}

func TestTheClientOfAContext(t *testing.T) {
	t.Parallel()
	if c := client.From(t.Context()); c.ID != "" || !c.May(client.ScopeSend) || c.Directory != client.MainDirectory {
		t.Errorf("without a client: %+v", c)
	}
	ctx := client.With(t.Context(), client.Client{ID: "a", Scopes: []client.Scope{client.ScopeCheck}})
	if c := client.From(ctx); c.ID != "a" || c.May(client.ScopeSend) {
		t.Errorf("with a client: %+v", c)
	}
}
