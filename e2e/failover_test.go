package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twofa/internal/breaker"
	"twofa/internal/channel"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/functionshost"
	"twofa/internal/testing/plivotest"
	"twofa/internal/testing/twiliotest"
)

// nobody is an address on which nothing listens.
const nobody = "http://127.0.0.1:1"

// routed is a service under the stand-in for the host that sends an SMS over Twilio, then Plivo, then
// Bird.
type routed struct {
	*rig
	*client
	host  *functionshost.Host
	plivo *plivotest.Server
	bird  *birdtest.Server
}

func newRouted(t *testing.T, extra ...string) *routed {
	t.Helper()
	r := &routed{rig: newRig(t), plivo: plivotest.Start(plivotest.Account{}), bird: birdtest.Start(birdtest.Account{})}
	t.Cleanup(r.plivo.Close)
	t.Cleanup(r.bird.Close)
	r.host, r.client = r.rig.host(nil, append([]string{
		"TWOFA_CHANNELS=sms", "TWOFA_ROUTES=sms=twilio,plivo,bird; call=plivo", noPause, "TWOFA_PUBLIC_URL=" + publicURL,
		"TWILIO_SMS_FROM=" + twiliotest.SMSFrom,
		"PLIVO_AUTH_ID=" + plivotest.AuthID, "PLIVO_AUTH_TOKEN=" + plivotest.AuthToken, "PLIVO_BASE_URL=" + r.plivo.URL,
		"PLIVO_SMS_FROM=" + plivotest.SMSFrom, "PLIVO_CALL_FROM=" + plivotest.CallFrom,
		"BIRD_API_KEY=" + birdtest.APIKey, "BIRD_WEBHOOK_SECRET=" + birdtest.WebhookSecret, "BIRD_BASE_URL=" + r.bird.URL, "BIRD_SMS_FROM=" + birdtest.SMSFrom,
	}, extra...)...)
	return r
}

// overPlivo returns what Plivo has accepted for a number.
func (r *routed) overPlivo(number string) (sent []plivotest.Message) {
	for _, m := range r.plivo.Accepted() {
		if "+"+m.To == number {
			sent = append(sent, m)
		}
	}
	return sent
}

// overBird returns what Bird has accepted for a number.
func (r *routed) overBird(number string) (sent []birdtest.Message) {
	for _, m := range r.bird.Accepted() {
		if m.To == number {
			sent = append(sent, m)
		}
	}
	return sent
}

// askedTwilio returns the codes of all requests for an SMS to a number that have reached Twilio.
func (r *routed) askedTwilio(number string) (codes []string) {
	for _, call := range r.twilio.Calls() {
		if call.Form.Get("To") == number {
			codes = append(codes, firstWord(call.Form.Get("Body")))
		}
	}
	return codes
}

// lines counts the lines of the log that have the text.
func (r *routed) lines(text string) (n int) {
	for _, e := range r.host.Logs() {
		if strings.Contains(e.Text, text) {
			n++
		}
	}
	return n
}

// providers writes the providers of the messages of a verification as one line.
func providers(status reply) string {
	delivery, _ := status.fields["delivery"].(map[string]any)
	list, _ := delivery["attempts"].([]any)
	var names []string
	for _, one := range list {
		a, _ := one.(map[string]any)
		names = append(names, fmt.Sprint(a["provider"]))
	}
	return strings.Join(names, " ")
}

const nowDown, worksAgain = "a provider fails for everybody", "the provider works again"

// The main job: the first provider does not answer at all, and the code arrives over the second
// one, once. After five messages it is asked first.
func TestFailover_TheFirstProviderRefusesConnections(t *testing.T) {
	t.Parallel()
	r := newRouted(t, "TWILIO_BASE_URL="+nobody)
	var took []time.Duration
	for n := range 6 {
		number, begun := newNumber(), time.Now()
		started := want(t, r.post("/api/otpsend", fields{"to": number}), "201")
		took = append(took, time.Since(begun).Round(10*time.Millisecond))
		sent := r.overPlivo(number)
		if len(sent) != 1 {
			t.Fatalf("%d messages over Plivo", len(sent))
		}
		wanted := "twilio plivo"
		if n == 5 {
			wanted = "plivo"
		}
		if got := providers(r.status(started.text("id"))); got != wanted {
			t.Errorf("start %d: %s, want %s", n+1, got, wanted)
		}
		want(t, r.check(fields{"id": started.text("id"), "code": firstWord(sent[0].Text)}), "200")
	}
	if n := r.lines(nowDown); n != 1 {
		t.Errorf("the log says %d times that the provider is down", n)
	}
	awaitLine(t, r.host, `"level":"ERROR"`, nowDown, `"provider":"twilio"`)
	t.Logf("starts took %v; the breaker is open for the last one", took)
}

// Wrong credentials, or an account without credit, are every message's fault: the second provider
// comes first after one refusal.
func TestFailover_TheFirstProviderRefusesTheAccount(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	for n := range 2 {
		number := newNumber()
		r.twilio.For(number, twiliotest.Refuse(401, 20003))
		want(t, r.post("/api/otpsend", fields{"to": number}), "201")
		if calls, sent := len(r.askedTwilio(number)), len(r.overPlivo(number)); calls != 1-n || sent != 1 {
			t.Errorf("start %d: %d calls of Twilio, %d messages over Plivo", n+1, calls, sent)
		}
	}
}

// Two providers that refuse everything leave the third one. A report of Bird's moves on, too.
func TestFailover_TwoProvidersRefuse(t *testing.T) {
	t.Parallel()
	r := newRouted(t, "TWILIO_BASE_URL="+nobody)
	number := newNumber()
	r.plivo.For(number, plivotest.Refuse(401))
	started := want(t, r.post("/api/otpsend", fields{"to": number}), "201")
	sent := r.overBird(number)
	if got := providers(r.status(started.text("id"))); got != "twilio plivo bird" || len(sent) != 1 || len(r.overPlivo(number)) != 0 {
		t.Fatalf("%s, %d messages over Bird", got, len(sent))
	}
	provider := r.without("X-Functions-Key")
	report := func(m birdtest.Message, event, word string) {
		t.Helper()
		res, err := r.bird.Callback(t.Context(), m, provider.url, event, word)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != 204 {
			t.Errorf("the report %s was answered %d", event, res.StatusCode)
		}
	}
	foreign := sent[0]
	foreign.Metadata = map[string]string{"order": "1"} // another app's message in the same workspace
	report(foreign, "failed", "unreachable")
	report(sent[0], "delivered", "")
	if got := attempts(r.status(started.text("id"))); got != "sms failed 20003, sms failed, sms delivered" && got != "sms failed, sms failed, sms delivered" {
		t.Errorf("%s", got)
	}
	want(t, r.check(fields{"id": started.text("id"), "code": firstWord(sent[0].Text)}), "200")
}

// Bird recognizes a repetition, so a message whose answer is lost is sent once.
func TestFailover_BirdLosesItsAnswer(t *testing.T) {
	t.Parallel()
	r := newRouted(t, "TWOFA_ROUTES=sms=bird,plivo", "TWILIO_ACCOUNT_SID=")
	number := newNumber()
	r.bird.Next(birdtest.Drop().Accepting())
	started := want(t, r.post("/api/otpsend", fields{"to": number}), "201")
	if got := providers(r.status(started.text("id"))); got != "bird" || len(r.overBird(number)) != 1 || r.bird.CallCount() != 2 || len(r.overPlivo(number)) != 0 {
		t.Errorf("%s, %d messages, %d calls", got, len(r.overBird(number)), r.bird.CallCount())
	}
}

// A server error may have sent the message. So there is one more try at the same provider, and
// none at the other one, until the breaker is open; then the other one is asked at once. After a
// minute one message tries the first one, and if it works, all go there again.
func TestFailover_TheFirstProviderFailsAndRecovers(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	failed, lost, begun := 0, 0, time.Now()
	for {
		number := newNumber()
		r.twilio.For(number, twiliotest.Raw(500, ""))
		answer := r.post("/api/otpsend", fields{"to": number})
		calls, sent := r.askedTwilio(number), r.overPlivo(number)
		if answer.String() == "201" {
			if len(calls) != 0 || len(sent) != 1 {
				t.Fatalf("after %d failures: %d tries at Twilio, %d messages over Plivo", failed, len(calls), len(sent))
			}
			break
		}
		want(t, answer, "502 provider_unavailable")
		failed++
		if len(calls) != 2 || calls[0] != calls[1] || len(sent) != 0 {
			t.Fatalf("failure %d: the codes %q at Twilio, %d messages over Plivo", failed, calls, len(sent))
		}
		if lost++; failed > 10 {
			t.Fatal("the breaker does not open")
		}
		if failed == 1 { // whoever asks again gets the code all the same
			r.twilio.For(number, twiliotest.Accept())
			want(t, r.post("/api/otpsend/"+answer.text("id"), fields{}), "200")
			lost--
		}
	}
	opened := time.Now()
	t.Logf("%d starts failed in %v, %d of them for good, before the breaker was open", failed, opened.Sub(begun).Round(10*time.Millisecond), lost)

	// Within the pause, nobody asks Twilio.
	number := newNumber()
	want(t, r.post("/api/otpsend", fields{"to": number}), "201")
	if len(r.askedTwilio(number)) != 0 {
		t.Error("Twilio was asked within the pause")
	}
	time.Sleep(time.Until(opened.Add(breaker.Pause)))
	for range 3 {
		number := newNumber()
		want(t, r.post("/api/otpsend", fields{"to": number}), "201")
		if len(r.sent(number)) != 1 || len(r.overPlivo(number)) != 0 {
			t.Errorf("after the recovery: %d messages over Twilio, %d over Plivo", len(r.sent(number)), len(r.overPlivo(number)))
		}
	}
	if r.lines(nowDown) != 1 || r.lines(worksAgain) != 1 {
		t.Errorf("the log says %d times that the provider is down, %d times that it works", r.lines(nowDown), r.lines(worksAgain))
	}
}

// A message that the first provider has accepted, and reports as lost, is followed by one over the
// second provider, with the same code. Attack 37: nobody else's report is believed.
func TestAttack37_ReportsOfTheOtherProvider(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	number := newNumber()
	started := want(t, r.post("/api/otpsend", fields{"to": number}), "201")
	id, first := started.text("id"), r.sent(number)[0]

	// Plivo signs a report on Twilio's message.
	forged := plivotest.Message{
		Channel: channel.SMS, UUID: plivotest.PowerpackUUID, To: number[1:], From: plivotest.SMSFrom[1:],
		URL: publicURL + "/hooks/plivo/status?id=" + id + "&attempt=1",
	}
	provider := r.without("X-Functions-Key")
	report := func(m plivotest.Message, status string, code int) {
		t.Helper()
		res, err := r.plivo.Callback(t.Context(), m, publicURL, provider.url, status, code)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != 204 {
			t.Fatalf("the report was answered %d", res.StatusCode)
		}
	}
	for _, status := range []string{"delivered", "undelivered", "failed"} {
		report(forged, status, 50)
	}
	if got := attempts(r.status(id)); got != "sms queued" || len(r.overPlivo(number)) != 0 {
		t.Errorf("after Plivo's reports on Twilio's message: %s", got)
	}
	// Bird signs one.
	birds := birdtest.Message{Channel: channel.SMS, ID: "sms_1", To: number, Metadata: map[string]string{"twofa_verification": id, "twofa_attempt": "1"}}
	for _, event := range []string{"delivered", "failed"} {
		res, err := r.bird.Callback(t.Context(), birds, provider.url, event, "")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if got := attempts(r.status(id)); got != "sms queued" || len(r.overPlivo(number)) != 0 {
		t.Errorf("after Bird's reports on Twilio's message: %s", got)
	}
	r.reportDelivery(provider, first, "failed", 30003+27500) // a number without a rule: the message never left Twilio
	sent := r.overPlivo(number)
	if got := attempts(r.status(id)); got != "sms failed 57503, sms queued" || len(sent) != 1 || firstWord(sent[0].Text) != firstWord(first.Body) {
		t.Fatalf("after the failure: %s, %+v", got, sent)
	}
	// Twilio signs a report on Plivo's message.
	stolen := first
	stolen.StatusCallback = strings.Replace(first.StatusCallback, "attempt=1", "attempt=2", 1)
	r.reportDelivery(provider, stolen, "delivered", 0)
	if got := attempts(r.status(id)); got != "sms failed 57503, sms queued" {
		t.Errorf("after Twilio's report on Plivo's message: %s", got)
	}
	report(sent[0], "delivered", 0)
	if got := attempts(r.status(id)); got != "sms failed 57503, sms delivered" {
		t.Errorf("after Plivo's own report: %s", got)
	}
	want(t, r.check(fields{"id": id, "code": firstWord(sent[0].Text)}), "200")
	awaitLine(t, r.host, `"operation":"hook.status"`, `"from_provider":"plivo"`, `"delivery":"delivered"`)

	// What worked is remembered with its provider.
	again := want(t, r.post("/api/otpsend", fields{"to": number, "purpose": "again"}), "201")
	if got := providers(r.status(again.text("id"))); got != "plivo" {
		t.Errorf("the next time: %s", got)
	}
}

// A call over Plivo says the code twice, and its URL has no code. Attack 11: nobody else is told,
// and a question is answered three times at most.
func TestAttack11_WhatACallSays(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	number := newNumber()
	started := want(t, r.post("/api/otpsend", fields{"to": number, "channel": "call"}), "201")
	call := r.overPlivo(number)[0]
	provider := r.without("X-Functions-Key")
	ask := func(m plivotest.Message, extra ...string) (int, string) {
		t.Helper()
		status, document, err := r.plivo.Answer(t.Context(), m, publicURL, provider.url, extra...)
		if err != nil {
			t.Fatal(err)
		}
		return status, document
	}
	refused := func(what string, status, wanted int, document string) {
		t.Helper()
		if status != wanted || strings.Contains(document, "Speak") {
			t.Errorf("%s: %d %s", what, status, document)
		}
	}
	other := call
	other.To = newNumber()[1:]
	status, document := ask(other)
	refused("another number", status, 404, document)
	other = call
	other.AnswerURL = strings.Replace(call.AnswerURL, "attempt=1", "attempt=2", 1)
	status, document = ask(other)
	refused("a call to come", status, 404, document)
	unsigned := provider.do("POST", strings.TrimPrefix(call.AnswerURL, publicURL), "application/x-www-form-urlencoded", r.plivo.StatusForm(call, "in-progress", 0).Encode())
	refused("without a signature", unsigned.status, 403, unsigned.body)
	status, document = ask(call, "CallStatus", "ringing")
	refused("before it was answered", status, 400, document)

	var code string
	for range 3 {
		status, document := ask(call)
		text, _ := plivotest.Spoken(document)
		var digits []string
		for _, word := range strings.Fields(text) {
			if len(word) == 1 && word >= "0" && word <= "9" {
				digits = append(digits, word)
			}
		}
		if status != 200 || len(digits) != 12 || !slices.Equal(digits[:6], digits[6:]) {
			t.Fatalf("%d %s", status, document)
		}
		code = strings.Join(digits[:6], "")
	}
	status, document = ask(call)
	refused("the fourth time", status, 403, document)
	other = call
	other.UUID = plivotest.PowerpackUUID
	status, document = ask(other)
	refused("another call", status, 403, document)
	if strings.Contains(call.AnswerURL+call.URL, code) {
		t.Error("a URL has the code")
	}
	want(t, r.check(fields{"id": started.text("id"), "code": code}), "200")
	status, document = ask(call)
	refused("after the approval", status, 404, document)
}

// A call that ended before Plivo asked what it says has said nothing: the code follows over another
// channel.
func TestFailover_ACallThatSaidNothing(t *testing.T) {
	t.Parallel()
	r := newRouted(t)
	number := newNumber()
	started := want(t, r.post("/api/otpsend", fields{"to": number, "channels": []string{"call", "sms"}}), "201")
	res, err := r.plivo.Callback(t.Context(), r.overPlivo(number)[0], publicURL, r.url, "completed", 0)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got := attempts(r.status(started.text("id"))); got != "call failed, sms queued" {
		t.Errorf("%s", got)
	}
}
