package otpsend

import (
	"context"
	"errors"
	"time"

	"twofa/internal/deadline"
	"twofa/internal/delivery"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// The pauses between two looks at a request that is under way. Each further one is twice
// as long, up to the longest.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
)

// transition makes the stored transition of a start or resend that came at that time.
type transition func(ctx context.Context, now time.Time) (otp.Recipient, otp.Verification, error)

// once makes the transition and sends its message, all within [deadline.Sending], so
// that the request has ended when it no longer counts as under way. While another
// delivery of the same call is under way, once waits.
func (s *Service) once(ctx context.Context, idem otp.Idempotency, change transition) (Answer, bool, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		a, replayed, err := s.try(ctx, idem, change)
		other, waits := errors.AsType[*otp.UnderWayError](err)
		if !waits {
			return a, replayed, err
		}
		s.wait(ctx, min(pause, other.Left))
		if ctx.Err() != nil {
			return Answer{}, false, &problem.Error{
				Kind: problem.IdempotencyConflict, RetryAfter: other.Left,
				Detail: "The first delivery of this request is not finished. Repeat the request after the pause.",
			}
		}
	}
}

// try is once without waiting.
func (s *Service) try(ctx context.Context, idem otp.Idempotency, change transition) (Answer, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Sending)
	defer cancel()
	now := s.Now()
	r, v, err := change(ctx, now)
	return s.send(ctx, idem, delivery.State{Recipient: r, Verification: v, Now: now}, err)
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
