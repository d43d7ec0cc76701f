package functionshost

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// A parameter of a route may name inline constraints, as in
// products/{category:alpha}/{id:int?}: the Functions documentation has this very
// example, and refers to ASP.NET's routing for the rest.
//
// Documented, and read in the source of ASP.NET Core's routing (RouteBase,
// RouteConstraintBuilder, RoutePatternMatcher and the constraints themselves):
//   - A constraint looks at the value of its parameter: one segment of the path as
//     it was decoded once, with %2F left as it was.
//   - All constraints of a parameter have to hold. An optional parameter that is
//     not there satisfies them all.
//   - Names count regardless of case. A route with a constraint whose name or
//     arguments are wrong can't be made, and the error ends the host's start.
//
// Inferred: the inputs of .NET's own parsers that those constraints hand the value
// to, as far as they are not in the documentation of these parsers. Where more
// may be taken than is certain, more is taken here: a test that nothing climbs is
// then no weaker than it says.

// constraint is one inline constraint.
type constraint struct {
	accepts func(value string) bool
	// closed is true where no accepted value holds anything that becomes another
	// path on the way to the handler.
	closed bool
}

// otherConstraints are those that ASP.NET Core has too and that nobody here uses.
var otherConstraints = []string{
	"bool", "datetime", "decimal", "double", "float", "long", "min", "max", "range", "regex", "required", "file", "nonfile",
}

// parseConstraint reads name or name(argument,argument). ASP.NET Core passes over
// an empty one, which is refused here: who wrote it has forgotten something.
func parseConstraint(text string) (constraint, error) {
	if text == "" {
		return constraint{}, errors.New("there is an empty constraint")
	}
	name, inner, hasArguments := strings.Cut(text, "(")
	var numbers []int
	if hasArguments {
		list, ended := strings.CutSuffix(inner, ")")
		if !ended {
			return constraint{}, fmt.Errorf("constraint %s: there is no ) at its end", text)
		}
		for argument := range strings.SplitSeq(list, ",") {
			n, err := strconv.ParseInt(strings.TrimSpace(argument), 10, 32)
			if err != nil || n < 0 {
				// The arguments of other constraints need not be numbers.
				numbers = []int{-1}
				break
			}
			numbers = append(numbers, int(n))
		}
	}
	c, wanted := constraint{}, 1
	switch name = strings.ToLower(name); name {
	case "alpha":
		c, wanted = constraint{isAlpha, true}, 0
	case "int":
		c, wanted = constraint{isInt, true}, 0
	case "guid":
		c, wanted = constraint{isGUID, true}, 0
	case "length":
		if len(numbers) == 2 {
			wanted = 2
		}
		c.accepts = func(value string) bool {
			return length(value) >= numbers[0] && length(value) <= numbers[wanted-1]
		}
	case "minlength":
		c.accepts = func(value string) bool { return length(value) >= numbers[0] }
	case "maxlength":
		c.accepts = func(value string) bool { return length(value) <= numbers[0] }
	default:
		if slices.Contains(otherConstraints, name) {
			return c, fmt.Errorf("constraint %s is not covered by this stand-in", text)
		}
		return c, fmt.Errorf("constraint %s is unknown, and the host does not start with it", text)
	}
	if len(numbers) != wanted || slices.Contains(numbers, -1) || wanted == 2 && numbers[0] > numbers[1] {
		return c, fmt.Errorf("constraint %s has wrong arguments, and the host does not start with it", text)
	}
	return c, nil
}

// isAlpha is alpha: documented as letters from A to Z in either case. Its regular
// expression is ^[A-Za-z]*$, and the $ of .NET (documented) also holds before a
// newline that ends the text, so one is taken. On the way to the handler it is
// dropped or stays escaped; either way the path stays in its folder.
func isAlpha(value string) bool {
	for i := range len(value) {
		c := value[i] | 0x20
		if (c < 'a' || c > 'z') && (i != len(value)-1 || value[i] != '\n') {
			return false
		}
	}
	return true
}

// whiteSpace is what NumberStyles.Integer allows around a number (documented).
const whiteSpace = " \t\n\v\f\r"

// isInt is int: a number of 32 bits as Int32.TryParse reads it, with a sign and
// white space around it.
func isInt(value string) bool {
	n, err := strconv.ParseInt(strings.Trim(value, whiteSpace), 10, 64)
	return err == nil && n >= math.MinInt32 && n <= math.MaxInt32
}

var (
	plainGUID  = regexp.MustCompile(`^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$`)
	structGUID = regexp.MustCompile(`^\{0x[0-9a-f]{1,8}(?:,0x[0-9a-f]{1,4}){2},\{0x[0-9a-f]{1,2}(?:,0x[0-9a-f]{1,2}){7}\}\}$`)
)

// isGUID is guid: any of the formats N, D, B, P and X (documented), with white
// space around it; X has it anywhere.
func isGUID(value string) bool {
	value = strings.TrimSpace(value)
	inner := value
	for _, braces := range []string{"{}", "()"} {
		if len(value) == 38 && value[0] == braces[0] && value[37] == braces[1] {
			inner = value[1:37]
		}
	}
	if plainGUID.MatchString(inner) {
		return true
	}
	return structGUID.MatchString(strings.ToLower(strings.Join(strings.Fields(value), "")))
}

// length is that of a .NET string: in units of UTF-16.
func length(value string) int { return len(utf16.Encode([]rune(value))) }
