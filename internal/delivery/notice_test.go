package delivery_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"twofa/internal/app"
	"twofa/internal/channel"
	"twofa/internal/config"
	"twofa/internal/notify"
	"twofa/internal/notify/console"
	"twofa/internal/testing/rig"
	"twofa/internal/texts"
	"twofa/internal/user"
)

// A notice goes over the user's channels before others, but over SMS before WhatsApp,
// which may drop a free text later.
func TestR27_TheChannelsOfANotice(t *testing.T) {
	type list = []channel.Channel
	const whatsApp, sms, call, email = channel.WhatsApp, channel.SMS, channel.Call, channel.Email
	for _, tc := range []struct {
		service, users list
		to             string
		want           list
	}{
		{list{whatsApp, sms, call, email}, nil, alice, list{sms, whatsApp, call}},
		{list{whatsApp, sms, call, email}, nil, mail, list{email}},
		{list{whatsApp, call, sms}, nil, alice, list{sms, call, whatsApp}},
		{list{whatsApp, sms, call, email}, list{whatsApp}, alice, list{sms, whatsApp, call}},
		{list{whatsApp, sms, call, email}, list{call}, alice, list{call, sms, whatsApp}},
		{list{whatsApp, sms, call, email}, list{email, sms}, alice, list{sms, whatsApp, call}},
		{list{sms, whatsApp}, list{whatsApp, sms}, alice, list{sms, whatsApp}},
		{list{whatsApp, email}, list{email, whatsApp}, alice, list{whatsApp}},
		{list{whatsApp, call}, nil, alice, list{whatsApp, call}},
		{list{email}, nil, alice, nil},
		{list{sms, whatsApp}, nil, mail, nil},
	} {
		var got list
		r := rig.New(t, tc.service...)
		for _, c := range tc.service {
			r.Sender(c).Always(landline)
			r.Sender(c).During(func(m notify.Message) {
				if m.To != tc.to || m.Notice != notify.NoticeAddress || m.Locale != "de" {
					t.Errorf("sent %+v", m)
				}
				got = append(got, c)
			})
		}
		if reaches := r.Delivery.Reaches(tc.to); reaches != (tc.want != nil) {
			t.Errorf("%v, %s: Reaches is %v", tc.service, tc.to, reaches)
		}
		u := user.User{Name: canary, Phone: alice, Email: mail, Channels: tc.users, Locale: "de"}
		if r.Delivery.SendNotice(r.Ctx(), u, []string{tc.to}, notify.NoticeAddress) || !slices.Equal(got, tc.want) {
			t.Errorf("service %v, user %v: tried %v, want %v", tc.service, tc.users, got, tc.want)
		}
	}
}

// On the console a notice has its words, in the user's language, and no code or link.
func TestR27_ANoticeOnTheConsole(t *testing.T) {
	var out bytes.Buffer
	words, err := texts.Load(texts.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := rig.With(t, func(_ *config.Settings, p *app.Parts) {
		printer := console.New(&out, words)
		for c := range p.Senders {
			p.Senders[c] = printer.Sender(c)
		}
	}, channel.WhatsApp, channel.SMS, channel.Call, channel.Email)
	for _, tc := range []struct {
		locale, to string
		what       notify.Notice
		over, want string
	}{
		{"en", alice, notify.NoticeAppAdded, "sms", "Acme: an authenticator app was added to your account. Not you? Contact us at once."},
		{"de", mail, notify.NoticeAppRemoved, "email", "Acme: Aus Ihrem Konto wurde eine Authenticator-App entfernt. Waren Sie das nicht? Kontaktieren Sie uns bitte sofort."},
		{"fr-CA", alice, notify.NoticeRecoveryCodes, "sms", "Acme\u00a0: de nouveaux codes de récupération ont été créés pour votre compte. Si ce n'est pas vous, contactez-nous immédiatement."},
		{"ar", mail, notify.NoticeAddress, "email", "Acme: تم تغيير بيانات الاتصال في حسابك (الهاتف أو البريد الإلكتروني). إن لم تكن أنت، فيرجى التواصل معنا على الفور."},
		{"", mail, notify.NoticeAddress, "email", "Acme: the contact details of your account (phone or e-mail) were changed. Not you? Contact us at once."},
	} {
		out.Reset()
		if !r.Delivery.SendNotice(r.Ctx(), user.User{Name: canary, Locale: tc.locale}, []string{tc.to}, tc.what) {
			t.Errorf("%s: not sent", tc.what)
		}
		want := "│ To " + tc.to + " over " + tc.over + " (printed only; nothing was sent)\n│\n│ " + tc.want + "\n└"
		if got := out.String(); !strings.Contains(got, want) || strings.Count(got, "┌") != 1 {
			t.Errorf("printed\n%s\nwant\n%s", got, want)
		}
	}
}
