// Package window counts events in sliding windows, and says what clocks that
// differ mean for it. Every limit and every lifetime of the service is judged
// with these functions.
//
// Events are kept as a list of times, oldest first. The package has no clock of
// its own: now is an argument.
package window

import (
	"slices"
	"time"
)

// Day is the window of the daily limits, and how long what has ended is
// remembered.
const Day = 24 * time.Hour

// MaxSkew is how far ahead of ours another process's clock may be. A time beyond
// that was written by a clock that is wrong.
const MaxSkew = 2 * time.Minute

// Stamp is the form in which times are kept: UTC, whole milliseconds.
func Stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Latest is the latest time that a clock within MaxSkew of now can have written.
func Latest(now time.Time) time.Time { return Stamp(now.Add(MaxSkew)) }

// Settle drops the events that are a Day old or older. It changes the list,
// which must be its caller's own. An event after Latest is pulled back to it, so
// that no wrong clock makes a limit last for over Day and MaxSkew; an earlier
// one in the future keeps its time, which is true if our clock is late.
func Settle(events []time.Time, now time.Time) []time.Time {
	events = slices.DeleteFunc(events, func(t time.Time) bool { return now.Sub(t) >= Day })
	for i, t := range events {
		events[i] = Earlier(t, Latest(now))
	}
	return events
}

// Record appends an event of now. It is never before the last one, so that the
// list stays in order although clocks differ.
func Record(events []time.Time, now time.Time) []time.Time {
	t := Stamp(now)
	if n := len(events); n > 0 {
		t = Later(t, events[n-1])
	}
	return append(events, t)
}

// FullFor is how long the window that ends at now goes on to hold limit events
// or more, 0 if it holds fewer. An event in the future is judged as of now.
func FullFor(events []time.Time, limit int, window time.Duration, now time.Time) time.Duration {
	if len(events) < limit {
		return 0
	}
	return max(0, Earlier(events[len(events)-limit], now).Add(window).Sub(now))
}

// Later is the later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Earlier is the earlier of two times.
func Earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
