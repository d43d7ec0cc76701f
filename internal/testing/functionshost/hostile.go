package functionshost

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Texts that have a meaning for one of the decoders between a client and a handler.
var (
	dotDots = []string{
		"..", "..", "..", "%2e%2e", "%2e%2e", "%2E.", ".%2e", "%252e%252e", ".%252E", "%c0%ae%c0%ae", "..;", "..%3Bx=1", "..%20", "..%0A", "...", ".", "%2e",
	}
	slashes = []string{"/", "/", "//", "/./", ";/", "%2F", "%2f", "%2f", "%2f", "%252F", "%5C", "%5c", `\`, "%255C", "%5C/", "%c0%af", "%0A/"}
	pieces  = []string{
		"/", "//", "%2F", "%252F", "%5C", ".", "..", "%2e%2e", ";", ";x=1", "%3B", "%3F", "%23", "#", "%20", "%0A", "%09", "%7f", "%", "%zz", "%u0041",
		"+", "~", "%C5%BF", "%E2%84%AA", "%c3%28", "%FF", "%00", "%2500", "*", "$", "|", "[", "{", "?x=1", "?code=x",
	}
)

// HostileTarget returns a raw request target in origin form. "http://" and the Host header
// before it make the absolute form. It begins as one of the paths, like "/api/users/bob". About
// half of the targets climb from there towards another of the paths. The others are unusual
// spellings. A path must begin with a slash and need no escapes.
func HostileTarget(r *rand.Rand, paths []string) string {
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	base := pick(paths)
	if r.IntN(2) == 0 {
		up, mixed := pick(dotDots)+pick(slashes), r.IntN(4) == 0
		base = base[:1+strings.LastIndexByte(base, '/')]
		for range strings.Count(base, "/") - 1 + r.IntN(2) {
			if mixed {
				up = pick(dotDots) + pick(slashes)
			}
			base += up
		}
		target := pick(paths)[1:]
		if r.IntN(3) == 0 {
			target = strings.ReplaceAll(target, "/", pick(slashes))
		}
		base += target
	}
	var b strings.Builder
	escapes := max(r.IntN(4)-1, 0) // of 20 characters
	for i := range len(base) {
		c := base[i]
		switch n := r.IntN(20); {
		case n < escapes && isUnreserved(c) && (i < 2 || base[i-1] != '%' && base[i-2] != '%'):
			fmt.Fprintf(&b, []string{"%%%02x", "%%%02X", "%%25%02x"}[r.IntN(3)], c)
		case n == 19 && c >= 'a' && c <= 'z':
			b.WriteByte(c - 'a' + 'A')
		default:
			b.WriteByte(c)
		}
	}
	target := b.String()
	for range max(r.IntN(6)-3, 0) {
		at := 1 + r.IntN(len(target))
		target = target[:at] + pick(pieces) + target[at:]
	}
	if r.IntN(4) == 0 {
		target += pick([]string{"/", "//", ".", "/.", "/..", "%20", "%0A", "%2F", "%5C", ";x", "?", "?x=1"})
	}
	return target
}
