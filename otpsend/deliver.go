package otpsend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/reqlog"
)

// state is what a change found and left.
type state struct {
	recipient    otp.Recipient
	verification otp.Verification
	now          time.Time
}

type transition func(r otp.Recipient, now time.Time) (otp.Recipient, otp.Verification, error)

// change makes a transition and keeps it. A request is judged by the time at
// which it came, however often the transition has to run.
func (s *Service) change(ctx context.Context, rowKey string, t transition) (state, error) {
	now := s.Now()
	r, v, err := s.Book.Change(ctx, rowKey, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return t(old, now)
	})
	reqlog.Verification(ctx, r, v)
	return state{r, v, now}, err
}

// send keeps the transition that spends a send, and then sends.
func (s *Service) send(ctx context.Context, rowKey string, t transition) (Answer, error) {
	st, err := s.change(ctx, rowKey, t)
	if err != nil {
		return Answer{}, err
	}
	v := st.verification
	code, ok := v.Code(s.Book.Keys)
	if !ok {
		return Answer{}, &otp.Error{Kind: otp.KindExpired, Detail: "The secret that made this code was taken out of service. Start a new verification."}
	}
	err = s.Senders[notify.Channel(v.Channel)].Send(ctx, notify.Message{
		To: st.recipient.Address, Code: code, Brand: s.Brand,
		// Both in whole seconds: ten minutes are not to read as nine.
		ValidFor: v.ExpiresAt.Sub(st.now.Truncate(time.Second)),
		Amount:   v.Context.Amount, Payee: v.Context.Payee,
	})
	if err != nil {
		return Answer{}, s.sendFailed(ctx, rowKey, st, err)
	}
	return s.answer(st), nil
}

// sendFailed turns a sender's failure into an answer. The verification ends
// where the person has no message and will not get one; otherwise its code goes
// on working.
func (s *Service) sendFailed(ctx context.Context, rowKey string, st state, err error) error {
	v := st.verification
	var f *notify.Failure
	if !errors.As(err, &f) {
		// A sender outside of its contract. What its error says may be anything.
		f = &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true, Detail: fmt.Sprintf("the sender failed with a %T", err)}
	}
	answer := &otp.Error{ID: v.ID, Err: f} // and not err, whose text may quote the address
	final := true
	switch f.Reason {
	case notify.InvalidAddress:
		answer.Kind = otp.InvalidRequest
		answer.Add("to", "The provider says that this is not a valid number.")
	case notify.Undeliverable:
		answer.Kind = otp.KindUndeliverable
		answer.Detail = "The provider cannot reach this address over " + v.Channel + "."
	case notify.Refused:
		answer.Kind = otp.DestinationRefused
		answer.Detail = "The provider blocks messages to this address."
	case notify.Misconfigured:
		final = false
		answer.Kind = otp.ProviderMisconfigured
		answer.Detail = "The provider refuses this service's own settings. Its operator's log says which."
	default:
		final = false
		answer.Kind = otp.ProviderUnavailable
		answer.RetryAfter = max(f.RetryAfter, s.Policy.ResendAfter)
		switch {
		case answer.RetryAfter >= v.ExpiresAt.Sub(st.now):
			answer.Detail = "The provider did not take the message. Start a new verification after the pause."
		case f.MayHaveSent:
			answer.Detail = "The provider did not confirm the message. It may arrive, and its code will work; else resend it with this id after the pause."
		default:
			answer.Detail = "The provider did not take the message. Resend it with this id after the pause."
		}
	}
	if !final || f.MayHaveSent || v.Sends > 1 { // an earlier message may be with the person
		return answer
	}
	_, failed := s.change(ctx, rowKey, func(r otp.Recipient, now time.Time) (otp.Recipient, otp.Verification, error) {
		return otp.FailDelivery(r, v.ID, now)
	})
	if failed != nil {
		// The answer holds all the same: no message is on its way, and the
		// code, which nobody has, ends by its time.
		reqlog.Add(ctx, slog.String("not_marked_undeliverable", failed.Error()))
	}
	return answer
}

func (s *Service) answer(st state) Answer {
	r, v := st.recipient, st.verification
	a := Answer{
		ID: v.ID, Status: v.Status, To: phone.Mask(r.Address), Channel: v.Channel, Purpose: v.Purpose,
		ExpiresAt: v.ExpiresAt, ChecksLeft: r.ChecksLeft(v, s.Policy),
	}
	if v.Status == otp.Approved {
		a.ApprovedAt = v.EndedAt.Truncate(time.Second)
	}
	if v.Status == otp.Pending {
		a.SendsLeft = r.SendsLeft(s.Policy, st.now)
		// Rounded up: who waits until then is not too soon.
		a.ResendAfter = r.ResendAfter(s.Policy).Add(time.Second - 1).Truncate(time.Second)
	}
	return a
}
