package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"twofa/internal/address"
	"twofa/internal/app"
	"twofa/internal/config"
	"twofa/internal/signin"
	"twofa/internal/user"
)

// intranet is an app that people sign in to with twofa: a page that knows nothing of sign-in, behind
// oauth2-proxy, which nobody here wrote.
type intranet struct {
	entry           string // of the client, in TWOFA_CLIENTS
	program, config string // paths
	at              string // the address of oauth2-proxy
	service         string
	page            net.Listener
}

// prepare configures oauth2-proxy. The settings are those of docs/signin.md, on loopback.
func (d demo) prepare(dir, service string) (*intranet, error) {
	program, err := filepath.Abs(filepath.Join(d.root, "bin", "oauth2-proxy"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, errors.New("oauth2-proxy is not at bin/oauth2-proxy, and sign-in needs it: make bin/oauth2-proxy builds it")
	}
	text, err := os.ReadFile(filepath.Join(d.root, "docs", "signin.md"))
	if err != nil {
		return nil, err
	}
	entry, settings := block(text, "json", `"intranet"`), block(text, "toml", "oidc_issuer_url")
	if entry == "" || settings == "" {
		return nil, errors.New("docs/signin.md does not have the settings of oauth2-proxy and of its client")
	}
	at, err := freePort(d.appPort)
	if err != nil {
		return nil, err
	}
	page, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	secret := random(32)
	on := strings.NewReplacer("https://twofa.example.com", "http://"+service, "https://intranet.example.com", "http://"+at, "http://127.0.0.1:8080", "http://"+page.Addr().String(),
		"sha256:…", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(secret))), "THE-SECRET", secret, "COOKIE-SECRET", random(16))
	a := &intranet{entry: on.Replace(entry), program: program, config: filepath.Join(dir, "oauth2-proxy.cfg"), at: at, service: service, page: page}
	return a, os.WriteFile(a.config, []byte(on.Replace(settings)), 0o600)
}

// block is the block of code in a document that has a text, "" if there is none.
func block(document []byte, language, has string) string {
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(document), -1) {
		if strings.Contains(m[1], has) {
			return m[1]
		}
	}
	return ""
}

// random is n random bytes in hexadecimal digits.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b)
}

// give adds the account of an address to the store in a folder, as the operator does. It has to be done before twofa
// runs: the embedded store has one process at a time.
func give(ctx context.Context, dir, text string) error {
	to, err := address.Parse(text)
	if err != nil {
		return fmt.Errorf("ACCOUNT is no phone number such as +14155550123, and no e-mail address: %w", err)
	}
	given := signin.Given{Phone: to.Text}
	if to.IsEmail() {
		given = signin.Given{Email: to.Text}
	}
	parts, err := app.Open(config.Settings{Store: config.StoreBolt, DataDir: dir, Messenger: config.MessengerConsole}, io.Discard, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	accounts := signin.Accounts{Table: parts.Table, Keys: parts.Keys, Users: &user.Store{Table: parts.Table, Keys: parts.Keys}}
	_, err = accounts.Give(ctx, given, time.Now())
	return errors.Join(err, parts.Table.Close())
}

const welcomeApp = `
  The intranet is at  http://%s

  It is behind oauth2-proxy, which lets in people who have signed in with twofa, by the settings
  of docs/signin.md. Sign in with %s: the code appears in this terminal.
  Any other number or address gets the same pages, and no code: it has no account.

`

// serve runs the app until ctx ends, and says where it is. twofa has to run: oauth2-proxy asks it at once.
func (a *intranet) serve(ctx context.Context, p *programs, account string) error {
	server := &http.Server{Handler: http.HandlerFunc(a.who), ReadHeaderTimeout: time.Second}
	p.all.Go(func() { _ = server.Serve(a.page) }) // ends with the listener
	p.all.Go(func() {
		<-ctx.Done()
		_ = server.Close()
	})
	p.run(ctx, p.log, a.program, []string{"--config=" + a.config, "--http-address=" + a.at, "--cookie-secure=false", "--pass-authorization-header=true"})
	if err := p.answer(ctx, "http://"+a.at+"/ping"); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.out, welcomeApp, a.at, account) // if the terminal is gone, the demo ends soon
	return nil
}

var whoPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Intranet</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem } td { padding: 0 1rem 0 0; overflow-wrap: anywhere; vertical-align: top }</style>
<h1>You are signed in</h1>
<p>oauth2-proxy tells this page who you are:</p>
<table>{{range .Headers}}<tr><td>{{.Name}}<td>{{.Value}}{{end}}</table>
<p>The ID token that twofa has signed says:</p>
<table>{{range $name, $value := .Claims}}<tr><td>{{$name}}<td>{{$value}}{{end}}</table>
<p><a href="http://{{.Service}}/oidc/account">Your account</a> · <a href="/oauth2/sign_out">Sign out of the intranet</a></p>
`))

// who is the page behind oauth2-proxy. It shows what that says of the person.
func (a *intranet) who(w http.ResponseWriter, r *http.Request) {
	type header struct{ Name, Value string }
	shown := struct {
		Headers []header
		Claims  map[string]any
		Service string
	}{Service: a.service}
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username"} {
		shown.Headers = append(shown.Headers, header{name, r.Header.Get(name)})
	}
	// oauth2-proxy has checked the signature. Only it can reach this page's port, as far as a demo cares.
	if parts := strings.Split(r.Header.Get("Authorization"), "."); len(parts) == 3 {
		if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			d := json.NewDecoder(strings.NewReader(string(text)))
			d.UseNumber()
			_ = d.Decode(&shown.Claims) // shows none
		}
	}
	_ = whoPage.Execute(w, shown) // the browser is gone
}
