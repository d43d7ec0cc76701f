package otp_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twofa/internal/channel"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
)

// routes are two providers of texts, three of WhatsApp, and one of calls.
var routes = channel.Routes{
	channel.SMS: {"plivo", "twilio", "bird"}, channel.WhatsApp: {"twilio", "plivo", "bird"}, channel.Call: {"twilio"},
}

// routed returns a rig whose policy has the routes, and a verification over the workflow.
func routed(t rapid.TB, workflow ...channel.Channel) (*rig, otp.Verification) {
	p := otp.DefaultPolicy()
	p.Routes, p.MaxSends, p.MaxSendsPerDay = routes, 100, 100
	r := newRig(t, p)
	return r, r.startOver(workflow...)
}

// taken are the routes of the messages as channel/provider, oldest first.
func taken(v otp.Verification) (list []string) {
	for _, a := range v.Attempts {
		list = append(list, string(a.Channel)+"/"+a.Provider)
	}
	return list
}

// A failure that is the provider's is followed by the next provider of the channel, one of the
// address by the next channel, and one of the account by any other provider.
func TestFollow_Routes(t *testing.T) {
	t.Parallel()
	type failure struct {
		provider bool // the reason is the provider's
		next     otp.Next
	}
	ofProvider, ofAddress, ofAccount := failure{true, otp.NextChannel}, failure{false, otp.NextChannel}, failure{true, otp.NextAddress}
	for name, tc := range map[string]struct {
		workflow []channel.Channel
		failures []failure
		want     []string
	}{
		"an outage":                {[]channel.Channel{"sms", "whatsapp"}, []failure{ofProvider}, []string{"sms/plivo", "sms/twilio"}},
		"two outages":              {[]channel.Channel{"sms", "whatsapp"}, []failure{ofProvider, ofProvider, ofProvider}, []string{"sms/plivo", "sms/twilio", "sms/bird", "whatsapp/twilio"}},
		"not on WhatsApp":          {[]channel.Channel{"whatsapp", "sms"}, []failure{ofAddress}, []string{"whatsapp/twilio", "sms/plivo"}},
		"an outage, and then not":  {[]channel.Channel{"whatsapp", "sms"}, []failure{ofProvider, ofAddress}, []string{"whatsapp/twilio", "whatsapp/plivo", "sms/plivo"}},
		"no account":               {[]channel.Channel{"whatsapp", "call", "sms"}, []failure{ofAccount}, []string{"whatsapp/twilio", "whatsapp/plivo"}},
		"no such number":           {[]channel.Channel{"sms", "whatsapp"}, []failure{{false, otp.NextAddress}}, []string{"sms/plivo"}},
		"a landline":               {[]channel.Channel{"sms", "whatsapp", "call"}, []failure{{false, otp.NextCall}}, []string{"sms/plivo", "call/twilio"}},
		"fraud":                    {[]channel.Channel{"sms", "whatsapp"}, []failure{{false, otp.NextNone}}, []string{"sms/plivo"}},
		"opted out, then another":  {[]channel.Channel{"sms", "whatsapp"}, []failure{ofAddress, ofProvider, ofProvider, ofProvider}, []string{"sms/plivo", "whatsapp/twilio", "whatsapp/plivo", "whatsapp/bird"}},
		"one channel, every route": {[]channel.Channel{"sms"}, []failure{ofProvider, ofProvider, ofProvider}, []string{"sms/plivo", "sms/twilio", "sms/bird"}},
	} {
		r, v := routed(t, tc.workflow...)
		for i, f := range tc.failures {
			g := otp.Progress{ID: v.ID, Attempt: i + 1, Status: otp.Failed, MayRecover: f.provider, Next: f.next}
			v, _ = r.follow(g)
		}
		if got := taken(v); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// A provider that fails for everybody comes after all others.
func TestRoutes_Down(t *testing.T) {
	t.Parallel()
	start := func(down ...string) otp.Verification {
		r, _ := routed(t, "sms")
		r.now = r.now.Add(time.Hour)
		req := r.request("+14155550123", "login", otp.Transaction{})
		req.Workflow, req.Down = []channel.Channel{"sms", "call"}, down
		v, err := r.apply(req)
		if err != nil {
			t.Fatal(err)
		}
		if len(down) == 1 || len(down) == 2 {
			v, _ = r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true, Down: down})
		}
		return v
	}
	for name, tc := range map[string]struct {
		down []string
		want []string
	}{
		"none":   {nil, []string{"sms/plivo"}},
		"first":  {[]string{"plivo"}, []string{"sms/twilio", "sms/bird"}},
		"second": {[]string{"twilio"}, []string{"sms/plivo", "sms/bird"}},
		"others": {[]string{"twilio", "bird"}, []string{"sms/plivo", "sms/twilio"}},
		"all":    {[]string{"plivo", "twilio", "bird"}, []string{"sms/plivo"}},
	} {
		if got := taken(start(tc.down...)); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// Attack 37. News of one provider about the message of another one has no effect.
func TestAttack37_NewsOfAnotherProvider(t *testing.T) {
	t.Parallel()
	r, v := routed(t, "sms", "whatsapp")
	for _, provider := range []string{"twilio", "bird", "x"} {
		g := otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true, Provider: provider}
		next, _, begun, err := otp.Follow(r.kept, g, r.policy, r.now)
		if !problem.Is(err, problem.NotFound) || begun || len(next.Verifications[0].Attempts) != 1 {
			t.Errorf("%s: begun %t, %v", provider, begun, err)
		}
	}
	if _, begun := r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true, Provider: "plivo"}); !begun {
		t.Error("the provider's own news has no effect")
	}
	// A message of before there were routes is Twilio's.
	r, v = begin(t, otp.DefaultPolicy(), "sms")
	if _, _, _, err := otp.Follow(r.kept, otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Sent, Provider: "plivo"}, r.policy, r.now); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
	if _, _, _, err := otp.Follow(r.kept, otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Sent, Provider: channel.Twilio}, r.policy, r.now); err != nil {
		t.Error(err)
	}
}

// The route that reached the person comes first for the same client, as long as the operator has
// it.
func TestRoutes_TheLastGoodOneComesFirst(t *testing.T) {
	t.Parallel()
	r, v := routed(t, "sms")
	v, _ = r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true})
	r.follow(otp.Progress{ID: v.ID, Attempt: 2, Status: otp.Delivered})
	next := func() []string {
		r.now = r.now.Add(time.Hour)
		return taken(r.startOver("sms"))
	}
	if got := next(); !slices.Equal(got, []string{"sms/twilio"}) {
		t.Errorf("%v", got)
	}
	// A workflow of one channel chooses a provider, and no channel.
	if got := r.kept.PreferredBy(""); got != "" {
		t.Errorf("after an SMS alone: %s", got)
	}
	r.policy.Routes = channel.Routes{"sms": {"plivo", "bird"}}
	if got := next(); !slices.Equal(got, []string{"sms/plivo"}) {
		t.Errorf("without the route: %v", got)
	}
}

// A resend of the same channel goes the same way, or the next one if the provider failed.
func TestResend_Routes(t *testing.T) {
	t.Parallel()
	r, v := routed(t, "sms", "whatsapp")
	r.policy.ResendAfter = 0
	want := func(what string, err error, routes ...string) {
		t.Helper()
		if got := taken(r.found(v)); err != nil || !slices.Equal(got, routes) {
			t.Fatalf("%s: %v, %v", what, got, err)
		}
	}
	want("nothing was heard", r.resend(v, ""), "sms/plivo", "sms/twilio")
	r.report(v, 2, otp.Sent)
	want("it is under way", r.resend(v, ""), "sms/plivo", "sms/twilio", "sms/twilio")
	r.report(v, 3, otp.Delivered)
	want("it was delivered", r.resend(v, "sms"), "sms/plivo", "sms/twilio", "sms/twilio", "sms/twilio")
	r.follow(otp.Progress{ID: v.ID, Attempt: 4, Status: otp.Failed, MayRecover: true})
	want("the provider has failed", r.resend(v, "sms"), "sms/plivo", "sms/twilio", "sms/twilio", "sms/twilio", "sms/bird")
	want("the next channel", r.resend(v, channel.Next), "sms/plivo", "sms/twilio", "sms/twilio", "sms/twilio", "sms/bird", "whatsapp/twilio")
	r.report(v, 6, otp.Queued)
	want("the way that has worked", r.resend(v, "sms"), "sms/plivo", "sms/twilio", "sms/twilio", "sms/twilio", "sms/bird", "whatsapp/twilio", "sms/twilio")
}

// A resend that a provider refuses goes over the next provider of its channel, although an earlier
// message may arrive; it goes over no other channel.
func TestFollow_ARefusedResend(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		asked  channel.Channel
		unsent bool
		want   []string
	}{
		"refused":              {"", true, []string{"sms/plivo", "sms/twilio", "sms/bird"}},
		"lost later":           {"", false, []string{"sms/plivo", "sms/twilio"}},
		"outside the workflow": {"call", true, []string{"sms/plivo", "call/twilio", "call/plivo"}},
	} {
		p := otp.DefaultPolicy()
		p.Routes, p.ResendAfter = channel.Routes{channel.SMS: {"plivo", "twilio", "bird"}, channel.Call: {"twilio", "plivo"}}, 0
		r := newRig(t, p)
		v := r.startOver("sms", "whatsapp")
		wantKind(t, r.resend(v, tc.asked), "")
		v, _ = r.follow(otp.Progress{ID: v.ID, Attempt: 2, Status: otp.Failed, MayRecover: true, Unsent: tc.unsent})
		if got := taken(v); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// A provider that has refused the account is not tried again in the verification.
func TestFollow_ARefusedAccountIsRemembered(t *testing.T) {
	t.Parallel()
	r, v := routed(t, "whatsapp", "call", "sms")
	account := otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true, Next: otp.NextAddress}
	v, _ = r.follow(account)
	for n := range 10 {
		var begun bool
		if v, begun = r.follow(otp.Progress{ID: v.ID, Attempt: n + 2, Status: otp.Failed, MayRecover: true}); !begun {
			break
		}
	}
	if got := taken(v); !slices.Equal(got, []string{"whatsapp/twilio", "whatsapp/plivo", "whatsapp/bird", "sms/plivo", "sms/bird"}) {
		t.Errorf("%v", got)
	}
}

// A message of before the operator named the providers went over Twilio.
func TestFollow_TwilioHadNoName(t *testing.T) {
	t.Parallel()
	r, v := begin(t, quiet(), "sms")
	r.policy.Routes = channel.Routes{channel.SMS: {"twilio", "plivo"}}
	v, _ = r.follow(otp.Progress{ID: v.ID, Attempt: 1, Status: otp.Failed, MayRecover: true})
	if got := taken(v); !slices.Equal(got, []string{"sms/", "sms/plivo"}) {
		t.Errorf("%v", got)
	}
}

// checkBegun fails the test if the last message of v goes over a channel that a failure of the
// address has closed, or over a provider that is down although another route is left.
func checkBegun(t *rapid.T, v otp.Verification, g otp.Progress, workflow []channel.Channel) {
	last := v.Attempts[len(v.Attempts)-1]
	open := func(c channel.Channel) bool {
		return !slices.ContainsFunc(v.Attempts, func(a otp.Attempt) bool { return a.Channel == c && a.Status == otp.Failed && !a.MayRecover })
	}
	refused := func(provider string) bool {
		return slices.ContainsFunc(v.Attempts, func(a otp.Attempt) bool { return a.Refused && a.Provider == provider })
	}
	if !open(last.Channel) || refused(last.Provider) {
		t.Fatalf("%v: %s is closed, or %s has refused the account", taken(v), last.Channel, last.Provider)
	}
	if !slices.Contains(g.Down, last.Provider) || g.Next == otp.NextAddress {
		return
	}
	for _, c := range workflow {
		for _, route := range routes.Of(c) {
			used := slices.Contains(taken(v), string(route.Channel)+"/"+route.Provider)
			if open(c) && !used && !refused(route.Provider) && !slices.Contains(g.Down, route.Provider) {
				t.Fatalf("%v was begun, %q are down, and %v is left", taken(v), g.Down, route)
			}
		}
	}
}

// Over random workflows, failures and reports: no route is begun twice by itself, none of a channel
// that a failure of the address has closed, none over a provider that is down while another is
// left, and there is one code.
func TestRoutes_Property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workflow := rapid.SampledFrom([][]channel.Channel{{"sms"}, {"whatsapp", "sms"}, {"sms", "call", "whatsapp"}, {"call", "sms"}}).Draw(t, "workflow")
		r, v := routed(t, workflow...)
		code := codeOf(t, v)
		down := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"twilio", "plivo", "bird"}), 0, 2, rapid.ID[string]).Draw(t, "down")
		for range rapid.IntRange(1, 30).Draw(t, "news") {
			before := len(r.found(v).Attempts)
			g := otp.Progress{
				ID: v.ID, Attempt: rapid.IntRange(1, before).Draw(t, "attempt"), Down: down,
				Status:     rapid.SampledFrom([]otp.DeliveryStatus{otp.Sent, otp.Failed, otp.Failed, otp.Failed, otp.Delivered}).Draw(t, "status"),
				MayRecover: rapid.Bool().Draw(t, "provider's"), Next: rapid.SampledFrom([]otp.Next{otp.NextChannel, otp.NextCall, otp.NextAddress, otp.NextNone}).Draw(t, "next"),
				Provider: rapid.SampledFrom([]string{"", "twilio", "plivo", "bird"}).Draw(t, "reported by"),
			}
			own := g.Provider == "" || g.Provider == r.found(v).Attempts[g.Attempt-1].Provider
			next, found, begun, err := otp.Follow(r.kept, g, r.policy, r.now)
			if own == problem.Is(err, problem.NotFound) {
				t.Fatalf("%+v of %v: %v", g, taken(r.found(v)), err)
			}
			if err != nil {
				continue
			}
			r.kept = next
			row := mustEncode(t, r.kept)
			if kept, err := recipient.Decode(row); err != nil || !same(kept, r.kept) || row[0] != 7 {
				t.Fatalf("version %d: kept %+v as %+v, %v", row[0], r.kept, kept, err)
			}
			list := taken(found)
			for i, route := range list {
				if slices.Contains(list[:i], route) {
					t.Fatalf("%v is taken twice: %v", route, list)
				}
				name, provider, _ := strings.Cut(route, "/")
				if by := (channel.Route{Channel: channel.Channel(name), Provider: provider}); !routes.Has(by) || !slices.Contains(workflow, by.Channel) {
					t.Fatalf("%v is no route of %v", route, workflow)
				}
			}
			if begun && len(list) != before+1 {
				t.Fatalf("%v follows %d messages", list, before)
			}
			if begun {
				checkBegun(t, found, g, workflow)
			}
			if !begun && len(list) != before || codeOf(t, found) != code {
				t.Fatalf("%v", list)
			}
		}
	})
}
