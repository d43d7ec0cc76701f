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
	// Since is from when on the account has had it, of App and Recovery. Its addresses have their own times.
	Since time.Time `json:"s,omitzero"`
	// Test is true if Address is a test number.
	Test bool `json:"x,omitzero"`
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

// Methods is the claim amr of proofs (RFC 8176), with mfa if they are strong: see Strong. There is no value for a
// recovery code.
func Methods(proofs []Proof, strong bool) []string {
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
	if strong {
		add("mfa")
	}
	return methods
}

// Has is which factors an account has that need no message.
type Has struct {
	App, Recovery bool
	// AppSince is when the oldest app was added, RecoverySince when the recovery codes were made.
	AppSince, RecoverySince time.Time
}

// since is from when on the account has had a factor of a kind, zero if it has none.
func (h Has) since(k Kind) (at time.Time) {
	switch {
	case k == App && h.App:
		at = h.AppSince
	case k == Recovery && h.Recovery:
		at = h.RecoverySince
	}
	return at
}

// forHold reports whether something was the account's for Hold, since at. A zero at is of what it does not have.
func forHold(at, now time.Time) bool { return !at.IsZero() && now.Sub(at) >= Hold }

// Seen is what the account knows of the browser of a sign-in.
type Seen struct {
	// Known is true if the account was proven there before. Trusted is true if a second thing was, and the device is
	// remembered.
	Known, Trusted bool
}

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
// them. seen is the browser. stale is how long an address can be unused before it does not suffice alone where the
// account has another factor.
//
// An app or a recovery code suffices beside a proven address, or in a known browser. What was added lately does not
// suffice without something that was held for Hold.
func (s State) Suffices(proofs []Proof, has Has, seen Seen, stale time.Duration, now time.Time) bool {
	held, opened, app := false, false, false
	for _, p := range proofs {
		a, ok := s.Find(p.Address)
		switch {
		case p.Kind == App || p.Kind == Recovery:
			isHeld := forHold(p.Since, now)
			held, app = held || isHeld, app || isHeld
		case !ok || !s.Opens(p.Address):
		case s.alone(a, has, stale, now):
			return true
		default:
			opened, held = true, held || s.isHeld(a, now)
		}
	}
	return app && seen.Known || opened && (seen.Trusted || held && len(kinds(proofs)) > 1)
}

// Strong reports whether proofs are of two different kinds, each of which the account has had for Hold, or since it was
// made: who has stolen one thing cannot make a second one of it at once.
func (s State) Strong(proofs []Proof, now time.Time) bool { return len(kinds(s.held(proofs, now))) > 1 }

// held are the proofs of what the account has had for Hold.
func (s State) held(proofs []Proof, now time.Time) (held []Proof) {
	for _, p := range proofs {
		if a, ok := s.Find(p.Address); ok && s.isHeld(a, now) || forHold(p.Since, now) {
			held = append(held, p)
		}
	}
	return held
}

// CanBeStronger reports whether the person could prove something beside the proofs that would make them strong.
func (s State) CanBeStronger(proofs []Proof, has Has, now time.Time) bool {
	for _, k := range s.Others(has, proofs) {
		a, _ := s.Find(s.Of(k))
		if s.isHeld(a, now) || forHold(has.since(k), now) {
			return true
		}
	}
	return false
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

// Relies reports whether one of the proofs is of something that the account has had for Hold, or of an address that it
// has had since it was made, and is not older than Fresh: a change of the account relies on it.
func (s State) Relies(proofs []Proof, now time.Time) bool {
	return slices.ContainsFunc(s.held(proofs, now), func(p Proof) bool { return youngerThan(Fresh, p.At, now) })
}
