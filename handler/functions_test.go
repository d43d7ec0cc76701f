package handler_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"twofa/handler"
)

// function is what a function.json says.
type function struct {
	name     string
	Bindings []struct{ Type, Direction, Name, AuthLevel, Route string }
}

// functions reads every function.json of the project.
func functions(t *testing.T) (all []function) {
	t.Helper()
	files, err := filepath.Glob("../*/function.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d functions, %v", len(files), err)
	}
	for _, file := range files {
		f := function{name: filepath.Base(filepath.Dir(file))}
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &f)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, f)
	}
	return all
}

// What a segment of a route may be: a literal, or a parameter that cannot begin with a
// dot. The one exception is wellKnown, which also takes .well-known, whole: clients of OpenID
// Connect look there.
var (
	literal   = regexp.MustCompile(`^[a-z0-9-]+$`)
	parameter = regexp.MustCompile(`^\{[a-z]+:(alpha|regex\(\^\[\^\.\]\))\??\}$`)
	wellKnown = regexp.MustCompile(`^\{[a-z]+:regex\(\^\(\[\^\.\]\|\[\.\]well-known\$\)\)\??\}$`)
)

// holdsTheRule reports whether a function may have the segment in its route.
func holdsTheRule(function, segment string) bool {
	return literal.MatchString(segment) || parameter.MatchString(segment) || function == "oidc" && wellKnown.MatchString(segment)
}

// Out of such a route nothing climbs: an absolute-form request target climbs out of a
// catch-all, past the key of the function
// (docs/decisions/0011-proxying-and-routes-of-segments.md).
func TestR24_NoSegmentOfARouteBeginsWithADot(t *testing.T) {
	for _, f := range functions(t) {
		for _, b := range f.Bindings {
			if b.Type != "httpTrigger" {
				continue
			}
			for segment := range strings.SplitSeq(b.Route, "/") {
				if !holdsTheRule(f.name, segment) {
					t.Errorf("%s: the segment %s of %s may begin with a dot, or takes more than one segment", f.name, segment, b.Route)
				}
			}
		}
	}
	for _, bad := range []string{
		"{*path}", "{id}", "{id?}", "{id:length(3)}", "{id:regex(^[^/])}", "{id:regex([^.])}", "..", ".x", ".well-known", "{a:alpha}{b}",
		"{*a:regex(^([^.]|[.]well-known$))}", "{a:regex(^([^.]|[.]well-known))}", "{a:regex(^[^.]|[.]well-known$)}", "{a:regex(^([^.]|.well-known$))}", "{a:regex(([^.]|[.]well-known$))}",
	} {
		if holdsTheRule("oidc", bad) {
			t.Errorf("the rule accepts %s", bad)
		}
	}
	if holdsTheRule("pages", "{a:regex(^([^.]|[.]well-known$))}") {
		t.Error("the exception is not for oidc alone")
	}
}

// In proxying, the host needs exactly one trigger and one output, and our answer to an
// old host needs the output's name.
func TestEachHTTPFunctionHasOneTriggerAndOneOutput(t *testing.T) {
	var names []string
	for _, f := range functions(t) {
		if f.Bindings[0].Type != "httpTrigger" {
			continue
		}
		names = append(names, f.name)
		if len(f.Bindings) != 2 || f.Bindings[1].Type != "http" || f.Bindings[1].Direction != "out" || f.Bindings[1].Name != "res" {
			t.Errorf("%s has the bindings %+v", f.name, f.Bindings)
		}
	}
	if want := slices.Sorted(slices.Values(handler.HTTPFunctions)); !slices.Equal(names, want) {
		t.Errorf("the HTTP functions are %q, the handler knows %q", names, want)
	}
}

// What the service prints are traces of the category Host.Function.Console, at the level
// Information: a level Warning for it, or sampling of traces, would lose lines of the log.
// Host.Results are the requests that the host itself records.
func TestHostJSONKeepsEveryLineOfTheLog(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../host.json")
	if err != nil {
		t.Fatal(err)
	}
	var host struct {
		Logging struct {
			ApplicationInsights struct {
				SamplingSettings struct {
					IsEnabled     bool
					ExcludedTypes string
				}
			}
			LogLevel map[string]string
		}
	}
	if err := json.Unmarshal(text, &host); err != nil {
		t.Fatal(err)
	}
	excluded := strings.Split(host.Logging.ApplicationInsights.SamplingSettings.ExcludedTypes, ";")
	for _, kind := range []string{"Request", "Trace", "Exception"} {
		if host.Logging.ApplicationInsights.SamplingSettings.IsEnabled && !slices.Contains(excluded, kind) {
			t.Errorf("the host samples telemetry of type %s", kind)
		}
	}
	levels := map[string]string{"default": "Warning", "Host.Results": "Information", "Host.Function.Console": "Information"}
	if !maps.Equal(host.Logging.LogLevel, levels) {
		t.Errorf("the levels are %v, want %v", host.Logging.LogLevel, levels)
	}
}

// Forwarding is the host's old mode. There, function keys are no boundary.
func TestHostJSONSetsProxyingAlone(t *testing.T) {
	text, err := os.ReadFile("../host.json")
	if err != nil {
		t.Fatal(err)
	}
	var host struct{ CustomHandler map[string]any }
	if err := json.Unmarshal(text, &host); err != nil {
		t.Fatal(err)
	}
	if len(host.CustomHandler) != 2 || host.CustomHandler["enableProxyingHttpRequest"] != true || host.CustomHandler["description"] == nil {
		t.Errorf("customHandler is %v", host.CustomHandler)
	}
}
