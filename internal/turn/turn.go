// Package turn bounds expensive work: a process does one piece at a time, and few
// requests may wait for their turn. The package must never do work for a request
// that has ended.
package turn

import (
	"context"
	"time"

	"twofa/internal/problem"
)

// retryAfter is the pause that a client is told if the queue is full.
const retryAfter = 3 * time.Second

// Queue is the work of a process. Those who wait get their turn in the order in
// which they came.
type Queue struct {
	places chan struct{} // one for each request that waits or works
	turn   chan struct{} // held during the work
}

// NewQueue makes a queue in which that many requests may wait, beside the one that
// works.
func NewQueue(waiting int) *Queue {
	return &Queue{places: make(chan struct{}, waiting+1), turn: make(chan struct{}, 1)}
}

// Place is a place in the queue, for a request that has several pieces of work.
type Place struct{ of *Queue }

// Enter takes a place in the queue, which the caller has to leave. It does not wait:
// if the queue is full, the error is of kind Busy.
func (q *Queue) Enter() (Place, error) {
	select {
	case q.places <- struct{}{}:
		return Place{q}, nil
	default:
		return Place{}, errBusy()
	}
}

// Leave gives the place back.
func (p Place) Leave() { <-p.of.places }

// Do waits for the turn and does one piece of work. After it, all others who wait
// have their turn before this place has another one. If ctx ends before the turn
// comes, nothing is done, and the error is of kind Busy.
func (p Place) Do(ctx context.Context, work func()) error {
	if ctx.Err() != nil {
		return errBusy()
	}
	select {
	case p.of.turn <- struct{}{}:
	case <-ctx.Done():
		return errBusy()
	}
	defer func() { <-p.of.turn }()
	work()
	return nil
}

// Do is Place.Do with a place for this one piece of work.
func (q *Queue) Do(ctx context.Context, work func()) error {
	p, err := q.Enter()
	if err != nil {
		return err
	}
	defer p.Leave()
	return p.Do(ctx, work)
}

func errBusy() *problem.Error {
	return &problem.Error{
		Kind: problem.Busy, RetryAfter: retryAfter,
		Detail: "Too many requests do expensive work at the same time. Nothing was approved; try again.",
	}
}
