package gateway

import (
	"context"
	"net/http"
	"strconv"

	"twofa/internal/check"
)

// Checked is an API of which a check asks something harmless.
type Checked struct {
	Provider    string // as it writes its name
	StatusPage  string // where it tells of outages
	BaseSetting string // the variable that replaces scheme and host
}

// Trouble describes an exchange that says nothing about what was asked for. "": it does.
// isForeign is true if the answer is of another server than the provider's.
func (c Checked) Trouble(ctx context.Context, x Exchange, isForeign bool) string {
	status := strconv.Itoa(x.Status)
	switch {
	case x.Status >= 300 && x.Status < 400:
		return "leads to a redirect, which is not followed: something else than " + c.Provider + " answers"
	case x.Err != nil && ctx.Err() != nil:
		return "cannot be checked: " + c.Provider + " " + check.NoAnswer(ctx)
	case x.Err != nil && x.NeverConnected:
		return "cannot be checked: there is no connection to " + c.Provider + ". Check DNS, the firewall and the proxy of this machine"
	case x.Err != nil, x.Status == 0:
		return "cannot be checked: the connection to " + c.Provider + " broke. Try again"
	case x.Status == http.StatusTooManyRequests:
		return "cannot be checked: " + c.Provider + " answers that there are too many requests. Try again later"
	case x.Status >= 500:
		return "cannot be checked: " + c.Provider + " answers with a server error (" + status + "). See " + c.StatusPage + ", and try again"
	case x.Status >= 400 && isForeign:
		return "cannot be checked: something else than " + c.Provider + " answers (" + status + ")"
	}
	return ""
}

// Ask sends a request of a check. If transport is nil, it has a connection of its own.
func Ask(transport http.RoundTripper, req *http.Request) Exchange {
	if transport == nil {
		t := NewTransport()
		defer t.CloseIdleConnections()
		transport = t
	}
	return Do(transport, req)
}

// Untested is the finding about a sender that nothing but a message can test.
func Untested(name, setting string) check.Finding {
	return check.Finding{Name: name, Result: check.Skipped, Setting: setting, Text: "cannot be checked without a message: send yourself one"}
}

// NotTheirs is the text about an answer that the provider does not give.
func (c Checked) NotTheirs() string {
	return "cannot be checked: the answer is not one of " + c.Provider + "'s. Check the proxy and " + c.BaseSetting
}
