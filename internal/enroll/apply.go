package enroll

import (
	"slices"
	"time"

	"twofa/internal/problem"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// Applied is a draft that took effect, as the app is told.
type Applied struct {
	User             string  `json:"user"`
	Added            []Named `json:"added,omitempty"`
	Removed          []Named `json:"removed,omitempty"`
	NewRecoveryCodes bool    `json:"new_recovery_codes,omitzero"`
	// Notified is true if a notice of it is on its way to the user.
	Notified bool `json:"notified,omitzero"`
}

// Named is an authenticator app.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Applied says what the draft has done to the user, as Apply left them.
func (d Draft) Applied(u user.User) Applied {
	a := Applied{User: d.Name, NewRecoveryCodes: d.Codes != nil && u.Recovery.Salt == d.Codes.Salt}
	has := func(id string) int {
		return slices.IndexFunc(u.TOTP.Authenticators, func(b totp.Authenticator) bool { return b.ID == id })
	}
	for _, app := range d.Added {
		if i := has(app.ID); i >= 0 {
			a.Added = append(a.Added, Named{app.ID, u.TOTP.Authenticators[i].Name})
		}
	}
	for _, app := range d.Apps {
		if d.Goes(app.ID) && has(app.ID) < 0 {
			a.Removed = append(a.Removed, Named{app.ID, app.Name})
		}
	}
	return a
}

// Changes says what Apply has changed.
type Changes struct{ Added, Removed, Codes bool }

// Apply makes the changes of the draft to the user. A change that was made before is left out:
// Apply may run again after it is unknown whether its result was stored. So is an app that was
// added before and removed since, and a set of recovery codes that is older than the user's.
//
// Errors are of kind NotFound if the user was erased meanwhile, and InvalidRequest if the user
// has other apps meanwhile that leave no place. Then nothing changes.
func (d Draft) Apply(old user.User, now time.Time) (u user.User, c Changes, err error) {
	u = old
	if !u.CreatedAt.Equal(d.Since) {
		return old, Changes{}, &problem.Error{Kind: problem.NotFound, Detail: "The user was erased since the page was opened. Nothing was changed."}
	}
	for _, id := range d.Removed {
		state, _, err := totp.Remove(u.TOTP, id, now)
		if problem.Is(err, problem.NotFound) {
			continue
		}
		if err != nil {
			return old, Changes{}, err
		}
		u.TOTP, c.Removed = state, true
	}
	if len(d.Added) > 0 { // as with any enrolment, one that was not confirmed gives way
		u.TOTP.Authenticators = u.TOTP.Confirmed()
	}
	for _, app := range d.Added {
		a := app.authenticator()
		if u.TOTP.WasRemoved(a) || slices.ContainsFunc(u.TOTP.Authenticators, func(b totp.Authenticator) bool { return b.ID == a.ID }) {
			continue
		}
		a.Name = totp.FreeName(u.TOTP.Authenticators, a.Name)
		if u.TOTP, err = totp.Import(u.TOTP, a, now); err != nil {
			return old, Changes{}, err
		}
		c.Added = true
	}
	if d.Codes != nil && u.Recovery.Salt != d.Codes.Salt && !u.Recovery.MadeAt.After(d.Codes.MadeAt) {
		u.Recovery, c.Codes = u.Recovery.Replace(*d.Codes), true // the set was counted when it was made
	}
	return u, c, nil
}
