package bird

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/notifytest"
)

func TestOptions(t *testing.T) {
	secret := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, tc := range []struct {
		name   string
		change func(*Options)
		want   []string // the error names these. Empty: no error
	}{
		{"good", func(*Options) {}, nil},
		{"another region", func(o *Options) { o.APIKey = "bk_us1_a-b_C9" }, nil},
		{"no template", withText, nil},
		{"templates by language", func(o *Options) {
			o.WhatsAppTemplate, o.WhatsAppAlertTemplate = "en=a-b, pt_br=b_2", "de=wat_01krdgeqcxet5s7t44vh8rt9mg"
		}, nil},
		{"templates of Bird's", withManaged, nil},
		{"templates of Bird's and an alert's", func(o *Options) { withManaged(o); o.WhatsAppAlertTemplate = "en=bird_alert,de=bird_alert" }, nil},
		{"no senders", func(o *Options) { o.SMSFrom, o.WhatsAppFrom, o.WhatsAppTemplate, o.Channels = "", "", "", nil }, nil},
		{"channels of others", func(o *Options) {
			o.Channels, o.WhatsAppFrom, o.WhatsAppTemplate = []channel.Channel{channel.Email, channel.SMS, channel.Call}, "", ""
		}, nil},
		{"no reports", func(o *Options) { o.PublicURL, o.WebhookSecret = "", "" }, nil},
		{"the shortest secret", func(o *Options) { o.WebhookSecret = secret(24) }, nil},
		{"the longest secret", func(o *Options) { o.WebhookSecret = secret(64) }, nil},
		{"https base", func(o *Options) { o.BaseURL = "https://proxy.example:8443/" }, nil},
		{"http on loopback", func(o *Options) { o.BaseURL, o.PublicURL = "http://[::1]:8080", "http://127.0.0.1:7071/" }, nil},
		{"http elsewhere, allowed", func(o *Options) { o.BaseURL, o.AllowPlainHTTP = "http://10.0.0.1:8080", true }, nil},

		{"no texts yet", func(o *Options) { o.Texts = nil }, []string{"Texts"}},
		{"no key", func(o *Options) { o.APIKey = "" }, []string{"BIRD_API_KEY"}},
		{"a key of MessageBird's", func(o *Options) { o.APIKey = "live_canary" }, []string{"BIRD_API_KEY"}},
		{"a key without a region", func(o *Options) { o.APIKey = "bk_canary" }, []string{"BIRD_API_KEY"}},
		{"a key without a token", func(o *Options) { o.APIKey = "bk_eu1_" }, []string{"BIRD_API_KEY"}},
		{"a key with an empty region", func(o *Options) { o.APIKey = "bk__canary" }, []string{"BIRD_API_KEY"}},
		{"a region that leads elsewhere", func(o *Options) { o.APIKey = "bk_evil.test/_canary" }, []string{"BIRD_API_KEY"}},
		{"a region with an at sign", func(o *Options) { o.APIKey = "bk_a@evil.test#_canary" }, []string{"BIRD_API_KEY"}},
		{"a region in capitals", func(o *Options) { o.APIKey = "bk_EU1_canary" }, []string{"BIRD_API_KEY"}},
		{"a long region", func(o *Options) { o.APIKey = "bk_" + strings.Repeat("a", 17) + "_canary" }, []string{"BIRD_API_KEY"}},
		{"a long key", func(o *Options) { o.APIKey = "bk_eu1_canary" + strings.Repeat("a", 256) }, []string{"BIRD_API_KEY"}},
		{"a key with a space", func(o *Options) { o.APIKey += " " }, []string{"BIRD_API_KEY"}},
		{"a key with a line end", func(o *Options) { o.APIKey += "\r\nX: canary" }, []string{"BIRD_API_KEY"}},
		{"no sender of WhatsApp", func(o *Options) { o.WhatsAppFrom, o.WhatsAppTemplate = "", "" }, []string{"BIRD_WHATSAPP_FROM", "BIRD_WHATSAPP_TEMPLATE"}},
		{"no sender for an own template", func(o *Options) { o.WhatsAppFrom = "" }, []string{"BIRD_WHATSAPP_FROM", "BIRD_WHATSAPP_TEMPLATE"}},
		{"no sender for one of two templates", func(o *Options) { o.WhatsAppFrom, o.WhatsAppTemplate = "", "en=bird_otp,de=canary" }, []string{"BIRD_WHATSAPP_FROM", "BIRD_WHATSAPP_TEMPLATE"}},
		{"no sender for an own alert", func(o *Options) { withManaged(o); o.WhatsAppAlertTemplate = "en=canary" }, []string{"BIRD_WHATSAPP_FROM", "BIRD_WHATSAPP_ALERT_TEMPLATE"}},
		{"no sender of SMS", func(o *Options) { o.SMSFrom = "" }, []string{"BIRD_SMS_FROM"}},
		{"a sender without a plus", func(o *Options) { o.WhatsAppFrom = "14155238886" }, []string{"BIRD_WHATSAPP_FROM"}},
		{"a sender of SMS that is unused and wrong", func(o *Options) { o.SMSFrom, o.Channels = "canary canary", nil }, []string{"BIRD_SMS_FROM"}},
		{"a template without its language", func(o *Options) { o.WhatsAppTemplate = "canary" }, []string{"BIRD_WHATSAPP_TEMPLATE"}},
		{"a template in capitals", func(o *Options) { o.WhatsAppTemplate = "en=Canary" }, []string{"BIRD_WHATSAPP_TEMPLATE"}},
		{"a template that begins with a hyphen", func(o *Options) { o.WhatsAppTemplate = "en=-canary" }, []string{"BIRD_WHATSAPP_TEMPLATE"}},
		{"a long template", func(o *Options) { o.WhatsAppTemplate = "en=canary" + strings.Repeat("a", 58) }, []string{"BIRD_WHATSAPP_TEMPLATE"}},
		{"two alerts of a language", func(o *Options) { o.WhatsAppAlertTemplate = "en=a,en=b" }, []string{"BIRD_WHATSAPP_ALERT_TEMPLATE"}},
		{"a secret without its prefix", func(o *Options) { o.WebhookSecret = secret(32)[6:] }, []string{"BIRD_WEBHOOK_SECRET"}},
		{"a secret that is not base64", func(o *Options) { o.WebhookSecret = "whsec_" + strings.Repeat("canary!!", 5) }, []string{"BIRD_WEBHOOK_SECRET"}},
		{"a secret with a line end", func(o *Options) { o.WebhookSecret += "\n" }, []string{"BIRD_WEBHOOK_SECRET"}},
		{"a secret without padding", func(o *Options) { o.WebhookSecret = strings.TrimRight(secret(32), "=") }, []string{"BIRD_WEBHOOK_SECRET"}},
		{"a short secret", func(o *Options) { o.WebhookSecret = secret(23) }, []string{"BIRD_WEBHOOK_SECRET"}},
		{"a long secret", func(o *Options) { o.WebhookSecret = secret(65) }, []string{"BIRD_WEBHOOK_SECRET"}},
		{"an empty secret", func(o *Options) { o.WebhookSecret = "whsec_" }, []string{"BIRD_WEBHOOK_SECRET"}},
		{"negative time-out", func(o *Options) { o.Timeout = -time.Second }, []string{"time-outs"}},

		{"reports by http", func(o *Options) { o.PublicURL, o.AllowPlainHTTP = "http://twofa.example", true }, []string{"TWOFA_PUBLIC_URL"}},
		{"reports to a path", func(o *Options) { o.PublicURL = ourURL + "/canary" }, []string{"TWOFA_PUBLIC_URL"}},
		{"http elsewhere", func(o *Options) { o.BaseURL = "http://127.0.0.1.evil.test" }, []string{"BIRD_BASE_URL"}},
		{"a base with a path", func(o *Options) { o.BaseURL = "https://proxy.example/canary" }, []string{"BIRD_BASE_URL"}},
		{"a base with a password", func(o *Options) { o.BaseURL = "https://user:canary@proxy.example" }, []string{"BIRD_BASE_URL"}},
		{"no URL", func(o *Options) { o.BaseURL = "https://canary\x7f" }, []string{"BIRD_BASE_URL"}},

		{"all at once", func(o *Options) {
			*o = Options{BaseURL: "x", WhatsAppTemplate: "x", WhatsAppAlertTemplate: "en=x", SMSFrom: "!", WebhookSecret: "x", Channels: channels, PublicURL: "x", Timeout: -1}
		},
			[]string{"BIRD_API_KEY", "BIRD_WEBHOOK_SECRET", "BIRD_SMS_FROM", "BIRD_WHATSAPP_TEMPLATE", "BIRD_WHATSAPP_ALERT_TEMPLATE", "BIRD_BASE_URL", "TWOFA_PUBLIC_URL", "time-outs"}},
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
			for _, value := range []string{birdtest.APIKey, birdtest.WebhookSecret, "canary"} {
				if strings.Contains(err.Error(), value) {
					t.Errorf("the error quotes a value: %s", err)
				}
			}
		})
	}
}

func TestSMSSenders(t *testing.T) {
	for from, want := range map[string]bool{
		"+14155238886": true, "12345": true, "123456": true, "Acme": true, "3M": true, "Acme1234567": true, "A Cme-2_x": true,
		"Acme12345678": false, "Acme+": false, "12": false, "123456789": false, " Acme": false, "Acme ": false, "Bäcker": false, "-": false, "1-2": false, "+04155238886": false, "Ac\nme": false,
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
	if a.timeout != 5*time.Second || a.total != 12*time.Second || a.base.String() != "https://eu1.platform.bird.com" {
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
	notifytest.Secrets{"key": birdtest.APIKey, "webhook secret": birdtest.WebhookSecret}.Check(t, "the output", printed)
}

// Whatever the key is: calls go to a host of Bird's.
func FuzzRegion(f *testing.F) {
	for _, seed := range []string{birdtest.APIKey, "bk_us1_x", "bk_evil.test/_x", "bk_a@b_x", "bk__x", "bk_é_x", "bk_eu1_x\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		o := options()
		o.APIKey = key
		a, err := New(o)
		if err != nil {
			return
		}
		again, err := url.Parse(a.base.String())
		if err != nil || again.Scheme != "https" || !strings.HasSuffix(again.Host, ".platform.bird.com") || strings.Count(again.Host, ".") != 3 || again.User != nil || again.Path != "" || a.customBase {
			t.Errorf("%q leads to %s", key, a.base)
		}
		if strings.ContainsAny(key, "\r\n \x00") {
			t.Errorf("%q can be in no header", key)
		}
	})
}

// A secret is read only in its one form, and has enough bytes.
func FuzzReadSecret(f *testing.F) {
	for _, seed := range []string{birdtest.WebhookSecret, "whsec_", "whsec_AAAA", "whsec_" + strings.Repeat("A", 87) + "=", "whsec_\r\n" + birdtest.WebhookSecret[6:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		if key, ok := readSecret(secret); ok && (len(key) < 24 || len(key) > 64 || len("whsec_"+base64.StdEncoding.EncodeToString(key)) != len(secret)) {
			t.Errorf("%q is read as %x", secret, key)
		}
	})
}
