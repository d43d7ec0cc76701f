package otpsend_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
)

// Attack 6: a number that costs extra is refused before the store or a provider
// is called.
func TestNumbersThatCostExtraReachNoProviderAndNoStore(t *testing.T) {
	r := rig.New(t)
	for kind, number := range map[string]string{
		"premium rate":      "+19005550123",
		"premium rate (UK)": "+449098790123",
		"shared cost":       "+448431234567",
		"toll free":         "+18005550123",
		"personal":          "+447012345678",
		"satellite":         "+870773123456",
		"satellite phone":   "+881612345678",
		"global network":    "+883510012345",
	} {
		e := r.RefuseStart(otpsend.Request{To: number}, problem.DestinationRefused)
		if e.Detail == "" || strings.Contains(e.Detail, number) {
			t.Errorf("%s: detail %q", kind, e.Detail)
		}
	}
	wantUntouched(r, 0)
}

// Attack 6: a thousand numbers in a row, of the ranges that fraud uses.
func TestSequentialNumbersOfBadRangesReachNoProvider(t *testing.T) {
	r := rig.New(t)
	for name, tc := range map[string]struct {
		first int
		kind  problem.Kind
	}{
		"premium rate": {19005550000, problem.DestinationRefused},
		"shared cost":  {448431230000, problem.DestinationRefused},
		"satellite":    {870773120000, problem.DestinationRefused},
		"unassigned":   {14150550000, problem.InvalidRequest},
		"no country":   {2100000000, problem.InvalidRequest},
	} {
		for i := range 1000 {
			number := "+" + strconv.Itoa(tc.first+i)
			_, _, err := r.Send.Start(context.Background(), otpsend.Request{To: number}, "")
			if !problem.Is(err, tc.kind) {
				t.Fatalf("%s: %s: %v", name, number, err)
			}
		}
	}
	wantUntouched(r, 0)
}

func TestOnlyTheCountriesOfTheSettingsAreSentTo(t *testing.T) {
	for _, tc := range []struct {
		name      string
		countries map[string]bool
		to        string
		sent      bool
	}{
		{"in the list", map[string]bool{"US": true, "IN": true}, alice, true},
		{"not in the list", map[string]bool{"IN": true}, alice, false},
		{"all", nil, alice, true},
		{"none", map[string]bool{}, alice, false},
		{"another country of the same calling code", map[string]bool{"US": true}, "+16045550123", false},
		{"a number of no country, though all are allowed", nil, "+870773123456", false},
	} {
		r := rig.New(t)
		r.Send.Countries = tc.countries
		_, err := r.Start(otpsend.Request{To: tc.to})
		if tc.sent != (err == nil) || tc.sent != (r.Sent() == 1) {
			t.Errorf("%s: %v, %d messages", tc.name, err, r.Sent())
		}
		if !tc.sent {
			r.Refused(err, problem.DestinationRefused)
		}
	}
}

// Attack 8: each spelling of a number is the same recipient or is refused.
func TestSpellingsOfANumberAreOneRowOrRefused(t *testing.T) {
	r := rig.New(t)
	r.Policy(withoutPause)
	r.MustStart(toAlice)
	for _, spelling := range []string{
		"+1 (415) 555-0123", "+1-415-555-0123", "+1.415.555.0123", " +14155550123 ", "+1 415 555 0123",
		"0014155550123", "14155550123", "4155550123", "(415) 555-0123", "tel:+14155550123", "+14155550123;ext=5", "+1 415 555 0123 x5",
		"+1 (0)415 555 0123", "＋14155550123", "+１４１５５５５０１２３", "+1415555O123", "+1\u00a0415\u00a05550123", "+14155550123\n", "+001 4155550123",
	} {
		a, err := r.Start(otpsend.Request{To: spelling, Purpose: "p"})
		if err == nil && !r.Recipient(alice).Knows(a.ID) {
			t.Errorf("%q is another recipient", spelling)
		}
		if err != nil {
			wantField(t, r.Refused(err, problem.InvalidRequest), "to: ")
		}
		r.Advance(11 * time.Minute)
	}
	page, err := r.Table.Table.Expired(context.Background(), fixture.Noon.AddDate(9, 0, 0), "")
	if err != nil || len(page.Rows) != 1 {
		t.Errorf("%d rows, want one; %v", len(page.Rows), err)
	}
	for _, m := range whatsApp(r).Sent() {
		if m.To != alice {
			t.Errorf("sent to %s", m.To)
		}
	}
}

// Attack 7: an address has one set of limits for all clients, purposes and
// spellings.
func TestPurposesSpellingsAndCallersShareOneLimit(t *testing.T) {
	r := rig.New(t)
	r.Policy(withoutPause)
	spellings := []string{alice, "+1 (415) 555-0123", "+1-415-555-0123"}
	refused := 0
	for i := range 60 {
		_, err := r.Start(otpsend.Request{
			To: spellings[i%3], Purpose: fmt.Sprint("purpose", i%4), ClientIP: fmt.Sprint("203.0.113.", i), Locale: []string{"en", "de"}[i%2],
		})
		if err != nil {
			r.Refused(err, problem.TooManySends)
			refused++
		}
	}
	if r.Sent() != 5 || refused != 55 {
		t.Errorf("%d messages and %d refusals, want 5 and 55", r.Sent(), refused)
	}
	for range 100 { // and over a day
		r.Advance(10 * time.Minute)
		_, _ = r.Start(toAlice)
	}
	if r.Sent() != 20 {
		t.Errorf("%d messages within a day, want 20", r.Sent())
	}
}

// A scenario decides what happens to a test number's verification. Nothing is
// sent, and nothing is counted.
func TestScenariosOfTestNumbers(t *testing.T) {
	type attempt = otpsend.Attempt
	for _, tc := range []struct {
		name     string
		ending   otp.Ending
		started  problem.Kind // "": accepted
		status   otp.Status
		attempts []attempt
		checked  problem.Kind // "": approved
	}{
		{"delivered", otp.EndsDelivered, "", otp.Pending, []attempt{{Channel: "whatsapp", Status: otp.Delivered}}, ""},
		{"undeliverable", otp.EndsUndeliverable, problem.Undeliverable, otp.Undeliverable, []attempt{
			{Channel: "whatsapp", Status: otp.Failed, Error: 63024}, {Channel: "sms", Status: otp.Failed, Error: 21614}, {Channel: "call", Status: otp.Failed, Error: 21614},
		}, problem.Undeliverable},
		{"fallback", otp.EndsFallback, "", otp.Pending, []attempt{{Channel: "whatsapp", Status: otp.Failed, Error: 63024}, {Channel: "sms", Status: otp.Delivered}}, ""},
		{"expired", otp.EndsExpired, "", otp.Expired, []attempt{{Channel: "whatsapp", Status: otp.Delivered}}, problem.Expired},
		{"exhausted", otp.EndsExhausted, "", otp.Pending, []attempt{{Channel: "whatsapp", Status: otp.Delivered}}, problem.TooManyChecks},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rig.New(t, "whatsapp", "sms", "call")
			testNumber(r, tc.ending)
			var id otp.ID
			for range 30 { // limits on sending do not hold
				a, err := r.Start(toAlice)
				if id = a.ID; tc.started != "" {
					id = otp.ID(r.Refused(err, tc.started).ID)
				} else if err != nil || a.Status != otp.Pending {
					t.Fatalf("start: %+v %v", a, err)
				}
			}
			got := r.Status(id)
			last := tc.attempts[len(tc.attempts)-1].Status
			for i := range got.Delivery.Attempts {
				got.Delivery.Attempts[i].At = time.Time{}
			}
			if got.Status != tc.status || !slices.Equal(got.Delivery.Attempts, tc.attempts) || got.Delivery.Status != last {
				t.Errorf("status %+v %+v", got, got.Delivery)
			}
			if tc.checked != "" {
				r.RefuseCheck(rig.ByID(id, "424242"), tc.checked)
			} else {
				r.Approve(rig.ByID(id, "424242"))
			}
			if r.Sent() != 0 || len(r.Recipient(alice).Tally(otp.Caller{}).Sends) != 0 {
				t.Errorf("%d messages, %d sends", r.Sent(), len(r.Recipient(alice).Tally(otp.Caller{}).Sends))
			}
		})
	}
}

// A forgotten test number must not approve its fixed code forever.
func TestTestNumbersEndByTheirDate(t *testing.T) {
	r := rig.New(t)
	testNumber(r, otp.EndsDelivered)
	for _, step := range []struct {
		at   time.Duration
		to   string
		sent int // in all
	}{{0, fixture.Bob, 1}, {time.Hour - 1, alice, 1}, {time.Hour, alice, 2}} {
		r.Set(noon.Add(step.at))
		if r.MustStart(otpsend.Request{To: step.to}); r.Sent() != step.sent {
			t.Errorf("after %v to %s: %d messages in all, want %d", step.at, step.to, r.Sent(), step.sent)
		}
	}
	last := whatsApp(r).Last()
	if code := r.Code(last.Verification); last.Code != code {
		t.Error("the message at the end has another code")
	} else if code != "424242" {
		r.RefuseCheck(rig.ByID(last.Verification, "424242"), problem.WrongCode)
	}
}

// A resend of a test number's code sends nothing, either.
func TestAResendToATestNumberSendsNothing(t *testing.T) {
	r := rig.New(t, "whatsapp", "sms")
	testNumber(r, otp.EndsDelivered)
	a := r.MustStart(toAlice)
	pause(r)
	if got := r.MustResend(a.ID, "next"); got.Channel != "sms" || r.Sent() != 0 || r.Status(a.ID).Delivery.Status != otp.Delivered {
		t.Errorf("%+v, %d messages", got, r.Sent())
	}
}
