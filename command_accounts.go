package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"twofa/internal/account"
	"twofa/internal/address"
	"twofa/internal/app"
	"twofa/internal/config"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/signin"
	"twofa/internal/user"
	"twofa/internal/userfile"
)

const accountsUsage = `usage: twofa accounts add ADDRESS [ADDRESS] [--name NAME] [--locale LOCALE]
       twofa accounts import FILE
       twofa accounts show ADDRESS [--full]
       twofa accounts unlock ADDRESS
       twofa accounts erase ADDRESS --yes ADDRESS
An ADDRESS is a phone number with + and its calling code, or an e-mail address.
add gives a person an account of sign-in, or a further address to the account that has
the other one. What is given is worth nothing until the person proves it, within 30 days.
  --name NAME      what the person is called
  --locale LOCALE  the language of messages and pages, such as pt-BR
import gives accounts to the people of a CSV file with the columns phone, email, name and
locale, of which the last two may be missing; - reads standard input.
show says what the account of an address has, with masked addresses.
  --full           whole addresses, and the name
unlock lets the person sign in with an address alone for an hour. For 24 hours, whoever
types this address has the wrong codes and messages of a day once more.
erase removes the account. Nobody is told.
  --yes ADDRESS    the address again
On the embedded store, the service has to be stopped.
See docs/accounts.md.
`

// accountOptions are the flags of the commands on accounts.
type accountOptions struct {
	name, locale string
	full         bool
	again        string
}

// accounts runs the command that args name, on the store of the settings.
func (c *command) accounts(ctx context.Context, name string, args []string) int {
	flags := flag.NewFlagSet("accounts "+name, flag.ContinueOnError)
	var o accountOptions
	n := []int{1}
	switch name {
	case "add":
		flags.StringVar(&o.name, "name", "", "")
		flags.StringVar(&o.locale, "locale", "", "")
		n = []int{1, 2}
	case "show":
		flags.BoolVar(&o.full, "full", false, "")
	case "erase":
		flags.StringVar(&o.again, "yes", "", "")
	}
	if code, ok := c.parse(flags, accountsUsage, flagsFirst(flags, args), n...); !ok {
		return code
	}
	if name == "import" {
		return c.importFile(ctx, flags.Arg(0), func(s config.Settings, p app.Parts, report func(int, string)) importer {
			im := app.ImportAccounts(s, p)
			im.Report = report
			return im
		})
	}
	return c.onStore(func(s config.Settings, p app.Parts) int {
		d := accountDesk{command: c, store: app.Accounts(p), recipients: app.Recipients(p), settings: s, now: p.Now().UTC()}
		return d.do(ctx, name, flags.Args(), o)
	})
}

// accountDesk is where the operator looks after accounts.
type accountDesk struct {
	*command
	store      *signin.Accounts
	recipients *recipient.Store
	settings   config.Settings
	now        time.Time
}

func (d accountDesk) do(ctx context.Context, name string, texts []string, o accountOptions) int {
	var addresses []address.Address
	for _, text := range texts {
		a, err := address.Parse(text)
		if err != nil {
			d.say("not an address: %v", err)
			return exitStopped
		}
		addresses = append(addresses, a)
	}
	switch name {
	case "add":
		return d.add(ctx, addresses, o)
	case "show":
		return d.show(ctx, addresses[0].Text, o.full)
	case "unlock":
		return d.unlock(ctx, addresses[0].Text)
	}
	return d.erase(ctx, addresses[0].Text, o.again)
}

// failed says why nothing was changed or shown.
func (d accountDesk) failed(ctx context.Context, what string, err error) int {
	d.say("%s: %s", what, cmp.Or(userfile.GiveFault(err), why(ctx, err)))
	return exitStopped
}

// worth is what an address is that the operator has given.
const worth = `An address that was given is worth nothing until its person proves it: no app is told of it.
The first proof makes the account. From then on, what nobody has proven opens nothing.
An address that nobody has proven is dropped 30 days after it was given.
`

// add gives one or two addresses to one person.
func (d accountDesk) add(ctx context.Context, addresses []address.Address, o accountOptions) int {
	g := signin.Given{Name: o.name, Locale: o.locale}
	for _, a := range addresses {
		field := &g.Phone
		if a.IsEmail() {
			field = &g.Email
		}
		if *field != "" {
			d.say("not added: an account has one phone number and one e-mail address")
			return exitStopped
		}
		*field = a.Text
	}
	g, err := g.Read(d.settings.Countries)
	if err != nil {
		return d.failed(ctx, "not added", err)
	}
	did, err := d.store.Give(ctx, g, d.now)
	switch {
	case err != nil:
		return d.failed(ctx, "not added", err)
	case did == signin.Unchanged:
		return d.print("unchanged: the account has all of this\n")
	}
	return d.print(string(did) + "\n" + worth)
}

// opensNone is said of an address that opens no account.
const opensNone = "this address opens no account: it was not given, or nobody has proven it and the account was made with another one (twofa accounts show)"

// unlock lets the person of an address sign in with an address alone, and raises the limits of those who
// type this one.
func (d accountDesk) unlock(ctx context.Context, text string) int {
	ok, err := d.store.Unlock(ctx, text, d.now)
	switch {
	case err != nil:
		return d.failed(ctx, "not unlocked", err)
	case !ok:
		d.say("not unlocked: %s", opensNone)
		return exitStopped
	}
	until := inUTC(d.now.Add(account.Unlocked))
	left, err := d.recipients.Unlock(ctx, text, otp.Caller{Origin: otp.OriginTyped}, [16]byte{}, d.now)
	if err != nil {
		d.print("unlocked: a proven address of the account signs in alone until " + until + "\n")
		e, ok := errors.AsType[*problem.Error](err)
		if !ok || e.Kind != problem.TooManyChanges {
			return d.failed(ctx, "the limits of wrong codes and messages stay", err)
		}
		d.say("the limits of wrong codes and messages stay: this address was unlocked %d times within 24 hours. The next time is at %s.", otp.MaxUnlocksPerDay, inUTC(d.now.Add(e.RetryAfter)))
		return exitSkipped
	}
	return d.print(fmt.Sprintf(`unlocked: a proven address of the account signs in alone until %s
Whoever types this address has the wrong codes and messages of a day once more, until %s. It can be unlocked %d more times within 24 hours.
`, until, inUTC(d.now.Add(24*time.Hour)), left))
}

// errOpensNone: the account has changed meanwhile.
var errOpensNone = errors.New(opensNone)

// erase removes the account that an address opens. again is the address once more, as the operator has
// written it.
func (d accountDesk) erase(ctx context.Context, text, again string) int {
	if a, err := address.Parse(again); err != nil || a.Text != text {
		d.say("not erased: give the same address once more, as --yes ADDRESS")
		return exitStopped
	}
	u, ok, err := d.store.Find(ctx, text, d.now)
	if err == nil && !ok {
		err = errOpensNone
	}
	if err == nil {
		err = d.store.Erase(ctx, d.store.Key(u.Name), d.now, func(u user.User) error {
			if !u.Account.Settle(d.now).Opens(text) {
				return errOpensNone
			}
			return nil
		})
	}
	if err != nil {
		return d.failed(ctx, "not erased", err)
	}
	return d.print("erased: its addresses can be given again. Whoever then signs in is a new person to every app.\n")
}

// show prints what the account of an address has, also if the address does not open it.
func (d accountDesk) show(ctx context.Context, text string, full bool) int {
	u, ok, err := d.store.Lookup(ctx, text, d.now)
	switch {
	case err != nil:
		return d.failed(ctx, "not shown", err)
	case !ok:
		d.say("no account has this address")
		return exitStopped
	}
	w := tabwriter.NewWriter(d.stdout, 0, 0, 2, ' ', 0)
	for _, line := range append(d.summary(u, full), "", "ADDRESS\tSTATE\tADDED\tPROVEN\tENDS\tSIGNS IN ALONE") {
		_, _ = fmt.Fprintln(w, line) // Flush returns the error
	}
	for _, a := range u.Account.Addresses {
		shown := address.Mask(a.Text)
		if full {
			shown = a.Text
		}
		state, ends := d.state(u.Account, a)
		alone := "no"
		if u.Account.Suffices([]account.Proof{{Kind: account.KindOf(a.Text), Address: a.Text, At: d.now}}, signin.Has(u), account.Seen{}, d.settings.SignIn.StaleAddress, d.now) {
			alone = "yes"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", shown, state, inUTC(a.AddedAt), whenOrNever(a.ProvenAt), whenOrNever(ends), alone)
	}
	if err := w.Flush(); err != nil {
		return exitStopped
	}
	return exitDone
}

// summary is the lines about an account that are not about an address.
func (d accountDesk) summary(u user.User, full bool) []string {
	made, name, unlocked := "not yet: nobody has signed in", "-", "no"
	if !u.Account.MadeAt.IsZero() {
		made = inUTC(u.Account.MadeAt)
	}
	switch {
	case full && u.Account.Name != "":
		name = u.Account.Name
	case u.Account.Name != "":
		name = "known"
	}
	for _, a := range u.Account.Addresses {
		if until := a.UnlockedAt.Add(account.Unlocked); d.now.Before(until) {
			unlocked = "until " + inUTC(until)
		}
	}
	sessions := 0
	for _, b := range u.Account.Browsers {
		if b.SignedIn(d.settings.SignIn.Session, d.now) {
			sessions++
		}
	}
	var consents []string
	for _, c := range u.Account.Consents {
		consents = append(consents, c.Client)
	}
	return []string{
		"made\t" + made, "name\t" + name, "locale\t" + cmp.Or(u.Locale, "-"), "unlocked\t" + unlocked,
		fmt.Sprintf("factors\tauthenticator apps: %d, recovery codes: %d", len(u.TOTP.Confirmed()), u.Recovery.Left()),
		fmt.Sprintf("browsers\t%d, of which %d are signed in", len(u.Account.Browsers), sessions), "consents\t" + cmp.Or(strings.Join(consents, " "), "-"),
	}
}

// state names the state of an address as docs/accounts.md has it. ends is when that ends by itself, zero
// for never.
func (d accountDesk) state(s account.State, a account.Address) (name string, ends time.Time) {
	switch {
	case !a.ReplacedAt.IsZero():
		return "replaced", a.ReplacedAt.Add(account.Hold)
	case a.ProvenAt.IsZero():
		return "given", a.AddedAt.Add(account.GivenFor)
	case s.IsNew(a, d.now):
		return "new", a.AddedAt.Add(account.Hold)
	case d.now.Sub(a.ProvenAt) >= d.settings.SignIn.StaleAddress:
		return "stale", time.Time{}
	}
	return "proven", time.Time{}
}

func whenOrNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return inUTC(t)
}
