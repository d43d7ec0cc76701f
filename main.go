// Command twofa is a one-time-code service: a custom handler for Azure Functions
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
	"sync"
	"syscall"
	"time"

	"twofa/handler"
	"twofa/internal/app"
	"twofa/internal/config"
	"twofa/internal/deadline"
	"twofa/purge"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if len(os.Args) > 1 { // a mistyped command must not start the server
		context.AfterFunc(ctx, stop) // a second signal ends the process at once
		os.Exit(runCommand(ctx, os.Args[1:]))
	}
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		// The Functions host shows each line of stderr as an error of its own.
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends. Everything that the service prints goes to stdout.
//
// On its own it then lets requests finish, and returns nil. Under the Functions
// host it never returns nil, because the host does not restart a process that
// exits with code 0.
func run(ctx context.Context, stdout io.Writer) (err error) {
	settings, err := config.Load(time.Now())
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: settings.LogLevel}))
	parts, err := app.Open(settings, stdout, log)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	var sweeping sync.WaitGroup
	defer func() {
		stop()
		sweeping.Wait()
		err = errors.Join(err, parts.Table.Close())
	}()
	api := app.New(settings, parts)
	warn(settings, log)
	if !settings.UnderHost {
		sweeping.Go(func() { sweepHourly(background, api.Purge, log) }) // without the host nothing fires the timer
	}
	err = serve(ctx, settings, api.Handler(), log)
	if err == nil && settings.UnderHost {
		err = errors.New("stopped by a signal")
	}
	return err
}

// sweepHourly runs the purge in a process without the host's timer.
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

// drainTimeout is how long requests may take to finish when the process ends.
const drainTimeout = 30 * time.Second

// newServer limits how long a client can occupy a connection, and how much it can
// send: see package deadline.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: deadline.Reading / 2,
		ReadTimeout:       deadline.Reading,
		WriteTimeout:      deadline.Longest, // from the headers on; the answer is ready before
		IdleTimeout:       2 * time.Minute,  // longer than the Functions host's 75 s
		MaxHeaderBytes:    32 << 10,
		// net/http would answer OPTIONS * without our headers.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// listenError says what to do if the service cannot listen.
func listenError(s config.Settings, err error) error {
	const windowsInUse, windowsDenied = syscall.Errno(10048), syscall.Errno(10013)
	_, port, _ := net.SplitHostPort(s.Addr)
	switch {
	case s.UnderHost && (errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, windowsInUse)):
		return fmt.Errorf("FUNCTIONS_CUSTOMHANDLER_PORT: another process uses port %s of %s, which the Functions host gave: stop that process, most likely an earlier one of this service, or restart the host (%w)", port, s.Addr, err)
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, windowsInUse):
		return fmt.Errorf("TWOFA_ADDR: another process uses port %s of %s: set TWOFA_ADDR to another port, such as 127.0.0.1:8081, or stop that process (%w)", port, s.Addr, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, windowsDenied):
		return fmt.Errorf("TWOFA_ADDR: this user may not listen on port %s: set TWOFA_ADDR to a port of 1024 or more (%w)", port, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("TWOFA_ADDR: this machine does not have the address of %s: set TWOFA_ADDR to one that it has, or to 127.0.0.1:%s (%w)", s.Addr, port, err)
	}
	return fmt.Errorf("TWOFA_ADDR: %w", err)
}

// serve listens until ctx ends.
func serve(ctx context.Context, s config.Settings, h http.Handler, log *slog.Logger) error {
	listener, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return listenError(s, err)
	}
	server := newServer(h, log)
	log.Info("listening", "address", listener.Addr().String(), "store", s.Store, "messenger", s.Messenger)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(handler.FixedHeaders(listener)) }()
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
