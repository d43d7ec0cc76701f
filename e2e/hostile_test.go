package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twofa/internal/testing/functionshost"
)

// rawReply is the answer to a raw request.
type rawReply struct {
	target string
	status int
	id     string // X-Request-Id: "" for an answer of the host itself
}

// raw sends a request with exactly that target, which net/http would change, and
// further header lines, each with its line end.
func raw(h *functionshost.Host, method, target, header string) (rawReply, error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(h.URL(), "http://"))
	if err != nil {
		return rawReply{}, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(40 * time.Second))
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: h.example\r\n%s\r\n", method, target, header)
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return rawReply{}, fmt.Errorf("%s: %w", target, err)
	}
	defer res.Body.Close()
	return rawReply{target, res.StatusCode, res.Header.Get("X-Request-Id")}, nil
}

// servedAs returns, by request id, the function as which the handler has served each
// request that it has logged: "" for "no such path".
func servedAs(t *testing.T, h *functionshost.Host) map[string]string {
	t.Helper()
	served := make(map[string]string)
	for _, e := range h.Logs() {
		var line struct {
			Msg, Function string
			RequestID     string `json:"request_id"`
		}
		if json.Unmarshal([]byte(e.Text), &line) == nil && line.Msg == "request" {
			served[line.RequestID] = line.Function
		}
	}
	return served
}

// foreign describes the requests that the host matched to one function and the handler
// served as another's.
func foreign(t *testing.T, h *functionshost.Host, targets map[string]string) (found []string) {
	t.Helper()
	served := servedAs(t, h)
	for _, call := range h.Invocations() {
		as, logged := served[call.ID]
		if logged && as != "" && as != call.Function {
			found = append(found, fmt.Sprintf("%s was matched to %s and served as %s", targets[call.ID], call.Function, as))
		}
	}
	return found
}

// attackedPaths has a path of each route, and those that no route leads to.
var attackedPaths = []string{
	"/api/otpsend", "/api/otpsend/" + someID, "/api/otpverify", "/api/users/bob", "/api/users/bob/totp", "/api/users/bob/totp/confirm",
	"/hooks/twilio/status", "/hooks/twilio/inbound", "/verify/jwks", "/oidc/.well-known/openid-configuration", "/oidc/token", "/oidc/account/app", "/health", "/purge", "/otpsend",
}

// attack sends n hostile targets, in absolute form or in origin form, on every route,
// with and without keys, and returns the targets by request id.
func attack(t *testing.T, h *functionshost.Host, n int, absolute bool, seed uint64) map[string]string {
	t.Helper()
	keys := h.Keys()
	functions := slices.Collect(func(yield func(string) bool) {
		for f := range keys.Functions {
			if !yield(f) {
				return
			}
		}
	})
	slices.Sort(functions)
	var mu sync.Mutex
	targets := make(map[string]string, n)
	var all sync.WaitGroup
	const workers = 8
	for w := range workers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for range n / workers {
				method := []string{"GET", "POST", "PUT", "DELETE", "PATCH"}[r.IntN(5)]
				header := ""
				switch r.IntN(4) {
				case 0: // no key
				case 1:
					header = "x-functions-key: " + keys.Host + "\r\n"
				default:
					header = "x-functions-key: " + keys.Functions[functions[r.IntN(len(functions))]] + "\r\n"
				}
				target := functionshost.HostileTarget(r, attackedPaths)
				if absolute {
					target = "http://h.example" + target
				}
				got, err := raw(h, method, target, header)
				if err != nil {
					t.Error(err)
					return
				}
				if got.id != "" {
					mu.Lock()
					targets[got.id] = method + " " + target
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return targets
}

// A request that the host matched to one function is served as that function's, or not
// at all, whatever its target is: half of the targets are absolute, half come through
// Azure's front end.
func TestAttack26_NoTargetLeavesItsFunction(t *testing.T) {
	rig := newRig(t)
	for name, edge := range map[string]bool{"absolute form": false, "through Azure's front end": true} {
		t.Run(name, func(t *testing.T) {
			h, c := rig.host(func(o *functionshost.Options) { o.Edge = edge })
			targets := attack(t, h, 10_000, !edge, 26)
			// The log is in order: when it has the line of this request, it has all earlier lines.
			awaitLine(t, h, c.status(someID).header.Get("X-Request-Id"))
			if len(targets) < 500 {
				t.Errorf("only %d targets reached the handler", len(targets))
			}
			for _, f := range foreign(t, h, targets) {
				t.Error(f)
			}
		})
	}
	rig.wantCalls(0)
}

// The test above would find a route that can be left: with a catch-all in one function,
// the same targets reach others.
func TestAttack26_ACatchAllWouldBeFound(t *testing.T) {
	rig := newParallelRig(t)
	root := copyApp(t)
	path := filepath.Join(root, "hooks", "function.json")
	before := string(readFile(t, path))
	after := strings.Replace(before, "hooks/{provider:alpha}/{kind:alpha}", "hooks/{*path}", 1)
	if before == after {
		t.Fatal("hooks has another route")
	}
	writeFile(t, path, after)
	h, c := rig.host(func(o *functionshost.Options) { o.Root = root })
	targets := attack(t, h, 10_000, true, 26)
	awaitLine(t, h, c.status(someID).header.Get("X-Request-Id"))
	if len(foreign(t, h, targets)) == 0 {
		t.Error("no target climbed out of the catch-all")
	}
}

// What was seen in the host's old mode and in absolute form: with the key of one
// function, or with none, these targets reached another one.
func TestR24_AKeyOpensItsOwnFunctionOnly(t *testing.T) {
	for name, change := range map[string]func(*functionshost.Options){
		"in the cloud":              nil,
		"routes in reverse":         func(o *functionshost.Options) { o.ReverseRoutes = true },
		"through Azure's front end": func(o *functionshost.Options) { o.Edge = true },
	} {
		t.Run(name, func(t *testing.T) {
			rig := newParallelRig(t)
			h, c := rig.host(change, noPause)
			keys := h.Keys().Functions
			targets := make(map[string]string)
			send := func(key, target string) {
				t.Helper()
				header := "Content-Length: 0\r\n"
				if key != "" {
					header += "x-functions-key: " + key + "\r\n"
				}
				got, err := raw(h, "POST", target, header)
				if err != nil {
					t.Fatal(err)
				}
				targets[got.id] = target
				switch got.status {
				case 400, 401, 404, 405, 403:
				default:
					t.Errorf("%s: answered %d", target, got.status)
				}
			}
			for _, from := range []string{"api/users/x", "api/users/x/y", "api/otpsend", "hooks/twilio", "hooks/twilio/status", "hooks", "oidc", "oidc/token", "oidc/.well-known"} {
				function := map[string]string{"api/users/x": "users", "api/users/x/y": "users", "api/otpsend": "otpsend"}[from]
				for _, to := range []string{"api/otpverify", "api/otpsend", "api/users/x", "purge", "otpsend"} {
					for _, up := range []string{"..%2f", "..%2F", "..%5C", "%2e%2e%2f", "%252e%252e%252f", "%252e%252e/", "..%252f", "..;/", "..%20/", "..%00/"} {
						climb := "/" + from + "/" + strings.Repeat(up, strings.Count(from, "/")+1) + to
						for _, target := range []string{climb, "http://h.example" + climb} {
							send(keys[function], target)
							send("", target)
						}
					}
				}
			}
			awaitLine(t, h, c.status(someID).header.Get("X-Request-Id"))
			for _, f := range foreign(t, h, targets) {
				t.Error(f)
			}
			rig.wantCalls(0)
			rig.wantRows(0)
		})
	}
}

// The timer's address, called through any route.
func TestAttack33_NoRouteLeadsToTheTimer(t *testing.T) {
	for name, change := range map[string]func(*functionshost.Options){
		"in the cloud":              nil,
		"under Core Tools":          func(o *functionshost.Options) { o.Mode = functionshost.CoreTools },
		"through Azure's front end": func(o *functionshost.Options) { o.Edge = true },
	} {
		t.Run(name, func(t *testing.T) {
			rig := newParallelRig(t)
			h, c := rig.host(change)
			rig.putRow("00000000000000aa", time.Now().Add(-time.Second))
			for _, target := range []string{
				"/purge", "//purge", "/purge/", "/PURGE", "http://h.example/purge", "/./purge", "/api/../purge", "/hooks/../purge", "/%70urge", "/purge%0A",
				"/hooks/..%2fpurge", "http://h.example/hooks/..%2fpurge", "http://h.example/hooks/twilio/..%2f..%2fpurge", "http://h.example/api/users/..%2f..%2fpurge",
				"/api/users/..%5C..%5Cpurge", "/api/otpsend/%252e%252e%252f%252e%252e%252fpurge", "http://h.example/api/otpsend/..%2f..%2fpurge", "http://h.example/oidc/..%2fpurge", "http://h.example/oidc/.well-known/..%2f..%2fpurge", "/admin/functions/purge",
			} {
				for _, key := range []string{"", "x-functions-key: " + h.Keys().Host + "\r\n", "x-functions-key: " + h.Keys().Master + "\r\n"} {
					got, err := raw(h, "POST", target, "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n"+key+"\r\n{}")
					if err != nil {
						t.Fatal(err)
					}
					if got.status < 400 {
						t.Errorf("%s: answered %d", target, got.status)
					}
				}
			}
			awaitLine(t, h, c.status(someID).header.Get("X-Request-Id"))
			for _, function := range servedAs(t, h) {
				if function == "purge" {
					t.Error("a routed request reached the timer")
				}
			}
			rig.wantRows(1)
			if err := h.FireTimer(timeLimit(t), "purge", functionshost.Timer{}); err != nil {
				t.Error(err)
			}
			rig.wantRows(0)
		})
	}
}
