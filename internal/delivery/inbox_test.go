package delivery_test

import (
	"context"
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/texts"
	"twofa/otpsend"
)

// receive is what the person is answered.
func (b *bench) receive(m notify.Inbound) string {
	b.t.Helper()
	b.Secret("a person's text", m.Text)
	reply, err := b.Inbox.Receive(b.Ctx(), m)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply
}

// ask starts a verification by the person's own message.
func (b *bench) ask(req otpsend.Request) (id otp.ID, text string) {
	b.t.Helper()
	req.Channel = otp.ChannelInbound
	a, err := b.start(req)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Code(a.ID) // which no line may tell
	return a.ID, a.Inbound.Text
}

func replies(t *testing.T, locale string) (denied, confirmed string) {
	t.Helper()
	c, err := texts.Load(texts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := notify.Message{Brand: "Acme", Locale: locale}
	return c.DeniedReply(m), c.ConfirmedReply(m)
}

// A person who says no ends what is pending, in their own language or English.
func TestWhatAPersonAnswersToACode(t *testing.T) {
	denied, _ := replies(t, "de")
	for name, tc := range map[string]struct {
		m      notify.Inbound
		status otp.Status
	}{
		"no":                        {notify.Inbound{Text: "NO"}, otp.Denied},
		"no, in their language":     {notify.Inbound{Text: "Nein!"}, otp.Denied},
		"another language":          {notify.Inbound{Text: "いいえ"}, otp.Pending},
		"the button":                {notify.Inbound{Text: "Das war ich nicht", Payload: "deny"}, otp.Denied},
		"the button, in capitals":   {notify.Inbound{Payload: "DENY"}, otp.Denied},
		"another button":            {notify.Inbound{Text: "NO", Payload: "help"}, otp.Pending},
		"a text that only has a no": {notify.Inbound{Text: "no problem, thanks"}, otp.Pending},
		"thanks":                    {notify.Inbound{Text: "Danke"}, otp.Pending},
		"nothing":                   {notify.Inbound{}, otp.Pending},
		"somebody else's no":        {notify.Inbound{From: bob, Text: "NO"}, otp.Pending},
		"the code itself":           {notify.Inbound{Text: "CODE"}, otp.Pending},
		"an e-mail address's no":    {notify.Inbound{From: mail, Text: "NO"}, otp.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.mustStart(otpsend.Request{To: alice, Locale: "de"})
			other := b.mustStart(otpsend.Request{To: alice, Locale: "de", Purpose: "pay"})
			m := tc.m
			if m.From == "" {
				m.From = alice
			}
			m.Text = strings.ReplaceAll(m.Text, "CODE", b.Code(id))
			reply := b.receive(m)
			if (reply == denied) != (tc.status == otp.Denied) || reply != "" && reply != denied {
				t.Errorf("reply %q", reply)
			}
			for _, id := range []otp.ID{id, other} {
				if _, v := b.Verification(id); v.Status != tc.status || v.Checks != 0 {
					t.Errorf("it is %s, want %s", v.Status, tc.status)
				}
			}
			if tc.status == otp.Denied {
				b.Refused(b.check(id, b.Code(id)), problem.Denied)
				b.Refused(b.resend(id, ""), problem.Denied)
				if again := b.receive(m); again != "" {
					t.Errorf("a second no is answered %q", again)
				}
			} else if err := b.check(id, b.Code(id)); err != nil {
				t.Error(err)
			}
		})
	}
}

// A word is a no in the language of what it can be an answer to: not of a
// verification that is over.
func TestANoInTheLanguageOfAnEarlierCodeIsNone(t *testing.T) {
	b := newBench(t)
	b.mustStart(otpsend.Request{To: alice, Locale: "de"})
	id := b.mustStart(otpsend.Request{To: alice, Locale: "ja"})
	if reply := b.receive(notify.Inbound{From: alice, Text: "Nein"}); reply != "" {
		t.Errorf("reply %q", reply)
	}
	if _, v := b.Verification(id); v.Status != otp.Pending {
		t.Errorf("it is %s", v.Status)
	}
}

// The person's message approves what it has the code of, and nothing else.
func TestWhatAPersonSendsToApprove(t *testing.T) {
	_, confirmed := replies(t, "de")
	const filler = "abcd efgh ijkl mnop qrst uvwx yzab cdef "
	for name, tc := range map[string]struct {
		from, text string
		approved   bool
	}{
		"as asked":                   {alice, "TEXT", true},
		"the code alone":             {alice, "CODE", true},
		"in a sentence":              {alice, "Hi, mein Code: CODE. Danke!", true},
		"with full-width digits":     {alice, "WIDE", true},
		"behind many words":          {alice, filler + "CODE", true},
		"before too many words":      {alice, "CODE " + filler, false},
		"a part of it":               {alice, "PART", false},
		"with a digit more":          {alice, "CODE1", false},
		"apart":                      {alice, "SPLIT", false},
		"another code":               {alice, "WRONG", false},
		"from another number":        {bob, "TEXT", false},
		"from a number without rows": {"+14155550199", "TEXT", false},
		"nothing":                    {alice, "", false},
		"no words":                   {alice, "!!! ... ???", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.mustStart(otpsend.Request{To: bob})
			id, text := b.ask(otpsend.Request{To: alice, Locale: "de", Context: otp.Context{Amount: "EUR 1"}})
			code := b.Code(id)
			wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
			m := strings.NewReplacer("TEXT", text, "CODE", code, "WIDE", wide, "PART", code[:5], "SPLIT", code[:3]+" "+code[3:], "WRONG", b.Wrong(id)).Replace(tc.text)
			reply := b.receive(notify.Inbound{From: tc.from, Channel: notify.SMS, Text: m})
			_, v := b.Verification(id)
			if tc.approved {
				if v.Status != otp.Approved || reply != confirmed {
					t.Errorf("it is %s, reply %q", v.Status, reply)
				}
				if again := b.receive(notify.Inbound{From: tc.from, Channel: notify.SMS, Text: m}); again != "" {
					t.Errorf("the same message again is answered %q", again)
				}
				return
			}
			if v.Status != otp.Pending || reply != "" || v.Checks != 0 || len(b.Recipient(alice).Failures) != 0 {
				t.Errorf("it is %s, reply %q, %d checks", v.Status, reply, v.Checks)
			}
		})
	}
}

// A text approves the one that it has the code of, among several.
func TestAMessageApprovesWhatItNames(t *testing.T) {
	b := newBench(t)
	b.Policy(func(p *otp.Policy) { p.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric} })
	first, _ := b.ask(otpsend.Request{To: alice, Purpose: "a"})
	second, text := b.ask(otpsend.Request{To: alice, Purpose: "b"})
	sent := b.mustStart(otpsend.Request{To: alice, Purpose: "c"})
	b.receive(notify.Inbound{From: alice, Text: strings.ToLower(text) + " " + b.Code(sent)})
	for id, want := range map[otp.ID]otp.Status{first: otp.Pending, second: otp.Approved, sent: otp.Pending} {
		if _, v := b.Verification(id); v.Status != want {
			t.Errorf("%s is %s, want %s", v.Purpose, v.Status, want)
		}
	}
}

func TestRoundTripsOfMessages(t *testing.T) {
	b := newBench(t)
	_, text := b.ask(otpsend.Request{To: alice})
	for _, step := range []struct {
		name, from, text string
		want             int64
	}{
		{"from nobody", bob, "NO", 1},
		{"of no concern", alice, "Hello", 1},
		{"with the code", alice, text, 2},
		{"the same again", alice, text, 1},
		{"no, too late", alice, "NO", 1},
	} {
		got := b.Trips(func(ctx context.Context) {
			if _, err := b.Inbox.Receive(ctx, notify.Inbound{From: step.from, Text: step.text}); err != nil {
				t.Error(err)
			}
		})
		if got != step.want {
			t.Errorf("%s: %d round trips, want %d", step.name, got, step.want)
		}
	}
	b.mustStart(otpsend.Request{To: alice})
	if got := b.Trips(func(ctx context.Context) { _, _ = b.Inbox.Receive(ctx, notify.Inbound{From: alice, Text: "NO"}) }); got != 2 {
		t.Errorf("a no: %d round trips, want 2", got)
	}
}

// Two addresses may share a row's key. Neither may speak for the other.
func TestAMessageFromAnotherAddressOfTheRowIsOfNoConcern(t *testing.T) {
	b := newBench(t)
	id, text := b.ask(otpsend.Request{To: alice})
	_, _, err := b.Kept.Change(b.Ctx(), id.RowKey(), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		r.Address = bob
		return r, otp.Verification{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{text, "NO"} {
		if reply := b.receive(notify.Inbound{From: alice, Text: text}); reply != "" {
			t.Errorf("reply %q", reply)
		}
	}
	if _, v := b.Verification(id); v.Status != otp.Pending {
		t.Errorf("it is %s", v.Status)
	}
}

// What may not have been kept is not acknowledged.
func TestAMessageThatWasNotKeptIsNotAnswered(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		b := newBench(t)
		_, text := b.ask(otpsend.Request{To: alice})
		b.Table.Break(func(int) rig.Fault { return fault })
		reply, err := b.Inbox.Receive(b.Ctx(), notify.Inbound{From: alice, Text: text})
		b.Refused(err, problem.StorageUnavailable)
		if reply != "" {
			t.Errorf("fault %d: reply %q", fault, reply)
		}
	}
}

// Only channels whose answers reach the service say that one can answer.
func TestAMessageOffersToDenyWhereAnAnswerReachesUs(t *testing.T) {
	b := newBench(t, notify.WhatsApp, notify.SMS)
	b.Carrier.Deniable = map[notify.Channel]bool{notify.SMS: true}
	id := b.mustStart(otpsend.Request{To: alice})
	b.mustReport(id, 1, otp.Failed, notOnWhatsApp)
	if b.Sender(notify.WhatsApp).Last().CanDeny || !b.Sender(notify.SMS).Last().CanDeny {
		t.Errorf("WhatsApp: %t, SMS: %t", b.Sender(notify.WhatsApp).Last().CanDeny, b.Sender(notify.SMS).Last().CanDeny)
	}
}
