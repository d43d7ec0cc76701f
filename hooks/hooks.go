// Package hooks takes what the messaging provider tells us: what became of a
// message, and what a person wrote back.
//
// No function key stands before it, as the provider has none: the provider's
// signature is the key. So it must never act on a request before the signature is
// proven, and never log or return anything of a request, proven or not.
package hooks

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"twofa/internal/notify"
	"twofa/internal/problem"
)

// Provider reads and proves what the provider sent.
type Provider interface {
	// Report and Inbound read a status report and a person's message. They return
	// an error that is notify.ErrForged, for errors.Is, unless the request carries
	// the provider's signature, and one that is notify.ErrMalformed where it does
	// and can't be read. With any error the result is not to be used.
	Report(r *http.Request) (notify.Report, error)
	Inbound(r *http.Request) (notify.Inbound, error)
	// Reply is how the provider wants to be told what to send back to the person;
	// "" sends nothing.
	Reply(text string) (contentType string, body []byte)
}

// Deliveries keeps what became of messages.
type Deliveries interface {
	// Report notes a report. The same one may come several times and out of order.
	// An *problem.Error of kind NotFound means that there is no such verification any
	// more.
	Report(ctx context.Context, r notify.Report) error
}

// Inbox acts on what a person wrote.
type Inbox interface {
	// Receive returns what to answer the person, "" for nothing.
	Receive(ctx context.Context, m notify.Inbound) (reply string, err error)
}

// Service answers the provider's requests. Without a Provider (nil) it refuses
// them all; with one it needs the other two.
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

// Status takes a report on a message. Its errors are:
//   - *problem.Error of kind NotFound: callbacks are off;
//   - Forbidden: the signature is missing or wrong;
//   - InvalidRequest: it is signed, and can't be read;
//   - those of Deliveries but NotFound. That one is no error: a report may come when
//     the verification is gone, and is not worth sending again.
func (s *Service) Status(r *http.Request) (Reply, error) {
	if s.Provider == nil {
		return Reply{}, errOff
	}
	report, err := s.Provider.Report(r)
	if err != nil {
		return Reply{}, refusal(err)
	}
	err = s.Deliveries.Report(r.Context(), report)
	if failed, ok := errors.AsType[*problem.Error](err); ok && failed.Kind == problem.NotFound {
		return Reply{}, nil
	}
	return Reply{}, err
}

// Inbound takes a person's message. Its errors are those of Status, with all of
// Inbox's in place of Deliveries'.
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

// refusal is what a Provider's error means for the answer. The cause that is kept
// for the log is one of ours or the error's type: its text may quote the request.
func refusal(err error) error {
	switch {
	case errors.Is(err, notify.ErrForged): // first: of what is forged nothing else counts
		return &problem.Error{
			Kind: problem.Forbidden,
			Detail: "The provider's signature over TWOFA_PUBLIC_URL and this request is missing or wrong. " +
				"If the provider did send it, check that TWOFA_PUBLIC_URL is exactly the public address that the provider calls, " +
				"scheme and host included, and that TWILIO_AUTH_TOKEN is the account's primary auth token.",
			Err: notify.ErrForged,
		}
	case errors.Is(err, notify.ErrMalformed):
		return &problem.Error{
			Kind:   problem.InvalidRequest,
			Detail: "The request is signed by the provider, but it is not one that this address takes: see which address the provider was given for what.",
			Err:    notify.ErrMalformed,
		}
	}
	if failed, ok := errors.AsType[*problem.Error](err); ok { // as of a body that is too large
		return failed
	}
	return &problem.Error{Kind: problem.Internal, Err: fmt.Errorf("hooks: the request was not read: an error of type %T", err)}
}
