package bird

import (
	"fmt"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/notifytest"
)

// Errors, logs and URLs hold no secret, whatever the provider answers: its words quote the
// number and the text.
func TestAttack21_NothingSecretInErrorsAndLogs(t *testing.T) {
	secrets := notifytest.Secrets{
		"number":         recipient[1:],
		"code":           code,
		"key":            birdtest.APIKey,
		"webhook secret": birdtest.WebhookSecret[6:],
		"amount":         "EUR 77.31",
		"payee":          "Canary Shop",
		"provider word":  "canary-of-the-provider",
	}
	canary := birdtest.Refuse(422, "canary-of-the-provider", "canary-of-the-provider", "canary-of-the-provider")
	replies := map[string]birdtest.Reply{
		"accepted":      birdtest.Accept(),
		"hang":          birdtest.Hang(),
		"drop":          birdtest.Drop(),
		"cut":           birdtest.Cut(),
		"redirect":      birdtest.Redirect("https://canary-of-the-provider.test/?to=" + recipient),
		"throttle":      refuse(429).With("Retry-After", "1"),
		"status text":   birdtest.Raw(400, "canary-of-the-provider "+recipient),
		"success text":  birdtest.Raw(202, `{"id":"canary-of-the-provider","error":"`+recipient+`"}`),
		"broken header": birdtest.Raw(500, "canary-of-the-provider").With("Retry-After", "canary-of-the-provider"),
		"its words":     canary,
		"a number":      birdtest.Refuse(422, recipient, recipient, recipient),
		"a code":        birdtest.Refuse(503, code, code, code),
		"a conflict":    birdtest.Refuse(409, code, recipient, ""),
	}
	for _, status := range []int{400, 401, 402, 403, 404, 409, 421, 422, 500, 503} {
		replies[fmt.Sprint("error ", status)] = refuse(status)
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
					for _, call := range r.Calls() {
						secrets.Check(t, "the URL and the headers", fmt.Sprint(call.Path, call.Header))
						secrets.Check(t, "the metadata", fmt.Sprint(call.Body["metadata"]))
					}
				})
			})
		}
	}
	secrets.Check(t, "the global log", global.String())
}

// Nor do the failures of reports: a word that is not in our table is dropped.
func TestAttack21_NothingSecretInReports(t *testing.T) {
	r, _ := newRig(t, nil)
	hooks := webhooks(t)
	r.send(t, channel.SMS, tracked())
	secrets := notifytest.Secrets{"number": recipient[1:], "code": code, "provider word": "canary-of-the-provider", "webhook secret": birdtest.WebhookSecret[6:]}
	for _, word := range []string{"canary-of-the-provider", recipient, code, "unreachable", "blocked_by_carrier " + code, ""} {
		for _, kind := range []string{"failed", "canary-of-the-provider", code} {
			got, err := hooks.report(t, r.Double, r.Accepted()[0], kind, word)
			if err != nil {
				t.Fatal(err)
			}
			if got.Failure != nil {
				secrets.CheckError(t, got.Failure)
				secrets.Check(t, "the failure", fmt.Sprintf("%+v", *got.Failure))
			}
		}
	}
	for _, extra := range [][]any{{"metadata", "canary-of-the-provider"}, {"metadata", map[string]any{"twofa_verification": recipient, "twofa_attempt": code}}, {"error", recipient}} {
		_, err := hooks.report(t, r.Double, r.Accepted()[0], "failed", "", extra...)
		if err == nil {
			t.Errorf("%v is read", extra)
		}
		secrets.CheckError(t, err)
	}
}

// Each failure is a value of its own, which the caller may change.
func TestFailuresAreNotShared(t *testing.T) {
	r, _ := newRig(t, nil)
	r.Next(refuse(401), refuse(401))
	first := r.failure(t, channel.SMS, message())
	first.Outcome, first.Detail = otp.OutcomeRefused, "changed"
	if second := r.failure(t, channel.SMS, message()); second.Outcome != otp.OutcomeMisconfigured || second.Detail == "changed" {
		t.Errorf("got %+v", second)
	}
}
