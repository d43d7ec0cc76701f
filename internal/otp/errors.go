package otp

import (
	"fmt"
	"time"
)

// Kind is what went wrong, in the words of the wire format (docs/errors.md).
// The HTTP status of each is fixed in one place, handler's respond.go.
type Kind string

// The kinds.
const (
	InvalidRequest        Kind = "invalid_request"
	WrongCode             Kind = "wrong_code"
	NotFound              Kind = "not_found"
	AlreadyUsed           Kind = "already_used"
	NotYetApproved        Kind = "not_yet_approved"
	IdempotencyConflict   Kind = "idempotency_conflict"
	PreconditionFailed    Kind = "precondition_failed"
	Forbidden             Kind = "forbidden"
	KindExpired           Kind = "expired"
	KindCanceled          Kind = "canceled"
	KindDenied            Kind = "denied"
	TooManyChecks         Kind = "too_many_checks"
	TooManySends          Kind = "too_many_sends"
	ResendTooSoon         Kind = "resend_too_soon"
	DestinationRefused    Kind = "destination_refused"
	KindUndeliverable     Kind = "undeliverable"
	ProviderUnavailable   Kind = "provider_unavailable"
	ProviderMisconfigured Kind = "provider_misconfigured"
	StorageUnavailable    Kind = "storage_unavailable"
	PayloadTooLarge       Kind = "payload_too_large"
	UnsupportedMediaType  Kind = "unsupported_media_type"
	MethodNotAllowed      Kind = "method_not_allowed"
	Internal              Kind = "internal"
)

// Error is a refusal or a failure, with all that its answer says.
type Error struct {
	Kind Kind
	// Detail is a sentence for the client's developer: what is wrong and what
	// mends it. It never holds an address, a code or another's error text.
	Detail string
	// Fields says which fields are at fault, for InvalidRequest.
	Fields []Field
	// ChecksLeft is what remains of the verification, where that is the point.
	ChecksLeft *int
	// RetryAfter is when it is worth trying again; 0 says nothing.
	RetryAfter time.Duration
	// Alerted is true where the person was warned of the wrong codes.
	Alerted bool
	// ID is the verification that a failed send belongs to: it is kept, and the
	// message may have arrived.
	ID ID
	// Err is the cause, for the log only.
	Err error
}

// Field is one fault of a request.
type Field struct {
	Name    string
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	s := "otp: " + string(e.Kind)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Invalid is an InvalidRequest error for one field.
func Invalid(field, format string, args ...any) *Error {
	e := &Error{Kind: InvalidRequest}
	e.Add(field, format, args...)
	return e
}

// Add notes one more bad field.
func (e *Error) Add(field, format string, args ...any) {
	e.Fields = append(e.Fields, Field{Name: field, Message: fmt.Sprintf(format, args...)})
}
