package otp

import (
	"errors"
	"slices"
	"time"

	"twofa/internal/window"
)

// Session names the page session that a verification belongs to: see package session. The
// zero Session is none: the client's server asks for the code and checks it.
//
// A verification of a session is looked up, replaced, sent again, checked and canceled
// within its session only.
type Session [16]byte

// Owner is to whom a verification belongs.
type Owner struct {
	Client  string
	Session Session
}

// Owner is to whom the caller's verifications belong.
func (c Caller) Owner() Owner { return Owner{c.Client, c.Session} }

// same is is within one session.
func (c Caller) same(other Caller) bool { return c.is(other) && c.Session == other.Session }

// counted is the caller as it is counted: all its sessions together.
func (c Caller) counted() Caller {
	c.Session = Session{}
	return c
}

// Browser is a browser in which the address of the recipient was proven, as its cookie
// says. Only a request with [OriginKnown] has one.
type Browser struct {
	ID       [8]byte
	ProvenAt time.Time
}

// Suspect is a known browser from which wrong codes came.
type Suspect struct {
	ID       [8]byte
	Failures uint8
	At       time.Time // of the last one
}

const (
	// maxBrowserFailures is how many wrong codes end that a browser is known.
	maxBrowserFailures = 5
	// maxSuspects bounds the browsers that are remembered. With more, all have to prove the
	// address again.
	maxSuspects = 16
)

// ErrNotKnown is the error of [Start] for a browser that is not known any more, or never
// was. Nothing is changed, and the request has to come again with [OriginTyped].
var ErrNotKnown = errors.New("otp: the browser is not known")

// knows reports whether the address was proven in that browser, and nothing has ended that
// since. r has to be settled.
func (r Recipient) knows(b Browser, now time.Time) bool {
	ended := func(s Suspect) bool { return s.ID == b.ID && s.Failures >= maxBrowserFailures }
	return !r.KnownAt.IsZero() && now.Sub(b.ProvenAt) < KnownFor && (r.Epoch.IsZero() || b.ProvenAt.After(r.Epoch)) &&
		!slices.ContainsFunc(r.Suspects, ended)
}

// suspect counts a wrong code from a known browser.
func (r *Recipient) suspect(id [8]byte, now time.Time) {
	i := slices.IndexFunc(r.Suspects, func(s Suspect) bool { return s.ID == id })
	if i < 0 {
		if len(r.Suspects) >= maxSuspects {
			r.renewEpoch(now)
		}
		i, r.Suspects = len(r.Suspects), append(r.Suspects, Suspect{ID: id})
	}
	s := &r.Suspects[i]
	s.Failures, s.At = min(s.Failures+1, maxBrowserFailures), window.Stamp(now)
}

// settleSuspects drops the browsers that are not known for their age. It changes the list
// in place.
func settleSuspects(list []Suspect, now time.Time) []Suspect {
	list = slices.DeleteFunc(list, func(s Suspect) bool { return now.Sub(s.At) >= KnownFor })
	for i := range list {
		list[i].At = window.Earlier(list[i].At, window.Latest(now))
	}
	return list
}
