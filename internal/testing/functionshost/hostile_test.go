package functionshost

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
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

// segments are the parameters of oidc/function.json.
const segments = "{a:regex(^([^.]|[.]well-known$))}/{b:regex(^([^.]|[.]well-known$))?}/{c:regex(^([^.]|[.]well-known$))?}"

// No target that was sent to the real parts leaves a route of such segments, wherever that
// route begins. Many of them leave a catch-all there.
func TestAttack26_RecordedTargetsDoNotLeaveSegments(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/proxying-targets.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	matched, climbed := 0, 0
	for decoder := json.NewDecoder(bytes.NewReader(text)); decoder.More(); {
		var target struct {
			Target, Path, Arrives string
			Status                int
		}
		if err := decoder.Decode(&target); err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(target.Path, "/"), "/")
		if target.Status != 0 || !regexp.MustCompile("^[a-z]+$").MatchString(first) {
			continue
		}
		arrived, _ := cutQuery(target.Arrives)
		leaves := func(template string) (matches, leaves bool) {
			r, err := parseRoute(first + "/" + template)
			if err != nil {
				t.Fatal(err)
			}
			return r.match(target.Path), r.match(target.Path) && !r.match(unescape(arrived, false))
		}
		matches, left := leaves(segments)
		if left {
			t.Errorf("%q was matched as %q and arrives as %q", target.Target, target.Path, target.Arrives)
		}
		if matches {
			matched++
		}
		if _, left := leaves("{*path}"); left {
			climbed++
		}
	}
	if matched < 500 || climbed < 5 {
		t.Errorf("only %d targets were matched, and %d climbed out of a catch-all", matched, climbed)
	}
}

func TestHostileTargets(t *testing.T) {
	t.Parallel()
	paths := []string{"/api/otpsend/VE01", "/api/otpverify", "/api/users/bob/totp", "/hooks/twilio/status", "/oidc/.well-known/openid-configuration", "/oidc/token", "/oidc/account/app/add", "/verify/p/code", "/purge"}
	shut := []string{
		"api/otpsend/{id:regex(^[^.])?}", "api/otpverify", "api/users/{name:regex(^[^.])?}/{part:regex(^[^.])?}/{item:regex(^[^.])?}",
		"oidc/" + segments, "verify/{page:alpha}/{step:alpha?}",
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
