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

// A parameter of a route may have inline constraints, as in
// products/{category:alpha}/{id:int?}. The Functions documentation has this example, and
// refers to ASP.NET's routing for the rest.
//
// Documented, and read in the source of ASP.NET Core's routing (RouteBase,
// RouteConstraintBuilder, RoutePatternMatcher and the constraints themselves):
//   - A constraint checks the value of its parameter: one segment of the path, decoded
//     once, with %2F left as it is.
//   - All constraints of a parameter have to hold. They hold for an optional parameter
//     that is missing.
//   - Names are not case-sensitive. If the name or an argument of a constraint is wrong,
//     the host does not start.
//
// Inferred: which values .NET's own parsers accept for these constraints, as far as their
// documentation does not say so. In doubt, this package accepts more values than the host
// might, so that a test that no path climbs is not weaker than it claims.

// constraint is one inline constraint.
type constraint struct {
	accepts func(value string) bool
	// closed is true if no accepted value contains characters that become another path on
	// the way to the handler.
	closed bool
}

// otherConstraints are constraints of ASP.NET Core that this package does not imitate.
var otherConstraints = []string{
	"bool", "datetime", "decimal", "double", "float", "long", "min", "max", "range", "regex", "required", "file", "nonfile",
}

// parseConstraint reads name or name(argument,argument). It refuses an empty constraint,
// which ASP.NET Core ignores, because it is probably a mistake.
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

// isAlpha is the constraint alpha: letters from A to Z in either case (documented). Its
// regular expression is ^[A-Za-z]*$. In .NET, $ also matches before a newline at the end
// of the text (documented), so isAlpha accepts one newline there. On the way to the handler
// the newline is dropped or stays escaped. In both cases the path stays in its folder.
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

// isInt is the constraint int: a number of 32 bits as Int32.TryParse reads it, with an
// optional sign and white space around it.
func isInt(value string) bool {
	n, err := strconv.ParseInt(strings.Trim(value, whiteSpace), 10, 64)
	return err == nil && n >= math.MinInt32 && n <= math.MaxInt32
}

var (
	plainGUID  = regexp.MustCompile(`^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$`)
	structGUID = regexp.MustCompile(`^\{0x[0-9a-f]{1,8}(?:,0x[0-9a-f]{1,4}){2},\{0x[0-9a-f]{1,2}(?:,0x[0-9a-f]{1,2}){7}\}\}$`)
)

// isGUID is the constraint guid: the formats N, D, B, P and X (documented), with white
// space around it. Format X may have white space anywhere.
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

// length is the length of a .NET string, in UTF-16 code units.
func length(value string) int { return len(utf16.Encode([]rune(value))) }
