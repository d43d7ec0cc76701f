// Package app builds the service from its settings: the one wiring that main, the
// tests and the benchmarks use.
//
// It is the only package that knows the concrete stores and messengers. It must
// never decide anything about codes, users or requests.
package app

import (
	"cmp"
	"log/slog"
	"strings"
	"time"

	"twofa/handler"
	"twofa/health"
	"twofa/hooks"
	"twofa/internal/breaker"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/deadline"
	"twofa/internal/delivery"
	"twofa/internal/grant"
	"twofa/internal/guard"
	"twofa/internal/notify"
	"twofa/internal/oidckeys"
	"twofa/internal/receipt"
	"twofa/internal/recipient"
	"twofa/internal/secret"
	"twofa/internal/session"
	"twofa/internal/signin"
	"twofa/internal/store"
	"twofa/internal/texts"
	"twofa/internal/turn"
	"twofa/internal/user"
	"twofa/internal/userfile"
	"twofa/internal/visit"
	"twofa/internal/web"
	"twofa/oidc"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/pages"
	"twofa/purge"
	"twofa/users"
)

// Parts are what New needs beside the settings. Open makes them from the settings.
// A test makes its own.
type Parts struct {
	Table store.Table
	Keys  *secret.Keyring
	Messenger
	Texts Texts
	// Catalogue has the texts of pages.
	Catalogue *texts.Catalogue
	// Foreign is true if the rows of the embedded store were sealed with a secret that
	// Keys does not have: see handler.API.
	Foreign bool
	Log     *slog.Logger
	Now     func() time.Time
}

// Messenger sends messages, and receives reports and replies.
type Messenger struct {
	Senders notify.Senders
	// Providers verify and read the providers' requests, by name; none without
	// TWOFA_PUBLIC_URL.
	Providers map[string]hooks.Provider
	// Deniable are the routes over which a person's reply reaches the service.
	Deniable map[channel.Route]bool
	// WhatsApp and SMS are the numbers that people can write to; "": none.
	WhatsApp, SMS string
}

// Texts has the texts of replies and of the messages that people send. The senders
// have the texts of the messages that they send.
type Texts interface {
	delivery.Texts
	otpsend.Asker
}

// mayWait is how many requests may wait for their turn to hash recovery codes: their
// longest wait, for eight sets, is 2 s.
const mayWait = 8

// New builds the use cases and their HTTP API.
func New(s config.Settings, p Parts) *handler.API {
	recipients := Recipients(p)
	registered := &user.Store{Table: p.Table, Keys: p.Keys}
	brand := func(id string) string {
		c, _ := s.Clients.Client(id)
		return cmp.Or(c.Brand, s.Brand)
	}
	if s.Clients != nil {
		recipients.DirectoryOf = func(id string) string {
			c, _ := s.Clients.Client(id)
			return c.Directory
		}
	}
	sender := &delivery.Sender{
		Recipients: recipients, Policy: s.Policy, Senders: p.Senders, Workflow: s.Channels, TestNumbers: s.TestNumbers,
		Brand: brand, Deniable: p.Deniable, Breaker: &breaker.Breaker{Changed: delivery.LogProviders(p.Log)}, Log: p.Log, Now: p.Now,
	}
	hashing := turn.NewQueue(mayWait)
	sessions := &session.Store{Table: p.Table, Keys: p.Keys}
	look, site := looks{s}, session.Site{PublicURL: s.PublicURL, HasClients: s.Clients != nil}
	api := &handler.API{
		Foreign: p.Foreign,
		Send: &otpsend.Service{
			Recipients: recipients, Users: registered, Sender: sender, Channels: p.Senders, Workflow: s.Channels,
			Policy: s.Policy, TestNumbers: s.TestNumbers, Countries: s.Countries, Now: p.Now,
			Guard: &guard.Guard{Table: p.Table, Keys: p.Keys, Limits: s.Limits, Log: p.Log},
			Pages: site, MagicLinks: s.MagicLinks,
		},
		Verify: &otpverify.Service{Recipients: recipients, Users: registered, Sessions: sessions, Policy: s.Policy, Alerts: sender, Hashing: hashing, Now: p.Now},
		Users: &users.Service{
			Users: registered, Recipients: recipients, Channels: p.Senders.Channels(), Countries: s.Countries, Brand: s.Brand,
			Hashing: hashing, NotifyChanges: s.NotifyChanges, Notifier: sender, Pages: site, Now: p.Now,
		},
		Hooks: &hooks.Service{
			Providers: p.Providers, Deliveries: sender,
			Inbox: &delivery.Inbox{Recipients: recipients, Texts: p.Texts, Brand: brand, Now: p.Now},
		},
		Pages:          &pages.Service{},
		Purge:          &purge.Service{Table: p.Table, Now: p.Now, Budget: deadline.Sweep},
		Health:         &health.Service{Table: p.Table, Version: Version(), Log: p.Log, Now: p.Now},
		Docs:           &pages.Docs{PublicURL: s.PublicURL},
		Clients:        s.Clients,
		ClientIPHeader: s.ClientIPHeader, Version: Version(), Log: p.Log, Now: p.Now,
	}
	api.Verify.Enrollments = api.Users
	api.Look = &pages.Look{LogoOf: look.logo}
	visits := visit.Site{
		Keys: p.Keys, Clients: s.Clients, Sessions: sessions, Send: api.Send, Verify: api.Verify, Renderer: &web.Renderer{Texts: p.Catalogue},
		Look: look.of, Forms: web.SameOrigin(s.PublicURL), Cookies: web.Cookies{Plain: strings.HasPrefix(s.PublicURL, "http:")}, Now: p.Now,
	}
	api.Site = &pages.Site{Site: visits, Users: api.Users}
	if s.Clients != nil && s.PublicURL != "" {
		api.SignIn = newSignIn(s, p, visits, api.Users, registered)
	}
	if !s.UnderHost {
		api.Guard = &handler.Guard{PublicURL: s.PublicURL, Hosts: s.Hosts}
	}
	if s.PublicURL != "" { // the issuer
		signer := receipt.New(p.Keys, s.PublicURL, p.Now)
		api.Verify.Receipts, api.Pages.Receipts = signer, signer
	}
	if len(p.Providers) > 0 && (p.WhatsApp != "" || p.SMS != "") {
		api.Send.Inbound = &otpsend.Inbound{WhatsApp: p.WhatsApp, SMS: p.SMS, Brand: brand, Texts: p.Texts}
	}
	return api
}

// newSignIn builds the provider of sign-in and its pages.
func newSignIn(s config.Settings, p Parts, visits visit.Site, people *users.Service, registered *user.Store) *oidc.SignIn {
	accounts := &signin.Accounts{Table: p.Table, Keys: p.Keys, Users: registered}
	return &oidc.SignIn{
		Site: visits, Accounts: accounts, Users: people, Guard: visits.Send.Guard, Session: s.SignIn.Session, Stale: s.SignIn.StaleAddress, TrustFor: s.SignIn.RememberDevice,
		Provider: &oidc.Provider{
			SignUp: s.SignIn.SignUp, Issuer: s.PublicURL + oidc.Path, Clients: s.Clients, Keys: SigningKeys(p), Grants: &grant.Store{Table: p.Table, Keys: p.Keys, Now: p.Now},
			People: accounts, TestNumbers: s.TestNumbers, Renderer: visits.Renderer, Look: visits.Look, Now: p.Now,
		},
	}
}

// SigningKeys returns the store of the keys that sign ID tokens.
func SigningKeys(p Parts) *oidckeys.Store {
	return &oidckeys.Store{Table: p.Table, Keys: p.Keys, Now: p.Now}
}

// Accounts returns the accounts of sign-in.
func Accounts(p Parts) *signin.Accounts {
	return &signin.Accounts{Table: p.Table, Keys: p.Keys, Users: &user.Store{Table: p.Table, Keys: p.Keys}}
}

// Recipients returns the addresses and what is counted at them, without the directories of clients.
func Recipients(p Parts) *recipient.Store { return &recipient.Store{Table: p.Table, Keys: p.Keys} }

// How much an import or an export does at the same time. Azure Table Storage answers
// one request of a connection after the other, so it gets several connections. The
// embedded store waits for the disk after each write, so one write gets many rows.
const (
	azureWorkers = 16
	boltBatch    = 512
)

// firstRetry is the pause before the first of five repetitions of an import's
// write. Each further pause is twice as long, so all take half a minute.
const firstRetry = time.Second

// Import returns an import of users of the directory, without a Report.
func Import(s config.Settings, p Parts, directory user.Directory) *userfile.Import {
	im := &userfile.Import{
		Users: &user.Store{Table: p.Table, Keys: p.Keys}, Directory: directory, Channels: p.Senders.Channels(), Countries: s.Countries,
		Now: p.Now,
	}
	tune(&im.Writer, p.Table)
	return im
}

// ImportAccounts returns an import of accounts of sign-in, without a Report.
func ImportAccounts(s config.Settings, p Parts) *userfile.AccountImport {
	im := &userfile.AccountImport{Accounts: Accounts(p), Countries: s.Countries, Now: p.Now}
	tune(&im.Writer, p.Table)
	return im
}

// tune makes an import write as the table does it fastest.
func tune(w *userfile.Writer, t store.Table) {
	w.Workers, w.RetryAfter = azureWorkers, firstRetry
	if b, ok := t.(batcher); ok {
		w.Batch, w.BatchSize, w.Workers = b.Batch, boltBatch, 1
	}
}

// Export returns an export of the users of the directory, without a Report.
func Export(s config.Settings, p Parts, directory user.Directory) *userfile.Export {
	return &userfile.Export{Users: &user.Store{Table: p.Table, Keys: p.Keys}, Directory: directory, Issuer: s.Brand, Workers: azureWorkers}
}
