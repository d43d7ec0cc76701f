package plivo

import (
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
)

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Options)
		want   []string // the error names these. Empty: no error
	}{
		{"good", func(*Options) {}, nil},
		{"a subaccount", func(o *Options) { o.AuthID = "SA" + o.AuthID[2:] }, nil},
		{"a powerpack", withPowerpack, nil},
		{"no template", withText, nil},
		{"templates by language", func(o *Options) {
			o.WhatsAppTemplate, o.WhatsAppAlertTemplate = "en=a, pt_br=b", "de=c"
		}, nil},
		{"registered in India", func(o *Options) { o.DLTEntityID, o.DLTTemplateID = "1101", "1107" }, nil},
		{"with a category", func(o *Options) {
			o.DLTEntityID, o.DLTTemplateID, o.DLTTemplateCategory = "1101", "1107", "transactional"
		}, nil},
		{"no senders", func(o *Options) { o.SMSFrom, o.WhatsAppFrom, o.CallFrom, o.Channels = "", "", "", nil }, nil},
		{"channels of others", func(o *Options) { o.Channels, o.CallFrom = []channel.Channel{channel.Email, channel.SMS}, "" }, nil},
		{"no reports", func(o *Options) { o.PublicURL, o.CallFrom, o.Channels = "", "", nil }, nil},
		{"https base", func(o *Options) { o.BaseURL = "https://proxy.example:8443/" }, nil},
		{"http on loopback", func(o *Options) { o.BaseURL, o.PublicURL = "http://[::1]:8080", "http://127.0.0.1:7071/" }, nil},
		{"http elsewhere, allowed", func(o *Options) { o.BaseURL, o.AllowPlainHTTP = "http://10.0.0.1:8080", true }, nil},

		{"no texts yet", func(o *Options) { o.Texts = nil }, []string{"Texts"}},
		{"no account", func(o *Options) { o.AuthID = "" }, []string{"PLIVO_AUTH_ID"}},
		{"account of another kind", func(o *Options) { o.AuthID = "XA" + o.AuthID[2:] }, []string{"PLIVO_AUTH_ID"}},
		{"account in small letters", func(o *Options) { o.AuthID = strings.ToLower(o.AuthID) }, []string{"PLIVO_AUTH_ID"}},
		{"account with a path", func(o *Options) { o.AuthID = "MA/../" + o.AuthID[6:] }, []string{"PLIVO_AUTH_ID"}},
		{"no token", func(o *Options) { o.AuthToken = "" }, []string{"PLIVO_AUTH_TOKEN"}},
		{"token with a space", func(o *Options) { o.AuthToken += " " }, []string{"PLIVO_AUTH_TOKEN"}},
		{"no sender of WhatsApp", func(o *Options) { o.WhatsAppFrom = "" }, []string{"PLIVO_WHATSAPP_FROM"}},
		{"no sender of SMS", func(o *Options) { o.SMSFrom = "" }, []string{"PLIVO_SMS_FROM", "PLIVO_POWERPACK_UUID"}},
		{"no sender of calls", func(o *Options) { o.CallFrom = "" }, []string{"PLIVO_CALL_FROM"}},
		{"a sender without a plus", func(o *Options) { o.WhatsAppFrom = "14155238886" }, []string{"PLIVO_WHATSAPP_FROM"}},
		{"a sender of calls that is unused and a name", func(o *Options) { o.CallFrom, o.Channels = "Acme", nil }, []string{"PLIVO_CALL_FROM"}},
		{"a powerpack and a sender", func(o *Options) { o.PowerpackUUID = plivotest.PowerpackUUID }, []string{"PLIVO_SMS_FROM", "PLIVO_POWERPACK_UUID"}},
		{"a powerpack that is no UUID", func(o *Options) { o.SMSFrom, o.PowerpackUUID = "", "canary" }, []string{"PLIVO_POWERPACK_UUID"}},
		{"calls without a public URL", func(o *Options) { o.PublicURL = "" }, []string{"TWOFA_PUBLIC_URL", "PLIVO_CALL_FROM"}},
		{"a template without its language", func(o *Options) { o.WhatsAppTemplate = "canary" }, []string{"PLIVO_WHATSAPP_TEMPLATE"}},
		{"two alerts of a language", func(o *Options) { o.WhatsAppAlertTemplate = "en=a,en=b" }, []string{"PLIVO_WHATSAPP_ALERT_TEMPLATE"}},
		{"half of a registration", func(o *Options) { o.DLTEntityID = "1101" }, []string{"PLIVO_DLT_TEMPLATE_ID"}},
		{"the other half", func(o *Options) { o.DLTTemplateID = "1107" }, []string{"PLIVO_DLT_ENTITY_ID"}},
		{"a category alone", func(o *Options) { o.DLTTemplateCategory = "transactional" }, []string{"PLIVO_DLT_ENTITY_ID"}},
		{"a registration with a space", func(o *Options) { o.DLTEntityID, o.DLTTemplateID = "11 01", "1107" }, []string{"PLIVO_DLT_ENTITY_ID"}},
		{"a category in capitals", func(o *Options) { o.DLTEntityID, o.DLTTemplateID, o.DLTTemplateCategory = "1", "2", "Canary" }, []string{"PLIVO_DLT_TEMPLATE_CATEGORY"}},
		{"negative time-out", func(o *Options) { o.Timeout = -time.Second }, []string{"time-outs"}},

		{"reports by http", func(o *Options) { o.PublicURL, o.AllowPlainHTTP = "http://twofa.example", true }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to a path", func(o *Options) { o.PublicURL = ourURL + "/canary" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to a password", func(o *Options) { o.PublicURL = "https://canary@twofa.example" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to an underscore", func(o *Options) { o.PublicURL = "https://can_ary.example" }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to an empty port", func(o *Options) { o.PublicURL = ourURL + ":" }, []string{"TWOFA_PUBLIC_URL"}},
		{"http elsewhere", func(o *Options) { o.BaseURL = "http://127.0.0.1.evil.test" }, []string{"PLIVO_BASE_URL"}},
		{"a base with a path", func(o *Options) { o.BaseURL = "https://proxy.example/canary" }, []string{"PLIVO_BASE_URL"}},
		{"a base with a password", func(o *Options) { o.BaseURL = "https://user:canary@proxy.example" }, []string{"PLIVO_BASE_URL"}},
		{"no URL", func(o *Options) { o.BaseURL = "https://canary\x7f" }, []string{"PLIVO_BASE_URL"}},

		{"all at once", func(o *Options) {
			*o = Options{BaseURL: "x", WhatsAppTemplate: "x", Channels: channels, DLTEntityID: "!"}
		},
			[]string{"PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN", "PLIVO_WHATSAPP_FROM", "PLIVO_SMS_FROM", "PLIVO_CALL_FROM", "PLIVO_WHATSAPP_TEMPLATE", "PLIVO_DLT_ENTITY_ID", "PLIVO_BASE_URL"}},
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
			if err == nil || a != nil {
				t.Fatalf("got %v, %v; want a fault that names %v", a, err, tc.want)
			}
			for _, name := range tc.want {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%q does not name %s", err, name)
				}
			}
			for _, value := range []string{plivotest.AuthToken, plivotest.AuthID, "canary"} {
				if strings.Contains(err.Error(), value) {
					t.Errorf("the error quotes a value: %s", err)
				}
			}
		})
	}
}

func TestSMSSenders(t *testing.T) {
	for from, want := range map[string]bool{
		"+14155238886": true, "12345": true, "123": true, "12345678": true, "Acme": true, "3M": true, "Acme1234567": true,
		"Acme12345678": false, "A Cme": false, "Acme-2": false, "12": false, "123456789": false, " Acme": false, "Bäcker": false, "+": false, "+04155238886": false, "Ac\nme": false,
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
	if a.timeout != 5*time.Second || a.total != 12*time.Second || a.base.String() != "https://api.plivo.com" {
		t.Errorf("time-outs %v and %v, calls go to %s", a.timeout, a.total, a.base)
	}
}

// Options and Accounts may be logged by mistake. Their secrets must not.
func TestPrintingHidesCredentials(t *testing.T) {
	o := options()
	a := newAccount(t, o)
	printed := notifytest.Print(t, o, &o, a, a.sender(channel.SMS), a.Senders(), []Options{o}, map[string]*Account{"a": a}, struct {
		O Options
		A *Account
	}{o, a})
	notifytest.Secrets{"token": plivotest.AuthToken}.Check(t, "the output", printed)
}
