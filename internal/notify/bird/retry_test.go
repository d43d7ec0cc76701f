package bird

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/gateway"
	"twofa/internal/otp"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/gatewaytest"
	"twofa/internal/testing/notifytest"
)

// Refusals of the tests.
func refuse(status int) birdtest.Reply { return birdtest.Refuse(status, "E09999", "Unknown", "") }
func running() birdtest.Reply          { return birdtest.Refuse(409, "E01004", "RequestInProgress", "") }
func notExecuted() birdtest.Reply {
	return birdtest.Refuse(503, "E01033", "IdempotencyUnavailable", "")
}

// Attack 18. The scripts with Bird's words and answers. The suite has the other ones.
func TestAttack18_Retries(t *testing.T) {
	accept, raw, drop := birdtest.Accept, birdtest.Raw, birdtest.Drop
	failure := func(word, detail string, mayHaveSent bool) *notify.Failure {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Word: word, Unexplained: strings.HasPrefix(detail, "refused with"), Detail: detail, MayHaveSent: mayHaveSent}
	}
	const (
		inUse   = "the try before is still running"
		notDone = "Bird has not executed the request"
	)
	foreign := gatewaytest.Ambiguous("unexpected success 202")
	asExecuted := birdtest.Refuse(500, "E01033", "x", "")
	type script []gatewaytest.Reply
	var scripts []gatewaytest.Script
	for _, tc := range []struct {
		name     string
		replies  script
		calls    int
		accepted int
		want     *notify.Failure
	}{
		{"still running, then accepted", script{running()}, 2, 1, nil},
		{"still running always", script{running(), running(), running()}, 3, 0, failure("E01004", inUse, true)},
		{"lost, then still running, then the answer", script{drop().Accepting(), running()}, 3, 1, nil},
		{"not executed, then accepted", script{notExecuted()}, 2, 1, nil},
		{"not executed always", script{notExecuted(), notExecuted(), notExecuted()}, 3, 0, failure("E01033", notDone, false)},
		{"not executed does not undo that the first may have sent", script{drop().Accepting(), notExecuted(), notExecuted()}, 3, 1, failure("E01033", notDone, true)},
		{"the code of a 503 under another status", script{asExecuted, asExecuted, asExecuted}, 3, 0, gatewaytest.Ambiguous("server error 500")},
		{"another 503", script{refuse(503), refuse(503), refuse(503)}, 3, 0, gatewaytest.Ambiguous("server error 503")},
		{"the key was used for another body", script{birdtest.Refuse(409, "E01005", "IdempotencyKeyReuse", "")}, 1, 0,
			failure("E01005", "the message was sent before with another text", true)},
		{"another conflict", script{refuse(409)}, 1, 0, gatewaytest.Ambiguous("refused with status 409")},
		{"the id of an SMS in a 500", script{raw(500, `{"id":"sms_01krdgeqcxet5s7t44vh8rt9mg"}`)}, 2, 1, nil},

		{"202 that is a page, then the answer", script{raw(202, "<html>").Accepting()}, 2, 1, nil},
		{"202 cut short, then the answer", script{birdtest.Cut()}, 2, 1, nil},
		{"202 without a body", script{raw(202, ""), raw(202, ""), raw(202, "")}, 3, 0, foreign},
		{"202 without an id", script{raw(202, `{"status":"accepted"}`), raw(202, `{"id":""}`), raw(202, `{"id":7}`)}, 3, 0, foreign},
		{"202 of something else", script{raw(202, `{"id":"em_1"}`), raw(202, `{"id":"vrf_1"}`), raw(202, `["sms_1"]`)}, 3, 0, foreign},
		{"202 with more behind it", script{raw(202, `{"id":"sms_1"}{}`)}, 2, 1, nil},
		{"202 too long to read", script{raw(202, `{"x":"`+strings.Repeat("x", 2*gateway.MaxBody)+`","id":"sms_1"}`)}, 2, 1, nil},
	} {
		scripts = append(scripts, gatewaytest.Script{Name: tc.name, Replies: append(tc.replies, accept()), Calls: tc.calls, Accepted: tc.accepted, Want: tc.want})
	}
	messenger().RunScripts(t, scripts)
}

// The id of an SMS does not accept a WhatsApp message.
func TestIDs(t *testing.T) {
	for body, want := range map[string][2]bool{ // of SMS, of WhatsApp
		`{"id":"sms_01krdgeqcxet5s7t44vh8rt9mg"}`:        {true, false},
		`{"id":"wam_01krdgeqcxet5s7t44vh8rt9mg","x":[]}`: {false, true},
		`{"id":"sms_"}`: {}, `{"id":"sms_1 2"}`: {}, `{"id":"SMS_1"}`: {}, `{"id":"sms_` + strings.Repeat("1", 65) + `"}`: {}, `{`: {}, ``: {}, `null`: {},
	} {
		if sms, whatsApp := isAccepted([]byte(body), channel.SMS), isAccepted([]byte(body), channel.WhatsApp); sms != want[0] || whatsApp != want[1] {
			t.Errorf("%s: %t, %t", body, sms, whatsApp)
		}
	}
}

// How long Send takes also depends on the code, and on Bird's words.
func TestTime(t *testing.T) {
	hang, accept := birdtest.Hang, birdtest.Accept
	type script = []gatewaytest.Reply
	const first, second = gateway.FirstPause, 2 * gateway.FirstPause // the longest pauses; the shortest are half as long
	messenger().RunTimed(t, []gatewaytest.Timed{
		{Name: "no try begins after the code has expired", Replies: script{hang(), accept()}, Calls: 1,
			ValidFor: 5 * time.Second, Least: 5 * time.Second, Most: 5 * time.Second, Ended: true},
		{Name: "a try begins before", Replies: script{hang(), accept()}, Calls: 2,
			ValidFor: 5*time.Second + first, Least: 5*time.Second + first/2, Most: 5*time.Second + first, OK: true},
		{Name: "back-off between Bird's words", Replies: script{running(), notExecuted(), accept()}, Calls: 3,
			Least: first/2 + second/2, Most: first + second, OK: true},
		{Name: "not executed, with Retry-After", Replies: script{notExecuted().With("Retry-After", "3"), accept()}, Calls: 2,
			Least: 3 * time.Second, Most: 3 * time.Second, OK: true},
	})
}

// The line of a repetition has Bird's word.
func TestRepetitionsAreLogged(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig, p *notifytest.Pipes) {
		r.Next(refuse(429).With("Retry-After", "2"), running().With("Retry-After", "1"), birdtest.Accept())
		r.Send(t, channel.WhatsApp, message())
		lines := strings.Split(r.Log.String(), "\n")
		want := []string{
			`level=WARN msg="bird: trying again" channel=whatsapp try=1 reason=unavailable provider_error=0 detail="too many requests" pause_ms=2000`,
			`level=WARN msg="bird: trying again" channel=whatsapp try=2 reason=unavailable provider_error=0 provider_word=E01004 detail="the try before is still running" pause_ms=1000`,
		}
		if len(lines) != 3 || !strings.HasSuffix(lines[0], want[0]) || !strings.HasSuffix(lines[1], want[1]) {
			t.Errorf("logged\n%s", r.Log)
		}
	})
}
