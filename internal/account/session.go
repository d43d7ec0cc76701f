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
	// MaxSessions is how many sessions an account has. The oldest is dropped.
	MaxSessions = 20
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

// Session is that of a browser in which the person has signed in.
type Session struct {
	ID [16]byte `json:"i"` // the hash of the SessionID
	// Client is where the person signed in.
	Client string `json:"c"`
	// At is when the last thing was proven: the claim auth_time.
	At     time.Time `json:"t"`
	Proofs []Proof   `json:"p"`
}

// Session returns the session of an id, if the account has it and it is younger than lifetime. epoch is
// that of the cookie.
func (s State) Session(id SessionID, epoch int64, lifetime time.Duration, now time.Time) (Session, bool) {
	h := id.hash()
	for _, b := range s.Sessions {
		if subtle.ConstantTimeCompare(b.ID[:], h[:]) == 1 && epoch == s.Epoch {
			age := now.Sub(b.At)
			return b, age < lifetime && age >= -window.MaxSkew
		}
	}
	return Session{}, false
}

// SignIn is the account after somebody has signed in with proofs, which have to suffice: the first one
// makes the account. Use refreshes the addresses. The session is kept under the id, unless that is zero.
func (s State) SignIn(proofs []Proof, id SessionID, client string, now time.Time) State {
	s = s.Settle(now)
	at := window.Stamp(now)
	if s.MadeAt.IsZero() {
		s.MadeAt = at
	}
	for i := range s.Addresses {
		a := &s.Addresses[i]
		if !slices.ContainsFunc(proofs, func(p Proof) bool { return p.Address == a.Text }) {
			continue
		}
		if a.ProvenAt.IsZero() {
			a.AddedAt = at
		}
		a.ProvenAt = at
	}
	if id != (SessionID{}) {
		s = s.Stay(Session{ID: id.hash(), Client: client, At: Newest(proofs), Proofs: proofs})
	}
	return s
}

// Stay keeps a session, also over a change that has ended all. The oldest ones are dropped.
func (s State) Stay(b Session) State {
	s.Sessions = append(slices.DeleteFunc(s.Sessions, func(o Session) bool { return o.ID == b.ID }), b)
	s.Sessions = s.Sessions[max(0, len(s.Sessions)-MaxSessions):]
	return s
}

// End ends one session.
func (s State) End(id SessionID) State {
	h := id.hash()
	s.Sessions = slices.DeleteFunc(slices.Clone(s.Sessions), func(b Session) bool { return b.ID == h })
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
