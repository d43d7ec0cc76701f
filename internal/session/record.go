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
	// Approval is what the app gets, as package otpverify wrote it.
	Approval   jsontext.Value `json:"approval,omitzero"`
	ApprovedAt int64          `json:"approved_at,omitzero"` // in Unix seconds
	Result     Result         `json:"result,omitzero"`
	Fetched    bool           `json:"fetched,omitzero"`
	Canceled   bool           `json:"canceled,omitzero"`
}

// Try is an address that was tried.
type Try struct {
	Row otp.RowKey `json:"row"`
	ID  otp.ID     `json:"id"`
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
)

// IsZero reports whether nothing is stored of the session.
func (r Record) IsZero() bool { return r.ExpiresAt == 0 }

// enter returns the record for a request of a browser, which the first one binds. The error
// says why nothing can be done any more.
func (r Record) enter(p Page, browser Hash, now time.Time) (Record, error) {
	if r.IsZero() {
		if p.Over(now) {
			return r, ErrOver
		}
		r = Record{Client: p.Client, State: p.State, Browser: browser, ExpiresAt: p.ExpiresAt}
		if p.Given && p.Sent != nil {
			r.Verification = p.Sent.ID
		}
	}
	switch {
	case r.Client != p.Client || !r.State.is(p.State) || !r.Browser.is(browser):
		return r, ErrBrowser
	case r.Canceled:
		return r, ErrCanceled
	case r.ApprovedAt != 0 && (r.Fetched || !now.Before(r.fetchUntil())):
		return r, ErrOver
	case r.ApprovedAt != 0:
		return r, ErrApproved
	case now.Unix() >= r.ExpiresAt:
		return r, ErrOver
	}
	return r, nil
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

// Cancel ends a session without an approval.
func Cancel(old Record, p Page, browser Hash, now time.Time) (Record, error) {
	r, err := old.enter(p, browser, now)
	if err != nil {
		return r, err
	}
	r.Canceled = true
	return r, nil
}

// Fetch gives the approval to the client that began the session, once. The error does not
// say which part did not fit.
func Fetch(old Record, client, state, result string, now time.Time) (Record, []byte, error) {
	wanted, ok := parseResult(result)
	got, want := HashOf(string(wanted[:])), HashOf(string(old.Result[:]))
	fits := want.is(got) && ok
	fits = old.State.is(HashOf(state)) && fits
	if !fits || old.Client != client || old.ApprovedAt == 0 || !now.Before(old.fetchUntil()) {
		return old, nil, &problem.Error{Kind: problem.NotFound, Detail: "There is no approval for this session, state and result. The state has to come out of your app's cookie in the browser that came back; an approval can be fetched for 10 minutes."}
	}
	if old.Fetched {
		return old, nil, &problem.Error{Kind: problem.AlreadyUsed, Detail: "This approval was fetched before. It can be fetched once."}
	}
	r := old
	r.Fetched = true
	return r, old.Approval, nil
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
