package otpsend_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/otpsend"
)

// Attack 6: what numbers cost is decided before anything else is touched.
func TestNumbersThatCostExtraReachNoProviderAndNoStore(t *testing.T) {
	b := newBench(t)
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
		e := b.refused(otpsend.Request{To: number}, problem.DestinationRefused)
		if e.Detail == "" || strings.Contains(e.Detail, number) {
			t.Errorf("%s: detail %q", kind, e.Detail)
		}
	}
	if b.Sent() != 0 || b.Table.Calls() != 0 {
		t.Errorf("%d messages, %d calls of the store", b.Sent(), b.Table.Calls())
	}
}

// Attack 6: a thousand numbers in a row, of the ranges that pumping lives on.
func TestSequentialNumbersOfBadRangesReachNoProvider(t *testing.T) {
	b := newBench(t)
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
			_, _, err := b.s.Start(context.Background(), otpsend.Request{To: number}, "")
			if e, ok := errors.AsType[*problem.Error](err); !ok || e.Kind != tc.kind {
				t.Fatalf("%s: %s: %v", name, number, err)
			}
		}
	}
	if b.Sent() != 0 || b.Table.Calls() != 0 {
		t.Errorf("%d messages, %d calls of the store", b.Sent(), b.Table.Calls())
	}
}

func TestOnlyTheCountriesThatAreNamedAreSentTo(t *testing.T) {
	for _, tc := range []struct {
		name      string
		countries map[string]bool
		to        string
		sent      bool
	}{
		{"named", map[string]bool{"US": true, "IN": true}, alice, true},
		{"not named", map[string]bool{"IN": true}, alice, false},
		{"all", nil, alice, true},
		{"none", map[string]bool{}, alice, false},
		{"a neighbour under the same calling code", map[string]bool{"US": true}, "+16045550123", false},
		{"no country's number, though all are allowed", nil, "+870773123456", false},
	} {
		b := newBench(t)
		b.s.Countries = tc.countries
		_, _, err := b.s.Start(b.Ctx(), otpsend.Request{To: tc.to}, "")
		if tc.sent != (err == nil) || tc.sent != (b.Sent() == 1) {
			t.Errorf("%s: %v, %d messages", tc.name, err, b.Sent())
		}
		if !tc.sent {
			b.Refused(err, problem.DestinationRefused)
		}
	}
}

// Attack 8: however a number is spelt, it is one recipient or refused.
func TestSpellingsOfANumberAreOneRowOrRefused(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	first := b.start(otpsend.Request{To: alice})
	for _, spelling := range []string{
		"+1 (415) 555-0123", "+1-415-555-0123", "+1.415.555.0123", " +14155550123 ", "+1 415 555 0123",
		"0014155550123", "14155550123", "4155550123", "(415) 555-0123", "tel:+14155550123", "+14155550123;ext=5", "+1 415 555 0123 x5",
		"+1 (0)415 555 0123", "＋14155550123", "+１４１５５５５０１２３", "+1415555O123", "+1\u00a0415\u00a05550123", "+14155550123\n", "+001 4155550123",
	} {
		a, _, err := b.s.Start(b.Ctx(), otpsend.Request{To: spelling, Purpose: "p"}, "")
		if err == nil && a.ID.RowKey() != first.ID.RowKey() {
			t.Errorf("%q is another recipient", spelling)
		}
		if err != nil {
			if e := b.Refused(err, problem.InvalidRequest); e.Fields[0].Name != "to" {
				t.Errorf("%q: %+v", spelling, e.Fields)
			}
		}
		b.Wait(11 * time.Minute)
	}
	if n := b.rows(); n != 1 {
		t.Errorf("%d rows, want one", n)
	}
	for _, m := range b.wa.Sent() {
		if m.To != alice {
			t.Errorf("sent to %s", m.To)
		}
	}
}

// Attack 7: the limits are the address's, whoever asks, for what and how.
func TestPurposesSpellingsAndCallersShareOneLimit(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.ResendAfter = 0 })
	spellings := []string{alice, "+1 (415) 555-0123", "+1-415-555-0123"}
	refused := 0
	for i := range 60 {
		_, _, err := b.s.Start(b.Ctx(), otpsend.Request{
			To: spellings[i%3], Purpose: fmt.Sprint("purpose", i%4), ClientIP: fmt.Sprint("203.0.113.", i), Locale: []string{"en", "de"}[i%2],
		}, "")
		if err != nil {
			b.Refused(err, problem.TooManySends)
			refused++
		}
	}
	if b.Sent() != 5 || refused != 55 {
		t.Errorf("%d messages and %d refusals, want 5 and 55", b.Sent(), refused)
	}
	for range 100 { // and over a day
		b.Wait(10 * time.Minute)
		_, _, _ = b.s.Start(b.Ctx(), otpsend.Request{To: alice}, "")
	}
	if b.Sent() != 20 {
		t.Errorf("%d messages within a day, want 20", b.Sent())
	}
}
