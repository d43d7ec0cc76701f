// Package enroll has what a person does on an enrolment page before it takes effect: a draft
// of changes to the authenticator apps and recovery codes of a user.
//
// The draft is kept in the page's session. [Draft.Apply] makes the changes, after the app has
// fetched them. All functions are pure. The package must never put a secret or a code into an
// error.
package enroll

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/totp"
	"twofa/internal/user"
)

// Draft is the user as the person saw them when the page was opened, and what was done since.
type Draft struct {
	User   otp.UserKey `json:"user"`
	Name   string      `json:"name"`   // of the user
	Since  time.Time   `json:"since"`  // when the user was registered
	Issuer string      `json:"issuer"` // as apps show it
	// Account is what apps show beside the issuer, "" for the name.
	Account string `json:"account,omitzero"`
	// Apps are the user's confirmed apps, the oldest first. Removed are the ids of those that
	// will be removed.
	Apps    []App    `json:"apps,omitzero"`
	Removed []string `json:"removed,omitzero"`
	// Pending is the app whose first code is awaited. Added are those that were confirmed on
	// the page.
	Pending *App  `json:"pending,omitzero"`
	Added   []App `json:"added,omitzero"`
	// CodesLeft is how many recovery codes the user had.
	CodesLeft int `json:"codes_left,omitzero"`
	// Shown is the last set of recovery codes that was made, and ShownBy the form that asked for
	// it. It is unknown whether the person has seen it. Codes is the set that they keep.
	Shown   *recovery.State `json:"shown,omitzero"`
	ShownBy Form            `json:"shown_by,omitzero"`
	Codes   *recovery.State `json:"codes,omitzero"`
	// Confirmed is the form that confirmed the last app.
	Confirmed Form `json:"confirmed,omitzero"`
}

// Form names a form, so that one that is sent twice has one effect.
type Form [16]byte

// App is an authenticator app. Only those that are new have a secret.
type App struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	At     time.Time `json:"at"` // when it was added
	Secret []byte    `json:"secret,omitzero"`
	Step   int64     `json:"step,omitzero"`   // the last one of which a code was accepted
	Failed int       `json:"failed,omitzero"` // wrong codes at the confirmation
}

// The reasons why a draft does not change.
var (
	// ErrFull: the user has totp.MaxAuthenticators apps.
	ErrFull = errors.New("enroll: the user has as many apps as possible")
	// ErrName: another app has the name, or it cannot be shown.
	ErrName = errors.New("enroll: the name cannot be used")
	// ErrGone: no app waits for its first code any more.
	ErrGone = errors.New("enroll: no app waits for a code")
	// ErrShown: the recovery codes were shown before.
	ErrShown = errors.New("enroll: the recovery codes were shown")
	// ErrNoApp: the draft has no app with that id.
	ErrNoApp = errors.New("enroll: no such app")
)

var errDraft = errors.New("enroll: not an encoded draft")

// Begin returns the draft of a user to whom nothing was done yet. codesLeft is how many of the
// user's recovery codes can be used.
func Begin(key otp.UserKey, u user.User, issuer string, codesLeft int) Draft {
	d := Draft{User: key, Name: u.Name, Since: u.CreatedAt, Issuer: issuer, CodesLeft: codesLeft}
	if !u.Account.IsZero() { // an account of sign-in has a name that nobody knows
		d.Account = cmp.Or(u.Account.Email(), u.Account.Phone())
	}
	for _, a := range u.TOTP.Confirmed() {
		d.Apps = append(d.Apps, App{ID: a.ID, Name: a.Name, At: a.ConfirmedAt})
	}
	return d
}

// Encode writes what Decode reads.
func (d Draft) Encode() ([]byte, error) { return json.Marshal(d) }

// Decode reads a draft. The error does not quote it.
func Decode(encoded []byte) (d Draft, err error) {
	if json.Unmarshal(encoded, &d) != nil || d.User == "" {
		return Draft{}, errDraft
	}
	return d, nil
}

// clone returns a copy whose lists may be changed.
func (d Draft) clone() Draft {
	d.Removed, d.Added = slices.Clone(d.Removed), slices.Clone(d.Added)
	if d.Pending != nil {
		d.Pending = new(*d.Pending)
	}
	return d
}

// Changed reports whether the draft changes anything.
func (d Draft) Changed() bool { return len(d.Removed)+len(d.Added) > 0 || d.Codes != nil }

// Goes reports whether an app will be removed.
func (d Draft) Goes(id string) bool { return slices.Contains(d.Removed, id) }

// stays are the apps that the user will have.
func (d Draft) stays() []App {
	return slices.Concat(slices.DeleteFunc(slices.Clone(d.Apps), func(a App) bool { return d.Goes(a.ID) }), d.Added)
}

// Full reports whether the user can have no more apps.
func (d Draft) Full() bool { return len(d.stays()) >= totp.MaxAuthenticators }

// FreeName is a name for the pending app that no other has.
func (d Draft) FreeName() string {
	return totp.FreeName(d.names(), totp.DefaultName)
}

// names are the apps that the user will have, as package totp knows them, with names alone.
func (d Draft) names() (list []totp.Authenticator) {
	for _, a := range d.stays() {
		list = append(list, totp.Authenticator{Name: a.Name})
	}
	return list
}

// Add begins an app with a new secret. An app that waits for its first code stays, so that a
// form that is sent again does not replace the secret which the person has scanned. The error
// is ErrFull.
func Add(old Draft, id string, secret []byte, now time.Time) (Draft, error) {
	d := old.clone()
	if d.Full() {
		return old, ErrFull
	}
	if d.Waits(now) {
		return d, nil
	}
	d.Pending = &App{ID: id, At: now.UTC(), Secret: slices.Clone(secret)}
	return d, nil
}

// Waits reports whether an app waits for its first code.
func (d Draft) Waits(now time.Time) bool {
	return d.Pending != nil && now.Before(d.Pending.At.Add(totp.PendingFor))
}

// authenticator returns an app of the page as package totp knows it, with the options that
// every app has.
func (a App) authenticator() totp.Authenticator {
	return totp.Authenticator{
		ID: a.ID, Name: a.Name, Secret: a.Secret, Options: totp.Options{}.Check(new(problem.Faults)),
		Step: a.Step, CreatedAt: a.At, Failed: a.Failed,
	}
}

// URI is what the pending app reads from the QR code.
func (d Draft) URI() string {
	if d.Pending == nil {
		return ""
	}
	return d.Pending.authenticator().URI(d.Issuer, cmp.Or(d.Account, d.Name))
}

// Key is the secret for people who cannot scan it: base32 in groups of four.
func (a App) Key() string {
	var groups []string
	for group := range slices.Chunk([]byte(a.authenticator().Base32()), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

// Confirm ends the enrolment of the pending app by its first code, as [totp.Confirm] does. Its
// name is FreeName if name is "".
//
// Errors are ErrGone, ErrName, ErrFull, or those of totp.Confirm. With a wrong code, the draft
// has to be kept: the last one that is allowed ends the enrolment. A form that has confirmed the
// last app changes nothing.
func Confirm(old Draft, text, name string, by Form, now time.Time) (Draft, error) {
	d := old.clone()
	if by == d.Confirmed && by != (Form{}) {
		return d, nil
	}
	if !d.Waits(now) {
		d.Pending = nil
		return d, ErrGone
	}
	a := d.Pending.authenticator()
	if a.Name = d.FreeName(); strings.TrimSpace(name) != "" {
		faults := new(problem.Faults)
		a.Name = totp.CheckName(strings.TrimSpace(name), faults)
		if faults.Err() != nil || slices.ContainsFunc(d.stays(), func(b App) bool { return strings.EqualFold(b.Name, a.Name) }) {
			return old, ErrName
		}
	}
	if d.Full() { // an app that was to be removed is kept after all
		return old, ErrFull
	}
	state, confirmed, err := totp.Confirm(totp.State{Authenticators: []totp.Authenticator{a}}, text, now)
	switch {
	case errors.Is(err, otp.ErrForm): // nothing was compared
		return old, err
	case err != nil && len(state.Authenticators) == 0:
		d.Pending = nil
		return d, err
	case err != nil:
		d.Pending.Failed = state.Authenticators[0].Failed
		return d, err
	}
	d.Added = append(d.Added, App{ID: a.ID, Name: confirmed.Name, At: confirmed.ConfirmedAt, Secret: a.Secret, Step: confirmed.Step})
	d.Pending, d.Confirmed = nil, by
	return d, nil
}

// Remove removes an app of the user, or takes one back that was added on the page. The error
// is ErrNoApp.
func Remove(old Draft, id string) (Draft, error) {
	d := old.clone()
	is := func(a App) bool { return a.ID == id }
	switch {
	case slices.ContainsFunc(d.Added, is):
		d.Added = slices.DeleteFunc(d.Added, is)
	case slices.ContainsFunc(d.Apps, is):
		if !d.Goes(id) {
			d.Removed = append(d.Removed, id)
		}
	default:
		return old, ErrNoApp
	}
	return d, nil
}

// Keep takes back that an app will be removed. An app that was added with its name gets another
// one. The error is ErrFull.
func Keep(old Draft, id string) (Draft, error) {
	d := old.clone()
	i := slices.IndexFunc(d.Apps, func(a App) bool { return a.ID == id })
	switch {
	case i < 0 || !d.Goes(id):
		return d, nil
	case d.Full():
		return old, ErrFull
	}
	d.Removed = slices.DeleteFunc(d.Removed, func(other string) bool { return other == id })
	for k, b := range d.Added {
		if strings.EqualFold(b.Name, d.Apps[i].Name) {
			d.Added[k].Name = totp.FreeName(d.names(), b.Name)
		}
	}
	return d, nil
}

// ShowCodes remembers a set that will be shown in the answer to a form. The error is ErrShown if
// the form was sent before.
func ShowCodes(old Draft, fresh recovery.State, by Form) (Draft, error) {
	if old.ShownBy == by {
		return old, ErrShown
	}
	d := old.clone()
	d.Shown, d.ShownBy = &fresh, by
	return d, nil
}

// KeepCodes makes the set that was shown in the answer to a form the one that the person will
// have. The error is ErrShown if another one was shown since.
func KeepCodes(old Draft, by Form) (Draft, error) {
	d := old.clone()
	switch {
	case d.ShownBy != by || d.Shown == nil && d.Codes == nil:
		return old, ErrShown
	case d.Shown != nil: // else the form was sent twice
		d.Codes, d.Shown = d.Shown, nil
	}
	return d, nil
}
