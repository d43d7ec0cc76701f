package otpsend_test

import (
	"testing"

	"twofa/internal/client"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/user"
	"twofa/otpsend"
)

// A start for a user reaches the user of the client's directory, and no other user of
// that name.
func TestAStartIsForAUserOfTheClientsDirectory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	shop := client.Client{ID: "shop", Directory: "shop"}
	start := func(c client.Client) (otpsend.Answer, error) {
		a, _, err := r.Send.Start(client.With(r.Ctx(), c), otpsend.Request{User: canary, Channel: "sms"}, "")
		return a, err
	}
	_, err := start(shop)
	r.Refused(err, problem.NotFound)
	if r.Sent() != 0 {
		t.Errorf("%d messages", r.Sent())
	}
	r.User(user.User{Directory: "shop", Name: canary, Phone: fixture.Bob})
	for c, to := range map[string]string{"shop": fixture.Bob, "main": alice} {
		a, err := start(client.Client{ID: c, Directory: c})
		if err != nil {
			t.Fatal(err)
		}
		kept, v := r.Verification(a.ID)
		if m := r.Sender("sms").Last(); m.To != to || kept.Address != to || v.User != r.Users.Key(user.Directory(c), canary) {
			t.Errorf("%s: sent to %s, in the row of %s, for %s", c, m.To, kept.Address, v.User)
		}
	}
}
