package otp_test

import (
	"slices"
	"testing"
	"time"

	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/window"
)

var threeWays = []string{"whatsapp", "sms", "call"}

// nextWorkflow is how a start with that workflow would go.
func (b *bench) nextWorkflow(workflow ...string) []string {
	b.t.Helper()
	req := b.request(alice, "next", otp.Context{})
	req.Workflow, req.Other = slices.Clone(workflow), aliceEmail
	_, v, err := otp.Start(b.r, req, b.p, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	if !slices.Equal(req.Workflow, workflow) {
		b.t.Errorf("the request's workflow is now %v", req.Workflow)
	}
	if len(v.Attempts) != 1 || v.Attempts[0].Channel != v.Workflow[0] {
		b.t.Errorf("the workflow is %v, the messages are %+v", v.Workflow, v.Attempts)
	}
	return v.Workflow
}

func TestGood_TheChannelThatWorkedComesFirst(t *testing.T) {
	for _, tc := range []struct {
		good     string
		workflow []string
		want     []string
	}{
		{"", threeWays, threeWays},
		{"whatsapp", threeWays, threeWays},
		{"sms", threeWays, []string{"sms", "whatsapp", "call"}},
		{"call", threeWays, []string{"call", "whatsapp", "sms"}},
		{"email", threeWays, threeWays},
		{"sms", []string{"whatsapp"}, []string{"whatsapp"}},
		{"email", []string{"sms", "email"}, []string{"email", "sms"}},
	} {
		b := newBench(t, quiet())
		if tc.good != "" {
			b.r = otp.Recipient{Address: alice, Good: otp.Good{Channel: tc.good, At: noon}}
		}
		if got := b.nextWorkflow(tc.workflow...); !slices.Equal(got, tc.want) {
			t.Errorf("good %q: got %v, want %v", tc.good, got, tc.want)
		}
	}
	b := newBench(t, quiet()) // the person's own message is another way altogether
	b.r = otp.Recipient{Address: alice, Good: otp.Good{Channel: "sms", At: noon}}
	if v := b.startOver(otp.ChannelInbound); !v.Inbound() || len(v.Attempts) != 0 {
		t.Errorf("got %+v", v)
	}
}

func TestGood_IsLearntFromADelivery(t *testing.T) {
	for _, news := range allDeliveries {
		b := newBench(t, quiet())
		v := b.startOver(threeWays...)
		wantKind(t, b.resend(v, "sms"), "")
		b.now = noon.Add(time.Minute)
		b.report(v, 2, news)
		want := otp.Good{}
		if news == otp.Delivered || news == otp.Read {
			want = otp.Good{Channel: "sms", At: b.now}
		}
		if b.r.Good != want {
			t.Errorf("%s: got %+v, want %+v", news, b.r.Good, want)
		}
	}
}

func TestGood_IsLearntOnlyWhereThereWasAChoice(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	b.report(v, 1, otp.Delivered)
	wantKind(t, b.right(v), "")
	inbound := b.startOver(otp.ChannelInbound)
	b.confirm(codeOf(t, inbound))
	if b.r.Good != (otp.Good{}) {
		t.Errorf("got %+v, want none", b.r.Good)
	}
}

// An approval is credited to the channel by which the code most likely came.
func TestGood_IsLearntFromAnApproval(t *testing.T) {
	const failed, sent, delivered, read = otp.Failed, otp.Sent, otp.Delivered, otp.Read
	for _, tc := range []struct {
		name string
		news [3]otp.DeliveryStatus // of the messages over whatsapp, sms and call
		want string
	}{
		{"nothing is known: the last", [3]otp.DeliveryStatus{}, "call"},
		{"the last failed", [3]otp.DeliveryStatus{"", sent, failed}, "sms"},
		{"all but the first failed", [3]otp.DeliveryStatus{"", failed, failed}, "whatsapp"},
		{"the only one that was delivered", [3]otp.DeliveryStatus{delivered, sent, ""}, "whatsapp"},
		{"the last that was delivered", [3]otp.DeliveryStatus{read, delivered, sent}, "sms"},
		{"one that was read", [3]otp.DeliveryStatus{"", read, ""}, "sms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, quiet())
			v := b.startOver(threeWays...)
			wantKind(t, b.resend(v, "sms"), "")
			wantKind(t, b.resend(v, "call"), "")
			for i, news := range tc.news {
				if news != "" {
					b.report(v, i+1, news)
				}
			}
			b.r.Good = otp.Good{}
			b.now = noon.Add(time.Minute)
			wantKind(t, b.wrong(v), problem.WrongCode)
			if b.r.Good != (otp.Good{}) {
				t.Error("a wrong code taught a channel")
			}
			wantKind(t, b.right(v), "")
			if want := (otp.Good{Channel: tc.want, At: b.now}); b.r.Good != want {
				t.Errorf("got %+v, want %+v", b.r.Good, want)
			}
		})
	}
}

func TestGood_NothingIsLearntWhereAllFailed(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startOver("whatsapp", "sms")
	b.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true})
	b.follow(otp.Progress{ID: v.ID, Attempt: 2, Status: otp.Failed, MayRecover: true})
	wantKind(t, b.right(v), "") // it came all the same, nobody knows how
	if b.r.Good != (otp.Good{}) {
		t.Errorf("got %+v, want none", b.r.Good)
	}
}

func TestGood_IsForgottenAfterNinetyDays(t *testing.T) {
	for _, tc := range []struct {
		after time.Duration
		want  string
	}{{90*24*time.Hour - 1, "sms"}, {90 * 24 * time.Hour, "whatsapp"}} {
		b := newBench(t, quiet())
		v := b.startOver(threeWays...)
		wantKind(t, b.resend(v, "sms"), "")
		b.report(v, 2, otp.Delivered)
		if got, want := b.r.KeepUntil(), noon.AddDate(0, 0, 90); !got.Equal(want) {
			t.Errorf("the row is kept until %v, want %v", got, want)
		}
		b.now = noon.Add(tc.after)
		if got := b.nextWorkflow(threeWays...); got[0] != tc.want {
			t.Errorf("after %v: got %v, want %s first", tc.after, got, tc.want)
		}
	}
}

func TestGood_UnderAClockThatStepsBack(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startOver(threeWays...)
	b.now = noon.Add(time.Minute)
	b.report(v, 1, otp.Delivered)
	b.now = noon // by another process
	wantKind(t, b.resend(v, "sms"), "")
	b.report(v, 2, otp.Delivered)
	if want := (otp.Good{Channel: "sms", At: noon.Add(time.Minute)}); b.r.Good != want {
		t.Errorf("got %+v, want %+v: the newer one, and no earlier than the older one", b.r.Good, want)
	}
	b.r.Good.At = noon.AddDate(100, 0, 0) // by a broken clock
	b.now = noon.Add(time.Second)
	if got := b.r.Settle(b.now).Good.At; !got.Equal(b.now.Add(window.MaxSkew)) {
		t.Errorf("is kept as of %v", got)
	}
}

func TestProven_TheAddressThatTheCodeMustHaveComeTo(t *testing.T) {
	const failed, delivered = otp.Failed, otp.Delivered
	for _, tc := range []struct {
		name    string
		address string
		other   string
		over    []string
		news    []otp.DeliveryStatus
		want    string
	}{
		{"one message", alice, "", []string{"sms"}, []otp.DeliveryStatus{""}, alice},
		{"two to one address", alice, "", []string{"whatsapp", "sms"}, []otp.DeliveryStatus{"", delivered}, alice},
		{"mail to a mailbox", aliceEmail, "", []string{"email"}, []otp.DeliveryStatus{""}, aliceEmail},
		{"mail to the second address", alice, aliceEmail, []string{"email"}, []otp.DeliveryStatus{""}, aliceEmail},
		{"one to each address", alice, aliceEmail, []string{"sms", "email"}, []otp.DeliveryStatus{"", ""}, ""},
		{"one to each, though one was read", alice, aliceEmail, []string{"sms", "email"}, []otp.DeliveryStatus{"", otp.Read}, ""},
		{"one to each, and again", alice, aliceEmail, []string{"sms", "email", "sms"}, []otp.DeliveryStatus{"", "", ""}, ""},
		{"the first failed", alice, aliceEmail, []string{"sms", "email"}, []otp.DeliveryStatus{failed, ""}, aliceEmail},
		{"the second failed", alice, aliceEmail, []string{"sms", "email"}, []otp.DeliveryStatus{"", failed}, alice},
		{"it failed and came late", alice, aliceEmail, []string{"sms", "email"}, []otp.DeliveryStatus{delivered, ""}, ""},
		{"all failed", alice, aliceEmail, []string{"sms", "email"}, []otp.DeliveryStatus{failed, failed}, ""},
		{"the person's own message", alice, "", []string{otp.ChannelInbound}, nil, alice},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, quiet())
			req := b.request(tc.address, "login", otp.Context{})
			req.Workflow, req.Other = tc.over[:1], tc.other
			r, v, err := otp.Start(b.r, req, b.p, b.now)
			if b.r = r; err != nil {
				t.Fatal(err)
			}
			for _, channel := range tc.over[1:] {
				wantKind(t, b.resend(v, channel), "")
			}
			for i, news := range tc.news {
				if news != "" {
					b.follow(otp.Progress{ID: v.ID, Attempt: i + 1, Status: news, MayRecover: true})
				}
			}
			if got := b.r.Proven(b.found(v)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAddressFor_EachChannelGoesToItsOwnKind(t *testing.T) {
	for _, tc := range []struct{ address, other, channel, want string }{
		{alice, "", "sms", alice},
		{alice, aliceEmail, "call", alice},
		{alice, aliceEmail, "email", aliceEmail},
		{alice, "", "email", ""},
		{aliceEmail, "", "email", aliceEmail},
		{aliceEmail, "", "sms", ""},
	} {
		if got := (otp.Recipient{Address: tc.address}).AddressFor(otp.Verification{Other: tc.other}, tc.channel); got != tc.want {
			t.Errorf("%+v: got %q", tc, got)
		}
	}
}
