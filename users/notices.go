package users

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/hostcall"
	"twofa/internal/notify"
	"twofa/internal/problem"
	"twofa/internal/row"
	"twofa/internal/user"
)

// Notifier tells a person what has changed.
type Notifier interface {
	// Reaches reports whether the service can send a notice to the address.
	Reaches(address string) bool
	// CountNotice counts a notice in the row of the address. The error is of kind
	// TooManyChanges if the address can take no more notices on this day.
	CountNotice(ctx context.Context, address string, now time.Time) error
	// SendNotice sends a counted notice to each of the addresses. It reports whether
	// one of them is on its way. If none of the addresses accepts the notice, it may
	// try the user's other verified address.
	SendNotice(ctx context.Context, u user.User, to []string, what notify.Notice) bool
	// AlertEvent counts and sends a warning of an event to an address of the user that
	// was proven, and returns the address and the channel. m has the Event, the Place
	// and the Device.
	AlertEvent(ctx context.Context, u user.User, m notify.Message) (to string, over channel.Channel, err error)
}

// notices are those of one request. No change goes untold: first every notice is
// counted in the row of its address, then the change is made, then the notices are
// sent.
type notices struct {
	service *Service
	now     time.Time
	call    user.Call // of the Functions host, whose deliveries count once; zero: none
	counted []string  // addresses in whose rows the notice is counted

	// What the last decision found.
	what notify.Notice // "": nothing has changed that has to be told
	old  user.User
	to   []string
}

func (s *Service) notices(ctx context.Context, now time.Time) *notices {
	n := &notices{service: s, now: now}
	if id := hostcall.From(ctx); id != (hostcall.ID{}) {
		n.call.ID = id
		_, _ = rand.Read(n.call.Delivery[:]) // never fails: crypto/rand ends the process instead
	}
	return n
}

// uncountedError: notices to these addresses have to be counted before the change.
type uncountedError struct{ to []string }

func (*uncountedError) Error() string { return "users: notices have to be counted first" }

// permit is the last step of the decision that changes old to next. what is "" if no
// factor and no address changes. It counts the change in the user's row. Its error is
// made by row.Discard: of kind TooManyChanges, or an uncountedError, after which the
// caller has to call count and decide again.
func (n *notices) permit(old, next user.User, what notify.Notice) (user.User, error) {
	n.to = nil
	if what == "" {
		return next, nil
	}
	next, err := next.CountChange(n.call, n.now)
	if err != nil {
		return old, row.Discard(err)
	}
	if err := n.mayTell(old, what); err != nil {
		return old, row.Discard(err)
	}
	return next, nil
}

// mayTell returns an uncountedError unless the notices to all addresses of the user
// are counted.
func (n *notices) mayTell(old user.User, what notify.Notice) error {
	n.what, n.old, n.to = what, old, n.service.toTell(old, what)
	missing := slices.DeleteFunc(slices.Clone(n.to), func(a string) bool { return slices.Contains(n.counted, a) })
	if len(missing) > 0 {
		return &uncountedError{missing}
	}
	return nil
}

// count counts the notices of an uncountedError, and reports whether err is one.
func (n *notices) count(ctx context.Context, err error) (counted bool, failed error) {
	missing, ok := errors.AsType[*uncountedError](err)
	if !ok {
		return false, nil
	}
	for _, to := range missing.to {
		if err := n.service.Notifier.CountNotice(ctx, to, n.now); err != nil {
			return false, err
		}
		n.counted = append(n.counted, to)
	}
	return true, nil
}

// repeat makes a change whose decision ends with permit. Each further try is for a
// user who got another address meanwhile.
func (n *notices) repeat(ctx context.Context, change func() error) error {
	for range maxRounds {
		err := change()
		counted, failed := n.count(ctx, err)
		if failed != nil {
			return failed
		}
		if !counted {
			return err
		}
	}
	return errContended
}

// send sends the notices of the change that was made. It reports whether one of them
// is on its way.
func (n *notices) send(ctx context.Context) bool {
	return len(n.to) > 0 && n.service.Notifier.SendNotice(ctx, n.old, n.to, n.what)
}

// toTell returns the addresses that have to be told of a change: all that were
// verified before, if an address changes. Otherwise one of them is enough: the mail
// address, which costs nothing, or the number.
func (s *Service) toTell(old user.User, what notify.Notice) []string {
	if !s.NotifyChanges || s.Notifier == nil {
		return nil
	}
	to := slices.DeleteFunc(old.Verified(), func(a string) bool { return !s.Notifier.Reaches(a) })
	if what != notify.NoticeAddress && len(to) > 1 {
		to = to[len(to)-1:]
	}
	return to
}

// addressNotice is the notice of a profile that replaces another one: "" if no
// address changes, or if the user is new.
func addressNotice(old, next user.User) notify.Notice {
	if old.Name == "" || old.Phone == next.Phone && old.Email == next.Email {
		return ""
	}
	return notify.NoticeAddress
}

// unreadable reports whether err says that a row cannot be read.
func unreadable(err error) bool {
	return problem.Is(err, problem.Internal) && errors.Is(err, row.ErrUnreadable)
}
