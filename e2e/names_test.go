package e2e

import (
	"strings"
	"testing"

	"twofa/internal/testing/functionshost"
)

// A name that some hosts would change in a path is registered, read, changed and erased
// in its ~ form, on every kind of host, and never touches bob.
func TestAttack26_HardNamesOnEveryHost(t *testing.T) {
	names := []string{"bob/totp", "..", ".x", "~x", "a%2Fb", `a\b`, "Zoë K.", strings.Repeat("😀", 128)}
	hosts := map[string]func(*rig) *client{
		"on its own": func(rig *rig) *client { return rig.process(noPause).client },
	}
	for name, change := range map[string]func(*functionshost.Options){
		"in the cloud":              nil,
		"routes in reverse":         func(o *functionshost.Options) { o.ReverseRoutes = true },
		"under Core Tools":          func(o *functionshost.Options) { o.Mode = functionshost.CoreTools },
		"through Azure's front end": func(o *functionshost.Options) { o.Edge = true },
	} {
		hosts[name] = func(rig *rig) *client {
			_, c := rig.host(change, noPause)
			return c
		}
	}
	for where, open := range hosts {
		t.Run(where, func(t *testing.T) {
			rig := newParallelRig(t)
			c := open(rig)
			register(t, c, "bob")
			bob := want(t, c.get("/api/users/bob"), "200").body
			for _, name := range names {
				path := userPath(name)
				number := register(t, c, name)
				wantFields(t, want(t, c.get(path), "200"), fields{"name": name})
				want(t, c.post("/api/otpsend", fields{"user": name}), "201")
				want(t, c.check(fields{"user": name, "code": rig.code(number)}), "200")
				enroll(t, c, name)
				wantFields(t, want(t, c.get(path), "200"), fields{"authenticators": 1})
				want(t, c.do("PUT", path, "application/json", `{"email": "zoe@example.com", "phone": "`+number+`"}`), "200")
				want(t, c.do("DELETE", path+"/totp", "", ""), "204")
				want(t, c.do("DELETE", path, "", ""), "204")
				want(t, c.get(path), "404 not_found")
			}
			if got := want(t, c.get("/api/users/bob"), "200").body; got != bob {
				t.Errorf("bob was %s, and is %s", bob, got)
			}
			if where == "through Azure's front end" {
				return // which decodes %2F: bob%2Ftotp is bob/totp to the host, too
			}
			for _, path := range []string{"bob%2Ftotp", "bob%252Ftotp", "bob%5Ctotp", "%2e%2e", ".x"} {
				if r := c.do("DELETE", "/api/users/"+path, "", ""); r.status < 400 {
					t.Errorf("%s: answered %v", path, r)
				}
			}
			if got := want(t, c.get("/api/users/bob"), "200").body; got != bob {
				t.Errorf("bob was %s, and is %s", bob, got)
			}
		})
	}
}
