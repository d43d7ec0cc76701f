package notify

import (
	"context"

	"twofa/internal/otp"
)

// Providers is the sender of a channel that has several providers, by their names. Each message
// names its provider.
type Providers map[string]Sender

// Send gives the message to the provider that it names.
func (p Providers) Send(ctx context.Context, m Message) error {
	if s := p[m.Provider]; s != nil {
		return s.Send(ctx, m)
	}
	return &Failure{Outcome: otp.OutcomeUnavailable, Unasked: true, Detail: "the service does not have the provider any more"}
}

// ShowsTransaction implements TransactionShower: every provider has to show it, because any of them
// may send the message.
func (p Providers) ShowsTransaction() bool {
	for _, s := range p {
		if shower, ok := s.(TransactionShower); ok && !shower.ShowsTransaction() {
			return false
		}
	}
	return true
}
