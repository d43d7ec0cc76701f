package session

import (
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/otp"
	"twofa/internal/problem"
)

// MaxAddresses is how many addresses can be tried in a session.
const MaxAddresses = 3

// Record is what is stored of a session, from its first POST on. The zero Record is a
// session of which nothing is stored.
type Record struct {
	Client  string `json:"client"`
	State   Hash   `json:"state"`
	Browser Hash   `json:"browser"` // of the browser that the session is bound to
	// Tried are the verifications of addresses that people typed, one an address, with the
	// address's row.
	Tried []Try `json:"tried,omitzero"`
	// Verification is the one that a code is checked for.
	Verification otp.ID `json:"verification,omitzero"`
	// Known is the browser that was known when the verification began. Wrong codes count for it.
	Known     [8]byte `json:"known,omitzero"`
	ExpiresAt int64   `json:"expires_at"` // in Unix seconds
	// Shown is the last link that has shown its code in another browser.
	Shown Shown `json:"shown,omitzero"`
	// Draft is what a person did on an enrolment page, as package enroll writes it. It takes
	// effect when the app fetches it. nil: the session is a check.
	Draft jsontext.Value `json:"draft,omitzero"`
	// Approval is what the app gets of a check, as package otpverify wrote it.
	Approval   jsontext.Value `json:"approval,omitzero"`
	ApprovedAt int64          `json:"approved_at,omitzero"` // or when the draft was saved, in Unix seconds
	Result     Result         `json:"result,omitzero"`
	Fetched    bool           `json:"fetched,omitzero"`
	Canceled   bool           `json:"canceled,omitzero"`
}

// Try is an address that was tried.
type Try struct {
	Row otp.RowKey `json:"row"`
	ID  otp.ID     `json:"id"`
}

// Shown is a link of which a person was shown the code: the message Attempt of a
// verification.
type Shown struct {
	Verification otp.ID `json:"id"`
	Attempt      int    `json:"attempt"`
}

// The reasons for which a session does not go on.
var (
	// ErrBrowser: the session is bound to another browser.
	ErrBrowser = errors.New("session: bound to another browser")
	// ErrOver: the session has expired, or its approval was fetched or can be fetched no more.
	ErrOver = errors.New("session: over")
	// ErrCanceled: the person ended the session.
	ErrCanceled = errors.New("session: canceled")
	// ErrAddresses: MaxAddresses other addresses were tried.
	ErrAddresses = errors.New("session: too many addresses")
	// ErrApproved: the session is approved. The Record has the result.
	ErrApproved = errors.New("session: approved")
	// ErrOldLink: the link is not one of the session's present verification.
	ErrOldLink = errors.New("session: a newer code was sent")
	// ErrShown: the link has shown its code before.
	ErrShown = errors.New("session: the code was shown")
)

// IsZero reports whether nothing is stored of the session.
func (r Record) IsZero() bool { return r.ExpiresAt == 0 }

// enter returns the record for a request of a browser, which the first one binds. The error
// says why nothing can be done any more.
func (r Record) enter(p Page, browser Hash, now time.Time) (Record, error) {
	r, err := r.begun(p, now)
	if err != nil {
		return r, err
	}
	if r.Browser.IsZero() {
		r.Browser = browser
	}
	if !r.Browser.is(browser) {
		return r, ErrBrowser
	}
	return r, r.open(p, now)
}

// begun returns the record of a session, of which nothing may be stored yet.
func (r Record) begun(p Page, now time.Time) (Record, error) {
	if !r.IsZero() {
		return r, nil
	}
	if p.Over(now) {
		return r, ErrOver
	}
	r = Record{Client: p.Client, State: p.State, ExpiresAt: p.ExpiresAt}
	if p.Given && p.Sent != nil {
		r.Verification = p.Sent.ID
	}
	return r, nil
}

// open returns the reason why the session of a page is not open any more, nil if it is.
func (r Record) open(p Page, now time.Time) error {
	switch {
	case r.Client != p.Client || !r.State.is(p.State):
		return ErrBrowser
	case r.Canceled:
		return ErrCanceled
	case r.ApprovedAt != 0 && (r.Fetched || !now.Before(r.fetchUntil())):
		return ErrOver
	case r.ApprovedAt != 0:
		return ErrApproved
	case now.Unix() >= r.ExpiresAt:
		return ErrOver
	}
	return nil
}

func (r Record) fetchUntil() time.Time { return time.Unix(r.ApprovedAt, 0).Add(FetchFor) }

// Begin binds the session to the browser and makes a verification the one that codes are
// checked for. typed is true for an address that the app did not give.
func Begin(old Record, p Page, browser Hash, row otp.RowKey, id otp.ID, known [8]byte, typed bool, now time.Time) (Record, error) {
	r, err := old.enter(p, browser, now)
	if err != nil || r.Verification == id {
		return r, err
	}
	if typed {
		i := slices.IndexFunc(r.Tried, func(t Try) bool { return t.Row == row })
		switch r.Tried = slices.Clone(r.Tried); {
		case i >= 0:
			r.Tried[i].ID = id
		case len(r.Tried) >= MaxAddresses:
			return r, ErrAddresses
		default:
			r.Tried = append(r.Tried, Try{row, id})
		}
	}
	r.Verification, r.Known = id, known
	return r, nil
}

// Undo takes back that a verification was begun, of which nothing was stored. before is the
// record as it was. It does nothing if another one was begun since.
func Undo(old, before Record, id otp.ID) Record {
	if old.Verification == id {
		old.Verification, old.Known, old.Tried = before.Verification, before.Known, before.Tried
	}
	return old
}

// Enter binds the session to the browser.
func Enter(old Record, p Page, browser Hash, now time.Time) (Record, error) {
	return old.enter(p, browser, now)
}

// Approve ends a session: the app can fetch the approval with the result. If it is approved,
// nothing changes.
func Approve(old Record, p Page, browser Hash, approval []byte, result Result, now time.Time) (Record, error) {
	r, err := old.enter(p, browser, now)
	if err != nil {
		return r, err
	}
	r.Approval, r.Result, r.ApprovedAt = approval, result, now.Unix()
	return r, nil
}

// Show remembers that a link shows its code, which it does once. It binds the session to no
// browser. The error is ErrShown, ErrOldLink, or says that the session is not open.
func Show(old Record, l Link, now time.Time) (Record, error) {
	r, err := old.begun(l.Page, now)
	if err == nil {
		err = r.open(l.Page, now)
	}
	switch {
	case err != nil:
		return r, err
	case r.Verification != l.Verification:
		return r, ErrOldLink
	case r.Shown.Verification == l.Verification && r.Shown.Attempt >= l.Attempt:
		return r, ErrShown
	}
	r.Shown = Shown{l.Verification, l.Attempt}
	return r, nil
}

// Edit replaces the draft of an enrolment page.
func Edit(old Record, p Page, browser Hash, edit func(draft []byte) ([]byte, error), now time.Time) (Record, error) {
	r, err := old.enter(p, browser, now)
	if err != nil {
		return r, err
	}
	r.Draft, err = edit(r.Draft)
	return r, err
}

// Contest ends an enrolment that another browser acts on, because one of the two is not the
// person's: also if it was saved, unless the app has fetched it.
func Contest(old Record) (Record, error) {
	if old.IsZero() || old.Fetched {
		return old, ErrOver
	}
	old.Canceled, old.Draft = true, nil
	return old, nil
}

// Save ends an enrolment: the app can fetch the draft with the result.
func Save(old Record, p Page, browser Hash, result Result, now time.Time) (Record, error) {
	return Approve(old, p, browser, nil, result, now)
}

// Cancel ends a session without an approval.
func Cancel(old Record, p Page, browser Hash, now time.Time) (Record, error) {
	r, err := old.enter(p, browser, now)
	if err != nil {
		return r, err
	}
	r.Canceled, r.Draft = true, nil
	return r, nil
}

// Fetch gives the approval, or the draft, to the client that began the session, once: old has
// it, the new record has not. The error does not say which part did not fit.
func Fetch(old Record, client, state, result string, now time.Time) (Record, error) {
	wanted, ok := parseResult(result)
	got, want := HashOf(string(wanted[:])), HashOf(string(old.Result[:]))
	fits := want.is(got) && ok
	fits = old.State.is(HashOf(state)) && fits
	if !fits || old.Client != client || old.ApprovedAt == 0 || old.Canceled || !now.Before(old.fetchUntil()) {
		return old, &problem.Error{Kind: problem.NotFound, Detail: "There is nothing to fetch for this session, state and result. The state has to come out of your app's cookie in the browser that came back; it can be fetched for 10 minutes."}
	}
	if old.Fetched {
		return old, &problem.Error{Kind: problem.AlreadyUsed, Detail: "This was fetched before. It can be fetched once."}
	}
	r := old
	r.Fetched, r.Draft, r.Approval = true, nil, nil // they hold secrets and addresses
	return r, nil
}

// keepUntil is from when on the record is not needed.
func (r Record) keepUntil() time.Time {
	if r.IsZero() {
		return time.Time{}
	}
	until := time.Unix(r.ExpiresAt, 0)
	if r.ApprovedAt != 0 && r.fetchUntil().After(until) {
		until = r.fetchUntil()
	}
	return until
}
