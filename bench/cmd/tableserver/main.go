// Command tableserver serves a Table Storage in memory, and its side door
// (tableserver.Server.Control) at an address of its own.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"

	"twofa/bench/tableserver"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:10002", "where to serve the tables")
	control := flag.String("control", "127.0.0.1:10003", "where to serve the control")
	flag.Parse()
	var s tableserver.Server
	tables, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		server := &http.Server{Handler: &s, ConnState: s.ConnState}
		log.Fatal(server.Serve(tables))
	}()
	log.Fatal(http.ListenAndServe(*control, s.Control()))
}
