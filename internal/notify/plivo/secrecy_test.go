package plivo

import (
	"encoding/base64"
	"fmt"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
)

// Errors and logs hold no secret, whatever the provider answers: its words quote the
// number and the text.
func TestAttack21_NothingSecretInErrorsAndLogs(t *testing.T) {
	secrets := notifytest.Secrets{
		"number":        recipient[1:],
		"code":          code,
		"auth token":    plivotest.AuthToken,
		"account":       plivotest.AuthID,
		"basic auth":    base64.StdEncoding.EncodeToString([]byte(plivotest.AuthID + ":" + plivotest.AuthToken)),
		"amount":        "EUR 77.31",
		"payee":         "Canary Shop",
		"provider word": "canary-of-the-provider",
	}
	replies := map[string]plivotest.Reply{
		"accepted":      plivotest.Accept(),
		"hang":          plivotest.Hang(),
		"drop":          plivotest.Drop(),
		"cut":           plivotest.Cut(),
		"redirect":      plivotest.Redirect("https://canary-of-the-provider.test/?to=" + recipient),
		"throttle":      plivotest.Refuse(429).With("Retry-After", "1"),
		"status text":   plivotest.Raw(400, "canary-of-the-provider "+recipient),
		"success text":  plivotest.Raw(202, `{"message_uuid":["canary-of-the-provider"],"error":"`+recipient+`"}`),
		"broken header": plivotest.Raw(500, "canary-of-the-provider").With("Retry-After", "canary-of-the-provider"),
	}
	for _, status := range []int{400, 401, 403, 404, 405, 500, 503} {
		replies[fmt.Sprint("error ", status)] = plivotest.Refuse(status)
	}
	global := notifytest.GlobalLog(t) // net/http writes to it
	for kind, k := range map[string]struct {
		change  func(*Options)
		channel channel.Channel
		alert   bool
	}{
		"template": {nil, channel.WhatsApp, false},
		"text":     {withText, channel.WhatsApp, false},
		"alert":    {nil, channel.WhatsApp, true},
		"SMS":      {nil, channel.SMS, false},
		"call":     {nil, channel.Call, false},
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

// Nor do the errors and the log of requests that are refused.
func TestAttack21_NothingSecretInRefusedRequests(t *testing.T) {
	d := plivotest.New(plivotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	secrets := notifytest.Secrets{"number": recipient[1:], "token": plivotest.AuthToken, "canary": "canary-of-the-provider", "code": code}
	for _, extra := range [][2]string{{"Note", "Statusread canary-of-the-provider " + code}, {"Status", "failed"}, {"canary-of-the-provider", "xStatusread"}, {"ErrorCode", code}} {
		_, form := goodStatus(d)
		form.Set(extra[0], extra[1])
		got, err := hooks.Report(signedRequest(d, StatusPath, goodQuery, form).http())
		secrets.CheckError(t, err)
		if got.Failure != nil {
			secrets.CheckError(t, got.Failure)
		}
	}
	if hooks.log.Len() == 0 {
		t.Error("nothing was logged, so this test shows nothing")
	}
	secrets.Check(t, "the log", hooks.log.String())
}

// Each failure is a value of its own, which the caller may change.
func TestFailuresAreNotShared(t *testing.T) {
	r, _ := newRig(t, nil)
	r.Next(plivotest.Refuse(401), plivotest.Refuse(401))
	first := r.failure(t, channel.SMS, message())
	first.Outcome, first.Detail = otp.OutcomeRefused, "changed"
	if second := r.failure(t, channel.SMS, message()); second.Outcome != otp.OutcomeMisconfigured || second.Detail == "changed" {
		t.Errorf("got %+v", second)
	}
}
