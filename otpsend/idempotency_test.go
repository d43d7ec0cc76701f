package otpsend_test

import (
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/user"
	"twofa/internal/window"
	"twofa/otpsend"
)

func TestAnIdempotencyKeyIsPrintableASCII(t *testing.T) {
	for key, ok := range map[string]bool{
		"a": true, "!~": true, strings.Repeat("k", 64): true, "8e03978e-40d5-43e8-bc93-6894a57f9324": true,
		strings.Repeat("k", 65): false, "a b": false, " a": false, "a\t": false, "é": false, "a\x7f": false, "a\n": false, "a\x00": false,
	} {
		r := rig.New(t)
		_, _, err := start(r, toAlice, key)
		if ok {
			if err != nil {
				t.Errorf("%q: %v", key, err)
			}
			continue
		}
		wantField(t, r.Refused(err, problem.InvalidRequest), "Idempotency-Key: ")
		wantUntouched(r, 0)
		_, _, err = r.Send.Resend(r.Ctx(), "VE0123456789abcdef0123456789abcdef", otpsend.ResendRequest{}, key)
		wantField(t, r.Refused(err, problem.InvalidRequest), "Idempotency-Key: ")
	}
}

// result is an answer, or else the problem, as the client reads it.
type result struct {
	answer  otpsend.Answer
	problem problem.Error
}

func resultOf(a otpsend.Answer, err error) result {
	o := result{answer: a}
	if e, ok := err.(*problem.Error); ok {
		o.problem = *e
		o.problem.Err = nil // for the log alone
		o.problem.RetryAfter = (e.RetryAfter + time.Second - 1).Truncate(time.Second)
	}
	return o
}

// A client that got no answer repeats its request, and gets the first answer.
func TestARepetitionIsAnsweredAsTheFirstTime(t *testing.T) {
	busy := &notify.Failure{Outcome: otp.OutcomeUnavailable, Code: 20429, RetryAfter: 90*time.Second + 300*time.Millisecond}
	type answers = map[channel.Channel]*notify.Failure
	bySMS := otpsend.Request{To: alice, Channel: "sms"}
	for name, tc := range map[string]struct {
		req      otpsend.Request
		answers  answers
		messages int
		kind     problem.Kind
	}{
		"sent":             {toAlice, nil, 1, ""},
		"with many fields": {otpsend.Request{To: alice, Purpose: "pay", Locale: "de", Channels: list{"sms", "call"}, Transaction: otp.Transaction{Amount: "EUR 1"}}, nil, 1, ""},
		"inbound":          {otpsend.Request{To: alice, Channel: "inbound"}, nil, 0, ""},
		"for a user":       {toUser, nil, 1, ""},
		"second e-mail":    {otpsend.Request{User: canary, Channels: list{"email", "sms"}}, nil, 1, ""},
		"fallback":         {toAlice, answers{"whatsapp": landline}, 2, ""},
		"fallback, e-mail": {otpsend.Request{User: canary, Channels: list{"sms", "email"}}, answers{"sms": landline}, 2, ""},
		"invalid address":  {bySMS, answers{"sms": {Outcome: otp.OutcomeInvalidAddress, Next: otp.NextAddress}}, 1, problem.InvalidRequest},
		"undeliverable":    {toAlice, answers{"whatsapp": landline, "sms": landline, "call": landline, "email": landline}, 3, problem.Undeliverable},
		"refused":          {toAlice, answers{"whatsapp": {Outcome: otp.OutcomeRefused, Next: otp.NextNone}}, 1, problem.DestinationRefused},
		"misconfigured":    {bySMS, answers{"sms": {Outcome: otp.OutcomeMisconfigured, Setting: "TWILIO_SMS_FROM"}}, 1, problem.ProviderMisconfigured},
		"unavailable":      {bySMS, answers{"sms": busy}, 1, problem.ProviderUnavailable},
		"unclear": {toAlice, answers{"whatsapp": {Outcome: otp.OutcomeUnavailable, MayHaveSent: true, RetryAfter: 40*time.Second + 300*time.Millisecond}},
			1, problem.ProviderUnavailable},
		"longer than the code works": {bySMS, answers{"sms": {Outcome: otp.OutcomeUnavailable, RetryAfter: time.Hour}}, 1, problem.ProviderUnavailable},
		"a test number":              {toAlice, nil, 0, problem.Undeliverable},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Set(noon.Add(123 * time.Millisecond))
			for c, answer := range tc.answers {
				r.Sender(c).Always(answer)
			}
			if name == "a test number" {
				testNumber(r, otp.EndsUndeliverable)
			}
			a, replayed, err := start(r, tc.req, "key")
			if replayed || r.Sent() != tc.messages {
				t.Fatalf("the first: replayed: %t, %d messages, want %d", replayed, r.Sent(), tc.messages)
			}
			if tc.kind != "" {
				r.Refused(err, tc.kind)
			} else if err != nil {
				t.Fatal(err)
			}
			for _, c := range channel.Sending { // the provider works again
				r.Sender(c).Always(nil)
			}
			first := resultOf(a, err)
			for range 3 {
				r.Advance(5 * time.Minute) // at last, after the code's end
				a, replayed, err = start(r, tc.req, "key")
				if again := resultOf(a, err); !replayed || !reflect.DeepEqual(again, first) {
					t.Errorf("replayed: %t\n%+v, the first time\n%+v", replayed, again, first)
				}
			}
			if r.Sent() != tc.messages {
				t.Errorf("%d messages, want %d", r.Sent(), tc.messages)
			}
		})
	}
}

// Whatever happened to the verification, the answer to the start is the first one.
func TestARepetitionAfterTheVerificationEndedIsAnsweredAlike(t *testing.T) {
	for name, end := range map[string]func(r *rig.Rig, id otp.ID){
		"approved": func(r *rig.Rig, id otp.ID) { r.Approve(rig.ByID(id, r.Code(id))) },
		"canceled": (*rig.Rig).MustCancel,
		"resent": func(r *rig.Rig, id otp.ID) {
			pause(r)
			r.MustResend(id, "next")
		},
		"forgotten": func(r *rig.Rig, _ otp.ID) {
			r.Policy(func(p *otp.Policy) { p.MaxSends, p.ResendAfter = 90, 0 })
			for range 9 {
				r.MustStart(toAlice)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			a, _, err := start(r, toAlice, "key")
			if err != nil {
				t.Fatal(err)
			}
			end(r, a.ID)
			sent := r.Sent()
			again, replayed, err := start(r, toAlice, "key")
			if err != nil || !replayed || !reflect.DeepEqual(again, a) || r.Sent() != sent {
				t.Errorf("replayed: %t, %v\n%+v, the first time\n%+v", replayed, err, again, a)
			}
		})
	}
}

func TestARepeatedResendSendsOnce(t *testing.T) {
	r := newRig(t)
	r.Policy(withoutPause)
	id := r.MustStart(toAlice).ID
	resend := func(c channel.Channel) (otpsend.Answer, bool, error) {
		return r.Send.Resend(r.Ctx(), string(id), otpsend.ResendRequest{Channel: c}, "key")
	}
	first, replayed, err := resend("next")
	if err != nil || replayed || first.Channel != "sms" {
		t.Fatalf("%+v %v, replayed: %t", first, err, replayed)
	}
	again, replayed, err := resend("next")
	if err != nil || !replayed || !reflect.DeepEqual(again, first) || r.Sent() != 2 {
		t.Errorf("%+v %v, replayed: %t, %d messages", again, err, replayed, r.Sent())
	}
	_, _, err = resend("")
	r.Refused(err, problem.IdempotencyConflict)
	id = r.MustStart(otpsend.Request{To: alice, Purpose: "pay"}).ID // the same request for another verification
	_, _, err = resend("next")
	r.Refused(err, problem.IdempotencyConflict)
}

// A client that uses one key for two requests has a defect: the second one is
// refused.
func TestAKeyOfAnotherRequestIsAConflict(t *testing.T) {
	original := otpsend.Request{User: canary, Purpose: "pay", Locale: "de", Transaction: otp.Transaction{Amount: "EUR 1"}, ClientIP: "203.0.113.9"}
	for name, change := range map[string]func(r *otpsend.Request){
		"purpose": func(r *otpsend.Request) { r.Purpose = "login" }, "locale": func(r *otpsend.Request) { r.Locale = "" },
		"amount": func(r *otpsend.Request) { r.Transaction.Amount = "EUR 9" }, "payee": func(r *otpsend.Request) { r.Transaction.Payee = "Acme" },
		"channel": func(r *otpsend.Request) { r.Channel = "sms" }, "channels": func(r *otpsend.Request) { r.Channels = list{"sms"} },
		"client_ip": func(r *otpsend.Request) { r.ClientIP = "" },
		"target":    func(r *otpsend.Request) { r.User, r.To = "", alice },
	} {
		r := newRig(t)
		if _, _, err := start(r, original, "key"); err != nil {
			t.Fatal(err)
		}
		r.Advance(time.Minute)
		req := original
		change(&req)
		_, replayed, err := start(r, req, "key")
		if r.Refused(err, problem.IdempotencyConflict); replayed || r.Sent() != 1 {
			t.Errorf("%s: replayed: %t, %d messages", name, replayed, r.Sent())
		}
		if _, replayed, err := start(r, req, "another"); err != nil || replayed || r.Sent() != 2 {
			t.Errorf("%s, with its own key: %v, replayed: %t", name, err, replayed)
		}
	}
}

// Without a key, or a day later, two equal requests are two starts.
func TestRequestsWithoutAKeyAreNotRepetitions(t *testing.T) {
	r := rig.New(t)
	for _, key := range []string{"", "", "key"} {
		if _, replayed, err := start(r, toAlice, key); err != nil || replayed {
			t.Errorf("%q: %v, replayed: %t", key, err, replayed)
		}
		r.Advance(time.Minute)
	}
	r.Set(noon.Add(2*time.Minute + window.Day - 1))
	if _, replayed, _ := start(r, toAlice, "key"); !replayed {
		t.Error("the key is forgotten a moment before a day is over")
	}
	r.Set(noon.Add(2*time.Minute + window.Day))
	if _, replayed, err := start(r, toAlice, "key"); err != nil || replayed {
		t.Errorf("a day later: %v, replayed: %t", err, replayed)
	}
}

// A request that a limit refused did not begin: the limits decide its repetition
// again.
func TestARequestThatALimitRefusedIsDecidedAgain(t *testing.T) {
	r := rig.New(t)
	r.MustStart(toAlice)
	_, _, err := start(r, toAlice, "key")
	r.Refused(err, problem.ResendTooSoon)
	r.Advance(time.Minute)
	if _, replayed, err := start(r, toAlice, "key"); err != nil || replayed || r.Sent() != 2 {
		t.Errorf("%v, replayed: %t", err, replayed)
	}
}

// The same holds if the limit is the second address's.
func TestAResendThatTheSecondAddressRefusedIsDecidedAgain(t *testing.T) {
	r := newRig(t)
	r.Workflow("sms", "email")
	for range 5 {
		r.MustStart(otpsend.Request{To: mail})
		pause(r)
	}
	id := r.MustStart(toUser).ID
	refuse := func(after time.Duration, kind problem.Kind) *problem.Error {
		t.Helper()
		r.Advance(after)
		_, replayed, err := r.Send.Resend(r.Ctx(), string(id), otpsend.ResendRequest{Channel: "email"}, "key")
		if replayed {
			t.Error("replayed")
		}
		return r.Refused(err, kind)
	}
	if e := refuse(30*time.Second, problem.TooManySends); e.ID != string(id) || e.RetryAfter <= 0 {
		t.Errorf("%+v", e)
	}
	refuse(30*time.Second, problem.TooManySends)
	refuse(9*time.Minute, problem.Expired)
}

// Of equal requests at once, one sends a message.
func TestEqualRequestsAtOnceSendOnce(t *testing.T) {
	r := rig.New(t)
	var first atomic.Int64
	answers := make([]otpsend.Answer, 12)
	rig.AtOnce(rig.Times(len(answers), func(i int) {
		a, replayed, err := start(r, toAlice, "key")
		for problem.Is(err, problem.IdempotencyConflict) { // the first is under way
			a, replayed, err = start(r, toAlice, "key")
		}
		if err != nil {
			t.Error(err)
		}
		if answers[i] = a; !replayed {
			first.Add(1)
		}
	})...)
	for _, a := range answers {
		if !reflect.DeepEqual(a, answers[0]) {
			t.Errorf("answers %+v and %+v", a, answers[0])
		}
	}
	if first.Load() != 1 || r.Sent() != 1 {
		t.Errorf("%d were the first, %d messages", first.Load(), r.Sent())
	}
}

// Spellings of one number, and defaults that are given explicitly, are the same
// request.
func TestAnotherSpellingOfARequestIsTheSameRequest(t *testing.T) {
	paying := otp.Transaction{Amount: "EUR 1", Payee: "Acme"}
	for name, tc := range map[string]struct{ first, again otpsend.Request }{
		"spaces in the number":          {toAlice, otpsend.Request{To: "+1 415 555 0123"}},
		"punctuation in the number":     {toAlice, otpsend.Request{To: "+1 (415) 555-0123"}},
		"an international prefix":       {otpsend.Request{To: "+1.415.555.0123"}, toAlice},
		"capitals in the mail's domain": {otpsend.Request{To: mail}, otpsend.Request{To: strings.Replace(mail, "example.com", "EXAMPLE.com", 1)}},
		"the default purpose":           {toAlice, otpsend.Request{To: alice, Purpose: "login"}},
		"the service's channels":        {toAlice, otpsend.Request{To: alice, Channels: list{"whatsapp", "sms", "call"}}},
		"one channel, as a list":        {otpsend.Request{To: alice, Channel: "sms"}, otpsend.Request{To: alice, Channels: list{"sms"}}},
		"the user's channels":           {otpsend.Request{User: "canary-chooser"}, otpsend.Request{User: "canary-chooser", Channels: list{"sms", "email"}}},
		"the user's language":           {otpsend.Request{User: "canary-chooser"}, otpsend.Request{User: "canary-chooser", Locale: "de"}},
		"a language in capitals":        {otpsend.Request{To: alice, Locale: "pt-BR"}, otpsend.Request{To: alice, Locale: "pt-br"}},
		"an IPv6 address":               {otpsend.Request{To: alice, ClientIP: "2001:db8::1"}, otpsend.Request{To: alice, ClientIP: "2001:0DB8:0::0:1"}},
		"an IPv4 address in IPv6":       {otpsend.Request{To: alice, ClientIP: "203.0.113.9"}, otpsend.Request{To: alice, ClientIP: "::ffff:203.0.113.9"}},
		"everything at once": {otpsend.Request{To: alice, Transaction: paying},
			otpsend.Request{To: " +1-415-555-0123 ", Purpose: "login", Channels: list{"whatsapp", "sms", "call"}, Transaction: paying}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.User(user.User{Name: "canary-chooser", Phone: alice, Email: mail, Locale: "de", Channels: list{"sms", "email"}})
			first, _, err := start(r, tc.first, "key")
			if err != nil {
				t.Fatal(err)
			}
			for _, req := range []otpsend.Request{tc.again, tc.first} {
				a, replayed, err := start(r, req, "key")
				if err != nil || !replayed || !reflect.DeepEqual(a, first) || r.Sent() != 1 {
					t.Errorf("%+v: replayed: %t, %v, %d messages", req, replayed, err, r.Sent())
				}
			}
		})
	}
}

// What differs is another request, however close.
func TestADifferenceThatCountsIsAnotherRequest(t *testing.T) {
	for name, tc := range map[string]struct{ first, again otpsend.Request }{
		"another order of channels": {otpsend.Request{To: alice, Channels: list{"sms", "call"}}, otpsend.Request{To: alice, Channels: list{"call", "sms"}}},
		"a part of the channels":    {toAlice, otpsend.Request{To: alice, Channels: list{"whatsapp", "sms"}}},
		"inbound":                   {toAlice, otpsend.Request{To: alice, Channel: "inbound"}},
		"a name as the number":      {toAlice, toUser},
		"case in the payee":         {otpsend.Request{To: alice, Transaction: otp.Transaction{Payee: "Acme"}}, otpsend.Request{To: alice, Transaction: otp.Transaction{Payee: "ACME"}}},
		"a language":                {toAlice, otpsend.Request{To: alice, Locale: "de"}},
		"another number":            {otpsend.Request{To: alice}, otpsend.Request{To: "+14155550199"}},
	} {
		r := newRig(t)
		if _, _, err := start(r, tc.first, "key"); err != nil {
			t.Fatal(name, err)
		}
		r.Advance(time.Minute)
		_, replayed, err := start(r, tc.again, "key")
		if name == "another number" { // which is another row: a key belongs to an address
			if err != nil || replayed {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if r.Refused(err, problem.IdempotencyConflict); replayed {
			t.Errorf("%s: replayed", name)
		}
	}
}

// The draft of the header has the key in quotation marks. Both forms are one key.
func TestAQuotedIdempotencyKeyIsTheBareOne(t *testing.T) {
	for bare, quoted := range map[string]string{
		"key": `"key"`, "8e03978e-40d5-43e8-bc93-6894a57f9324": `"8e03978e-40d5-43e8-bc93-6894a57f9324"`,
		`a"b`: `"a\"b"`, `a\b`: `"a\\b"`, strings.Repeat("k", 64): `"` + strings.Repeat("k", 64) + `"`,
	} {
		for _, keys := range [][2]string{{bare, quoted}, {quoted, bare}, {quoted, quoted}} {
			r := rig.New(t)
			first, _, err := start(r, toAlice, keys[0])
			if err != nil {
				t.Fatalf("%q: %v", keys[0], err)
			}
			a, replayed, err := start(r, toAlice, keys[1])
			if err != nil || !replayed || !reflect.DeepEqual(a, first) || r.Sent() != 1 {
				t.Errorf("%q after %q: replayed: %t, %v", keys[1], keys[0], replayed, err)
			}
		}
	}
	for _, bad := range []string{`"`, `""`, `"key`, `"key"x`, `"key";a=1`, `"a"b"`, `"a\b"`, `"key\"`, `"a b"`, `"é"`, `"` + strings.Repeat("k", 65) + `"`} {
		r := rig.New(t)
		_, _, err := start(r, toAlice, bad)
		wantField(t, r.Refused(err, problem.InvalidRequest), "Idempotency-Key: ")
		wantUntouched(r, 0)
	}
}

// While the first request is sending, its repetition is told to wait: nobody knows yet
// whether it will succeed.
func TestARepetitionOfARequestThatIsSendingIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		req  otpsend.Request
		fail bool
	}{
		"accepted":         {toAlice, false},
		"refused":          {otpsend.Request{To: alice, Channel: "whatsapp"}, true},
		"after a fallback": {otpsend.Request{To: alice, Channels: list{"sms", "whatsapp"}}, false},
		"for a user":       {otpsend.Request{User: canary, Channel: "whatsapp"}, false},
		"mail and number":  {otpsend.Request{User: canary, Channels: list{"email", "whatsapp"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Sender(channel.SMS).Always(landline)
			r.Sender(channel.Email).Always(undeliverable)
			if tc.fail {
				r.Sender(channel.WhatsApp).Always(undeliverable)
			}
			asked := 0
			for _, c := range channel.Sending {
				r.Sender(c).During(func(notify.Message) {
					asked++
					r.Advance(time.Second)
					_, replayed, err := start(r, tc.req, "key")
					e := r.Refused(err, problem.IdempotencyConflict)
					if replayed || e.RetryAfter <= 0 || e.RetryAfter > otp.MaxRequest || e.ID != "" {
						t.Errorf("message %d: replayed: %t, %+v", asked, replayed, e)
					}
					// Another request with the key is a conflict without an end.
					other := tc.req
					other.Purpose = "pay"
					_, _, err = start(r, other, "key")
					if e := r.Refused(err, problem.IdempotencyConflict); e.RetryAfter != 0 {
						t.Errorf("another request: %+v", e)
					}
				})
			}
			a, _, err := start(r, tc.req, "key")
			first, sent := resultOf(a, err), r.Sent()
			if asked == 0 || (err != nil) != tc.fail {
				t.Fatalf("%d messages, %v", asked, err)
			}
			a, replayed, err := start(r, tc.req, "key")
			if again := resultOf(a, err); !replayed || !reflect.DeepEqual(again, first) || r.Sent() != sent {
				t.Errorf("replayed: %t\n%+v, the first time\n%+v", replayed, again, first)
			}
		})
	}
}

// The same holds for a resend.
func TestARepetitionOfAResendThatIsSendingIsRefused(t *testing.T) {
	r := newRig(t)
	r.Policy(withoutPause)
	id := r.MustStart(toAlice).ID
	resend := func() (otpsend.Answer, bool, error) {
		return r.Send.Resend(r.Ctx(), string(id), otpsend.ResendRequest{}, "key")
	}
	whatsApp(r).During(func(notify.Message) {
		_, _, err := resend()
		if e := r.Refused(err, problem.IdempotencyConflict); e.RetryAfter <= 0 {
			t.Errorf("%+v", e)
		}
	})
	first, _, err := resend()
	if err != nil {
		t.Fatal(err)
	}
	if again, replayed, err := resend(); err != nil || !replayed || !reflect.DeepEqual(again, first) || r.Sent() != 2 {
		t.Errorf("replayed: %t, %v, %+v", replayed, err, again)
	}
}

// A process that was killed, or lost storage, while it was sending blocks its key for
// as long as a request can take, and no longer. Then the stored state is the answer.
func TestAttack17_AKilledRequestNeverWedgesItsKey(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		r := newRig(t)
		r.Table.Break(rig.FaultFrom(2, fault)) // the row is written, the outcome is not
		first, _, err := start(r, toAlice, "key")
		if err != nil {
			t.Fatal(err)
		}
		r.Table.Break(nil)
		if fault == rig.Lost { // the outcome was stored
			if _, replayed, err := start(r, toAlice, "key"); err != nil || !replayed {
				t.Errorf("replayed: %t, %v", replayed, err)
			}
			continue
		}
		for _, wait := range []time.Duration{0, time.Second, otp.MaxRequest - time.Second - time.Millisecond} {
			r.Advance(wait)
			_, _, err := start(r, toAlice, "key")
			if e := r.Refused(err, problem.IdempotencyConflict); e.RetryAfter <= 0 || e.RetryAfter > otp.MaxRequest {
				t.Errorf("%+v", e)
			}
		}
		r.Advance(time.Millisecond)
		a, replayed, err := start(r, toAlice, "key")
		if err != nil || !replayed || !reflect.DeepEqual(a, first) || r.Sent() != 1 {
			t.Errorf("replayed: %t, %v\n%+v, the first time\n%+v", replayed, err, a, first)
		}
		pause(r)
		r.MustResend(a.ID, "")
	}
}
