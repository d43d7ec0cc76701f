package azuretable

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"twofa/internal/store"
)

const (
	// maxAttempts is how often Update tries. With the pauses below, that takes two
	// seconds on average.
	maxAttempts = 10
	minPause    = 10 * time.Millisecond
	maxPause    = 800 * time.Millisecond
)

// Update implements store.Table.
//
// How Update and UpdateFrom find out what was written: Each call makes one random
// mark, and every entity holds the marks of its last four writes, newest first. A
// write is sent once, because the SDK's retries are turned off for it. So it has one
// of three outcomes:
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
	return s.update(ctx, key, nil, fn)
}

// UpdateFrom implements store.Table.
func (s *Store) UpdateFrom(ctx context.Context, key store.Key, known store.Row, fn func(old []byte) (store.Row, error)) error {
	return s.update(ctx, key, knownEntity(known), fn)
}

// update changes a row. The first attempt reads the row only if known is nil.
func (s *Store) update(ctx context.Context, key store.Key, known *entity, fn func(old []byte) (store.Row, error)) error {
	if !key.Valid() {
		return fmt.Errorf("%w: key", store.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if ctx.Err() != nil {
		return unavailable(ctx, "read", nil) // fn must not be called
	}
	u := updating{client: s.client, key: key, fn: fn, mark: newMark()}
	for n := range maxAttempts {
		if n > 0 {
			if err := pause(ctx, n, u.last); err != nil {
				return err
			}
		}
		var done bool
		var err error
		if n == 0 && known != nil {
			// If the table is missing, the next attempt finds that out.
			done, err = u.attempt(ctx, *known, false)
		} else {
			done, err = u.readAndAttempt(ctx)
		}
		if done {
			return err
		}
	}
	return unavailable(ctx, "too much contention", u.last)
}

// updating is the state of one call of update.
type updating struct {
	client *client
	key    store.Key
	fn     func(old []byte) (store.Row, error)
	mark   string

	body []byte   // the last result of fn
	sent *pending // the write of body whose outcome is unknown; nil: none
	last *fault   // why the previous attempt failed
}

// readAndAttempt reads the row, finds out what happened to the previous attempts, and
// makes another one if it is needed. It returns true and the result of update, or
// false if another attempt is to follow.
func (u *updating) readAndAttempt(ctx context.Context) (done bool, err error) {
	now, f := u.client.get(ctx, u.key)
	if f != nil && f.kind != absent && f.kind != noTable {
		return true, unavailable(ctx, "read", f) // the SDK has tried several times already
	}
	if findMark(now.Mark, u.mark) >= 0 {
		return true, nil // an earlier attempt was applied, whatever its answer was
	}
	if u.sent != nil {
		switch u.sent.fate(now) {
		case lost:
			u.sent = nil
		case unknown:
			return true, unavailable(ctx, "look up a write", u.last)
		case open:
		}
	}
	return u.attempt(ctx, now, f != nil && f.kind == noTable)
}

// attempt writes the result of fn, or the same bytes again if a write of them is
// pending. now is the row as it is known (the zero entity: there is none). It returns
// like readAndAttempt.
func (u *updating) attempt(ctx context.Context, now entity, tableMissing bool) (done bool, err error) {
	if u.sent == nil {
		row, err := u.fn(now.Data)
		if errors.Is(err, store.SkipWrite) {
			return true, nil
		}
		if err == nil {
			err = store.CheckRow(u.key, row)
		}
		if err != nil {
			return true, err
		}
		u.body = appendEntity(u.key, row, pushMark(now.Mark, u.mark))
	}
	if tableMissing {
		if f := u.client.createTable(ctx); f != nil {
			return true, unavailable(ctx, "create the table", f)
		}
	}

	u.last = u.client.write(ctx, u.body, now.etag)
	switch {
	case u.last == nil:
		return true, nil
	case u.last.kind == refused:
		return true, unavailable(ctx, "write", u.last)
	case u.last.kind == unclear:
		u.sent = &pending{etag: now.etag, newest: newestMark(now.Mark)}
	}
	// Otherwise another write was first, or the table is missing. If an earlier copy
	// of the same body is pending, it stays so: the other write may have been that
	// copy.
	return false, nil
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
