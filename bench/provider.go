package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// provider is a simple stand-in for Twilio: it accepts every message, answers with a Message
// resource of the usual size, and keeps the codes. The strict double for tests is in
// internal/testing/twiliotest.
type provider struct {
	*httptest.Server
	mu    sync.Mutex
	codes map[string]string // by number
}

func newProvider() *provider {
	p := &provider{codes: map[string]string{}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.message))
	return p
}

// resource is the format of an answer's body. The number is missing.
const resource = `{"account_sid":"AC00000000000000000000000000000000","api_version":"2010-04-01","body":"Your code","date_created":"Thu, 01 Jan 2026 00:00:00 +0000",` +
	`"date_sent":null,"date_updated":"Thu, 01 Jan 2026 00:00:00 +0000","direction":"outbound-api","error_code":null,"error_message":null,` +
	`"from":"whatsapp:+14155238886","messaging_service_sid":null,"num_media":"0","num_segments":"1","price":null,"price_unit":null,` +
	`"sid":"SM00000000000000000000000000000000","status":"queued","subresource_uris":{"media":"/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages/SM00000000000000000000000000000000/Media.json"},` +
	`"to":"%s","uri":"/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages/SM00000000000000000000000000000000.json"}`

func (p *provider) message(w http.ResponseWriter, r *http.Request) {
	var variables map[string]string
	to := r.PostFormValue("To")
	if to == "" || json.Unmarshal([]byte(r.PostFormValue("ContentVariables")), &variables) != nil {
		http.Error(w, "no message", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	p.codes[strings.TrimPrefix(to, "whatsapp:")] = variables["1"]
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, resource, to)
}

func (p *provider) code(number string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.codes[number]
}
