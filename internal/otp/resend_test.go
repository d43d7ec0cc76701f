package otp_test

import (
	"slices"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
)

func TestResend_ChoosesTheChannel(t *testing.T) {
	const failed, sent, delivered = otp.Failed, otp.Sent, otp.Delivered
	for _, tc := range []struct {
		name     string
		workflow []string
		more     []string             // resends so far
		news     []otp.DeliveryStatus // of each message
		asked    string
		want     string // "" for a refusal
	}{
		{"the last channel, where nothing is known", threeWays, nil, nil, "", "whatsapp"},
		{"the last channel, on its way", threeWays, nil, []otp.DeliveryStatus{sent}, "", "whatsapp"},
		{"the last channel, which arrived", threeWays, nil, []otp.DeliveryStatus{delivered}, "", "whatsapp"},
		{"the last channel, an older one failed", threeWays, []string{"sms"}, []otp.DeliveryStatus{failed, sent}, "", "sms"},
		{"the next one after a failure", threeWays, nil, []otp.DeliveryStatus{failed}, "", "sms"},
		{"the next one that was not tried", threeWays, []string{"sms"}, []otp.DeliveryStatus{failed, failed}, "", "call"},
		{"one before it that was not tried", threeWays, []string{"call"}, []otp.DeliveryStatus{sent, failed}, "", "sms"},
		{"the last one after all failed", threeWays[:2], []string{"sms"}, []otp.DeliveryStatus{failed, failed}, "", "sms"},
		{"the only one after it failed", []string{"sms"}, nil, []otp.DeliveryStatus{failed}, "", "sms"},
		{"next", threeWays, nil, nil, "next", "sms"},
		{"next after a failure", threeWays, []string{"sms"}, []otp.DeliveryStatus{failed, failed}, "next", "call"},
		{"next where all were tried", threeWays[:2], []string{"sms"}, []otp.DeliveryStatus{failed}, "next", ""},
		{"next where there is one", []string{"sms"}, nil, nil, "next", ""},
		{"a named one", threeWays, nil, nil, "sms", "sms"},
		{"a named one that failed", threeWays, []string{"sms"}, []otp.DeliveryStatus{failed, failed}, "whatsapp", "whatsapp"},
		{"a named one out of turn", threeWays, nil, nil, "call", "call"},
		{"a named one outside of the workflow", []string{"whatsapp"}, nil, nil, "call", "call"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, quiet())
			v := b.startOver(tc.workflow...)
			for _, channel := range tc.more {
				wantKind(t, b.resend(v, channel), "")
			}
			b.p.MaxSends = len(b.r.Sends) // so that nothing is begun by itself
			for i, news := range tc.news {
				b.follow(otp.Progress{ID: v.ID, Attempt: i + 1, Status: news, MayRecover: true})
			}
			b.p.MaxSends = 5
			before := deepCopy(b.r)
			err := b.resend(v, tc.asked)
			if tc.want == "" {
				if e := refusal(t, err); e.Kind != problem.InvalidRequest || len(e.Fields) != 1 || e.Fields[0].Name != "channel" {
					t.Errorf("got %+v, want one fault of the channel", e)
				}
				if !same(b.r, before) {
					t.Error("the refusal changed the recipient")
				}
				return
			}
			wantKind(t, err, "")
			want := append(channels(before.Verifications[0]), tc.want)
			if got := b.found(v); !slices.Equal(channels(got), want) || got.Channel() != tc.want {
				t.Errorf("sent over %v, want %v", channels(got), want)
			}
			if len(b.r.Sends) != len(before.Sends)+1 {
				t.Errorf("%d sends, and then %d", len(before.Sends), len(b.r.Sends))
			}
		})
	}
}

func TestResend_OfAnInboundOneIsRefusedOverEveryChannel(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startOver(otp.ChannelInbound)
	before := deepCopy(b.r)
	for _, channel := range []string{"", otp.ChannelNext, "sms", otp.ChannelInbound} {
		err := b.resend(v, channel)
		if wantKind(t, err, problem.InvalidRequest); !same(b.r, before) {
			t.Errorf("%q changed the recipient", channel)
		}
	}
}

// What is wrong with the request is told before what only time mends.
func TestResend_ARefusedChannelIsToldBeforeAPause(t *testing.T) {
	b := newBench(t, otp.DefaultPolicy())
	v := b.start("login")
	wantKind(t, b.resend(v, otp.ChannelNext), problem.InvalidRequest)
	wantRefusal(t, b.resend(v, ""), problem.ResendTooSoon, 30*time.Second)
}
