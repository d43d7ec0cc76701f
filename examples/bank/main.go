// Command bank is an example: a small bank whose customers log in with a password and a
// second factor from twofa. README.md says what to copy from it. It keeps everything in
// memory, and must never keep real customers.
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
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	addr := flag.String("addr", "127.0.0.1:7080", "where to listen")
	service := flag.String("twofa", "http://127.0.0.1:7071", "the origin of twofa, as its TWOFA_PUBLIC_URL")
	public := flag.String("url", "", "the bank's own origin (default: http:// and addr)")
	attacks := flag.Bool("demo", false, "serve /attack, a page that attacks accounts; on loopback only")
	flag.Parse()
	if *public == "" {
		*public = "http://" + *addr
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	api := newTwofa(*service, log)
	api.id, api.secret, api.hostKey = os.Getenv("BANK_CLIENT_ID"), os.Getenv("BANK_CLIENT_SECRET"), os.Getenv("BANK_HOST_KEY")
	if api.id == "" || api.secret == "" {
		return errors.New("set BANK_CLIENT_ID and BANK_CLIENT_SECRET (twofa clients new bank makes them)")
	}
	for name, address := range map[string]string{"-twofa": *service, "-url": *public} {
		if err := checkOrigin(address); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	if *attacks && !loopback(listener.Addr()) {
		return errors.New("-demo: the bank listens on other addresses than loopback")
	}
	b := newBank(api, *public, log)
	b.demo = *attacks
	err = serve(ctx, listener, b.handler())
	b.warnings.Wait()
	return err
}

func loopback(at net.Addr) bool {
	tcp, ok := at.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// checkOrigin refuses plain http to another machine: passwords, codes and the client's secret
// would travel readable.
func checkOrigin(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != address {
		return errors.New("give an origin without a path, like https://twofa.example.com")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "https" && u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return errors.New("only https, or http on loopback")
	}
	return nil
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
