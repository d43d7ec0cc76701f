package account

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"

	"twofa/internal/window"
)

// The bounds of lists.
const (
	// MaxBrowsers is how many browsers an account knows. The one that was used longest ago is dropped.
	MaxBrowsers = 20
	// MaxConsents is how many clients a person has consented to. The oldest is dropped: the person is
	// asked again.
	MaxConsents = 50
)

// SessionID is random, and only in the cookie of a browser. The account has its hash.
type SessionID [16]byte

// NewSessionID draws an id.
func NewSessionID() (id SessionID) {
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return id
}

func (id SessionID) hash() (h [16]byte) {
	sum := sha256.Sum256(id[:])
	return [16]byte(sum[:])
}

// KnownFor is how long an account knows a browser after the last sign-in there.
const KnownFor = 90 * window.Day

// Browser is one in which the person has signed in, and whose device nobody else uses. It is signed in until its
// session ends, and known after that.
type Browser struct {
	ID [16]byte `json:"i"` // the hash of the SessionID
	// Before is the hash of the id that ID has replaced: whoever comes with that has a copy of an old cookie.
	Before [16]byte `json:"b,omitzero"`
	// Label tells the person which browser it is, like "Firefox, Android". "" if that is not known.
	Label string `json:"l,omitzero"`
	// Client is where the person signed in last, At when the last thing was proven there: the claim auth_time.
	Client string    `json:"c"`
	At     time.Time `json:"t"`
	Proofs []Proof   `json:"p"`
	// Strong is true if the session is one after two things were proven: see State.Strong. ByTrust is true if one of
	// them was proven at TrustedAt, and not for this session.
	Strong  bool `json:"g,omitzero"`
	ByTrust bool `json:"r,omitzero"`
	// SignedOut is true if the person has ended the session.
	SignedOut bool `json:"o,omitzero"`
	// TrustedAt is when two things were proven, and the person wanted the device to be remembered. Zero: it is not.
	TrustedAt time.Time `json:"d,omitzero"`
}

// SignedIn reports whether the browser has a session that is younger than lifetime.
func (b Browser) SignedIn(lifetime time.Duration, now time.Time) bool {
	return !b.SignedOut && youngerThan(lifetime, b.At, now)
}

// Trusted reports whether the device is remembered, for that long.
func (b Browser) Trusted(trustFor time.Duration, now time.Time) bool {
	return !b.TrustedAt.IsZero() && youngerThan(trustFor, b.TrustedAt, now)
}

// youngerThan allows for clocks that differ.
func youngerThan(age time.Duration, at, now time.Time) bool {
	is := now.Sub(at)
	return is < age && is >= -window.MaxSkew
}

// Browser returns the browser with an id, if the account knows it. epoch is that of its cookie.
func (s State) Browser(id SessionID, epoch int64, now time.Time) (Browser, bool) {
	b := s.byID(id)
	if b.ID == ([16]byte{}) || epoch != s.Epoch {
		return Browser{}, false
	}
	return b, youngerThan(KnownFor, b.At, now)
}

// Entry is how somebody signs in.
type Entry struct {
	// Proofs have to suffice: see Suffices.
	Proofs []Proof
	Client string
	// ID is that of the browser from now on, zero if other people use it: then it is not known. Before is the one that
	// it had, zero for none.
	ID, Before SessionID
	Label      string
	// Strong and ByTrust are as those of a Browser.
	Strong, ByTrust bool
	// Trust is true if the device is to be remembered, for which two things have to be proven now.
	Trust bool
}

// SignIn is the account after somebody has signed in: the first one makes the account. Use refreshes the addresses.
// An id of the browser from before the last sign-in there ends what is known of the browser: one of the two who have
// it has a copy.
func (s State) SignIn(in Entry, now time.Time) State {
	s = s.Settle(now)
	at := window.Stamp(now)
	if s.MadeAt.IsZero() {
		s.MadeAt = at
	}
	for i := range s.Addresses {
		a := &s.Addresses[i]
		if !slices.ContainsFunc(in.Proofs, func(p Proof) bool { return p.Address == a.Text }) {
			continue
		}
		if a.ProvenAt.IsZero() {
			a.AddedAt = at
		}
		a.ProvenAt = at
		a.Test = slices.ContainsFunc(in.Proofs, func(p Proof) bool { return p.Address == a.Text && p.Test })
	}
	was := s.byID(in.Before)
	s = s.Forget(in.Before)
	if in.ID == (SessionID{}) {
		return s
	}
	b := Browser{ID: in.ID.hash(), Before: was.ID, Label: in.Label, Client: in.Client, At: Newest(in.Proofs), Proofs: in.Proofs, Strong: in.Strong, ByTrust: in.ByTrust, TrustedAt: was.TrustedAt}
	if in.Trust && in.Strong && !in.ByTrust {
		b.TrustedAt = at
	}
	return s.keep(b)
}

// byID is the browser with an id, zero if there is none.
func (s State) byID(id SessionID) Browser {
	h := id.hash()
	for _, b := range s.Browsers {
		if subtle.ConstantTimeCompare(b.ID[:], h[:]) == 1 {
			return b
		}
	}
	return Browser{}
}

// keep keeps a browser. The ones that were used longest ago are dropped.
func (s State) keep(b Browser) State {
	s.Browsers = append(slices.DeleteFunc(slices.Clone(s.Browsers), func(o Browser) bool { return o.ID == b.ID }), b)
	s.Browsers = s.Browsers[max(0, len(s.Browsers)-MaxBrowsers):]
	return s
}

// Stay keeps the browser in which a change of the account was made, after which no other one is known. Its device is
// remembered no more.
func (s State) Stay(b Browser) State {
	b.TrustedAt = time.Time{}
	if b.ByTrust {
		b.Strong, b.ByTrust = false, false
	}
	return s.keep(b)
}

// Forget ends what is known of a browser, by its id or the one before.
func (s State) Forget(id SessionID) State {
	h := id.hash()
	s.Browsers = slices.DeleteFunc(slices.Clone(s.Browsers), func(b Browser) bool { return b.ID == h || b.Before == h })
	return s
}

// ForgetRef is Forget for a browser that a form names: see BrowserRef.
func (s State) ForgetRef(ref string) State {
	s.Browsers = slices.DeleteFunc(slices.Clone(s.Browsers), func(b Browser) bool { return s.BrowserRef(b) == ref })
	return s
}

// BrowserRef names a browser in forms. It is no SessionID.
func (s State) BrowserRef(b Browser) string { return s.derived("browser", string(b.ID[:]))[:16] }

// End ends the session of a browser. It stays known.
func (s State) End(id SessionID) State {
	h := id.hash()
	s.Browsers = slices.Clone(s.Browsers)
	for i, b := range s.Browsers {
		s.Browsers[i].SignedOut = b.SignedOut || b.ID == h
	}
	return s
}

// Consent is what a person lets a client know.
type Consent struct {
	Client string    `json:"c"`
	Scopes []string  `json:"s"`
	At     time.Time `json:"t"`
}

// HasConsent reports whether the person has consented that the client gets all these scopes.
func (s State) HasConsent(client string, scopes []string) bool {
	i := slices.IndexFunc(s.Consents, func(c Consent) bool { return c.Client == client })
	return i >= 0 && !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(s.Consents[i].Scopes, scope) })
}

// Consent remembers that the person lets the client have the scopes, beside those from before.
func (s State) Consent(client string, scopes []string, now time.Time) State {
	c := Consent{Client: client, Scopes: slices.Clone(scopes), At: window.Stamp(now)}
	s.Consents = slices.Clone(s.Consents)
	if i := slices.IndexFunc(s.Consents, func(c Consent) bool { return c.Client == client }); i >= 0 {
		for _, scope := range s.Consents[i].Scopes {
			if !slices.Contains(c.Scopes, scope) {
				c.Scopes = append(c.Scopes, scope)
			}
		}
		s.Consents = slices.Delete(s.Consents, i, i+1)
	}
	s.Consents = append(s.Consents, c)
	s.Consents = s.Consents[max(0, len(s.Consents)-MaxConsents):]
	return s
}

// WithdrawRef takes back what the person lets a client know that a form names: see Ref.
func (s State) WithdrawRef(ref string) State {
	s.Consents = slices.DeleteFunc(slices.Clone(s.Consents), func(c Consent) bool { return s.Ref(c.Client) == ref })
	return s
}
