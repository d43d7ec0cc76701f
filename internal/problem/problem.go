// Package problem has the one error type that the service answers with: a kind, as
// in the wire format (docs/errors.md), and the other contents of the answer.
//
// Nothing in an Error may hold an address, a code, a secret or another program's
// error text. Err is for the log only, and has to be safe to log.
package problem

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what went wrong. The handler package maps each kind to an HTTP status.
type Kind string

// The kinds. An answer's type is "urn:twofa:" and the kind.
const (
	// InvalidRequest: the client has to change the request. See Error.Fields.
	InvalidRequest Kind = "invalid_request"
	// Unauthorized: the request has no client's credentials, or wrong ones.
	Unauthorized Kind = "unauthorized"
	// Forbidden: the request has no valid signature, comes from another site, or needs a
	// scope that its client does not have.
	Forbidden Kind = "forbidden"
	// NotFound: there is no such verification, user, app or path.
	NotFound Kind = "not_found"
	// MethodNotAllowed: the path exists, but not with this method.
	MethodNotAllowed Kind = "method_not_allowed"
	// PreconditionFailed: If-Match or If-None-Match does not hold.
	PreconditionFailed Kind = "precondition_failed"
	// PayloadTooLarge: the body is over the limit.
	PayloadTooLarge Kind = "payload_too_large"
	// UnsupportedMediaType: the body is neither JSON nor a form.
	UnsupportedMediaType Kind = "unsupported_media_type"
	// IdempotencyConflict: the Idempotency-Key came with another request before.
	IdempotencyConflict Kind = "idempotency_conflict"

	// WrongCode: the code or the transaction is wrong. The try is counted.
	WrongCode Kind = "wrong_code"
	// AlreadyUsed: the verification was approved before.
	AlreadyUsed Kind = "already_used"
	// NotYetApproved: the person's own message has not arrived.
	NotYetApproved Kind = "not_yet_approved"
	// Expired: the code has expired, or its secret was removed or retired.
	Expired Kind = "expired"
	// Canceled: the client ended the verification.
	Canceled Kind = "canceled"
	// Denied: the person ended the verification.
	Denied Kind = "denied"
	// TooManyChecks: a limit on wrong codes is reached.
	TooManyChecks Kind = "too_many_checks"

	// TooManySends: a limit on messages is reached.
	TooManySends Kind = "too_many_sends"
	// ResendTooSoon: the pause after the last message is not over.
	ResendTooSoon Kind = "resend_too_soon"
	// DestinationRefused: the service or its provider does not send to the address.
	DestinationRefused Kind = "destination_refused"
	// Undeliverable: no channel reaches the address.
	Undeliverable Kind = "undeliverable"
	// ProviderUnavailable: the provider did not accept the message, or did not answer.
	ProviderUnavailable Kind = "provider_unavailable"
	// ProviderMisconfigured: the provider refuses the operator's settings.
	ProviderMisconfigured Kind = "provider_misconfigured"

	// TooManyChanges: a limit on changes of a user's factors is reached. Nothing was
	// changed.
	TooManyChanges Kind = "too_many_changes"

	// Busy: too many other requests do the same expensive work. Nothing was changed.
	Busy Kind = "busy"
	// StorageUnavailable: it is unknown whether the change was stored.
	StorageUnavailable Kind = "storage_unavailable"
	// Internal: a defect, or a row that cannot be read.
	Internal Kind = "internal"
)

// Error is a refusal or a failure, with the contents of its answer.
type Error struct {
	Kind Kind
	// Detail tells the developer of the client what is wrong and what to do.
	Detail string
	// Fields are the faults of an InvalidRequest.
	Fields []Field
	// ChecksLeft is how many wrong codes are left, nil if the answer does not say.
	ChecksLeft *int
	// RetryAfter is the pause before a repetition can succeed, 0 if unknown.
	RetryAfter time.Duration
	// Alerted is true if the person was warned of the wrong codes.
	Alerted bool
	// Replaced is true if a wrong code is out of an earlier message, and a newer code
	// was sent since.
	Replaced bool
	// ID is the verification of a send that failed, else "". The verification is
	// stored, and its message may have arrived.
	ID string
	// Err is the cause, for the log only.
	Err error
}

// Field is one fault of a request.
type Field struct {
	Name    string // dotted, as context.amount
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err != nil {
		return string(e.Kind) + ": " + e.Err.Error()
	}
	return string(e.Kind)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether err is, or wraps, an Error of one of the kinds.
func Is(err error, kinds ...Kind) bool {
	e, ok := errors.AsType[*Error](err)
	for _, kind := range kinds {
		if ok && e.Kind == kind {
			return true
		}
	}
	return false
}

// Invalid returns an InvalidRequest with one field.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Kind: InvalidRequest, Fields: []Field{{field, fmt.Sprintf(format, args...)}}}
}

// Unexpected returns an Internal error with its cause, which has to be safe to log.
func Unexpected(cause error) *Error { return &Error{Kind: Internal, Err: cause} }

// Faults collects the faults of a request, so that one answer names all of them.
// The zero Faults has none.
type Faults struct {
	fields []Field
}

// Add adds a fault of a field.
func (f *Faults) Add(field, format string, args ...any) {
	f.fields = append(f.fields, Field{field, fmt.Sprintf(format, args...)})
}

// AddAll adds the fields of an InvalidRequest. It does nothing for nil.
func (f *Faults) AddAll(err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		f.fields = append(f.fields, e.Fields...)
	}
}

// AddAs is AddAll, but all faults get the name of one field.
func (f *Faults) AddAs(field string, err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		for _, fault := range e.Fields {
			f.Add(field, "%s", fault.Message)
		}
	}
}

// Err returns an InvalidRequest with all faults, nil if there are none.
func (f *Faults) Err() error {
	if len(f.fields) == 0 {
		return nil
	}
	return &Error{Kind: InvalidRequest, Fields: f.fields}
}
