package tableserver

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// row is an entity as the client has written it: its members without the braces. The type
// annotations are separate, because most answers do not have them.
type row struct {
	key     rowKey
	members []byte
	types   []byte
	stamp   int64 // units of 100 ns since 1970
}

const (
	typeSuffix = "@odata.type"
	timeLayout = "2006-01-02T15:04:05.0000000Z"
)

func (r row) time() string { return time.Unix(0, r.stamp*100).UTC().Format(timeLayout) }

// etag returns the ETag in the form of Azure's service, which escapes the colons.
func (r row) etag() string {
	return `W/"datetime'` + strings.ReplaceAll(r.time(), ":", "%3A") + `'"`
}

// parseEntity reads a flat object that has both keys. bad is the error code of Azure's service,
// "" if there is no error.
func parseEntity(body []byte) (r row, bad string) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return r, "InvalidInput"
	}
	keys := 0
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return r, "InvalidInput"
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || value[0] == '{' || value[0] == '[' {
			return r, "InvalidInput"
		}
		into := &r.members
		switch {
		case strings.HasSuffix(name, typeSuffix):
			into = &r.types
		case strings.HasPrefix(name, "odata.") || name == "Timestamp":
			continue // set by the service
		case name == "PartitionKey" || name == "RowKey":
			key := &r.key.partition
			if name == "RowKey" {
				key = &r.key.row
			}
			if json.Unmarshal(value, key) != nil {
				return r, "PropertiesNeedValue"
			}
			keys++
		}
		quoted, _ := json.Marshal(name)
		*into = append(append(append(*into, ','), quoted...), ':')
		*into = append(*into, value...)
	}
	if _, err := d.Token(); err != nil || keys != 2 {
		return r, "PropertiesNeedValue"
	}
	r.members = bytes.Clone(bytes.TrimPrefix(r.members, []byte{','})) // without unused capacity
	return r, ""
}

// format says how much metadata an answer has.
type format int

const (
	none format = iota
	minimal
	full
)

func formatOf(r *http.Request) format {
	asked := r.Header.Get("Accept")
	if strings.Contains(r.URL.RawQuery, "format") {
		asked = r.URL.Query().Get("$format")
	}
	switch {
	case strings.Contains(asked, "nometadata"):
		return none
	case strings.Contains(asked, "fullmetadata"):
		return full
	default:
		return minimal
	}
}

// json returns the entity in that format, with the selected members. nil: all members.
func (r row) json(f format, table string, key rowKey, selected []string) []byte {
	b := make([]byte, 0, len(r.members)+len(r.types)+256)
	b = append(b, '{')
	if f == full {
		id := "(PartitionKey='" + url.PathEscape(key.partition) + "',RowKey='" + url.PathEscape(key.row) + "')"
		b = append(b, `"odata.type":"account.`+table+`","odata.id":"`+table+id+`","odata.editLink":"`+table+id+`",`...)
	}
	if f != none {
		b = append(b, `"odata.etag":`...)
		b = strconv.AppendQuote(b, r.etag())
		b = append(b, ',')
	}
	if selected == nil {
		b = append(b, r.members...)
		if f != none {
			b = append(b, r.types...)
		}
		b = append(b, `,"Timestamp":"`...)
		b = append(b, r.time()...)
		return append(b, `"}`...)
	}
	all := r.object()
	for _, name := range selected {
		if value, ok := all[name]; ok {
			quoted, _ := json.Marshal(name)
			b = append(append(append(append(b, quoted...), ':'), value...), ',')
		}
	}
	return append(bytes.TrimSuffix(b, []byte{','}), '}')
}

// object returns the entity's members by name.
func (r row) object() map[string]json.RawMessage {
	all := make(map[string]json.RawMessage)
	text := append(append(append([]byte{'{'}, r.members...), r.types...), '}')
	_ = json.Unmarshal(text, &all) // parseEntity has read it from JSON
	all["Timestamp"] = json.RawMessage(`"` + r.time() + `"`)
	return all
}
