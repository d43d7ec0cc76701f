package account

import (
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/window"
)

// Kind is what a person proves to hold. All that reaches one number is one kind, and so is all that
// reaches one mailbox.
type Kind string

// The kinds.
const (
	Phone    Kind = "phone"
	Email    Kind = "email"
	App      Kind = "app" // an authenticator app
	Recovery Kind = "recovery"
)

// Proof says that a person has proven to hold something.
type Proof struct {
	Kind Kind `json:"k"`
	// Address and Channel are of Phone and Email.
	Address string          `json:"a,omitzero"`
	Channel channel.Channel `json:"c,omitzero"`
	At      time.Time       `json:"t"`
}

// KindOf is the kind of an address.
func KindOf(text string) Kind { return Address{Text: text}.kind() }

// Newest is when the last one of proofs was made.
func Newest(proofs []Proof) (at time.Time) {
	for _, p := range proofs {
		at = window.Later(at, p.At)
	}
	return window.Stamp(at)
}

// kinds lists the different kinds of proofs.
func kinds(proofs []Proof) (list []Kind) {
	for _, p := range proofs {
		if !slices.Contains(list, p.Kind) {
			list = append(list, p.Kind)
		}
	}
	return list
}

// Strong reports whether proofs are of two different kinds.
func Strong(proofs []Proof) bool { return len(kinds(proofs)) > 1 }

// Methods is the claim amr of proofs (RFC 8176). There is no value for a recovery code.
func Methods(proofs []Proof) []string {
	methods := []string{}
	add := func(m string) {
		if !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	for _, p := range proofs {
		if p.Kind != Recovery {
			add("otp")
		}
		switch p.Channel {
		case channel.SMS:
			add("sms")
		case channel.Call:
			add("tel")
		}
	}
	if Strong(proofs) {
		add("mfa")
	}
	return methods
}

// Has is which factors an account has that need no message.
type Has struct{ App, Recovery bool }

// Others lists the kinds that the person could prove beside the proofs.
func (s State) Others(has Has, proofs []Proof) (others []Kind) {
	proven := kinds(proofs)
	for _, o := range []struct {
		kind Kind
		has  bool
	}{{App, has.App}, {Phone, s.Phone() != ""}, {Email, s.Email() != ""}, {Recovery, has.Recovery}} {
		if o.has && !slices.Contains(proven, o.kind) {
			others = append(others, o.kind)
		}
	}
	return others
}

// isHeld reports whether an address was proven and was the account's for Hold, or has been since the account
// was made. The time after it was replaced does not count.
func (s State) isHeld(a Address, now time.Time) bool {
	until := now
	if !a.ReplacedAt.IsZero() {
		until = a.ReplacedAt
	}
	return !a.ProvenAt.IsZero() && (!a.AddedAt.After(s.MadeAt) || until.Sub(a.AddedAt) >= Hold)
}

// IsNew reports whether an address was proven and cannot be used alone yet.
func (s State) IsNew(a Address, now time.Time) bool { return a.present() && !s.isHeld(a, now) }

// Suffices reports whether proofs sign in to the account, which has to be settled and is as it was before
// them. known is true in a browser in which the account was proven before. stale is how long an address
// can be unused before it does not suffice alone where the account has another factor.
//
// An app or a recovery code suffices beside a proven address, or in a known browser.
func (s State) Suffices(proofs []Proof, has Has, known bool, stale time.Duration, now time.Time) bool {
	held, opened, app := false, false, false
	for _, p := range proofs {
		a, ok := s.Find(p.Address)
		switch {
		case p.Kind == App || p.Kind == Recovery:
			app = true
		case !ok || !s.Opens(p.Address):
		case s.alone(a, has, stale, now):
			return true
		default:
			opened, held = true, held || s.isHeld(a, now)
		}
	}
	return app && (opened || known) || held && Strong(proofs)
}

// alone reports whether an address suffices alone.
func (s State) alone(a Address, has Has, stale time.Duration, now time.Time) bool {
	switch {
	case s.MadeAt.IsZero(), now.Sub(a.UnlockedAt) < Unlocked:
		return true
	case !s.isHeld(a, now):
		return false
	}
	return now.Sub(a.ProvenAt) < stale || len(s.Others(has, []Proof{{Kind: a.kind()}})) == 0
}

// Relies reports whether one of the proofs is of an address that the account has had for Hold, or since it
// was made, and is not older than Fresh: a change of the account relies on it.
func (s State) Relies(proofs []Proof, now time.Time) bool {
	return slices.ContainsFunc(proofs, func(p Proof) bool {
		if age := now.Sub(p.At); age >= Fresh || age < -window.MaxSkew {
			return false
		}
		a, ok := s.Find(p.Address)
		return ok && s.isHeld(a, now)
	})
}
