package otp

import (
	"errors"
	"slices"
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// MaxEventsPerDay is how many alerts of events a client sends to one address within
// window.Day. Alerts of one event are AlertPause apart.
const MaxEventsPerDay = 3

// Event is an alert of an event at an app, which that client asked for.
type Event struct {
	Client string // the client's id, "" for the nameless client
	Name   string // of the event
	At     time.Time
}

// AlertEvent counts an alert of an event, which a client asked for. It counts as a notice
// does, and in addition by client: no client's events hold back the events of another
// client, except by the limit that all notices and alerts share.
//
// The error is of kind TooManySends if one of the three limits is reached, and
// DestinationRefused if the provider blocks the address for fraud.
func AlertEvent(old Recipient, address, client, name string, now time.Time) (Recipient, error) {
	r := old.Settle(now)
	var all, same []time.Time // the client's
	for _, e := range r.Events {
		if e.Client != client {
			continue
		}
		all = append(all, e.At)
		if e.Name == name {
			same = append(same, e.At)
		}
	}
	day, hour := window.FullFor(all, MaxEventsPerDay, window.Day, now), window.FullFor(same, 1, AlertPause, now)
	switch {
	case day > 0 && day >= hour:
		return r, &problem.Error{Kind: problem.TooManySends, RetryAfter: day, Detail: "This user's address has had all the alerts of events of a day (24 hours)."}
	case hour > 0:
		return r, &problem.Error{Kind: problem.TooManySends, RetryAfter: hour, Detail: "This user's address had an alert of this event within the last hour."}
	}
	r, err := AlertUsed(r, address, now)
	if e, ok := errors.AsType[*problem.Error](err); ok && e.Kind == problem.TooManyChanges {
		return r, &problem.Error{Kind: problem.TooManySends, RetryAfter: e.RetryAfter, Detail: "This user's address has reached its limit of notices and alerts in 24 hours."}
	}
	if err == nil { // at the time of its notice, so that both end together
		r.Events = append(r.Events, Event{Client: client, Name: name, At: r.Notices[len(r.Notices)-1]})
	}
	return r, err
}

// settleEvents is window.Settle for events. It changes the list in place.
func settleEvents(events []Event, now time.Time) []Event {
	events = slices.DeleteFunc(events, func(e Event) bool { return now.Sub(e.At) >= window.Day })
	for i := range events {
		events[i].At = window.Earlier(events[i].At, window.Latest(now))
	}
	return events
}
