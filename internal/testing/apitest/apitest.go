// Package apitest is test support: it holds requests and their answers to the OpenAPI
// document of the service.
//
// It is stricter than the document in one point: an answer must not have a member that the
// document does not name. It must never be part of a production binary.
package apitest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"twofa/internal/apidoc"
)

// Exchange is a request and its answer.
type Exchange struct {
	Method, Path string // Path as in the request line
	Header       http.Header
	Body         []byte // what the service has read of the body
	Status       int
	AnswerHeader http.Header
	Answer       []byte
}

// Document returns the document, in its strict form.
var Document = sync.OnceValues(load)

func load() (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	text, err := apidoc.JSON("")
	if err != nil {
		return nil, err
	}
	var d map[string]any
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	for _, s := range d["components"].(map[string]any)["schemas"].(map[string]any) {
		makeStrict(s.(map[string]any))
	}
	if text, err = json.Marshal(d); err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
}

// makeStrict forbids members that a schema does not name.
func makeStrict(s map[string]any) {
	properties, isObject := s["properties"].(map[string]any)
	if isObject && s["$ref"] == nil {
		s["additionalProperties"] = false
	}
	for _, p := range properties {
		makeStrict(p.(map[string]any))
	}
	if items, ok := s["items"].(map[string]any); ok {
		makeStrict(items)
	}
}

// Operation returns the operation of the document that a path and a method stand for, with
// the values of the path. The path is "" if the document has no such path, and the
// operation nil if the path has no such method.
func Operation(doc *openapi3.T, method, target string) (route routers.Route, values map[string]string) {
	target, _, _ = strings.Cut(target, "?")
	if method != http.MethodDelete {
		target = strings.TrimSuffix(target, "/")
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	segments := strings.Split(target, "/")
	for i := 1; i < min(3, len(segments)); i++ { // the host takes these in any case
		segments[i] = strings.ToLower(segments[i])
	}
	candidates := doc.Paths.InMatchingOrder() // a literal segment comes before a parameter
	for _, name := range candidates {
		if v, ok := match(strings.Split(name, "/"), segments); ok {
			item := doc.Paths.Value(name)
			return routers.Route{Spec: doc, Path: name, PathItem: item, Method: method, Operation: item.GetOperation(method)}, v
		}
	}
	return routers.Route{}, nil
}

// match compares the segments of a template and of a path, and returns the values of the
// parameters.
func match(template, segments []string) (map[string]string, bool) {
	if len(template) != len(segments) {
		return nil, false
	}
	values := make(map[string]string)
	for i, t := range template {
		value, err := url.PathUnescape(segments[i])
		switch {
		case err != nil, value == "" && t != "":
			return nil, false
		case strings.HasPrefix(t, "{"):
			values[strings.Trim(t, "{}")] = value
		case t != value:
			return nil, false
		}
	}
	return values, true
}

// readFirst are the statuses with which the service may answer before it has read the
// request, or because it cannot be read. For all others, the request has to be valid.
var readFirst = []int{400, 401, 403, 404, 413, 415, 500, 503}

// vary are the parts of bodies that differ from exchange to exchange, and decide nothing.
var vary = regexp.MustCompile(`[0-9a-f]{16,}|\d{4}-\d\d-\d\dT[\d:]+Z|\d{4,}`)

// allowed has the requests and the answers that were found right, without what varies: the
// validator compiles its schemas each time, which takes milliseconds.
var allowed sync.Map

// unlessKnown calls f, unless f has found the same right before.
func unlessKnown(f func() error, what ...any) error {
	key := vary.ReplaceAllString(fmt.Sprintf("%q", what), "#")
	if _, ok := allowed.Load(key); ok {
		return nil
	}
	err := f()
	if err == nil {
		allowed.Store(key, true)
	}
	return err
}

// Check returns what the document does not allow in an exchange. It is nil for a path that
// is not in the document, and for an answer that says so. It is safe for concurrent use.
func Check(x Exchange) error {
	target, _, _ := strings.Cut(x.Path, "?")
	isHosts := x.Method == http.MethodPost && strings.Count(target, "/") == 1 // a call of the Functions host itself
	if target = strings.TrimSuffix(target, "/"); isHosts || path.Clean(target) != target {
		return nil
	}
	in, err := input(x)
	switch {
	case err != nil:
		return err
	case in.Route.Path == "":
		return nil
	case in.Route.Operation == nil:
		if !slices.Contains([]int{401, 403, 405}, x.Status) || x.Status == 405 && x.AnswerHeader.Get("Allow") == "" {
			return x.fault(errors.New("the document has no such method"))
		}
		return nil
	case in.Route.Operation.Responses.Status(x.Status) == nil:
		return x.fault(errors.New("the document does not name this status"))
	}
	if !slices.Contains(readFirst, x.Status) {
		if err := CheckRequest(x); err != nil {
			return err
		}
	}
	return x.fault(unlessKnown(func() error {
		return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: x.Status, Header: x.AnswerHeader, Body: io.NopCloser(bytes.NewReader(x.Answer)), Options: in.Options,
		})
	}, x.Method, in.Route.Path, x.Status, x.AnswerHeader, x.Answer))
}

// CheckRequest returns what the document does not allow in a request to one of its
// operations, whatever is answered.
func CheckRequest(x Exchange) error {
	in, err := input(x)
	if err != nil {
		return err
	}
	if in.Route.Operation == nil {
		return x.fault(errors.New("the document has no such operation"))
	}
	return x.fault(unlessKnown(func() error {
		return cmp.Or(openapi3filter.ValidateRequest(context.Background(), in), checkFormNames(in.Route.Operation, in.Request.Header, x.Body))
	}, x.Method, x.Path, x.Header, x.Body))
}

// input returns the request in the form that the validator takes. Its route has no path if
// the document has none, and no operation if the path has no such method.
func input(x Exchange) (*openapi3filter.RequestValidationInput, error) {
	doc, err := Document()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(x.Method, "http://localhost/", nil)
	if err != nil {
		return nil, err
	}
	req.Header = x.Header.Clone()
	normalize(req, x.Body)
	route, values := Operation(doc, x.Method, x.Path)
	return &openapi3filter.RequestValidationInput{Request: req, PathParams: values, Route: &route, Options: &openapi3filter.Options{
		IncludeResponseStatus: true, SkipSettingDefaults: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}}, nil
}

// fault returns the error with the exchange that it is about, nil for nil.
func (x Exchange) fault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s %s, answered %d %.500s: %w", x.Method, x.Path, x.Body, x.Status, x.Answer, err)
}

const typeForm = "application/x-www-form-urlencoded"

// checkFormNames returns an error if a form has a name that the document does not have. The
// validator ignores such names.
func checkFormNames(o *openapi3.Operation, header http.Header, body []byte) error {
	if header.Get("Content-Type") != typeForm || o.RequestBody == nil {
		return nil
	}
	values, err := url.ParseQuery(string(bytes.TrimLeft(body, "\ufeff")))
	known := o.RequestBody.Value.Content.Get(typeForm).Schema.Value.Properties
	for name := range values {
		if known[strings.TrimPrefix(name, "\ufeff")] == nil {
			return fmt.Errorf("the document has no field %s", name)
		}
	}
	return err
}

// normalize gives a body the form that the document describes: no byte order marks, and
// application/json for the other types of JSON that the service reads.
func normalize(req *http.Request, body []byte) {
	media, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if media == "text/json" || strings.HasSuffix(media, "+json") {
		media = "application/json"
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	body = bytes.TrimLeft(body, "\ufeff \r\n\t")
	if media == typeForm && len(body) > 8 && strings.EqualFold(string(body[:9]), "%EF%BB%BF") {
		body = body[9:]
	}
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}
