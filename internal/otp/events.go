package otp

import (
	"slices"
	"time"
)

// The limits of a day count events: their times, oldest first. Clocks of several
// processes differ, and these functions say what that means for a limit.

// SettleEvents drops the events that are over a Day old from the list, which is
// its caller's own. One in the future keeps its time up to MaxSkew ahead: what
// lies further was written by a clock that is wrong.
func SettleEvents(events []time.Time, now time.Time) []time.Time {
	latest := Stamp(now.Add(MaxSkew))
	events = slices.DeleteFunc(events, func(t time.Time) bool { return now.Sub(t) >= Day })
	for i, t := range events {
		events[i] = earlier(t, latest)
	}
	return events
}

// RecordEvent appends an event of now, not before the last one: the list stays in
// order although clocks differ.
func RecordEvent(events []time.Time, now time.Time) []time.Time {
	t := Stamp(now)
	if n := len(events); n > 0 {
		t = later(t, events[n-1])
	}
	return append(events, t)
}

// SpentFor is how long the sliding window that ends at now goes on to hold limit
// events or more, 0 if it holds fewer. One after now, from a clock ahead of ours,
// is judged as of now.
func SpentFor(events []time.Time, limit int, window time.Duration, now time.Time) time.Duration {
	if len(events) < limit {
		return 0
	}
	return max(0, earlier(events[len(events)-limit], now).Add(window).Sub(now))
}

// Stamp is how the times of events are kept: in UTC and whole milliseconds.
func Stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
