package functionshost

import (
	"math/rand/v2"
	"testing"
)

// climbs returns the hostile targets that were matched to one route and arrive as the path of
// another, in origin form, in absolute form and through Azure's front end.
func climbs(t *testing.T, templates, paths []string) (found []string) {
	t.Helper()
	var routes []route
	for _, template := range templates {
		r, err := parseRoute(template)
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, r)
	}
	match := func(path string) int {
		for i, r := range routes {
			if r.match(path) {
				return i
			}
		}
		return -1
	}
	random, matched, origin := rand.New(rand.NewPCG(1, 2)), 0, 0
	for i := range 20_000 {
		raw := HostileTarget(random, paths)
		if i%2 == 0 {
			raw = "http://h.example" + raw
		}
		got, status := parseTarget(raw, "h.example", i%3 == 0)
		if status != 0 || match(got.path) < 0 {
			continue
		}
		matched++
		arrived, _ := cutQuery(got.arrives)
		if to := match(unescape(arrived, false)); to != match(got.path) || arrived == "/purge" {
			found = append(found, raw+" as "+arrived)
			if i%2 == 1 {
				origin++
			}
		}
	}
	if matched < 2000 {
		t.Errorf("only %d targets were matched", matched)
	}
	t.Logf("%d matched, %d climbed, %d of them in origin form", matched, len(found), origin)
	return found
}

func TestHostileTargets(t *testing.T) {
	t.Parallel()
	paths := []string{"/api/otpsend/VE01", "/api/otpverify", "/api/users/bob/totp", "/hooks/twilio/status", "/oidc/.well-known/jwks", "/verify/p/code", "/purge"}
	shut := []string{
		"api/otpsend/{id:regex(^[^.])?}", "api/otpverify", "api/users/{name:regex(^[^.])?}/{part:regex(^[^.])?}/{item:regex(^[^.])?}",
		"oidc/{a:regex(^([^.]|[.]well-known$))}/{b:regex(^([^.]|[.]well-known$))?}", "verify/{page:alpha}/{step:alpha?}",
	}
	for _, climb := range climbs(t, append(shut, "hooks/{provider:alpha}/{kind:alpha}"), paths) {
		t.Errorf("climbed: %s", climb)
	}
	for _, open := range []string{"hooks/{*path}", "hooks/{provider?}/{kind?}/{a?}/{b?}/{c?}/{d?}", "hooks/{provider:alpha}/{*path}"} {
		if found := climbs(t, append(shut, open), paths); len(found) < 10 {
			t.Errorf("%s: only %q climbed, so these targets show nothing", open, found)
		}
	}
}
