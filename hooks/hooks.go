// Package hooks receives the requests of the messaging provider: reports on
// messages, and messages that people wrote.
//
// These requests have no function key; the provider's signature takes its place. So
// the package must never act on a request before the signature is checked, and must
// never log or return any part of a request, signed or not.
package hooks

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"twofa/internal/notify"
	"twofa/internal/problem"
)

// Provider reads the provider's requests and checks their signature.
type Provider interface {
	// Report and Inbound read a status report and a person's message. For
	// errors.Is, the error is notify.ErrForged unless the request has the provider's
	// signature and one reading. If a signed request is not for our account and
	// senders, it is notify.ErrForeign; if it cannot be read, notify.ErrMalformed. A
	// body over the limit is a *problem.Error of kind PayloadTooLarge. With any error
	// the result must not be used.
	Report(r *http.Request) (notify.Report, error)
	Inbound(r *http.Request) (notify.Inbound, error)
	// Reply returns the answer that has the provider send the text to the person.
	// "": nothing is sent.
	Reply(text string) (contentType string, body []byte)
}

// Deliveries stores what became of messages.
type Deliveries interface {
	// Report stores a report. The same report may come several times, and reports
	// may come out of order. A *problem.Error of kind NotFound means that the
	// verification is gone.
	Report(ctx context.Context, r notify.Report) error
}

// Inbox acts on a person's message.
type Inbox interface {
	// Receive returns the reply to the person. "": none.
	Receive(ctx context.Context, m notify.Inbound) (reply string, err error)
}

// Service answers the provider's requests. If Provider is nil, it refuses all of
// them; else the other two have to be set.
type Service struct {
	Provider   Provider
	Deliveries Deliveries
	Inbox      Inbox
}

// Reply is the answer to the provider. With an empty Body it is 204 No Content.
type Reply struct {
	ContentType string
	Body        []byte
}

// Status receives a report on a message. Its errors are:
//   - a *problem.Error of kind NotFound if callbacks are off;
//   - of kind Forbidden if the signature is missing or wrong, or if the request is
//     not for our account and senders;
//   - of kind PayloadTooLarge if the body is over the limit;
//   - of kind InvalidRequest if the request is signed, but cannot be read;
//   - those of Deliveries, except NotFound: the verification of a late report may be
//     gone, and the provider need not send the report again.
func (s *Service) Status(r *http.Request) (Reply, error) {
	if s.Provider == nil {
		return Reply{}, errOff
	}
	report, err := s.Provider.Report(r)
	if err != nil {
		return Reply{}, refusal(err)
	}
	err = s.Deliveries.Report(r.Context(), report)
	if problem.Is(err, problem.NotFound) {
		return Reply{}, nil
	}
	return Reply{}, err
}

// Inbound receives a person's message. Its errors are those of Status, with all
// errors of Inbox instead of those of Deliveries.
func (s *Service) Inbound(r *http.Request) (Reply, error) {
	if s.Provider == nil {
		return Reply{}, errOff
	}
	message, err := s.Provider.Inbound(r)
	if err != nil {
		return Reply{}, refusal(err)
	}
	text, err := s.Inbox.Receive(r.Context(), message)
	if err != nil {
		return Reply{}, err
	}
	contentType, body := s.Provider.Reply(text)
	if len(body) == 0 {
		return Reply{}, nil
	}
	return Reply{ContentType: contentType, Body: body}, nil
}

var errOff = &problem.Error{
	Kind:   problem.NotFound,
	Detail: "Callbacks are off, because TWOFA_PUBLIC_URL is not set: without it no signature can be checked.",
}

// refusal returns the error that answers a Provider's error. Its cause, for the log,
// is an error of package notify or the type of the error, whose text may quote the
// request.
func refusal(err error) error {
	switch {
	case errors.Is(err, notify.ErrForged): // the signature is checked first
		return &problem.Error{
			Kind: problem.Forbidden,
			Detail: "The provider's signature over TWOFA_PUBLIC_URL and this request is missing or wrong. " +
				"If the provider did send it, check that TWOFA_PUBLIC_URL is exactly the public address that the provider calls, " +
				"scheme and host included, and that TWILIO_AUTH_TOKEN is the account's primary auth token.",
			Err: notify.ErrForged,
		}
	case errors.Is(err, notify.ErrForeign):
		return &problem.Error{
			Kind: problem.Forbidden,
			Detail: "The request is signed by the provider, but is for another account or another sender. Check TWILIO_ACCOUNT_SID, " +
				"and that TWILIO_WHATSAPP_FROM, TWILIO_SMS_FROM or TWILIO_MESSAGING_SERVICE_SID is what people write to.",
			Err: notify.ErrForeign,
		}
	case errors.Is(err, notify.ErrMalformed):
		return &problem.Error{
			Kind:   problem.InvalidRequest,
			Detail: "The request is signed by the provider, but this URL does not accept it. Check which URL the provider is set to call for what.",
			Err:    notify.ErrMalformed,
		}
	}
	if failed, ok := errors.AsType[*problem.Error](err); ok { // a body that is too large, for example
		return failed
	}
	return problem.Unexpected(fmt.Errorf("hooks: the request was not read: an error of type %T", err))
}
