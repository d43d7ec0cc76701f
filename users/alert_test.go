package users_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/otpsend"
	"twofa/users"
)

// warn asks for an alert of an event of a user, in the name of a client.
func (r *rig) warn(asking, name string, e notify.Event) (users.Alerted, error) {
	ctx := client.With(r.Ctx(), client.Client{ID: asking, Directory: client.MainDirectory})
	return r.s.Alert(ctx, name, users.AlertRequest{Event: e})
}

// warned returns the alerts that were sent over a channel.
func (r *rig) warned(c channel.Channel) (list []notify.Message) {
	return slices.DeleteFunc(r.Sender(c).Sent(), func(m notify.Message) bool { return m.Event == "" })
}

func (r *rig) refuseWarning(asking, name string, e notify.Event, kind problem.Kind) *problem.Error {
	r.t.Helper()
	_, err := r.warn(asking, name, e)
	return fixture.Problem(r.t, err, kind)
}

// An alert goes to a proven address: the mail address, or the number if no mail address
// was proven.
func TestAlert_GoesToAProvenAddress(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		proven []string
		want   users.Alerted
	}{
		{[]string{number}, users.Alerted{Status: "sent", To: "+1******0123", Channel: channel.SMS}},
		{[]string{mail}, users.Alerted{Status: "sent", To: "a******@example.com", Channel: channel.Email}},
		{[]string{number, mail}, users.Alerted{Status: "sent", To: "a******@example.com", Channel: channel.Email}},
	} {
		r := telling(t, tc.proven...)
		r.s.NotifyChanges = false // has no effect
		got, err := r.s.Alert(r.Ctx(), "alice", users.AlertRequest{Event: notify.EventNewSignIn, Detail: users.Detail{Place: " Sa\u0303o\u00a0Paulo ", Device: "Pixel 8"}})
		if err != nil || got != tc.want {
			t.Fatalf("%q proven: %+v, %v", tc.proven, got, err)
		}
		to := tc.proven[len(tc.proven)-1]
		want := []notify.Message{{To: to, Alert: true, Event: notify.EventNewSignIn, Place: "São Paulo", Device: "Pixel 8", Brand: "Acme", Locale: "pt-BR"}}
		if got := r.warned(tc.want.Channel); !slices.Equal(got, want) || r.Sent() != 1 {
			t.Errorf("%q proven: %d sent, %+v", tc.proven, r.Sent(), got)
		}
		if row := r.Recipient(to); len(row.Notices) != 1 || len(row.Events) != 1 || len(row.Tally(otp.Caller{}).Sends) != 0 {
			t.Errorf("%q proven: the row has %d notices, %+v and %d sends", tc.proven, len(row.Notices), row.Events, len(row.Tally(otp.Caller{}).Sends))
		}
	}
}

func TestAlert_NotWithoutAProvenAddress(t *testing.T) {
	t.Parallel()
	r := telling(t)
	r.refuseWarning("", "alice", notify.EventOther, problem.Undeliverable)
	r.refuseWarning("", "nobody", notify.EventOther, problem.NotFound)
	// Nobody reads what is sent to a test number.
	r.TestNumbers(otp.TestNumbers{Scenarios: map[string]otp.Scenario{number: {Ending: otp.EndsDelivered, Code: "424242"}}, Until: r.Now().Add(time.Minute)})
	r.confirmAddress("alice", number)
	r.refuseWarning("", "alice", notify.EventOther, problem.Undeliverable)
	if r.Sent() != 0 {
		t.Errorf("%d messages", r.Sent())
	}
}

// A user gets an alert of an event once in an hour, and three a day. The second address
// gets none of those that the limits keep from the first.
func TestAlert_OneAnEventAndHourAndThreeADay(t *testing.T) {
	t.Parallel()
	r := telling(t, number, mail)
	ask := func(e notify.Event, kind problem.Kind, retryAfter time.Duration) {
		t.Helper()
		if _, err := r.warn("", "alice", e); kind == "" && err != nil {
			t.Fatal(err)
		} else if kind != "" {
			if got := fixture.Problem(t, err, kind); got.RetryAfter != retryAfter {
				t.Errorf("%s: retry after %v, want %v", e, got.RetryAfter, retryAfter)
			}
		}
	}
	ask(notify.EventWrongPassword, "", 0)
	ask(notify.EventWrongPassword, problem.TooManySends, time.Hour)
	ask(notify.EventNewSignIn, "", 0)
	r.Advance(time.Hour)
	ask(notify.EventWrongPassword, "", 0)
	ask(notify.EventOther, problem.TooManySends, 23*time.Hour)
	if len(r.warned(channel.Email)) != 3 || r.Sent() != 3 {
		t.Errorf("%d alerts by mail, %d messages", len(r.warned(channel.Email)), r.Sent())
	}
	r.delete(users.Conditions{}, "")
	r.put("alice", both, users.Conditions{})
	r.confirmAddress("alice", mail)
	ask(notify.EventOther, problem.TooManySends, 23*time.Hour) // an erasure resets no limit
	r.Advance(23 * time.Hour)
	ask(notify.EventOther, "", 0)
}

// One client's alerts never hold back another's.
func TestAlert_IsLimitedByClient(t *testing.T) {
	t.Parallel()
	r := telling(t, mail)
	for _, asking := range []string{"shop", "bank"} {
		for _, e := range notify.Events {
			if _, err := r.warn(asking, "alice", e); err != nil {
				t.Errorf("%s, %s: %v", asking, e, err)
			}
			r.refuseWarning(asking, "alice", e, problem.TooManySends)
		}
	}
	if n := len(r.warned(channel.Email)); n != 6 {
		t.Errorf("%d alerts", n)
	}
}

// A mail that fails is followed by the number, over SMS before WhatsApp. If all fail, the
// answer says so, and the alert is counted.
func TestAlert_FallsBackWhereAProviderRefuses(t *testing.T) {
	t.Parallel()
	r := telling(t, number, mail)
	refused := &notify.Failure{Outcome: otp.OutcomeUndeliverable}
	r.Sender(channel.Email).Always(refused)
	r.Sender(channel.SMS).Always(refused)
	got, err := r.warn("", "alice", notify.EventOther)
	if want := (users.Alerted{Status: "sent", To: "+1******0123", Channel: channel.WhatsApp}); err != nil || got != want || r.Sent() != 3 {
		t.Fatalf("%+v, %v, %d sent", got, err, r.Sent())
	}
	r.Sender(channel.WhatsApp).Always(refused)
	r.refuseWarning("", "alice", notify.EventNewSignIn, problem.ProviderUnavailable)
	r.refuseWarning("", "alice", notify.EventNewSignIn, problem.TooManySends)
	if r.Sent() != 6 || len(r.Logged("message failed", "channel=sms")) != 2 {
		t.Errorf("%d sent, logged %q", r.Sent(), r.Logged())
	}
	// A message that may have been sent is not followed.
	r.Advance(2 * time.Hour)
	r.Sender(channel.Email).Always(&notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true})
	if got, err := r.warn("", "alice", notify.EventNewSignIn); err != nil || got.Channel != channel.Email || r.Sent() != 7 {
		t.Errorf("%+v, %v, %d sent", got, err, r.Sent())
	}
}

func TestAlert_StorageRoundTrips(t *testing.T) {
	t.Parallel()
	r := telling(t, number, mail)
	once := func(e notify.Event) int64 {
		return r.Trips(func(ctx context.Context) {
			if _, err := r.s.Alert(ctx, "alice", users.AlertRequest{Event: e}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if n := once(notify.EventOther); n != 3 {
		t.Errorf("%d round trips, want 3", n)
	}
	r.Sender(channel.Email).Always(&notify.Failure{Outcome: otp.OutcomeUndeliverable})
	if n := once(notify.EventNewSignIn); n != 5 {
		t.Errorf("%d round trips with a second address, want 5", n)
	}
}

// Attack 7. Alerts of many users that hold one number, by many clients, share one cap.
func TestAttack07_AlertsOfManyUsersShareOneCap(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 12 {
		name := fmt.Sprint("user", i)
		r.put(name, users.Request{Phone: []string{number, "+1 (415) 555-0123"}[i%2]}, users.Conditions{})
		r.confirmAddress(name, number)
	}
	sent := 0
	for i := range 120 {
		if _, err := r.warn(fmt.Sprint("client", i%10), fmt.Sprint("user", i%12), notify.Events[i%3]); err == nil {
			sent++
		} else {
			fixture.Problem(t, err, problem.TooManySends)
		}
	}
	if sent != otp.MaxNoticesPerDay || len(r.warned(channel.SMS)) != sent {
		t.Errorf("%d alerts, %d over SMS, want %d", sent, len(r.warned(channel.SMS)), otp.MaxNoticesPerDay)
	}
	// One client: three.
	r.Advance(25 * time.Hour)
	sent = 0
	for i := range 36 {
		if _, err := r.warn("one", fmt.Sprint("user", i%12), notify.Events[i/12]); err == nil {
			sent++
		}
	}
	if sent != otp.MaxEventsPerDay {
		t.Errorf("one client sends %d alerts, want %d", sent, otp.MaxEventsPerDay)
	}
}

// Attack 39. Thirty alerts do not keep a code from the person.
func TestAttack39_ThirtyAlertsThenAStart(t *testing.T) {
	t.Parallel()
	r := telling(t, number)
	for i := range 30 {
		_, _ = r.warn(fmt.Sprint("client", i%10), "alice", notify.Events[i%3])
	}
	before := r.Sent()
	a := r.MustStart(otpsend.Request{User: "alice"})
	if r.Sent() != before+1 || before != otp.MaxNoticesPerDay || a.SendsLeft != otp.DefaultPolicy().MaxSends-1 {
		t.Errorf("%d alerts, then %d messages: %+v", before, r.Sent()-before, a)
	}
}
