package bird

import (
	"fmt"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/notifytest"
)

// Nor do the failures of reports: a word that is not in our table is dropped.
func TestAttack21_NothingSecretInReports(t *testing.T) {
	r, _ := newRig(t, nil)
	hooks := webhooks(t)
	r.Send(t, channel.SMS, tracked())
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
