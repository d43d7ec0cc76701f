// Command yardstick shows the least possible cost of the service on its storage: it is the bare
// server with the same two calls of aztables, by a client that is tuned like the client of
// internal/store/azuretable. It has no limits, no codes, no sealing and no log.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"twofa/bench/bare"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "the address to listen on")
	file := flag.String("answers", "", "the file of the recorded answers")
	tables := flag.String("tables", "", "the URL of the account, with its name")
	size := flag.Int("data", 300, "bytes of data in a row")
	provider := flag.String("provider", "", "the URL to which messages are posted")
	flag.Parse()
	answers, err := bare.Load(*file)
	if err != nil {
		log.Fatal(err)
	}
	s, err := newService(*tables, *size, *provider)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	bare.Ready(mux)
	answers.Handle(mux, "/send", "/send", s.send)
	answers.Handle(mux, "/sendpost", "/send", s.sendAndPost)
	answers.Handle(mux, "/wrong", "/wrong", s.check)
	answers.Handle(mux, "/right", "/right", s.check)
	log.Fatal(http.ListenAndServe(*addr, mux))
}

type service struct {
	reads, writes *aztables.Client
	provider      string
	post          http.Client
	data          []byte
}

// row is an entity of the same members and sizes as the service's.
type row struct {
	PartitionKey  string
	RowKey        string
	DataType      string `json:"Data@odata.type,omitempty"`
	Data          []byte
	Mark          string
	KeepUntilType string `json:"KeepUntil@odata.type,omitempty"`
	KeepUntil     int64  `json:",string"`
}

const mark = "0123456789abcdef"

func (s *service) row(key, marks string) ([]byte, error) {
	return json.Marshal(row{
		PartitionKey: key, RowKey: "r", DataType: "Edm.Binary", Data: s.data, Mark: marks,
		KeepUntilType: "Edm.Int64", KeepUntil: time.Now().Unix() + 86400,
	})
}

var noMetadata = aztables.MetadataFormatNone

// send creates the row of a number, after a read that finds no row.
func (s *service) send(r *http.Request, req bare.Request) error {
	_, err := s.reads.GetEntity(r.Context(), req.Key(), "r", &aztables.GetEntityOptions{Format: &noMetadata})
	var re *azcore.ResponseError
	if !errors.As(err, &re) || re.StatusCode != http.StatusNotFound {
		return errors.Join(errors.New("the row already exists"), err)
	}
	body, err := s.row(req.Key(), mark)
	if err != nil {
		return err
	}
	_, err = s.writes.AddEntity(r.Context(), body, &aztables.AddEntityOptions{Format: &noMetadata})
	return err
}

// sendAndPost does the same, and posts a form of the size of a message.
func (s *service) sendAndPost(r *http.Request, req bare.Request) error {
	if err := s.send(r, req); err != nil {
		return err
	}
	form := url.Values{
		"To": {"whatsapp:" + req.To}, "From": {"whatsapp:+14155238886"}, "ValidityPeriod": {"600"},
		"ContentSid": {"HX00000000000000000000000000000000"}, "ContentVariables": {`{"1":"123456"}`},
	}
	post, err := http.NewRequestWithContext(r.Context(), http.MethodPost, s.provider, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	post.SetBasicAuth("AC00000000000000000000000000000000", "00000000000000000000000000000000")
	resp, err := s.post.Do(post)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var message struct{ SID string }
	if err := json.NewDecoder(resp.Body).Decode(&message); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// check reads a row and replaces it if it has not changed meanwhile.
func (s *service) check(r *http.Request, req bare.Request) error {
	got, err := s.reads.GetEntity(r.Context(), req.Key(), "r", &aztables.GetEntityOptions{Format: &noMetadata})
	if err != nil {
		return err
	}
	var old row
	if err := json.Unmarshal(got.Value, &old); err != nil {
		return err
	}
	body, err := s.row(req.Key(), (mark + old.Mark)[:min(4*len(mark), len(mark)+len(old.Mark))])
	if err != nil {
		return err
	}
	_, err = s.writes.UpdateEntity(r.Context(), body, &aztables.UpdateEntityOptions{
		IfMatch: &got.ETag, UpdateMode: aztables.UpdateModeReplace,
	})
	return err
}

// newService builds the clients as internal/store/azuretable does in client.go and address.go.
// Changes there have to be made here too.
func newService(tables string, size int, provider string) (*service, error) {
	pooled := func(idle time.Duration) *http.Transport {
		return &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second, KeepAlive: 15 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 128, IdleConnTimeout: idle, DisableCompression: true,
		}
	}
	s := &service{data: make([]byte, size), provider: provider, post: http.Client{Transport: pooled(time.Minute)}}
	options := aztables.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry:           policy.RetryOptions{MaxRetries: 2, TryTimeout: 1500 * time.Millisecond, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: time.Second},
		Transport:       transporter{pooled(4 * time.Second)},
		Telemetry:       policy.TelemetryOptions{Disabled: true},
		PerCallPolicies: []policy.Policy{preferNoContent{}},
	}}
	cred, err := aztables.NewSharedKeyCredential("acct", "a2V5")
	if err != nil {
		return nil, err
	}
	open := func(o aztables.ClientOptions) (*aztables.Client, error) {
		account, err := aztables.NewServiceClientWithSharedKey(tables, cred, &o)
		if err != nil {
			return nil, err
		}
		return account.NewClient("yardstick"), nil
	}
	if s.reads, err = open(options); err != nil {
		return nil, err
	}
	options.Retry.MaxRetries = -1
	if s.writes, err = open(options); err != nil {
		return nil, err
	}
	_, err = s.reads.CreateTable(context.Background(), nil)
	var re *azcore.ResponseError
	if errors.As(err, &re) && re.ErrorCode == string(aztables.TableAlreadyExists) {
		err = nil
	}
	return s, err
}

type transporter struct{ rt http.RoundTripper }

func (t transporter) Do(req *http.Request) (*http.Response, error) { return t.rt.RoundTrip(req) }

type preferNoContent struct{}

func (preferNoContent) Do(req *policy.Request) (*http.Response, error) {
	if req.Raw().Method == http.MethodPost {
		req.Raw().Header.Set("Prefer", "return-no-content")
	}
	return req.Next()
}
