package handler

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"twofa/internal/problem"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxBody is the largest request body in bytes.
const MaxBody = 16 << 10

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

// decode reads a request's body, JSON or a form, into a struct of strings (and
// lists and structs of strings). It is strict: one object, no unknown or repeated names,
// valid UTF-8.
//
// The error is of kind InvalidRequest, PayloadTooLarge or UnsupportedMediaType.
func decode(r *http.Request, into any) error {
	// Without its length the Functions host drops a body and, with it, its
	// type: to name the type would send the client's developer the wrong way.
	if r.Header.Get("Content-Type") == "" && r.ContentLength == 0 {
		return errEmptyBody()
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	if err != nil || media != typeJSON && media != typeForm || charset != "" && charset != "utf-8" {
		return &problem.Error{Kind: problem.UnsupportedMediaType, Detail: "Send Content-Type: application/json (or application/x-www-form-urlencoded), in UTF-8."}
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if media == typeForm {
		return decodeForm(body, into)
	}
	return decodeJSON(body, into)
}

func readBody(r *http.Request) ([]byte, error) {
	tooLarge := &problem.Error{Kind: problem.PayloadTooLarge, Detail: "A body is at most 16 KiB."}
	if r.ContentLength > MaxBody {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	switch {
	case err != nil:
		return nil, &problem.Error{Kind: problem.InvalidRequest, Detail: "The body did not arrive whole."}
	case len(body) > MaxBody:
		return nil, tooLarge
	case len(body) == 0:
		return nil, errEmptyBody()
	}
	return body, nil
}

func errEmptyBody() error {
	return &problem.Error{Kind: problem.InvalidRequest, Detail: "The body is empty. If you did send one: the Functions host drops a body without Content-Length (chunked encoding), so send its length."}
}

func decodeJSON(body []byte, into any) error {
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return &problem.Error{Kind: problem.InvalidRequest, Detail: "The body has to be one JSON object. If it is a form, send Content-Type: application/x-www-form-urlencoded."}
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		return jsonFault(err)
	}
	return nil
}

// jsonFault says what is wrong with a JSON text in our own words: the
// library's quote the values, and a value may be a code.
func jsonFault(err error) error {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		name := fieldName(semantic.JSONPointer)
		if errors.Is(err, json.ErrUnknownName) {
			return problem.Invalid(name, "There is no such field.")
		}
		return problem.Invalid(name, "The field has the wrong type: all fields are strings, but digits and period, which are whole numbers, channels, a list of strings, and context, an object of strings.")
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			return problem.Invalid(fieldName(syntactic.JSONPointer), "The field is given twice.")
		}
	}
	return &problem.Error{Kind: problem.InvalidRequest, Detail: "The body is not valid JSON (RFC 8259, in UTF-8): one object, with nothing behind it."}
}

// fieldName is a JSON pointer as a dotted name, cut to a length that an answer
// can hold.
func fieldName(p jsontext.Pointer) string {
	var names []string
	for token := range p.Tokens() {
		names = append(names, token)
	}
	return short(strings.Join(names, "."))
}

func short(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// listField is the one field that is a list.
const listField = "channels"

// decodeForm reads a form by way of JSON, so that one decoder makes the rules.
// context.amount stands for the member of an object, and the list's members have
// commas between them.
func decodeForm(body []byte, into any) error {
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		return &problem.Error{Kind: problem.InvalidRequest, Detail: "The body looks like JSON, but its Content-Type says that it is a form. Send Content-Type: application/json (curl: --json)."}
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return &problem.Error{Kind: problem.InvalidRequest, Detail: "The body is not a valid form: every % is followed by two hexadecimal digits, and fields are separated by &."}
	}
	object := make(map[string]any, len(values))
	// In order, so that the same form gets the same answer, and a name comes
	// before its members.
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value, times := values[name][0], len(values[name])
		switch {
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return &problem.Error{Kind: problem.InvalidRequest, Detail: "The form is not valid UTF-8."}
		case times > 1:
			return problem.Invalid(short(name), "The field is given %d times.", times)
		case (name == "to" || name == "phone") && strings.HasPrefix(value, " "):
			return problem.Invalid(name, "In a form a + is written %%2B; a bare one means a space.")
		}
		if name == listField {
			object[name] = strings.Split(value, ",")
			continue
		}
		outer, inner, dotted := strings.Cut(name, ".")
		if !dotted {
			object[name] = value
			continue
		}
		switch nested := object[outer].(type) {
		case nil:
			object[outer] = map[string]any{inner: value}
		case map[string]any:
			nested[inner] = value
		default:
			return problem.Invalid(short(name), "The field is given both as a text and as an object.")
		}
	}
	text, err := json.Marshal(object)
	if err != nil {
		return &problem.Error{Kind: problem.InvalidRequest, Detail: "The form cannot be read."}
	}
	return decodeJSON(text, into)
}
