package otp

import "time"

// DeliveryStatus is how far a message has come.
type DeliveryStatus string

// The delivery statuses, in the order in which one replaces another: a report
// that comes late or twice never takes a message back. A message that failed
// can still turn out to have been delivered; one that was delivered cannot fail.
const (
	Queued    DeliveryStatus = "queued"    // handed to the provider
	Sent      DeliveryStatus = "sent"      // on its way; a call that rings
	Failed    DeliveryStatus = "failed"    // it will not arrive
	Delivered DeliveryStatus = "delivered" // it is on the phone; the call was answered
	Read      DeliveryStatus = "read"      // it was opened
)

// Attempt is one message of a verification.
type Attempt struct {
	Channel string
	At      time.Time
	Status  DeliveryStatus
	// Error is the provider's number for a failure, 0 if there is none.
	Error int
	// MayRecover is true for a failure that is not the address's: the provider
	// was busy, or our settings are wrong. The channel may work later.
	MayRecover bool
}

// Next says what may follow a message that failed.
type Next uint8

// What may follow.
const (
	// NextChannel: any other channel may work.
	NextChannel Next = iota
	// NextCall: a call rather than anything else, for a number that gets no
	// texts (a landline, a filter); without a call in the workflow any other
	// channel.
	NextCall
	// NextAddress: no other channel to the same kind of address (there is no
	// such number, or the account itself is refused).
	NextAddress
	// NextNone: nothing at all, and no other message for a while either: the
	// provider takes it for fraud.
	NextNone
)
