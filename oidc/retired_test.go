package oidc_test

import (
	"testing"
	"time"

	"twofa/internal/secret"
	"twofa/internal/testing/fixture"
)

// Whatever a browser has from a retired secret is refused: the session, a page, the link of a mail, the request of an app. The
// account, its sub and the keys that sign stay. A secret that is only the second one still opens all.
func TestAttack36_R28_WhatARetiredSecretMade(t *testing.T) {
	t.Parallel()
	for setting, opens := range map[string]bool{fixture.Secret(2) + "," + fixture.Secret(1): true, fixture.Secret(2) + ",index:" + fixture.Secret(1): false} {
		s := newService(t)
		s.give(annasNumber)
		p := s.person().authorize("own").proves(annasNumber)
		sub := p.claims("own")["sub"]
		s.Advance(24 * time.Hour)
		p.authorize("own").proves(annasNumber)
		page := s.person().authorize("own")
		question := s.person()
		question.http.Jar = p.http.Jar
		question.open("/oidc/end-session").sees("Sign out")
		keys, err := secret.Parse(setting)
		if err != nil {
			t.Fatal(err)
		}
		*s.Keys = *keys // of all stores, as after a start
		if p.authorize("own"); (p.app != nil) != opens {
			t.Errorf("opens %t, and the session: %d %s", opens, p.status, p.where())
		}
		if page.post("send", "address", stranger); (page.status == 200) != opens {
			t.Errorf("opens %t, and a page with the request of an app: %d %s", opens, page.status, page.text())
		}
		if question.post("confirm"); (question.status == 200) != opens {
			t.Errorf("opens %t, and the form that signs out: %d %s", opens, question.status, question.text())
		}
		s.Advance(24 * time.Hour)
		if again := s.person().authorize("own").proves(annasNumber).claims("own"); again["sub"] != sub {
			t.Errorf("opens %t, and sub is %v, was %v", opens, again["sub"], sub)
		}
	}
}
