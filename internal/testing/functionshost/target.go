package functionshost

import (
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A request target is decoded and encoded in two steps. Kestrel decodes it once, and the host
// finds the route and checks the key for that path. YARP then encodes the path for the
// handler. testdata/proxying-targets.jsonl holds what the real parts did.

const (
	upperHex = "0123456789ABCDEF"
	lineSize = 8192 // a request line may have that many bytes, its line end included
)

// target is a request target in its two forms.
type target struct {
	path    string // decoded: the path that routes are matched on
	query   string // with its question mark, as it arrives
	arrives string // the handler's request target
}

// parseTarget reads the raw target of a request with this Host header. With edge, it comes
// through Azure's front end, which decodes the path, %2F too, and turns backslashes into
// slashes. It returns the status of the refusal, or 0.
func parseTarget(raw, host string, edge bool) (target, int) {
	for i := range len(raw) {
		if c := raw[i]; c == 0 || c >= utf8.RuneSelf {
			return target{}, http.StatusBadRequest
		}
	}
	scheme, rest, absolute := strings.Cut(raw, "://")
	if absolute = absolute && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")); absolute {
		end := strings.IndexAny(rest+"/", `/\?#`)
		if !sameHost(scheme, rest[:end], host) {
			return target{}, http.StatusBadRequest
		}
		raw, _, _ = strings.Cut(strings.TrimRight(rest[end:], "\t\r\n"), "#")
		if !strings.HasPrefix(raw, "/") && !strings.HasPrefix(raw, `\`) {
			raw = "/" + raw
		}
	} else if !strings.HasPrefix(raw, "/") {
		return target{}, http.StatusBadRequest
	}
	path, query := cutQuery(raw)
	switch {
	case edge:
		path = removeDotSegments(strings.ReplaceAll(unescape(path, false), `\`, "/"))
	case absolute:
		// Escaped slashes are decoded after the dots are resolved. That makes the path climb.
		path = strings.NewReplacer(`\`, "/", "%2e", ".", "%2E", ".").Replace(path)
		path = unescape(removeDotSegments(path), false)
	default:
		path = removeDotSegments(unescape(path, true))
	}
	if strings.ContainsRune(path, 0) && (edge || !absolute) {
		return target{}, http.StatusBadRequest
	}
	query = encodeQuery(strings.TrimRight(query, "\t\r\n"))
	return target{path, query, removeDotSegments(encodePath(path)) + query}, 0
}

// sameHost reports whether the authority of a target in absolute form is the Host header's.
func sameHost(scheme, authority, host string) bool {
	authority = strings.ToLower(authority[strings.LastIndexByte(authority, '@')+1:])
	port := map[string]string{"http": ":80", "https": ":443"}[strings.ToLower(scheme)]
	authority = strings.TrimSuffix(authority, port)
	return host == authority || host == authority+port
}

// cutQuery cuts a target before its question mark.
func cutQuery(s string) (path, query string) {
	if i := strings.IndexByte(s, '?'); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// encodePath escapes every byte but those that YARP leaves.
func encodePath(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; isUnreserved(c) || strings.IndexByte("/:@!$&'()*+,;=", c) >= 0 {
			b.WriteByte(c)
		} else {
			writeEscaped(&b, c)
		}
	}
	return b.String()
}

// encodeQuery decodes the escapes of unreserved characters, writes those of characters beyond
// ASCII in upper case, and escapes a lone % and what is not allowed in a query.
func encodeQuery(query string) string {
	var b strings.Builder
	lone := -3 // the place of the last lone %, after which two bytes stay as they are
	for i := 0; i < len(query); i++ {
		c := query[i]
		value, escaped := hexByte(query[i:])
		switch {
		case escaped && isUnreserved(value):
			b.WriteByte(value)
			i += 2
		case escaped:
			_, n := escapedRune(query[i:])
			if n == 0 || i <= lone+2 {
				b.WriteString(query[i : i+3])
				i += 2
				continue
			}
			b.WriteString(strings.ToUpper(query[i : i+n]))
			i += n - 1
		case c <= ' ' || c > '~' || strings.IndexByte("\"#%<>\\^`{|}", c) >= 0:
			if c == '%' && i > lone+2 {
				lone = i
			}
			writeEscaped(&b, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// queryValue returns the first value of a parameter, whose name has any case.
func queryValue(query, name string) string {
	for part := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		key, value, _ := strings.Cut(strings.ReplaceAll(part, "+", " "), "=")
		if strings.EqualFold(unescape(key, false), name) {
			return unescape(value, false)
		}
	}
	return ""
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
	n, err := strconv.ParseUint(s[1:3], 16, 8)
	return byte(n), err == nil
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
