// Command api is an example: the API behind a page of React that signs people in with twofa. It checks
// the ID token that the page hands over, gives a session of its own, and serves the built page. README.md
// in the folder above says what to copy from it. It keeps everything in memory, and must never keep the
// notes of real people.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("api", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:7090", "where to listen")
	public := flags.String("url", "", "the app's own origin (default: http:// and addr)")
	issuer := flags.String("issuer", "http://127.0.0.1:7071/oidc", "the issuer of twofa: its TWOFA_PUBLIC_URL and /oidc")
	client := flags.String("client", "notes", "the id of the app's client at twofa")
	files := flags.String("files", "examples/spa/dist", "the folder with the built page")
	_ = flags.Parse(args) // ends the process instead
	if *public == "" {
		*public = "http://" + *addr
	}
	origin, err := url.Parse(*public)
	if err != nil || checkAddress(origin) != nil || origin.Scheme+"://"+origin.Host != *public {
		return errors.New("-url: give an origin without a path, with https, or with http on loopback")
	}
	if at, err := url.Parse(*issuer); err != nil || checkAddress(at) != nil {
		return errors.New("-issuer: give the issuer of twofa, with https, or with http on loopback")
	}
	if _, err := os.Stat(*files + "/index.html"); err != nil {
		return fmt.Errorf("-files: %s has no index.html: npm run build makes it, in examples/spa", *files)
	}
	tokens, err := newTokens(ctx, *issuer, *client)
	if err != nil {
		return err
	}
	s, err := newServer(*public, tokens, os.DirFS(*files), slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	return serve(ctx, listener, s.handler())
}

// checkAddress refuses plain http to another machine: tokens and cookies would travel readable.
func checkAddress(u *url.URL) error {
	ip, err := netip.ParseAddr(u.Hostname())
	switch {
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("not the address of a server")
	case u.Scheme == "https", u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback()):
		return nil
	}
	return errors.New("only https, or http on loopback")
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(drain)
}
