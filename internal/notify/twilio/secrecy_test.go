package twilio

import (
	"testing"

	"twofa/internal/channel"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/twiliotest"
)

// Options and Accounts may be logged by mistake. Their secrets must not.
func TestPrintingHidesCredentials(t *testing.T) {
	o := options()
	withKey(&o)
	a := newAccount(t, o)
	hooks, err := NewWebhooks(Options{PublicURL: ourURL, AuthToken: twiliotest.AuthToken, AccountSID: twiliotest.AccountSID})
	if err != nil {
		t.Fatal(err)
	}
	printed := notifytest.Print(t, o, &o, a, a.sender(channel.SMS), a.Senders(), hooks, *hooks, []Options{o}, map[string]*Account{"a": a}, struct {
		O Options
		A *Account
	}{o, a})
	notifytest.Secrets{"token": twiliotest.AuthToken, "secret of the key": twiliotest.APISecret}.Check(t, "the output", printed)
}
