package functionshost

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// The host takes a URL apart and puts it together again, in two steps: Kestrel
// decodes the path (decodePath), routes and keys are looked up by that, and then
// System.Uri encodes it for the handler (encodePath). The two do not agree on
// everything, so the handler can see another path than the one that was matched.

const upperHex = "0123456789ABCDEF"

var errNullByte = errors.New("the path holds a null byte")

// decodePath decodes the path as Kestrel does: all but %2F, which stays as it is;
// sequences that are not UTF-8 stay too. Then it resolves dot segments.
func decodePath(escaped string) (string, error) {
	decoded := unescape(escaped, true)
	if strings.ContainsRune(decoded, 0) {
		return "", errNullByte
	}
	return removeDotSegments(decoded), nil
}

// encodePath returns the path that the host asks the handler for. The host takes
// it from new Uri(request.GetDisplayUrl()) (read in its source), whose text is the
// decoded path and the query as it came, and that
//   - drops white space at the end of the text, which is that of the path if there
//     is no query,
//   - ends the path at a ? or #, which is there if the client sent %3F or %23,
//   - turns backslashes into slashes,
//   - decodes the escapes of unreserved characters that are left, which are there
//     if the client escaped them twice,
//   - and only then resolves dot segments.
//
// By all but the second of these a request that matched one function's parameter
// or catch-all can arrive at the handler with the path of another one, past that
// one's key: %252e%252e, ..%5C and ..%20 climb. This is inferred from System.Uri's
// documented rules and source; it was not seen on a running host.
func encodePath(decoded string, hasQuery bool) string {
	if !hasQuery {
		decoded = strings.TrimRight(decoded, " \t\n\r")
	}
	if i := strings.IndexAny(decoded, "?#"); i >= 0 {
		decoded = decoded[:i]
	}
	decoded = strings.ReplaceAll(decoded, `\`, "/")
	var b strings.Builder
	for i := 0; i < len(decoded); i++ {
		c := decoded[i]
		value, escaped := hexByte(decoded[i:])
		switch {
		case escaped && isUnreserved(value):
			b.WriteByte(value)
			i += 2
		case escaped:
			b.WriteString(decoded[i : i+3])
			i += 2
		case isUnreserved(c) || strings.IndexByte("/:@!$&'()*+,;=[]", c) >= 0:
			b.WriteByte(c)
		default:
			writeEscaped(&b, c)
		}
	}
	return removeDotSegments(b.String())
}

// pair is one query parameter with all its values.
type pair struct {
	name   string
	values []string
}

// query holds parameters in the order of their first appearance.
type query []pair

// parseQuery reads a query as ASP.NET Core does: names are the same regardless of
// case, a name without = has an empty value, a broken escape stays.
func parseQuery(raw string) query {
	var q query
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name = unescape(strings.ReplaceAll(name, "+", " "), false)
		value = unescape(strings.ReplaceAll(value, "+", " "), false)
		if i := q.index(name); i >= 0 {
			q[i].values = append(q[i].values, value)
		} else {
			q = append(q, pair{name, []string{value}})
		}
	}
	return q
}

func (q query) index(name string) int {
	for i, p := range q {
		if strings.EqualFold(p.name, name) {
			return i
		}
	}
	return -1
}

func (q query) get(name string) []string {
	if i := q.index(name); i >= 0 {
		return q[i].values
	}
	return nil
}

// encode writes the query as the host does for the handler: one parameter for
// each name, its values joined by a comma.
func (q query) encode() string {
	var b strings.Builder
	for i, p := range q {
		if i > 0 {
			b.WriteByte('&')
		}
		escapeQuery(&b, p.name)
		b.WriteByte('=')
		escapeQuery(&b, strings.Join(p.values, ","))
	}
	return b.String()
}

// escapeQuery leaves what .NET's UrlEncoder.Default leaves.
func escapeQuery(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; isUnreserved(c) || strings.IndexByte("!$()*,;@", c) >= 0 {
			b.WriteByte(c)
		} else {
			writeEscaped(b, c)
		}
	}
}

// unescape decodes percent escapes once. Bytes beyond ASCII are decoded only
// where they make up UTF-8.
func unescape(s string, keepSlash bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		value, escaped := hexByte(s[i:])
		switch {
		case !escaped:
			b.WriteByte(s[i])
			i++
		case value < utf8.RuneSelf && !(keepSlash && value == '/'):
			b.WriteByte(value)
			i += 3
		default:
			r, n := escapedRune(s[i:])
			if n == 0 { // not UTF-8, or a slash to be kept
				b.WriteString(s[i : i+3])
				i += 3
				continue
			}
			b.WriteRune(r)
			i += n
		}
	}
	return b.String()
}

// escapedRune decodes the rune beyond ASCII whose escapes s begins with, and
// tells how many bytes of s they take; none if there is no such rune.
func escapedRune(s string) (rune, int) {
	var raw []byte
	for len(raw) < utf8.UTFMax {
		value, escaped := hexByte(s[3*len(raw):])
		if !escaped {
			break
		}
		raw = append(raw, value)
	}
	r, n := utf8.DecodeRune(raw)
	if n < 2 {
		return 0, 0
	}
	return r, 3 * n
}

// hexByte reads the escape that s begins with.
func hexByte(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, low := hexDigit(s[1]), hexDigit(s[2])
	if high < 0 || low < 0 {
		return 0, false
	}
	return byte(high<<4 | low), true
}

func hexDigit(c byte) int {
	if c >= 'a' && c <= 'f' {
		c -= 'a' - 'A'
	}
	return strings.IndexByte(upperHex, c)
}

func writeEscaped(b *strings.Builder, c byte) {
	b.WriteByte('%')
	b.WriteByte(upperHex[c>>4])
	b.WriteByte(upperHex[c&15])
}

// isUnreserved is RFC 3986, section 2.3.
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// removeDotSegments is RFC 3986, section 5.2.4, for a path that begins with a
// slash. Empty segments stay.
func removeDotSegments(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	kept := parts[:0]
	for i, part := range parts {
		last := i == len(parts)-1
		switch part {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			fallthrough
		case ".":
			if last {
				kept = append(kept, "") // what remains ends in a slash
			}
		default:
			kept = append(kept, part)
		}
	}
	return "/" + strings.Join(kept, "/")
}
