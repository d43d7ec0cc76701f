package azuretable

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"twofa/internal/check"
	"twofa/internal/store"
)

// checkKey is of a row that nobody writes. The keys of rows with data are 16 hexadecimal
// digits, so it cannot be one of them.
const checkKey store.Key = "check"

// maxSkew is how far the clock of this machine may differ from that of the account. The
// service refuses signed requests at 15 minutes, and codes of authenticator apps fail at about
// one.
const maxSkew = time.Minute

var _ check.Checker = Options{}

// Check implements check.Checker: it reads one row that does not exist.
func (o Options) Check(ctx context.Context) []check.Finding {
	f := check.Finding{Name: "storage", Result: check.Failed, Setting: o.Setting}
	s, err := Open(o)
	if err != nil { // config has reported it
		f.Text = "cannot be used for Azure Table Storage"
		return []check.Finding{f}
	}
	defer func() { _ = s.Close() }() // is always nil
	var date atomic.Int64
	_, wrong := s.client.get(context.WithValue(ctx, dateKey{}, &date), checkKey)
	describe(ctx, &f, wrong, o.ServiceURL != "")
	found := []check.Finding{f}
	if served := date.Load(); served != 0 && fromService(wrong) {
		found = append(found, skew(time.Since(time.Unix(served, 0))))
	}
	return found
}

// fromService reports whether the answer is one of Table Storage.
func fromService(f *fault) bool {
	return f == nil || f.kind == absent || f.kind == noTable || f.status == http.StatusForbidden && f.code != ""
}

// describe completes a finding with what the read has led to.
func describe(ctx context.Context, out *check.Finding, f *fault, identity bool) {
	switch {
	case f == nil, f.kind == absent:
		out.Result, out.Text = check.OK, "names an account with the table, and the credentials are right"
	case f.kind == noTable:
		out.Result, out.Text = check.Warning, "names an account without the table, and the credentials are right: the first message makes the table. If the service has run before, correct this setting or TWOFA_TABLE_PREFIX"
	case f.status == http.StatusForbidden || f.status == http.StatusUnauthorized:
		out.Text = refusal(f.code, identity)
	case f.status == 0:
		out.Text = silence(ctx, f.code)
	case f.status == http.StatusTooManyRequests || f.status >= 500:
		out.Text = "names an account that answers with an error (status " + strconv.Itoa(f.status) + "): try again later"
	default:
		out.Text = "leads to something else than Table Storage (status " + strconv.Itoa(f.status) + "): check the address"
	}
}

// refusal says what to do if the account refuses the request.
func refusal(code string, identity bool) string {
	switch {
	case code == "AuthorizationPermissionMismatch" && identity:
		return "names an account where the app's identity may not read: give it the role Storage Table Data Contributor"
	case code == "AuthorizationPermissionMismatch":
		return "has a signature without the right to read: make one for the table service with read, add, update and delete"
	case identity:
		return "names an account that refuses the app's identity: give it the role Storage Table Data Contributor, and check the account's network rules"
	}
	return "is refused by the account: copy the connection string again, and check the account's network rules and the clock of this machine"
}

// silence says what to do if there is no answer. code is one of the texts of noAnswer.
func silence(ctx context.Context, code string) string {
	switch {
	case ctx.Err() != nil || code == "timed out":
		return "names an account that " + check.NoAnswer(ctx)
	case code == "no such host":
		return "names a host that does not exist: check the account's name"
	case code == "no connection":
		return "names a host to which there is no connection: check the address, the firewall and the proxy of this machine"
	case code == "TLS":
		return "names a host whose certificate is not valid for it: check the address and the proxy of this machine"
	case code == "no token from the managed identity":
		return "needs a managed identity, which gives no token here: switch it on for the app, and check TWOFA_TABLES_CLIENT_ID. Outside Azure there is none"
	}
	return "leads to an answer that is not one of Table Storage: check the address and the proxy of this machine"
}

// skew describes how far this machine's clock is ahead of the account's.
func skew(ahead time.Duration) check.Finding {
	f := check.Finding{Name: "clock", Result: check.OK, Text: "the clock of this machine differs from that of the storage account by less than a minute"}
	if ahead.Abs() > maxSkew {
		direction := "ahead of"
		if ahead < 0 {
			direction = "behind"
		}
		f.Result = check.Warning
		f.Text = fmt.Sprintf("the clock of this machine is %s %s that of the storage account: set it by NTP. Until then, codes of authenticator apps fail", ahead.Abs().Round(time.Minute), direction)
	}
	return f
}

type dateKey struct{}

// noteDate keeps the time of an answer, in Unix seconds, in the context of a Check.
func noteDate(ctx context.Context, resp *http.Response) {
	if at, ok := ctx.Value(dateKey{}).(*atomic.Int64); ok {
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			at.Store(date.Unix())
		}
	}
}
