package otp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

func TestFallback_OrderForEachKindOfFailure(t *testing.T) {
	for _, tc := range []struct {
		name     string
		workflow []channel.Channel
		next     otp.Next // of every failure
		want     []channel.Channel
	}{
		{"any channel", []channel.Channel{"whatsapp", "sms", "call", "email"}, otp.NextChannel, []channel.Channel{"whatsapp", "sms", "call", "email"}},
		{"any channel, in another order", []channel.Channel{"email", "call", "whatsapp"}, otp.NextChannel, []channel.Channel{"email", "call", "whatsapp"}},
		{"a call before earlier channels", []channel.Channel{"sms", "whatsapp", "call", "email"}, otp.NextCall, []channel.Channel{"sms", "call", "whatsapp", "email"}},
		{"a call that is next", []channel.Channel{"sms", "call", "whatsapp"}, otp.NextCall, []channel.Channel{"sms", "call", "whatsapp"}},
		{"a call that the workflow does not have", []channel.Channel{"sms", "whatsapp", "email"}, otp.NextCall, []channel.Channel{"sms", "whatsapp", "email"}},
		{"a call that failed", []channel.Channel{"call", "sms"}, otp.NextCall, []channel.Channel{"call", "sms"}},
		{"no such number", []channel.Channel{"whatsapp", "sms", "call"}, otp.NextAddress, []channel.Channel{"whatsapp"}},
		{"no such number, and mail", []channel.Channel{"whatsapp", "sms", "email"}, otp.NextAddress, []channel.Channel{"whatsapp", "email"}},
		{"no such mailbox", []channel.Channel{"email", "sms"}, otp.NextAddress, []channel.Channel{"email", "sms"}},
		{"fraud", []channel.Channel{"whatsapp", "sms", "call", "email"}, otp.NextNone, []channel.Channel{"whatsapp"}},
		{"the only channel", []channel.Channel{"sms"}, otp.NextChannel, []channel.Channel{"sms"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, v := begin(t, quiet(), tc.workflow...)
			for n := 1; n <= len(tc.want); n++ {
				var begun bool
				next := tc.next
				if n > 1 && next == otp.NextAddress {
					next = otp.NextNone // both addresses have failed
				}
				v, begun = r.fail(v, n, next)
				if last := n == len(tc.want); begun == last {
					t.Fatalf("began %v after the failure of message %d over %s", begun, n, v.Attempts[n-1].Channel)
				}
				if begun && (v.Attempts[n] != otp.Attempt{Channel: tc.want[n], At: fixture.Noon, Status: otp.Queued}) {
					t.Errorf("message %d is %+v", n+1, v.Attempts[n])
				}
			}
			if !slices.Equal(channels(v), tc.want) {
				t.Errorf("sent over %v, want %v", channels(v), tc.want)
			}
			if v.Status != otp.Undeliverable || !v.EndedAt.Equal(fixture.Noon) || len(r.kept.Tally(server).Sends) != len(tc.want) {
				t.Errorf("is %s since %v after %d sends", v.Status, v.EndedAt, len(r.kept.Tally(server).Sends))
			}
		})
	}
}

func TestFallback_BeginsNoChannelThatWasTried(t *testing.T) {
	r, v := begin(t, quiet(), "whatsapp", "sms", "call")
	r.resendOver(v, "sms")
	r.fail(v, 1, otp.NextChannel)
	v, begun := r.fail(v, 2, otp.NextChannel)
	if want := []channel.Channel{"whatsapp", "sms", "call"}; !begun || !slices.Equal(channels(v), want) {
		t.Errorf("sent over %v, want %v", channels(v), want)
	}
}

func TestFallback_FraudBlocksTheAddressForAnHour(t *testing.T) {
	r := newRig(t, quiet())
	other := r.startWith(func(req *otp.StartRequest) { req.Purpose, req.Workflow = "pay", []channel.Channel{"sms", "call"} })
	v := r.startOver("whatsapp", "sms")
	r.policy.TTL = 2 * time.Hour
	long := r.startWith(func(req *otp.StartRequest) { req.Purpose, req.Workflow = "long", []channel.Channel{"sms", "call"} })
	v, begun := r.fail(v, 1, otp.NextNone)
	if begun || v.Status != otp.Undeliverable {
		t.Errorf("began %v, status %s", begun, v.Status)
	}
	r.now = fixture.Noon.Add(time.Minute)
	wantRefusal(t, r.startError("login"), problem.DestinationRefused, time.Hour-time.Minute)
	wantRefusal(t, r.resend(other, ""), problem.DestinationRefused, time.Hour-time.Minute)
	_, err := otp.Spend(r.kept, fixture.Alice, server, r.policy, r.now)
	wantRefusal(t, err, problem.DestinationRefused, time.Hour-time.Minute)
	for _, unsent := range []bool{false, true} {
		_, _, begun, err := otp.Follow(r.kept, otp.Progress{ID: other.ID, Attempt: 1, Status: otp.Failed, Unsent: unsent}, r.policy, r.now)
		if begun || err != nil {
			t.Errorf("unsent %v: another verification's message was begun (%v, %v)", unsent, begun, err)
		}
	}
	wantKind(t, r.right(other), "") // the code that has arrived still works

	r.now = fixture.Noon.Add(time.Hour - 1)
	wantRefusal(t, r.resend(long, ""), problem.DestinationRefused, 1)
	r.now = fixture.Noon.Add(time.Hour)
	wantKind(t, r.resend(long, ""), "")
	r.start("login")
}

func TestFallback_TheBlockOfABrokenClockEndsWithinAnHourAndMaxSkew(t *testing.T) {
	r := newRig(t, quiet())
	r.now = fixture.Noon.AddDate(100, 0, 0)
	r.fail(r.start("login"), 1, otp.NextNone)
	r.now = fixture.Noon
	wantRefusal(t, r.startError("login"), problem.DestinationRefused, otp.BlockedFor+window.MaxSkew)
	r.now = fixture.Noon.Add(otp.BlockedFor + window.MaxSkew)
	r.start("login")
}

// A clock that is behind does not shorten a block.
func TestFollow_AnotherBlockNeverEndsEarlier(t *testing.T) {
	r := newRig(t, quiet())
	first, second := r.start("a"), r.start("b")
	r.fail(first, 1, otp.NextNone)
	until := r.kept.BlockedUntil
	r.now = r.now.Add(-time.Minute)
	r.fail(second, 1, otp.NextNone)
	if r.kept.BlockedUntil.Before(until) {
		t.Errorf("blocked until %v, before it was %v", r.kept.BlockedUntil, until)
	}
}

// fill brings the recipient to the limit of one rule.
var fill = map[string]func(r *rig, v otp.Verification){
	"sends in 10 minutes": func(r *rig, _ otp.Verification) { r.policy.MaxSends = len(r.kept.Tally(server).Sends) },
	"sends in a day":      func(r *rig, _ otp.Verification) { r.policy.MaxSendsPerDay = len(r.kept.Tally(server).Sends) },
	"failures in a day": func(r *rig, v otp.Verification) {
		r.wrongTimes(v, 3)
		r.policy.MaxFailuresPerDay = 3
	},
}

func TestFallback_NeverPastALimit(t *testing.T) {
	for name, fill := range fill {
		t.Run(name, func(t *testing.T) {
			r, v := begin(t, quiet(), "whatsapp", "sms")
			fill(r, v)
			before := len(r.kept.Tally(server).Sends)
			v, begun := r.fail(v, 1, otp.NextChannel)
			if begun || len(r.kept.Tally(server).Sends) != before || len(v.Attempts) != 1 {
				t.Errorf("began %v, %+v", begun, v.Attempts)
			}
			if v.Status != otp.Pending {
				t.Errorf("status %s: a channel is left for later", v.Status)
			}
		})
	}
}

func TestFallback_WaitsForNoPauseAndCountsAsASend(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy(), "whatsapp", "sms")
	r.now = fixture.Noon.Add(time.Second)
	if _, begun := r.fail(v, 1, otp.NextChannel); !begun {
		t.Fatal("no message was begun within the pause")
	}
	if want := []time.Time{fixture.Noon, r.now}; !slices.Equal(r.kept.Tally(server).Sends, want) {
		t.Errorf("the sends are %v, want %v", r.kept.Tally(server).Sends, want)
	}
	wantRefusal(t, r.startError("pay"), problem.ResendTooSoon, 30*time.Second) // the pause counts from the newer message
}

func TestFallback_OfAMessageThatWasNotAcceptedSpendsNoOtherSend(t *testing.T) {
	for _, rule := range []string{"sends in 10 minutes", "sends in a day"} {
		r, v := begin(t, quiet(), "whatsapp", "sms", "call")
		fill[rule](r, v)
		for n := 1; n <= 2; n++ {
			var begun bool
			if v, begun = r.follow(otp.Progress{ID: v.ID, Attempt: n, Status: otp.Failed, Unsent: true}); !begun {
				t.Fatalf("%s: nothing follows message %d, which the provider did not accept", rule, n)
			}
		}
		if want := []channel.Channel{"whatsapp", "sms", "call"}; !slices.Equal(channels(v), want) || len(r.kept.Tally(server).Sends) != 1 {
			t.Errorf("%s: sent over %v with %d sends", rule, channels(v), len(r.kept.Tally(server).Sends))
		}
	}
}

// The message needs no send of its own. But a code that cannot be checked is not sent.
func TestFallback_OfAMessageThatWasNotAcceptedKeepsToTheOtherRules(t *testing.T) {
	r, v := begin(t, quiet(), "whatsapp", "sms")
	fill["failures in a day"](r, v)
	v, begun := r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, Unsent: true})
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
		r, v := begin(t, quiet(), "whatsapp", "sms")
		r.now = v.ExpiresAt.Add(-tc.left)
		v, begun := r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, Unsent: tc.unsent})
		if begun != tc.begins || v.Status != otp.Pending {
			t.Errorf("%+v: began %v, is %s", tc, begun, v.Status)
		}
	}
}

func TestFallback_UndeliverableOnlyIfNothingCanArrive(t *testing.T) {
	for _, tc := range []struct {
		name string
		run  func(r *rig, v otp.Verification)
		want otp.Status
	}{
		{"all failed and none may recover", func(r *rig, v otp.Verification) {
			r.fail(v, 1, otp.NextChannel)
			r.fail(v, 2, otp.NextChannel)
		}, otp.Undeliverable},
		{"one is on its way", func(r *rig, v otp.Verification) {
			r.fail(v, 1, otp.NextChannel)
			wantKind(r.t, r.resend(v, "sms"), "")
			r.fail(v, 3, otp.NextNone)
		}, otp.Pending},
		{"one was delivered", func(r *rig, v otp.Verification) {
			r.fail(v, 1, otp.NextChannel)
			r.report(v, 1, otp.Delivered)
			r.fail(v, 2, otp.NextNone)
		}, otp.Pending},
		{"the last one may recover", func(r *rig, v otp.Verification) {
			r.fail(v, 1, otp.NextChannel)
			r.follow(otp.Progress{ID: v.ID, Attempt: 2, Status: otp.Failed, MayRecover: true})
		}, otp.Pending},
		{"the first one may recover", func(r *rig, v otp.Verification) {
			r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true})
			r.fail(v, 2, otp.NextAddress)
		}, otp.Pending},
		{"within the last minute", func(r *rig, v otp.Verification) {
			r.fail(v, 1, otp.NextChannel)
			r.now = v.ExpiresAt.Add(-1)
			r.fail(v, 2, otp.NextChannel)
		}, otp.Undeliverable},
		{"a channel is left, but too little time", func(r *rig, v otp.Verification) {
			r.now = v.ExpiresAt.Add(-1)
			r.fail(v, 1, otp.NextChannel)
		}, otp.Pending},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, v := begin(t, quiet(), "whatsapp", "sms")
			tc.run(r, v)
			v = r.found(v)
			if v.Status != tc.want || v.EndedAt.IsZero() != (tc.want == otp.Pending) {
				t.Errorf("is %s, ended %v; want %s", v.Status, v.EndedAt, tc.want)
			}
			want := problem.Kind("")
			if tc.want == otp.Undeliverable {
				want = problem.Undeliverable
			}
			wantKind(t, r.right(v), want)
		})
	}
}

func TestFallback_WhatMayRecoverCanBeResent(t *testing.T) {
	r, v := begin(t, quiet())
	r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true, Unsent: true})
	r.now = fixture.Noon.Add(time.Minute)
	wantKind(t, r.resend(v, ""), "")
	if got := fmt.Sprint(channels(r.found(v))); got != "[whatsapp whatsapp]" {
		t.Errorf("sent over %s", got)
	}
}

func (r *rig) spend(address string) (err error) {
	r.kept, err = otp.Spend(r.kept, address, server, r.policy, r.now)
	return err
}

// A message to a person's second address counts there as well.
func TestSpend_HoldsTheLimitsOfTheSecondAddress(t *testing.T) {
	for name, fill := range fill {
		t.Run(name, func(t *testing.T) {
			r, v := begin(t, quiet())
			fill(r, v)
			want := map[bool]problem.Kind{true: problem.TooManyChecks, false: problem.TooManySends}[name == "failures in a day"]
			r.unchanged("the refusal", func() { wantKind(t, r.spend(fixture.Alice), want) })
		})
	}
}

func TestSpend_CountsWithoutAPause(t *testing.T) {
	r := newRig(t, otp.DefaultPolicy())
	for range 5 {
		wantKind(t, r.spend(fixture.AliceMail), "")
	}
	if !same(r.kept, otp.Recipient{Address: fixture.AliceMail, Tallies: one(otp.Tally{Sends: slices.Repeat([]time.Time{fixture.Noon}, 5)})}) {
		t.Errorf("got %+v", r.kept)
	}
	wantRefusal(t, r.spend(fixture.AliceMail), problem.TooManySends, 10*time.Minute)
	r.now = fixture.Noon.Add(10*time.Minute - 1)
	_, err := r.apply(r.request(fixture.AliceMail, "login", otp.Transaction{}))
	wantRefusal(t, err, problem.TooManySends, 1) // all messages to the address share one count
}

func TestSpend_RefusesARowThatBelongsToAnotherAddress(t *testing.T) {
	r, _ := begin(t, quiet())
	r.unchanged("the refusal", func() { wantKind(t, r.spend(fixture.AliceMail), problem.Internal) })
	r.now = fixture.Noon.AddDate(1, 0, 0) // nothing is remembered: any address may use the row
	if wantKind(t, r.spend(fixture.AliceMail), ""); r.kept.Address != fixture.AliceMail {
		t.Errorf("the row belongs to %q", r.kept.Address)
	}
}
