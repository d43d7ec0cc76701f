// Package probe serves measurements of its own process: the allocations so far, and a CPU
// profile. The service does not import it. The driver builds a second binary from the same
// sources and adds this package by go build -overlay. The binary that ships, and whose time is
// measured, does not contain it.
package probe

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
)

// Variable is the environment variable with the address to listen on. If it is not set, the
// package does nothing.
const Variable = "BENCH_PROBE_ADDR"

func init() {
	addr := os.Getenv(Variable)
	if addr == "" {
		return
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /allocs", func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m) // as testing.B does
		fmt.Fprint(w, m.Mallocs, m.TotalAlloc)
	})
	mux.HandleFunc("POST /profile", func(w http.ResponseWriter, r *http.Request) {
		file, err := os.Create(r.FormValue("file"))
		if err == nil {
			err = pprof.StartCPUProfile(file)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("DELETE /profile", func(http.ResponseWriter, *http.Request) { pprof.StopCPUProfile() })
	go func() { log.Fatal(http.Serve(listener, mux)) }()
}
