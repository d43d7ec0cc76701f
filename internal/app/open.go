package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"twofa/hooks"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/notify/bird"
	"twofa/internal/notify/console"
	"twofa/internal/notify/email"
	"twofa/internal/notify/plivo"
	"twofa/internal/notify/twilio"
	"twofa/internal/phone"
	"twofa/internal/secret"
	"twofa/internal/secretfile"
	"twofa/internal/store"
	"twofa/internal/store/azuretable"
	"twofa/internal/store/boltstore"
	"twofa/internal/texts"
)

// ErrLocked is in the error of Open while another process has the embedded store
// open.
var ErrLocked = boltstore.ErrLocked

// batcher is a store that can combine many updates in one write.
type batcher interface {
	Batch(ctx context.Context, fn func(store.Table) error) error
}

// Open opens the store and the messenger of the settings. It makes no network
// request, so that a start is quick. It installs the settings' ranges of numbers. The console messenger prints on stdout. The
// caller closes Parts.Table.
func Open(s config.Settings, stdout io.Writer, log *slog.Logger) (Parts, error) {
	catalogue, err := texts.Load(s.Texts)
	if err != nil {
		return Parts{}, err
	}
	phone.Install(s.ExtraNumbers)
	p := Parts{Texts: catalogue, Catalogue: catalogue, Log: log, Now: time.Now}
	if p.Messenger, err = openMessenger(s, catalogue, stdout, log); err != nil {
		return Parts{}, err
	}
	p.Table, p.Keys, p.Foreign, err = openStore(s, log)
	return p, err
}

// openStore opens the table and the keyring. The secret file is made while the
// embedded store is locked, so that two processes cannot make two secrets.
//
// foreign is true if no row of the embedded store that was looked at can be opened.
func openStore(s config.Settings, log *slog.Logger) (_ store.Table, _ *secret.Keyring, foreign bool, _ error) {
	if s.Store == config.StoreAzure {
		table, err := azuretable.Open(s.Tables)
		return table, s.Keys, false, err
	}
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return nil, nil, false, fmt.Errorf("TWOFA_DATA_DIR: %w", err)
	}
	path, secretPath := dataFiles(s.DataDir)
	if err := secretfile.CheckStore(secretPath, path); err != nil {
		return nil, nil, false, err
	}
	table, err := boltstore.Open(path)
	if err != nil {
		return nil, nil, false, err
	}
	keys := s.Keys
	if keys == nil {
		if keys, err = secretfile.Load(secretPath, table.Empty); err != nil {
			return nil, nil, false, errors.Join(err, table.Close())
		}
	}
	foreign, err = warnOfOtherSecret(table, keys, log)
	if err != nil {
		return nil, nil, false, errors.Join(err, table.Close())
	}
	return table, keys, foreign, nil
}

// dataFiles are the files of the embedded store in its folder.
func dataFiles(folder string) (rows, secret string) {
	return filepath.Join(folder, "twofa.db"), filepath.Join(folder, "secret")
}

// sampled is how many rows at each end of the embedded store the start looks at. Those
// of users, which do not expire, are the last ones by key.
const sampled = 32

// warnOfOtherSecret logs a warning if rows of the store were sealed with a secret that
// the keyring does not have. It reports whether all that it looked at were.
func warnOfOtherSecret(table *boltstore.Store, keys *secret.Keyring, log *slog.Logger) (all bool, err error) {
	rows, err := table.Sample(sampled)
	if err != nil {
		return false, err
	}
	unknown := 0
	for _, data := range rows {
		if !keys.Knows(data) {
			unknown++
		}
	}
	if unknown == 0 {
		return false, nil
	}
	log.Warn("rows in the store were sealed with a secret that is not in TWOFA_SECRET (or in the file beside the store): they cannot be read, and users may seem to be unknown. Put that secret back, at the end of the list (docs/runbooks/rotate-secret.md)",
		"setting", "TWOFA_SECRET", "rows", unknown, "of", len(rows))
	return unknown == len(rows), nil
}

func openMessenger(s config.Settings, catalogue *texts.Catalogue, stdout io.Writer, log *slog.Logger) (Messenger, error) {
	m := Messenger{Senders: make(notify.Senders), Providers: make(map[string]hooks.Provider)}
	if s.Messenger == config.MessengerConsole {
		printer := console.New(stdout, catalogue)
		for _, c := range channel.Sending {
			m.Senders[c] = printer.Sender(c)
		}
		return m, nil
	}
	var err error
	if s.Email.URL != "" {
		s.Email.Logger, s.Email.Texts = log, catalogue
		if m.Senders[channel.Email], err = email.New(s.Email); err != nil {
			return m, err
		}
	}
	accounts := make(map[string]notify.Senders)
	for _, add := range []func(config.Settings, map[string]notify.Senders, *texts.Catalogue, *slog.Logger) error{m.addTwilio, m.addPlivo, m.addBird} {
		if err := add(s, accounts, catalogue, log); err != nil {
			return m, err
		}
	}
	for _, c := range channel.Sending {
		if sender := routed(accounts, s.Policy.Routes.Of(c)); sender != nil {
			m.Senders[c] = sender
		}
	}
	return m, nil
}

// routed returns the sender of a channel with those routes, nil if no account can send over it.
func routed(accounts map[string]notify.Senders, routes []channel.Route) notify.Sender {
	list := make(notify.Providers)
	for _, r := range routes {
		if r.Provider == "" { // of Twilio alone
			return accounts[channel.Twilio][r.Channel]
		}
		if sender := accounts[r.Provider][r.Channel]; sender != nil {
			list[r.Provider] = sender
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// addTwilio adds the account's senders, if there is an account, and if Twilio can reach the service, its
// requests and the numbers that people can write to.
func (m *Messenger) addTwilio(s config.Settings, accounts map[string]notify.Senders, catalogue *texts.Catalogue, log *slog.Logger) error {
	if s.Twilio.AccountSID == "" {
		return nil
	}
	s.Twilio.Logger, s.Twilio.Texts = log, catalogue
	account, err := twilio.New(s.Twilio)
	if err != nil {
		return err
	}
	accounts[channel.Twilio] = account.Senders()
	if s.PublicURL == "" {
		return nil
	}
	m.WhatsApp = s.Twilio.WhatsAppFrom
	if strings.HasPrefix(s.Twilio.SMSFrom, "+") { // nobody can reply to a name, or to a short code from abroad
		m.SMS = s.Twilio.SMSFrom
	}
	byService := s.Twilio.SMSFrom == "" && s.Twilio.MessagingServiceSID != ""
	m.Deniable = make(map[channel.Route]bool)
	for _, provider := range []string{"", channel.Twilio} {
		m.Deniable[channel.Route{Channel: channel.WhatsApp, Provider: provider}] = true
		m.Deniable[channel.Route{Channel: channel.SMS, Provider: provider}] = m.SMS != "" || byService
	}
	m.Providers[channel.Twilio], err = twilio.NewWebhooks(s.Twilio)
	return err
}

// addPlivo is addTwilio for Plivo, to whose numbers nobody can write.
func (m *Messenger) addPlivo(s config.Settings, accounts map[string]notify.Senders, catalogue *texts.Catalogue, log *slog.Logger) error {
	if s.Plivo.AuthID == "" {
		return nil
	}
	s.Plivo.Logger, s.Plivo.Texts = log, catalogue
	account, err := plivo.New(s.Plivo)
	if err != nil {
		return err
	}
	accounts[plivo.Name] = account.Senders()
	if s.PublicURL == "" {
		return nil
	}
	m.Providers[plivo.Name], err = plivo.NewWebhooks(s.Plivo)
	return err
}

// addBird is addPlivo for Bird, whose reports need a secret of their own.
func (m *Messenger) addBird(s config.Settings, accounts map[string]notify.Senders, catalogue *texts.Catalogue, log *slog.Logger) error {
	if s.Bird.APIKey == "" {
		return nil
	}
	s.Bird.Logger, s.Bird.Texts = log, catalogue
	account, err := bird.New(s.Bird)
	if err != nil {
		return err
	}
	accounts[bird.Name] = account.Senders()
	if s.PublicURL == "" || s.Bird.WebhookSecret == "" {
		return nil
	}
	m.Providers[bird.Name], err = bird.NewWebhooks(s.Bird)
	return err
}
