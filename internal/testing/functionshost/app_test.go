package functionshost_test

import (
	"strings"
	"testing"

	"twofa/internal/testing/functionshost"
)

func TestRefusedApps(t *testing.T) {
	t.Parallel()
	host := func(old, new string) files {
		if !strings.Contains(hostJSON, old) {
			t.Fatalf("host.json has no %s", old)
		}
		return files{"host.json": strings.Replace(hostJSON, old, new, 1)}
	}
	bindings := func(list string) files {
		return files{"bad/function.json": `{"bindings": [` + list + `]}`}
	}
	const (
		in    = `{"type": "httpTrigger", "direction": "in", "name": "req"}`
		out   = `{"type": "http", "direction": "out", "name": "res"}`
		clock = `{"type": "timerTrigger", "direction": "in", "name": "clock", "schedule": "0 7 * * * *"}`
	)
	for _, c := range []struct {
		name  string
		files files
		want  string
	}{
		{"no host.json", files{"host.json": ""}, "host.json"},
		{"host.json is not JSON", files{"host.json": "{"}, "host.json"},
		{"no version", host(`"version": "2.0", `, ""), "version"},
		{"version 1", host(`"2.0"`, `"1.0"`), "version"},
		{"no custom handler", files{"host.json": `{"version": "2.0"}`}, "description"},
		{"no description", host(`"description"`, `"other"`), "description"},
		{"no executable", host(`"defaultExecutablePath"`, `"other"`), "defaultExecutablePath is missing"},
		{"worker path", host(`"arguments": []`, `"defaultWorkerPath": "x"`), "defaultWorkerPath"},
		{"no proxying", host(`"enableProxyingHttpRequest": true`, `"x": 1`), "this stand-in covers enableProxyingHttpRequest only"},
		{"forwarding", host(`"enableProxyingHttpRequest": true`, `"enableForwardingHttpRequest": true`), "covers enableProxyingHttpRequest only"},
		{"both", host(`"enableProxyingHttpRequest": true`, `"enableForwardingHttpRequest": true, "enableProxyingHttpRequest": true`), "covers enableProxyingHttpRequest only"},
		{"bad time-out", host(`"version"`, `"functionTimeout": "60", "version"`), "functionTimeout"},
		{"bad start time-out", host(`"customHandler": {`, `"customHandler": {"initializationTimeout": "00:60:00", `), "initializationTimeout"},
		{"function.json is not JSON", files{"bad/function.json": "{"}, "bad"},
		{"no trigger", bindings(out), "0 triggers"},
		{"two triggers", bindings(in + "," + clock), "2 triggers"},
		{"the same name twice", bindings(in + "," + strings.Replace(out, "res", "REQ", 1)), "used twice"},
		{"no name", bindings(in + "," + strings.Replace(out, "res", "", 1)), "no name"},
		{"no output", bindings(in), "one http output"},
		{"other binding", bindings(in + "," + out + `,{"type": "queue", "direction": "out", "name": "q"}`), "type queue"},
		{"other trigger", bindings(`{"type": "queueTrigger", "name": "q"}`), "queueTrigger"},
		{"no schedule", bindings(strings.Replace(clock, "schedule", "x", 1)), "NCRONTAB"},
		{"bad schedule", bindings(strings.Replace(clock, "0 7 * * * *", "hourly", 1)), "NCRONTAB"},
		{"name with a capital", files{"Bad/function.json": httpFunction("x", "anonymous")}, "name does not match"},
		{"name with a digit first", files{"1bad/function.json": httpFunction("x", "anonymous")}, "name does not match"},
		{"long name", files{strings.Repeat("n", 129) + "/function.json": httpFunction("x", "anonymous")}, "name does not match"},
		{"unknown level", files{"bad/function.json": httpFunction("x", "user")}, "authLevel user"},
		{"the host's own route", files{"bad/function.json": httpFunction("admin/x", "anonymous")}, "/admin"},
		{"the host's other route", files{"bad/function.json": httpFunction("Runtime", "anonymous")}, "/runtime"},
		{"the same route", files{"bad/function.json": httpFunction("/ECHO/{*path}", "function", "get")}, "function echo"},
		{"unknown constraint", files{"bad/function.json": httpFunction("x/{id:letters}", "anonymous")}, `"letters" is not covered`},
		{"unknown constraint after another", files{"bad/function.json": httpFunction("x/{id:alpha:letters?}", "anonymous")}, `"letters" is not covered`},
		{"other constraint", files{"bad/function.json": httpFunction("x/{id:int}", "anonymous")}, `"int" is not covered`},
		{"constraint with needless brackets", files{"bad/function.json": httpFunction("x/{id:alpha()}", "anonymous")}, `"alpha()" is not covered`},
		{"regex without a pattern", files{"bad/function.json": httpFunction("x/{id:regex}", "anonymous")}, `"regex" is not covered`},
		{"regex without an end", files{"bad/function.json": httpFunction("x/{id:regex(a}", "anonymous")}, `"regex(a" is not covered`},
		{"bad regex", files{"bad/function.json": httpFunction("x/{id:regex([)}", "anonymous")}, "missing closing ]"},
		{"empty constraint", files{"bad/function.json": httpFunction("x/{id:}", "anonymous")}, `"" is not covered`},
		{"default value", files{"bad/function.json": httpFunction("x/{id:alpha=1}", "anonymous")}, "{id:alpha=1} is not covered"},
		{"constrained catch-all", files{"bad/function.json": httpFunction("x/{*id:alpha}", "anonymous")}, "{*id:alpha}"},
		{"catch-all of another kind", files{"bad/function.json": httpFunction("x/{**id}", "anonymous")}, "{**id}"},
		{"no name for a parameter", files{"bad/function.json": httpFunction("x/{:alpha}", "anonymous")}, "{:alpha}"},
		{"mixed segment", files{"bad/function.json": httpFunction("x/a{id}", "anonymous")}, "a{id}"},
		{"optional in the middle", files{"bad/function.json": httpFunction("x/{id?}/y", "anonymous")}, "{id?} must be at the end"},
		{"catch-all in the middle", files{"bad/function.json": httpFunction("x/{*id}/y", "anonymous")}, "{*id} must be at the end"},
		{"optional catch-all", files{"bad/function.json": httpFunction("x/{*id?}", "anonymous")}, "can't be optional"},
		{"empty segment", files{"bad/function.json": httpFunction("x//y", "anonymous")}, "empty segment"},
		{"local settings that are not JSON", files{"local.settings.json": "{"}, "local.settings.json"},
		{"encrypted settings", files{"local.settings.json": `{"IsEncrypted": true, "Values": {}}`}, "encrypted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := functionshost.Start(t.Context(), functionshost.Options{
				Root: newApp(t, c.files), Mode: functionshost.CoreTools, Env: []string{storage},
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestAllFaultsAreReportedTogether(t *testing.T) {
	t.Parallel()
	dir := newApp(t, files{"host.json": `{}`, "bad/function.json": `{"bindings": []}`, "worse/function.json": "{"})
	_, err := functionshost.Start(t.Context(), functionshost.Options{Root: dir, Env: []string{storage}})
	for _, want := range []string{"version", "description", "function bad", "worse"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestTimerNeedsStorage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env   []string
		valid bool
	}{
		{[]string{}, false},
		{[]string{"AzureWebJobsStorage="}, false},
		{[]string{"AzureWebJobsStorage=x"}, true},
		{[]string{"AzureWebJobsStorage__accountName=x"}, true},
		{[]string{"AzureWebJobsStorage__tableServiceUri=x"}, true},
	} {
		h, err := functionshost.Start(t.Context(), functionshost.Options{Root: newApp(t, nil), Env: c.env})
		if err == nil {
			h.Close()
		}
		if (err == nil) != c.valid {
			t.Errorf("%v: error %v", c.env, err)
		}
	}
	// Without a timer, no storage is needed.
	start(t, functionshost.Options{Root: newApp(t, files{"tick/function.json": ""}), Env: []string{}})
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"x/{id}", "x/y", true},
		{"x/{id}", "X/Y", true},
		{"x/{id}", "y/{id}", false},
		{"x", "x/{id?}", true},
		{"x", "x/{id}", false},
		{"x", "x/{*rest}", true},
		{"x/{id?}", "x/{*rest}", true},
		{"x/{id?}", "x/a/b", false},
		{"x/{id?}", "x/{other}", true},
		{"{*all}", "x/y/z", true},
		{"x/{*all}", "y", false},
		{"x/{id}/z", "x/y/{*rest}", true},
		{"x/{id}/z", "x/{id}/w", false},
		{"api/otpsend/{id?}", "api/otpverify", false},
		{"api/{name}", "api/otpsend/{id?}", true},
		{"x/{id:alpha}", "x/1", false},
		{"x/{id:alpha}", "x/y", true},
		{"x/{id:alpha?}", "x/1", false},
		{"x/{id:alpha?}", "x", true},
		{"x/{id:alpha}", "x/{*rest}", true},
		{"x/{id:alpha}", "x/{name:regex(^1)}", true}, // constraints are not compared
		{"x/{a?}/{b?}/{c?}", "x/y/{d}", true},
		{"x/{a?}/{b?}/{c?}", "x/y/z/w/v", false},
		{"x/{a?}/{b:alpha?}", "x/y/1", false},
		{"{a?}/{b?}", "{c?}", true},
	} {
		apps := newApp(t, files{
			"a/function.json": httpFunction(c.a, "function", "get", "post"), "b/function.json": httpFunction(c.b, "anonymous"),
			"do/function.json": "", "echo/function.json": "",
		})
		found, err := functionshost.Overlaps(apps)
		if err != nil || (len(found) == 1) != c.want || len(found) > 1 {
			t.Errorf("%s and %s: %v, %v", c.a, c.b, found, err)
		}
		if c.want && len(found) == 1 && found[0].String() != "a ("+c.a+") and b ("+c.b+")" {
			t.Errorf("%s and %s: reported as %v", c.a, c.b, found[0])
		}
	}
	apart := newApp(t, files{
		"a/function.json": httpFunction("same/{id}", "function", "get"),
		"b/function.json": httpFunction("same/{*rest}", "anonymous", "POST"),
	})
	if found, err := functionshost.Overlaps(apart); err != nil || len(found) > 0 {
		t.Errorf("functions for other methods overlap: %v, %v", found, err)
	}
	if _, err := functionshost.Overlaps(newApp(t, files{"host.json": "{"})); err == nil {
		t.Error("a broken app has no overlaps")
	}
}

func TestOpenings(t *testing.T) {
	t.Parallel()
	for route, want := range map[string]string{
		"x/y":                      "",
		"x/{kind:alpha}":           "",
		"x/{kind:alpha:regex(a)}":  "",
		"x/{kind:regex(a):alpha?}": "",
		"x/{a:regex(^[^.])}/{b:regex(^[^.])?}/{c:alpha?}": "",
		"x/{a:regex(^[^.]+$)}":                            "",
		"x/{a:regex(^([^.]|[.]well-known$))?}":            "",
		"x/.well-known/y":                                 "",
		"x/{*path}":                                       "{*path}",
		"x/{kind}":                                        "{kind}",
		"x/{kind?}":                                       "{kind?}",
		"x/{kind}/{id:alpha}":                             "{kind}",
		"x/{a:regex(^[^.])}/{*rest}":                      "{*rest}",
		"x/{a:regex([^.])}":                               "{a:regex([^.])}",
		"x/{a:regex(^.)}":                                 "{a:regex(^.)}",
		"x/{a:regex(^[^.]|x)}":                            "{a:regex(^[^.]|x)}",
		"x/{a:regex(^[^.]*)}":                             "{a:regex(^[^.]*)}",
		"x/{a:regex(^[^.]?x)}":                            "{a:regex(^[^.]?x)}",
		"x/{a:regex(^([^.]|[.]well-known))}":              "{a:regex(^([^.]|[.]well-known))}",
		"x/../y":                                          "..",
	} {
		for _, level := range []string{"anonymous", "function", "admin"} {
			root := newApp(t, files{"do/function.json": "", "echo/function.json": "", "f/function.json": httpFunction(route, level)})
			found, err := functionshost.Openings(root)
			if err != nil {
				t.Fatal(err)
			}
			var segments []string
			for _, o := range found {
				segments = append(segments, o.Segment)
				if o.String() != "f ("+route+"): "+o.Segment {
					t.Errorf("reported as %v", o)
				}
			}
			if got := strings.Join(segments, " "); got != want {
				t.Errorf("%s, %s: %q, want %q", route, level, got, want)
			}
		}
	}
	if _, err := functionshost.Openings(newApp(t, files{"host.json": "{"})); err == nil {
		t.Error("a broken app has no openings")
	}
}

// The app of this repository has to follow the rule.
func TestRoutesOfThisRepositoryHaveNoOpenings(t *testing.T) {
	t.Parallel()
	found, err := functionshost.Openings("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range found {
		t.Errorf("a path can climb out of %v", o)
	}
}
