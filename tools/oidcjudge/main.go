// Command oidcjudge signs a person in as an app would that uses coreos/go-oidc and
// golang.org/x/oauth2. The tests let it judge our OpenID Connect provider. It is in this module, so
// that the product does not depend on these libraries.
//
//	oidcjudge ISSUER CLIENT-ID CLIENT-SECRET REDIRECT-URI SCOPES
//
// It listens at the redirect URI, which has to be on loopback, prints the address at which the
// person begins, and waits for the person to come back. Then it prints what it got in one line of
// JSON, and ends. It ends, too, when its input is closed. A provider that it does not believe is an
// error.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// result is what the judge prints.
type result struct {
	IDToken  map[string]any `json:"id_token"`
	UserInfo map[string]any `json:"userinfo"`
	Scope    any            `json:"scope"`
	// WrongVerifier is the answer to the same code with another verifier, before the right one, and
	// WrongVerifierTries how many requests that was: x/oauth2 tries Basic, and after any error the same
	// code again as post.
	WrongVerifier      string `json:"wrong_verifier"`
	WrongVerifierTries int64  `json:"wrong_verifier_tries"`
	// Replay is the answer to the same code after the right exchange, and AfterReplay what userinfo
	// then says to the access token.
	Replay      string `json:"replay"`
	AfterReplay string `json:"after_replay"`
}

func main() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oidcjudge:", err)
		os.Exit(1)
	}
}

// counting counts the requests to the token endpoint.
type counting struct {
	path string
	n    atomic.Int64
}

func (c *counting) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path == c.path {
		c.n.Add(1)
	}
	return http.DefaultTransport.RoundTrip(req)
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 5 {
		return errors.New("wants issuer, client id, secret, redirect URI and scopes")
	}
	provider, err := oidc.NewProvider(ctx, args[0])
	if err != nil {
		return err
	}
	app := oauth2.Config{ClientID: args[1], ClientSecret: args[2], Endpoint: provider.Endpoint(), RedirectURL: args[3], Scopes: strings.Fields(args[4])}
	state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	back, err := listen(app.RedirectURL)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, app.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier))); err != nil {
		return err
	}
	query := <-back
	switch {
	case query.Get("error") != "":
		return fmt.Errorf("the provider says %s: %s", query.Get("error"), query.Get("error_description"))
	case query.Get("state") != state:
		return errors.New("another state came back")
	case query.Get("iss") != args[0]:
		return fmt.Errorf("iss is %q", query.Get("iss"))
	}
	r, err := judge(ctx, provider, app, query.Get("code"), verifier, nonce)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

// listen waits for the person at the redirect URI, and returns the channel of the query that came
// with the person.
func listen(redirect string) (<-chan url.Values, error) {
	at, err := url.Parse(redirect)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", at.Host)
	if err != nil {
		return nil, err
	}
	back := make(chan url.Values, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+at.Path, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "You are back at the app.") // the person may be gone
		select {
		case back <- r.URL.Query():
		default: // the person loads the page again
		}
	})
	go func() { _ = http.Serve(l, mux) }()
	return back, nil
}

// judge exchanges the code, checks what it gives, and tries what has to be refused.
func judge(ctx context.Context, provider *oidc.Provider, app oauth2.Config, code, verifier, nonce string) (r result, err error) {
	token, err := url.Parse(app.Endpoint.TokenURL)
	if err != nil {
		return r, err
	}
	counted := &counting{path: token.Path}
	probing := context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: counted})
	_, err = app.Exchange(probing, code, oauth2.VerifierOption(oauth2.GenerateVerifier()))
	r.WrongVerifier, r.WrongVerifierTries = refusal(err), counted.n.Load()

	tokens, err := app.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return r, err
	}
	r.Scope = tokens.Extra("scope")
	if r.IDToken, err = check(ctx, provider, app.ClientID, tokens, nonce); err != nil {
		return r, err
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return r, err
	}
	if info.Subject != r.IDToken["sub"] {
		return r, errors.New("sub of ID token and userinfo differ")
	}
	if err := info.Claims(&r.UserInfo); err != nil {
		return r, err
	}

	_, err = app.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	r.Replay = refusal(err)
	_, err = provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	r.AfterReplay = refusal(err)
	return r, nil
}

// check verifies the ID token, and returns its claims.
func check(ctx context.Context, provider *oidc.Provider, clientID string, tokens *oauth2.Token, nonce string) (claims map[string]any, err error) {
	raw, _ := tokens.Extra("id_token").(string)
	verified, err := provider.Verifier(&oidc.Config{ClientID: clientID}).Verify(ctx, raw)
	switch {
	case err != nil:
		return nil, err
	case verified.Nonce != nonce:
		return nil, errors.New("the ID token has another nonce")
	case tokens.RefreshToken != "":
		return nil, errors.New("there is a refresh token")
	}
	if err := verified.VerifyAccessToken(tokens.AccessToken); err != nil {
		return nil, err
	}
	return claims, verified.Claims(&claims)
}

// refusal is the code of an OAuth error, else the error, "" for none.
func refusal(err error) string {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && e.ErrorCode != "" {
		return e.ErrorCode
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
