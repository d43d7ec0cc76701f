// Command bareserver shows the cost of net/http alone: it reads the same JSON and answers the
// same bytes as the service, and does nothing else.
package main

import (
	"flag"
	"log"
	"net/http"

	"twofa/bench/bare"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "the address to listen on")
	file := flag.String("answers", "", "the file of the recorded answers")
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
