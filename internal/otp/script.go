package otp

import (
	"time"

	"twofa/internal/problem"
	"twofa/internal/window"
)

// Script is what happens to the verifications of a test number, by which client
// apps and the reviewers of app stores try every case. Nothing is ever sent.
type Script struct {
	Ending Ending
	Code   string // fixed, of the policy's shape
}

// Ending is how a test number's verifications go.
type Ending uint8

// The endings.
const (
	NotScripted       Ending = iota
	EndsDelivered            // delivered over the first channel
	EndsUndeliverable        // refused on every channel
	EndsFallback             // failed on the first channel, delivered by SMS
	EndsExpired              // delivered, and its time is over at once
	EndsExhausted            // delivered, and its checks are spent
)

func (s Script) on() bool { return s.Ending != NotScripted }

// The provider's numbers in scripted failures: not on WhatsApp, a landline.
const (
	scriptedNotOnChannel = 63024
	scriptedLandline     = 21614
)

// play writes the attempts and the state that the script wants. Limits on
// sending do not hold for it, because nothing is sent; those on wrong codes do.
func (s Script) play(v *Verification, p Policy, now time.Time) {
	v.TestCode = s.Code
	fail := func(channel string, number int) {
		v.attempt(channel, now)
		a := &v.Attempts[len(v.Attempts)-1]
		a.Status, a.Error = Failed, number
	}
	deliver := func(channel string) {
		v.attempt(channel, now)
		v.Attempts[len(v.Attempts)-1].Status = Delivered
	}
	first := v.Workflow[0]
	switch s.Ending {
	case EndsUndeliverable:
		fail(first, scriptedNotOnChannel)
		for _, c := range v.Workflow[1:] {
			fail(c, scriptedLandline)
		}
		v.Status, v.EndedAt = Undeliverable, window.Stamp(now)
	case EndsFallback:
		fail(first, scriptedNotOnChannel)
		deliver("sms")
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

// maxPlayed is how many messages a test number's verification tells of. No limit
// on sending holds for it, and its row has an end.
const maxPlayed = 32

// mayPlay returns an error unless one more message may be told of.
func (v Verification) mayPlay(now time.Time) *problem.Error {
	if len(v.Attempts) < maxPlayed {
		return nil
	}
	return &problem.Error{
		Kind: problem.TooManySends, RetryAfter: v.ExpiresAt.Sub(now),
		Detail: "This verification of a test number has had its 32 messages. Start a new one.",
	}
}
