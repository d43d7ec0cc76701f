// Command twofa is a one-time-code service: an Azure Functions custom handler
// that also serves on its own. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"twofa/handler"
	"twofa/hooks"
	"twofa/internal/config"
	"twofa/internal/delivery"
	"twofa/internal/notify"
	"twofa/internal/notify/console"
	"twofa/internal/notify/email"
	"twofa/internal/notify/twilio"
	"twofa/internal/recipient"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/azuretable"
	"twofa/internal/store/boltstore"
	"twofa/internal/texts"
	"twofa/internal/user"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/purge"
	"twofa/users"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if len(os.Args) > 1 { // a slip must not serve
		context.AfterFunc(ctx, stop) // a second signal ends the process at once
		os.Exit(runCommand(ctx, os.Args[1:]))
	}
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		// The host shows each line of stderr as an error of its own.
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends: settings -> store -> messenger -> services ->
// handler -> serve. Everything that the service prints goes to stdout.
//
// On its own it then drains and returns nil. Under the Functions host it never
// returns nil: the host takes exit code 0 for "do not start it again".
func run(ctx context.Context, stdout io.Writer) (err error) {
	settings, err := config.Load(time.Now())
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: settings.LogLevel}))
	table, keys, err := openStore(settings)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	var sweeping sync.WaitGroup
	defer func() {
		stop()
		sweeping.Wait()
		err = errors.Join(err, table.Close())
	}()
	catalogue, err := texts.Load(settings.Texts)
	if err != nil {
		return err
	}
	provider, err := openProvider(settings, catalogue, stdout, log)
	if err != nil {
		return err
	}

	sweep := &purge.Service{Table: table, Now: time.Now, Budget: 15 * time.Second}
	api := services(settings, table, keys, catalogue, provider, log)
	api.Purge = sweep
	warn(settings, log)
	if !settings.UnderHost {
		sweeping.Go(func() { sweepHourly(background, sweep, log) }) // nobody else fires the timer
	}
	err = serve(ctx, settings, api.Handler(), log)
	if err == nil && settings.UnderHost {
		err = errors.New("stopped by a signal")
	}
	return err
}

// services are the use cases and all that they depend on.
func services(s config.Settings, table store.Table, keys *secret.Keyring, catalogue *texts.Catalogue, p provider, log *slog.Logger) *handler.API {
	book := &recipient.Book{Table: table, Keys: keys}
	directory := &user.Directory{Table: table, Keys: keys}
	carrier := &delivery.Carrier{
		Book: book, Policy: s.Policy, Senders: p.senders, Workflow: s.Channels, Scripts: s.Scripts, ScriptsEnd: s.ScriptsEnd, Brand: s.Brand, Deniable: p.deniable, Log: log, Now: time.Now,
	}
	var channels []string
	for _, channel := range slices.Sorted(maps.Keys(p.senders)) {
		channels = append(channels, string(channel))
	}
	api := &handler.API{
		Send:   &otpsend.Service{Carrier: carrier, Users: directory, Countries: s.Countries},
		Verify: &otpverify.Service{Book: book, Users: directory, Policy: s.Policy, Alerts: carrier, Now: time.Now},
		Users: &users.Service{
			Directory: directory, Recipients: book, Channels: channels, Countries: s.Countries,
			Brand: s.Brand, Now: time.Now,
		},
		Hooks: &hooks.Service{
			Deliveries: carrier, Inbox: &delivery.Inbox{Book: book, Texts: catalogue, Brand: s.Brand, Now: time.Now},
		},
		Log: log, Now: time.Now,
	}
	if p.webhooks != nil { // a nil *Webhooks is not a nil Provider
		api.Hooks.Provider = p.webhooks
		api.Send.Inbound = p.inbound(s.Brand, catalogue)
	}
	return api
}

// warn says at the start what is allowed and yet most likely a mistake.
func warn(s config.Settings, log *slog.Logger) {
	for _, name := range s.Unknown {
		log.Warn("this setting means nothing to this version; is it misspelled?", "setting", name)
	}
	if s.UnderHost && s.Messenger == config.MessengerConsole {
		log.Warn("messages are printed and not sent: codes and numbers go to the host's log, which is for local work only", "setting", "TWOFA_MESSENGER")
	}
	if s.PublicURL == "" && s.Twilio.AccountSID != "" {
		log.Warn("messages are sent, but nobody tells what became of them: no fallback after a lost one, no answers of people", "setting", "TWOFA_PUBLIC_URL")
	}
	if len(s.Scripts) > 0 {
		log.Warn("test numbers are on: they are sent nothing, and a fixed code is right for them", "setting", "TWOFA_TEST_NUMBERS", "until", s.ScriptsEnd)
	}
	if addr, err := netip.ParseAddrPort(s.Addr); err == nil && !addr.Addr().IsLoopback() {
		log.Warn("on its own the service asks for no key: whoever reaches this address may send and check", "setting", "TWOFA_ADDR")
	}
}

// openStore opens the table and the keyring. The file lock of the bolt store
// keeps two processes from making two secrets.
func openStore(s config.Settings) (store.Table, *secret.Keyring, error) {
	if s.Store == config.StoreAzure {
		table, err := azuretable.Open(s.Tables)
		return table, s.Keys, err
	}
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("TWOFA_DATA_DIR: %w", err)
	}
	table, err := boltstore.Open(filepath.Join(s.DataDir, "twofa.db"))
	if err != nil {
		return nil, nil, err
	}
	keys := s.Keys
	if keys == nil {
		if keys, err = localSecret(filepath.Join(s.DataDir, "secret"), table); err != nil {
			return nil, nil, errors.Join(err, table.Close())
		}
	}
	return table, keys, nil
}

// localSecret reads the secret that lies beside an embedded store, and makes it
// the first time. It makes none beside rows: a new one could not read them, and
// every limit that they hold would be lost without a word.
func localSecret(path string, table store.Table) (*secret.Keyring, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		var page store.Page
		if page, err = table.Expired(context.Background(), endOfTime, ""); err != nil {
			return nil, err
		}
		if len(page.Rows) > 0 {
			return nil, fmt.Errorf("the secret %s is missing, and the rows beside it need it: put it back, set TWOFA_SECRET, or remove the rows too", path)
		}
		text = []byte(secret.Generate() + "\n")
		err = writeWhole(path, text)
	}
	if err != nil {
		return nil, fmt.Errorf("the secret beside the rows: %w", err)
	}
	keys, err := secret.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// endOfTime is after every row's KeepUntil.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// writeWhole makes a private file that is there with all of its content or not
// at all, also after a power cut: rows will be sealed with what is in it.
func writeWhole(path string, content []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// provider is what carries messages, both ways.
type provider struct {
	senders  map[notify.Channel]notify.Sender
	webhooks *twilio.Webhooks // nil without TWOFA_PUBLIC_URL
	// deniable are the channels on which an answer reaches us; whatsApp and sms
	// are the numbers that people can write to.
	deniable      map[notify.Channel]bool
	whatsApp, sms string
}

func openProvider(s config.Settings, catalogue *texts.Catalogue, stdout io.Writer, log *slog.Logger) (p provider, err error) {
	p.senders = make(map[notify.Channel]notify.Sender)
	if s.Messenger == config.MessengerConsole {
		printer := console.New(stdout, catalogue)
		for _, channel := range notify.Channels {
			p.senders[channel] = printer.On(channel)
		}
		return p, nil
	}
	if s.Twilio.AccountSID != "" {
		s.Twilio.Logger, s.Twilio.Texts = log, catalogue
		account, err := twilio.New(s.Twilio)
		if err != nil {
			return p, err
		}
		maps.Copy(p.senders, account.Senders())
	}
	if s.Email.URL != "" {
		s.Email.Logger, s.Email.Texts = log, catalogue
		if p.senders[notify.Email], err = email.New(s.Email); err != nil {
			return p, err
		}
	}
	if s.PublicURL == "" || s.Twilio.AccountSID == "" {
		return p, nil
	}
	p.webhooks, err = twilio.NewWebhooks(s.PublicURL, s.Twilio.AuthToken)
	p.whatsApp = s.Twilio.WhatsAppFrom
	if strings.HasPrefix(s.Twilio.SMSFrom, "+") { // nobody can answer a name or a short code abroad
		p.sms = s.Twilio.SMSFrom
	}
	service := s.Twilio.MessagingServiceSID != ""
	p.deniable = map[notify.Channel]bool{notify.WhatsApp: true, notify.SMS: p.sms != "" || s.Twilio.SMSFrom == "" && service}
	return p, err
}

// inbound is nil if people have no number of ours to write to.
func (p provider) inbound(brand string, catalogue *texts.Catalogue) *otpsend.Inbound {
	if p.whatsApp == "" && p.sms == "" {
		return nil
	}
	return &otpsend.Inbound{WhatsApp: p.whatsApp, SMS: p.sms, Brand: brand, Texts: catalogue}
}

// sweepHourly does the timer's work for a process without a host.
func sweepHourly(ctx context.Context, sweep *purge.Service, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Hour):
		}
		res, err := sweep.Run(ctx)
		if err != nil {
			log.Error("purge", "error", err.Error())
			continue
		}
		log.Info("purge", "removed", res.Removed, "changed", res.Changed, "done", res.Done)
	}
}

// drainTimeout is how long a process on its own lets requests finish.
const drainTimeout = 30 * time.Second

// newServer bounds everything that a client can hold up.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      45 * time.Second, // above the handler's own limit
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func serve(ctx context.Context, s config.Settings, h http.Handler, log *slog.Logger) error {
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("TWOFA_ADDR: %w", err)
	}
	server := newServer(h, log)
	log.Info("listening", "address", listener.Addr().String(), "store", s.Store, "messenger", s.Messenger)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return server.Shutdown(drain)
}
