// Package delivery sends codes and alerts, and reads what people reply. It sends
// the message that package otp decided on, stores the result, and sends the next
// one, until a provider accepts a message or no channel is left.
//
// Every message is stored in the recipient's row before it is sent, so that the
// limits count all of them. The package decides no rule of its own and must never
// log a code, an address or another program's error text.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"twofa/internal/breaker"
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
)

// Sender sends codes and alerts. Its fields are set once, before the first call.
type Sender struct {
	Recipients *recipient.Store
	Policy     otp.Policy
	Senders    notify.Senders
	// Workflow lists the channels for users who have none of their own, in order.
	Workflow    []channel.Channel
	TestNumbers otp.TestNumbers            // get no messages
	Brand       func(client string) string // the name in a client's messages
	// Deniable are the routes on which a person's reply reaches the service.
	Deniable map[channel.Route]bool
	// Breaker knows which providers fail for everybody.
	Breaker *breaker.Breaker
	// Log gets each message that failed: an operator has to learn of a wrong
	// setting even if the next channel worked.
	Log *slog.Logger
	Now func() time.Time
}

// State is a recipient and one of its verifications as they are stored, and the
// time by which the request is judged.
type State struct {
	Recipient    otp.Recipient
	Verification otp.Verification
	Now          time.Time
}

// Link returns the address that a mail with the code of a verification leads to, "" for none.
type Link func(v otp.Verification) string

// Request is what [Sender.Send] needs to know of a start or resend.
type Request struct {
	// Idempotency is the key under which the outcome is stored for a repetition of the request.
	Idempotency otp.Idempotency
	Link        Link // of mails; nil: they have none
	// Silent gives no message to a provider: no account has the address, and nobody may learn
	// that. All else is as after a message that the provider accepted, counters and round trips
	// included. Nothing of it is on the log line.
	Silent bool
}

// Send sends the last attempt of a verification, which has to be stored, and the
// attempts that follow it if a provider refuses. It returns the state that is
// stored in the end. The error says why no provider accepted a message, or that
// this is unknown.
//
// At most two storage round trips for each message that a provider refuses, two for
// each message to the second address, and two at the end if there is an idempotency
// key and no refusal was stored last.
func (s *Sender) Send(ctx context.Context, st State, req Request) (State, error) {
	i := req.Idempotency
	if st.Verification.TestCode != "" {
		if st.Verification.Status == otp.Undeliverable {
			return s.conclude(ctx, st, i, otp.OutcomeUndeliverable, &notify.Failure{})
		}
		return st, nil
	}
	var failed failures
	for {
		err := s.sendLast(ctx, st, req)
		if err == nil {
			s.store(ctx, st, i, otp.OutcomeSent, 0)
			return st, nil
		}
		if limit, ok := errors.AsType[*problem.Error](err); ok {
			failed.addLimit(limit)
		} else {
			f, _ := asFailure(err)
			s.logAttempt(ctx, st.Verification, len(st.Verification.Attempts), f)
			failed.add(f)
		}
		if last := failed.last(); last != nil && last.MayHaveSent {
			return s.conclude(ctx, st, i, otp.OutcomeUnclear, last)
		}
		next, begun, err := s.follow(ctx, st, failed, i)
		if err != nil {
			// The answer is the same: no message is on its way. The code, which
			// nobody has, expires.
			logNotKept(ctx, err)
			return st, s.refusal(st, failed)
		}
		if st = next; !begun {
			return st, s.refusal(st, failed)
		}
	}
}

// change makes a transition, whose time is now: see [recipient.Store.ChangeReported].
func (s *Sender) change(ctx context.Context, id otp.ID, now time.Time, t recipient.Transition) (State, error) {
	r, v, err := s.Recipients.ChangeReported(ctx, id, t)
	return State{r, v, now}, err
}

// follow stores that the last attempt failed, and what follows it.
func (s *Sender) follow(ctx context.Context, st State, failed failures, i otp.Idempotency) (State, bool, error) {
	g := otp.Progress{ID: st.Verification.ID, Attempt: len(st.Verification.Attempts), Status: otp.Failed, MayRecover: true, Unsent: true}
	g.Down = s.Down(st.Verification.Workflow)
	if f := failed.last(); f != nil {
		g.Error, g.MayRecover, g.Next = f.Code, mayRecover(f), f.Next
	}
	now, begun := s.Now(), false
	next, err := s.change(ctx, g.ID, now, func(r otp.Recipient) (_ otp.Recipient, v otp.Verification, err error) {
		r, v, begun, err = otp.Follow(r, g, s.Policy, now)
		switch {
		case err != nil:
		case begun: // the answer names another channel than the request began with
			r = otp.Continue(r, i, v)
		case failed.limited():
			r = otp.Forget(r, i, v)
		default:
			outcome, retryAfter := failed.outcome()
			r = otp.Conclude(r, i, v, outcome, s.pause(retryAfter))
		}
		return r, v, err
	})
	return next, begun, err
}

// conclude stores an outcome for a repetition of the request, and returns the error
// of the outcome.
func (s *Sender) conclude(ctx context.Context, st State, i otp.Idempotency, o otp.Outcome, f *notify.Failure) (State, error) {
	v, pause := st.Verification, s.pause(f.RetryAfter)
	s.store(ctx, st, i, o, pause)
	e := Refusal(o, v.ID, v.Channel(), pause, v.ExpiresAt.Sub(st.Now))
	if f.Outcome != otp.OutcomeSent {
		e.Err = f
	}
	return st, e
}

// store stores an outcome for a repetition of the request. It does nothing for a
// request without an idempotency key. If it fails, the message may be on its way all
// the same, and a repetition has to wait for otp.MaxRequest.
func (s *Sender) store(ctx context.Context, st State, i otp.Idempotency, o otp.Outcome, pause time.Duration) {
	if i == (otp.Idempotency{}) {
		return
	}
	v := st.Verification
	_, err := s.change(ctx, v.ID, st.Now, func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return otp.Conclude(r, i, v, o, pause), v, nil
	})
	if err != nil {
		logNotKept(ctx, err)
	}
}

func logNotKept(ctx context.Context, err error) {
	reqlog.Add(ctx, slog.String("not_kept", err.Error()))
}

// sendLast gives the last attempt to the sender of its channel, unless the request is silent.
func (s *Sender) sendLast(ctx context.Context, st State, req Request) error {
	v, by := st.Verification, st.Verification.Channel()
	m, err := s.message(st.Recipient, v, len(v.Attempts), st.Now)
	switch {
	case err != nil:
		return err
	case !s.Senders.Has(by) || m.To == "":
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Unasked: true, Detail: "the service does not have the channel any more"}
	}
	if m.To != st.Recipient.Address { // the second address, which has its own limits
		spend := func(old otp.Recipient, address string, now time.Time) (otp.Recipient, error) {
			return otp.Spend(old, address, v.Caller, s.Policy, now)
		}
		if err := s.count(ctx, m.To, st.Now, spend); err != nil {
			return err
		}
	}
	if req.Link != nil && by.NeedsEmail() {
		m.Link = req.Link(v)
	}
	if req.Silent {
		return nil
	}
	return s.give(ctx, by, m)
}

// message is attempt n (from 1) of a verification. Its To is "" if the person has no address for
// its channel any more. The error is of kind Expired if the secret that made the code was removed.
func (s *Sender) message(r otp.Recipient, v otp.Verification, n int, now time.Time) (notify.Message, error) {
	a := v.Attempts[n-1]
	code, ok := v.Code(s.Recipients.Keys)
	if !ok {
		return notify.Message{}, &problem.Error{Kind: problem.Expired, ID: string(v.ID), Detail: "The secret that made this code is not in use any more. Start a new verification."}
	}
	return notify.Message{
		To: r.AddressFor(v, a.Channel), Code: code, Provider: a.Provider, Brand: s.Brand(v.Client), Purpose: v.TextPurpose(), Locale: v.Locale,
		CanDeny: s.Deniable[a.Route()], Amount: v.Transaction.Amount, Payee: v.Transaction.Payee, Verification: v.ID, Attempt: n,
		// Both in whole seconds, so that ten minutes do not read as nine.
		ValidFor: v.ExpiresAt.Sub(now.Truncate(time.Second)),
	}, nil
}

// give gives a message to the sender of its channel, and puts the provider and the time
// that it took on the request's log line.
func (s *Sender) give(ctx context.Context, by channel.Channel, m notify.Message) error {
	begun := s.Now()
	if m.Provider != "" {
		s.Breaker.Begin(m.Provider, begun)
	}
	err := s.Senders[by].Send(ctx, m)
	reqlog.Sent(ctx, s.providerOf(channel.Route{Channel: by, Provider: m.Provider}), s.Now().Sub(begun))
	if err == nil && m.Code != "" {
		reqlog.Add(ctx, slog.Bool("sent", true))
	}
	s.noteSent(ctx, m.Provider, err)
	return err
}

// counting is a transition that counts a message in the row of the address that it
// goes to, or refuses it.
type counting func(old otp.Recipient, address string, now time.Time) (otp.Recipient, error)

// count counts a message in the row of the address that it goes to. Two storage round
// trips.
func (s *Sender) count(ctx context.Context, to string, now time.Time, by counting) error {
	_, _, err := s.Recipients.Change(ctx, s.Recipients.Key(to), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		r, err := by(r, to, now)
		return r, otp.Verification{}, err
	})
	return err
}

// asFailure returns the failure in a sender's error. For an error outside the
// sender's contract, whose text may hold anything, it reports false and returns a
// failure that may have sent the message.
func asFailure(err error) (f *notify.Failure, ok bool) {
	if f, ok = errors.AsType[*notify.Failure](err); ok {
		return f, true
	}
	return &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true, Detail: fmt.Sprintf("the sender failed with a %T", err)}, false
}

// logAttempt tells the operator that attempt n (from 1) failed.
func (s *Sender) logAttempt(ctx context.Context, v otp.Verification, n int, f *notify.Failure) {
	s.log(ctx, v.Attempts[n-1].Route(), f, slog.String("verification", string(v.ID)), slog.Int("attempt", n))
}

// log tells the operator that a message failed.
func (s *Sender) log(ctx context.Context, by channel.Route, f *notify.Failure, attrs ...slog.Attr) {
	level := slog.LevelWarn
	switch {
	case f.Outcome == otp.OutcomeMisconfigured:
		level = slog.LevelError
	case !f.Warn && (f.Outcome == otp.OutcomeUndeliverable || f.Outcome == otp.OutcomeInvalidAddress):
		level = slog.LevelInfo
	}
	attrs = append(append(reqlog.Request(ctx), attrs...), slog.String("channel", string(by.Channel)),
		slog.String("reason", f.Outcome.String()), slog.Int("provider_error", f.Code), slog.String("detail", f.Detail))
	if f.Word != "" {
		attrs = append(attrs, slog.String("provider_word", f.Word))
	}
	if f.Setting != "" {
		attrs = append(attrs, slog.String("setting", f.Setting))
	}
	if provider := s.providerOf(by); provider != "" {
		attrs = append(attrs, slog.String("provider", provider))
	}
	if f.Code != 0 {
		reqlog.Add(ctx, slog.Int("provider_error", f.Code))
	}
	s.Log.LogAttrs(ctx, level, "message failed", attrs...)
}
