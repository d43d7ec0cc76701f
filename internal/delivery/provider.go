package delivery

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"

	"twofa/internal/breaker"
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
)

// Down returns the providers of the channels that fail for everybody at present: see
// [breaker.Breaker.Down].
func (s *Sender) Down(channels []channel.Channel) []string {
	var names []string
	for _, c := range channels {
		for _, name := range s.Policy.Routes[c] {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return s.Breaker.Down(names, s.Now())
}

// providerOf is the name of a route's provider for the log, "" if nobody knows one.
func (s *Sender) providerOf(by channel.Route) string {
	return cmp.Or(by.Provider, s.Senders.Provider(by.Channel))
}

// noteSent notes what a message that was given to a provider says about the provider. A request
// that its client has given up says nothing.
func (s *Sender) noteSent(ctx context.Context, provider string, err error) {
	if provider == "" || errors.Is(context.Cause(ctx), context.Canceled) {
		return
	}
	var f *notify.Failure
	if err != nil {
		f, _ = asFailure(err)
	}
	if o, ok := outcomeOf(f); ok {
		s.Breaker.Note(provider, o, s.Now())
	}
}

// noteReported notes what a failure says about the provider that reports it later.
func (s *Sender) noteReported(provider string, f *notify.Failure) {
	if o, ok := outcomeOf(f); ok && provider != "" {
		s.Breaker.Report(provider, o, s.Now())
	}
}

// outcomeOf returns what a failure says about the provider, nil for a message that it accepted. ok
// is false if it says nothing. A wrong setting of one channel, such as a missing template, is no
// fault of the provider's: its other channels work. A refusal without a known reason may be the
// address's.
func outcomeOf(f *notify.Failure) (o breaker.Outcome, ok bool) {
	switch {
	case f == nil:
		return breaker.Works, true
	case f.Unasked:
		return 0, false
	case f.Outcome == otp.OutcomeMisconfigured && f.Next == otp.NextAddress:
		return breaker.Refuses, true
	case f.Outcome == otp.OutcomeUnavailable && !f.Unexplained:
		return breaker.Fails, true
	}
	return breaker.Works, true
}

// LogProviders returns what tells the operator, once each time, that a provider begins or ends to
// be passed over.
func LogProviders(log *slog.Logger) func(provider string, down bool) {
	return func(provider string, down bool) {
		if down {
			log.Error("a provider fails for everybody: messages go over other providers first, and one message a minute tries it (docs/runbooks/provider-down.md)", "provider", provider)
			return
		}
		log.Info("the provider works again", "provider", provider)
	}
}
