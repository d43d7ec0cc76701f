package functionshost_test

import (
	"net/http"
	"strings"
	"testing"

	"twofa/internal/testing/functionshost"
)

func TestRouting(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{
		"host.json":               strings.Replace(hostJSON, `"routePrefix": ""`, `"routePrefix": "api"`, 1),
		"posts/function.json":     httpFunction("items/{id?}", "anonymous", "post", "Put"),
		"unnamed/function.json":   httpFunction("", "anonymous"),
		"everything/readme.txt":   "a folder without function.json is no function",
		"everything/sub/function": "{",
	})
	h := start(t, functionshost.Options{Root: dir})
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/api/echo", 200},
		{"GET", "/API/Echo", 200},
		{"GET", "/echo", 404}, // without the prefix
		{"POST", "/api/items", 200},
		{"PUT", "/api/items/1", 200},
		{"GET", "/api/items/1", 404},
		{"POST", "/api/items/1/2", 404},
		{"GET", "/api/unnamed", 200}, // without a route, the name is the route
		{"GET", "/", 404},
		{"GET", "/api/tick", 404}, // a timer has no route
		{"GET", "/tick", 404},
		{"POST", "/tick", 404},
		{"POST", "//api/items", 404},
		{"POST", "/api/items/", 200},
		{"POST", "/api/items//", 404},
		{"OPTIONS", "/api/items", 404},
		{"HEAD", "/api/items", 404},
	} {
		response, body := call(t, c.method, h.URL()+c.path, nil, nil)
		if response.StatusCode != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, response.StatusCode, c.want)
		}
		if c.want == 404 && len(body) > 0 {
			t.Errorf("%s %s: the handler answered: %q", c.method, c.path, body)
		}
	}
}

func TestDefaultRoutePrefix(t *testing.T) {
	t.Parallel()
	h := start(t, functionshost.Options{Root: newApp(t, files{"host.json": strings.Replace(hostJSON, `"routePrefix": ""`, "", 1)})})
	for path, want := range map[string]int{"/api/echo": 200, "/echo": 404} {
		wantStatus(t, h.URL()+path, want)
	}
}

func TestAdminNeverReachesTheHandler(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{"all/function.json": httpFunction("{*path}", "anonymous")})
	h := start(t, functionshost.Options{Root: dir})
	for path, want := range map[string]int{
		"/other": 200, "/administration": 200, "/admin": 404, "/admin/host/status": 404, "/Admin/x": 404, "/%61dmin/x": 404, "/x/../admin/x": 404,
	} {
		wantStatus(t, h.URL()+path, want)
	}
}

func TestLoadOrderDecides(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{
		"aaa/function.json": httpFunction("twice/{*path}", "anonymous"),
		"zzz/function.json": httpFunction("twice/{id}", "function"),
	})
	for reverse, want := range map[bool]int{false: http.StatusOK, true: http.StatusUnauthorized} {
		h := start(t, functionshost.Options{Root: dir, ReverseRoutes: reverse})
		wantStatus(t, h.URL()+"/twice/1", want)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{
		"open/function.json":   httpFunction("open", "anonymous"),
		"keyed/function.json":  httpFunction("keyed", "function"),
		"other/function.json":  httpFunction("other", ""), // the default is function
		"master/function.json": httpFunction("master", "ADMIN"),
	})
	given := map[string]string{"keyed": "keyed-key"}
	h := start(t, functionshost.Options{Root: dir, Keys: functionshost.Keys{Master: "master-key", Host: "host-key", Functions: given}})
	if len(given) != 1 {
		t.Errorf("the caller's map was changed: %v", given)
	}
	made := h.Keys().Functions["other"]
	if made == "" || made == h.Keys().Functions["master"] {
		t.Fatalf("keys %+v", h.Keys())
	}
	for _, c := range []struct {
		path, header, query string
		want                int
	}{
		{"open", "", "", 200},
		{"open", "wrong", "", 200},
		{"keyed", "", "", 401},
		{"keyed", "keyed-key", "", 200},
		{"keyed", "host-key", "", 200},
		{"keyed", "master-key", "", 200},
		{"keyed", made, "", 401},
		{"keyed", "", "?code=keyed-key", 200},
		{"keyed", "", "?CODE=keyed-key", 200},
		{"keyed", "", "?code=wrong", 401},
		{"keyed", "", "?code=", 401},
		{"keyed", "wrong", "?code=keyed-key", 401}, // the header decides
		{"keyed", "keyed-key", "?code=wrong", 200},
		{"other", "", "", 401},
		{"other", made, "", 200},
		{"other", "keyed-key", "", 401},
		{"keyed", "\x00", "?code=keyed-key", 401}, // an empty header, too
		{"keyed", "", "?x=1&%63ode=keyed-key", 200},
		{"keyed", "", "?code=wrong&code=keyed-key", 401},
		{"master", "master-key", "", 200},
		{"master", "host-key", "", 401},
		{"master", h.Keys().Functions["master"], "", 401},
	} {
		header := make(http.Header)
		if c.header != "" {
			header.Set("X-Functions-Key", strings.Trim(c.header, "\x00"))
		}
		response, body := call(t, http.MethodGet, h.URL()+"/"+c.path+c.query, nil, header)
		if response.StatusCode != c.want {
			t.Errorf("%+v: %d", c, response.StatusCode)
		}
		if c.want == 401 && len(body) > 0 {
			t.Errorf("%+v: 401 with a body: %q", c, body)
		}
		if c.want == 200 {
			got := decode[seen](t, body)
			if got.Header.Get("X-Functions-Key") != c.header || !strings.EqualFold(got.URI, "/"+c.path+strings.Replace(c.query, "%63", "c", 1)) {
				t.Errorf("%+v: the key did not reach the handler: %+v", c, got)
			}
		}
	}
}

func TestCoreToolsAsksForNoKeys(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{"keyed/function.json": httpFunction("keyed", "function")})
	h := start(t, functionshost.Options{Root: dir, Mode: functionshost.CoreTools})
	wantStatus(t, h.URL()+"/keyed", http.StatusOK)
}
