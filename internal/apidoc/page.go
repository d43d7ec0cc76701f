package apidoc

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

//go:embed page.html
var layout string

//go:embed page.css
var style string

// StyleSource allows the page's style in a Content-Security-Policy, and nothing else.
var StyleSource = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// localOrigin stands in the examples of a service without a public URL: where make run
// serves.
const localOrigin = "http://localhost:7071"

// Page returns the HTML page of a document that [JSON] returned. It has no script, and
// loads nothing.
func Page(text []byte) ([]byte, error) {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("apidoc: the page: %w", err)
	}
	t, err := template.New("page").Parse(layout)
	if err != nil {
		return nil, fmt.Errorf("apidoc: the page: %w", err)
	}
	var page bytes.Buffer
	err = t.Execute(&page, d.view())
	return page.Bytes(), err
}

// prose is a text of the document: paragraphs of spans.
type prose [][]span

type span struct {
	Text string
	Code bool
}

// readProse reads paragraphs with `code`: all that the document has of Markdown.
func readProse(text string) (p prose) {
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		var spans []span
		for i, part := range strings.Split(paragraph, "`") {
			spans = append(spans, span{part, i%2 == 1})
		}
		p = append(p, spans)
	}
	return p
}

// The view is what the layout shows.
type view struct {
	Title, Summary string
	About          prose
	Style          template.CSS
	Security       []row
	Groups         []group
	Members        []row // of a problem
	Problems       []problem
}

type group struct {
	ID, Name, About string
	Operations      []operationView
}

type operationView struct {
	ID, Method, Path, Summary string
	About                     prose
	Scope                     string // "" if the route needs none
	Parameters, Fields        []row
	BodyOptional              bool
	Curl                      string
	Answers                   []answerView
}

type answerView struct {
	Status   string
	About    prose    // of an answer without problems
	Problems []string // kinds
	Headers  []row
	Fields   []row
	Example  string
}

type row struct {
	Name, Type string
	Required   bool
	About      prose
}

// table is rows with the title of their first column.
type table struct {
	Head string
	Rows []row
}

func (o operationView) ParameterTable() table { return table{"Name", o.Parameters} }
func (o operationView) FieldTable() table     { return table{"Field", o.Fields} }
func (a answerView) HeaderTable() table       { return table{"Header", a.Headers} }
func (a answerView) FieldTable() table        { return table{"Field", a.Fields} }
func (v view) MemberTable() table             { return table{"Field", v.Members} }

type problem struct {
	Kind   string
	Status any
	About  prose
}

const kindPrefix = "urn:twofa:"

func (d document) view() view {
	v := view{Title: d.Info.Title, Summary: d.Info.Summary, About: readProse(d.Info.Description), Style: template.CSS(style)}
	for _, m := range d.Components.SecuritySchemes {
		v.Security = append(v.Security, row{Name: m.name, About: readProse(m.value.Description)})
	}
	for _, tag := range d.Tags {
		g := group{ID: strings.ReplaceAll(strings.ToLower(tag.Name), " ", "-"), Name: tag.Name, About: tag.Description}
		for _, p := range d.Paths {
			for _, m := range p.value {
				if slices.Contains(m.value.Tags, tag.Name) {
					g.Operations = append(g.Operations, d.operation(strings.ToUpper(m.name), p.name, m.value))
				}
			}
		}
		v.Groups = append(v.Groups, g)
	}
	v.Members = d.fields("", d.Components.Schemas.get("Problem"))
	for _, m := range d.Components.Schemas {
		if kind := kindOf(m.value); kind != "" {
			v.Problems = append(v.Problems, problem{kind, m.value.Properties.get("status").Const, readProse(m.value.Description)})
		}
	}
	return v
}

// kindOf returns the kind of problem that a schema describes, "" for other schemas.
func kindOf(s schema) string {
	urn, _ := s.Properties.get("type").Const.(string)
	kind, _ := strings.CutPrefix(urn, kindPrefix)
	return kind
}

func (d document) operation(method, route string, o operation) operationView {
	v := operationView{ID: o.ID, Method: method, Path: route, Summary: o.Summary, About: readProse(o.Description)}
	for _, s := range o.Security {
		for _, scopes := range s {
			v.Scope = cmp.Or(v.Scope, strings.Join(scopes, ""))
		}
	}
	for _, p := range o.Parameters {
		if p.Ref != "" {
			p = d.Components.Parameters.get(path.Base(p.Ref))
		}
		v.Parameters = append(v.Parameters, row{Name: p.Name, Type: p.In, Required: p.Required, About: readProse(p.Description)})
		if p.In == "path" {
			route = strings.ReplaceAll(route, "{"+p.Name+"}", p.Example)
		}
	}
	body := o.Body.Content.get("application/json")
	v.Fields = d.fields("", body.Schema)
	v.BodyOptional = len(v.Fields) > 0 && !o.Body.Required
	v.Curl = d.curl(method, route, v.Scope != "", body.Example)
	for _, m := range o.Responses {
		v.Answers = append(v.Answers, d.answer(m.name, m.value))
	}
	return v
}

func (d document) answer(status string, r response) answerView {
	if r.Ref != "" {
		r = d.Components.Responses.get(path.Base(r.Ref))
	}
	a := answerView{Status: status}
	for _, m := range r.Headers {
		if m.name != "X-Request-Id" { // the introduction has it
			a.Headers = append(a.Headers, row{Name: m.name, About: readProse(d.Components.Headers.get(path.Base(m.value.Ref)).Description)})
		}
	}
	for _, m := range r.Content {
		for _, s := range append(m.value.Schema.AnyOf, m.value.Schema) {
			if kind := kindOf(d.resolve(s)); kind != "" {
				a.Problems = append(a.Problems, kind)
			}
		}
		if a.Problems == nil {
			a.Fields, a.Example = d.fields("", m.value.Schema), indented(m.value.Example)
		}
	}
	if a.Problems == nil {
		a.About = readProse(r.Description)
	}
	return a
}

// curl is the call of an operation with its example.
func (d document) curl(method, route string, credentials bool, example jsontext.Value) string {
	origin := localOrigin
	if len(d.Servers) > 0 && d.Servers[0].URL != "/" {
		origin = d.Servers[0].URL
	}
	line := "curl "
	if method != "GET" && (method != "POST" || len(example) == 0) {
		line += "-X " + method + " "
	}
	line += origin + route
	if credentials {
		line += " \\\n  -u \"$ID:$SECRET\" -H \"x-functions-key: $KEY\""
	}
	if len(example) > 0 {
		line += " \\\n  --json '" + string(example) + "'"
	}
	return line
}

func indented(v jsontext.Value) string {
	if len(v) == 0 {
		return ""
	}
	v = v.Clone()
	if err := v.Indent(jsontext.WithIndent("  ")); err != nil {
		return ""
	}
	return string(v)
}

// resolve returns the schema that a reference names. What stands beside the reference
// comes before what the named schema says.
func (d document) resolve(s schema) schema {
	if s.Ref == "" {
		return s
	}
	named := d.resolve(d.Components.Schemas.get(path.Base(s.Ref)))
	named.Description = cmp.Or(s.Description, named.Description)
	if s.Properties != nil {
		named.Properties = s.Properties
	}
	if s.Examples != nil {
		named.Examples = s.Examples
	}
	return named
}

// fields returns a row for each field of an object, those of inner objects included.
func (d document) fields(prefix string, s schema) (rows []row) {
	s = d.resolve(s)
	for _, m := range s.Properties {
		f := d.resolve(m.value)
		name, inner := prefix+m.name, f
		kind := typeName(f)
		if f.Items != nil {
			inner = d.resolve(*f.Items)
			kind = "list of " + typeName(inner) + "s"
		}
		rows = append(rows, row{Name: name, Type: kind, Required: slices.Contains(s.Required, m.name), About: readProse(about(f, inner))})
		if f.Items != nil {
			name += "[]"
		}
		rows = append(rows, d.fields(name+".", inner)...)
	}
	return rows
}

func typeName(s schema) string {
	switch t := s.Type.(type) {
	case string:
		return map[string]string{"string": "text", "integer": "number", "boolean": "true or false"}[t] + map[bool]string{true: "object"}[t == "object"]
	case []any: // a number, or the same as a text
		return "number"
	}
	return "text"
}

// about is the description of a field, with its values and limits. inner is the field, or
// what its list has.
func about(f, inner schema) string {
	parts := []string{f.Description}
	if f.Const == true { // a flag is there only if it holds
		parts = append(parts, "`true`, or left out.")
	} else if f.Const != nil {
		parts = append(parts, fmt.Sprintf("Always `%v`.", f.Const))
	}
	var values []string
	for _, v := range inner.Enum {
		if text, isText := v.(string); isText == (inner.Type == "string") && (!isText || text != "") {
			values = append(values, fmt.Sprintf("`%v`", v))
		}
	}
	if len(values) > 0 {
		parts = append(parts, "One of "+strings.Join(values, ", ")+".")
	}
	if f.Default != nil {
		parts = append(parts, fmt.Sprintf("Default: `%v`.", f.Default))
	}
	if f.Maximum != nil {
		parts = append(parts, fmt.Sprintf("At most %d.", *f.Maximum))
	}
	if len(f.Examples) > 0 {
		parts = append(parts, "Example: `"+strings.Trim(string(f.Examples[0]), `"`)+"`.")
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}
