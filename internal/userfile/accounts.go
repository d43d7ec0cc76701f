package userfile

import (
	"context"
	"errors"
	"io"
	"time"

	"twofa/internal/account"
	"twofa/internal/problem"
	"twofa/internal/signin"
	"twofa/internal/store"
	"twofa/internal/user"
)

// accountColumns are those of a file of accounts. A file of mail addresses alone has an empty column phone.
var accountColumns = Columns{Names: []string{"phone", "email", "name", "locale"}, Required: 2}

// AccountImport gives accounts of sign-in to the people of a file, as [signin.Accounts.Give] does. Its fields
// are set once, before Run.
type AccountImport struct {
	Writer
	Accounts *signin.Accounts
	// Countries are the regions (ISO 3166-1 alpha-2) that may be sent to; nil means all.
	Countries map[string]bool
	Now       func() time.Time
}

// Run reads the file and gives the accounts, one line a person. Lines that share an address are written in
// their order. It bounds what it holds, ends and repeats as [Import.Run] does.
func (im *AccountImport) Run(ctx context.Context, file io.Reader) error {
	r := &accountLines{AccountImport: im, last: make([]keyed, im.window())}
	return im.run(ctx, file, accountColumns, im.Accounts.Table, r.check)
}

// accountLines is one Run.
type accountLines struct {
	*AccountImport
	// last are the lines that may not be written yet, and next is where the oldest one is.
	last []keyed
	next int
}

// keyed is the addresses and the key of a line.
type keyed struct{ phone, email, key string }

// check makes all checks that need no store.
func (r *accountLines) check(row Row) line {
	name := signin.NewName() // stays when a write is repeated
	given, err := signin.Given{Phone: row.Fields["phone"], Email: row.Fields["email"], Name: row.Fields["name"], Locale: row.Fields["locale"], Account: name}.Read(r.Countries)
	if err != nil {
		return line{fault: GiveFault(err)}
	}
	return line{key: r.keyOf(given), write: func(ctx context.Context, t store.Table) (outcome, string, error) {
		return r.writeOne(ctx, t, given)
	}}
}

// keyOf is the key of a line: its own, or that of the newest line that has one of its addresses.
func (r *accountLines) keyOf(given signin.Given) string {
	now := keyed{given.Phone, given.Email, given.Account}
	for i := range r.last {
		l := r.last[(r.next+i)%len(r.last)] // the oldest first
		if l.phone != "" && l.phone == now.phone || l.email != "" && l.email == now.email {
			now.key = l.key
		}
	}
	r.last[r.next] = now
	r.next = (r.next + 1) % len(r.last)
	return now.key
}

// writeOne gives the account. Eight storage round trips for two addresses, four if nothing changes.
func (r *accountLines) writeOne(ctx context.Context, t store.Table, given signin.Given) (outcome, string, error) {
	keys := r.Accounts.Keys
	accounts := &signin.Accounts{Table: t, Keys: keys, Users: &user.Store{Table: t, Keys: keys}}
	did, err := accounts.Give(ctx, given, r.Now().UTC())
	switch {
	case err == nil:
		return map[signin.Result]outcome{signin.Added: created, signin.Changed: changed, signin.Unchanged: unchanged}[did], "", nil
	case GiveFault(err) != "":
		return skipped, GiveFault(err), nil
	}
	return abandoned, "", err
}

// GiveFault says in one line why [signin.Given.Read] or [signin.Accounts.Give] has refused what the operator
// gives, "" if the error is that of a store that is away. It quotes nothing of it.
func GiveFault(err error) string {
	e, ok := errors.AsType[*problem.Error](err)
	switch {
	case errors.Is(err, signin.ErrTwo):
		return "the addresses belong to two accounts"
	case errors.Is(err, account.ErrOther):
		return "the account of one address has another number or e-mail address than the other: only its person can replace that. While nobody has signed in to it, the account can be erased and added anew"
	case errors.Is(err, signin.ErrTaken):
		return "somebody is about to prove or to give this address: try again in a minute"
	case ok && e.Kind == problem.Internal:
		return "the stored account cannot be read or written"
	case ok && e.Kind != problem.StorageUnavailable:
		return Reason(e, nil)
	}
	return ""
}
