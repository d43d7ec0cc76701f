// Package notify defines what a sender is: it sends one message with a one-time
// code to one address over one channel, and reports the outcome in terms that
// the service can act on.
//
// This package decides no limits and stores nothing. A sender must never log or
// return a code, a full address or a provider's raw error.
package notify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
	"unicode"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/shown"
)

// MaxBrand is the longest form in which a brand is shown, in characters. A
// longer brand is cut where it is shown. The limits of amount and payee are
// [otp.MaxAmount] and [otp.MaxPayee].
const MaxBrand = 40

// ReadBrand returns the form of a brand that an operator set, and whether it may be shown.
func ReadBrand(text string) (form string, ok bool) {
	form, fault := shown.Read(text, MaxBrand)
	return form, form != "" && fault == "" && !strings.Contains(form, "{{")
}

// MaxDetail is the longest form in which the place or the device of an event is shown,
// in characters.
const MaxDetail = 40

// Message is one message to one person.
type Message struct {
	// To is the address: a phone number in E.164, for Email an e-mail address.
	To string
	// Code is the one-time code in the form that the person types. Empty for an
	// alert.
	Code string
	// Alert makes the message a warning instead of a code: somebody has entered
	// wrong codes until no attempts were left. It has no code, amount or payee.
	Alert bool
	// Recovered makes the alert say that a recovery code was used. CodesLeft is
	// how many recovery codes remain.
	Recovered bool
	CodesLeft int
	// Notice makes the alert say that the user's factors or addresses have changed.
	// Empty: it is no notice.
	Notice Notice
	// Event makes the alert say what an app has noticed in the user's account. Empty: it
	// is no event. Place and Device are where, as the app knows them. Empty: unknown.
	Event         Event
	Place, Device string
	// Brand is the name of the service that the person signs in to.
	Brand string
	// Purpose is what the code is for. "login" has a text of its own.
	Purpose string
	// Locale is the requested language tag (BCP 47). Empty: the texts choose.
	Locale string
	// ValidFor is how long the code still works. It is shown in whole minutes,
	// rounded down, but at least one.
	ValidFor time.Duration
	// Amount and Payee are what the person approves with this code (PSD2 RTS
	// art. 5). Empty: the code approves no payment.
	Amount, Payee string
	// CanDeny is true if a reply of NO reaches the service and ends the
	// verification, so that the message may say so.
	CanDeny bool
	// Link is where the person can confirm without typing the code. Only a mail has it.
	// Empty: none.
	Link string
	// Provider is who sends the message: see [channel.Route]. Empty: the channel's only provider.
	Provider string
	// Verification and Attempt (from 1) identify this message in the provider's
	// delivery reports. An alert has neither.
	Verification otp.ID
	Attempt      int
}

// Notice is what has changed.
type Notice string

// The notices.
const (
	NoticeAppAdded      Notice = "app_added"      // an authenticator app was confirmed
	NoticeAppRemoved    Notice = "app_removed"    // an authenticator app was removed
	NoticeRecoveryCodes Notice = "recovery_codes" // new recovery codes were made
	NoticeAddress       Notice = "address"        // an address was added, replaced or removed
)

// And returns a notice of both, which is one message. "" is none.
func (n Notice) And(other Notice) Notice {
	if n == "" || other == "" {
		return n + other
	}
	return n + "+" + other
}

// Parts are the notices that n is made of by And.
func (n Notice) Parts() (parts []Notice) {
	for part := range strings.SplitSeq(string(n), "+") {
		parts = append(parts, Notice(part))
	}
	return parts
}

// Event is what an app has noticed in a user's account.
type Event string

// The events.
const (
	EventWrongPassword Event = "wrong_password" // a wrong password was tried
	EventNewSignIn     Event = "new_sign_in"    // a sign-in on a device that is new
	EventOther         Event = "other"          // any other unusual activity
)

// Events lists all events.
var Events = []Event{EventWrongPassword, EventNewSignIn, EventOther}

// Speech is a message as a call says it: Before, the code character by
// character, Again, the code once more, After. An alert has Before only.
type Speech struct {
	// Language is a tag for which the provider has a voice, such as de-DE.
	Language             string
	Before, Again, After string
}

// Why a request from the provider to this service is refused.
var (
	// ErrForged: the provider's signature is missing or wrong, or fits a second
	// request with another meaning. The request must have no effect.
	ErrForged = errors.New("notify: not signed by the provider")
	// ErrForeign: the request is signed, but belongs to another account, or to a
	// sender that is not the service's.
	ErrForeign = errors.New("notify: for another account or sender")
	// ErrUnrelated: the request is signed, and is about nothing that this service has done. It
	// needs no answer but that it has arrived.
	ErrUnrelated = errors.New("notify: about no message of this service")
	// ErrMalformed: the request is signed but cannot be read.
	ErrMalformed = errors.New("notify: cannot be read")
)

// Advice says which settings may be wrong if a provider's request is refused.
type Advice struct {
	// Forged ends the sentence "check that ...", Foreign the sentence "check ...".
	Forged, Foreign string
}

// Report is what a provider reports about a message after accepting it.
type Report struct {
	Verification otp.ID
	Attempt      int // from 1
	// Provider is who reports.
	Provider string
	Status   otp.DeliveryStatus
	// Failure is the reason if Status is [otp.Failed], nil otherwise.
	Failure *Failure
	// Asks is true for a call whose provider asks what it says: see [Question]. If it never
	// asked, the call that has ended has said nothing.
	Asks bool
}

// Question is a provider's question what a call says that a person has answered.
type Question struct {
	Verification otp.ID
	Attempt      int // from 1
	// Provider is who asks.
	Provider string
	// To is the number in E.164 that was called, as the provider writes it: it may be another
	// spelling of the number that the service called (phone.Variants).
	To string
	// CallID is the provider's id of the call. It may ask for one call several times.
	CallID string
}

// Inbound is a message from a person to the service.
type Inbound struct {
	// From is the sender's number in E.164, as the provider reports it: it may be
	// another spelling of the number that the service sends to (phone.Variants). Empty:
	// the sender is no number, but a short code, a name or an account without a number.
	From    string
	Channel channel.Channel // WhatsApp or SMS
	Text    string
	// Payload is the payload of the pressed button. Empty: a text.
	Payload string
	// OptOut is true if the provider has taken the message as a wish to get no more
	// messages. It is a denial, whatever the text is.
	OptOut bool
	// Keyword is true if the provider has taken the message as a request of another
	// kind to itself, for help or to opt in again. It is neither a denial nor an approval.
	Keyword bool
	// Answered is true if the provider has answered the person itself, so that no reply
	// may follow.
	Answered bool
	// MessageID is the provider's id of the message. It has an effect once.
	MessageID string
}

// Sender sends messages over one channel.
type Sender interface {
	// Send gives the message to the provider and returns when the provider has
	// accepted or refused it, at the latest when ctx ends. It returns nil if the
	// message was accepted, otherwise an error that is or wraps a *Failure.
	// After a failure that may have sent the message (see Failure.MayHaveSent),
	// Send never sends it again, except for one repetition as the provider's
	// rules allow. If ctx or a time-out ended the work, errors.Is also finds
	// context.Canceled or context.DeadlineExceeded in the error.
	Send(ctx context.Context, m Message) error
}

// TransactionShower is implemented by senders that may be unable to show Amount
// and Payee, because the provider's fixed template has no place for them.
type TransactionShower interface {
	// ShowsTransaction reports whether a message carries Amount and Payee.
	ShowsTransaction() bool
}

// Namer is implemented by senders that know who delivers their messages.
type Namer interface {
	// Provider returns the provider's name for the log: lower case, always the same.
	Provider() string
}

// Failure is why a message was not accepted. Its text is safe to log.
type Failure struct {
	// Outcome is what the failure means for what happens next. It is never
	// [otp.OutcomeSent].
	Outcome otp.Outcome
	// Code is the provider's own error number, 0 if unknown.
	Code int
	// Word is the provider's own word for the reason, such as "blocked_by_carrier", if it has
	// no numbers. Empty: unknown. It is one of a fixed list, never a text of the provider's
	// that nobody knows: it is logged, and such a text may hold a number or a code.
	Word string
	// Setting is the environment variable to look at, for
	// [otp.OutcomeMisconfigured].
	Setting string
	// Unasked is true if the sender refused the message itself: it says nothing about the
	// provider.
	Unasked bool
	// Unexplained is true if the provider refused this message for a reason that is not known:
	// the provider works.
	Unexplained bool
	// MayHaveSent is true if the message may have been sent nevertheless (a
	// time-out, or a server error after the request was written).
	MayHaveSent bool
	// Warn is true for an undeliverable message that the operator should know
	// of, such as when a carrier filters the service's messages.
	Warn bool
	// Next is what may follow. After MayHaveSent nothing follows automatically.
	Next otp.Next
	// RetryAfter is the pause that the provider asks for, 0 if unknown.
	RetryAfter time.Duration
	// Detail says in our own words what happened. It never holds the provider's
	// words, which quote addresses.
	Detail string
}

// Error implements error.
func (f *Failure) Error() string {
	s := "notify: " + f.Outcome.String()
	if f.Code != 0 {
		s += fmt.Sprintf(" (provider error %d)", f.Code)
	}
	if f.Word != "" {
		s += " (provider error " + f.Word + ")"
	}
	if f.Setting != "" {
		s += ", see " + f.Setting
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// Wrap returns the failure as an error that also wraps ended, the context error
// that ended the work. It returns the failure alone if ended is nil.
func (f *Failure) Wrap(ended error) error {
	if ended == nil {
		return f
	}
	return fmt.Errorf("%w (%w)", f, ended)
}

// Senders are the senders of a service, by channel.
type Senders map[channel.Channel]Sender

// Has reports whether messages can go over the channel.
func (s Senders) Has(c channel.Channel) bool { return s[c] != nil }

// Provider returns the name of the provider that a channel's messages go to, "" if the
// sender does not say.
func (s Senders) Provider(c channel.Channel) string {
	if namer, ok := s[c].(Namer); ok {
		return namer.Provider()
	}
	return ""
}

// Channels lists the channels, sorted.
func (s Senders) Channels() []channel.Channel { return slices.Sorted(maps.Keys(s)) }

// ShowsTransaction reports whether a message over the channel carries amount and
// payee.
func (s Senders) ShowsTransaction(c channel.Channel) bool {
	shower, ok := s[c].(TransactionShower)
	return !ok || shower.ShowsTransaction()
}

// OneLine makes a text from outside safe to show inside a sentence or a header:
// one line, no control characters, no invisible characters that reorder or hide
// text, at most limit characters.
func OneLine(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r): // also the line and the paragraph separator
			return ' '
		case r == '\u200c' || r == '\u200d':
			return r // the joiners are part of the spelling of Persian and Indic names
		case unicode.Is(unicode.Cf, r):
			return -1 // bidi controls, zero-width space, tag characters
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return Truncate(strings.Join(strings.Fields(s), " "), limit)
}

// Truncate cuts a text to at most limit characters, of which there are at least 3.
// A text that was cut ends with "...", because "…" would double the price of an SMS:
// the GSM alphabet lacks it.
func Truncate(s string, limit int) string {
	const cut = "..."
	if runes := []rune(s); len(runes) > limit {
		s = strings.TrimRight(string(runes[:limit-len(cut)]), " .") + cut
	}
	return s
}

// IsLoopback reports whether a host name or IP address is this machine itself,
// so that nobody else can read what is sent there.
func IsLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
