package twilio

import (
	"strings"
	"testing"

	"twofa/internal/notify"
	"twofa/internal/testing/twiliotest"
)

// Attack 23. A signed request counts only if it is for our account and our sender.
func TestAttack23_AnotherAccountOrSender(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	const other, name, shortCode = "+12025550199", "Acme", "12345"
	serviceOnly := func(o *Options) { withService(o) }
	noSMS := func(o *Options) { o.SMSFrom, o.VoiceFrom = "", "" }
	smsFrom := func(from string) func(*Options) { return func(o *Options) { o.SMSFrom, o.VoiceFrom = from, "" } }
	nameAndService := func(o *Options) { withService(o); smsFrom(name)(o) }
	ours, chat := "MessagingServiceSid "+twiliotest.MessagingServiceSID, whatsAppPrefix+recipient
	foreign := "MessagingServiceSid MG" + strings.Repeat("f", 32)
	for what, tc := range map[string]struct {
		options func(*Options)
		from    string
		changes string // names and values, separated by spaces
		want    error
	}{
		"as it is":                         {nil, recipient, "", nil},
		"as it is, WhatsApp":               {nil, chat, "", nil},
		"another account":                  {nil, recipient, "AccountSid " + foreignAccount, notify.ErrForeign},
		"no account":                       {nil, recipient, "AccountSid -", notify.ErrForeign},
		"our account in other letters":     {nil, recipient, "AccountSid AC" + strings.ToUpper(twiliotest.AccountSID[2:]), notify.ErrForeign},
		"another number":                   {nil, recipient, "To " + other, notify.ErrForeign},
		"another number of our service":    {nil, recipient, "To " + other + " " + ours, notify.ErrForeign},
		"another number of WhatsApp":       {nil, chat, "To whatsapp:" + other, notify.ErrForeign},
		"WhatsApp's number over SMS":       {nil, recipient, "To " + twiliotest.WhatsAppFrom, notify.ErrForeign},
		"from WhatsApp to a number of SMS": {nil, chat, "To " + twiliotest.SMSFrom, notify.ErrForeign},
		"the number of calls":              {nil, recipient, "To " + twiliotest.VoiceFrom, nil},
		"no receiver":                      {nil, recipient, "To -", notify.ErrForeign},
		"our service":                      {serviceOnly, recipient, "To " + other + " " + ours, nil},
		"our service, WhatsApp":            {serviceOnly, chat, "To whatsapp:" + other + " " + ours, nil},
		"another service":                  {serviceOnly, recipient, foreign, notify.ErrForeign},
		"another service, WhatsApp":        {serviceOnly, chat, foreign, notify.ErrForeign},
		"no service":                       {serviceOnly, recipient, "MessagingServiceSid -", notify.ErrForeign},
		"no sender of SMS":                 {noSMS, recipient, ours, notify.ErrForeign},
		"a name as sender":                 {smsFrom(name), recipient, "To " + name, notify.ErrForeign},
		"a name and a service":             {nameAndService, recipient, "To " + other + " " + ours, nil},
		"a name and another service":       {nameAndService, recipient, "To " + other + " " + foreign, notify.ErrForeign},
		"a short code":                     {smsFrom(shortCode), recipient, "To " + shortCode, nil},
		"another short code":               {smsFrom(shortCode), recipient, "To 12346", notify.ErrForeign},
		"a short code in the text":         {smsFrom(shortCode), recipient, "To 12345 Body xTo12345", notify.ErrForged},
	} {
		t.Run(what, func(t *testing.T) {
			hooks := webhooks(t)
			if tc.options != nil {
				hooks = webhooks(t, tc.options)
			}
			form := inboundForm(d, tc.from, "NO", strings.Fields(tc.changes)...)
			got, err := hooks.Inbound(signedRequest(d, InboundPath, "", form).http())
			if err != tc.want || (err != nil) != (got == (notify.Inbound{})) {
				t.Errorf("got %+v, %v, want %v", got, err, tc.want)
			}
		})
	}

	for account, want := range map[string]error{twiliotest.AccountSID: nil, foreignAccount: notify.ErrForeign, "": notify.ErrForeign, "AC1": notify.ErrForeign, twiliotest.AccountSID + "x": notify.ErrForged} {
		_, form := goodStatus(d)
		form.Set("AccountSid", account)
		if got, err := webhooks(t).Report(signedRequest(d, StatusPath, goodQuery, form).http()); err != want || (err != nil) != (got == (notify.Report{})) {
			t.Errorf("a report for the account %q: %+v, %v, want %v", account, got, err, want)
		}
	}
}

// Attack 23. The message's id is Twilio's, so that the message can have an effect once.
func TestAttack23_TheMessageHasAnID(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	hooks := webhooks(t)
	digits := strings.Repeat("0a", 16)
	for _, tc := range []struct {
		id, twin string
		want     error
	}{
		{"SM" + digits, "SM" + digits, nil},
		{"MM" + digits, "MM" + digits, nil},
		{"SM" + digits, "-", nil},
		{"SM" + digits, anotherSID, notify.ErrForged},
		{"SM" + digits, "", notify.ErrForged},
		{"SM" + digits, "MM" + digits, notify.ErrForged},
		{"-", "SM" + digits, notify.ErrMalformed},
		{"-", "-", notify.ErrMalformed},
		{"", "", notify.ErrMalformed},
		{"SM1", "SM1", notify.ErrMalformed},
		{"CA" + digits, "CA" + digits, notify.ErrMalformed},
		{"sm" + digits, "sm" + digits, notify.ErrMalformed},
		{"SM" + digits[1:] + "g", "-", notify.ErrMalformed},
		{"SM" + digits + "0", "-", notify.ErrForged},
	} {
		form := inboundForm(d, recipient, "NO", "MessageSid", tc.id, "SmsMessageSid", tc.twin)
		got, err := hooks.Inbound(signedRequest(d, InboundPath, "", form).http())
		if err != tc.want || err == nil && got.MessageID != tc.id || err != nil && got != (notify.Inbound{}) {
			t.Errorf("%q and %q: %+v, %v, want %v", tc.id, tc.twin, got, err, tc.want)
		}
	}
}

// The names that decide may occur in ordinary texts, and Twilio may add parameters.
func TestR20_OrdinaryMessagesPass(t *testing.T) {
	d := twiliotest.New(twiliotest.Account{})
	defer d.Close()
	for name, changes := range map[string][]string{
		"From now on":            {"Body", "From now on ..."},
		"To whom":                {"Body", "To whom it may concern"},
		"a number after a space": {"Body", "From +4930123456 To +4930123457"},
		"a number after a colon": {"Body", "From:+4930123456"},
		"a name alone":           {"Body", "From"},
		"a plus":                 {"Body", "From+"},
		"digits":                 {"Body", "From2024 To2025"},
		"a short SID":            {"Body", "MessageSidSM1 AccountSidAC1"},
		"a SID":                  {"Body", anotherSID + " " + foreignAccount},
		"a status":               {"Body", "MessageStatusdelivered ErrorCode1"},
		"lower case":             {"Body", "from" + victim},
		"a new parameter":        {"NewParameter", "1"},
		"a new sender":           {"FromNetwork", "1"},
		"a new SID":              {"ConversationSid", "CH" + strings.Repeat("0", 32)},
		"a quoted message":       {"OriginalRepliedMessageSid", "SM" + strings.Repeat("0a", 16), "OriginalRepliedMessageSender", whatsAppPrefix + twiliotest.WhatsAppFrom},
		"a picture":              {"MediaUrl0", "https://api.twilio.com/2010-04-01/Accounts/" + twiliotest.AccountSID + "/Messages/MM" + strings.Repeat("0a", 16), "NumMedia", "1"},
		"no duplicates":          {"SmsMessageSid", "-", "SmsSid", "-"},
		"no service":             {"MessagingServiceSid", "-"},
	} {
		for _, from := range []string{recipient, whatsAppPrefix + recipient} {
			hooks := webhooks(t)
			form := inboundForm(d, from, "NO", changes...)
			got, err := hooks.Inbound(signedRequest(d, InboundPath, "", form).http())
			if err != nil || got.From != recipient || got.Text != form.Get("Body") || got.MessageID != form.Get("MessageSid") || hooks.log.Len() > 0 {
				t.Errorf("%s: %+v, %v, %s", name, got, err, hooks.log.String())
			}
		}
	}
}
