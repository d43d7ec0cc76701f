package azuretable

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"twofa/internal/store"
)

// Only this file and fault.go use the SDK.

// client sends requests to the table: each method sends one, and the SDK repeats
// reads. The methods return a fault, never an error of the SDK.
type client struct {
	// The SDK repeats reads, but not writes: if the first copy of a write was
	// applied, the answer to a second copy would be a conflict, and Update relies
	// on a conflict being another write's.
	reads, writes *aztables.Client
	// lists are reads that may take longer.
	lists     *aztables.Client
	transport http.RoundTripper
	pageSize  int32
}

// tryTimeout is the time limit of a single request. The service answers within
// milliseconds. If a request hangs, enough time is left to find out whether it was
// applied.
const tryTimeout = 1500 * time.Millisecond

// The largest answers that are read, in bytes. The service sends a row in at most
// 100 KiB and a page of a list in 200 KiB, and an error in 1 KiB.
const (
	maxRow   = 1 << 20
	maxList  = 8 << 20
	maxError = 64 << 10
)

func newClient(o Options, table string) (*client, error) {
	a, err := parseAddress(o)
	if err != nil {
		return nil, err
	}
	connect, err := connector(a, o.ClientID)
	if err != nil {
		return nil, err
	}
	c := &client{transport: o.Transport, pageSize: o.pageSize}
	if c.transport == nil {
		c.transport = newTransport(a.url)
	}
	retry := policy.RetryOptions{
		MaxRetries:    2,
		RetryDelay:    100 * time.Millisecond,
		MaxRetryDelay: time.Second,
	}
	try := transporter{c.transport, tryTimeout, maxRow}
	if c.reads, err = newTableClient(connect, table, try, retry); err != nil {
		return nil, err
	}
	if c.lists, err = newTableClient(connect, table, transporter{c.transport, listTimeout, maxList}, retry); err != nil {
		return nil, err
	}
	retry.MaxRetries = -1 // none; 0 would mean three
	if c.writes, err = newTableClient(connect, table, try, retry); err != nil {
		return nil, err
	}
	return c, nil
}

// connect makes a client of the service, with its credentials.
type connect func(*aztables.ClientOptions) (*aztables.ServiceClient, error)

func connector(a address, clientID string) (connect, error) {
	switch {
	case a.key != "":
		cred, err := newSharedKey(a)
		if err != nil {
			return nil, err
		}
		return func(o *aztables.ClientOptions) (*aztables.ServiceClient, error) {
			return aztables.NewServiceClientWithSharedKey(a.url, cred, o)
		}, nil
	case a.signature != "":
		return func(o *aztables.ClientOptions) (*aztables.ServiceClient, error) {
			return aztables.NewServiceClientWithNoCredential(a.url+"/?"+a.signature, o)
		}, nil
	default:
		o := azidentity.ManagedIdentityCredentialOptions{
			ClientOptions: azcore.ClientOptions{Transport: newTokenTransport()},
		}
		if clientID != "" {
			o.ID = azidentity.ClientID(clientID)
		}
		cred, err := azidentity.NewManagedIdentityCredential(&o)
		if err != nil {
			return nil, errors.New("the managed identity cannot be used")
		}
		return func(o *aztables.ClientOptions) (*aztables.ServiceClient, error) {
			return aztables.NewServiceClient(a.url, cred, o)
		}, nil
	}
}

func newTableClient(connect connect, table string, try transporter, retry policy.RetryOptions) (*aztables.Client, error) {
	service, err := connect(&aztables.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry:           retry,
		Transport:       try,
		Telemetry:       policy.TelemetryOptions{Disabled: true},
		PerCallPolicies: []policy.Policy{preferNoContent{}, shortAbsence{}},
	}})
	if err != nil {
		return nil, errors.New("the storage client cannot be created") // the SDK's text may quote the address
	}
	return service.NewClient(table), nil
}

func newSharedKey(a address) (*aztables.SharedKeyCredential, error) {
	cred, err := aztables.NewSharedKeyCredential(a.account, a.key)
	if err != nil {
		return nil, errors.New("the connection string's AccountKey is not base64")
	}
	return cred, nil
}

// transporter sends one request. It does not use http.Client, because the service
// needs no redirects and no cookies: a redirect is a fault.
//
// The time limit of a request is here and not in the SDK's TryTimeout, which would
// include the wait for a token. At a cold start a token takes longer than one
// request may take, and if the wait is cut off, the SDK drops the token and the next
// request starts again. So the wait for a token has the time limit of the call, for
// reads and writes alike.
//
// It reads at most maxBody bytes of an answer, and maxError of an error.
type transporter struct {
	rt      http.RoundTripper
	limit   time.Duration
	maxBody int64
}

func (t transporter) Do(req *http.Request) (*http.Response, error) {
	store.CountTrip(req.Context())
	ctx, cancel := context.WithTimeout(req.Context(), t.limit)
	resp, err := t.rt.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	noteDate(req.Context(), resp)
	left := t.maxBody
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		left = min(left, maxError)
	}
	resp.Body = &limitedBody{resp.Body, cancel, left}
	return resp, nil
}

// tokenTransport gets tokens from the platform's endpoint. The wait for a token has
// the time limit of the call, and the SDK's.
type tokenTransport struct{ rt http.RoundTripper }

func newTokenTransport() tokenTransport {
	t := newTransport("http://")
	t.Proxy = nil // the endpoint is on this machine, or link-local
	return tokenTransport{t}
}

func (t tokenTransport) Do(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	resp, err := t.rt.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &limitedBody{resp.Body, cancel, maxError}
	return resp, nil
}

// limitedBody is the body of a response, which has to be read within the time limit
// of its request. Close ends that limit. After left bytes, the next byte is an error
// and ends the connection.
type limitedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
	left   int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.left < 0 {
		return 0, tooLarge{}
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		b.cancel()
		return n - 1, tooLarge{}
	}
	return n, err
}

func (b *limitedBody) Close() error {
	b.cancel() // first, so that closing does not read the rest
	return b.ReadCloser.Close()
}

// tooLarge is the error of an answer over the limit. The SDK does not repeat a
// request after an error with this method.
type tooLarge struct{}

func (tooLarge) Error() string { return "the answer is too large" }

// NonRetriable is the SDK's marker.
func (tooLarge) NonRetriable() {}

// preferNoContent asks the service not to return the inserted entity. The SDK has no
// option for this.
type preferNoContent struct{}

func (preferNoContent) Do(req *policy.Request) (*http.Response, error) {
	if req.Raw().Method == http.MethodPost {
		req.Raw().Header.Set("Prefer", "return-no-content")
	}
	return req.Next()
}

// shortAbsence turns the 404 of a read into a small error. The first message to an
// address always causes a 404, and the SDK would write the whole request and
// response into an error text that nobody may see.
type shortAbsence struct{}

func (shortAbsence) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err != nil || resp.StatusCode != http.StatusNotFound || req.Raw().Method != http.MethodGet {
		return resp, err
	}
	body, err := runtime.Payload(resp) // in memory already
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error struct {
			Code string `json:"code"`
		} `json:"odata.error"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error.Code == "" {
		return resp, nil // not from the service: the SDK makes its own error
	}
	return nil, absence(answer.Error.Code)
}

// absence is the service's error code in a 404.
type absence string

func (absence) Error() string { return "not found" }

// noMetadata asks for responses without types and URLs, which are known already.
var noMetadata = aztables.MetadataFormatNone

func (c *client) get(ctx context.Context, key store.Key) (entity, *fault) {
	resp, err := c.reads.GetEntity(ctx, string(key), rowKey, &aztables.GetEntityOptions{Format: &noMetadata})
	if err != nil {
		return entity{}, faultOf(err)
	}
	e, ok := parseEntity(resp.Value, string(resp.ETag), key)
	if !ok {
		return entity{}, &fault{kind: unclear, code: "not an answer about the row"}
	}
	return e, nil
}

// write replaces the entity if its ETag is still etag. Empty etag: it inserts the
// entity if there is none.
func (c *client) write(ctx context.Context, body []byte, etag string) *fault {
	if etag == "" {
		_, err := c.writes.AddEntity(ctx, body, &aztables.AddEntityOptions{Format: &noMetadata})
		return faultOf(err)
	}
	match := azcore.ETag(etag)
	_, err := c.writes.UpdateEntity(ctx, body, &aztables.UpdateEntityOptions{
		IfMatch:    &match,
		UpdateMode: aztables.UpdateModeReplace,
	})
	return faultOf(err)
}

func (c *client) remove(ctx context.Context, key store.Key, etag string) *fault {
	match := azcore.ETag(etag)
	_, err := c.writes.DeleteEntity(ctx, string(key), rowKey, &aztables.DeleteEntityOptions{IfMatch: &match})
	return faultOf(err)
}

func (c *client) createTable(ctx context.Context) *fault {
	_, err := c.reads.CreateTable(ctx, nil) // safe to repeat
	f := faultOf(err)
	if f != nil && f.code == string(aztables.TableAlreadyExists) {
		return nil
	}
	return f
}

// expired returns one page of the rows with KeepUntil at or before the given Unix
// time.
func (c *client) expired(ctx context.Context, before int64, from cursor) ([]store.Ref, cursor, *fault) {
	// The filter contains only digits, never input from outside.
	filter := "KeepUntil le " + strconv.FormatInt(before, 10) + "L"
	fields := "PartitionKey,RowKey"
	// The ETag of a listed row is in its metadata. According to the documentation,
	// only full metadata has it.
	format := aztables.MetadataFormatFull
	top := c.pageSize
	options := &aztables.ListEntitiesOptions{Filter: &filter, Select: &fields, Top: &top, Format: &format}
	if from.partitionKey != "" {
		options.NextPartitionKey = &from.partitionKey
	}
	if from.rowKey != "" {
		options.NextRowKey = &from.rowKey
	}
	page, err := c.lists.NewListEntitiesPager(options).NextPage(ctx)
	if err != nil {
		return nil, cursor{}, faultOf(err)
	}

	refs := make([]store.Ref, 0, len(page.Entities))
	for _, raw := range page.Entities {
		var e struct {
			PartitionKey, RowKey *string
			ETag                 string `json:"odata.etag"`
		}
		if err := json.Unmarshal(raw, &e); err != nil || e.PartitionKey == nil || e.RowKey == nil || !validETag(e.ETag) {
			return nil, cursor{}, &fault{kind: unclear, code: "not a list of rows"}
		}
		// Somebody else's row in our table must not end every sweep.
		if key := store.Key(*e.PartitionKey); key.Valid() && *e.RowKey == rowKey {
			refs = append(refs, store.Ref{Key: key, Version: e.ETag})
		}
	}
	var next cursor
	if page.NextPartitionKey != nil {
		next.partitionKey = *page.NextPartitionKey
	}
	if page.NextRowKey != nil {
		next.rowKey = *page.NextRowKey
	}
	return refs, next, nil
}

func (c *client) close() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
