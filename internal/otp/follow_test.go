package otp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/fixture"
)

// rank is the order in which one status replaces another.
var rank = map[otp.DeliveryStatus]int{otp.Queued: 0, otp.Sent: 1, otp.Failed: 2, otp.Delivered: 3, otp.Read: 4}

func TestAttack11_EachStatusAfterEachStatus(t *testing.T) {
	for _, known := range allDeliveries {
		for _, news := range allDeliveries {
			t.Run(fmt.Sprintf("%s and then %s", known, news), func(t *testing.T) {
				r, v := begin(t, quiet(), "whatsapp", "sms")
				if known != otp.Queued {
					r.report(v, 1, known)
				}
				before := deepCopy(r.kept)
				r.now = fixture.Noon.Add(time.Second)
				got, begun := r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: news})
				if rank[news] <= rank[known] {
					if begun || !same(r.kept, before) {
						t.Errorf("an earlier status had an effect:\n%+v\n%+v", before, r.kept)
					}
					return
				}
				if got.Attempts[0].Status != news || !alike(got, r.found(v)) {
					t.Errorf("got %+v, kept %+v, want %s", got.Attempts[0], r.found(v).Attempts[0], news)
				}
				if begun != (news == otp.Failed) {
					t.Errorf("began another message: %v", begun)
				}
			})
		}
	}
}

// permutations returns all orders of the statuses.
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

func TestAttack11_RepeatedReportsInAnyOrderHaveOneEffect(t *testing.T) {
	orders := permutations(allDeliveries)
	if len(orders) != 120 {
		t.Fatalf("%d orders", len(orders))
	}
	for _, order := range orders {
		r, v := begin(t, quiet(), "whatsapp", "sms", "call")
		begun, known := 0, otp.Queued
		for _, news := range order {
			for range 10 {
				got, more := r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: news})
				if more {
					begun++
				}
				if rank[got.Attempts[0].Status] < rank[known] {
					t.Fatalf("%v: went from %s back to %s", order, known, got.Attempts[0].Status)
				}
				known = got.Attempts[0].Status
			}
		}
		want := 0 // a message that has arrived cannot fail
		if slices.Index(order, otp.Failed) < min(slices.Index(order, otp.Delivered), slices.Index(order, otp.Read)) {
			want = 1
		}
		if v = r.found(v); begun != want || len(v.Attempts) != 1+want || len(r.kept.Tally(server).Sends) != 1+want || known != otp.Read {
			t.Errorf("%v: began %d messages, want %d; %+v", order, begun, want, v.Attempts)
		}
	}
}

// After any reports of any messages, each message has the latest status that was
// reported, no message is begun while another one may arrive, and no channel is
// begun twice.
func TestAttack11_AnySequenceOfReports(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, v := begin(t, quiet(), anyWorkflow.Draw(t, "workflow")...)
		told := map[int]otp.DeliveryStatus{}
		for range rapid.IntRange(1, 40).Draw(t, "reports") {
			n := rapid.IntRange(1, len(v.Attempts)).Draw(t, "attempt")
			news := rapid.SampledFrom(allDeliveries).Draw(t, "news")
			before := len(v.Attempts)
			var begun bool
			v, begun = r.follow(otp.Progress{ID: v.ID, Attempt: n, Status: news, Next: anyNext.Draw(t, "next")})
			if told[n] == "" || rank[news] > rank[told[n]] {
				told[n] = news
			}
			for i, a := range v.Attempts[:before] {
				if want := told[i+1]; want != "" && a.Status != want || want == "" && a.Status != otp.Queued {
					t.Fatalf("message %d is %s, the latest status was %q", i+1, a.Status, want)
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
	r, v := begin(t, quiet(), "whatsapp", "sms")
	v, _ = r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, Error: 63018, MayRecover: true})
	want := otp.Attempt{Channel: "whatsapp", At: fixture.Noon, Status: otp.Failed, Error: 63018, MayRecover: true}
	if v.Attempts[0] != want {
		t.Errorf("got %+v, want %+v", v.Attempts[0], want)
	}
	r.now = fixture.Noon.Add(time.Minute)
	v = r.report(v, 1, otp.Delivered)
	if want = (otp.Attempt{Channel: "whatsapp", At: fixture.Noon, Status: otp.Delivered}); v.Attempts[0] != want {
		t.Errorf("got %+v, want %+v", v.Attempts[0], want)
	}
	if len(v.Attempts) != 2 || v.Attempts[1].Status != otp.Queued {
		t.Errorf("the message that was begun meanwhile is %+v", v.Attempts)
	}
	v, begun := r.fail(v, 2, otp.NextChannel) // the code has arrived over WhatsApp
	if begun || v.Status != otp.Pending {
		t.Errorf("began %v, is %s", begun, v.Status)
	}
	wantKind(t, r.right(v), "")
}

func TestFollow_ALateDeliveryDoesNotChangeAnEndedVerification(t *testing.T) {
	r, v := begin(t, quiet())
	r.fail(v, 1, otp.NextChannel)
	v = r.report(v, 1, otp.Delivered)
	if v.Status != otp.Undeliverable || v.Attempts[0].Status != otp.Delivered {
		t.Errorf("got %s, %+v", v.Status, v.Attempts)
	}
	wantKind(t, r.right(v), problem.Undeliverable)
}

func TestFollow_AnOlderFailureBeginsNothingWhileANewerMessageIsOnItsWay(t *testing.T) {
	for _, newer := range []otp.DeliveryStatus{otp.Queued, otp.Sent, otp.Delivered, otp.Read} {
		t.Run(string(newer), func(t *testing.T) {
			r, v := begin(t, quiet(), "whatsapp", "sms", "call")
			wantKind(t, r.resend(v, channel.Next), "")
			if newer != otp.Queued {
				r.report(v, 2, newer)
			}
			v, begun := r.fail(v, 1, otp.NextChannel)
			if begun || len(r.kept.Tally(server).Sends) != 2 || v.Status != otp.Pending {
				t.Errorf("began %v, %d sends, %s", begun, len(r.kept.Tally(server).Sends), v.Status)
			}
			v, begun = r.fail(v, 2, otp.NextChannel)
			if arrived := rank[newer] >= rank[otp.Delivered]; begun == arrived {
				t.Errorf("after the failure of both: began %v", begun)
			}
			if want := []channel.Channel{"whatsapp", "sms", "call"}[:len(v.Attempts)]; !slices.Equal(channels(v), want) {
				t.Errorf("sent over %v", channels(v))
			}
		})
	}
}

func TestFollow_StoresTheStatusAfterTheEndAndBeginsNothing(t *testing.T) {
	for _, status := range allStatuses[1:] {
		t.Run(string(status), func(t *testing.T) {
			r, v := inStatus(t, status)
			// As if a channel were left and no status were reported.
			r.kept.Verifications[0].Workflow = []channel.Channel{"whatsapp", "sms"}
			r.kept.Verifications[0].Attempts[0] = otp.Attempt{Channel: "whatsapp", At: fixture.Noon, Status: otp.Queued}
			v = copyOf(r.found(v))
			got, begun := r.fail(v, 1, otp.NextChannel)
			want := copyOf(v)
			want.Attempts[0].Status, want.Attempts[0].Error = otp.Failed, 63024
			if begun || len(r.kept.Tally(server).Sends) != 1 || !alike(got, want) || !alike(r.found(v), want) {
				t.Errorf("began %v\ngot  %+v\nwant %+v", begun, got, want)
			}
		})
	}
}

func TestFollow_UnknownMessagesAreNotFound(t *testing.T) {
	r, v := begin(t, quiet())
	inbound := r.startWith(func(req *otp.StartRequest) {
		req.Purpose, req.Workflow = "pay", []channel.Channel{channel.Inbound}
	})
	before := deepCopy(r.kept)
	for _, g := range []otp.Progress{
		{ID: newID(fixture.Alice, 999), Attempt: 1},
		{ID: newID(fixture.Bob, 1), Attempt: 1},
		{ID: v.ID, Attempt: 0},
		{ID: v.ID, Attempt: -1},
		{ID: v.ID, Attempt: 2},
		{ID: inbound.ID, Attempt: 1},
		{},
	} {
		for g.Status = range rank {
			r, _, begun, err := otp.Follow(r.kept, g, r.policy, r.now)
			wantKind(t, err, problem.NotFound)
			if begun || !same(r, before) {
				t.Errorf("%+v had an effect", g)
			}
		}
	}
}

func TestFollow_AnUnknownStatusHasNoEffect(t *testing.T) {
	r, v := begin(t, quiet())
	for _, status := range []otp.DeliveryStatus{"", "canceled", "FAILED", "delivered "} {
		r.unchanged(string(status), func() { r.report(v, 1, status) })
	}
}
