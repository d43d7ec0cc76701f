package azuretable

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
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

// This file is the only one that knows the SDK. The methods of client are one
// request each (reads are repeated by the SDK) and return what happened as a
// fault, never as one of the SDK's errors.

// kind is what a failed request tells about the row.
type kind int

const (
	unclear  kind = iota // no answer, or none that tells whether it was applied
	conflict             // the row is not as the condition said
	absent               // there is no such row
	noTable              // there is no such table
	refused              // not applied, and it would not be at the next try either
)

// fault is a failed request, reduced to what may be shown to anybody.
type fault struct {
	kind       kind
	status     int    // 0 if there was no answer
	code       string // the service's error code, or a few words of ours
	retryAfter time.Duration
}

type client struct {
	// reads are repeated by the SDK. writes are not: a repetition that meets the
	// traces of the first copy looks like a conflict, and Update can tell one
	// from the other only if it knows that a conflict is a conflict.
	reads, writes *aztables.Client
	// lists are reads that may take longer.
	lists     *aztables.Client
	transport http.RoundTripper
	pageSize  int32
}

// tryTimeout bounds a single request, so that one that hangs leaves time to find
// out what became of it. The service answers in milliseconds.
const tryTimeout = 1500 * time.Millisecond

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
	try := transporter{c.transport, tryTimeout}
	if c.reads, err = newTableClient(connect, table, try, retry); err != nil {
		return nil, err
	}
	if c.lists, err = newTableClient(connect, table, transporter{c.transport, listTimeout}, retry); err != nil {
		return nil, err
	}
	retry.MaxRetries = -1 // none; 0 would mean three
	if c.writes, err = newTableClient(connect, table, try, retry); err != nil {
		return nil, err
	}
	return c, nil
}

// connect makes a client of the service at an address, with the credential for it.
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
		var o azidentity.ManagedIdentityCredentialOptions
		if clientID != "" {
			o.ID = azidentity.ClientID(clientID)
		}
		cred, err := azidentity.NewManagedIdentityCredential(&o)
		if err != nil {
			return nil, errors.New("the managed identity can't be used")
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
		return nil, errors.New("the storage client can't be made") // the SDK's text may quote the address
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

// transporter sends one try. It goes without http.Client, whose redirects and
// cookies the service has no use for: a redirect is a fault.
//
// The time limit of a try is here and not in the SDK's TryTimeout, which would
// include the wait for a token. At a cold start that takes longer than a try
// has, and the SDK gives up for good on a token that was cut off; whoever asks
// next begins anew. So the token's limit is the call's, for reads and writes
// alike.
type transporter struct {
	rt    http.RoundTripper
	limit time.Duration
}

func (t transporter) Do(req *http.Request) (*http.Response, error) {
	store.CountTrip(req.Context())
	ctx, cancel := context.WithTimeout(req.Context(), t.limit)
	resp, err := t.rt.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = limitedBody{resp.Body, cancel}
	return resp, nil
}

// limitedBody is read under the limit of its try, which ends with it.
type limitedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b limitedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// preferNoContent asks the service not to send back what we have inserted, which
// the SDK has no option for.
type preferNoContent struct{}

func (preferNoContent) Do(req *policy.Request) (*http.Response, error) {
	if req.Raw().Method == http.MethodPost {
		req.Raw().Header.Set("Prefer", "return-no-content")
	}
	return req.Next()
}

// shortAbsence answers a read's 404 with a small error of our own. The first
// message to an address always meets one, and the SDK would make a text of the
// whole exchange that nobody is to see.
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
		return resp, nil // from something on the way: as the SDK sees it
	}
	return nil, absence(answer.Error.Code)
}

// absence is the error code of a 404.
type absence string

func (absence) Error() string { return "not found" }

// noMetadata leaves out of an answer what we know: types and addresses.
var noMetadata = aztables.MetadataFormatNone

func (c *client) get(ctx context.Context, key store.Key) (entity, *fault) {
	resp, err := c.reads.GetEntity(ctx, string(key), rowKey, &aztables.GetEntityOptions{Format: &noMetadata})
	if err != nil {
		return entity{}, faultOf(err)
	}
	e, ok := parseEntity(resp.Value, string(resp.ETag))
	if !ok {
		return entity{}, &fault{kind: unclear, code: "malformed row"}
	}
	return e, nil
}

// write replaces the entity if its ETag still is etag; if that is "", it inserts
// the entity if there is none.
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

// expired asks for one page of the rows with KeepUntil at or before the given
// Unix time.
func (c *client) expired(ctx context.Context, before int64, from cursor) ([]store.Ref, cursor, *fault) {
	// Nothing but our own digits gets into the filter.
	filter := "KeepUntil le " + strconv.FormatInt(before, 10) + "L"
	fields := "PartitionKey"
	// The ETag of a listed row is in its metadata, and only full metadata is
	// documented to have it.
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

	refs := make([]store.Ref, len(page.Entities))
	for i, raw := range page.Entities {
		var e struct {
			PartitionKey store.Key
			ETag         string `json:"odata.etag"`
		}
		if err := json.Unmarshal(raw, &e); err != nil || !e.PartitionKey.Valid() || !validETag(e.ETag) {
			return nil, cursor{}, &fault{kind: unclear, code: "malformed row"}
		}
		refs[i] = store.Ref{Key: e.PartitionKey, Version: e.ETag}
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

// faultOf reduces an error of the SDK, whose own text must not get any further:
// it quotes the URL and with it the row's key.
func faultOf(err error) *fault {
	if err == nil {
		return nil
	}
	var missing absence
	if errors.As(err, &missing) {
		return notFound(string(missing))
	}
	var re *azcore.ResponseError
	if !errors.As(err, &re) {
		var auth *azidentity.AuthenticationFailedError
		if errors.As(err, &auth) {
			return &fault{kind: refused, code: "no token from the managed identity"}
		}
		return &fault{kind: unclear, code: noAnswer(err)}
	}

	f := &fault{status: re.StatusCode, code: plainCode(re.ErrorCode)}
	switch code := aztables.TableErrorCode(re.ErrorCode); {
	case re.StatusCode == http.StatusPreconditionFailed,
		re.StatusCode == http.StatusConflict && code == aztables.EntityAlreadyExists:
		f.kind = conflict
	case re.StatusCode == http.StatusNotFound:
		f.kind = notFound(re.ErrorCode).kind
	case re.StatusCode == http.StatusRequestTimeout, re.StatusCode == http.StatusTooManyRequests:
		f.kind = unclear
	case re.StatusCode >= 400 && re.StatusCode < 500:
		f.kind = refused
	}
	if re.RawResponse != nil {
		if s, err := strconv.Atoi(re.RawResponse.Header.Get("Retry-After")); err == nil && s > 0 {
			f.retryAfter = time.Duration(min(s, 3600)) * time.Second
		}
	}
	return f
}

// noAnswer says in a few words of ours why there is none. The error's own text
// has the host or its address in it.
func noAnswer(err error) string {
	var (
		name        *net.DNSError
		network     *net.OpError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError // what came isn't TLS
	)
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "no such host"
	case errors.As(err, &network) && (network.Op == "dial" || network.Op == "proxyconnect"):
		return "no connection"
	case errors.As(err, &certificate), errors.As(err, &record):
		return "TLS"
	case errors.Is(err, context.DeadlineExceeded):
		return "timed out"
	default:
		return "no usable answer"
	}
}

// notFound is the fault of a 404. One that doesn't say what is missing comes from
// something on the way, and to take it for an absent row would be to forget
// counted failures.
func notFound(code string) *fault {
	f := &fault{kind: refused, status: http.StatusNotFound, code: plainCode(code)}
	switch aztables.TableErrorCode(code) {
	case aztables.TableNotFound:
		f.kind = noTable
	case aztables.ResourceNotFound, aztables.EntityNotFound:
		f.kind = absent
	}
	return f
}

// plainCode returns an error code if it looks like one. It comes from the
// answer's body, and something on the way could have put anything there.
func plainCode(s string) string {
	if len(s) > 64 {
		return ""
	}
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return ""
		}
	}
	return s
}
