package delivery_test

import (
	"context"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
)

// spellings are numbers as the service knows them, and as a provider reports their
// senders.
var spellings = []struct{ name, known, reported string }{
	{"Mexico with the old 1", "+525512349999", "+5215512349999"},
	{"Mexico, Monterrey", "+528112349999", "+5218112349999"},
	{"Mexico, Guadalajara", "+523312349999", "+5213312349999"},
	{"Brazil without the ninth digit", "+5511987654321", "+551187654321"},
	{"Brazil, Rio", "+5521998765432", "+552198765432"},
	{"Brazil, with the ninth digit", "+551178123456", "+5511978123456"},
	{"Argentina with the 9", "+541123456789", "+5491123456789"},
	{"Argentina without the 9", "+5491123456789", "+541123456789"},
	{"Argentina, Mar del Plata", "+5492235123456", "+542235123456"},
	{"Benin's old number", "+2290197123456", "+22997123456"},
	{"Gabon's old number", "+24106031234", "+2416031234"},
	{"San Marino through Italy", "+3780549886377", "+390549886377"},
	{"as it is", "+14155550101", "+14155550101"},
}

// numbers makes a rig whose secrets are all numbers of the tests.
func numbers(t *testing.T, channels ...channel.Channel) *rig.Rig {
	r := newRig(t, channels...)
	for _, s := range spellings {
		r.Secret("a number", s.known)
		r.Secret("a reported number", s.reported)
	}
	return r
}

// wantNoRow fails the test if the address has a row.
func wantNoRow(r *rig.Rig, address string) {
	r.TB.Helper()
	kept, err := r.Kept.Load(r.Ctx(), r.Kept.Key(address))
	if err != nil || kept.Address != "" || kept.KeepUntil() != (otp.Recipient{}).KeepUntil() {
		r.TB.Errorf("%s has a row: %+v, %v", address, kept, err)
	}
}

// A provider's spelling of a number reaches what is pending at the number: a denial
// and an approval. No row is made for the spelling.
func TestReceive_ASenderInAnotherSpelling(t *testing.T) {
	t.Parallel()
	denied, confirmed := replies(t)
	for _, tc := range spellings {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := numbers(t)
			sent := r.MustStart(otpsend.Request{To: tc.known, Locale: "de"}).ID
			code := r.Code(sent)
			if reply := receive(r, notify.Inbound{From: tc.reported, Channel: channel.WhatsApp, Text: "NO"}); reply != denied {
				t.Errorf("the reply to a denial is %q", reply)
			}
			wantStatus(r, sent, otp.Denied)
			r.RefuseCheck(rig.ByID(sent, code), problem.Denied)

			id, text := r.StartInbound(otpsend.Request{To: tc.known, Locale: "de"})
			if reply := receive(r, notify.Inbound{From: tc.reported, Channel: channel.WhatsApp, Text: r.Wrong(id)}); reply != "" {
				t.Errorf("the reply to a wrong code is %q", reply)
			}
			wantStatus(r, id, otp.Pending)
			if n := len(r.Recipient(tc.known).Tally(otp.Caller{}).Failures); n != 0 {
				t.Errorf("%d wrong codes were counted", n)
			}
			for _, want := range []string{confirmed, ""} { // once
				if reply := receive(r, notify.Inbound{From: tc.reported, Channel: channel.WhatsApp, Text: text}); reply != want {
					t.Errorf("the reply to the text is %q, want %q", reply, want)
				}
			}
			wantStatus(r, id, otp.Approved)
			if tc.reported != tc.known {
				wantNoRow(r, tc.reported)
			}
		})
	}
}

// A number that is no spelling of another one does not reach it.
func TestReceive_AnotherNumberIsNoSpelling(t *testing.T) {
	t.Parallel()
	for known, others := range map[string]string{
		"+525512349999":  "+525512349998 +5215512349998 +15512349999 +5315512349999",
		"+5511987654321": "+5511887654321 +552187654321 +551187654322 +55119987654321 +5411987654321",
		"+541123456789":  "+5491123456780 +541523456789 +5581123456789",
		"+5511923456789": "+551123456789", // a landline
		"+14155550101":   "+115415555010 +4155550101",
	} {
		for other := range strings.SplitSeq(others, " ") {
			r := newRig(t)
			id, text := r.StartInbound(otpsend.Request{To: known})
			for _, said := range []string{"NO", text, "STOP"} {
				if reply := receive(r, notify.Inbound{From: other, Text: said}); reply != "" {
					t.Errorf("%s from %s: %q", known, other, reply)
				}
			}
			wantStatus(r, id, otp.Pending)
			wantNoRow(r, other)
		}
	}
}

const landlineForm, mobileForm = "+541123456789", "+5491123456789"

// If both spellings have something pending, a denial ends both, in the language of
// either of them. A code approves where it is right, and once.
func TestReceive_BothSpellings(t *testing.T) {
	t.Parallel()
	for _, from := range []string{landlineForm, mobileForm} {
		for _, said := range []string{"NO", "Nein", "いいえ", "NO CODE", "nein. TEXT", "deny"} {
			t.Run(from+" "+said, func(t *testing.T) {
				t.Parallel()
				r := numbers(t)
				first := r.MustStart(otpsend.Request{To: landlineForm, Locale: "ja"}).ID
				second, text := r.StartInbound(otpsend.Request{To: mobileForm, Locale: "de"})
				m := notify.Inbound{From: from, Text: strings.NewReplacer("CODE", r.Code(second), "TEXT", text).Replace(said)}
				if said == "deny" {
					m.Text, m.Payload = "", said
				}
				if reply := receive(r, m); reply == "" {
					t.Error("no reply")
				}
				wantStatus(r, first, otp.Denied)
				wantStatus(r, second, otp.Denied)
			})
		}
		t.Run("a code from "+from, func(t *testing.T) {
			t.Parallel()
			r := numbers(t)
			first, firstText := r.StartInbound(otpsend.Request{To: landlineForm})
			second, secondText := r.StartInbound(otpsend.Request{To: mobileForm})
			m := notify.Inbound{From: from, Text: secondText, MessageID: "SM1"}
			receive(r, m)
			wantStatus(r, first, otp.Pending)
			wantStatus(r, second, otp.Approved)
			if reply := receive(r, m); reply != "" {
				t.Errorf("again: %q", reply)
			}
			wantStatus(r, first, otp.Pending)
			receive(r, notify.Inbound{From: from, Text: firstText, MessageID: "SM2"})
			wantStatus(r, first, otp.Approved)
		})
	}
}

// A captured message that had an effect under one spelling has none under the other.
func TestR20_AMessageIDWorksOnceForBothSpellings(t *testing.T) {
	t.Parallel()
	for _, had := range []string{landlineForm, mobileForm} {
		for _, later := range []string{landlineForm, mobileForm} {
			r := numbers(t)
			r.MustStart(otpsend.Request{To: had})
			m := notify.Inbound{From: mobileForm, Text: "NO", MessageID: "SM00000000000000000000000000000001"}
			if reply := receive(r, m); reply == "" {
				t.Fatal("no effect")
			}
			id := r.MustStart(otpsend.Request{To: later}).ID
			if reply := receive(r, m); reply != "" {
				t.Errorf("%s, then %s: %q", had, later, reply)
			}
			wantStatus(r, id, otp.Pending)
			if err := r.Recipients.Erase(r.Ctx(), had, client.MainDirectory, r.Now()); err != nil {
				t.Fatal(err)
			}
			id = r.MustStart(otpsend.Request{To: later}).ID
			if reply := receive(r, m); reply != "" {
				t.Errorf("%s erased, then %s: %q", had, later, reply)
			}
			wantStatus(r, id, otp.Pending)
		}
	}
}

func TestReceive_RoundTripsForTwoSpellings(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, from, text string
		at               []string
		want             int64
	}{
		{"unknown", mobileForm, "NO", nil, 2},
		{"no meaning", mobileForm, "Hello", []string{landlineForm, mobileForm}, 4},
		{"a denial under one", mobileForm, "NO", []string{landlineForm}, 4},
		{"a denial under both", mobileForm, "NO", []string{landlineForm, mobileForm}, 6},
		{"Brazil", "+551187654321", "NO", []string{"+5511987654321"}, 4},
		{"Mexico has one", "+5215512349999", "NO", []string{"+525512349999"}, 2},
	} {
		r := numbers(t)
		for _, to := range tc.at {
			r.MustStart(otpsend.Request{To: to})
		}
		got := r.Trips(func(ctx context.Context) {
			if _, err := r.Inbox.Receive(ctx, notify.Inbound{From: tc.from, Text: tc.text}); err != nil {
				t.Error(err)
			}
		})
		if got != tc.want {
			t.Errorf("%s: %d round trips, want %d", tc.name, got, tc.want)
		}
	}
}

// If storage fails at any step of a sender with two spellings, nothing is approved by
// the answer, and there is no reply.
func TestReceive_StorageFailsBetweenTwoSpellings(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 4; n++ { // two reads, two changes
		r := numbers(t)
		r.MustStart(otpsend.Request{To: landlineForm})
		r.MustStart(otpsend.Request{To: mobileForm})
		r.Table.Break(rig.FaultFrom(n, rig.Down))
		reply, err := r.Inbox.Receive(r.Ctx(), notify.Inbound{From: mobileForm, Text: "NO"})
		r.Refused(err, problem.StorageUnavailable)
		if reply != "" {
			t.Errorf("fault %d: reply %q", n, reply)
		}
	}
}

// The provider's own reading of a message comes before its words: STOP denies whatever
// the text is, HELP and START do not. It has answered, so no reply follows.
func TestReceive_TheProvidersSignal(t *testing.T) {
	t.Parallel()
	denied, _ := replies(t)
	for _, tc := range []struct {
		m      notify.Inbound
		status otp.Status
		reply  string
	}{
		{notify.Inbound{Text: "STOP", OptOut: true, Answered: true}, otp.Denied, ""},
		{notify.Inbound{Text: "arrête-toi", OptOut: true, Answered: true}, otp.Denied, ""},
		{notify.Inbound{Text: "", OptOut: true, Answered: true}, otp.Denied, ""},
		{notify.Inbound{Text: "TEXT", OptOut: true, Answered: true}, otp.Denied, ""},
		{notify.Inbound{Text: "CODE", OptOut: true, Answered: true}, otp.Denied, ""},
		{notify.Inbound{Text: "STOP", Payload: "other", OptOut: true}, otp.Denied, denied},
		{notify.Inbound{Text: "HELP", Keyword: true, Answered: true}, otp.Pending, ""},
		{notify.Inbound{Text: "CODE", Keyword: true, Answered: true}, otp.Pending, ""},
		{notify.Inbound{Text: "NO", Keyword: true, Answered: true}, otp.Pending, ""},
		{notify.Inbound{Text: "NO", Answered: true}, otp.Denied, ""}, // a signal that is not known
	} {
		for word := range strings.SplitSeq("STOP|STOPALL|UNSUBSCRIBE|CANCEL|END|QUIT|OPTOUT|REVOKE|OPT-OUT|stop all|Stop.", "|") {
			r := newRig(t)
			id, _ := r.StartInbound(otpsend.Request{To: alice, Locale: "de"})
			if reply := receive(r, notify.Inbound{From: alice, Text: word}); reply != denied {
				t.Errorf("%s: %q", word, reply)
			}
			wantStatus(r, id, otp.Denied)
			if tc.m.Text != "STOP" || tc.reply != "" {
				break // the words once
			}
		}
		r := newRig(t)
		id, text := r.StartInbound(otpsend.Request{To: alice, Locale: "de"})
		m := tc.m
		m.From, m.Text = alice, strings.NewReplacer("TEXT", text, "CODE", r.Code(id)).Replace(m.Text)
		if reply := receive(r, m); reply != tc.reply {
			t.Errorf("%+v: reply %q", tc.m, reply)
		}
		wantStatus(r, id, tc.status)
	}
}

// Attack 24, through the whole inbox: a text that says no, or anything else, beside the
// right code approves nothing. One that begins with a denial denies.
func TestAttack24_ATextThatBeginsWithADenialAndHoldsTheCode(t *testing.T) {
	t.Parallel()
	denied, _ := replies(t)
	for said, status := range map[string]otp.Status{
		"NO CODE": otp.Denied, "no, CODE!": otp.Denied, "STOP CODE": otp.Denied, "nein, CODE": otp.Denied, "Nein. TEXT": otp.Denied, "NO SPLIT": otp.Denied,
		"Das war ich nicht! CODE": otp.Denied, "CODE nein": otp.Denied, "NO 111111": otp.Denied, "no problem CODE": otp.Denied, "CANCEL\nTEXT": otp.Denied,
		"I do NOT approve. Code: CODE": otp.Pending, "Ich bestätige nicht. Code: CODE": otp.Pending, "TEXT nicht": otp.Pending, "いいえ CODE": otp.Pending, "Hayır CODE": otp.Pending,
		"CODE?": otp.Pending, "🚫 CODE": otp.Pending, "~TEXT~": otp.Pending, "wer ist das? CODE": otp.Pending, "CODE WRONG": otp.Pending,
		"TEXT": otp.Approved, "SPLIT": otp.Approved, "ja CODE": otp.Approved,
	} {
		t.Run(said, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			id, text := r.StartInbound(otpsend.Request{To: alice, Locale: "de"})
			code := r.Code(id)
			m := notify.Inbound{From: alice, Text: strings.NewReplacer("TEXT", text, "CODE", code, "SPLIT", code[:3]+" "+code[3:], "WRONG", r.Wrong(id)).Replace(said)}
			reply := receive(r, m)
			wantStatus(r, id, status)
			if (reply == denied) != (status == otp.Denied) || status == otp.Pending && reply != "" {
				t.Errorf("reply %q", reply)
			}
		})
	}
}

// A Vietnamese yes denies nothing.
func TestReceive_AVietnameseYes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.MustStart(otpsend.Request{To: alice, Locale: "vi"}).ID
	for _, said := range []string{"Đúng", "đúng", "ĐÚNG RỒI", "dung", "Đúng, là tôi", "Đu\u0301ng"} {
		if reply := receive(r, notify.Inbound{From: alice, Text: said}); reply != "" {
			t.Errorf("%s: %q", said, reply)
		}
		wantStatus(r, id, otp.Pending)
	}
	if reply := receive(r, notify.Inbound{From: alice, Text: "Không"}); reply == "" {
		t.Error("a no has no reply")
	}
	wantStatus(r, id, otp.Denied)
}

// A sender without a number changes nothing. A person on WhatsApp learns that the
// number is missing, if the message may be meant for a verification.
func TestReceive_ASenderWithoutANumber(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, text := r.StartInbound(toAlice)
	for _, tc := range []struct {
		m       notify.Inbound
		replies bool
	}{
		{notify.Inbound{Channel: channel.WhatsApp, Text: text}, true},
		{notify.Inbound{Channel: channel.WhatsApp, Text: "482 913"}, true},
		{notify.Inbound{Channel: channel.WhatsApp, Text: "NO"}, true},
		{notify.Inbound{Channel: channel.WhatsApp, Text: "Not me", Payload: "deny"}, true},
		{notify.Inbound{Channel: channel.WhatsApp, Text: "STOP", OptOut: true, Answered: true}, false},
		{notify.Inbound{Channel: channel.WhatsApp, Text: "Hello"}, false},
		{notify.Inbound{Channel: channel.WhatsApp}, false},
		{notify.Inbound{Channel: channel.SMS, Text: text}, false},
		{notify.Inbound{Channel: channel.SMS, Text: "NO"}, false},
		{notify.Inbound{Text: text}, false},
	} {
		reply := receive(r, tc.m)
		if (reply != "") != tc.replies || strings.Contains(reply, r.Code(id)) || tc.replies && !strings.HasPrefix(reply, "Acme: ") {
			t.Errorf("%+v: %q", tc.m, reply)
		}
	}
	if n := r.Trips(func(ctx context.Context) {
		if _, err := r.Inbox.Receive(ctx, notify.Inbound{Channel: channel.WhatsApp, Text: text}); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%d round trips", n)
	}
	wantStatus(r, id, otp.Pending)
}
