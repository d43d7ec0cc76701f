// Package notify says what a messenger is: something that carries one message
// with a one-time code to one address over one channel, and tells what became
// of it in terms that the service can act on.
//
// It decides no limits and keeps nothing. A sender must never log or return a
// code, a full address or a provider's raw error.
package notify

import (
	"context"
	"fmt"
	"time"
)

// Channel is a way to reach a person.
type Channel string

// WhatsApp is a WhatsApp message.
const WhatsApp Channel = "whatsapp"

// Message is one message to one person.
type Message struct {
	// To is the address: a phone number in E.164.
	To string
	// Code is the one-time code in the form that the person types.
	Code string
	// Brand is the name of the service that the person signs in to.
	Brand string
	// ValidFor is how long the code still works, rounded down to whole minutes
	// where it is shown (at least one).
	ValidFor time.Duration
	// Amount and Payee are what the person approves with this code (PSD2 RTS
	// art. 5); both are empty where there is nothing of the kind.
	Amount, Payee string
}

// Sender carries messages over one channel.
type Sender interface {
	// Send hands the message to the provider and returns when the provider has
	// accepted or refused it, at the latest when ctx ends. It returns nil when
	// the message was accepted, otherwise an error that is or wraps a *Failure.
	// It never sends twice after a failure that may have sent (see
	// Failure.MayHaveSent), except for one repetition as the provider's rules
	// allow. Where ctx or a time-out ended the work, the error also is
	// context.Canceled or context.DeadlineExceeded for errors.Is.
	Send(ctx context.Context, m Message) error
}

// ContextShower is implemented by senders that may be unable to show Amount and
// Payee (a provider's fixed template has no place for them).
type ContextShower interface {
	// ShowsContext reports whether a message carries Amount and Payee.
	ShowsContext() bool
}

// Reason is what a failure means for what happens next.
type Reason int

// The reasons, from the person's side to the operator's.
const (
	// InvalidAddress: the provider says that this is no address at all.
	InvalidAddress Reason = iota + 1
	// Undeliverable: this address cannot be reached on this channel; another
	// channel may work.
	Undeliverable
	// Refused: the provider blocks this destination (fraud, pumping); no other
	// channel may be tried.
	Refused
	// Misconfigured: our own settings are at fault; Setting names the one to
	// look at.
	Misconfigured
	// Unavailable: the provider did not take the message, after what is safe to
	// retry.
	Unavailable
)

// String names the reason in logs.
func (r Reason) String() string {
	switch r {
	case InvalidAddress:
		return "invalid_address"
	case Undeliverable:
		return "undeliverable"
	case Refused:
		return "refused"
	case Misconfigured:
		return "misconfigured"
	case Unavailable:
		return "unavailable"
	}
	return fmt.Sprintf("Reason(%d)", int(r))
}

// Failure is why a message was not accepted. Its text is safe to log.
type Failure struct {
	Reason Reason
	// Code is the provider's own error number, 0 if it gave none.
	Code int
	// Setting names the environment variable to look at, for Misconfigured.
	Setting string
	// MayHaveSent is true when the message may have gone out all the same (a
	// time-out, a server error after the request was written).
	MayHaveSent bool
	// RetryAfter is the pause that the provider asks for, 0 if it named none.
	RetryAfter time.Duration
	// Detail is a short text of our own about what happened. Never the
	// provider's words: they quote addresses.
	Detail string
}

// Error implements error.
func (f *Failure) Error() string {
	s := "notify: " + f.Reason.String()
	if f.Code != 0 {
		s += fmt.Sprintf(" (provider error %d)", f.Code)
	}
	if f.Setting != "" {
		s += ", see " + f.Setting
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}
