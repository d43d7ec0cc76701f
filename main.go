// Command twofa is a one-time-code service: an Azure Functions custom handler
// that also serves on its own. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"twofa/handler"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/notify/console"
	"twofa/internal/notify/twilio"
	"twofa/internal/recipient"
	"twofa/internal/secret"
	"twofa/internal/store"
	"twofa/internal/store/azuretable"
	"twofa/internal/store/boltstore"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/purge"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
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
	settings, err := config.Load()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: settings.LogLevel}))
	for _, name := range settings.Unknown {
		log.Warn("this setting means nothing to this version; is it misspelled?", "setting", name)
	}
	table, keys, err := openStore(settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, table.Close()) }()
	senders, err := openSenders(settings, stdout, log)
	if err != nil {
		return err
	}

	book := &recipient.Book{Table: table, Keys: keys}
	sweep := &purge.Service{Table: table, Now: time.Now, Budget: 15 * time.Second}
	api := &handler.API{
		Send: &otpsend.Service{
			Book: book, Policy: settings.Policy, Senders: senders, Default: settings.Channels[0],
			Countries: settings.Countries, Brand: settings.Brand, Now: time.Now,
		},
		Verify: &otpverify.Service{Book: book, Policy: settings.Policy, Now: time.Now},
		Purge:  sweep, Log: log, Now: time.Now,
	}
	if !settings.UnderHost {
		go sweepHourly(ctx, sweep, log) // nobody else fires the timer
	}
	err = serve(ctx, settings, api.Handler(), log)
	if err == nil && settings.UnderHost {
		err = errors.New("stopped by a signal")
	}
	return err
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
		if keys, err = localSecret(filepath.Join(s.DataDir, "secret")); err != nil {
			return nil, nil, errors.Join(err, table.Close())
		}
	}
	return table, keys, nil
}

// localSecret reads the secret that lies beside an embedded store, and makes it
// the first time.
func localSecret(path string) (*secret.Keyring, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(secret.Generate() + "\n")
		// Whole or not at all: a half-written secret would lose every row.
		if err = os.WriteFile(path+".new", text, 0o600); err == nil {
			err = os.Rename(path+".new", path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("keep the secret: %w", err)
	}
	keys, err := secret.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

func openSenders(s config.Settings, stdout io.Writer, log *slog.Logger) (map[notify.Channel]notify.Sender, error) {
	if s.Messenger == config.MessengerConsole {
		return map[notify.Channel]notify.Sender{notify.WhatsApp: console.New(stdout)}, nil
	}
	s.Twilio.Logger = log
	whatsapp, err := twilio.New(s.Twilio)
	if err != nil {
		return nil, err
	}
	return map[notify.Channel]notify.Sender{notify.WhatsApp: whatsapp}, nil
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
		return err
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
