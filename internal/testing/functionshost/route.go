package functionshost

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

type segmentKind int

const (
	literal  segmentKind = iota // text
	single                      // {name}, {name:constraint}: one segment that is not empty
	optional                    // {name?}, {name:constraint?}: one segment or none; only at the end
	catchAll                    // {*name}: all following segments, or none; only at the end
)

type segment struct {
	kind        segmentKind
	text        string       // as written in the route
	constraints []constraint // of a parameter; all have to hold
}

// accepts reports whether all constraints hold for the value.
func (s segment) accepts(value string) bool {
	return !slices.ContainsFunc(s.constraints, func(c constraint) bool { return !c.accepts(value) })
}

// closed reports whether no path segment that s matches begins with a dot, except the literal
// .well-known.
func (s segment) closed() bool {
	if s.kind == literal {
		return !strings.HasPrefix(s.text, ".") || s.text == wellKnown
	}
	return slices.ContainsFunc(s.constraints, func(c constraint) bool { return c.closed })
}

// constraint is one inline constraint of a parameter. It checks one segment of the decoded path.
type constraint struct {
	accepts func(value string) bool
	closed  bool // no accepted value begins with a dot, except .well-known
}

const wellKnown = ".well-known"

// parseConstraint reads alpha or regex(pattern). A brace of the pattern is doubled.
func parseConstraint(text string) (constraint, error) {
	name, pattern, hasPattern := strings.Cut(text, "(")
	pattern, ended := strings.CutSuffix(pattern, ")")
	switch name = strings.ToLower(name); {
	case name == "alpha" && !hasPattern:
		name, pattern = "regex", "^[a-z]*$"
	case name != "regex" || !ended || pattern == "":
		return constraint{}, fmt.Errorf("constraint %q is not covered by this stand-in", text)
	}
	pattern = strings.NewReplacer("{{", "{", "}}", "}").Replace(pattern)
	// In .NET, $ matches before a newline at the end too.
	expression, err := regexp.Compile("(?i)" + strings.ReplaceAll(pattern, "$", `(?:\n?$)`))
	if err != nil {
		return constraint{}, fmt.Errorf("constraint %q: %w", text, err)
	}
	return constraint{expression.MatchString, closedPattern.MatchString(pattern)}, nil
}

// closedPattern matches the patterns of constraints that no value with a dot at its beginning
// passes, except .well-known.
var closedPattern = regexp.MustCompile(`^(?:\^\[a-z\]\*\$|\^\[\^\.\](?:[^|*?{].*)?|\^\(\[\^\.\]\|\[\.\]well-known\$\))$`)

type route []segment

var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseRoute reads a route template. It refuses default values and segments that mix text and
// parameters, because this stand-in does not imitate them.
func parseRoute(template string) (route, error) {
	var r route
	parts := strings.Split(template, "/")
	for i, part := range parts {
		s, err := parseSegment(part)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", template, err)
		}
		if last := len(r) - 1; last >= 0 && (r[last].kind == catchAll || r[last].kind == optional && s.kind != optional) {
			return nil, fmt.Errorf("route %s: %s must be at the end", template, parts[i-1])
		}
		r = append(r, s)
	}
	return r, nil
}

func parseSegment(part string) (segment, error) {
	if part == "" {
		return segment{}, errors.New("there is an empty segment")
	}
	if !strings.ContainsAny(part, "{}*?") {
		return segment{kind: literal, text: part}, nil
	}
	s := segment{kind: single, text: part}
	inner, opened := strings.CutPrefix(part, "{")
	inner, ended := strings.CutSuffix(inner, "}")
	inner, isCatchAll := strings.CutPrefix(inner, "*")
	inner, isOptional := strings.CutSuffix(inner, "?")
	name, list, constrained := strings.Cut(inner, ":")
	switch {
	case !opened || !ended || !parameterName.MatchString(name) || strings.Contains(list, "="):
		return s, fmt.Errorf("segment %s is not covered by this stand-in", part)
	case isCatchAll && isOptional:
		return s, errors.New("a catch-all parameter can't be optional")
	case isCatchAll && constrained:
		return s, fmt.Errorf("segment %s: a constraint on a catch-all is not covered by this stand-in", part)
	case isCatchAll:
		s.kind = catchAll
	case isOptional:
		s.kind = optional
	}
	if constrained {
		for text := range strings.SplitSeq(list, ":") {
			c, err := parseConstraint(text)
			if err != nil {
				return s, fmt.Errorf("segment %s: %w", part, err)
			}
			s.constraints = append(s.constraints, c)
		}
	}
	return s, nil
}

// match reports whether the route matches the decoded path. It ignores one slash at the end. A
// path that begins with two slashes matches no route.
func (r route) match(path string) bool {
	if strings.HasPrefix(path, "//") {
		return false
	}
	var parts []string
	if path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"); path != "" {
		parts = strings.Split(path, "/")
	}
	for _, s := range r {
		switch s.kind {
		case catchAll:
			return true
		case optional:
			if len(parts) == 0 {
				return true
			}
			fallthrough
		case single:
			if len(parts) == 0 || parts[0] == "" || !s.accepts(parts[0]) {
				return false
			}
		case literal:
			if len(parts) == 0 || !strings.EqualFold(parts[0], s.text) {
				return false
			}
		}
		parts = parts[1:]
	}
	return len(parts) == 0
}

// overlaps reports whether a path may match both routes. It does not check whether the
// constraints of two parameters exclude each other.
func (r route) overlaps(other route) bool {
	if r.mayEnd() && other.mayEnd() {
		return true
	}
	if len(r) == 0 || len(other) == 0 {
		return false
	}
	a, b := r[0], other[0]
	switch {
	case a.kind == catchAll || b.kind == catchAll:
		return true // a catch-all matches every path that the other route matches
	case a.kind == literal && b.kind == literal && !strings.EqualFold(a.text, b.text):
		return false
	case a.kind == literal && !b.accepts(a.text) || b.kind == literal && !a.accepts(b.text):
		return false
	}
	return r[1:].overlaps(other[1:])
}

// mayEnd reports whether the route matches a path that has no further segment.
func (r route) mayEnd() bool {
	return len(r) == 0 || r[0].kind == optional || r[0].kind == catchAll
}

func (f *function) allows(method string) bool {
	return f.methods == nil || slices.Contains(f.methods, strings.ToUpper(method))
}

// sharesMethod reports whether a method is allowed for both functions.
func (f *function) sharesMethod(other *function) bool {
	return f.methods == nil || other.methods == nil || slices.ContainsFunc(f.methods, other.allows)
}

// match returns the first HTTP function, in load order or reverse load order, that matches the
// method and the decoded path, or nil. There is no precedence of literals over parameters.
func (a *app) match(method, path string, reverse bool) *function {
	functions := a.functions
	if reverse {
		functions = slices.Clone(functions)
		slices.Reverse(functions)
	}
	for _, f := range functions {
		if !f.timer && f.allows(method) && f.route.match(path) {
			return f
		}
	}
	return nil
}

// sameRoutes returns an error for two functions with the same route and a common method. The
// host refuses them too.
func sameRoutes(functions []*function) error {
	var faults []error
	for i, f := range functions {
		for _, g := range functions[:i] {
			if !f.timer && !g.timer && strings.EqualFold(f.template, g.template) && f.sharesMethod(g) {
				faults = append(faults, fmt.Errorf("function %s: the route %s is also that of function %s", f.name, f.template, g.name))
			}
		}
	}
	return errors.Join(faults...)
}

// Overlap is a pair of HTTP functions whose routes can both match one request.
type Overlap struct {
	Functions [2]string
	Routes    [2]string
}

func (o Overlap) String() string {
	return fmt.Sprintf("%s (%s) and %s (%s)", o.Functions[0], o.Routes[0], o.Functions[1], o.Routes[1])
}

// Overlaps lists the pairs of functions of the app at root whose routes overlap. The host
// accepts them. The order of loading then decides which function gets a request, and an
// anonymous function may shadow one that needs a key. An app should have no overlaps.
func Overlaps(root string) ([]Overlap, error) {
	a, err := load(root)
	if err != nil {
		return nil, err
	}
	var found []Overlap
	for i, f := range a.functions {
		for _, g := range a.functions[i+1:] {
			if !f.timer && !g.timer && f.sharesMethod(g) && f.route.overlaps(g.route) {
				found = append(found, Overlap{[2]string{f.name, g.name}, [2]string{f.template, g.template}})
			}
		}
	}
	return found, nil
}

// Opening is a segment of a function's route that may begin with a dot.
type Opening struct {
	Function, Route, Segment string
}

func (o Opening) String() string {
	return fmt.Sprintf("%s (%s): %s", o.Function, o.Route, o.Segment)
}

// Openings lists the openings of all HTTP functions of the app at root: every catch-all, and every
// parameter without a constraint that excludes a dot at its beginning. Such a constraint is
// alpha or regex(^[^.]), also with more after it, or regex(^([^.]|[.]well-known$)). A target in
// absolute form climbs out of an opening, past the function's key. So an app should have none.
func Openings(root string) ([]Opening, error) {
	a, err := load(root)
	if err != nil {
		return nil, err
	}
	var found []Opening
	for _, f := range a.functions {
		for _, s := range f.route { // a timer has none
			if !s.closed() {
				found = append(found, Opening{f.name, f.template, s.text})
			}
		}
	}
	return found, nil
}
