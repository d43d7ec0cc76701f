package signin

import (
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/account"
	"twofa/internal/otp"
)

// Draft is what a person has proven in a sign-in so far: the draft of its page session. The zero Draft is
// one that nothing was done in.
type Draft struct {
	// Request is what the app asks for, as package oidc wrote it.
	Request jsontext.Value `json:"q"`
	// Goal is where the person goes in the end.
	Goal Goal `json:"g,omitzero"`
	// For is the name of the account of a person who was signed in before: whom the page asks for consent,
	// or whose account gets an address. "": nobody was.
	For string `json:"f,omitzero"`

	// Address is the one that the last code was for, and Silent is true if it opens no account, so that no
	// message was sent. Known is true if the code was started in a browser in which the address was proven
	// before.
	Address string `json:"a,omitzero"`
	Silent  bool   `json:"s,omitzero"`
	Known   bool   `json:"k,omitzero"`
	// Verification is that of the code. The session may have a newer one, of which the draft does not know yet. AskedAt
	// is when the code was asked for.
	Verification otp.ID    `json:"v,omitzero"`
	AskedAt      time.Time `json:"at,omitzero"`
	// Shared is true if the person has said that other people use the device, Trust if it is to be remembered.
	Shared bool `json:"h,omitzero"`
	Trust  bool `json:"d,omitzero"`
	// Join is what a person who signs up has typed, the zero Join if nobody does. Owned is the proof of an Address that
	// no account has, nil if there is none.
	Join  Join           `json:"j,omitzero"`
	Owned *account.Proof `json:"o,omitzero"`
	// Adds is the kind of an address that the app requires, and that the person who has signed in adds, "" for none.
	// Addition is true if the last code was asked for that.
	Adds     account.Kind `json:"z,omitzero"`
	Addition bool         `json:"i,omitzero"`

	// Epoch is that of the account when the code was asked for: a change of the account ends the sign-ins that have
	// begun, as it ends sessions. Account is the name of the account that the proofs are of, "" if nothing was proven.
	Epoch   int64           `json:"e,omitzero"`
	Account string          `json:"n,omitzero"`
	Proofs  []account.Proof `json:"p,omitzero"`
	// SignedIn is true once the proofs have sufficed. Session is true if the browser has a session since. Without
	// one, Granted is true once the app got its code: nobody gets another one by going back.
	SignedIn bool `json:"t,omitzero"`
	// Strong and ByTrust are as those of an account.Browser.
	Strong  bool `json:"sg,omitzero"`
	ByTrust bool `json:"m,omitzero"`
	Session bool `json:"b,omitzero"`
	Granted bool `json:"w,omitzero"`
}

// Join is the account of a new person as it will be.
type Join struct {
	Name    string `json:"n"`
	Address string `json:"a"`
	// Account names the account: a form that is sent twice makes one.
	Account string `json:"k"`
	// Confirmed is true once the person has looked at the details.
	Confirmed bool `json:"c,omitzero"`
}

// Goal is where a sign-in leads.
type Goal string

// The goals.
const (
	ToApp     Goal = ""        // to the app that asks
	ToAccount Goal = "account" // to the account's own page
	ToAdd     Goal = "add"     // Address becomes one of the account that the person is signed in to
)

// ErrOtherAccount: a proof is of another account than the first one, or of another state of it.
var ErrOtherAccount = errors.New("signin: the proofs are not of one account")

// Encode writes a draft as a session's record keeps it.
func (d Draft) Encode() ([]byte, error) { return json.Marshal(d) }

// Decode reads what Encode wrote.
func Decode(text []byte) (d Draft, err error) {
	err = json.Unmarshal(text, &d)
	return d, err
}

// Asked is a code that was asked for.
type Asked struct {
	// Address is that of the code, and Silent and Known are as those of a Draft.
	Address       string
	Silent, Known bool
	ID            otp.ID
	At            time.Time
}

func (d Draft) asked(a Asked, addition bool) Draft {
	d.Address, d.Silent, d.Known, d.Verification, d.AskedAt, d.Addition = a.Address, a.Silent, a.Known, a.ID, a.At, addition
	return d
}

// Ask is the draft after a code was asked for, for an address that somebody typed and that opens an account of that
// epoch. What was proven before is dropped if it is of another address, of the account before a change, or if the person
// has signed in with it.
func (d Draft) Ask(a Asked, epoch int64) Draft {
	if d.Address != a.Address || d.Epoch != epoch || d.SignedIn {
		d = d.Restart()
	}
	if d.Owned != nil && d.Owned.Address != a.Address {
		d.Owned = nil
	}
	if d.Join.Address != a.Address {
		d.Join.Confirmed = false
	}
	d.Epoch = epoch
	return d.asked(a, false)
}

// Restart is the draft without what was proven of an account.
func (d Draft) Restart() Draft {
	d.Account, d.Proofs, d.SignedIn, d.Session, d.Granted, d.Strong, d.ByTrust, d.Trust = "", nil, false, false, false, false, false, false
	d.Adds, d.Addition = "", false
	return d
}

// Adding reports whether the address of the last code becomes one of an account that the person is signed in to.
func (d Draft) Adding() bool { return d.Goal == ToAdd || d.Addition }

// AskToAdd is the draft after a code was asked for, for an address that is added: see Adding.
func (d Draft) AskToAdd(a Asked) Draft { return d.asked(a, true) }

// Added is the draft after the address was added, which has changed the account's epoch.
func (d Draft) Added(epoch int64) Draft {
	d.Adds, d.Addition, d.Epoch = "", false, epoch
	return d
}

// Own is the draft after a proof of the address that was asked for, which no account has. shared is true if other
// people use the device.
func (d Draft) Own(p account.Proof, shared bool) Draft {
	d.Owned, d.Shared = &p, d.Shared || shared
	return d
}

// Joins reports whether the person has proven the address of the account that they sign up for.
func (d Draft) Joins() bool { return d.Owned != nil && d.Join.Address == d.Owned.Address }

// SignUp is the draft after a new person has typed the details of their account.
func (d Draft) SignUp(name, address string) Draft {
	if d.Join.Account == "" || d.Join.Address != address {
		d.Join.Account = NewName()
	}
	d.Join.Name, d.Join.Address, d.Join.Confirmed = name, address, false
	return d
}

// Confirm is the draft after the person has looked at the details.
func (d Draft) Confirm() Draft {
	d.Join.Confirmed = true
	return d
}

// More is the draft after a code was asked for, for another address of the account that something was proven
// of. The error is ErrOtherAccount, also if the account has another epoch.
func (d Draft) More(name string, a Asked, epoch int64) (Draft, error) {
	if d.Account != name || d.Epoch != epoch || len(d.Proofs) == 0 || d.SignedIn {
		return d, ErrOtherAccount
	}
	a.Known = d.Known
	return d.asked(a, false), nil
}

// Prove is the draft after a proof that is of an account with that epoch. A kind that was proven before is proven
// anew. The error is ErrOtherAccount, also if the account has changed since the code was asked for, or if the person
// has signed in: a new code begins anew.
func (d Draft) Prove(name string, epoch int64, p account.Proof) (Draft, error) {
	if d.Account != "" && d.Account != name || d.Epoch != epoch || d.SignedIn {
		return d, ErrOtherAccount
	}
	d.Account = name
	d.Proofs = append(slices.DeleteFunc(slices.Clone(d.Proofs), func(o account.Proof) bool { return o.Kind == p.Kind }), p)
	return d, nil
}

// SignIn is the draft after the person has signed in as the draft was then. The error is ErrOtherAccount if another form
// has changed it since.
func (d Draft) SignIn(then Draft, session bool) (Draft, error) {
	if d.Address != then.Address || d.Account != "" && d.Account != then.Account {
		return d, ErrOtherAccount
	}
	d.Account, d.Epoch, d.Proofs, d.SignedIn, d.Session, d.Strong = then.Account, then.Epoch, then.Proofs, true, session, then.Strong
	d.ByTrust, d.Granted, d.Join, d.Owned = then.ByTrust, false, Join{}, nil
	return d, nil
}

// Grant is the draft before the app gets its code.
func (d Draft) Grant() Draft {
	d.Granted = true
	return d
}
