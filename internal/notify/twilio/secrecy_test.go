package twilio

import (
	"fmt"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/twiliotest"
)

// Errors and logs hold no secret, whatever the provider answers: its words quote the
// number and the text.
func TestNothingSecretInErrorsAndLogs(t *testing.T) {
	secrets := notifytest.Secrets{
		"number":        strings.TrimPrefix(recipient, "+"),
		"code":          code,
		"spoken code":   "<Say language=\"en-GB\">7</Say>",
		"auth token":    twiliotest.AuthToken,
		"API secret":    twiliotest.APISecret,
		"API key":       twiliotest.APIKey,
		"account":       twiliotest.AccountSID,
		"basic auth":    twiliotest.AccountSID + ":" + twiliotest.AuthToken,
		"amount":        "EUR 77.31",
		"payee":         "Canary Shop",
		"provider word": "canary-of-the-provider",
	}
	replies := map[string]twiliotest.Reply{
		"accepted":       twiliotest.Accept(),
		"failed":         twiliotest.AcceptFailed(63024),
		"hang":           twiliotest.Hang(),
		"drop":           twiliotest.Drop(),
		"cut":            twiliotest.Cut(),
		"redirect":       twiliotest.Redirect("https://canary-of-the-provider.test/?to=" + recipient),
		"throttle":       twiliotest.Refuse(429, 20429).With("Retry-After", "1"),
		"number as code": twiliotest.Raw(400, `{"code":14155550123,"message":"canary-of-the-provider"}`),
		"status text":    twiliotest.Raw(400, "canary-of-the-provider "+recipient),
		"broken header":  twiliotest.Raw(500, "canary-of-the-provider").With("Retry-After", "canary-of-the-provider"),
	}
	for _, status := range []int{400, 401, 403, 404, 500, 503} {
		replies[fmt.Sprint("error ", status)] = twiliotest.Refuse(status, 29999)
	}
	for _, m := range meanings {
		for _, code := range m.codes {
			replies[fmt.Sprint("error ", code)] = twiliotest.Refuse(400, code)
		}
	}

	global := notifytest.GlobalLog(t) // net/http writes to it
	withText := func(o *Options) { o.ContentSID = "" }
	for kind, k := range map[string]struct {
		change  func(*Options)
		channel channel.Channel
		alert   bool
	}{
		"token": {nil, channel.WhatsApp, false},
		"key":   {withKey, channel.WhatsApp, false},
		"text":  {withText, channel.WhatsApp, false},
		"alert": {nil, channel.WhatsApp, true},
		"SMS":   {withReports, channel.SMS, false},
		"call":  {withReports, channel.Call, false},
	} {
		for name, reply := range replies {
			t.Run(kind+"/"+name, func(t *testing.T) {
				inBubble(t, k.change, func(t *testing.T, r *rig, _ *notifytest.Pipes) {
					r.For(recipient, reply)
					sender, m := r.sender(k.channel), tracked()
					switch {
					case k.alert:
						m = alert()
					case sender.ShowsTransaction():
						m.Amount, m.Payee = secrets["amount"], secrets["payee"]
					}
					err := sender.Send(t.Context(), m)
					if r.CallCount() == 0 {
						t.Fatal("there was no call, so this test shows nothing")
					}
					secrets.CheckError(t, err)
					secrets.Check(t, "the log", r.log.String())
				})
			})
		}
	}
	secrets.Check(t, "the global log", global.String())
}

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

// Each failure is a value of its own, which the caller may change.
func TestFailuresAreNotShared(t *testing.T) {
	r, _ := newRig(t, nil)
	r.Next(twiliotest.Refuse(400, 63024), twiliotest.Refuse(400, 63024))
	first := r.failure(t, channel.WhatsApp, message())
	first.Outcome, first.Detail = otp.OutcomeRefused, "changed"
	if second := r.failure(t, channel.WhatsApp, message()); second.Outcome != otp.OutcomeUndeliverable || second.Detail == "changed" {
		t.Errorf("got %+v", second)
	}
}
