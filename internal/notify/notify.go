// Package notify says what a messenger is: something that carries one message
// with a one-time code to one address over one channel, and tells what became
// of it in terms that the service can act on.
//
// It decides no limits and keeps nothing. A sender must never log or return a
// code, a full address or a provider's raw error.
package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"twofa/internal/otp"
)

// MaxBrand is the longest form in which a brand is shown, in characters; what is
// longer is cut where the person sees it. Amount and payee have otp.MaxAmount and
// otp.MaxPayee.
const MaxBrand = 40

// Channel is a way to reach a person.
type Channel string

// The channels that send. WhatsApp, SMS and Call need a phone number, Email an
// e-mail address.
const (
	WhatsApp Channel = "whatsapp"
	SMS      Channel = "sms"
	Call     Channel = "call" // a voice call that says the code
	Email    Channel = "email"
)

// Channels is every channel that sends.
var Channels = []Channel{WhatsApp, SMS, Call, Email}

// Message is one message to one person.
type Message struct {
	// To is the address: a phone number in E.164, for Email an e-mail address.
	To string
	// Code is the one-time code in the form that the person types; empty for an
	// alert.
	Code string
	// Alert makes the message a warning instead: somebody has typed wrong codes
	// until none were left. It has no code, amount or payee.
	Alert bool
	// Recovered makes an alert say something else: that a recovery code was
	// used, of which CodesLeft remain.
	Recovered bool
	CodesLeft int
	// Brand is the name of the service that the person signs in to.
	Brand string
	// Purpose is what the code is for. "login" has words of its own.
	Purpose string
	// Locale is the language tag (BCP 47) that was asked for; "" leaves it to
	// the texts.
	Locale string
	// ValidFor is how long the code still works, rounded down to whole minutes
	// where it is shown (at least one).
	ValidFor time.Duration
	// Amount and Payee are what the person approves with this code (PSD2 RTS
	// art. 5); both are empty where there is nothing of the kind.
	Amount, Payee string
	// CanDeny is true where an answer of NO reaches the service and ends the
	// verification, so that the message may say so.
	CanDeny bool
	// Verification and Attempt (from 1) are what the provider's reports on this
	// message have to name; an alert has none.
	Verification otp.ID
	Attempt      int
}

// Speech is a message as a call says it: Before, the code character by
// character, Again, the code once more, After. An alert is Before alone.
type Speech struct {
	// Language is a tag that the provider has a voice for, like de-DE.
	Language             string
	Before, Again, After string
}

// What is wrong with a provider's request to us.
var (
	// ErrForged: it does not carry the provider's signature. It must have no
	// effect.
	ErrForged = errors.New("notify: not signed by the provider")
	// ErrMalformed: it is signed, and yet cannot be read.
	ErrMalformed = errors.New("notify: cannot be read")
)

// Report is what a provider tells of a message after it has taken it.
type Report struct {
	Verification otp.ID
	Attempt      int // from 1
	Status       otp.DeliveryStatus
	// Failure is why, for otp.Failed.
	Failure *Failure
}

// Inbound is a message that a person sent to us.
type Inbound struct {
	// From is the number that it came from, in E.164.
	From    string
	Channel Channel // WhatsApp or SMS
	Text    string
	// Payload is that of a pressed button, "" for a text.
	Payload string
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
	// Warn is true for an Undeliverable that is the operator's concern, too (a
	// carrier that filters our messages).
	Warn bool
	// Next is what may follow. After MayHaveSent nothing follows by itself.
	Next otp.Next
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
