// Package health is the use case of a monitor: which version runs, and whether storage
// answers.
//
// Anybody may ask. So the answer must never say more than that, and no number of requests
// may put more than one call at a time on storage. The package must never read or write a
// row of a user or of an address.
package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"twofa/internal/store"
)

// key is of a row that nobody writes. The keys of rows with data are 16 hexadecimal
// digits, so it cannot be one of them.
const key store.Key = "health"

const (
	// keep is how long a result is answered again without another call of storage.
	keep = 10 * time.Second
	// limit bounds one call of storage, and with it the wait of every request.
	limit = 3 * time.Second
)

// State says whether storage answers.
type State string

// The states of storage.
const (
	OK          State = "ok"
	Unavailable State = "unavailable"
)

// Answer is all that a monitor learns.
type Answer struct {
	Version string `json:"version"`
	Storage State  `json:"storage"`
}

// Service answers monitors. It is safe for concurrent use, and must not be copied.
type Service struct {
	Table   store.Table
	Version string
	Log     *slog.Logger
	Now     func() time.Time

	mu      sync.Mutex
	state   State     // the last result, "" before the first
	asOf    time.Time // when the last result came
	running *probe    // nil if no call of storage is under way
}

// probe is one call of storage. All requests that come while it is under way share it.
type probe struct {
	ctx  context.Context // ends after limit
	done chan struct{}   // is closed when the call has returned
}

// Check returns the version, and whether storage answered within the last 10 seconds. It
// returns within 3 seconds, even if storage does not keep to that time. A request that is
// canceled does not end the call of storage, for which others may wait.
func (s *Service) Check(ctx context.Context) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := s.Now().Sub(s.asOf); s.state == "" || age < 0 || age >= keep { // below 0: the clock was set back
		p := s.running
		if p == nil {
			p = s.start(context.WithoutCancel(ctx))
		}
		s.mu.Unlock()
		select {
		case <-p.done:
		case <-p.ctx.Done():
		}
		s.mu.Lock()
		if p == s.running { // the call hangs: it stays the only one
			s.note(Unavailable, context.DeadlineExceeded)
		}
	}
	return Answer{Version: s.Version, Storage: s.state}
}

// start begins a call of storage. The caller has locked mu.
func (s *Service) start(ctx context.Context) *probe {
	ctx, cancel := context.WithTimeout(ctx, limit)
	p := &probe{ctx: ctx, done: make(chan struct{})}
	s.running = p
	go func() {
		defer close(p.done)
		defer cancel()
		err := s.ask(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running = nil
		if err == nil {
			s.note(OK, nil)
		} else {
			s.note(Unavailable, err)
		}
	}()
	return p
}

// ask makes the call. Nobody else would recover a panic here, and it would end the
// process.
func (s *Service) ask(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic with a %T", p)
		}
	}()
	_, err = s.Table.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrDamaged) {
		return nil // it answered
	}
	return err
}

// note keeps a result, and logs it if it is a change. The caller has locked mu. The text
// of a store's error is safe to log.
func (s *Service) note(state State, err error) {
	before := s.state
	s.state, s.asOf = state, s.Now()
	switch {
	case state == Unavailable && before != Unavailable:
		s.Log.Error("storage does not answer the health check", "error", err.Error())
	case state == OK && before == Unavailable:
		s.Log.Info("storage answers the health check again")
	}
}
