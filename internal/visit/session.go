package visit

import (
	"errors"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/session"
)

// Over is a session that does not go on, with its record. Err is one of the errors of package
// session, or what a transition returned.
type Over struct {
	session.Record
	Err error
}

func (o Over) Error() string { return o.Err.Error() }

func (o Over) Unwrap() error { return o.Err }

// refused keeps the record beside the reason why a session does not go on. Other errors, and
// nil, stay as they are.
func refused(rec session.Record, err error) error {
	if _, ok := errors.AsType[*problem.Error](err); ok || err == nil {
		return err
	}
	return Over{rec, err}
}

func (v *Visit) entered(old session.Record) (session.Record, error) {
	return session.Enter(old, v.Token.Page, v.Browser, v.Now)
}

// Load returns the session as it was read, and its record for this browser. The error may be
// an Over. One round trip.
func (v *Visit) Load() (loaded session.Loaded, rec session.Record, err error) {
	if loaded, err = v.Sessions.Load(v.Ctx, v.Token.Session); err != nil {
		return loaded, rec, err
	}
	rec, err = v.entered(loaded.Record)
	return loaded, rec, refused(rec, err)
}

// Bound returns the session's record, bound to this browser. The first form binds it before
// anything else is done: what is approved later was then typed in this browser. loaded is nil
// if the row was changed for that. The error may be an Over. One round trip, two for the first
// form.
func (v *Visit) Bound() (loaded *session.Loaded, rec session.Record, err error) {
	l, rec, err := v.Load()
	if err == nil && l.Browser != rec.Browser {
		rec, err = v.Change(&l, v.entered)
		return nil, rec, err
	}
	return &l, rec, err
}

// Change makes a transition of the session, of the record that was loaded unless that is nil.
// The error may be an Over. One round trip, two without a record.
func (v *Visit) Change(loaded *session.Loaded, t session.Transition) (rec session.Record, err error) {
	if loaded != nil {
		rec, err = v.Sessions.ChangeFrom(v.Ctx, v.Token.Session, *loaded, t)
	} else {
		rec, err = v.Sessions.Change(v.Ctx, v.Token.Session, t)
	}
	return rec, refused(rec, err)
}

var errNoCode = &problem.Error{Kind: problem.NotFound, Err: errors.New("visit: no code was sent in this session")}

// Current is the session's verification. It binds the session to the browser, as Bound does.
// The error is of kind NotFound if there is none.
func (v *Visit) Current() (otp.ID, error) {
	_, rec, err := v.Bound()
	if err != nil {
		return "", err
	}
	if rec.Verification == "" {
		return "", errNoCode
	}
	return rec.Verification, nil
}
