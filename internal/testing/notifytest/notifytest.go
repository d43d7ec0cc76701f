// Package notifytest is test support for the senders of internal/notify: it finds
// secrets in errors, logs and printed values, and has the servers, connections and texts
// that the tests of all senders share.
//
// It must never be part of the product.
package notifytest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/notify"
)

// Failure returns the failure that err is or wraps. It ends the test if there is none.
func Failure(tb testing.TB, err error) *notify.Failure {
	tb.Helper()
	f, ok := errors.AsType[*notify.Failure](err)
	if !ok {
		tb.Fatalf("Send returned %v, which is not a *notify.Failure", err)
	}
	return f
}

// Secrets are texts that must appear only in what is sent, by name.
type Secrets map[string]string

// Check looks for the secrets in a text, in all forms in which they may appear.
func (s Secrets) Check(tb testing.TB, where, text string) {
	tb.Helper()
	for name, secret := range s {
		for _, form := range forms(secret) {
			if strings.Contains(text, form) {
				tb.Errorf("%s holds the %s: %s", where, name, text)
			}
		}
	}
}

// CheckError looks for the secrets in an error and in all errors that it wraps.
func (s Secrets) CheckError(tb testing.TB, err error) {
	tb.Helper()
	for queue := []error{err}; len(queue) > 0; queue = queue[1:] {
		e := queue[0]
		if e == nil {
			continue
		}
		s.Check(tb, "an error", fmt.Sprintf("%v %+v %#v %q", e, e, e, e))
		switch e := e.(type) {
		case interface{ Unwrap() error }:
			queue = append(queue, e.Unwrap())
		case interface{ Unwrap() []error }:
			queue = append(queue, e.Unwrap()...)
		}
	}
}

// forms are a secret as it is, URL-encoded, in hexadecimal, and in base64 at each of
// the three positions at which it can begin.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), fmt.Sprintf("%x", secret)}
	for lead := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", lead) + secret))
		// The characters at both ends also depend on the text around the secret.
		all = append(all, encoded[(lead*8+5)/6:len(encoded)-4])
	}
	return all
}

// GlobalLog returns what is written to the logger of package log until the test ends.
func GlobalLog(tb testing.TB) *bytes.Buffer {
	var out bytes.Buffer
	old := log.Writer()
	log.SetOutput(&out)
	tb.Cleanup(func() { log.SetOutput(old) })
	return &out
}

// Print returns values as package fmt, log/slog and JSON write them.
func Print(tb testing.TB, values ...any) string {
	tb.Helper()
	var out bytes.Buffer
	for _, v := range values {
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("x", "value", v)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			tb.Fatal(err)
		}
		out.Write(b)
	}
	return out.String()
}
