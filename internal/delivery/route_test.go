package delivery_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/breaker"
	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
)

// Failures of the provider's account.
var (
	noAccount = &notify.Failure{Outcome: otp.OutcomeMisconfigured, Code: 20003, Setting: "TWILIO_AUTH_TOKEN", Next: otp.NextAddress}
	unknown   = &notify.Failure{Outcome: otp.OutcomeUnavailable, Unexplained: true}
	ownFault  = &notify.Failure{Outcome: otp.OutcomeUnavailable, Unasked: true}
	optedOut  = &notify.Failure{Outcome: otp.OutcomeUndeliverable, Code: 200}
)

// newRouted returns a rig with several providers for each channel, and what each of them answers.
func newRouted(t *testing.T) (*rig.Rig, map[string]error) {
	t.Helper()
	r := newRig(t, channel.WhatsApp, channel.SMS, channel.Call)
	answer := make(map[string]error)
	r.Policy(func(p *otp.Policy) {
		p.Routes = channel.Routes{channel.WhatsApp: {"twilio", "plivo", "bird"}, channel.SMS: {"plivo", "twilio", "bird"}, channel.Call: {"twilio", "plivo"}}
	})
	for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS, channel.Call} {
		r.Sender(c).AnswerBy(func(m notify.Message) error { return answer[m.Provider] })
	}
	return r, answer
}

// routesOf are the routes of a verification's messages as channel/provider.
func routesOf(v otp.Verification) string {
	var list []string
	for _, a := range v.Attempts {
		list = append(list, string(a.Channel)+"/"+a.Provider)
	}
	return strings.Join(list, " ")
}

func wantRoutes(r *rig.Rig, id otp.ID, want string) {
	r.TB.Helper()
	_, v := r.Verification(id)
	if got := routesOf(v); got != want {
		r.TB.Errorf("messages: %s, want %s", got, want)
	}
}

// A provider is passed over after five of its failures, or one refusal of the account, for all
// channels. Failures of addresses, of a single channel's setting, of our own and of a request that
// was given up say nothing about it. The log says it once.
func TestProviders_WhichFailuresCount(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		failure error
		times   int
		down    bool
	}{
		"four time-outs":             {unclear, 4, false},
		"five time-outs":             {unclear, 5, true},
		"five times busy":            {busy, 5, true},
		"five unknown errors":        {errors.New("what?"), 5, true},
		"one refusal of the account": {noAccount, 1, true},
		"opted out":                  {optedOut, 20, false},
		"no such numbers":            {noSuchNumber, 20, false},
		"filtered":                   {filtered, 20, false},
		"fraud":                      {fraud, 20, false},
		"no template":                {noTemplate, 20, false},
		"our own fault":              {ownFault, 20, false},
		"refused, who knows why":     {unknown, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, answer := newRouted(t)
			answer["twilio"] = tc.failure
			for i := range tc.times {
				_, _ = r.Start(otpsend.Request{To: fmt.Sprintf("+1415200%04d", i), Channel: channel.WhatsApp})
			}
			answer["twilio"] = nil
			if got := slices.Contains(r.Delivery.Down([]channel.Channel{channel.Call}), "twilio"); got != tc.down {
				t.Errorf("Twilio is passed over: %t, want %t", got, tc.down)
			}
			want := "call/twilio"
			if tc.down {
				want = "call/plivo"
			}
			wantRoutes(r, r.MustStart(otpsend.Request{To: bob, Channel: channel.Call}).ID, want)
			if got := r.Logged("level=ERROR", "a provider fails for everybody", "provider=twilio"); len(got) > 1 || (len(got) == 1) != tc.down {
				t.Errorf("logged %q", got)
			}
		})
	}
}

// Only a message that goes over a provider tries it. A provider that works again gets its messages
// back, although most messages do not go over it.
func TestProviders_WhatTriesOne(t *testing.T) {
	t.Parallel()
	r, answer := newRouted(t)
	r.Delivery.Breaker.Note("plivo", breaker.Refuses, r.Now())
	r.Advance(breaker.Pause)
	serial := 0
	start := func(c channel.Channel) otp.ID {
		serial++
		return r.MustStart(otpsend.Request{To: fmt.Sprintf("+1415200%04d", serial), Channel: c}).ID
	}
	r.Policy(func(p *otp.Policy) { p.MaxSends = 1 })
	r.MustStart(otpsend.Request{To: bob, Channel: channel.WhatsApp})
	for range 5 { // over another provider, and one that nothing is sent for
		wantRoutes(r, start(channel.WhatsApp), "whatsapp/twilio")
		r.RefuseStart(otpsend.Request{To: bob, Channel: channel.SMS}, problem.TooManySends)
	}
	answer["plivo"] = busy
	wantRoutes(r, start(channel.SMS), "sms/plivo sms/twilio")
	wantRoutes(r, start(channel.SMS), "sms/twilio")
	r.Advance(breaker.Pause)
	answer["plivo"] = nil
	wantRoutes(r, start(channel.SMS), "sms/plivo")
	wantRoutes(r, start(channel.SMS), "sms/plivo")
	if got := r.Logged("the provider works again", "provider=plivo"); len(got) != 1 {
		t.Errorf("logged %q", got)
	}
}

// Reported failures count, too, but only the first time that they are reported.
func TestProviders_ReportedFailuresCountOnce(t *testing.T) {
	t.Parallel()
	r, _ := newRouted(t)
	for i := range 5 {
		id := r.MustStart(otpsend.Request{To: fmt.Sprintf("+1415200%04d", i), Channel: channel.Call}).ID
		if down := r.Delivery.Down([]channel.Channel{channel.Call}); len(down) > 0 {
			t.Fatalf("after %d failures %q are down", i, down)
		}
		for range 10 {
			r.MustReport(id, 1, otp.Failed, busy)
		}
	}
	if down := r.Delivery.Down([]channel.Channel{channel.Call}); !slices.Equal(down, []string{"twilio"}) {
		t.Errorf("%q are down", down)
	}
}

// A warning goes over the next provider if the first one refuses it, but not if the address does.
func TestAlert_Providers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		twilio, plivo error
		want          string
	}{
		"accepted":        {nil, nil, "whatsapp/twilio"},
		"busy":            {busy, nil, "whatsapp/twilio whatsapp/plivo"},
		"two refuse":      {busy, noAccount, "whatsapp/twilio whatsapp/plivo whatsapp/bird"},
		"may be sent":     {unclear, nil, "whatsapp/twilio"},
		"not on WhatsApp": {notOnWhatsApp, optedOut, "whatsapp/twilio sms/plivo"},
	} {
		r, answer := newRouted(t)
		id := r.MustStart(toAlice).ID
		var got []string
		for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS} {
			r.Sender(c).AnswerBy(func(m notify.Message) error {
				if m.Alert {
					got = append(got, string(c)+"/"+m.Provider)
				}
				return answer[m.Provider]
			})
		}
		answer["twilio"], answer["plivo"] = tc.twilio, tc.plivo
		for range 5 {
			_, _ = r.Check(rig.ByID(id, "000000"))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v, want %s", name, got, tc.want)
		}
	}
}

// An alert avoids a provider that fails for everybody.
func TestAlert_AvoidsAProviderThatIsDown(t *testing.T) {
	t.Parallel()
	r, _ := newRouted(t)
	id := r.MustStart(toAlice).ID
	r.Delivery.Breaker.Note("twilio", breaker.Refuses, r.Now())
	for range 5 {
		_, _ = r.Check(rig.ByID(id, "000000"))
	}
	if m := r.Sender(channel.WhatsApp).Last(); !m.Alert || m.Provider != "plivo" {
		t.Errorf("the alert is %+v", m)
	}
}

// Only messages over a provider that passes on replies say that a NO reaches the service.
func TestMessages_CanBeDeniedOverSomeRoutes(t *testing.T) {
	t.Parallel()
	r, answer := newRouted(t)
	r.Delivery.Deniable = map[channel.Route]bool{{Channel: channel.WhatsApp, Provider: "twilio"}: true}
	answer["twilio"] = busy
	r.MustStart(toAlice)
	sent := r.Sender(channel.WhatsApp).Sent()
	if len(sent) != 2 || !sent[0].CanDeny || sent[1].CanDeny {
		t.Errorf("sent %+v", sent)
	}
}

// What a call says is the message that was sent, for its provider only; the number may be reported in
// another spelling.
func TestAnswer(t *testing.T) {
	t.Parallel()
	r, _ := newRouted(t)
	a := r.MustStart(otpsend.Request{To: "+525512345678", Channel: channel.Call, Locale: "es-MX", Purpose: "pay", Transaction: otp.Transaction{Amount: "EUR 5", Payee: "Acme"}})
	r.Secret("a spelling", "+5215512345678")
	sent := r.Sender(channel.Call).Last()
	q := notify.Question{Verification: a.ID, Attempt: 1, Provider: "twilio", To: "+5215512345678", CallID: "C1"}
	got, err := r.Delivery.Answer(r.Ctx(), q)
	if err != nil || got != sent {
		t.Errorf("got %+v, %v; sent %+v", got, err, sent)
	}
	for name, change := range map[string]func(*notify.Question){
		"another provider": func(q *notify.Question) { q.Provider = "plivo" },
		"another number":   func(q *notify.Question) { q.To = bob },
	} {
		q := q
		change(&q)
		if got, err := r.Delivery.Answer(r.Ctx(), q); !problem.Is(err, problem.NotFound) || got != (notify.Message{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	r.Advance(otp.AskedWithin + time.Second)
	r.Refused(func() error { _, err := r.Delivery.Answer(r.Ctx(), q); return err }(), problem.Forbidden)
}

// Attack 18. Over random workflows, refusals, time-outs and late reports of three providers: each
// attempt is given to a provider once, no route is taken twice, what may have been sent is followed by nothing
// until it is reported as lost, all messages have one code, and wrong codes have one budget.
func TestAttack18_Routes_Property(t *testing.T) {
	r, _ := newRouted(t)
	serial := 0
	rapid.Check(t, func(t *rapid.T) {
		serial++
		r.Delivery.Breaker = new(breaker.Breaker)
		r.Advance(time.Hour)
		w := &world{t: t, number: fmt.Sprintf("+1415%07d", 2_000_000+serial), taken: make(map[string]int)}
		for _, c := range []channel.Channel{channel.WhatsApp, channel.SMS, channel.Call} {
			r.Sender(c).AnswerBy(func(m notify.Message) error { return w.send(c, m) })
		}
		workflow := rapid.SampledFrom([][]channel.Channel{{"sms"}, {"whatsapp", "sms"}, {"sms", "call", "whatsapp"}, {"call", "sms"}}).Draw(t, "workflow")
		for range rapid.IntRange(0, 4).Draw(t, "earlier failures") {
			r.Delivery.Breaker.Note(anyProvider.Draw(t, "of"), breaker.Refuses, r.Now())
		}
		started, err := r.Start(otpsend.Request{To: w.number, Channels: workflow})
		e, _ := errors.AsType[*problem.Error](err)
		id := started.ID
		if err != nil {
			if e == nil {
				t.Fatal(err)
			}
			id = otp.ID(e.ID)
		}
		for range rapid.IntRange(0, 20).Draw(t, "reports") {
			w.report(r, id)
		}
		_, v := r.Verification(id)
		if len(w.codes) > 1 || len(v.Attempts) != w.sent {
			t.Fatalf("%d attempts, %d messages, the codes %q", len(v.Attempts), w.sent, w.codes)
		}
		if v.Status == otp.Pending {
			for range 5 {
				_, _ = r.Check(rig.ByID(id, "000000"))
			}
			if _, err := r.Check(rig.ByID(id, w.codes[0])); !problem.Is(err, problem.TooManyChecks) {
				t.Fatalf("the right code after five wrong ones: %v", err)
			}
		}
	})
}

var anyProvider = rapid.SampledFrom([]string{"twilio", "plivo", "bird"})

// world is what happens to the messages of one verification.
type world struct {
	t      *rapid.T
	number string
	taken  map[string]int // routes
	codes  []string       // without repetitions
	sent   int
	open   bool // the last message may arrive, as far as the service knows
}

// send is what a provider does with a message.
func (w *world) send(c channel.Channel, m notify.Message) error {
	if m.Alert {
		return nil
	}
	route := string(c) + "/" + m.Provider
	w.sent++
	switch w.taken[route]++; {
	case m.To != w.number || m.Attempt != w.sent:
		w.t.Fatalf("attempt %d is the message %d: %+v", w.sent, m.Attempt, m)
	case w.taken[route] > 1:
		w.t.Fatalf("%s was taken twice", route)
	case w.open:
		w.t.Fatalf("a message over %s follows one that may arrive", route)
	}
	if !slices.Contains(w.codes, m.Code) {
		w.codes = append(w.codes, m.Code)
	}
	answer := rapid.SampledFrom([]error{nil, nil, unclear, busy, busy, noAccount, optedOut, notOnWhatsApp, noTemplate, landline, noSuchNumber, fraud}).Draw(w.t, "answer over "+route)
	f, refused := answer.(*notify.Failure)
	w.open = !refused || f.MayHaveSent
	return answer
}

// report reports something about a message, also about another provider's.
func (w *world) report(r *rig.Rig, id otp.ID) {
	_, v := r.Verification(id)
	n := rapid.IntRange(1, len(v.Attempts)).Draw(w.t, "attempt")
	a := v.Attempts[n-1]
	report := notify.Report{
		Verification: id, Attempt: n, Provider: anyProvider.Draw(w.t, "reported by"),
		Status: rapid.SampledFrom([]otp.DeliveryStatus{otp.Sent, otp.Failed, otp.Failed, otp.Delivered, otp.Read}).Draw(w.t, "status"),
	}
	if report.Status == otp.Failed {
		report.Failure = rapid.SampledFrom([]*notify.Failure{busy, optedOut, landline, noAccount}).Draw(w.t, "reason")
	}
	own := report.Provider == a.Provider
	// A first report that the last message is lost may be followed by another one.
	if lost := own && report.Status == otp.Failed && (a.Status == otp.Queued || a.Status == otp.Sent); lost && n == len(v.Attempts) {
		w.open = false
	}
	before := w.sent
	err := r.Delivery.Report(r.Ctx(), report)
	_, after := r.Verification(id)
	switch {
	case !own && (!problem.Is(err, problem.NotFound) || w.sent != before || after.Attempts[n-1] != a):
		w.t.Fatalf("a report of %s on a message over %s: %v", report.Provider, a.Provider, err)
	case own && err != nil:
		w.t.Fatal(err)
	}
}
