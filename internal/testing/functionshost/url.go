package functionshost

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// The host decodes and encodes a path in two steps. Kestrel decodes the path (decodePath), and
// the host finds the route and checks the key for that path. System.Uri then encodes the path
// for the handler (encodePath). The two steps do not agree on everything, so the handler can
// get another path than the one that was matched.

const upperHex = "0123456789ABCDEF"

var errNullByte = errors.New("the path contains a null byte")

// decodePath decodes the path as Kestrel does, except %2F and sequences that are not UTF-8,
// which stay as they are. Then it resolves dot segments.
func decodePath(escaped string) (string, error) {
	decoded := unescape(escaped, true)
	if strings.ContainsRune(decoded, 0) {
		return "", errNullByte
	}
	return removeDotSegments(decoded), nil
}

// encodePath returns the path of the host's request to the handler. The host uses
// new Uri(request.GetDisplayUrl()) (read in its source). The text of that URI is the decoded
// path and the query of the client, and System.Uri
//   - drops white space at the end of the text (the end of the path if there is no query),
//   - ends the path at a ? or #, which is there if the client sent %3F or %23,
//   - replaces backslashes by slashes,
//   - decodes the remaining escapes of unreserved characters, which are there if the client
//     escaped them twice,
//   - and then resolves dot segments.
//
// By each of these steps except the second, a request that matched one function's parameter
// or catch-all can reach the handler with the path of another function, without that
// function's key: %252e%252e, ..%5C and ..%20 climb. This is inferred from the documented
// rules and the source of System.Uri. It was not observed on a running host.
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

// parseQuery reads a query as ASP.NET Core does: names are not case-sensitive, a name without =
// has an empty value, and a broken escape stays as it is.
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

// encode writes the query as the host does for the handler: one parameter for each name, with
// its values joined by commas.
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

// escapeQuery escapes s as .NET's UrlEncoder.Default does.
func escapeQuery(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; isUnreserved(c) || strings.IndexByte("!$()*,;@", c) >= 0 {
			b.WriteByte(c)
		} else {
			writeEscaped(b, c)
		}
	}
}

// unescape decodes percent escapes once. It decodes bytes beyond ASCII only if they are UTF-8.
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

// escapedRune decodes a rune beyond ASCII from the escapes at the beginning of s. It returns
// the length of these escapes in bytes, 0 if there is no such rune.
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

// hexByte reads the escape at the beginning of s.
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

// isUnreserved reports whether c is an unreserved character (RFC 3986, section 2.3).
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// removeDotSegments removes dot segments (RFC 3986, section 5.2.4) from a path that begins with a
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
				kept = append(kept, "") // the remaining path ends in a slash
			}
		default:
			kept = append(kept, part)
		}
	}
	return "/" + strings.Join(kept, "/")
}
