package oidc_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/grant"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/oidc"
)

func TestUserinfo(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	code := h.code(asked("web"))
	token := fmt.Sprint(h.tokens(posted(exchange("web", code)))["access_token"])
	json := posted(nil, "Authorization", "Bearer "+token)
	json.Header.Set("Content-Type", "application/json")
	for name, r := range map[string]*http.Request{
		"GET": got("Authorization", "Bearer "+token), "in lower case": got("Authorization", "bearer "+token), "POST": posted(nil, "Authorization", "Bearer "+token),
		"POST of no form": json, "in the form": posted(url.Values{"access_token": {token}}),
	} {
		a := h.Userinfo(r)
		if body := h.body(a); a.Status != http.StatusOK || a.Problem != nil || body["sub"] != alice().Subject("web") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	inQuery := got()
	inQuery.URL.RawQuery = "access_token=" + token
	for name, tc := range map[string]struct {
		r      *http.Request
		code   string
		status int
	}{
		"no token":               {got(), "", 401},
		"another scheme":         {got("Authorization", "Basic "+token), "", 401},
		"in the query":           {inQuery, "", 401},
		"two headers":            {got("Authorization", "Bearer "+token, "Authorization", "Bearer "+token), "", 401},
		"no token in a form":     {posted(url.Values{"x": {"y"}}), "", 401},
		"Basic and a form":       {posted(url.Values{"access_token": {token}}, "Authorization", "Basic x"), "", 401},
		"an empty token":         {got("Authorization", "Bearer "), "invalid_token", 401},
		"another token":          {got("Authorization", "Bearer "+strings.Repeat("A", 64)), "invalid_token", 401},
		"the code":               {got("Authorization", "Bearer "+code), "invalid_token", 401},
		"more than the token":    {got("Authorization", "Bearer "+token+"x"), "invalid_token", 401},
		"twice":                  {posted(url.Values{"access_token": {token}}, "Authorization", "Bearer "+token), "invalid_request", 400},
		"two tokens in the form": {posted(url.Values{"access_token": {token, token}}), "invalid_request", 400},
	} {
		a := h.Userinfo(tc.r)
		want, code := `Bearer realm="twofa"`, tc.code
		if code == "" {
			code = "invalid_token"
		} else if tc.status == 401 {
			want += `, error="invalid_token", error_description="`
		} else {
			want = ""
		}
		h.refused(name, a, tc.status, code)
		if challenge := a.Header["WWW-Authenticate"]; !strings.HasPrefix(challenge, want) || tc.code == "" && challenge != want || (challenge == "") != (want == "") {
			t.Errorf("%s: WWW-Authenticate: %s", name, challenge)
		}
	}
	if !h.lives(token) {
		t.Error("the token has died")
	}
}

func TestUserinfo_EndsWithWhatItRestsOn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	token := fmt.Sprint(h.tokens(posted(exchange("web", h.code(asked("web")))))["access_token"])
	ask := func(p *oidc.Provider) (status int, err error) {
		a := p.Userinfo(got("Authorization", "Bearer "+token))
		return a.Status, a.Problem
	}
	noClients := h.process()
	noClients.Clients = nil
	if status, _ := ask(noClients); status != 401 {
		t.Errorf("the client is gone: %d", status)
	}
	h.people.err = &problem.Error{Kind: problem.StorageUnavailable}
	if status, err := ask(h.Provider); status != 503 || !problem.Is(err, problem.StorageUnavailable) {
		t.Errorf("no account in sight: %d, %v", status, err)
	}
	h.people.err = nil
	h.table.Break(rig.FaultFrom(1, rig.Down))
	if status, _ := ask(h.Provider); status != 503 {
		t.Errorf("no grant in sight: %d", status)
	}
	h.table.Break(nil)
	if status, err := ask(h.Provider); status != 200 {
		t.Errorf("all is there: %d, %v", status, err)
	}
	person := h.people.all
	h.people.all = nil
	if status, err := ask(h.Provider); status != 401 || !problem.Is(err, problem.Unauthorized) {
		t.Errorf("the account is gone: %d, %v", status, err)
	}
	h.people.all = person
	h.clock.Advance(grant.TokenLifetime)
	if status, _ := ask(h.Provider); status != 401 {
		t.Errorf("an hour later: %d", status)
	}
}
