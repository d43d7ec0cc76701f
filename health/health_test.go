package health_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twofa/health"
	"twofa/internal/store"
)

// table counts the calls of Get, and answers them as the test says. All other calls panic.
type table struct {
	store.Table
	calls atomic.Int64
	get   func(ctx context.Context, key store.Key) error
}

func (t *table) Get(ctx context.Context, key store.Key) (store.Row, error) {
	t.calls.Add(1)
	return store.Row{}, t.get(ctx, key)
}

func absent(context.Context, store.Key) error { return store.ErrNotFound }

func down(context.Context, store.Key) error {
	return fmt.Errorf("%w: read: ServerBusy", store.ErrUnavailable)
}

// slow answers when the context ends, as a store does that gets no answer.
func slow(ctx context.Context, _ store.Key) error {
	<-ctx.Done()
	return fmt.Errorf("%w: read: time-out", store.ErrUnavailable)
}

func newService(get func(context.Context, store.Key) error) (*health.Service, *table, *bytes.Buffer) {
	log, t := new(bytes.Buffer), &table{get: get}
	return &health.Service{Table: t, Version: "v1.2.3", Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now}, t, log
}

func wantState(t *testing.T, s *health.Service, want health.State) {
	t.Helper()
	if got := s.Check(t.Context()); got != (health.Answer{Version: "v1.2.3", Storage: want}) {
		t.Errorf("answered %+v, want %s", got, want)
	}
}

func wantCalls(t *testing.T, table *table, want int64) {
	t.Helper()
	if got := table.calls.Load(); got != want {
		t.Errorf("%d calls of storage, want %d", got, want)
	}
}

// Storage answers if it says that there is no such row, or that the row is damaged.
func TestCheck_WhatCountsAsAnAnswerOfStorage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		err  error
		want health.State
	}{
		{"no such row", store.ErrNotFound, health.OK},
		{"a row", nil, health.OK},
		{"a damaged row", fmt.Errorf("%w: x", store.ErrDamaged), health.OK},
		{"unavailable", fmt.Errorf("%w: read: AuthorizationFailure", store.ErrUnavailable), health.Unavailable},
		{"an invalid key", store.ErrInvalid, health.Unavailable},
		{"another error", errors.New("x"), health.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, table, _ := newService(func(_ context.Context, key store.Key) error {
				// Rows of users and addresses have keys of 16 hexadecimal digits.
				if !key.Valid() || len(key) == 16 || key == "purgecursor" {
					t.Errorf("the key %q", key)
				}
				return tc.err
			})
			wantState(t, s, tc.want)
			wantCalls(t, table, 1)
		})
	}
}

func TestCheck_AResultIsKeptForTenSeconds(t *testing.T) {
	t.Parallel()
	for state, get := range map[health.State]func(context.Context, store.Key) error{health.OK: absent, health.Unavailable: down} {
		synctest.Test(t, func(t *testing.T) {
			s, table, _ := newService(get)
			wantState(t, s, state)
			table.get = map[health.State]func(context.Context, store.Key) error{health.OK: down, health.Unavailable: absent}[state]
			time.Sleep(10*time.Second - time.Nanosecond)
			wantState(t, s, state)
			wantCalls(t, table, 1)
			time.Sleep(time.Nanosecond)
			if got := s.Check(t.Context()).Storage; got == state {
				t.Errorf("after 10 s the answer is still %s", got)
			}
			wantCalls(t, table, 2)
		})
	}
}

// A result from the future, which a clock that was set back leaves, is not kept.
func TestCheck_AClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	s, table, _ := newService(absent)
	now := time.Now()
	s.Now = func() time.Time { return now }
	wantState(t, s, health.OK)
	now = now.Add(-time.Nanosecond)
	table.get = down
	wantState(t, s, health.Unavailable)
}

func TestCheck_RequestsAtTheSameTimeMakeOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		s, table, _ := newService(func(context.Context, store.Key) error { <-open; return store.ErrNotFound })
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { wantState(t, s, health.OK) })
		}
		synctest.Wait() // all of them wait for storage
		close(open)
		wg.Wait()
		wantCalls(t, table, 1)
	})
}

func TestCheck_EveryRequestIsAnsweredWithinThreeSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, table, _ := newService(slow)
		begun := time.Now()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 50 * time.Millisecond)
				wantState(t, s, health.Unavailable)
			})
		}
		wg.Wait()
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("the last answer came after %s, want 3s", took)
		}
		wantCalls(t, table, 1)
	})
}

// A call that does not return, against the contract of a store, stays the only one. The
// requests after it do not wait for it again, and its late result counts.
func TestCheck_AHungCallPilesNothingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		s, table, log := newService(func(context.Context, store.Key) error { <-open; return store.ErrNotFound })
		for range 20 {
			wantState(t, s, health.Unavailable)
			time.Sleep(10 * time.Second)
		}
		begun := time.Now()
		wantState(t, s, health.Unavailable)
		if took := time.Since(begun); took != 0 {
			t.Errorf("a request waited %s for a call that hangs", took)
		}
		wantCalls(t, table, 1)
		if lines := strings.Count(log.String(), "\n"); lines != 1 {
			t.Errorf("%d lines, want 1: %s", lines, log)
		}
		close(open)
		synctest.Wait()
		wantState(t, s, health.OK)
		wantCalls(t, table, 1)
	})
}

// The first of several requests may hang up: the others still get their answer.
func TestCheck_AClientThatHangsUpEndsNoCall(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(func(ctx context.Context, _ store.Key) error {
		if ctx.Err() != nil {
			return store.ErrUnavailable
		}
		return store.ErrNotFound
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got := s.Check(gone).Storage; got != health.OK {
		t.Errorf("storage is %s", got)
	}
}

func TestCheck_OnlyChangesAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, table, log := newService(absent)
		var counts []int
		for _, get := range []func(context.Context, store.Key) error{absent, absent, down, down, slow, absent, absent, down} {
			table.get = get
			s.Check(t.Context())
			s.Check(t.Context())
			time.Sleep(10 * time.Second)
			synctest.Wait() // a call that ran out of time ends after its answer
			counts = append(counts, strings.Count(log.String(), "\n"))
		}
		if got := fmt.Sprint(counts); got != "[0 0 1 1 1 2 2 3]" {
			t.Errorf("lines after each step: %s\n%s", got, log)
		}
		lines := strings.Split(log.String(), "\n")
		if !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], "ServerBusy") || !strings.Contains(lines[1], "level=INFO") {
			t.Errorf("logged %s", log)
		}
	})
}

// The log must not get the value of a panic, which may hold anything.
func TestCheck_APanicOfTheStoreEndsNoProcess(t *testing.T) {
	t.Parallel()
	s, _, log := newService(func(context.Context, store.Key) error { panic("canary") })
	wantState(t, s, health.Unavailable)
	if !strings.Contains(log.String(), "panic with a string") || strings.Contains(log.String(), "canary") {
		t.Errorf("logged %s", log)
	}
}
