// Package azuretable keeps rows in Azure Table Storage, one entity per row.
//
// It never guesses: a write whose answer was lost is looked up by a random mark
// in the entity, and where even that can't tell what happened the caller gets
// store.ErrUnavailable. No error that leaves this package quotes the SDK, whose
// texts contain keys and URLs.
package azuretable

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"twofa/internal/store"
)

const (
	// defaultTimeout is the time limit of one call of the store, everything
	// included. The Functions host gives a request far longer, but the person
	// who waits for it doesn't.
	defaultTimeout = 5 * time.Second
	// listTimeout is the time limit of one page, for which the service looks at
	// rows for up to 5 seconds before it answers with what it has found.
	listTimeout = 8 * time.Second
	// maxAttempts bounds how often Update begins again. With the pauses below
	// it takes two seconds on average to get there.
	maxAttempts = 10
	minPause    = 10 * time.Millisecond
	maxPause    = 800 * time.Millisecond
	// pageSize is how many expired rows are asked for at a time. Each takes
	// a sweep a request of its own, so a page holds what a timer can use up soon.
	pageSize = 250
)

// Options say where the table is. Either ConnectionString or ServiceURL is set.
type Options struct {
	// ConnectionString is a storage account's, with its key or a shared access
	// signature, or UseDevelopmentStorage=true for Azurite on this machine.
	ConnectionString string
	// ServiceURL is the table endpoint (https), used with the managed identity.
	ServiceURL string
	// ClientID picks a user-assigned managed identity; "" is the system's.
	ClientID string

	// TablePrefix and Table make up the table's name, 3 to 63 letters and
	// digits, of which the first is a letter. Table defaults to "recipients".
	TablePrefix string
	Table       string

	// Timeout bounds each call, over and above the context's own deadline. It
	// defaults to 5 seconds, and to 8 for Expired.
	Timeout time.Duration
	// Transport replaces the store's own transport, for tests.
	Transport http.RoundTripper

	pageSize int32 // in place of pageSize, for tests
}

// Store is a store.Table on one table of a storage account.
type Store struct {
	client      *client
	timeout     time.Duration
	listTimeout time.Duration
}

var _ store.Table = (*Store)(nil)

// validTable is the service's rule for names. It keeps "tables", in any case,
// for itself.
func validTable(name string) bool {
	for i, c := range []byte(name) {
		letter, digit := c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return len(name) >= 3 && len(name) <= 63 && !strings.EqualFold(name, "tables")
}

// Open returns a store without sending a request, so that a cold start doesn't
// wait for the service. The table is made when a write finds it missing.
//
// An error says what is wrong with the options and quotes none of them, except
// the table's name.
func Open(o Options) (*Store, error) {
	if o.Table == "" {
		o.Table = "recipients"
	}
	table := o.TablePrefix + o.Table
	if !validTable(table) {
		return nil, fmt.Errorf("azuretable: %q can't be a table's name: want 3 to 63 letters and digits, a letter first", table)
	}
	timeout, list := o.Timeout, o.Timeout
	if o.Timeout <= 0 {
		timeout, list = defaultTimeout, listTimeout
	}
	if o.pageSize == 0 {
		o.pageSize = pageSize
	}
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
// How it knows what was written. Each call draws one random mark, and every
// entity holds the marks of its last four writes, newest first. A write is sent
// once, as the SDK's retries are off for it. So its outcome is one of three:
//
//   - It was answered with success, or that the row is not as expected (412, 409
//     or 404). Then we know.
//   - It was refused as malformed or forbidden (other 4xx). Then nothing was
//     written, and trying again would not help.
//   - It wasn't answered, or with a 5xx, which the service may also send for a
//     write that it has applied or is going to. Then it is pending.
//
// Before every further attempt the row is read again. If our mark is in it, the
// write was applied. If it isn't, and a write is pending, then either
//
//   - the row is unchanged: the very same bytes are sent again, without calling
//     fn. Should the first copy still arrive, only one of the two can match the
//     ETag, and it doesn't matter which.
//   - or the row has changed and its marks prove that ours was never there: the
//     pending write waits for an ETag that has gone, and ETags never come back,
//     so it is dead, and fn may be called anew.
//   - or the marks don't reach back far enough to tell: store.ErrUnavailable.
//
// Hence at any time at most one result of fn can still be applied, the last one,
// and when our mark is found, that is what was written.
func (s *Store) Update(ctx context.Context, key store.Key, fn func(old []byte) (store.Row, error)) error {
	if !key.Valid() {
		return fmt.Errorf("%w: key", store.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()

	mark := newMark()
	var (
		body []byte   // what fn has decided to write
		sent *pending // the write of body whose outcome is unknown, if there is one
		last *fault   // why the attempt before failed
	)
	for attempt := range maxAttempts {
		if attempt > 0 {
			if err := pause(ctx, attempt, last); err != nil {
				return err
			}
		}
		now, f := s.client.get(ctx, key)
		if f != nil && f.kind != absent && f.kind != noTable {
			return unavailable(ctx, "read", f) // the SDK has tried several times
		}
		tableMissing := f != nil && f.kind == noTable

		if attempt > 0 && findMark(now.Mark, mark) >= 0 {
			return nil // what went before has been applied, whatever we were told
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
				return unavailable(ctx, "make the table", f)
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
		// Otherwise this copy lost a race, or the table went missing. An
		// earlier copy of the same body, if there is one, stays pending: it
		// may be what this copy lost to.
	}
	return unavailable(ctx, "too much contention", last)
}

// Expired implements store.Table. The service looks at every row of the table,
// as KeepUntil is no key, and stops at pageSize results or after a bounded time.
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
		// The rest of the request is always the same, so it is the token.
		return store.Page{}, fmt.Errorf("%w: cursor", store.ErrInvalid)
	}
	return store.Page{}, unavailable(ctx, "list", f)
}

// Delete implements store.Table. A row that is deleted although the answer gets
// lost is reported as an error or, when a repetition finds it gone, as false.
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

// pause waits before another attempt: a random time out of a window that
// doubles, and at least as long as the service has asked for. It fails at once
// if the deadline would pass meanwhile.
func pause(ctx context.Context, attempt int, last *fault) error {
	d := rand.N(min(maxPause, minPause<<attempt))
	if last != nil {
		d += last.retryAfter
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return unavailable(ctx, "no time left to try again", last)
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

// unavailable makes the error of a failed step out of what is safe to show.
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
