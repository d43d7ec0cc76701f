package delivery

import (
	"slices"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// setbacks is why the messages of one request failed.
type setbacks struct {
	failures []*notify.Failure
	// limit is set where our own limits kept a message back; held is true if
	// that was the last one.
	limit *problem.Error
	held  bool
}

func (s *setbacks) add(f *notify.Failure) { s.failures, s.held = append(s.failures, f), false }

func (s *setbacks) hold(limit *problem.Error) { s.limit, s.held = limit, true }

// last is the failure of the last message, nil if a limit kept it back.
func (s *setbacks) last() *notify.Failure {
	if s.held || len(s.failures) == 0 {
		return nil
	}
	return s.failures[len(s.failures)-1]
}

// mayRecover reports that the failure is not the address's: the same channel
// may work later.
func mayRecover(f *notify.Failure) bool {
	return f.Reason == notify.Misconfigured || f.Reason == notify.Unavailable
}

// limited reports that what kept the code from its person was our own limit: all
// that the providers refused would be refused again.
func (s *setbacks) limited() bool {
	return s.limit != nil && !slices.ContainsFunc(s.failures, mayRecover)
}

// outcome is what all failures together mean for the request. That the address
// cannot be reached is told only if every channel says so.
func (s *setbacks) outcome() (o otp.Outcome, retryAfter time.Duration) {
	o = otp.OutcomeUndeliverable
	rank := map[otp.Outcome]int{
		otp.OutcomeUndeliverable: 0, otp.OutcomeInvalidAddress: 1, otp.OutcomeRefused: 2,
		otp.OutcomeUnavailable: 3, otp.OutcomeMisconfigured: 4,
	}
	for _, f := range s.failures {
		is := otp.OutcomeUnavailable
		switch f.Reason {
		case notify.InvalidAddress:
			is = otp.OutcomeInvalidAddress
		case notify.Undeliverable:
			is = otp.OutcomeUndeliverable
		case notify.Refused:
			is = otp.OutcomeRefused
		case notify.Misconfigured:
			is = otp.OutcomeMisconfigured
		}
		if rank[is] > rank[o] {
			o = is
		}
		retryAfter = max(retryAfter, f.RetryAfter)
	}
	return o, retryAfter
}

// refusal is the error that stands for the failures.
func (c *Carrier) refusal(st State, s setbacks) error {
	if s.limited() {
		e := *s.limit
		e.ID = string(st.Verification.ID)
		return &e
	}
	o, retryAfter := s.outcome()
	v := st.Verification
	e := c.Refusal(o, v.ID, v.Channel(), c.pause(retryAfter), v.ExpiresAt.Sub(st.Now))
	if f := s.last(); f != nil {
		e.Err = f // and not the sender's error, whose text may quote the address
	}
	return e
}

// pause is how long a client waits before the next message, at least.
func (c *Carrier) pause(asked time.Duration) time.Duration { return max(asked, c.Policy.ResendAfter) }

// Refusal is the error of an outcome; left is how long the code still works.
func (c *Carrier) Refusal(o otp.Outcome, id otp.ID, channel string, retryAfter, left time.Duration) *problem.Error {
	e := &problem.Error{ID: string(id)}
	switch o {
	case otp.OutcomeInvalidAddress:
		e = problem.Invalid("to", "The provider says that this is not a valid number.")
		e.ID = string(id)
	case otp.OutcomeUndeliverable:
		e.Kind = problem.Undeliverable
		e.Detail = "The provider cannot reach this address over any channel of the workflow; the last was " + channel + "."
	case otp.OutcomeRefused:
		e.Kind = problem.DestinationRefused
		e.Detail = "The provider blocks messages to this address."
		e.RetryAfter = otp.BlockedFor
	case otp.OutcomeMisconfigured:
		e.Kind = problem.ProviderMisconfigured
		e.Detail = "The provider refuses this service's own settings. Its operator's log says which."
	default:
		e.Kind = problem.ProviderUnavailable
		e.RetryAfter = retryAfter
		switch {
		case retryAfter >= left:
			e.Detail = "The provider did not take the message. Start a new verification after the pause."
		case o == otp.OutcomeUnclear:
			e.Detail = "The provider did not confirm the message. It may arrive, and its code will work; else resend it with this id after the pause."
		default:
			e.Detail = "The provider did not take the message. Resend it with this id after the pause."
		}
	}
	return e
}
