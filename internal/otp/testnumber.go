package otp

import (
	"time"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/internal/window"
)

// Scenario is what happens to the verifications of a test number. Developers of
// client apps and reviewers of app stores try every case with it. Nothing is ever
// sent.
type Scenario struct {
	Ending Ending
	Code   string // fixed, of the policy's shape
}

// Ending is how the verifications of a test number end.
type Ending uint8

// The endings.
const (
	NoScenario        Ending = iota
	EndsDelivered            // delivered over the first channel
	EndsUndeliverable        // refused on every channel
	EndsFallback             // failed on the first channel, delivered by SMS
	EndsExpired              // delivered, and expired at once
	EndsExhausted            // delivered, and its checks are spent
)

func (s Scenario) set() bool { return s.Ending != NoScenario }

// The provider's numbers of the failures: not on WhatsApp, a landline.
const (
	errorNotOnWhatsApp = 63024
	errorLandline      = 21614
)

// play writes the attempts and the status of the scenario. Nothing is sent, so that
// limits on sends do not hold. Limits on wrong codes do.
func (s Scenario) play(v *Verification, p Policy, now time.Time) {
	v.TestCode = s.Code
	fail := func(c channel.Channel, number int) {
		v.attempt(p.Routes.Of(c)[0], now)
		a := &v.Attempts[len(v.Attempts)-1]
		a.Status, a.Error = Failed, number
	}
	deliver := func(c channel.Channel) {
		v.attempt(p.Routes.Of(c)[0], now)
		v.Attempts[len(v.Attempts)-1].Status = Delivered
	}
	first := v.Workflow[0]
	switch s.Ending {
	case EndsUndeliverable:
		fail(first, errorNotOnWhatsApp)
		for _, c := range v.Workflow[1:] {
			fail(c, errorLandline)
		}
		v.Status, v.EndedAt = Undeliverable, window.Stamp(now)
	case EndsFallback:
		fail(first, errorNotOnWhatsApp)
		deliver(channel.SMS)
	case EndsExpired:
		deliver(first)
		v.ExpiresAt = now.UTC().Truncate(time.Second)
	case EndsExhausted:
		deliver(first)
		v.Checks = p.MaxChecks
	default:
		deliver(first)
	}
}

// maxPlayed is how many messages a verification of a test number has at most. No
// limit on sends holds for it, and the size of its row is limited.
const maxPlayed = 32

// mayPlay returns an error unless there is room for one more message.
func (v Verification) mayPlay(now time.Time) *problem.Error {
	if len(v.Attempts) < maxPlayed {
		return nil
	}
	return &problem.Error{
		Kind: problem.TooManySends, RetryAfter: v.ExpiresAt.Sub(now),
		Detail: "This verification of a test number has had its 32 messages. Start a new one.",
	}
}

// TestNumbers are the operator's test numbers.
type TestNumbers struct {
	Scenarios map[string]Scenario // by address (E.164)
	Until     time.Time           // from then on they are ordinary numbers
}

// Scenario returns that of a test number, the zero Scenario for any other address.
func (n TestNumbers) Scenario(address string, now time.Time) Scenario {
	if !now.Before(n.Until) {
		return Scenario{}
	}
	return n.Scenarios[address]
}
