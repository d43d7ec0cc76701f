package otpverify_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/shown"
	"twofa/otpsend"
	"twofa/otpverify"

	"golang.org/x/text/unicode/norm"
)

// spellings are other ways to write a text that people see as the same.
var spellings = []func(string) string{
	func(s string) string { return s },
	func(s string) string {
		return strings.NewReplacer("\u00a0", " ", "\u202f", " ", "\u200e", "", "\u200f", "", "\u061c", "").Replace(s)
	},
	func(s string) string { return strings.NewReplacer(" ", "\u202f", "\u00a0", "\u3000").Replace(s) },
	func(s string) string { return "\u200e" + norm.NFD.String(s) + "\u00a0" },
	func(s string) string { return "\ufeff " + norm.NFC.String(s) + "\u200f" },
}

// intl is what testdata/intl.mjs of internal/shown writes.
type intl struct {
	Amounts map[string][]string // by locale
	Payees  []string
}

func readIntl(t *testing.T) (data intl) {
	t.Helper()
	text, err := os.ReadFile("../internal/shown/testdata/intl.json")
	if err == nil {
		err = json.Unmarshal(text, &data)
	}
	if err != nil || len(data.Amounts) < 60 || len(data.Payees) < 60 {
		t.Fatalf("%v: %d locales, %d payees", err, len(data.Amounts), len(data.Payees))
	}
	return data
}

// The international table: amounts as Intl formats them, and payees in many scripts, are
// accepted at the start, shown in their one form, and are the same at the check in
// whatever spelling.
func TestTransaction_IntlAmountsAndPayeesStartAndCheck(t *testing.T) {
	t.Parallel()
	data := readIntl(t)
	r := newRig(t, channel.SMS)
	n := 0
	for _, locale := range slices.Sorted(maps.Keys(data.Amounts)) {
		for _, amount := range data.Amounts[locale] {
			sent := otp.Transaction{Amount: spellings[n%2](amount), Payee: data.Payees[n%len(data.Payees)]}
			r.Advance(24 * time.Hour) // limits count anew
			v, code := begin(r, otpsend.Request{To: alice, Purpose: "pay", Transaction: sent})
			if m := r.Sender(channel.SMS).Last(); m.Amount != shown.Form(amount) || m.Payee != shown.Form(sent.Payee) || v.Transaction != sent.Form() {
				t.Errorf("%s: %+q and %+q: shown %+q and %+q, bound to %+q", locale, sent.Amount, sent.Payee, m.Amount, m.Payee, v.Transaction)
			}
			other := spellings[n%len(spellings)]
			_, err := r.Check(otpverify.Request{ID: string(v.ID), Code: code, Transaction: otp.Transaction{Amount: other(amount), Payee: other(sent.Payee)}})
			if err != nil {
				t.Errorf("%s: %+q, checked as %+q: %v", locale, sent, other(amount)+" | "+other(sent.Payee), err)
			}
			n++
		}
	}
}

// A context that a person would see as another one stays another one.
func TestTransaction_WhatLooksDifferentIsDifferent(t *testing.T) {
	bound := otp.Transaction{Amount: "1\u202f234,50\u00a0€", Payee: "Café می\u200cخواهم"}
	for name, c := range map[string]otp.Transaction{
		"another group":        {Amount: "12 34,50 €", Payee: bound.Payee},
		"no group":             {Amount: "1234,50 €", Payee: bound.Payee},
		"another sign":         {Amount: "-1 234,50 €", Payee: bound.Payee},
		"no accent":            {Amount: bound.Amount, Payee: "Cafe می\u200cخواهم"},
		"another accent":       {Amount: bound.Amount, Payee: "Cafe\u0300 می\u200cخواهم"},
		"a word's joiner less": {Amount: bound.Amount, Payee: "Café میخواهم"},
		"another case":         {Amount: bound.Amount, Payee: "café می\u200cخواهم"},
		"an override":          {Amount: "\u202e" + bound.Amount, Payee: bound.Payee},
		"an isolate":           {Amount: "\u2068" + bound.Amount + "\u2069", Payee: bound.Payee},
		"a line break":         {Amount: bound.Amount + "\n", Payee: bound.Payee},
		"full-width digits":    {Amount: "１ 234,50 €", Payee: bound.Payee},
		"nothing":              {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			v, code := begin(r, otpsend.Request{To: alice, Purpose: "pay", Transaction: bound})
			r.RefuseCheck(otpverify.Request{ID: string(v.ID), Code: code, Transaction: c}, problem.WrongCode)
			r.Approve(otpverify.Request{ID: string(v.ID), Code: code, Transaction: bound.Form()})
		})
	}
}

// The same holds for an approval by the person's own message.
func TestTransaction_SpellingsApproveInbound(t *testing.T) {
	data := readIntl(t)
	for i, payee := range data.Payees[:10] {
		r := newRig(t)
		sent := otp.Transaction{Amount: data.Amounts["ar-EG"][i], Payee: payee}
		id, text := r.StartInbound(otpsend.Request{To: alice, Purpose: "pay", Transaction: sent})
		receive(r, alice, text)
		other := spellings[2+i%3]
		r.Approve(otpverify.Request{ID: string(id), Transaction: otp.Transaction{Amount: other(sent.Amount), Payee: other(payee)}})
	}
}

// A repeated start is recognized in another spelling, too.
func TestTransaction_SpellingsAreOneRequest(t *testing.T) {
	r := newRig(t)
	for i, spell := range spellings {
		sent := otp.Transaction{Amount: spell("1\u202f234,50\u00a0€"), Payee: spell("Café Zoë")}
		_, replayed, err := r.Send.Start(r.Ctx(), otpsend.Request{To: alice, Purpose: "pay", Transaction: sent}, "a-key")
		if err != nil || replayed != (i > 0) {
			t.Errorf("%+q: replayed %t, %v", sent, replayed, err)
		}
	}
}
