package plivo

import (
	"testing"

	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
)

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
