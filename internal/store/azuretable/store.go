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
	"errors"
	"fmt"
	"math/rand/v2"
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
	// maxAttempts is how often Update tries. With the pauses below, that takes two
	// seconds on average.
	maxAttempts = 10
	minPause    = 10 * time.Millisecond
	maxPause    = 800 * time.Millisecond
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
		return store.Row{Data: e.Data, KeepUntil: time.Unix(e.KeepUntil, 0).UTC()}, nil
	}
	if f.kind == absent || f.kind == noTable {
		return store.Row{}, store.ErrNotFound
	}
	return store.Row{}, unavailable(ctx, "read", f)
}

// Update implements store.Table.
//
// How Update finds out what was written: Each call makes one random mark, and every
// entity holds the marks of its last four writes, newest first. A write is sent
// once, because the SDK's retries are turned off for it. So it has one of three
// outcomes:
//
//   - The answer is success, or that the row is not in the expected version (412,
//     409 or 404). The outcome is known.
//   - The service refuses the write as malformed or forbidden (other 4xx). Nothing
//     was written, and another attempt would not help.
//   - There is no answer, or a 5xx, which the service may also send for a write
//     that it has applied or will apply. The write is pending.
//
// Before every further attempt the row is read again. If it has the call's mark, the
// write was applied. If it does not, and a write is pending, there are three cases:
//
//   - The row is unchanged. The same bytes are sent again, without calling fn. If
//     the first copy arrives later, only one of the two can match the ETag, and it
//     does not matter which.
//   - The row has changed, and its marks prove that the write was not applied. The
//     pending write can never be applied, because its ETag is gone and ETags are
//     never reused. So fn may be called again.
//   - The marks do not reach back far enough to decide: [store.ErrUnavailable].
//
// So at any time only the last result of fn can still be applied. If the call's mark
// is found, that result was written.
func (s *Store) Update(ctx context.Context, key store.Key, fn func(old []byte) (store.Row, error)) error {
	if !key.Valid() {
		return fmt.Errorf("%w: key", store.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()

	mark := newMark()
	var (
		body []byte   // the last result of fn
		sent *pending // the write of body whose outcome is unknown; nil: none
		last *fault   // why the previous attempt failed
	)
	for attempt := range maxAttempts {
		if attempt > 0 {
			if err := pause(ctx, attempt, last); err != nil {
				return err
			}
		}
		now, f := s.client.get(ctx, key)
		if f != nil && f.kind != absent && f.kind != noTable {
			return unavailable(ctx, "read", f) // the SDK has tried several times already
		}
		tableMissing := f != nil && f.kind == noTable

		if attempt > 0 && findMark(now.Mark, mark) >= 0 {
			return nil // an earlier attempt was applied, whatever its answer was
		}
		if sent != nil {
			switch sent.fate(now) {
			case lost:
				sent = nil
			case unknown:
				return unavailable(ctx, "look up a write", last)
			case open:
			}
		}
		if sent == nil {
			row, err := fn(now.Data)
			if errors.Is(err, store.SkipWrite) {
				return nil
			}
			if err == nil {
				err = store.CheckRow(key, row)
			}
			if err != nil {
				return err
			}
			body = appendEntity(key, row, pushMark(now.Mark, mark))
		}
		if tableMissing {
			if f := s.client.createTable(ctx); f != nil {
				return unavailable(ctx, "create the table", f)
			}
		}

		last = s.client.write(ctx, body, now.etag)
		switch {
		case last == nil:
			return nil
		case last.kind == refused:
			return unavailable(ctx, "write", last)
		case last.kind == unclear:
			sent = &pending{etag: now.etag, newest: newestMark(now.Mark)}
		}
		// Otherwise another write was first, or the table is missing. If an
		// earlier copy of the same body is pending, it stays so: the other write
		// may have been that copy.
	}
	return unavailable(ctx, "too much contention", last)
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

// pause waits before another attempt: a random time, whose maximum doubles with each
// attempt, in addition to the time that the service has asked for. It fails at once
// if the deadline would pass in the meantime.
func pause(ctx context.Context, attempt int, last *fault) error {
	d := rand.N(min(maxPause, minPause<<attempt))
	if last != nil {
		d += last.retryAfter
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return unavailable(ctx, "no time left for another attempt", last)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return unavailable(ctx, "wait", last)
	}
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
