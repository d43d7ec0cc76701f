package otp_test

import (
	"slices"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

func TestResend_ChoosesTheChannel(t *testing.T) {
	const failed, sent, delivered = otp.Failed, otp.Sent, otp.Delivered
	type list = []channel.Channel
	for _, tc := range []struct {
		name     string
		workflow list
		more     list                 // resends so far
		news     []otp.DeliveryStatus // of each message
		asked    channel.Channel
		want     channel.Channel // "" for a refusal
	}{
		{"the last channel, no news", threeChannels, nil, nil, "", "whatsapp"},
		{"the last channel, on its way", threeChannels, nil, []otp.DeliveryStatus{sent}, "", "whatsapp"},
		{"the last channel, delivered", threeChannels, nil, []otp.DeliveryStatus{delivered}, "", "whatsapp"},
		{"the last channel, an older one failed", threeChannels, list{"sms"}, []otp.DeliveryStatus{failed, sent}, "", "sms"},
		{"the next one after a failure", threeChannels, nil, []otp.DeliveryStatus{failed}, "", "sms"},
		{"the next one that was not tried", threeChannels, list{"sms"}, []otp.DeliveryStatus{failed, failed}, "", "call"},
		{"an earlier one that was not tried", threeChannels, list{"call"}, []otp.DeliveryStatus{sent, failed}, "", "sms"},
		{"the last one after all failed", threeChannels[:2], list{"sms"}, []otp.DeliveryStatus{failed, failed}, "", "sms"},
		{"the only one after it failed", list{"sms"}, nil, []otp.DeliveryStatus{failed}, "", "sms"},
		{"next", threeChannels, nil, nil, "next", "sms"},
		{"next after a failure", threeChannels, list{"sms"}, []otp.DeliveryStatus{failed, failed}, "next", "call"},
		{"next after all were tried", threeChannels[:2], list{"sms"}, []otp.DeliveryStatus{failed}, "next", ""},
		{"next after the only one", list{"sms"}, nil, nil, "next", ""},
		{"a named one", threeChannels, nil, nil, "sms", "sms"},
		{"a named one that failed", threeChannels, list{"sms"}, []otp.DeliveryStatus{failed, failed}, "whatsapp", "whatsapp"},
		{"a named one out of order", threeChannels, nil, nil, "call", "call"},
		{"a named one outside of the workflow", list{"whatsapp"}, nil, nil, "call", "call"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, v := begin(t, quiet(), tc.workflow...)
			r.resendOver(v, tc.more...)
			r.policy.MaxSends = len(r.kept.Tally(server).Sends) // so that no failure begins a message
			r.reportAll(v, tc.news...)
			r.policy.MaxSends = 5
			if tc.want == "" {
				r.unchanged("the refusal", func() {
					if e := wantKind(t, r.resend(v, tc.asked), problem.InvalidRequest); len(e.Fields) != 1 || e.Fields[0].Name != "channel" {
						t.Errorf("got %+v, want one fault of the channel", e)
					}
				})
				return
			}
			before := deepCopy(r.kept)
			r.resendOver(v, tc.asked)
			got, want := r.found(v), append(channels(before.Verifications[0]), tc.want)
			if !slices.Equal(channels(got), want) || got.Channel() != tc.want {
				t.Errorf("sent over %v, want %v", channels(got), want)
			}
			if len(r.kept.Tally(server).Sends) != len(before.Tally(server).Sends)+1 {
				t.Errorf("%d sends, and then %d", len(before.Tally(server).Sends), len(r.kept.Tally(server).Sends))
			}
		})
	}
}

func TestResend_OfAnInboundOneIsRefusedOverEveryChannel(t *testing.T) {
	r, v := begin(t, quiet(), channel.Inbound)
	for _, c := range []channel.Channel{"", channel.Next, "sms", channel.Inbound} {
		r.unchanged(string(c), func() { wantKind(t, r.resend(v, c), problem.InvalidRequest) })
	}
}

// A fault of the request comes before a limit that ends with time.
func TestResend_AChannelIsRefusedBeforeAPause(t *testing.T) {
	r, v := begin(t, otp.DefaultPolicy())
	wantKind(t, r.resend(v, channel.Next), problem.InvalidRequest)
	wantRefusal(t, r.resend(v, ""), problem.ResendTooSoon, 30*time.Second)
}
