// Package tableserver is a small Table Storage in memory, for measurements of its clients. It
// needs little CPU time, answers evenly, and counts requests.
//
// It implements the part of the protocol that aztables uses for tables and single entities, with
// ETags and the error codes of Azure's service. Its test runs the store's conformance suite. Use
// it for measurements and tests only: it accepts every signature, and loses all data when it
// ends.
package tableserver

import (
	"hash/maphash"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxBody is the limit of Azure's service for an entity, in bytes.
const maxBody = 1 << 20

// shards is the number of locks of a table.
const shards = 64

// Server is a storage account. The zero value is empty and ready for use.
type Server struct {
	// PageSize is the limit of rows of a page. 0: 1,000, as in Azure's service.
	PageSize int
	// Latency is a pause before each answer, in nanoseconds.
	Latency atomic.Int64

	mu     sync.RWMutex
	tables map[string]*table

	tick  atomic.Int64 // of the newest ETag, in units of 100 ns
	stats counters
}

type counters struct {
	get, insert, replace, remove, query, other, failed atomic.Int64
	opened, open, peak                                 atomic.Int64
}

// Stats counts the requests since the last reset. Connections is the number of connections that
// were opened since then, Peak the largest number that were open at the same time.
type Stats struct {
	Get, Insert, Replace, Delete, Query, Other, Failed int64
	Connections, Peak                                  int64
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Get: c.get.Load(), Insert: c.insert.Load(), Replace: c.replace.Load(),
		Delete: c.remove.Load(), Query: c.query.Load(), Other: c.other.Load(), Failed: c.failed.Load(),
		Connections: c.opened.Load(), Peak: c.peak.Load(),
	}
}

// ResetStats resets the counters. Peak starts at the number of open connections.
func (s *Server) ResetStats() {
	c := &s.stats
	for _, n := range []*atomic.Int64{&c.get, &c.insert, &c.replace, &c.remove, &c.query, &c.other, &c.failed, &c.opened} {
		n.Store(0)
	}
	c.peak.Store(c.open.Load())
}

// ConnState counts connections. Set it as http.Server.ConnState.
func (s *Server) ConnState(_ net.Conn, state http.ConnState) {
	c := &s.stats
	switch state {
	case http.StateNew:
		c.opened.Add(1)
		open := c.open.Add(1)
		for peak := c.peak.Load(); open > peak && !c.peak.CompareAndSwap(peak, open); peak = c.peak.Load() {
		}
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

type table struct {
	seed   maphash.Seed
	shards [shards]struct {
		sync.RWMutex
		rows map[rowKey]row
	}
}

type rowKey struct{ partition, row string }

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].rows = make(map[rowKey]row)
	}
	return t
}

func (t *table) shard(k rowKey) *struct {
	sync.RWMutex
	rows map[rowKey]row
} {
	return &t.shards[maphash.Comparable(t.seed, k)%shards]
}

func (t *table) get(k rowKey) (row, bool) {
	s := t.shard(k)
	s.RLock()
	defer s.RUnlock()
	r, ok := s.rows[k]
	return r, ok
}

func (s *Server) table(name string) *table {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tables[name]
}

func (s *Server) createTable(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables == nil {
		s.tables = make(map[string]*table)
	}
	if s.tables[name] != nil {
		return false
	}
	s.tables[name] = newTable()
	return true
}

// stamp returns a time that is later than all times before, so that ETags never repeat.
func (s *Server) stamp() int64 {
	for {
		last := s.tick.Load()
		next := max(last+1, time.Now().UnixNano()/100)
		if s.tick.CompareAndSwap(last, next) {
			return next
		}
	}
}

// ServeHTTP implements http.Handler. The first segment of the path is the
// account, whatever its name.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if d := time.Duration(s.Latency.Load()); d > 0 {
		time.Sleep(d)
	}
	_, resource, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case err != nil:
		s.fail(w, http.StatusRequestEntityTooLarge, "RequestBodyTooLarge")
	case r.Header.Get("Authorization") == "":
		s.fail(w, http.StatusForbidden, "AuthenticationFailed")
	case resource == "Tables" && r.Method == http.MethodPost:
		s.stats.other.Add(1)
		s.postTable(w, body)
	case strings.HasSuffix(resource, "()") && r.Method == http.MethodGet:
		s.stats.query.Add(1)
		s.query(w, r, strings.TrimSuffix(resource, "()"))
	case strings.HasSuffix(resource, ")"):
		name, key, ok := parseResource(resource)
		if !ok {
			s.fail(w, http.StatusBadRequest, "InvalidInput")
			return
		}
		s.entity(w, r, name, key, body)
	case r.Method == http.MethodPost:
		s.stats.insert.Add(1)
		s.insert(w, r, resource, body)
	default:
		s.fail(w, http.StatusNotImplemented, "NotImplemented")
	}
}

// parseResource reads table(PartitionKey='p',RowKey='r'). A quote inside a key is doubled.
func parseResource(s string) (name string, key rowKey, ok bool) {
	name, s, ok = strings.Cut(s, "(PartitionKey='")
	if !ok {
		return "", key, false
	}
	key.partition, s, ok = strings.Cut(s, "',RowKey='")
	if !ok {
		return "", key, false
	}
	key.row, ok = strings.CutSuffix(s, "')")
	key.partition = strings.ReplaceAll(key.partition, "''", "'")
	key.row = strings.ReplaceAll(key.row, "''", "'")
	return name, key, ok
}

func (s *Server) entity(w http.ResponseWriter, r *http.Request, name string, key rowKey, body []byte) {
	t := s.table(name)
	if t == nil {
		s.fail(w, http.StatusNotFound, "TableNotFound")
		return
	}
	match := r.Header.Get("If-Match")
	switch r.Method {
	case http.MethodGet:
		s.stats.get.Add(1)
		found, ok := t.get(key)
		if !ok {
			s.fail(w, http.StatusNotFound, "ResourceNotFound")
			return
		}
		s.answer(w, http.StatusOK, found.etag(), found.json(formatOf(r), name, key, nil))
	case http.MethodPut:
		s.stats.replace.Add(1)
		next, bad := parseEntity(body)
		if bad != "" {
			s.fail(w, http.StatusBadRequest, bad)
			return
		}
		s.change(w, t, key, match, func(rows map[rowKey]row) {
			next.stamp = s.stamp()
			rows[key] = next
			w.Header().Set("ETag", next.etag())
		})
	case http.MethodDelete:
		s.stats.remove.Add(1)
		if match == "" {
			s.fail(w, http.StatusBadRequest, "MissingRequiredHeader")
			return
		}
		s.change(w, t, key, match, func(rows map[rowKey]row) { delete(rows, key) })
	default:
		s.fail(w, http.StatusNotImplemented, "NotImplemented")
	}
}

// change calls do if the row meets the condition If-Match: "" allows a missing row and any
// version, "*" any version, and other values one version.
func (s *Server) change(w http.ResponseWriter, t *table, key rowKey, match string, do func(map[rowKey]row)) {
	shard := t.shard(key)
	shard.Lock()
	old, there := shard.rows[key]
	held := match == "" || there && (match == "*" || match == old.etag())
	if held {
		do(shard.rows)
	}
	shard.Unlock()
	switch {
	case held:
		w.WriteHeader(http.StatusNoContent)
	case there:
		s.fail(w, http.StatusPreconditionFailed, "UpdateConditionNotSatisfied")
	default:
		s.fail(w, http.StatusNotFound, "ResourceNotFound")
	}
}

func (s *Server) insert(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	t := s.table(name)
	if t == nil {
		s.fail(w, http.StatusNotFound, "TableNotFound")
		return
	}
	next, bad := parseEntity(body)
	if bad != "" {
		s.fail(w, http.StatusBadRequest, bad)
		return
	}
	key := next.key
	shard := t.shard(key)
	shard.Lock()
	_, there := shard.rows[key]
	if !there {
		next.stamp = s.stamp()
		shard.rows[key] = next
	}
	shard.Unlock()
	switch {
	case there:
		s.fail(w, http.StatusConflict, "EntityAlreadyExists")
	case r.Header.Get("Prefer") == "return-no-content":
		w.Header().Set("Preference-Applied", "return-no-content")
		w.Header().Set("ETag", next.etag())
		w.WriteHeader(http.StatusNoContent)
	default:
		s.answer(w, http.StatusCreated, next.etag(), next.json(formatOf(r), name, key, nil))
	}
}

func (s *Server) answer(w http.ResponseWriter, status int, etag string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if etag != "" {
		h.Set("ETag", etag)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// fail answers with an error in the form of Azure's service.
func (s *Server) fail(w http.ResponseWriter, status int, code string) {
	if status != http.StatusNotFound { // which is a normal answer
		s.stats.failed.Add(1)
	}
	s.answer(w, status, "", []byte(`{"odata.error":{"code":"`+code+`","message":{"lang":"en-US","value":"`+
		http.StatusText(status)+`.\nRequestId:00000000-0000-0000-0000-000000000000\nTime:2026-01-01T00:00:00.0000000Z"}}}`))
}
