package tableserver

import (
	"cmp"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// tableName is the rule of Azure's service for table names.
var tableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{2,62}$`)

func (s *Server) postTable(w http.ResponseWriter, body []byte) {
	var t struct{ TableName string }
	if json.Unmarshal(body, &t) != nil || !tableName.MatchString(t.TableName) {
		s.fail(w, http.StatusBadRequest, "InvalidResourceName")
		return
	}
	if !s.createTable(t.TableName) {
		s.fail(w, http.StatusConflict, "TableAlreadyExists")
		return
	}
	s.answer(w, http.StatusCreated, "", []byte(`{"odata.metadata":"$metadata#Tables/@Element","TableName":"`+t.TableName+`"}`))
}

// term is one comparison of a filter.
type term struct {
	name, op string
	number   int64
	text     string
	isText   bool
}

// parseFilter reads comparisons with a number or a text, joined by and.
func parseFilter(s string) ([]term, bool) {
	if s == "" {
		return nil, true
	}
	var terms []term
	for part := range strings.SplitSeq(s, " and ") {
		words := strings.SplitN(strings.TrimSpace(strings.Trim(part, "()")), " ", 3)
		if len(words) != 3 || !slices.Contains([]string{"eq", "ne", "lt", "le", "gt", "ge"}, words[1]) {
			return nil, false
		}
		t := term{name: words[0], op: words[1]}
		if text, ok := strings.CutPrefix(words[2], "'"); ok && strings.HasSuffix(text, "'") {
			t.text, t.isText = strings.ReplaceAll(strings.TrimSuffix(text, "'"), "''", "'"), true
		} else {
			n, err := strconv.ParseInt(strings.TrimSuffix(words[2], "L"), 10, 64)
			if err != nil {
				return nil, false
			}
			t.number = n
		}
		terms = append(terms, t)
	}
	return terms, true
}

// holds reports whether the entity has the member and the comparison is true.
func (t term) holds(all map[string]json.RawMessage) bool {
	raw, ok := all[t.name]
	if !ok {
		return false
	}
	text, err := strconv.Unquote(string(raw))
	if err != nil {
		text = string(raw)
	}
	order := cmp.Compare(text, t.text)
	if !t.isText {
		n, err := strconv.ParseInt(text, 10, 64) // 64-bit integers are texts in JSON
		if err != nil {
			return false
		}
		order = cmp.Compare(n, t.number)
	}
	switch t.op {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	case "lt":
		return order < 0
	case "le":
		return order <= 0
	case "gt":
		return order > 0
	default:
		return order >= 0
	}
}

// query lists entities in the order of their keys, one page at a time. Like Azure's service, it
// reads every row of the table.
func (s *Server) query(w http.ResponseWriter, r *http.Request, name string) {
	t := s.table(name)
	if t == nil {
		s.fail(w, http.StatusNotFound, "TableNotFound")
		return
	}
	q := r.URL.Query()
	terms, ok := parseFilter(q.Get("$filter"))
	if !ok {
		s.fail(w, http.StatusBadRequest, "InvalidInput")
		return
	}
	var selected []string
	if names := q.Get("$select"); names != "" {
		selected = strings.Split(names, ",")
	}
	page := cmp.Or(s.PageSize, 1000)
	if top, err := strconv.Atoi(q.Get("$top")); err == nil && top > 0 {
		page = min(page, top)
	}
	found := t.from(rowKey{q.Get("NextPartitionKey"), q.Get("NextRowKey")}, terms)
	if len(found) > page {
		next := found[page].key
		w.Header().Set("x-ms-continuation-NextPartitionKey", next.partition)
		w.Header().Set("x-ms-continuation-NextRowKey", next.row)
		found = found[:page]
	}
	body := []byte(`{"value":[`)
	for i, row := range found {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, row.json(formatOf(r), name, row.key, selected)...)
	}
	s.answer(w, http.StatusOK, "", append(body, `]}`...))
}

func (t *table) from(first rowKey, terms []term) []row {
	var found []row
	for i := range t.shards {
		shard := &t.shards[i]
		shard.RLock()
		for key, r := range shard.rows {
			if compareKeys(key, first) >= 0 && matches(r, terms) {
				found = append(found, r)
			}
		}
		shard.RUnlock()
	}
	slices.SortFunc(found, func(a, b row) int { return compareKeys(a.key, b.key) })
	return found
}

func matches(r row, terms []term) bool {
	if len(terms) == 0 {
		return true
	}
	all := r.object()
	for _, t := range terms {
		if !t.holds(all) {
			return false
		}
	}
	return true
}

func compareKeys(a, b rowKey) int {
	return cmp.Or(strings.Compare(a.partition, b.partition), strings.Compare(a.row, b.row))
}
