package delivery

import (
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// failures lists why the messages of one request failed.
type failures struct {
	list        []*notify.Failure
	limit       *problem.Error // set if a limit of the service kept a message from being sent
	limitIsLast bool           // that was the last message
}

func (f *failures) add(failure *notify.Failure) {
	f.list, f.limitIsLast = append(f.list, failure), false
}

func (f *failures) addLimit(limit *problem.Error) { f.limit, f.limitIsLast = limit, true }

// last returns the failure of the last message, nil if a limit kept it from being
// sent.
func (f *failures) last() *notify.Failure {
	if f.limitIsLast || len(f.list) == 0 {
		return nil
	}
	return f.list[len(f.list)-1]
}

// mayRecover reports whether the same channel may work later, because the failure
// does not depend on the address.
func mayRecover(f *notify.Failure) bool {
	return f.Outcome == otp.OutcomeMisconfigured || f.Outcome == otp.OutcomeUnavailable
}

// limited reports whether a limit of the service kept the code from the person: no
// other failure may recover.
func (f *failures) limited() bool {
	return f.limit != nil && !slices.ContainsFunc(f.list, mayRecover)
}

// severity orders the outcomes from the one that says most about the address to
// the one that says most about the service.
var severity = []otp.Outcome{
	otp.OutcomeUndeliverable, otp.OutcomeInvalidAddress, otp.OutcomeRefused, otp.OutcomeUnavailable, otp.OutcomeMisconfigured,
}

// outcome returns what all failures together mean for the request: the most
// severe of them. So the answer says that the address cannot be reached only if
// every channel says so.
func (f *failures) outcome() (o otp.Outcome, retryAfter time.Duration) {
	o = otp.OutcomeUndeliverable
	for _, failure := range f.list {
		next := failure.Outcome
		if !slices.Contains(severity, next) { // outside the sender's contract
			next = otp.OutcomeUnavailable
		}
		if slices.Index(severity, next) > slices.Index(severity, o) {
			o = next
		}
		retryAfter = max(retryAfter, failure.RetryAfter)
	}
	return o, retryAfter
}

// refusal returns the error that the failures are answered with.
func (s *Sender) refusal(st State, f failures) error {
	v := st.Verification
	if f.limited() {
		e := *f.limit
		e.ID = string(v.ID)
		return &e
	}
	o, retryAfter := f.outcome()
	e := Refusal(o, v.ID, v.Channel(), s.pause(retryAfter), v.ExpiresAt.Sub(st.Now))
	if last := f.last(); last != nil {
		e.Err = last // not the sender's error, whose text may quote the address
	}
	return e
}

// pause returns how long a client has to wait before the next message, if the
// provider asks for that pause.
func (s *Sender) pause(asked time.Duration) time.Duration { return max(asked, s.Policy.ResendAfter) }

// Refusal returns the error of an outcome. last is the channel of the last message,
// and left is how long the code still works.
func Refusal(o otp.Outcome, id otp.ID, last channel.Channel, retryAfter, left time.Duration) *problem.Error {
	e := &problem.Error{ID: string(id)}
	switch o {
	case otp.OutcomeInvalidAddress:
		e.Kind = problem.InvalidRequest
		e.Fields = []problem.Field{{Name: "to", Message: "The provider says that this is not a valid number."}}
	case otp.OutcomeUndeliverable:
		e.Kind = problem.Undeliverable
		e.Detail = "The provider cannot reach this address over any channel of the workflow; the last was " + string(last) + "."
	case otp.OutcomeRefused:
		e.Kind = problem.DestinationRefused
		e.Detail = "The provider blocks messages to this address."
		e.RetryAfter = otp.BlockedFor
	case otp.OutcomeMisconfigured:
		e.Kind = problem.ProviderMisconfigured
		e.Detail = "The provider refuses the settings of this service. The service's log names the setting."
	default:
		e.Kind = problem.ProviderUnavailable
		e.RetryAfter = retryAfter
		switch {
		case retryAfter >= left:
			e.Detail = "The provider did not accept the message. Start a new verification after the pause."
		case o == otp.OutcomeUnclear:
			e.Detail = "The provider did not confirm the message. It may arrive, and its code works then. If it does not arrive, resend it with this id after the pause."
		default:
			e.Detail = "The provider did not accept the message. Resend it with this id after the pause."
		}
	}
	return e
}
