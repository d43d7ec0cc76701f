package otp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/window"
)

func TestFallback_OrderForEachKindOfFailure(t *testing.T) {
	for _, tc := range []struct {
		name     string
		workflow []string
		next     otp.Next // of every failure
		want     []string
	}{
		{"any channel", []string{"whatsapp", "sms", "call", "email"}, otp.NextChannel, []string{"whatsapp", "sms", "call", "email"}},
		{"any channel, in another order", []string{"email", "call", "whatsapp"}, otp.NextChannel, []string{"email", "call", "whatsapp"}},
		{"a call before what comes sooner", []string{"sms", "whatsapp", "call", "email"}, otp.NextCall, []string{"sms", "call", "whatsapp", "email"}},
		{"a call that is next", []string{"sms", "call", "whatsapp"}, otp.NextCall, []string{"sms", "call", "whatsapp"}},
		{"a call where there is none", []string{"sms", "whatsapp", "email"}, otp.NextCall, []string{"sms", "whatsapp", "email"}},
		{"a call that failed", []string{"call", "sms"}, otp.NextCall, []string{"call", "sms"}},
		{"no such number", []string{"whatsapp", "sms", "call"}, otp.NextAddress, []string{"whatsapp"}},
		{"no such number, and mail", []string{"whatsapp", "sms", "email"}, otp.NextAddress, []string{"whatsapp", "email"}},
		{"no such mailbox", []string{"email", "sms"}, otp.NextAddress, []string{"email", "sms"}},
		{"fraud", []string{"whatsapp", "sms", "call", "email"}, otp.NextNone, []string{"whatsapp"}},
		{"the only channel", []string{"sms"}, otp.NextChannel, []string{"sms"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, quiet())
			v := b.startOver(tc.workflow...)
			for n := 1; n <= len(tc.want); n++ {
				var begun bool
				next := tc.next
				if n > 1 && next == otp.NextAddress {
					next = otp.NextNone // of both addresses by now
				}
				v, begun = b.fail(v, n, next)
				if last := n == len(tc.want); begun == last {
					t.Fatalf("began %v after the failure of message %d over %s", begun, n, v.Attempts[n-1].Channel)
				}
				if begun && (v.Attempts[n] != otp.Attempt{Channel: tc.want[n], At: noon, Status: otp.Queued}) {
					t.Errorf("message %d is %+v", n+1, v.Attempts[n])
				}
			}
			if !slices.Equal(channels(v), tc.want) {
				t.Errorf("sent over %v, want %v", channels(v), tc.want)
			}
			if v.Status != otp.Undeliverable || !v.EndedAt.Equal(noon) || len(b.r.Sends) != len(tc.want) {
				t.Errorf("is %s since %v after %d sends", v.Status, v.EndedAt, len(b.r.Sends))
			}
		})
	}
}

func TestFallback_BeginsNoChannelThatWasTried(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startOver("whatsapp", "sms", "call")
	wantKind(t, b.resend(v, "sms"), "")
	b.fail(v, 1, otp.NextChannel)
	v, begun := b.fail(v, 2, otp.NextChannel)
	if want := []string{"whatsapp", "sms", "call"}; !begun || !slices.Equal(channels(v), want) {
		t.Errorf("sent over %v, want %v", channels(v), want)
	}
}

func TestFallback_FraudBlocksTheAddressForAnHour(t *testing.T) {
	b := newBench(t, quiet())
	other := b.startWith(func(req *otp.StartRequest) { req.Purpose, req.Workflow = "pay", []string{"sms", "call"} })
	v := b.startOver("whatsapp", "sms")
	b.p.TTL = 2 * time.Hour
	long := b.startWith(func(req *otp.StartRequest) { req.Purpose, req.Workflow = "long", []string{"sms", "call"} })
	v, begun := b.fail(v, 1, otp.NextNone)
	if begun || v.Status != otp.Undeliverable {
		t.Errorf("began %v, is %s", begun, v.Status)
	}
	b.now = noon.Add(time.Minute)
	_, err := b.tryStart("login")
	wantRefusal(t, err, problem.DestinationRefused, time.Hour-time.Minute)
	wantRefusal(t, b.resend(other, ""), problem.DestinationRefused, time.Hour-time.Minute)
	_, err = otp.Spend(b.r, alice, b.p, b.now)
	wantRefusal(t, err, problem.DestinationRefused, time.Hour-time.Minute)
	for _, unsent := range []bool{false, true} {
		_, _, begun, err := otp.Follow(b.r, otp.Progress{ID: other.ID, Attempt: 1, Status: otp.Failed, Unsent: unsent}, b.p, b.now)
		if begun || err != nil {
			t.Errorf("unsent %v: another verification's message was begun (%v, %v)", unsent, begun, err)
		}
	}
	wantKind(t, b.right(other), "") // what has arrived still works

	b.now = noon.Add(time.Hour - 1)
	wantRefusal(t, b.resend(long, ""), problem.DestinationRefused, 1)
	b.now = noon.Add(time.Hour)
	wantKind(t, b.resend(long, ""), "")
	b.start("login")
}

func TestFallback_TheBlockOfABrokenClockEndsWithinAnHourAndMaxSkew(t *testing.T) {
	b := newBench(t, quiet())
	b.now = noon.AddDate(100, 0, 0)
	b.fail(b.start("login"), 1, otp.NextNone)
	b.now = noon
	_, err := b.tryStart("login")
	wantRefusal(t, err, problem.DestinationRefused, otp.BlockedFor+window.MaxSkew)
	b.now = noon.Add(otp.BlockedFor + window.MaxSkew)
	b.start("login")
}

// fill brings the recipient to the edge of one rule.
var fill = map[string]func(b *bench, v otp.Verification){
	"sends in 10 minutes": func(b *bench, _ otp.Verification) { b.p.MaxSends = len(b.r.Sends) },
	"sends in a day":      func(b *bench, _ otp.Verification) { b.p.MaxSendsPerDay = len(b.r.Sends) },
	"failures in a day": func(b *bench, v otp.Verification) {
		for range 3 {
			wantKind(b.t, b.wrong(v), problem.WrongCode)
		}
		b.p.MaxFailuresPerDay = 3
	},
}

func TestFallback_NeverPastALimit(t *testing.T) {
	for name, fill := range fill {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, quiet())
			v := b.startOver("whatsapp", "sms")
			fill(b, v)
			before := len(b.r.Sends)
			v, begun := b.fail(v, 1, otp.NextChannel)
			if begun || len(b.r.Sends) != before || len(v.Attempts) != 1 {
				t.Errorf("began %v, %+v", begun, v.Attempts)
			}
			if v.Status != otp.Pending {
				t.Errorf("is %s: a channel is left for later", v.Status)
			}
		})
	}
}

func TestFallback_WaitsForNoPauseAndCountsAsASend(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.startOver("whatsapp", "sms")
	b.now = noon.Add(time.Second)
	if _, begun := b.fail(v, 1, otp.NextChannel); !begun {
		t.Fatal("began nothing within the pause")
	}
	if want := []time.Time{noon, b.now}; !slices.Equal(b.r.Sends, want) {
		t.Errorf("the sends are %v, want %v", b.r.Sends, want)
	}
	_, err := b.tryStart("pay") // the pause counts from the newer message
	wantRefusal(t, err, problem.ResendTooSoon, 30*time.Second)
}

func TestFallback_OfAMessageThatWasNeverTakenSpendsNoOtherSend(t *testing.T) {
	for _, rule := range []string{"sends in 10 minutes", "sends in a day"} {
		b := newBench(t, quiet())
		v := b.startOver("whatsapp", "sms", "call")
		fill[rule](b, v)
		for n := 1; n <= 2; n++ {
			var begun bool
			if v, begun = b.follow(otp.Progress{ID: v.ID, Attempt: n, Status: otp.Failed, Unsent: true}); !begun {
				t.Fatalf("%s: nothing follows message %d, whose place is free", rule, n)
			}
		}
		if want := []string{"whatsapp", "sms", "call"}; !slices.Equal(channels(v), want) || len(b.r.Sends) != 1 {
			t.Errorf("%s: sent over %v with %d sends", rule, channels(v), len(b.r.Sends))
		}
	}
}

// The place in the count is free; but no code is sent that cannot be checked.
func TestFallback_OfAMessageThatWasNeverTakenKeepsToTheOtherRules(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startOver("whatsapp", "sms")
	fill["failures in a day"](b, v)
	v, begun := b.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, Unsent: true})
	if begun || len(v.Attempts) != 1 || v.Status != otp.Pending {
		t.Errorf("began %v, %+v", begun, v)
	}
}

func TestFallback_NotOnceTheCodeIsAboutToExpire(t *testing.T) {
	for _, tc := range []struct {
		left   time.Duration
		unsent bool
		begins bool
	}{
		{time.Minute, false, true},
		{time.Minute, true, true},
		{time.Minute - 1, false, false},
		{time.Minute - 1, true, false},
		{1, false, false},
	} {
		b := newBench(t, quiet())
		v := b.startOver("whatsapp", "sms")
		b.now = v.ExpiresAt.Add(-tc.left)
		v, begun := b.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, Unsent: tc.unsent})
		if begun != tc.begins || v.Status != otp.Pending {
			t.Errorf("%+v: began %v, is %s", tc, begun, v.Status)
		}
	}
}

func TestFallback_UndeliverableOnlyIfNothingCanArrive(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  func(b *bench, v otp.Verification)
		want otp.Status
	}{
		{"all failed for good", func(b *bench, v otp.Verification) {
			b.fail(v, 1, otp.NextChannel)
			b.fail(v, 2, otp.NextChannel)
		}, otp.Undeliverable},
		{"one is on its way", func(b *bench, v otp.Verification) {
			b.fail(v, 1, otp.NextChannel)
			wantKind(b.t, b.resend(v, "sms"), "")
			b.fail(v, 3, otp.NextNone)
		}, otp.Pending},
		{"one was delivered", func(b *bench, v otp.Verification) {
			b.fail(v, 1, otp.NextChannel)
			b.report(v, 1, otp.Delivered)
			b.fail(v, 2, otp.NextNone)
		}, otp.Pending},
		{"the last one may recover", func(b *bench, v otp.Verification) {
			b.fail(v, 1, otp.NextChannel)
			b.follow(otp.Progress{ID: v.ID, Attempt: 2, Status: otp.Failed, MayRecover: true})
		}, otp.Pending},
		{"the first one may recover", func(b *bench, v otp.Verification) {
			b.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true})
			b.fail(v, 2, otp.NextAddress)
		}, otp.Pending},
		{"within the last minute", func(b *bench, v otp.Verification) {
			b.fail(v, 1, otp.NextChannel)
			b.now = v.ExpiresAt.Add(-1)
			b.fail(v, 2, otp.NextChannel)
		}, otp.Undeliverable},
		{"another channel is kept back by the time that is left", func(b *bench, v otp.Verification) {
			b.now = v.ExpiresAt.Add(-1)
			b.fail(v, 1, otp.NextChannel)
		}, otp.Pending},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, quiet())
			v := b.startOver("whatsapp", "sms")
			tc.run(b, v)
			v = b.found(v)
			if v.Status != tc.want || v.EndedAt.IsZero() != (tc.want == otp.Pending) {
				t.Errorf("is %s, ended %v; want %s", v.Status, v.EndedAt, tc.want)
			}
			want := problem.Kind("")
			if tc.want == otp.Undeliverable {
				want = problem.Undeliverable
			}
			wantKind(t, b.right(v), want)
		})
	}
}

func TestFallback_WhatMayRecoverCanBeResent(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	b.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true, Unsent: true})
	b.now = noon.Add(time.Minute)
	wantKind(t, b.resend(v, ""), "")
	if got := fmt.Sprint(channels(b.found(v))); got != "[whatsapp whatsapp]" {
		t.Errorf("sent over %s", got)
	}
}

// A code that goes to a person's second address counts there as well.
func TestSpend_HoldsTheLimitsOfTheSecondAddress(t *testing.T) {
	for name, fill := range fill {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, quiet())
			v := b.start("login")
			fill(b, v)
			before := deepCopy(b.r)
			r, err := otp.Spend(b.r, alice, b.p, b.now)
			want := map[bool]problem.Kind{true: problem.TooManyChecks, false: problem.TooManySends}[name == "failures in a day"]
			wantKind(t, err, want)
			if !same(r, before) {
				t.Error("the refusal changed the recipient")
			}
		})
	}
}

func TestSpend_CountsWithoutAPause(t *testing.T) {
	p := otp.DefaultPolicy()
	r, err := otp.Spend(otp.Recipient{}, aliceEmail, p, noon)
	for range 4 {
		wantKind(t, err, "")
		r, err = otp.Spend(r, aliceEmail, p, noon)
	}
	wantKind(t, err, "")
	if !same(r, otp.Recipient{Address: aliceEmail, Sends: slices.Repeat([]time.Time{noon}, 5)}) {
		t.Errorf("got %+v", r)
	}
	_, err = otp.Spend(r, aliceEmail, p, noon)
	wantRefusal(t, err, problem.TooManySends, 10*time.Minute)
	_, _, err = otp.Start(r, newBench(t, p).request(aliceEmail, "login", otp.Context{}), p, noon.Add(10*time.Minute-1))
	wantRefusal(t, err, problem.TooManySends, 1) // all messages to the address share one count
}

func TestSpend_RefusesARowThatBelongsToAnotherAddress(t *testing.T) {
	b := newBench(t, quiet())
	b.start("login")
	before := deepCopy(b.r)
	r, err := otp.Spend(b.r, aliceEmail, b.p, b.now)
	wantKind(t, err, problem.Internal)
	if !same(r, before) {
		t.Error("the refusal changed the recipient")
	}
	b.now = noon.AddDate(1, 0, 0) // long forgotten: the row is anybody's
	r, err = otp.Spend(b.r, aliceEmail, b.p, b.now)
	if wantKind(t, err, ""); r.Address != aliceEmail {
		t.Errorf("the row belongs to %q", r.Address)
	}
}
