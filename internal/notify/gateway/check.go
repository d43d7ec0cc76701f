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

// NotTheirs is the text about an answer that the provider does not give.
func (c Checked) NotTheirs() string {
	return "cannot be checked: the answer is not one of " + c.Provider + "'s. Check the proxy and " + c.BaseSetting
}
