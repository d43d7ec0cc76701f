package otpsend

import (
	"context"
	"errors"
	"time"

	"twofa/internal/deadline"
	"twofa/internal/delivery"
	"twofa/internal/guard"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/row"
)

// The pauses between two looks at a request that is under way. Each further one is twice
// as long, up to the longest.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
)

// transition makes the stored transition of a start or resend that came at that time. It
// sends a message only if the limits over many addresses admit it. send is what they need
// to know of the message, and request what its sender does.
type transition struct {
	send    guard.Send
	request delivery.Request
	make    func(ctx context.Context, now time.Time, limits limits) (otp.Recipient, otp.Verification, error)
}

// limits are those over many addresses, for one message.
type limits struct {
	send   guard.Send
	ticket *guard.Ticket
}

// errTyped: the verification turned out to be one of an address that a person typed, so
// other limits hold.
var errTyped = errors.New("otpsend: the address was typed")

// errProven: the address was typed in a browser in which it was proven before.
var errProven = errors.New("otpsend: the address was typed in a known browser")

// admit is the result of a transition if the limits allow its message. Otherwise the row
// stays as it was.
func (l limits) admit(old, next otp.Recipient, v otp.Verification, err error) (otp.Recipient, otp.Verification, error) {
	switch {
	case err != nil, v.TestCode != "", v.Inbound(): // nothing is sent
		return next, v, err
	case v.Origin == otp.OriginTyped && !l.send.Typed:
		err = errTyped
	case v.Origin == otp.OriginKnown && !l.send.Proven:
		err = errProven
	default:
		err = l.ticket.Admit()
	}
	if err != nil {
		return old, otp.Verification{}, row.Discard(err)
	}
	return next, v, nil
}

// once makes the transition and sends its message, all within [deadline.Sending], so
// that the request has ended when it no longer counts as under way. While another
// delivery of the same call is under way, once waits.
func (s *Service) once(ctx context.Context, change transition) (sent, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		done, err := s.try(ctx, change)
		if errors.Is(err, errTyped) {
			change.send.Typed = true
			done, err = s.try(ctx, change)
		}
		if errors.Is(err, errProven) {
			change.send.Typed, change.send.Proven = true, true
			done, err = s.try(ctx, change)
		}
		other, waits := errors.AsType[*otp.UnderWayError](err)
		if !waits {
			return done, err
		}
		s.wait(ctx, min(pause, other.Left))
		if ctx.Err() != nil {
			return sent{}, &problem.Error{
				Kind: problem.IdempotencyConflict, RetryAfter: other.Left,
				Detail: "The first delivery of this request is not finished. Repeat the request after the pause.",
			}
		}
	}
}

// try is once without waiting. What the limits over many addresses need of storage is
// read beside the recipient's row, and written beside that row and the sending: at most
// one more round trip in sequence.
func (s *Service) try(ctx context.Context, change transition) (sent, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Sending)
	defer cancel()
	now := s.Now()
	ticket := s.Guard.Begin(ctx, change.send, now)
	counted := false
	defer func() { ticket.End(counted) }()
	r, v, err := change.make(ctx, now, limits{change.send, ticket})
	counted = err == nil // as in the row: also a message that the provider then refuses
	return s.send(ctx, delivery.State{Recipient: r, Verification: v, Now: now}, change.request, err)
}

func (s *Service) wait(ctx context.Context, d time.Duration) {
	if s.Wait != nil {
		s.Wait(ctx, d)
		return
	}
	sleep(ctx, d)
}

// sleep waits for that time, or until the context ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
