package handler

import (
	"encoding/base64"
	"net/http"
	"strings"

	"twofa/internal/problem"
)

// userName returns the user's name that the path holds: percent-encoded, or as ~ and
// the base64url form (RFC 4648, section 5) of its UTF-8. Both are one segment of the
// path.
//
// The Functions host, and Azure's front end before it, decode some escapes and not
// others, so bob%2Ftotp may arrive as bob%252Ftotp, and bob%5Ctotp as bob/totp. So a
// percent-encoded name that holds /, \ or %, or begins with a dot or ~, is refused with
// InvalidRequest: the client has to write it in the ~ form, which no host changes.
func userName(r *http.Request) (string, error) {
	text := r.PathValue("name")
	encoded, isEncoded := strings.CutPrefix(text, "~")
	switch {
	case isEncoded:
		name, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(encoded, "="))
		if err != nil {
			return "", problem.Invalid("user", "After ~, the path has to have the base64url form (RFC 4648, section 5) of the name's UTF-8, without padding: ~%s stands for bob/totp.", exampleName)
		}
		return string(name), nil
	case strings.ContainsAny(text, `/\%`), strings.HasPrefix(text, "."):
		return "", problem.Invalid("user", `In a path, a name that holds /, \ or %%, or begins with . or ~, has to be written as ~ and the base64url form of its UTF-8, without padding: ~%s stands for bob/totp.`, exampleName)
	}
	return text, nil
}

// userPath returns the path of a user, with the name in the ~ form.
func userPath(name string) string {
	return "/api/users/~" + base64.RawURLEncoding.EncodeToString([]byte(name))
}

// named returns the endpoints of a path with a user's name. Each finds the name as the
// path value "name".
func named(endpoints byMethod) byMethod {
	all := make(byMethod, len(endpoints))
	for method, m := range endpoints {
		all[method] = access{m.scope, m.operation, func(r *http.Request) (answer, error) {
			name, err := userName(r)
			if err != nil {
				return answer{}, err
			}
			r.SetPathValue("name", name)
			return m.endpoint(r)
		}}
	}
	return all
}

// exampleName is the base64url form of bob/totp.
const exampleName = "Ym9iL3RvdHA"
