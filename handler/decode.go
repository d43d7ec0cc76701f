package handler

import (
	"bufio"
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

	"twofa/internal/charset"
	"twofa/internal/problem"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxBody is the largest request body in bytes.
const MaxBody = 16 << 10

// MaxDrained is up to how many bytes of a refused body are read before the answer. If
// the server closes a connection on which bytes arrive that nobody reads, the client
// may get no answer, and the Functions host takes that for a broken connection.
const MaxDrained = 1 << 20

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

// accepted are the types of the answer to a body of another type (RFC 9110, 15.5.16).
const accepted = typeJSON + ", " + typeForm

// isJSON reports whether a media type says that a body is JSON: also text/json and the
// types with the suffix of RFC 6839, 3.1.
func isJSON(media string) bool {
	return media == typeJSON || media == "text/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// decode reads the body of a request, JSON or a form, into a struct of strings
// (and of lists and structs of strings). It is strict: one object, no unknown or
// repeated names, valid UTF-8.
//
// The error is of kind InvalidRequest, PayloadTooLarge or UnsupportedMediaType.
func decode(r *http.Request, into any) error {
	// Without a body, a complaint about its type would send the client's developer the
	// wrong way.
	if r.Header.Get("Content-Type") == "" {
		if empty, err := isEmpty(r); err != nil {
			return err
		} else if empty {
			return errEmptyBody()
		}
	}
	if isCoded(r.Header) {
		return errCoded
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != typeForm && !isJSON(media) {
		return &problem.Error{Kind: problem.UnsupportedMediaType, Detail: "Send Content-Type: application/json (or application/x-www-form-urlencoded), in UTF-8."}
	}
	if err := charset.Check(params["charset"]); err != nil {
		return &problem.Error{Kind: problem.UnsupportedMediaType, Detail: "The Content-Type names " + err.Error() + ". Send the body in UTF-8."}
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

// errCoded is the error for a body with a content coding (RFC 9110, 8.4): a small body can
// hold a large one, which the limits of size are there against.
var errCoded = &problem.Error{Kind: problem.UnsupportedMediaType, Detail: "The body is compressed, as its Content-Encoding says. Send it as it is, without Content-Encoding."}

// isCoded reports whether a request says that its body has a content coding.
func isCoded(h http.Header) bool {
	for _, line := range h.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				return true
			}
		}
	}
	return false
}

// acceptHeaders are the headers of the answer to a body that is not decoded, nil for other
// errors: what the path accepts.
func acceptHeaders(method string, err error) map[string]string {
	switch {
	case errors.Is(err, errCoded):
		return map[string]string{"Accept-Encoding": "identity"}
	case !problem.Is(err, problem.UnsupportedMediaType):
		return nil
	case method == http.MethodPost:
		return map[string]string{"Accept": accepted, "Accept-Post": accepted} // Linked Data Platform, 7.1
	case method == http.MethodPatch:
		return map[string]string{"Accept": accepted, "Accept-Patch": accepted} // RFC 5789, 3.1
	}
	return map[string]string{"Accept": accepted}
}

// readText returns a body without a byte order mark. The error is of kind InvalidRequest
// if it is in another encoding.
func readText(body []byte) ([]byte, error) {
	text, err := charset.Text(body)
	if err != nil {
		return nil, badBody("The body is in " + err.Error() + ". Send it in UTF-8.")
	}
	if len(text) == 0 && len(body) > 0 {
		return nil, errEmptyBody()
	}
	return text, nil
}

// badBody is the error for a body that is wrong as a whole.
func badBody(detail string) error {
	return &problem.Error{Kind: problem.InvalidRequest, Detail: detail}
}

func errEmptyBody() error {
	return badBody("The body is empty. Send one JSON object.")
}

func errIncompleteBody() error { return badBody("The body is incomplete.") }

func readBody(r *http.Request) ([]byte, error) {
	tooLarge := &problem.Error{Kind: problem.PayloadTooLarge, Detail: "A body is at most 16 KiB."}
	if r.ContentLength > MaxBody {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	switch {
	case err != nil:
		return nil, errIncompleteBody()
	case len(body) > MaxBody:
		return nil, tooLarge
	case len(body) == 0:
		return nil, errEmptyBody()
	}
	return body, nil
}

// isEmpty reports whether a request has no body, or an empty one: only reading tells
// this of a chunked body. What it has read is given back to r.Body.
func isEmpty(r *http.Request) (bool, error) {
	if r.ContentLength >= 0 {
		return r.ContentLength == 0, nil
	}
	body := r.Body
	peeked := bufio.NewReaderSize(body, 16)
	switch _, err := peeked.Peek(1); {
	case errors.Is(err, io.EOF):
		return true, nil
	case err != nil:
		return false, errIncompleteBody()
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{peeked, body}
	return false, nil
}

// drain reads what has not been read of the body of a refused request, up to MaxDrained
// bytes, so that the answer arrives. It does not read a body that says that it is longer,
// or a body that the client sends only if it is asked to (Expect: 100-continue). The time
// limit of the connection holds (deadline.Reading).
func drain(r *http.Request) {
	if r.ContentLength > MaxDrained || r.ContentLength >= 0 && r.Header.Get("Expect") != "" {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, MaxDrained) // an error means that there is no more to read
}

// beginsObject reports whether the first character of a body, after spaces,
// begins a JSON object.
func beginsObject(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
}

func decodeJSON(body []byte, into any) error {
	body, err := readText(body)
	if err != nil {
		return err
	}
	if !beginsObject(body) {
		return badBody("The body has to be one JSON object. If it is a form, send Content-Type: application/x-www-form-urlencoded.")
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		return jsonFault(err)
	}
	return nil
}

// jsonFault returns our own error for an error of the JSON library. The library
// quotes values in its errors, and a value may be a code.
func jsonFault(err error) error {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		name := fieldName(semantic.JSONPointer)
		if errors.Is(err, json.ErrUnknownName) {
			return problem.Invalid(name, "There is no such field.")
		}
		if name == "detail" {
			return problem.Invalid(name, "The field has the wrong type. It is an object of strings.")
		}
		return problem.Invalid(name, "The field has the wrong type. All fields are strings, except: digits and period are whole numbers, receipt is true or false, channels is a list of strings, and context is an object of strings.")
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
		return problem.Invalid(fieldName(syntactic.JSONPointer), "The field is given twice.")
	}
	return badBody("The body is not valid JSON (RFC 8259, in UTF-8): one object, with nothing after it.")
}

// fieldName returns a JSON pointer as a dotted name, shortened for the answer.
func fieldName(p jsontext.Pointer) string {
	return short(strings.Join(slices.Collect(p.Tokens()), "."))
}

// short cuts a client's field name to about 64 bytes.
func short(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// encodedMark is the byte order mark of a form whose text had one before it was encoded.
const encodedMark = "%EF%BB%BF"

// listField is the one field that is a list.
const listField = "channels"

// decodeForm turns a form into JSON and decodes that, so that one decoder has all
// the rules. A name like context.amount is a member of an object. The members of
// the list are separated by commas.
func decodeForm(body []byte, into any) error {
	body, err := readText(body)
	if err != nil {
		return err
	}
	if len(body) >= len(encodedMark) && strings.EqualFold(string(body[:len(encodedMark)]), encodedMark) {
		body = body[len(encodedMark):]
	}
	if beginsObject(body) {
		return badBody("The body looks like JSON, but its Content-Type says that it is a form. Send Content-Type: application/json (curl: --json).")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return badBody("The body is not a valid form: every % is followed by two hexadecimal digits, and fields are separated by &.")
	}
	object := make(map[string]any, len(values))
	// Sorted, so that the same form always gets the same answer, and a name comes
	// before its members.
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value, times := values[name][0], len(values[name])
		switch {
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return badBody("The form is not valid UTF-8.")
		case times > 1:
			return problem.Invalid(short(name), "The field is given %d times.", times)
		case (name == "to" || name == "phone") && strings.HasPrefix(value, " "):
			return problem.Invalid(name, "In a form a + is written %%2B; a + that is not escaped means a space.")
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
		return badBody("The form cannot be read.")
	}
	return decodeJSON(text, into)
}
