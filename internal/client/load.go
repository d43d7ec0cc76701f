package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/charset"
)

const setting = "TWOFA_CLIENTS"

// maxFile is the largest list in bytes.
const maxFile = 1 << 20

// Load reads the value of TWOFA_CLIENTS: a JSON list, or @ and the path of a file that has
// the list. It returns all faults, one line each, beginning with the setting's name. A
// fault has ids of clients and names of fields, and no values. With a fault, the registry
// is nil.
func Load(value string) (*Registry, []string) {
	path, isFile := strings.CutPrefix(strings.TrimSpace(value), "@")
	if !isFile {
		return parse([]byte(value), "")
	}
	text, err := readFile(path, maxFile)
	if err != nil {
		return nil, []string{setting + " names a file that cannot be read: " + err.Error()}
	}
	return parse(text, filepath.Dir(path))
}

// readFile returns a regular file of at most that many bytes. The error has no path.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, errors.New("there is no such file")
	case err != nil:
		return nil, errors.New("it cannot be opened")
	case !info.Mode().IsRegular(): // opening a pipe would wait
		return nil, errors.New("it is no regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.New("it cannot be opened")
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	switch {
	case err != nil:
		return nil, errors.New("reading it failed")
	case int64(len(text)) > most:
		return nil, fmt.Errorf("it has more than %d KB", most>>10)
	}
	return text, nil
}

// loader collects the clients of a list, and all faults.
type loader struct {
	dir      string // of the paths in the list
	registry Registry
	faults   []string
	taken    map[string]bool // what only one client may have: "account_sid AC…"
}

// parse reads the list. dir is the folder of the paths in it.
func parse(text []byte, dir string) (*Registry, []string) {
	entries, fault := readList(text)
	if fault != "" {
		return nil, []string{setting + " " + fault}
	}
	l := &loader{dir: dir, registry: Registry{byID: make(map[string]*record)}, taken: make(map[string]bool)}
	for i, value := range entries {
		l.entry(i+1, value)
	}
	if len(l.faults) > 0 {
		return nil, l.faults
	}
	return &l.registry, nil
}

// readList returns the members of a JSON list, or what is wrong with it. What is wrong in
// a member is found later, but for its syntax.
func readList(text []byte) (entries []jsontext.Value, fault string) {
	text, err := charset.Text(text)
	if err != nil {
		return nil, "is in " + err.Error() + ": write it in UTF-8"
	}
	const empty = "is set, but has no clients: give it a list of clients, or remove it"
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, empty
	}
	err = json.Unmarshal(text, &entries, jsontext.AllowDuplicateNames(true)) // of them, the faults name the client
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		line := 1 + bytes.Count(text[:min(int(syntactic.ByteOffset), len(text))], []byte("\n"))
		return nil, fmt.Sprintf("is not valid JSON (RFC 8259, in UTF-8) at line %d: it has to be one list, with nothing after it", line)
	}
	switch {
	case err != nil:
		return nil, "has to be a JSON list of clients, in [ and ]"
	case len(entries) == 0:
		return nil, empty
	}
	return entries, ""
}

// member is one member of a JSON object.
type member struct {
	name  string
	value jsontext.Value
}

// readObject returns the members of an object, false for another value.
func readObject(value jsontext.Value) (members []member, ok bool) {
	d := jsontext.NewDecoder(bytes.NewReader(value), jsontext.AllowDuplicateNames(true))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, false
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, false
		}
		m := member{name: name.String()}
		if m.value, err = d.ReadValue(); err != nil {
			return nil, false
		}
		m.value = m.value.Clone()
		members = append(members, m)
	}
	return members, true
}

// notUnique says what is wrong with a field whose value was given before.
var notUnique = map[string]string{
	"id":              "is that of an earlier client",
	"account_sid":     "is that of an earlier client",
	"verify_services": "has a service or a purpose that was given before",
}

// entry reads one client. position counts from 1.
func (l *loader) entry(position int, value jsontext.Value) {
	e := newEntry(l.dir)
	name := fmt.Sprintf("client %d", position)
	add := func(fault string) { l.faults = append(l.faults, setting+" "+name+": "+fault) }
	members, ok := readObject(value)
	if !ok {
		add("it has to be a JSON object")
		return
	}
	for _, m := range members {
		if m.name == "id" && rules["id"](e, m.value) == "" {
			name = "client " + strconv.Quote(e.id)
			break
		}
	}
	seen, bad := make(map[string]bool), make(map[string]bool)
	for _, m := range members {
		rule, known := rules[m.name]
		fault := ""
		switch {
		case !known:
			add(short(m.name) + " is not a field: docs/clients.md has all fields")
		case seen[m.name]:
			fault = "is given twice"
		default:
			fault = rule(e, m.value)
		}
		if seen[m.name] = true; fault != "" {
			bad[m.name] = true
			add(m.name + " " + fault)
		}
	}
	for _, fault := range e.missing(seen, bad) {
		add(fault)
	}
	for _, unique := range e.unique() {
		if field, _, _ := strings.Cut(unique, " "); l.taken[unique] && !bad[field] {
			bad[field] = true
			add(field + " " + notUnique[field])
		}
		l.taken[unique] = true
	}
	l.registry.ids = append(l.registry.ids, e.id)
	l.registry.byID[e.id] = e.record()
}

// short quotes a name that is not ours, and shortens it.
func short(name string) string {
	if len(name) > 40 {
		name = strings.ToValidUTF8(name[:40], "") + "…"
	}
	return strconv.Quote(name)
}
