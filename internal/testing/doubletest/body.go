package doubletest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"unicode/utf8"
)

// maxBody is the longest body, in bytes: far more than a message of 1,600 characters needs.
const maxBody = 64 << 10

// ReadBody always reads the whole body, because only then the server notices that the
// client has closed the connection.
func ReadBody(r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return nil, errors.New("the body is too long or was cut short")
	}
	return raw, nil
}

// HasMediaType reports whether a request's body is of a media type.
func HasMediaType(r *http.Request, want string) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == want
}

// ReadObject reads a body that has to be one JSON object with each name once. The error has
// no words of the body.
func ReadObject(r *http.Request) (raw []byte, body map[string]any, _ error) {
	raw, err := ReadBody(r)
	switch {
	case err != nil:
		return nil, nil, err
	case !HasMediaType(r, "application/json"):
		return nil, nil, errors.New("the content type is not application/json")
	case !utf8.Valid(raw) || json.Unmarshal(raw, &body) != nil || body == nil || hasRepeatedName(raw):
		return nil, nil, errors.New("the body is not one JSON object in UTF-8 with each name once")
	}
	return raw, body, nil
}

// hasRepeatedName reports whether a name occurs twice on the first level of an object.
func hasRepeatedName(object []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(object))
	_, _ = decoder.Token() // the object has been parsed before
	for seen := make(map[any]bool); decoder.More(); {
		name, _ := decoder.Token()
		if seen[name] {
			return true
		}
		seen[name] = true
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return true
		}
	}
	return false
}

// MustJSON encodes simple values.
func MustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of simple values can always be encoded
	}
	return string(b)
}

// Fault is what is wrong with a body.
type Fault struct {
	Name string // of the value at fault
	Text string // quotes the request
}

// Fields reads the values of a body. It keeps the first mistake.
type Fields struct {
	Body  map[string]any
	Known []string // the names that were asked for
	Fault *Fault   // nil: none so far
}

// Fail notes a mistake.
func (f *Fields) Fail(name, format string, args ...any) {
	if f.Fault == nil {
		f.Fault = &Fault{name, fmt.Sprintf(format, args...)}
	}
}

// Get returns a value and whether the name is there.
func (f *Fields) Get(name string) (value any, has bool) {
	f.Known = append(f.Known, name)
	value, has = f.Body[name]
	return value, has
}

// Text returns a string that is not empty, "" if the name is not there.
func (f *Fields) Text(name string) string {
	value, has := f.Get(name)
	s, isString := value.(string)
	if has && (!isString || s == "") {
		f.Fail(name, "%s is %v", name, value)
	}
	return s
}

// End refuses the parameters that nobody has asked for.
func (f *Fields) End() {
	for name, value := range f.Body {
		if !slices.Contains(f.Known, name) {
			f.Fail(name, "unknown parameter %s: %v", name, value)
		}
	}
}
