package signin

import (
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/account"
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
	// Shared is true if the person has said that other people use the device.
	Shared bool `json:"h,omitzero"`

	// Epoch is that of the account when the code was asked for: a change of the account ends the sign-ins that have
	// begun, as it ends sessions. Account is the name of the account that the proofs are of, "" if nothing was proven.
	Epoch   int64           `json:"e,omitzero"`
	Account string          `json:"n,omitzero"`
	Proofs  []account.Proof `json:"p,omitzero"`
	// SignedIn is true once the proofs have sufficed. Session is true if the browser has a session since. Without
	// one, Granted is true once the app got its code: nobody gets another one by going back.
	SignedIn bool `json:"t,omitzero"`
	Session  bool `json:"b,omitzero"`
	Granted  bool `json:"w,omitzero"`
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

// Ask is the draft after a code was asked for, for an address that somebody typed and that opens an account of that
// epoch. What was proven before is dropped if it is of another address, of the account before a change, or if the person
// has signed in with it.
func (d Draft) Ask(address string, silent, known bool, epoch int64) Draft {
	if d.Address != address || d.Epoch != epoch || d.SignedIn {
		d.Account, d.Proofs, d.SignedIn, d.Session, d.Granted = "", nil, false, false, false
	}
	d.Address, d.Silent, d.Known, d.Epoch = address, silent, known, epoch
	return d
}

// More is the draft after a code was asked for, for another address of the account that something was proven
// of. The error is ErrOtherAccount, also if the account has another epoch.
func (d Draft) More(name, address string, silent bool, epoch int64) (Draft, error) {
	if d.Account != name || d.Epoch != epoch || len(d.Proofs) == 0 || d.SignedIn {
		return d, ErrOtherAccount
	}
	d.Address, d.Silent = address, silent
	return d, nil
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

// SignIn is the draft after the person has signed in as the draft was then. granted is true if the app gets its code
// at once. The error is ErrOtherAccount if another form has changed it since.
func (d Draft) SignIn(then Draft, session, granted bool) (Draft, error) {
	if d.Address != then.Address || d.Account != "" && d.Account != then.Account {
		return d, ErrOtherAccount
	}
	d.Account, d.Epoch, d.Proofs, d.SignedIn, d.Session = then.Account, then.Epoch, then.Proofs, true, session
	return d.Grant(granted), nil
}

// Grant is the draft after the app got its code, if that is so.
func (d Draft) Grant(granted bool) Draft {
	d.Granted = granted && !d.Session
	return d
}
