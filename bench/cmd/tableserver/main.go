// Command tableserver serves a Table Storage in memory, and its control
// ([tableserver.Server.Control]) on a second address.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"

	"twofa/bench/tableserver"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:10002", "the address of the tables")
	control := flag.String("control", "127.0.0.1:10003", "the address of the control")
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
