package otp

import (
	"slices"
	"time"

	"twofa/internal/problem"
)

// maxSize bounds a recipient: its size is at least that of the bytes in which
// internal/recipient encodes it, and a row of the table holds 32 KiB. What is left is for
// wrong codes, notices and messages that follow failed ones, which are always counted.
const maxSize = 24 << 10

// NamesProviders reports whether something of the recipient has the name of a provider, or what
// only a provider with a name brings. Its row then has more.
func (r Recipient) NamesProviders() bool {
	named := func(a Attempt) bool {
		return a.Provider != "" || a.Refused || a.Asked != 0 || a.Call != (MessageHash{})
	}
	return slices.ContainsFunc(r.Preferred, func(p Preferred) bool { return p.Provider != "" || p.Alone }) ||
		slices.ContainsFunc(r.Verifications, func(v Verification) bool { return slices.ContainsFunc(v.Attempts, named) })
}

// size is an upper bound of the encoded size in bytes.
func (r Recipient) size() int {
	more := 0 // bytes for each message and each preferred route, beside the name
	if r.NamesProviders() {
		more = 11
	}
	n := 256 + 32*len(r.Suspects) + len(r.Address) + 8*len(r.Notices) + 16*len(r.Messages)
	for _, e := range r.Events {
		n += 10 + len(e.Client) + len(e.Name)
	}
	for _, t := range r.Tallies {
		n += 32 + len(t.Client) + 8*(len(t.Sends)+len(t.Failures)) + 24*len(t.Unlocks)
	}
	for _, p := range r.Preferred {
		n += 16 + len(p.Client) + len(p.Channel) + more + len(p.Provider)
	}
	for _, p := range r.Replays {
		n += 144 + len(p.Caller.Client) + len(p.ID) + len(p.Purpose) + len(p.Channel)
	}
	for _, v := range r.Verifications {
		n += v.size(more)
	}
	return n
}

func (v Verification) size(more int) int {
	n := 112 + len(v.ID) + len(v.Client) + len(v.Purpose) + len(v.User) + len(v.Other) + len(v.Locale) +
		len(v.Transaction.Amount) + len(v.Transaction.Payee) + len(v.TestCode)
	for _, c := range v.Workflow {
		n += 1 + len(c)
	}
	for _, a := range v.Attempts {
		n += 16 + len(a.Channel) + more + len(a.Provider)
	}
	return n
}

// makeRoom drops what is needed least until the recipient is within maxSize: first ended
// verifications whose approval nobody can fetch any more, then answers to repetitions, the
// oldest of all callers first. It never drops what the verification of that id needs. If
// the rest does not fit, it reports false, and how long until the first of the other
// pending verifications expires: MinResendLeft if there is none.
func (r *Recipient) makeRoom(id ID, now time.Time) (wait time.Duration, fits bool) {
	for r.size() > maxSize {
		if i := slices.IndexFunc(r.Verifications, func(v Verification) bool { return v.ID != id && v.mayForget(now) }); i >= 0 {
			r.Verifications = slices.Delete(r.Verifications, i, i+1)
			continue
		}
		if i := slices.IndexFunc(r.Replays, func(p Replay) bool { return p.ID != id && (!p.UnderWay || now.Sub(p.At) >= MaxRequest) }); i >= 0 {
			r.Replays = slices.Delete(r.Replays, i, i+1)
			continue
		}
		wait, pending := r.firstExpiry(now, func(v Verification) bool { return v.ID != id })
		if pending == 0 {
			wait = MinResendLeft
		}
		return wait, false
	}
	return 0, true
}

func errNoRoom(wait time.Duration) *problem.Error {
	return &problem.Error{
		Kind: problem.TooManySends, RetryAfter: wait,
		Detail: "This address has too many verifications pending; not only this client's count.",
	}
}
