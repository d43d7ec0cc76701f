package notify

import (
	"context"

	"twofa/internal/otp"
)

// Providers is the sender of a channel that has several providers.
type Providers struct {
	// Names are those of the providers, in the order in which they are tried.
	Names []string
	// By has the sender of each of them.
	By map[string]Sender
}

// Send gives the message to the provider that it names. A message that names none, such as a
// warning, goes to the first one that accepts it: another one is asked only if the one before has
// certainly not sent it, for a reason that is not the address's.
func (p Providers) Send(ctx context.Context, m Message) error {
	if m.Provider != "" {
		if s := p.By[m.Provider]; s != nil {
			return s.Send(ctx, m)
		}
		return &Failure{Outcome: otp.OutcomeUnavailable, Detail: "the service does not have the provider any more"}
	}
	var err error
	for _, name := range p.Names {
		m.Provider = name
		if err = p.By[name].Send(ctx, m); !mayAskAnother(err) {
			return err
		}
	}
	return err
}

// mayAskAnother reports whether another provider may send the message.
func mayAskAnother(err error) bool {
	f, ok := asFailure(err)
	return ok && !f.MayHaveSent && (f.Outcome == otp.OutcomeUnavailable || f.Outcome == otp.OutcomeMisconfigured)
}

// ShowsTransaction implements TransactionShower: every provider has to show it, because any of them
// may send the message.
func (p Providers) ShowsTransaction() bool {
	for _, s := range p.By {
		if shower, ok := s.(TransactionShower); ok && !shower.ShowsTransaction() {
			return false
		}
	}
	return true
}

// Provider implements Namer: it is the name of the first one, which the log has for a message that
// names none.
func (p Providers) Provider() string { return p.Names[0] }
