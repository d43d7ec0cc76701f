package otp_test

import (
	"slices"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
	"twofa/internal/window"
)

var threeChannels = []channel.Channel{"whatsapp", "sms", "call"}

// nextWorkflow is the workflow of a start that asks for these channels.
func (r *rig) nextWorkflow(workflow ...channel.Channel) []channel.Channel {
	r.t.Helper()
	req := r.request(fixture.Alice, "next", otp.Transaction{})
	req.Workflow, req.Other = slices.Clone(workflow), fixture.AliceMail
	_, v, err := otp.Start(r.kept, req, r.policy, r.now)
	wantKind(r.t, err, "")
	if !slices.Equal(req.Workflow, workflow) {
		r.t.Errorf("the request's workflow is now %v", req.Workflow)
	}
	if len(v.Attempts) != 1 || v.Attempts[0].Channel != v.Workflow[0] {
		r.t.Errorf("the workflow is %v, the messages are %+v", v.Workflow, v.Attempts)
	}
	return v.Workflow
}

// wantPreferred checks the preferred channel and since when; "" for none.
func (r *rig) wantPreferred(c channel.Channel, at time.Time) {
	r.t.Helper()
	var want []otp.Preferred
	if c != "" {
		want = []otp.Preferred{{Channel: c, At: at}}
	}
	if !slices.Equal(r.kept.Preferred, want) {
		r.t.Errorf("preferred: got %+v, want %+v", r.kept.Preferred, want)
	}
}

func TestPreferred_TheChannelThatWorkedComesFirst(t *testing.T) {
	for _, tc := range []struct {
		preferred channel.Channel
		workflow  []channel.Channel
		want      []channel.Channel
	}{
		{"", threeChannels, threeChannels},
		{"whatsapp", threeChannels, threeChannels},
		{"sms", threeChannels, []channel.Channel{"sms", "whatsapp", "call"}},
		{"call", threeChannels, []channel.Channel{"call", "whatsapp", "sms"}},
		{"email", threeChannels, threeChannels},
		{"sms", []channel.Channel{"whatsapp"}, []channel.Channel{"whatsapp"}},
		{"email", []channel.Channel{"sms", "email"}, []channel.Channel{"email", "sms"}},
	} {
		r := newRig(t, quiet())
		if tc.preferred != "" {
			r.kept = otp.Recipient{Address: fixture.Alice, Preferred: []otp.Preferred{{Channel: tc.preferred, At: fixture.Noon}}}
		}
		if got := r.nextWorkflow(tc.workflow...); !slices.Equal(got, tc.want) {
			t.Errorf("preferred %q: got %v, want %v", tc.preferred, got, tc.want)
		}
	}
	r := newRig(t, quiet()) // a message of the person has no other channel
	r.kept = otp.Recipient{Address: fixture.Alice, Preferred: []otp.Preferred{{Channel: "sms", At: fixture.Noon}}}
	if v := r.startOver(channel.Inbound); !v.Inbound() || len(v.Attempts) != 0 {
		t.Errorf("got %+v", v)
	}
}

func TestPreferred_AfterADelivery(t *testing.T) {
	for _, news := range allDeliveries {
		r, v := begin(t, quiet(), threeChannels...)
		r.resendOver(v, "sms")
		r.now = fixture.Noon.Add(time.Minute)
		r.report(v, 2, news)
		want := channel.Channel("")
		if news == otp.Delivered || news == otp.Read {
			want = "sms"
		}
		r.wantPreferred(want, r.now)
	}
}

func TestPreferred_NotIfThereWasOneChannel(t *testing.T) {
	r, v := begin(t, quiet())
	r.report(v, 1, otp.Delivered)
	wantKind(t, r.right(v), "")
	_, err := r.confirm(codeOf(t, r.startOver(channel.Inbound)))
	wantKind(t, err, "")
	r.wantPreferred("", time.Time{})
}

// After an approval, the channel over which the code most likely came is
// preferred.
func TestPreferred_AfterAnApproval(t *testing.T) {
	const failed, sent, delivered, read = otp.Failed, otp.Sent, otp.Delivered, otp.Read
	for _, tc := range []struct {
		name string
		news [3]otp.DeliveryStatus // of the messages over whatsapp, sms and call
		want channel.Channel
	}{
		{"nothing is known: the last", [3]otp.DeliveryStatus{}, "call"},
		{"the last failed", [3]otp.DeliveryStatus{"", sent, failed}, "sms"},
		{"all but the first failed", [3]otp.DeliveryStatus{"", failed, failed}, "whatsapp"},
		{"the only one that was delivered", [3]otp.DeliveryStatus{delivered, sent, ""}, "whatsapp"},
		{"the last that was delivered", [3]otp.DeliveryStatus{read, delivered, sent}, "sms"},
		{"one that was read", [3]otp.DeliveryStatus{"", read, ""}, "sms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, v := begin(t, quiet(), threeChannels...)
			r.resendOver(v, "sms", "call")
			r.reportAll(v, tc.news[:]...)
			r.kept.Preferred = nil
			r.now = fixture.Noon.Add(time.Minute)
			wantKind(t, r.wrong(v), problem.WrongCode)
			r.wantPreferred("", time.Time{}) // a wrong code changes nothing
			wantKind(t, r.right(v), "")
			r.wantPreferred(tc.want, r.now)
		})
	}
}

func TestPreferred_NoneIfAllFailed(t *testing.T) {
	r, v := begin(t, quiet(), "whatsapp", "sms")
	r.reportAll(v, otp.Failed, otp.Failed)
	wantKind(t, r.right(v), "") // the code came, but it is unknown how
	r.wantPreferred("", time.Time{})
}

func TestPreferred_IsForgottenAfterNinetyDays(t *testing.T) {
	for _, tc := range []struct {
		after time.Duration
		want  channel.Channel
	}{{90*24*time.Hour - 1, "sms"}, {90 * 24 * time.Hour, "whatsapp"}} {
		r, v := begin(t, quiet(), threeChannels...)
		r.resendOver(v, "sms")
		r.report(v, 2, otp.Delivered)
		if got, want := r.kept.KeepUntil(), fixture.Noon.AddDate(0, 0, 90); !got.Equal(want) {
			t.Errorf("the row is kept until %v, want %v", got, want)
		}
		r.now = fixture.Noon.Add(tc.after)
		if got := r.nextWorkflow(threeChannels...); got[0] != tc.want {
			t.Errorf("after %v: got %v, want %s first", tc.after, got, tc.want)
		}
	}
}

func TestPreferred_UnderAClockThatStepsBack(t *testing.T) {
	r, v := begin(t, quiet(), threeChannels...)
	r.now = fixture.Noon.Add(time.Minute)
	r.report(v, 1, otp.Delivered)
	r.now = fixture.Noon // by another process
	r.resendOver(v, "sms")
	r.report(v, 2, otp.Delivered)
	r.wantPreferred("sms", fixture.Noon.Add(time.Minute))    // the newer channel, not before the time of the older one
	r.kept.Preferred[0].At = fixture.Noon.AddDate(100, 0, 0) // by a broken clock
	r.now = fixture.Noon.Add(time.Second)
	if got := r.kept.Settle(r.now).Preferred[0].At; !got.Equal(r.now.Add(window.MaxSkew)) {
		t.Errorf("kept as of %v", got)
	}
}

func TestProven_TheAddressThatTheCodeMustHaveComeTo(t *testing.T) {
	const failed, delivered = otp.Failed, otp.Delivered
	for _, tc := range []struct {
		name    string
		address string
		other   string
		over    []channel.Channel
		news    []otp.DeliveryStatus
		want    string
	}{
		{"one message", fixture.Alice, "", []channel.Channel{"sms"}, []otp.DeliveryStatus{""}, fixture.Alice},
		{"two to one address", fixture.Alice, "", []channel.Channel{"whatsapp", "sms"}, []otp.DeliveryStatus{"", delivered}, fixture.Alice},
		{"mail to a mailbox", fixture.AliceMail, "", []channel.Channel{"email"}, []otp.DeliveryStatus{""}, fixture.AliceMail},
		{"mail to the second address", fixture.Alice, fixture.AliceMail, []channel.Channel{"email"}, []otp.DeliveryStatus{""}, fixture.AliceMail},
		{"one to each address", fixture.Alice, fixture.AliceMail, []channel.Channel{"sms", "email"}, []otp.DeliveryStatus{"", ""}, ""},
		{"one to each, one was read", fixture.Alice, fixture.AliceMail, []channel.Channel{"sms", "email"}, []otp.DeliveryStatus{"", otp.Read}, ""},
		{"one to each, and again", fixture.Alice, fixture.AliceMail, []channel.Channel{"sms", "email", "sms"}, []otp.DeliveryStatus{"", "", ""}, ""},
		{"the first failed", fixture.Alice, fixture.AliceMail, []channel.Channel{"sms", "email"}, []otp.DeliveryStatus{failed, ""}, fixture.AliceMail},
		{"a mail failed, after it was read", fixture.Alice, fixture.AliceMail, []channel.Channel{"sms", "email"}, []otp.DeliveryStatus{"", failed}, ""},
		{"a mail failed before", fixture.Alice, fixture.AliceMail, []channel.Channel{"email", "sms"}, []otp.DeliveryStatus{failed, ""}, ""},
		{"a mail failed, and the next one did not", fixture.AliceMail, "", []channel.Channel{"email", "email"}, []otp.DeliveryStatus{failed, ""}, fixture.AliceMail},
		{"it failed and came late", fixture.Alice, fixture.AliceMail, []channel.Channel{"sms", "email"}, []otp.DeliveryStatus{delivered, ""}, ""},
		{"all failed", fixture.Alice, fixture.AliceMail, []channel.Channel{"sms", "email"}, []otp.DeliveryStatus{failed, failed}, ""},
		{"the person's own message", fixture.Alice, "", []channel.Channel{channel.Inbound}, nil, fixture.Alice},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, quiet())
			v := r.startWith(func(req *otp.StartRequest) {
				req.Address, req.Other, req.Workflow = tc.address, tc.other, tc.over[:1]
			})
			r.resendOver(v, tc.over[1:]...)
			r.reportAll(v, tc.news...)
			if got := r.kept.Proven(r.found(v)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAddressFor_EachChannelGoesToItsOwnKind(t *testing.T) {
	for _, tc := range []struct {
		address, other string
		channel        channel.Channel
		want           string
	}{
		{fixture.Alice, "", "sms", fixture.Alice},
		{fixture.Alice, fixture.AliceMail, "call", fixture.Alice},
		{fixture.Alice, fixture.AliceMail, "email", fixture.AliceMail},
		{fixture.Alice, "", "email", ""},
		{fixture.AliceMail, "", "email", fixture.AliceMail},
		{fixture.AliceMail, "", "sms", ""},
	} {
		if got := (otp.Recipient{Address: tc.address}).AddressFor(otp.Verification{Other: tc.other}, tc.channel); got != tc.want {
			t.Errorf("%+v: got %q", tc, got)
		}
	}
}
