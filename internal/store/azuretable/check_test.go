package azuretable

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"twofa/internal/check"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/storetest"
)

// wantFindings checks the findings: each has to hold the parts of its line, which are
// separated by "|". None may hold anything from outside.
func wantFindings(t *testing.T, found []check.Finding, forbidden []string, want ...string) {
	t.Helper()
	ok := len(found) == len(want)
	var text strings.Builder
	for i, f := range found {
		line := fmt.Sprintf("%s %s %s %s", f.Name, f.Result, f.Setting, f.Text)
		text.WriteString(line + "\n")
		for part := range strings.SplitSeq(want[min(i, len(want)-1)], "|") {
			ok = ok && strings.Contains(line, part)
		}
	}
	if !ok {
		t.Errorf("found\n%swant\n%s", text.String(), strings.Join(want, "\n"))
	}
	for _, f := range append(forbidden, "canary", "127.0.0.1", "SharedKey") {
		if f != "" && strings.Contains(text.String(), f) {
			t.Errorf("%q is in a finding:\n%s", f, text.String())
		}
	}
}

// A check of Azurite reads once, and writes nothing, whether or not the table exists.
func TestCheckOfARealService(t *testing.T) {
	o := options(t)
	o.Setting = "TWOFA_TABLES_CONNECTION"
	inner := newTransport("http://")
	t.Cleanup(inner.CloseIdleConnections)
	var requests []string
	o.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		requests = append(requests, req.Method)
		return inner.RoundTrip(req)
	})
	secrets := []string{o.ConnectionString, o.TablePrefix}
	wantFindings(t, o.Check(t.Context()), secrets, "storage warning TWOFA_TABLES_CONNECTION|without the table|TWOFA_TABLE_PREFIX", "clock ok")
	wantFindings(t, o.Check(t.Context()), secrets, "storage warning", "clock ok") // the first one has made none
	if got := fmt.Sprint(requests); got != "[GET GET]" {
		t.Errorf("requests %s", got)
	}
	storetest.Put(t, openStore(t, o), "bystander", "x", fixture.Noon)
	wantFindings(t, o.Check(t.Context()), secrets, "storage ok TWOFA_TABLES_CONNECTION|credentials are right", "clock ok")

	a, err := parseAddress(o)
	if err != nil {
		t.Fatal(err)
	}
	const wrongKey = "d3Jvbmcta2V5LWNhbmFyeQ=="
	o.ConnectionString = strings.Replace(o.ConnectionString, a.key, wrongKey, 1)
	wantFindings(t, o.Check(t.Context()), append(secrets, wrongKey, a.key), "storage failed TWOFA_TABLES_CONNECTION is refused", "clock ok")
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	refuse := func(status int, code string, header ...string) roundTripper {
		return func(req *http.Request) (*http.Response, error) {
			return answer(req, status, `{"odata.error":{"code":"`+code+`","message":{"value":"canary"}}}`, append(header, "x-ms-error-code", code)...), nil
		}
	}
	broken := func(err error) roundTripper {
		return func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("canary: %w", err) }
	}
	for name, tc := range map[string]struct {
		transport roundTripper
		want      []string
	}{
		"no such row":       {refuse(404, "ResourceNotFound"), []string{"storage ok"}},
		"clock behind":      {refuse(404, "ResourceNotFound", "Date", at(10*time.Minute)), []string{"storage ok", "clock warning|is 10m0s behind|NTP"}},
		"clock ahead":       {refuse(404, "ResourceNotFound", "Date", at(-20*time.Minute)), []string{"storage ok", "clock warning|is 20m0s ahead of"}},
		"refused by clock":  {refuse(403, "AuthenticationFailed", "Date", at(time.Hour)), []string{"storage failed|is refused", "clock warning|1h0m0s behind"}},
		"clock of a proxy":  {refuse(404, "", "Date", at(time.Hour)), []string{"storage failed|something else"}},
		"no right":          {refuse(403, "AuthorizationPermissionMismatch"), []string{"storage failed|signature without the right"}},
		"network rules":     {refuse(403, "AuthorizationFailure"), []string{"storage failed|network rules"}},
		"401":               {refuse(401, "InvalidAuthenticationInfo"), []string{"storage failed|is refused"}},
		"busy":              {refuse(503, "ServerBusy"), []string{"storage failed|status 503"}},
		"too many":          {refuse(429, ""), []string{"storage failed|status 429"}},
		"redirect":          {refuse(302, "", "Location", "http://canary.example"), []string{"storage failed|something else|302"}},
		"no such host":      {broken(&net.DNSError{Name: "canary", IsNotFound: true}), []string{"storage failed|does not exist"}},
		"refused":           {broken(&net.OpError{Op: "dial", Err: errors.New("canary")}), []string{"storage failed|no connection"}},
		"broken connection": {broken(errLost), []string{"storage failed|not one of Table Storage"}},
		"foreign": {func(req *http.Request) (*http.Response, error) { return answer(req, 200, "<html>canary"), nil },
			[]string{"storage failed|not one of Table Storage"}},
		"huge": {func(req *http.Request) (*http.Response, error) {
			return answer(req, 200, strings.Repeat("canary", maxRow)), nil
		}, []string{"storage failed|not one of Table Storage"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // the SDK pauses before it repeats
			wantFindings(t, local(tc.transport).Check(t.Context()), []string{devKey, devAccount}, tc.want...)
		})
	}
	o := Options{ServiceURL: "https://account.example", Setting: "TWOFA_TABLES_URL"}
	for code, want := range map[string]string{"AuthorizationPermissionMismatch": "Data Contributor", "AuthorizationFailure": "network rules"} {
		f := check.Finding{Name: "storage", Result: check.Failed, Setting: o.Setting}
		describe(t.Context(), &f, &fault{status: 403, code: code}, true)
		wantFindings(t, []check.Finding{f}, nil, "storage failed TWOFA_TABLES_URL|identity|"+want)
	}
}

// A service that hangs ends with the context.
func TestCheckEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := local(func(req *http.Request) (*http.Response, error) {
		cancel()
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	wantFindings(t, o.Check(ctx), nil, "storage failed|before the check was stopped")
}
