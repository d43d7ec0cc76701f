package tableserver

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Control returns a handler by which a measurement controls the server. It needs its own
// listener:
//
//	GET  /                               answers 200
//	GET  /stats                          returns Stats as JSON
//	POST /reset                          resets the counters
//	POST /latency?d=5ms                  sets the pause before each answer
//	POST /fill?table=t&rows=n&data=400   adds n rows with that many bytes of data
//	GET  /data?table=t                   returns the mean size of Data in that table, in bytes
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(s.Stats())
	})
	mux.HandleFunc("POST /reset", func(http.ResponseWriter, *http.Request) { s.ResetStats() })
	mux.HandleFunc("POST /latency", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.FormValue("d"))
		if err != nil {
			http.Error(w, "d is not a duration", http.StatusBadRequest)
			return
		}
		s.Latency.Store(int64(d))
	})
	mux.HandleFunc("POST /fill", func(w http.ResponseWriter, r *http.Request) {
		rows, err := strconv.Atoi(r.FormValue("rows"))
		size, err2 := strconv.Atoi(r.FormValue("data"))
		if err != nil || err2 != nil || rows < 0 || size < 1 {
			http.Error(w, "rows and data must be numbers", http.StatusBadRequest)
			return
		}
		s.Fill(r.FormValue("table"), rows, size)
	})
	mux.HandleFunc("GET /data", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, s.meanData(r.FormValue("table")))
	})
	return mux
}

// Fill adds rows like those of the service to a table: with random keys of 16 hexadecimal digits
// and size random bytes of data. It creates the table.
func (s *Server) Fill(name string, rows, size int) {
	s.createTable(name)
	t := s.table(name)
	until := strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10)
	random := make([]byte, 8+8+size)
	for range rows {
		_, _ = rand.Read(random)
		key := rowKey{hex.EncodeToString(random[:8]), "r"}
		members := make([]byte, 0, size*4/3+160)
		members = append(members, `"PartitionKey":"`+key.partition+`","RowKey":"r","Data":"`...)
		members = base64.StdEncoding.AppendEncode(members, random[16:])
		members = append(members, `","Mark":"`...)
		members = hex.AppendEncode(members, random[8:16])
		members = append(members, `","KeepUntil":"`+until+`"`...)
		shard := t.shard(key)
		shard.Lock()
		shard.rows[key] = row{key: key, members: members, types: typesOfRow, stamp: s.stamp()}
		shard.Unlock()
	}
}

var typesOfRow = []byte(`,"Data@odata.type":"Edm.Binary","KeepUntil@odata.type":"Edm.Int64"`)

// meanData returns the mean size of the property Data in bytes.
func (s *Server) meanData(name string) int {
	t := s.table(name)
	if t == nil {
		return 0
	}
	total, n := 0, 0
	for _, r := range t.from(rowKey{}, nil) {
		var data []byte
		if json.Unmarshal(r.object()["Data"], &data) == nil {
			total, n = total+len(data), n+1
		}
	}
	return total / max(n, 1)
}
