package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"twofa/internal/check"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/reach"
	"twofa/internal/secret"
	"twofa/internal/secretfile"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
)

// Checks returns what can be checked of the settings, in the order in which it is shown. A
// new provider adds its options to providers.
func Checks(s config.Settings) (parts []check.Part) {
	parts = append(parts, check.Part{Name: "secret", Setting: "TWOFA_SECRET", Checker: secretCheck(s)})
	parts = append(parts, check.Part{Name: "clients", Setting: "TWOFA_CLIENTS", Checker: clientsCheck(s)})
	if s.Store == config.StoreAzure {
		parts = append(parts, check.Part{Name: "storage", Setting: s.Tables.Setting, Checker: s.Tables})
	} else {
		parts = append(parts, check.Part{Name: "storage", Setting: "TWOFA_DATA_DIR", Checker: embedded{s.DataDir, s.Keys}})
	}
	parts = append(parts, providers(s)...)
	return append(parts, check.Part{Name: "public url", Setting: "TWOFA_PUBLIC_URL", Checker: reach.Origin{URL: s.PublicURL, Version: Version()}})
}

// providers are the checks of the providers of messages.
func providers(s config.Settings) (parts []check.Part) {
	for _, p := range []struct {
		check.Part
		used bool
	}{
		{check.Part{Name: "twilio", Setting: "TWILIO_ACCOUNT_SID", Checker: s.Twilio}, s.Twilio.AccountSID != ""},
		{check.Part{Name: "plivo", Setting: "PLIVO_AUTH_ID", Checker: s.Plivo}, s.Plivo.AuthID != ""},
		{check.Part{Name: "bird", Setting: "BIRD_API_KEY", Checker: s.Bird}, s.Bird.APIKey != ""},
		{check.Part{Name: "smtp", Setting: "TWOFA_SMTP_URL", Checker: s.Email}, s.Email.URL != ""},
	} {
		switch {
		case s.Messenger == config.MessengerConsole:
			p.Checker = one(check.Finding{Name: p.Name, Result: check.Skipped, Setting: "TWOFA_MESSENGER", Text: "is console: messages are printed and not sent"})
		case !p.used:
			p.Checker = one(check.Finding{Name: p.Name, Result: check.Skipped, Setting: p.Setting, Text: "is not set: this provider is not in use"})
		}
		parts = append(parts, p.Part)
	}
	return parts
}

// one is a check that is done already.
func one(f check.Finding) check.Func {
	return func(context.Context) []check.Finding { return []check.Finding{f} }
}

func secretCheck(s config.Settings) check.Func {
	f := check.Finding{Name: "secret", Result: check.OK, Setting: "TWOFA_SECRET"}
	switch {
	case s.Keys == nil:
		f.Text = "is not set: the service keeps a secret of its own in the data folder"
	case s.Keys.Count() == 1:
		f.Text = "has one secret"
	default:
		f.Text = fmt.Sprintf("has %d secrets: the first makes new codes, the last keys the rows", s.Keys.Count())
	}
	return one(f)
}

// clientsCheck counts the clients. Return addresses over plain http that are not loopback
// are faults of the settings already.
func clientsCheck(s config.Settings) check.Func {
	f := check.Finding{Name: "clients", Result: check.OK, Setting: "TWOFA_CLIENTS"}
	if s.Clients == nil {
		f.Text = "is not set: everybody who reaches the API may call it"
		return one(f)
	}
	all := s.Clients.Clients()
	f.Text = fmt.Sprintf("has %d clients", len(all))
	if len(all) == 1 {
		f.Text = "has one client"
	}
	found := []check.Finding{f}
	for _, c := range all {
		if isPublic(s.PublicURL) && returnsHere(c) {
			found = append(found, check.Finding{
				Name: "clients", Result: check.Warning, Setting: "TWOFA_CLIENTS",
				Text: "sends people of the client " + c.ID + " back to an address of this machine (return_urls): remove it, if this is not a trial",
			})
		}
	}
	return func(context.Context) []check.Finding { return found }
}

func isPublic(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Hostname() != "" && !notify.IsLoopback(u.Hostname())
}

func returnsHere(c client.Client) bool {
	for _, address := range c.ReturnURLs {
		if u, err := url.Parse(address); err == nil && u.Scheme == "http" {
			return true
		}
	}
	return false
}

// embedded is the store in a folder. It never makes a file or a folder.
type embedded struct {
	folder string
	keys   *secret.Keyring // nil if the secret is a file in the folder
}

// Check implements check.Checker. ctx cannot end the reading of a disk: check.Run does not
// wait for it.
func (e embedded) Check(context.Context) []check.Finding {
	f := check.Finding{Name: "storage", Result: check.Failed, Setting: "TWOFA_DATA_DIR"}
	path, secretPath := dataFiles(e.folder)
	info, err := os.Stat(e.folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Result, f.Text = check.Warning, "names a folder that does not exist: the first start makes it. If the service has run before, set the folder's full path"
		return []check.Finding{f}
	case errors.Is(err, fs.ErrPermission):
		f.Text = "names a folder that this user may not read"
		return []check.Finding{f}
	case err != nil, !info.IsDir():
		f.Text = "does not name a folder"
		return []check.Finding{f}
	}
	rows, err := boltstore.Look(path, sampled)
	switch {
	case errors.Is(err, boltstore.ErrLocked):
		f.Result, f.Text = check.OK, "names a store that another process has open, most likely the running service: its rows were not read"
	case errors.Is(err, fs.ErrNotExist) && secretfile.CheckStore(secretPath, path) != nil:
		f.Text = "names a folder with a secret and without the store twofa.db, which belongs to it: restore it from a backup (docs/runbooks/damaged-rows.md)"
	case errors.Is(err, fs.ErrNotExist):
		f.Result, f.Text = check.Warning, "names a folder without a store: the first start makes it. If the service has run before, set the full path of its folder"
	case errors.Is(err, fs.ErrPermission):
		f.Text = "names a folder whose twofa.db this user may not read and write: run the check as the user of the service, or give that user the file"
	case errors.Is(err, store.ErrDamaged):
		f.Text = "names a folder whose twofa.db is damaged: restore it from a backup (docs/runbooks/damaged-rows.md)"
	case err != nil:
		f.Text = "names a folder whose twofa.db cannot be opened: check the disk"
	default:
		f.Result, f.Text = check.OK, "names a store that can be opened"
	}
	return append([]check.Finding{f}, e.secret(secretPath, rows)...)
}

// secret checks the secret that the rows need.
func (e embedded) secret(path string, rows [][]byte) []check.Finding {
	f := check.Finding{Name: "storage secret", Result: check.Failed, Setting: "TWOFA_DATA_DIR"}
	keys := e.keys
	if keys == nil {
		var err error
		keys, err = secretfile.Read(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && len(rows) == 0:
			return nil // the first start makes it
		case errors.Is(err, fs.ErrNotExist):
			f.Text = "names a folder with rows and without their secret: put the file secret back, or set TWOFA_SECRET"
			return []check.Finding{f}
		case err != nil:
			f.Text = "names a folder whose file secret cannot be used: it has to be a regular file of mode 0600 that this user may read, with a secret in it"
			return []check.Finding{f}
		}
	}
	unknown := 0
	for _, data := range rows {
		if !keys.Knows(data) {
			unknown++
		}
	}
	if unknown == 0 {
		return nil
	}
	f.Setting, f.Text = "TWOFA_SECRET", fmt.Sprintf("cannot open %d of %d rows that were looked at: put the secret back that sealed them, at the end of the list (docs/runbooks/rotate-secret.md)", unknown, len(rows))
	if unknown < len(rows) {
		f.Result = check.Warning
	}
	return []check.Finding{f}
}
