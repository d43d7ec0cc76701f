// Package hooks receives the requests of the messaging providers: reports on
// messages, messages that people wrote, and questions what a call says.
//
// These requests have no function key; the provider's signature takes its place. So
// the package must never act on a request before the signature is checked, and must
// never log or return any part of a request, signed or not.
package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"twofa/internal/notify"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
)

// Provider reads one provider's requests and checks their signature.
type Provider interface {
	// Report reads a status report. For errors.Is, the error is notify.ErrForged unless
	// the request has the provider's signature and one reading. If a signed request is
	// not for our account and senders, it is notify.ErrForeign; if it cannot be read,
	// notify.ErrMalformed. notify.ErrUnrelated is for a signed report on nothing of ours. A
	// body over the limit is a *problem.Error of kind PayloadTooLarge. With any error the
	// result must not be used.
	Report(r *http.Request) (notify.Report, error)
	// Advice says which settings to look at if a request is refused.
	Advice() notify.Advice
}

// Receiver is a provider over which people can write to the service.
type Receiver interface {
	// Inbound reads a person's message. Its errors are those of Report.
	Inbound(r *http.Request) (notify.Inbound, error)
	// Reply returns the answer that has the provider send the text to the person.
	// "": nothing is sent.
	Reply(text string) (contentType string, body []byte)
}

// Asker is a provider that asks what a call says.
type Asker interface {
	// Question reads such a question. Its errors are those of Report.
	Question(r *http.Request) (notify.Question, error)
	// Speech returns the answer that has the call say the message.
	Speech(m notify.Message) (contentType string, body []byte)
}

// Deliveries knows the messages.
type Deliveries interface {
	// Report stores what became of a message. The same report may come several times,
	// and reports may come out of order. A *problem.Error of kind NotFound means that
	// the verification is gone.
	Report(ctx context.Context, r notify.Report) error
	// Answer returns what a call says. Errors of kind NotFound and Forbidden mean that
	// there is no such call, or that nobody may ask about it any more.
	Answer(ctx context.Context, q notify.Question) (notify.Message, error)
}

// Inbox acts on a person's message.
type Inbox interface {
	// Receive returns the reply to the person. "": none.
	Receive(ctx context.Context, m notify.Inbound) (reply string, err error)
}

// Service answers the requests of the providers, which it has by name. It refuses all
// others.
type Service struct {
	Providers  map[string]Provider
	Deliveries Deliveries
	Inbox      Inbox
}

// Reply is the answer to the provider. With an empty Body it is 204 No Content.
type Reply struct {
	ContentType string
	Body        []byte
}

// Status receives a report on a message. Its errors are:
//   - a *problem.Error of kind NotFound if callbacks are off, or the provider does not
//     make such requests;
//   - of kind Forbidden if the signature is missing or wrong, or if the request is
//     not for our account and senders;
//   - of kind PayloadTooLarge if the body is over the limit;
//   - of kind InvalidRequest if the request is signed, but cannot be read;
//   - those of Deliveries, except NotFound: the verification of a late report may be
//     gone, and the provider need not send the report again.
func (s *Service) Status(provider string, r *http.Request) (Reply, error) {
	p, err := s.provider(r, provider)
	if err != nil {
		return Reply{}, err
	}
	report, err := p.Report(r)
	switch {
	case errors.Is(err, notify.ErrUnrelated):
		reqlog.Add(r.Context(), slog.String("report", "ignored: "+notify.ErrUnrelated.Error()))
		return Reply{}, nil
	case err != nil:
		return Reply{}, refusal(err, p.Advice())
	}
	err = s.Deliveries.Report(r.Context(), report)
	if problem.Is(err, problem.NotFound) {
		return Reply{}, nil
	}
	return Reply{}, err
}

// Inbound receives a person's message. Its errors are those of Status, with all
// errors of Inbox instead of those of Deliveries.
func (s *Service) Inbound(provider string, r *http.Request) (Reply, error) {
	p, err := s.provider(r, provider)
	if err != nil {
		return Reply{}, err
	}
	receiver, ok := p.(Receiver)
	if !ok {
		return Reply{}, errOther
	}
	message, err := receiver.Inbound(r)
	if err != nil {
		return Reply{}, refusal(err, p.Advice())
	}
	text, err := s.Inbox.Receive(r.Context(), message)
	if err != nil {
		return Reply{}, err
	}
	contentType, body := receiver.Reply(text)
	if len(body) == 0 {
		return Reply{}, nil
	}
	return Reply{ContentType: contentType, Body: body}, nil
}

// Answer answers a question what a call says. Its errors are those of Status, with all
// errors of Deliveries.
func (s *Service) Answer(provider string, r *http.Request) (Reply, error) {
	p, err := s.provider(r, provider)
	if err != nil {
		return Reply{}, err
	}
	asker, ok := p.(Asker)
	if !ok {
		return Reply{}, errOther
	}
	question, err := asker.Question(r)
	if err != nil {
		return Reply{}, refusal(err, p.Advice())
	}
	message, err := s.Deliveries.Answer(r.Context(), question)
	if err != nil {
		return Reply{}, err
	}
	contentType, body := asker.Speech(message)
	return Reply{ContentType: contentType, Body: body}, nil
}

// provider returns the provider of that name, and puts the name on the request's log line.
func (s *Service) provider(r *http.Request, name string) (Provider, error) {
	if len(s.Providers) == 0 {
		return nil, errOff
	}
	if p := s.Providers[name]; p != nil {
		reqlog.Add(r.Context(), slog.String("from_provider", name))
		return p, nil
	}
	return nil, errOther
}

var (
	errOff = &problem.Error{
		Kind:   problem.NotFound,
		Detail: "Callbacks are off, because TWOFA_PUBLIC_URL is not set (for Bird also BIRD_WEBHOOK_SECRET): without it no signature can be checked.",
	}
	errOther = &problem.Error{Kind: problem.NotFound, Detail: "The service does not use this provider, or expects no such requests of it."}
)

// refusal returns the error that answers a provider's error. Its cause, for the log,
// is an error of package notify or the type of the error, whose text may quote the
// request.
func refusal(err error, advice notify.Advice) error {
	switch {
	case errors.Is(err, notify.ErrForged): // the signature is checked first
		return &problem.Error{
			Kind: problem.Forbidden,
			Detail: "The provider's signature over TWOFA_PUBLIC_URL and this request is missing or wrong. " +
				"If the provider did send it, check that TWOFA_PUBLIC_URL is exactly the public address that the provider calls, " +
				"scheme and host included, and that " + advice.Forged + ".",
			Err: notify.ErrForged,
		}
	case errors.Is(err, notify.ErrForeign):
		return &problem.Error{
			Kind:   problem.Forbidden,
			Detail: "The request is signed by the provider, but is for another account or another sender. Check " + advice.Foreign + ".",
			Err:    notify.ErrForeign,
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
