// Package breaker knows which providers fail for everybody at present, so that messages go over
// others meanwhile.
//
// It knows what one process has seen: it is a hint, and no authority. It must never keep a message
// from being sent: who asks it may change the order in which providers are tried, and nothing else.
package breaker

import (
	"slices"
	"sync"
	"time"
)

// The rule: a provider is passed over for Pause if maxFailures of its last window messages failed
// for reasons that are not the address's, or if it refuses the account. Then the first message that
// goes over it tries it; the others wait for its outcome, Trial at most.
const (
	window      = 20
	maxFailures = 5
	Pause       = time.Minute
	Trial       = 30 * time.Second
)

// Outcome is what a message says about its provider.
type Outcome uint8

// The outcomes.
const (
	// Works: the provider accepted the message, or refused it because of the address.
	Works Outcome = iota
	// Fails: it did not answer, was busy, or answered with an error of its own.
	Fails
	// Refuses: it refuses the account or has no credit.
	Refuses
)

// Breaker is safe for concurrent use.
type Breaker struct {
	// Changed is called without a lock when a provider begins or ends to be passed over. nil: no.
	Changed func(provider string, down bool)

	mu        sync.Mutex
	providers map[string]*provider
}

type provider struct {
	last  []bool    // the last outcomes, the oldest first: true failed
	until time.Time // not zero: passed over until then
	trial time.Time // a message is tried since then, zero: none is
}

// Note notes the outcome of a message.
func (b *Breaker) Note(name string, o Outcome, now time.Time) {
	b.mu.Lock()
	p := b.of(name)
	was := !p.until.IsZero()
	switch {
	case o == Works && was && p.trial.IsZero(): // a message of before
	case o == Works && was:
		*p = provider{}
	case o == Works:
		p.add(false)
	case o == Refuses || was && !p.trial.IsZero() || p.add(true) >= maxFailures:
		p.until, p.trial, p.last = now.Add(Pause), time.Time{}, nil
	}
	changed := was == p.until.IsZero()
	b.mu.Unlock()
	if changed && b.Changed != nil {
		b.Changed(name, !was)
	}
}

// add adds an outcome and returns how many of the last ones failed.
func (p *provider) add(failed bool) (failures int) {
	if p.last = append(p.last, failed); len(p.last) > window {
		p.last = slices.Delete(p.last, 0, 1)
	}
	for _, f := range p.last {
		if f {
			failures++
		}
	}
	return failures
}

func (b *Breaker) of(name string) *provider {
	if b.providers == nil {
		b.providers = make(map[string]*provider)
	}
	if b.providers[name] == nil {
		b.providers[name] = new(provider)
	}
	return b.providers[name]
}

// Report notes the outcome of a message that the provider accepted earlier. While the provider is
// passed over it says nothing new, unless the provider refuses the account: it is not the message
// that is tried.
func (b *Breaker) Report(name string, o Outcome, now time.Time) {
	b.mu.Lock()
	ignored := o != Refuses && !b.of(name).until.IsZero()
	b.mu.Unlock()
	if !ignored {
		b.Note(name, o, now)
	}
}

// Down returns those of the providers that are passed over. One whose pause is over is not among
// them until a message begins to try it.
func (b *Breaker) Down(of []string, now time.Time) (down []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range of {
		if p := b.of(name); now.Before(p.until) || p.isTried(now) {
			down = append(down, name)
		}
	}
	return down
}

// Begin says that a message now goes over a provider. If its pause is over, the message tries it.
// A few messages that had asked at the same moment may try it, too.
func (b *Breaker) Begin(name string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.of(name); !p.until.IsZero() && !now.Before(p.until) && !p.isTried(now) {
		p.trial = now
	}
}

// isTried reports whether the outcome of a message that tries the provider is awaited.
func (p *provider) isTried(now time.Time) bool {
	return !p.trial.IsZero() && now.Before(p.trial.Add(Trial))
}
