package otp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/problem"
)

// later is the order in which news replaces news.
var later = map[otp.DeliveryStatus]int{otp.Queued: 0, otp.Sent: 1, otp.Failed: 2, otp.Delivered: 3, otp.Read: 4}

func TestAttack11_EachNewsAgainstEachThatIsKnown(t *testing.T) {
	for _, known := range allDeliveries {
		for _, news := range allDeliveries {
			t.Run(fmt.Sprintf("%s and then %s", known, news), func(t *testing.T) {
				b := newBench(t, quiet())
				v := b.startOver("whatsapp", "sms")
				if known != otp.Queued {
					b.report(v, 1, known)
				}
				before := deepCopy(b.r)
				b.now = noon.Add(time.Second)
				got, begun := b.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: news})
				if later[news] <= later[known] {
					if begun || !same(b.r, before) {
						t.Errorf("old news had an effect:\n%+v\n%+v", before, b.r)
					}
					return
				}
				if got.Attempts[0].Status != news || !alike(got, b.found(v)) {
					t.Errorf("is %+v, kept as %+v, want %s", got.Attempts[0], b.found(v).Attempts[0], news)
				}
				if begun != (news == otp.Failed) {
					t.Errorf("began another message: %v", begun)
				}
			})
		}
	}
}

// permutations is every order of the news.
func permutations(news []otp.DeliveryStatus) (all [][]otp.DeliveryStatus) {
	if len(news) == 0 {
		return [][]otp.DeliveryStatus{nil}
	}
	for i, first := range news {
		for _, rest := range permutations(slices.Delete(slices.Clone(news), i, i+1)) {
			all = append(all, append([]otp.DeliveryStatus{first}, rest...))
		}
	}
	return all
}

func TestAttack11_ReportsInAnyOrderAndTenTimesEachHaveOneEffect(t *testing.T) {
	orders := permutations(allDeliveries)
	if len(orders) != 120 {
		t.Fatalf("%d orders", len(orders))
	}
	for _, order := range orders {
		b := newBench(t, quiet())
		v := b.startOver("whatsapp", "sms", "call")
		begun, known := 0, otp.Queued
		for _, news := range order {
			for range 10 {
				got, more := b.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: news})
				if more {
					begun++
				}
				if later[got.Attempts[0].Status] < later[known] {
					t.Fatalf("%v: went from %s back to %s", order, known, got.Attempts[0].Status)
				}
				known = got.Attempts[0].Status
			}
		}
		want := 0 // a failure of what has arrived is none
		if slices.Index(order, otp.Failed) < min(slices.Index(order, otp.Delivered), slices.Index(order, otp.Read)) {
			want = 1
		}
		if v = b.found(v); begun != want || len(v.Attempts) != 1+want || len(b.r.Sends) != 1+want || known != otp.Read {
			t.Errorf("%v: began %d messages, want %d; %+v", order, begun, want, v.Attempts)
		}
	}
}

// Whatever is told of whichever message and however often, each message is as
// far as the furthest news of it, no message is begun while another one may
// arrive, and no channel is begun twice.
func TestAttack11_AnySequenceOfReports(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(t, quiet())
		v := b.startOver(anyWorkflow.Draw(t, "workflow")...)
		told := map[int]otp.DeliveryStatus{}
		for range rapid.IntRange(1, 40).Draw(t, "reports") {
			n := rapid.IntRange(1, len(v.Attempts)).Draw(t, "attempt")
			news := rapid.SampledFrom(allDeliveries).Draw(t, "news")
			before := len(v.Attempts)
			var begun bool
			v, begun = b.follow(otp.Progress{ID: v.ID, Attempt: n, Status: news, Next: anyNext.Draw(t, "next")})
			if told[n] == "" || later[news] > later[told[n]] {
				told[n] = news
			}
			for i, a := range v.Attempts[:before] {
				if want := told[i+1]; want != "" && a.Status != want || want == "" && a.Status != otp.Queued {
					t.Fatalf("message %d is %s, the furthest news was %q", i+1, a.Status, want)
				}
				if begun && a.Status != otp.Failed {
					t.Fatalf("began another message while one is %s", a.Status)
				}
			}
			if begun != (len(v.Attempts) == before+1) {
				t.Fatalf("began: %v, messages: %d and then %d", begun, before, len(v.Attempts))
			}
		}
		tried := channels(v)
		slices.Sort(tried)
		if len(slices.Compact(tried)) != len(v.Attempts) {
			t.Fatalf("a channel was begun twice: %v", channels(v))
		}
	})
}

func TestFollow_AFailureIsKeptAndALateDeliveryClearsIt(t *testing.T) {
	b := newBench(t, quiet())
	v := b.startOver("whatsapp", "sms")
	v, _ = b.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, Error: 63018, MayRecover: true})
	want := otp.Attempt{Channel: "whatsapp", At: noon, Status: otp.Failed, Error: 63018, MayRecover: true}
	if v.Attempts[0] != want {
		t.Errorf("got %+v, want %+v", v.Attempts[0], want)
	}
	b.now = noon.Add(time.Minute)
	v = b.report(v, 1, otp.Delivered)
	if want = (otp.Attempt{Channel: "whatsapp", At: noon, Status: otp.Delivered}); v.Attempts[0] != want {
		t.Errorf("got %+v, want %+v", v.Attempts[0], want)
	}
	if len(v.Attempts) != 2 || v.Attempts[1].Status != otp.Queued {
		t.Errorf("the message that was begun meanwhile is %+v", v.Attempts)
	}
	v, begun := b.fail(v, 2, otp.NextChannel) // the code has arrived all the same
	if begun || v.Status != otp.Pending {
		t.Errorf("began %v, is %s", begun, v.Status)
	}
	wantKind(t, b.right(v), "")
}

func TestFollow_ALateDeliveryDoesNotReviveWhatHasEnded(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	b.fail(v, 1, otp.NextChannel)
	v = b.report(v, 1, otp.Delivered)
	if v.Status != otp.Undeliverable || v.Attempts[0].Status != otp.Delivered {
		t.Errorf("got %s, %+v", v.Status, v.Attempts)
	}
	wantKind(t, b.right(v), problem.Undeliverable)
}

func TestFollow_AnOlderFailureBeginsNothingWhileANewerMessageIsOnItsWay(t *testing.T) {
	for _, newer := range []otp.DeliveryStatus{otp.Queued, otp.Sent, otp.Delivered, otp.Read} {
		t.Run(string(newer), func(t *testing.T) {
			b := newBench(t, quiet())
			v := b.startOver("whatsapp", "sms", "call")
			wantKind(t, b.resend(v, otp.ChannelNext), "")
			if newer != otp.Queued {
				b.report(v, 2, newer)
			}
			v, begun := b.fail(v, 1, otp.NextChannel)
			if begun || len(b.r.Sends) != 2 || v.Status != otp.Pending {
				t.Errorf("began %v, %d sends, %s", begun, len(b.r.Sends), v.Status)
			}
			v, begun = b.fail(v, 2, otp.NextChannel)
			if arrived := later[newer] >= later[otp.Delivered]; begun == arrived {
				t.Errorf("after the failure of both: began %v", begun)
			}
			if want := []string{"whatsapp", "sms", "call"}[:len(v.Attempts)]; !slices.Equal(channels(v), want) {
				t.Errorf("sent over %v", channels(v))
			}
		})
	}
}

func TestFollow_NotesNewsOfWhatHasEndedAndBeginsNothing(t *testing.T) {
	for _, status := range allStatuses[1:] {
		t.Run(string(status), func(t *testing.T) {
			b, v := inStatus(t, status)
			// As if a channel were left, and nothing known of the message.
			b.r.Verifications[0].Workflow = []string{"whatsapp", "sms"}
			b.r.Verifications[0].Attempts[0] = otp.Attempt{Channel: "whatsapp", At: noon, Status: otp.Queued}
			v = copyOf(b.found(v))
			got, begun := b.fail(v, 1, otp.NextChannel)
			want := copyOf(v)
			want.Attempts[0].Status, want.Attempts[0].Error = otp.Failed, 63024
			if begun || len(b.r.Sends) != 1 || !alike(got, want) || !alike(b.found(v), want) {
				t.Errorf("began %v\ngot  %+v\nwant %+v", begun, got, want)
			}
		})
	}
}

func TestFollow_UnknownMessagesAreNotFound(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	inbound := b.startWith(func(req *otp.StartRequest) {
		req.Purpose, req.Workflow = "pay", []string{otp.ChannelInbound}
	})
	before := deepCopy(b.r)
	for _, g := range []otp.Progress{
		{ID: newID(alice, 999), Attempt: 1},
		{ID: newID(bob, 1), Attempt: 1},
		{ID: v.ID, Attempt: 0},
		{ID: v.ID, Attempt: -1},
		{ID: v.ID, Attempt: 2},
		{ID: inbound.ID, Attempt: 1},
		{},
	} {
		for g.Status = range later {
			r, _, begun, err := otp.Follow(b.r, g, b.p, b.now)
			wantKind(t, err, problem.NotFound)
			if begun || !same(r, before) {
				t.Errorf("%+v had an effect", g)
			}
		}
	}
}

func TestFollow_AnUnknownStatusHasNoEffect(t *testing.T) {
	b := newBench(t, quiet())
	v := b.start("login")
	before := deepCopy(b.r)
	for _, status := range []otp.DeliveryStatus{"", "canceled", "FAILED", "delivered "} {
		if b.report(v, 1, status); !same(b.r, before) {
			t.Errorf("%q had an effect", status)
		}
	}
}
