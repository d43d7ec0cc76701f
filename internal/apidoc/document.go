// Package apidoc has the OpenAPI document of the service, and makes a page of it.
//
// openapi.json is written by hand. Tests hold it to the routes, to the error table and to
// real answers. The package must never describe what the service does not do.
package apidoc

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

//go:embed openapi.json
var source []byte

// server is an entry of the document's servers.
type server struct {
	URL string `json:"url"`
}

// JSON returns the document for a service with that origin. "": the document names no
// host, and its paths are relative to where it came from.
func JSON(origin string) ([]byte, error) {
	var d struct {
		OpenAPI string         `json:"openapi"`
		Info    jsontext.Value `json:"info"`
		Servers []server       `json:"servers"`
		Rest    jsontext.Value `json:",embed"`
	}
	if err := json.Unmarshal(source, &d); err != nil {
		return nil, fmt.Errorf("apidoc: the document: %w", err)
	}
	if origin != "" {
		d.Servers = []server{{origin}}
	}
	text, err := json.Marshal(d)
	return append(text, '\n'), err
}

// ordered is an object whose members keep their order.
type ordered[T any] []member[T]

type member[T any] struct {
	name  string
	value T
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (o *ordered[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if brace, err := d.ReadToken(); err != nil {
		return err
	} else if brace.Kind() != '{' {
		return errors.New("apidoc: not an object")
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		m := member[T]{name: name.String()}
		if err := json.UnmarshalDecode(d, &m.value); err != nil {
			return err
		}
		*o = append(*o, m)
	}
	_, err := d.ReadToken()
	return err
}

// get returns the member of that name, the zero T if there is none.
func (o ordered[T]) get(name string) (value T) {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return value
}

// document is what the page shows of an OpenAPI document.
type document struct {
	Info struct {
		Title       string `json:"title"`
		Summary     string `json:"summary"`
		Description string `json:"description"`
	} `json:"info"`
	Servers []server `json:"servers"`
	Tags    []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"tags"`
	Paths      ordered[ordered[operation]] `json:"paths"`
	Components struct {
		SecuritySchemes ordered[description] `json:"securitySchemes"`
		Parameters      ordered[parameter]   `json:"parameters"`
		Headers         ordered[description] `json:"headers"`
		Responses       ordered[response]    `json:"responses"`
		Schemas         ordered[schema]      `json:"schemas"`
	} `json:"components"`
}

type description struct {
	Ref         string `json:"$ref"`
	Description string `json:"description"`
}

type operation struct {
	ID          string                `json:"operationId"`
	Tags        []string              `json:"tags"`
	Summary     string                `json:"summary"`
	Description string                `json:"description"`
	Security    []map[string][]string `json:"security"`
	Parameters  []parameter           `json:"parameters"`
	Body        struct {
		Required bool               `json:"required"`
		Content  ordered[mediaType] `json:"content"`
	} `json:"requestBody"`
	Responses ordered[response] `json:"responses"`
}

type parameter struct {
	Ref         string `json:"$ref"`
	Name        string `json:"name"`
	In          string `json:"in"`
	Required    bool   `json:"required"`
	Description string `json:"description"`
	Example     string `json:"example"`
}

type response struct {
	Ref         string               `json:"$ref"`
	Description string               `json:"description"`
	Headers     ordered[description] `json:"headers"`
	Content     ordered[mediaType]   `json:"content"`
}

type mediaType struct {
	Schema  schema         `json:"schema"`
	Example jsontext.Value `json:"example"`
}

type schema struct {
	Ref         string           `json:"$ref"`
	Type        any              `json:"type"` // a text or a list of texts
	Description string           `json:"description"`
	Format      string           `json:"format"`
	Enum        []any            `json:"enum"`
	Const       any              `json:"const"`
	Default     any              `json:"default"`
	Examples    []jsontext.Value `json:"examples"`
	Minimum     *int             `json:"minimum"`
	Maximum     *int             `json:"maximum"`
	Required    []string         `json:"required"`
	Properties  ordered[schema]  `json:"properties"`
	Items       *schema          `json:"items"`
	AnyOf       []schema         `json:"anyOf"`
}
