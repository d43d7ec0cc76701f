// Package delivery sees a code through to its recipient: it sends what the
// domain has decided to send, tells the domain what became of it, and goes on
// with what follows, until a provider has taken a message or none is left.
//
// Every message is noted in the recipient's row before it is sent, so that none
// is sent that the limits do not know of. The package decides no rule of its own
// and must never log a code, an address or another's error text.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
	"twofa/internal/user"
)

// Carrier sends. Its fields are set once, before the first call.
type Carrier struct {
	Book   *recipient.Book
	Policy otp.Policy
	// Senders carries the messages, by channel.
	Senders map[notify.Channel]notify.Sender
	// Workflow is the channels of a request, and of a user, that names none, in
	// order. All of them are in Senders.
	Workflow []notify.Channel
	// Scripts are the test numbers, until ScriptsEnd. Nothing is ever sent to them.
	Scripts    map[string]otp.Script
	ScriptsEnd time.Time
	// Brand is the name in the messages.
	Brand string
	// Deniable are the channels on which an answer reaches us.
	Deniable map[notify.Channel]bool
	// Log is told of each message that failed: an operator has to learn of a
	// wrong setting although the next channel made up for it.
	Log *slog.Logger
	Now func() time.Time
}

// State is a recipient and one of its verifications as they are kept, and when.
type State struct {
	Recipient    otp.Recipient
	Verification otp.Verification
	Now          time.Time
}

// Transition is a change of a recipient that concerns one verification.
type Transition func(r otp.Recipient, now time.Time) (otp.Recipient, otp.Verification, error)

// Change makes a transition and keeps it. A request is judged by the time at
// which it came, however often the transition has to run.
func (c *Carrier) Change(ctx context.Context, rowKey string, t Transition) (State, error) {
	now := c.Now()
	r, v, err := c.Book.Change(ctx, rowKey, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return t(old, now)
	})
	reqlog.Verification(ctx, r, v)
	return State{r, v, now}, err
}

// Script is the one of a test number, none for any other address.
func (c *Carrier) Script(address string) otp.Script {
	if !c.Now().Before(c.ScriptsEnd) {
		return otp.Script{}
	}
	return c.Scripts[address]
}

// Carry sends the last attempt of a verification, which has been kept, and what
// follows it where a provider refuses. It returns the state that is kept in the
// end; the error says why no provider has taken a message, or that it is not
// known. What the request with that idempotency key is answered is kept too.
func (c *Carrier) Carry(ctx context.Context, rowKey string, st State, i otp.Idempotency) (State, error) {
	if st.Verification.TestCode != "" { // the messages of a test number are only told of
		if st.Verification.Status == otp.Undeliverable {
			return c.conclude(ctx, rowKey, st, i, otp.OutcomeUndeliverable, &notify.Failure{})
		}
		return st, nil
	}
	var failures setbacks
	for {
		n := len(st.Verification.Attempts)
		err := c.send(ctx, st, n)
		if err == nil {
			return st, nil
		}
		if refused, ok := errors.AsType[*problem.Error](err); ok {
			failures.hold(refused)
		} else {
			f, _ := asFailure(err)
			c.logAttempt(ctx, st.Verification, n, f)
			failures.add(f)
		}
		if last := failures.last(); last != nil && last.MayHaveSent {
			return c.conclude(ctx, rowKey, st, i, otp.OutcomeUnclear, last)
		}
		next, begun, err := c.follow(ctx, rowKey, st, failures, i)
		if err != nil {
			// The answer holds all the same: no message is on its way, and the
			// code, which nobody has, ends by its time.
			reqlog.Add(ctx, slog.String("not_kept", err.Error()))
			return st, c.refusal(st, failures)
		}
		if st = next; !begun {
			return st, c.refusal(st, failures)
		}
	}
}

// follow keeps that the last attempt failed, and what follows.
func (c *Carrier) follow(ctx context.Context, rowKey string, st State, failures setbacks, i otp.Idempotency) (State, bool, error) {
	g := otp.Progress{ID: st.Verification.ID, Attempt: len(st.Verification.Attempts), Status: otp.Failed, MayRecover: true, Unsent: true}
	if f := failures.last(); f != nil {
		g.Error, g.MayRecover, g.Next = f.Code, mayRecover(f), f.Next
	}
	begun := false
	next, err := c.Change(ctx, rowKey, func(r otp.Recipient, now time.Time) (_ otp.Recipient, v otp.Verification, err error) {
		r, v, begun, err = otp.Follow(r, g, c.Policy, now)
		switch {
		case err != nil:
		case begun: // over another channel than it was begun with
			r = otp.Conclude(r, i, v, otp.OutcomeSent, 0)
		case failures.limited():
			r = otp.Forget(r, i)
		default:
			outcome, retryAfter := failures.outcome()
			r = otp.Conclude(r, i, v, outcome, c.pause(retryAfter))
		}
		return r, v, err
	})
	return next, begun, err
}

// conclude keeps an outcome for the request's repetition and returns its error.
func (c *Carrier) conclude(ctx context.Context, rowKey string, st State, i otp.Idempotency, o otp.Outcome, f *notify.Failure) (State, error) {
	pause := c.pause(f.RetryAfter)
	if i != (otp.Idempotency{}) {
		_, err := c.Change(ctx, rowKey, func(r otp.Recipient, _ time.Time) (otp.Recipient, otp.Verification, error) {
			return otp.Conclude(r, i, st.Verification, o, pause), st.Verification, nil
		})
		if err != nil {
			reqlog.Add(ctx, slog.String("not_kept", err.Error()))
		}
	}
	e := c.Refusal(o, st.Verification.ID, st.Verification.Channel(), pause, st.Verification.ExpiresAt.Sub(st.Now))
	if f.Reason != 0 {
		e.Err = f
	}
	return st, e
}

// send hands attempt n (from 1) to its sender.
func (c *Carrier) send(ctx context.Context, st State, n int) error {
	v, channel := st.Verification, notify.Channel(st.Verification.Attempts[n-1].Channel)
	sender, to := c.Senders[channel], st.Recipient.AddressFor(v, string(channel))
	if sender == nil || to == "" {
		return &notify.Failure{Reason: notify.Unavailable, Detail: "the service does not have the channel any more"}
	}
	code, ok := v.Code(c.Book.Keys)
	if !ok {
		return &problem.Error{Kind: problem.Expired, ID: string(v.ID), Detail: "The secret that made this code was taken out of service. Start a new verification."}
	}
	if to != st.Recipient.Address {
		// It goes to another address, which has limits of its own.
		if err := c.spend(ctx, to, st.Now); err != nil {
			return err
		}
	}
	m := c.message(v, channel, to)
	m.Code, m.Verification, m.Attempt = code, v.ID, n
	m.Amount, m.Payee = v.Context.Amount, v.Context.Payee
	// Both in whole seconds: ten minutes are not to read as nine.
	m.ValidFor = v.ExpiresAt.Sub(st.Now.Truncate(time.Second))
	return sender.Send(ctx, m)
}

func (c *Carrier) message(v otp.Verification, channel notify.Channel, to string) notify.Message {
	return notify.Message{To: to, Brand: c.Brand, Purpose: v.Purpose, Locale: v.Locale, CanDeny: c.Deniable[channel]}
}

// asFailure is what a sender's error says. It reports false for a sender outside of
// its contract, whose error may say anything.
func asFailure(err error) (f *notify.Failure, ok bool) {
	if f, ok = errors.AsType[*notify.Failure](err); ok {
		return f, true
	}
	return &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true, Detail: fmt.Sprintf("the sender failed with a %T", err)}, false
}

// logAttempt tells the operator of attempt n (from 1), which failed.
func (c *Carrier) logAttempt(ctx context.Context, v otp.Verification, n int, f *notify.Failure) {
	c.log(ctx, notify.Channel(v.Attempts[n-1].Channel), f, slog.String("verification", string(v.ID)), slog.Int("attempt", n))
}

// log tells the operator of a message that failed.
func (c *Carrier) log(ctx context.Context, channel notify.Channel, f *notify.Failure, attrs ...slog.Attr) {
	level := slog.LevelInfo
	switch {
	case f.Reason == notify.Misconfigured:
		level = slog.LevelError
	case f.Reason != notify.Undeliverable && f.Reason != notify.InvalidAddress, f.Warn:
		level = slog.LevelWarn
	}
	attrs = append(attrs, slog.String("channel", string(channel)),
		slog.String("reason", f.Reason.String()), slog.Int("provider_error", f.Code), slog.String("detail", f.Detail))
	if f.Setting != "" {
		attrs = append(attrs, slog.String("setting", f.Setting))
	}
	c.Log.LogAttrs(ctx, level, "message failed", attrs...)
}

// Report notes what a provider tells of a message, and sends the next one where
// it failed. Two storage round trips, where nothing is to be sent.
func (c *Carrier) Report(ctx context.Context, report notify.Report) error {
	g := otp.Progress{ID: report.Verification, Attempt: report.Attempt, Status: report.Status}
	if f := report.Failure; f != nil {
		g.Error, g.MayRecover, g.Next = f.Code, mayRecover(f), f.Next
	}
	var begun, news bool
	rowKey := report.Verification.RowKey()
	st, err := c.Change(ctx, rowKey, func(r otp.Recipient, now time.Time) (_ otp.Recipient, v otp.Verification, err error) {
		before, _ := r.Find(g.ID)
		r, v, begun, err = otp.Follow(r, g, c.Policy, now)
		news = err == nil && before.Attempts[g.Attempt-1] != v.Attempts[g.Attempt-1]
		return r, v, err
	})
	if err != nil {
		return err
	}
	if reqlog.Add(ctx, slog.Int("attempt", report.Attempt), slog.String("delivery", string(report.Status))); !news {
		return nil
	}
	if report.Failure != nil {
		c.logAttempt(ctx, st.Verification, report.Attempt, report.Failure)
	}
	if !begun {
		return nil
	}
	if _, err = c.Carry(ctx, rowKey, st, otp.Idempotency{}); err != nil {
		// The provider that reports is not to blame and need not repeat it.
		reqlog.Add(ctx, slog.String("fallback", err.Error()))
	}
	return nil
}

// Alert warns the person that wrong codes were tried until none were left. It
// reports whether the warning is on its way.
func (c *Carrier) Alert(ctx context.Context, r otp.Recipient, v otp.Verification) bool {
	var ways []way
	for _, channel := range append([]string{r.Good.Channel, v.Channel()}, v.Workflow...) {
		ways = append(ways, way{notify.Channel(channel), r.AddressFor(v, channel), false})
	}
	return c.alert(ctx, ways, notify.Message{Purpose: v.Purpose, Locale: v.Locale})
}

// AlertUser tells a user that a recovery code was used, and how many are left,
// over the first of the user's channels that takes the message, verified
// addresses before others. It counts as a message to the address, whose limits
// hold: two storage round trips each. It reports whether it is on its way.
func (c *Carrier) AlertUser(ctx context.Context, u user.User, codesLeft int) bool {
	channels := u.Channels
	if len(channels) == 0 {
		for _, channel := range c.Workflow {
			channels = append(channels, string(channel))
		}
	}
	var verified, others []way
	for _, channel := range append(slices.Clone(channels), otp.ChannelEmail) { // a mail is better than nothing
		to, proven := u.Phone, u.PhoneVerified
		if channel == otp.ChannelEmail {
			to, proven = u.Email, u.EmailVerified
		}
		if w := (way{notify.Channel(channel), to, true}); proven {
			verified = append(verified, w)
		} else {
			others = append(others, w)
		}
	}
	return c.alert(ctx, append(verified, others...), notify.Message{Locale: u.Locale, Recovered: true, CodesLeft: codesLeft})
}

// way is how a person may be reached; an empty address is none. counted makes a
// message one of those that the address's limits are for.
type way struct {
	channel notify.Channel
	to      string
	counted bool
}

// alert sends a warning over the first way that is open.
func (c *Carrier) alert(ctx context.Context, ways []way, m notify.Message) bool {
	for i, w := range ways {
		sender := c.Senders[w.channel]
		if sender == nil || w.to == "" || slices.Contains(ways[:i], w) || c.Script(w.to) != (otp.Script{}) {
			continue
		}
		if w.counted && c.spend(ctx, w.to, c.Now()) != nil {
			reqlog.Add(ctx, slog.String("alert", "held back over "+string(w.channel)))
			continue
		}
		m.To, m.Brand, m.Alert = w.to, c.Brand, true
		err := sender.Send(ctx, m)
		if err == nil {
			return true
		}
		reqlog.Add(ctx, slog.String("alert", "failed over "+string(w.channel)))
		f, ok := asFailure(err)
		c.log(ctx, w.channel, f)
		if f.MayHaveSent {
			return ok
		}
	}
	return false
}

// spend counts a message in the row of the address that it goes to.
func (c *Carrier) spend(ctx context.Context, to string, now time.Time) error {
	_, _, err := c.Book.Change(ctx, c.Book.RowKey(to), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		r, err := otp.Spend(r, to, c.Policy, now)
		return r, otp.Verification{}, err
	})
	return err
}
