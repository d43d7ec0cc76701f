package delivery_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/internal/texts"
	"twofa/otpsend"
)

// receive hands over a person's message, whose text must not be logged.
func receive(r *rig.Rig, m notify.Inbound) string {
	r.TB.Helper()
	r.Secret("a person's text", m.Text)
	return r.Receive(m)
}

// replies returns the replies of the service in German.
func replies(t *testing.T) (denied, confirmed string) {
	t.Helper()
	c, err := texts.Load(texts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := notify.Message{Brand: "Acme", Locale: "de"}
	return c.DeniedReply(m), c.ConfirmedReply(m)
}

// wantStatus fails the test unless the verification has the status, and no check
// was spent on it.
func wantStatus(r *rig.Rig, id otp.ID, want otp.Status) {
	r.TB.Helper()
	if _, v := r.Verification(id); v.Status != want || v.Checks != 0 {
		r.TB.Errorf("the verification for %s is %s after %d checks, want %s", v.Purpose, v.Status, v.Checks, want)
	}
}

// A denial, in the person's own language or in English, ends what is pending.
func TestReceive_Denials(t *testing.T) {
	denied, _ := replies(t)
	for name, tc := range map[string]struct {
		m      notify.Inbound
		status otp.Status
	}{
		"no":                      {notify.Inbound{Text: "NO"}, otp.Denied},
		"no, in their language":   {notify.Inbound{Text: "Nein!"}, otp.Denied},
		"no, in another language": {notify.Inbound{Text: "いいえ"}, otp.Pending},
		"the button":              {notify.Inbound{Text: "Das war ich nicht", Payload: "deny"}, otp.Denied},
		"the button, in capitals": {notify.Inbound{Payload: "DENY"}, otp.Denied},
		"another button":          {notify.Inbound{Text: "NO", Payload: "help"}, otp.Pending},
		"no, and other words":     {notify.Inbound{Text: "no problem, thanks"}, otp.Pending},
		"thanks":                  {notify.Inbound{Text: "Danke"}, otp.Pending},
		"nothing":                 {notify.Inbound{}, otp.Pending},
		"no, from another person": {notify.Inbound{From: bob, Text: "NO"}, otp.Pending},
		"the code itself":         {notify.Inbound{Text: "CODE"}, otp.Pending},
		"no, from a mail address": {notify.Inbound{From: mail, Text: "NO"}, otp.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			id := r.MustStart(otpsend.Request{To: alice, Locale: "de"}).ID
			other := r.MustStart(otpsend.Request{To: alice, Locale: "de", Purpose: "pay"}).ID
			m := tc.m
			if m.From == "" {
				m.From = alice
			}
			m.Text = strings.ReplaceAll(m.Text, "CODE", r.Code(id))
			reply := receive(r, m)
			if (reply == denied) != (tc.status == otp.Denied) || reply != "" && reply != denied {
				t.Errorf("reply %q", reply)
			}
			wantStatus(r, id, tc.status)
			wantStatus(r, other, tc.status)
			if tc.status != otp.Denied {
				r.Approve(rig.ByID(id, r.Code(id)))
				return
			}
			r.RefuseCheck(rig.ByID(id, r.Code(id)), problem.Denied)
			r.RefuseResend(id, "", problem.Denied)
			if again := receive(r, m); again != "" {
				t.Errorf("the reply to a second denial is %q", again)
			}
		})
	}
}

// A word denies only in the language of a pending verification.
func TestReceive_ADenialInTheLanguageOfAnEarlierCodeIsNone(t *testing.T) {
	r := newRig(t)
	r.MustStart(otpsend.Request{To: alice, Locale: "de"})
	id := r.MustStart(otpsend.Request{To: alice, Locale: "ja"}).ID
	if reply := receive(r, notify.Inbound{From: alice, Text: "Nein"}); reply != "" {
		t.Errorf("reply %q", reply)
	}
	wantStatus(r, id, otp.Pending)
}

// The person's message approves the verification whose code it has, and no other.
func TestReceive_Approvals(t *testing.T) {
	_, confirmed := replies(t)
	const filler = "abcd efgh ijkl mnop qrst uvwx yzab cdef "
	for name, tc := range map[string]struct {
		from, text string
		approved   bool
	}{
		"as asked":                   {alice, "TEXT", true},
		"the code alone":             {alice, "CODE", true},
		"with a yes":                 {alice, "Ja, Code: CODE. Thank you!", true},
		"in a sentence":              {alice, "Hi, mein Code: CODE. Danke!", false},
		"with full-width digits":     {alice, "WIDE", true},
		"behind other words":         {alice, filler + "CODE", false},
		"before other words":         {alice, "CODE " + filler, false},
		"a part of the code":         {alice, "PART", false},
		"with a digit more":          {alice, "CODE1", false},
		"in groups":                  {alice, "SPLIT", true},
		"in groups with a hyphen":    {alice, "HYPHEN", true},
		"in Arabic-Indic digits":     {alice, "ARABIC", true},
		"another code":               {alice, "WRONG", false},
		"from another number":        {bob, "TEXT", false},
		"from a number without rows": {"+14155550199", "TEXT", false},
		"nothing":                    {alice, "", false},
		"no words":                   {alice, "!!! ... ???", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.MustStart(otpsend.Request{To: bob})
			id, text := r.StartInbound(otpsend.Request{To: alice, Locale: "de", Transaction: otp.Transaction{Amount: "EUR 1"}})
			code := r.Code(id)
			wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
			m := notify.Inbound{From: tc.from, Channel: channel.SMS}
			m.Text = strings.NewReplacer("TEXT", text, "CODE", code, "WIDE", wide, "PART", code[:5], "SPLIT", code[:3]+" "+code[3:],
				"HYPHEN", code[:3]+"-"+code[3:], "ARABIC", strings.Map(func(r rune) rune { return r - '0' + '٠' }, code), "WRONG", r.Wrong(id)).Replace(tc.text)
			status, want := otp.Pending, ""
			if tc.approved {
				status, want = otp.Approved, confirmed
			}
			for range 2 { // the second time, the code is used
				if reply := receive(r, m); reply != want {
					t.Errorf("reply %q, want %q", reply, want)
				}
				want = ""
				wantStatus(r, id, status)
			}
			if n := len(r.Recipient(alice).Tally(otp.Caller{}).Failures); n != 0 {
				t.Errorf("%d wrong codes were counted", n)
			}
		})
	}
}

// Of several verifications, a text approves the one whose code it has.
func TestReceive_ApprovesOneOfSeveral(t *testing.T) {
	r := newRig(t)
	r.Policy(func(p *otp.Policy) { p.Shape = otp.Shape{Length: 10, Alphabet: otp.Alphanumeric} })
	first, _ := r.StartInbound(otpsend.Request{To: alice, Purpose: "a"})
	second, text := r.StartInbound(otpsend.Request{To: alice, Purpose: "b"})
	sent := r.MustStart(otpsend.Request{To: alice, Purpose: "c"}).ID
	receive(r, notify.Inbound{From: alice, Text: strings.ToLower(text) + " " + r.Code(sent)}) // not the text as it was given
	wantStatus(r, second, otp.Pending)
	receive(r, notify.Inbound{From: alice, Text: strings.ToLower(text)})
	wantStatus(r, first, otp.Pending)
	wantStatus(r, second, otp.Approved)
	wantStatus(r, sent, otp.Pending)
}

func TestReceive_RoundTrips(t *testing.T) {
	r := newRig(t)
	_, text := r.StartInbound(toAlice)
	for _, step := range []struct {
		name, from, text string
		want             int64
	}{
		{"from an unknown number", bob, "NO", 1},
		{"without a meaning", alice, "Hello", 1},
		{"with the code", alice, text, 2},
		{"the same again", alice, text, 1},
		{"a denial, too late", alice, "NO", 1},
		{"a denial", alice, "NO", 2},
	} {
		if step.name == "a denial" {
			r.MustStart(toAlice)
		}
		got := r.Trips(func(ctx context.Context) {
			if _, err := r.Inbox.Receive(ctx, notify.Inbound{From: step.from, Text: step.text}); err != nil {
				t.Error(err)
			}
		})
		if got != step.want {
			t.Errorf("%s: %d round trips, want %d", step.name, got, step.want)
		}
	}
}

// Two addresses may share the key of a row. A message from the one must not
// change the verifications of the other.
func TestReceive_IgnoresTheOtherAddressOfARow(t *testing.T) {
	r := newRig(t)
	id, text := r.StartInbound(toAlice)
	r.Rewrite(id, func(old *otp.Recipient) { old.Address = bob })
	for _, text := range []string{text, "NO"} {
		if reply := receive(r, notify.Inbound{From: alice, Text: text}); reply != "" {
			t.Errorf("reply %q", reply)
		}
	}
	wantStatus(r, id, otp.Pending)
}

// There is no reply to a message that may not be stored.
func TestReceive_DoesNotReplyIfStorageFails(t *testing.T) {
	for _, fault := range []rig.Fault{rig.Down, rig.Lost} {
		r := newRig(t)
		_, text := r.StartInbound(toAlice)
		r.Table.Break(rig.FaultFrom(1, fault))
		reply, err := r.Inbox.Receive(r.Ctx(), notify.Inbound{From: alice, Text: text})
		r.Refused(err, problem.StorageUnavailable)
		if reply != "" {
			t.Errorf("fault %d: reply %q", fault, reply)
		}
	}
}

// A message says that the person can deny it only if a reply over its channel
// reaches the service.
func TestAMessageOffersToDenyIfAReplyReachesTheService(t *testing.T) {
	r := newRig(t, channel.WhatsApp, channel.SMS)
	r.Delivery.Deniable = map[channel.Route]bool{{Channel: channel.SMS}: true}
	id := r.MustStart(toAlice).ID
	r.MustReport(id, 1, otp.Failed, notOnWhatsApp)
	if chat, sms := r.Sender(channel.WhatsApp).Last(), r.Sender(channel.SMS).Last(); chat.CanDeny || !sms.CanDeny {
		t.Errorf("WhatsApp: %t, SMS: %t", chat.CanDeny, sms.CanDeny)
	}
}

// A captured message of the provider has no effect when it comes again, whatever it
// does and whenever within a day.
func TestR20_AMessageIDWorksOnce(t *testing.T) {
	denied, confirmed := replies(t)
	for name, tc := range map[string]struct {
		m     func(text string) notify.Inbound
		reply string
	}{
		"a denial":            {func(string) notify.Inbound { return notify.Inbound{Text: "NO"} }, denied},
		"in another language": {func(string) notify.Inbound { return notify.Inbound{Text: "Nein"} }, denied},
		"a button":            {func(string) notify.Inbound { return notify.Inbound{Payload: "deny"} }, denied},
		"an approval":         {func(text string) notify.Inbound { return notify.Inbound{Text: text} }, confirmed},
		"over another channel": {func(string) notify.Inbound {
			return notify.Inbound{Text: "NO", Channel: channel.WhatsApp}
		}, denied},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			begin := func() (otp.ID, notify.Inbound) {
				id, text := r.StartInbound(otpsend.Request{To: alice, Locale: "de"})
				m := tc.m(text)
				m.From, m.MessageID = alice, "SM00000000000000000000000000000001"
				return id, m
			}
			_, m := begin()
			if reply := receive(r, m); reply != tc.reply {
				t.Fatalf("the first: %q", reply)
			}
			for range 3 {
				id, again := begin() // a new code, and the message as the same provider's id
				for _, m := range []notify.Inbound{m, again} {
					if reply := receive(r, m); reply != "" {
						t.Errorf("again: %q", reply)
					}
				}
				wantStatus(r, id, otp.Pending)
				r.Advance(7 * time.Hour)
			}
			id, again := begin()
			again.MessageID = "SM00000000000000000000000000000002"
			if reply := receive(r, again); reply != tc.reply {
				t.Errorf("another message: %q", reply)
			}
			if _, v := r.Verification(id); v.Status == otp.Pending {
				t.Error("another message had no effect")
			}
		})
	}
}

// An erasure of the address does not make a captured message work again.
func TestR20_AMessageIDWorksOnceAlsoAfterAnErasure(t *testing.T) {
	r := newRig(t)
	r.MustStart(toAlice)
	m := notify.Inbound{From: alice, Text: "NO", MessageID: "SM00000000000000000000000000000001"}
	if reply := receive(r, m); reply == "" {
		t.Fatal("no effect")
	}
	if err := r.Recipients.Erase(r.Ctx(), alice, client.MainDirectory, r.Now()); err != nil {
		t.Fatal(err)
	}
	id := r.MustStart(toAlice).ID
	if reply := receive(r, m); reply != "" {
		t.Errorf("again: %q", reply)
	}
	wantStatus(r, id, otp.Pending)
}
