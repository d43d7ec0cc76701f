// Package azuretable stores rows in Azure Table Storage, one entity per row.
//
// It never guesses: if the answer to a write was lost, it looks for the write's
// random mark in the entity. If the mark does not tell what happened either, the
// caller gets [store.ErrUnavailable]. The errors of this package never quote the
// SDK's errors, whose texts contain keys and URLs.
package azuretable

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"twofa/internal/deadline"
	"twofa/internal/store"
)

const (
	// defaultTimeout is the time limit of one call, including its repetitions. The
	// Functions host allows a request much more time, but a person is waiting.
	defaultTimeout = deadline.Storage
	// listTimeout is the time limit of one call of Expired. The service searches
	// for up to 5 seconds before it answers with the rows that it has found.
	listTimeout = 8 * time.Second
	// pageSize is how many expired rows one request asks for. A sweep needs one
	// request per row to delete them, so larger pages would be of no use.
	pageSize = 250
)

// Options say where the table is. Either ConnectionString or ServiceURL is set.
type Options struct {
	// ConnectionString is the connection string of a storage account, with its key
	// or a shared access signature, or UseDevelopmentStorage=true for Azurite on
	// this machine.
	ConnectionString string
	// ServiceURL is the table endpoint (https), used with the managed identity.
	ServiceURL string
	// ClientID names a user-assigned managed identity. Empty: the system-assigned
	// one.
	ClientID string
	// AllowPlainHTTP allows a connection string with an http endpoint that is not
	// on this machine, unless it has a shared access signature.
	AllowPlainHTTP bool

	// Setting is the environment variable that ConnectionString or ServiceURL comes from,
	// for Check.
	Setting string

	// TablePrefix and Table form the table's name: 3 to 63 letters and digits, the
	// first of which is a letter. The default of Table is "recipients".
	TablePrefix string
	Table       string

	// Timeout limits each call, in addition to the context's deadline. 0 means 5
	// seconds, and 8 seconds for Expired.
	Timeout time.Duration
	// Transport replaces the store's own transport, for tests.
	Transport http.RoundTripper

	pageSize int32 // replaces pageSize, for tests
}

// Store is a store.Table on one table of a storage account.
type Store struct {
	client      *client
	timeout     time.Duration
	listTimeout time.Duration
}

var _ store.Table = (*Store)(nil)

// validTable is the service's rule for names. "tables" is reserved, in any case.
func validTable(name string) bool {
	for i, c := range []byte(name) {
		letter, digit := c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return len(name) >= 3 && len(name) <= 63 && !strings.EqualFold(name, "tables")
}

// Open returns a store. It sends no request, so that a cold start does not wait for
// the service. The first write creates the table.
//
// An error says what is wrong with the options. It quotes only the table's name.
func Open(o Options) (*Store, error) {
	table := o.TablePrefix + cmp.Or(o.Table, "recipients")
	if !validTable(table) {
		return nil, fmt.Errorf("azuretable: %q is not a valid table name: want 3 to 63 letters and digits, a letter first", table)
	}
	timeout, list := o.Timeout, o.Timeout
	if o.Timeout <= 0 {
		timeout, list = defaultTimeout, listTimeout
	}
	o.pageSize = cmp.Or(o.pageSize, pageSize)
	c, err := newClient(o, table)
	if err != nil {
		return nil, fmt.Errorf("azuretable: %w", err)
	}
	return &Store{client: c, timeout: timeout, listTimeout: list}, nil
}

// Close closes idle connections.
func (s *Store) Close() error {
	s.client.close()
	return nil
}

// Get implements store.Table.
func (s *Store) Get(ctx context.Context, key store.Key) (store.Row, error) {
	if !key.Valid() {
		return store.Row{}, fmt.Errorf("%w: key", store.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	e, f := s.client.get(ctx, key)
	if e.damaged {
		return store.Row{}, store.ErrDamaged
	}
	if f == nil {
		return e.row(), nil
	}
	if f.kind == absent || f.kind == noTable {
		return store.Row{}, store.ErrNotFound
	}
	return store.Row{}, unavailable(ctx, "read", f)
}

// Expired implements store.Table. KeepUntil is not a key, so the service searches
// all rows of the table. It stops at pageSize results or after a limited time.
func (s *Store) Expired(ctx context.Context, before time.Time, cursor string) (store.Page, error) {
	from, ok := decodeCursor(cursor)
	if !ok {
		return store.Page{}, fmt.Errorf("%w: cursor", store.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, s.listTimeout)
	defer cancel()
	refs, next, f := s.client.expired(ctx, before.Unix(), from)
	if f == nil {
		return store.Page{Rows: refs, Next: next.encode()}, nil
	}
	if f.kind == noTable {
		return store.Page{}, nil
	}
	if f.status == http.StatusBadRequest && cursor != "" {
		// The rest of the request is always the same, so the cursor is the reason.
		return store.Page{}, fmt.Errorf("%w: cursor", store.ErrInvalid)
	}
	return store.Page{}, unavailable(ctx, "list", f)
}

// Delete implements store.Table. If a row was deleted but the answer was lost, Delete
// returns an error, or false if a repetition finds that the row is gone.
func (s *Store) Delete(ctx context.Context, ref store.Ref) (bool, error) {
	if !ref.Key.Valid() {
		return false, fmt.Errorf("%w: key", store.ErrInvalid)
	}
	if !validETag(ref.Version) {
		return false, fmt.Errorf("%w: version", store.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	f := s.client.remove(ctx, ref.Key, ref.Version)
	if f == nil {
		return true, nil
	}
	if f.kind == conflict || f.kind == absent || f.kind == noTable {
		return false, nil
	}
	return false, unavailable(ctx, "delete", f)
}

// unavailable returns the error of a failed step. It holds only what is safe to
// show.
func unavailable(ctx context.Context, step string, f *fault) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, step, err)
	}
	switch {
	case f == nil:
		return fmt.Errorf("%w: %s", store.ErrUnavailable, step)
	case f.status == 0:
		return fmt.Errorf("%w: %s: %s", store.ErrUnavailable, step, f.code)
	default:
		return fmt.Errorf("%w: %s: status %d %s", store.ErrUnavailable, step, f.status, f.code)
	}
}
