// Package window counts events in sliding windows, for processes whose clocks
// differ. All limits and lifetimes of the service use its rules.
//
// Events are a list of times, oldest first. The package has no clock of its own:
// now is an argument.
package window

import (
	"slices"
	"time"
)

// Day is the window of the daily limits. It is also how long a verification is
// remembered after its end.
const Day = 24 * time.Hour

// MaxSkew is how far another process's clock may be ahead of ours. A later time was
// written by a wrong clock.
const MaxSkew = 2 * time.Minute

// Stamp is the form in which times are kept: UTC, whole milliseconds.
func Stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Latest is the latest time that a clock can have written that is at most MaxSkew
// ahead.
func Latest(now time.Time) time.Time { return Stamp(now.Add(MaxSkew)) }

// Settle drops the events that are a Day old or older. It changes the list in place.
// An event after Latest is set to Latest, so that a wrong clock makes no limit last
// for over Day and MaxSkew. Another event in the future keeps its time, because our
// clock may be behind.
func Settle(events []time.Time, now time.Time) []time.Time {
	events = slices.DeleteFunc(events, func(t time.Time) bool { return now.Sub(t) >= Day })
	for i, t := range events {
		events[i] = Earlier(t, Latest(now))
	}
	return events
}

// Record appends an event of now, or of the time of the last event if that is later:
// the list stays in order although clocks differ.
func Record(events []time.Time, now time.Time) []time.Time {
	t := Stamp(now)
	if n := len(events); n > 0 {
		t = Later(t, events[n-1])
	}
	return append(events, t)
}

// FullFor is how long the window that ends at now will still hold limit events or
// more, 0 if it holds fewer now. An event in the future counts as of now.
func FullFor(events []time.Time, limit int, window time.Duration, now time.Time) time.Duration {
	if len(events) < limit {
		return 0
	}
	return max(0, Earlier(events[len(events)-limit], now).Add(window).Sub(now))
}

// Count records an event of now unless the last Day holds limit events or more. wait
// is how long it goes on to do so, 0 if the event is recorded. It changes a copy of
// the list.
func Count(events []time.Time, limit int, now time.Time) (counted []time.Time, wait time.Duration) {
	counted = Settle(slices.Clone(events), now)
	if wait = FullFor(counted, limit, Day, now); wait > 0 {
		return counted, wait
	}
	return Record(counted, now), 0
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
