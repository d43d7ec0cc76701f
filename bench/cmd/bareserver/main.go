// Command bareserver is what net/http alone costs: it reads the same JSON and
// answers the same bytes as the service, and does nothing in between.
package main

import (
	"flag"
	"log"
	"net/http"

	"twofa/bench/bare"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "where to listen")
	file := flag.String("answers", "", "the recorded answers")
	flag.Parse()
	answers, err := bare.Load(*file)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	bare.Ready(mux)
	for path := range answers {
		answers.Handle(mux, path, path, nil)
	}
	log.Fatal(http.ListenAndServe(*addr, mux))
}
