package users

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"twofa/internal/capability"
	"twofa/internal/client"
	"twofa/internal/enroll"
	"twofa/internal/hostcall"
	"twofa/internal/locale"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recovery"
	"twofa/internal/reqlog"
	"twofa/internal/row"
	"twofa/internal/session"
	"twofa/internal/totp"
	"twofa/internal/turn"
	"twofa/internal/user"
)

// PageRequest asks for a page on which a person changes their factors.
type PageRequest struct {
	// Kind is PageEnroll.
	Kind      string `json:"kind"`
	ReturnURL string `json:"return_url"`
	State     string `json:"state"`
	// Locale is the language of the page. Empty: the user's.
	Locale string `json:"locale"`
}

// PageEnroll is the kind of a page for authenticator apps and recovery codes.
const PageEnroll = "enroll"

// PageAnswer is a page session as its client sees it.
type PageAnswer struct {
	Kind    string `json:"kind"`
	Session string `json:"session"`
	// PageURL is where the client sends the browser.
	PageURL   string    `json:"page_url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// StartPage begins a session in which the person changes the factors of the user. Nothing is
// stored. The client has to know that it is the user's person, by another factor. One storage
// round trip.
//
// Errors are of kind InvalidRequest, Forbidden, NotFound, TooManyChanges (no change is left on
// this day), StorageUnavailable or Internal.
func (s *Service) StartPage(ctx context.Context, name string, req PageRequest) (PageAnswer, error) {
	faults, c := new(problem.Faults), client.From(ctx)
	name = checkName(name, faults)
	if req.Kind != PageEnroll {
		faults.Add("kind", "The kind of a page is enroll.")
	}
	asked := session.Asked{ReturnURL: req.ReturnURL, State: req.State}
	s.Pages.Read("", c, asked, faults)
	if err := faults.Err(); err != nil {
		return PageAnswer{}, err
	}
	if !c.May(client.ScopeCheck) {
		return PageAnswer{}, &problem.Error{Kind: problem.Forbidden, Detail: "This client needs the scope check, too: without it, it cannot fetch what is done on the page."}
	}
	u, err := s.load(ctx, name)
	if err != nil {
		return PageAnswer{}, err
	}
	now := s.Now()
	if _, err := u.CountChange(user.Call{}, now); err != nil {
		return PageAnswer{}, err
	}
	var id otp.Session
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	page := session.New(id, c, asked, now)
	page.User, page.Since, page.Locale = s.key(ctx, name), u.CreatedAt.UnixMilli(), u.Locale
	if tag, _ := locale.Read(req.Locale); tag != "" {
		page.Locale = tag
	}
	t, err := capability.Seal(s.Users.Keys, capability.Enroll, page)
	if err != nil {
		return PageAnswer{}, problem.Unexpected(err)
	}
	return PageAnswer{Kind: PageEnroll, Session: session.Name(id), PageURL: s.Pages.URL(session.EnrollPath, t), ExpiresAt: page.Expires()}, nil
}

// BeginDraft returns the draft of an enrolment page: the user as they are. A user without an
// app can scan a new one at once. One storage round trip.
func (s *Service) BeginDraft(ctx context.Context, page session.Page) (enroll.Draft, error) {
	u, err := s.Users.Load(ctx, page.User)
	if err != nil {
		return enroll.Draft{}, err
	}
	if u.CreatedAt.UnixMilli() != page.Since {
		return enroll.Draft{}, errErased
	}
	issuer := cmp.Or(client.From(ctx).Brand, s.Brand)
	if !u.Account.IsZero() { // an account of sign-in is that of no client
		issuer = s.Brand
	}
	d := enroll.Begin(page.User, u, issuer, s.CodesLeft(u))
	if len(d.Apps) > 0 {
		return d, nil
	}
	return s.AddToDraft(d)
}

// AddToDraft begins an app with a new secret.
func (s *Service) AddToDraft(d enroll.Draft) (enroll.Draft, error) {
	var id [8]byte
	secret := make([]byte, totp.SecretBytes)
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(secret)
	return enroll.Add(d, totp.NewID(id), secret, s.Now())
}

// DraftCodes makes a set of recovery codes for a draft. It takes some tenths of a second, so the
// set is counted in the user's row before: no user causes more than [recovery.MaxSetsPerDay]
// times the work, on however many pages. The user's own codes stay as they are. Two storage
// round trips.
//
// Errors are of kind NotFound, TooManyChanges, Busy, StorageUnavailable or Internal.
func (s *Service) DraftCodes(ctx context.Context, d enroll.Draft) (codes []string, fresh recovery.State, err error) {
	place, err := s.Hashing.Enter()
	if err != nil {
		return nil, recovery.State{}, err
	}
	defer place.Leave()
	now := s.Now()
	_, err = s.Users.Change(ctx, d.User, func(u user.User) (_ user.User, err error) {
		if !u.CreatedAt.Equal(d.Since) {
			return u, row.Discard(errErased)
		}
		if u.Recovery, err = u.Recovery.CountSet(now); err != nil {
			err = row.Discard(err)
		}
		return u, err
	})
	if err != nil {
		return nil, recovery.State{}, err
	}
	return s.newCodes(ctx, place, now)
}

// newCodes makes a set of recovery codes in a place of the queue.
func (s *Service) newCodes(ctx context.Context, place turn.Place, now time.Time) ([]string, recovery.State, error) {
	return recovery.New(recovery.InTurn(func(work func()) error { return place.Do(ctx, work) }), rand.Reader, s.Users.Keys, now)
}

// ApplyDraft makes what was done on an enrolment page take effect, for the app that fetches
// it, and tells the user in one notice. It may be called again if the answer was lost: what was
// changed before is not changed or counted again, and it is told unless it was told. All changes
// of a session count as one. Four storage round trips, and seven if the user is told.
//
// Errors are of kind NotFound (the user was erased), InvalidRequest, TooManyChanges,
// StorageUnavailable or Internal.
func (s *Service) ApplyDraft(ctx context.Context, id otp.Session, d enroll.Draft) (enroll.Applied, error) {
	if s.key(ctx, d.Name) != d.User { // the operator gave the client another directory
		return enroll.Applied{}, errDirectory
	}
	user.Log(ctx, d.User)
	ctx = hostcall.With(ctx, "enroll\n"+session.Name(id)) // a call that is repeated
	n := s.notices(ctx, s.Now())
	var after user.User
	err := s.change(ctx, d.Name, n, func(u user.User) (user.User, notify.Notice, error) {
		next, c, err := d.Apply(u, n.now)
		after = next
		return next, told(c), err
	})
	if err != nil {
		return enroll.Applied{}, err
	}
	applied := d.Applied(after)
	reqlog.Add(ctx, slog.Int("apps_added", len(applied.Added)), slog.Int("apps_removed", len(applied.Removed)), slog.Bool("new_recovery_codes", applied.NewRecoveryCodes))
	applied.Notified, err = s.tellDraft(ctx, d, n)
	return applied, err
}

// tellDraft tells the user what the draft has changed, unless that was told by an earlier call
// of the same session. It reports whether a notice is on its way. The row is marked first, so
// that of several calls one tells. If it is unknown whether it was marked, the user is told all
// the same by the call that made the change, and another one has to be repeated.
func (s *Service) tellDraft(ctx context.Context, d enroll.Draft, n *notices) (bool, error) {
	all := told(enroll.Changes{Added: len(d.Added) > 0, Removed: len(d.Removed) > 0, Codes: d.Codes != nil})
	var now user.User
	_, err := s.Users.Change(ctx, d.User, func(u user.User) (user.User, error) {
		if now = u; !u.Call.Is(n.call.ID) || u.Call.Told {
			return u, row.Discard(errTold)
		}
		u.Call.Told = true
		return u, nil
	})
	switch {
	case errors.Is(err, errTold) || problem.Is(err, problem.NotFound):
		return now.Call.Is(n.call.ID) && len(s.toTell(now, all)) > 0, nil
	case err != nil && len(n.to) > 0:
		return n.send(ctx), nil
	case err != nil:
		return false, err
	}
	n.old, n.to, n.what = now, s.toTell(now, all), all
	return n.send(ctx), nil
}

// errTold: there is nothing to tell, or an earlier call has told it.
var errTold = &problem.Error{Kind: problem.AlreadyUsed, Err: errors.New("users: the change was told")}

var errErased = &problem.Error{Kind: problem.NotFound, Detail: "The user was erased since the page was begun."}

var errDirectory = &problem.Error{
	Kind: problem.NotFound, Detail: "The user of the page is not in the directory of this client.", Err: errors.New("users: the directory has changed"),
}

// told is the notice of changes, "" if there are none.
func told(c enroll.Changes) (what notify.Notice) {
	if c.Added {
		what = what.And(notify.NoticeAppAdded)
	}
	if c.Removed {
		what = what.And(notify.NoticeAppRemoved)
	}
	if c.Codes {
		what = what.And(notify.NoticeRecoveryCodes)
	}
	return what
}
