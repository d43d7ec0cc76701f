package twilio

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/twiliotest"
)

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Options)
		want   []string // the error names these. Empty: no error
	}{
		{"token", func(*Options) {}, nil},
		{"key instead", func(o *Options) { withKey(o); o.AuthToken = "" }, nil},
		{"key and token", withKey, nil},
		{"service instead of a number", func(o *Options) { o.WhatsAppFrom, o.MessagingServiceSID = "", twiliotest.MessagingServiceSID }, nil},
		{"service and number", func(o *Options) { o.MessagingServiceSID = twiliotest.MessagingServiceSID }, nil},
		{"no template", func(o *Options) { o.ContentSID = "" }, nil},
		{"https base", func(o *Options) { o.BaseURL = "https://proxy.example:8443/" }, nil},
		{"http on loopback", func(o *Options) { o.BaseURL = "http://127.0.0.1:8080" }, nil},
		{"http on loopback, IPv6", func(o *Options) { o.BaseURL = "http://[::1]:8080" }, nil},
		{"http elsewhere, allowed", func(o *Options) { o.BaseURL, o.AllowPlainHTTP = "http://10.0.0.1:8080", true }, nil},
		{"http on localhost", func(o *Options) { o.BaseURL = "http://localhost:8080" }, nil},

		{"unused senders", func(o *Options) { o.Channels = []channel.Channel{channel.SMS} }, nil},
		{"channels of others", func(o *Options) { o.Channels, o.WhatsAppFrom = []channel.Channel{channel.Email, channel.SMS}, "" }, nil},
		{"service for both", withService, nil},
		{"alert's template", func(o *Options) { o.AlertContentSID = twiliotest.AlertContentSID }, nil},
		{"no texts yet", func(o *Options) { o.Texts = nil }, []string{"Texts"}},
		{"reports", func(o *Options) { o.PublicURL = "https://twofa.example:8443/" }, nil},
		{"reports, key and token", func(o *Options) { withKey(o); withReports(o) }, nil},
		{"reports on loopback", func(o *Options) { o.PublicURL = "http://[::1]:7071" }, nil},

		{"no account", func(o *Options) { o.AccountSID = "" }, []string{"TWILIO_ACCOUNT_SID"}},
		{"account of another kind", func(o *Options) { o.AccountSID = twiliotest.APIKey }, []string{"TWILIO_ACCOUNT_SID"}},
		{"token with a control character", func(o *Options) { o.AuthToken = "0123456789abcdef\x10" }, []string{"TWILIO_AUTH_TOKEN"}},
		{"account with a path", func(o *Options) { o.AccountSID = "AC/../" + o.AccountSID[6:] }, []string{"TWILIO_ACCOUNT_SID"}},
		{"no credentials", func(o *Options) { o.AuthToken = "" }, []string{"TWILIO_AUTH_TOKEN"}},
		{"token with a space", func(o *Options) { o.AuthToken += " " }, []string{"TWILIO_AUTH_TOKEN"}},
		{"key without secret", func(o *Options) { o.APIKey = twiliotest.APIKey }, []string{"TWILIO_API_SECRET"}},
		{"secret without key", func(o *Options) { o.APISecret = twiliotest.APISecret }, []string{"TWILIO_API_KEY"}},
		{"the account as key", func(o *Options) { o.APIKey, o.APISecret = o.AccountSID, twiliotest.APISecret }, []string{"TWILIO_API_KEY"}},
		{"secret with a line end", func(o *Options) { o.APIKey, o.APISecret = twiliotest.APIKey, twiliotest.APISecret+"\n" }, []string{"TWILIO_API_SECRET"}},
		{"no sender", func(o *Options) { o.WhatsAppFrom = "" }, []string{"TWILIO_WHATSAPP_FROM", "TWILIO_MESSAGING_SERVICE_SID"}},
		{"sender with its channel", func(o *Options) { o.WhatsAppFrom = "whatsapp:" + o.WhatsAppFrom }, []string{"TWILIO_WHATSAPP_FROM"}},
		{"service of another kind", func(o *Options) { o.MessagingServiceSID = twiliotest.ContentSID }, []string{"TWILIO_MESSAGING_SERVICE_SID"}},
		{"template too short", func(o *Options) { o.ContentSID = o.ContentSID[:33] }, []string{"TWILIO_CONTENT_SID"}},
		{"templates by language", func(o *Options) {
			o.ContentSID, o.AlertContentSID = "en="+twiliotest.ContentSID+", pt_br="+twiliotest.AlertContentSID, twiliotest.ContentSID+",de="+twiliotest.AlertContentSID
		}, nil},
		{"a template without its language's name", func(o *Options) { o.ContentSID = "=" + o.ContentSID }, []string{"TWILIO_CONTENT_SID"}},
		{"two templates of a language", func(o *Options) { o.ContentSID = "pt-BR=" + o.ContentSID + ",pt_br=" + twiliotest.AlertContentSID }, []string{"TWILIO_CONTENT_SID"}},
		{"two templates without a language", func(o *Options) { o.ContentSID += "," + twiliotest.AlertContentSID }, []string{"TWILIO_CONTENT_SID"}},
		{"a list with an empty entry", func(o *Options) { o.ContentSID += "," }, []string{"TWILIO_CONTENT_SID"}},
		{"a language that is no tag", func(o *Options) { o.AlertContentSID = "german language=" + o.ContentSID }, []string{"TWILIO_ALERT_CONTENT_SID"}},
		{"a language without a template", func(o *Options) { o.AlertContentSID = "en=" + o.ContentSID + ",de=" }, []string{"TWILIO_ALERT_CONTENT_SID"}},
		{"negative time-out", func(o *Options) { o.Timeout = -time.Second }, []string{"time-outs"}},
		{"negative total", func(o *Options) { o.TotalTimeout = -time.Second }, []string{"time-outs"}},

		{"no sender of SMS", func(o *Options) { o.SMSFrom = "" }, []string{"TWILIO_SMS_FROM", "TWILIO_MESSAGING_SERVICE_SID"}},
		{"no sender of calls", func(o *Options) { o.VoiceFrom, o.MessagingServiceSID = "", twiliotest.MessagingServiceSID }, []string{"TWILIO_VOICE_FROM"}},
		{"no sender, and no channel", func(o *Options) { o.WhatsAppFrom, o.SMSFrom, o.VoiceFrom, o.Channels = "", "", "", nil }, nil},
		{"a sender of calls that is a name", func(o *Options) { o.VoiceFrom = "Acme" }, []string{"TWILIO_VOICE_FROM"}},
		{"a sender of calls that is unused and invalid", func(o *Options) { o.VoiceFrom, o.Channels = "Acme", nil }, []string{"TWILIO_VOICE_FROM"}},
		{"a sender of SMS with its channel", func(o *Options) { o.SMSFrom = "whatsapp:" + o.SMSFrom }, []string{"TWILIO_SMS_FROM"}},
		{"alert's template too short", func(o *Options) { o.AlertContentSID = o.ContentSID[:33] }, []string{"TWILIO_ALERT_CONTENT_SID"}},
		{"reports without the token", func(o *Options) { withKey(o); withReports(o); o.AuthToken = "" }, []string{"TWILIO_AUTH_TOKEN", "TWOFA_PUBLIC_URL"}},
		{"reports by http", func(o *Options) { o.PublicURL = "http://twofa.example" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to a path", func(o *Options) { o.PublicURL = ourURL + "/canary" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to a query", func(o *Options) { o.PublicURL = ourURL + "?canary" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to a fragment", func(o *Options) { o.PublicURL = ourURL + "#canary" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to a password", func(o *Options) { o.PublicURL = "https://canary@twofa.example" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to an underscore", func(o *Options) { o.PublicURL = "https://can_ary.example" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to a host in Unicode", func(o *Options) { o.PublicURL = "https://bäcker.example" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to an empty port", func(o *Options) { o.PublicURL = ourURL + ":" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to no host", func(o *Options) { o.PublicURL = "https://" }, []string{"TWOFA_PUBLIC_URL"}},

		{"http elsewhere", func(o *Options) { o.BaseURL = "http://api.twilio.com" }, []string{"TWILIO_BASE_URL"}},
		{"http to a private address", func(o *Options) { o.BaseURL = "http://10.0.0.1" }, []string{"TWILIO_BASE_URL"}},
		{"http to a name that begins like loopback", func(o *Options) { o.BaseURL = "http://127.0.0.1.evil.test" }, []string{"TWILIO_BASE_URL"}},
		{"another scheme, http allowed", func(o *Options) { o.BaseURL, o.AllowPlainHTTP = "ftp://10.0.0.1", true }, []string{"TWILIO_BASE_URL"}},
		{"reports to http elsewhere, http allowed", func(o *Options) { o.PublicURL, o.AllowPlainHTTP = "http://twofa.example", true }, []string{"TWOFA_PUBLIC_URL"}},
		{"another scheme", func(o *Options) { o.BaseURL = "ftp://127.0.0.1" }, []string{"TWILIO_BASE_URL"}},
		{"no scheme", func(o *Options) { o.BaseURL = "api.twilio.com" }, []string{"TWILIO_BASE_URL"}},
		{"no host", func(o *Options) { o.BaseURL = "https://:443" }, []string{"TWILIO_BASE_URL"}},
		{"a path", func(o *Options) { o.BaseURL = "https://proxy.example/twilio" }, []string{"TWILIO_BASE_URL"}},
		{"a query", func(o *Options) { o.BaseURL = "https://proxy.example/?a=b" }, []string{"TWILIO_BASE_URL"}},
		{"a password", func(o *Options) { o.BaseURL = "https://user:canary@proxy.example" }, []string{"TWILIO_BASE_URL"}},
		{"no URL", func(o *Options) { o.BaseURL = "https://canary\x7f" }, []string{"TWILIO_BASE_URL"}},

		{"all at once", func(o *Options) {
			*o = Options{BaseURL: "x", ContentSID: "x", Channels: []channel.Channel{channel.WhatsApp}}
		},
			[]string{"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_WHATSAPP_FROM", "TWILIO_CONTENT_SID", "TWILIO_BASE_URL"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options()
			tc.change(&o)
			a, err := New(o)
			if len(tc.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatalf("no fault; want one that names %v", tc.want)
			}
			if a != nil {
				t.Error("New returns an Account and an error")
			}
			for _, name := range tc.want {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%q does not name %s", err, name)
				}
			}
			for _, value := range []string{twiliotest.AuthToken, twiliotest.APISecret, twiliotest.APIKey, "canary"} {
				if strings.Contains(err.Error(), value) {
					t.Errorf("the error quotes a value: %s", err)
				}
			}
		})
	}
}

func TestSMSSenders(t *testing.T) {
	for from, want := range map[string]bool{
		"+14155238886": true, "12345": true, "123": true, "12345678": true, "Acme": true, "Acme 2FA-_&+": false, "Acme-_&+": true, "A Cme1234567": false,
		"A Cme123456": true, "3M": true, "": false, "12": false, "123456789": false, "Acme Corporation": false, " Acme": false, "Acme ": false,
		"Bäcker": false, "+": false, "-": false, "+04155238886": false, "Ac\nme": false, "+1415": false,
	} {
		o := options()
		o.SMSFrom = from
		if got := len(o.Faults()) == 0; got != want {
			t.Errorf("%q: %v", from, o.Faults())
		}
	}
}

func TestDefaults(t *testing.T) {
	a := newAccount(t, options())
	if a.timeout != 5*time.Second || a.total != 12*time.Second {
		t.Errorf("time-outs %v and %v", a.timeout, a.total)
	}
	if got := a.base.String(); got != "https://api.twilio.com" {
		t.Errorf("calls go to %s", got)
	}
}
