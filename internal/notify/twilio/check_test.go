package twilio

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/check"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/twiliotest"
)

// checkOptions have every sender, the messaging service, and reports.
func checkOptions(base string) Options {
	o := options()
	o.BaseURL, o.MessagingServiceSID, o.PublicURL, o.Texts = base, twiliotest.MessagingServiceSID, ourURL, nil
	return o
}

// canaries must not be in a finding. The double quotes all of them.
var canaries = []string{
	twiliotest.AccountSID, twiliotest.AuthToken, twiliotest.APIKey, twiliotest.APISecret, twiliotest.MessagingServiceSID,
	twiliotest.WhatsAppFrom, twiliotest.SMSFrom, twiliotest.VoiceFrom, "127.0.0.1", "canary", "Authenticat", "was not found",
}

// show is what a check finds: "name result setting text" on each line.
func show(t *testing.T, found []check.Finding) string {
	t.Helper()
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s %s %s\n", f.Name, f.Result, f.Setting, f.Text)
		if f.Text == "" || f.Setting == "" {
			t.Errorf("%+v says nothing", f)
		}
	}
	for _, c := range canaries {
		if strings.Contains(b.String(), c) {
			t.Errorf("%q is in a finding:\n%s", c, b.String())
		}
	}
	return b.String()
}

// wantFindings checks that each line has its parts, which are separated by "|".
func wantFindings(t *testing.T, found []check.Finding, want ...string) {
	t.Helper()
	text := show(t, found)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	ok := len(lines) == len(want)
	for i := 0; ok && i < len(want); i++ {
		for part := range strings.SplitSeq(want[i], "|") {
			ok = ok && strings.Contains(lines[i], part)
		}
	}
	if !ok {
		t.Errorf("found\n%swant\n%s", text, strings.Join(want, "\n"))
	}
}

// lookupsSkipped are the lines of the senders if nothing was asked about them.
var lookupsSkipped = []string{
	"messaging service skipped|account cannot be used", "whatsapp sender skipped", "sms sender skipped", "voice number skipped",
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	const account = "twilio account "
	whole := []string{
		"messaging service ok TWILIO_MESSAGING_SERVICE_SID", "whatsapp sender skipped TWILIO_WHATSAPP_FROM|send yourself one",
		"sms sender ok TWILIO_SMS_FROM", "voice number ok TWILIO_VOICE_FROM",
	}
	for name, tc := range map[string]struct {
		account twiliotest.Account
		change  func(*Options)
		script  *twiliotest.Reply
		first   []string // the lines before those of the senders
		senders []string
	}{
		"right":         {first: []string{account + "ok TWILIO_ACCOUNT_SID names an active account"}, senders: whole},
		"wrong token":   {change: func(o *Options) { o.AuthToken = "canary" }, first: []string{account + "failed TWILIO_AUTH_TOKEN is refused"}, senders: lookupsSkipped},
		"wrong account": {change: func(o *Options) { o.AccountSID = strings.Replace(o.AccountSID, "AC0", "AC1", 1) }, first: []string{account + "failed TWILIO_AUTH_TOKEN"}, senders: lookupsSkipped},
		"trial":         {account: twiliotest.Account{Type: "Trial"}, first: []string{account + "warning TWILIO_ACCOUNT_SID|trial"}, senders: whole},
		"suspended":     {account: twiliotest.Account{Status: "suspended"}, first: []string{account + "failed TWILIO_ACCOUNT_SID|suspended"}, senders: lookupsSkipped},
		"closed":        {account: twiliotest.Account{Status: "closed"}, first: []string{account + "failed TWILIO_ACCOUNT_SID|closed"}, senders: lookupsSkipped},
		"a new state":   {account: twiliotest.Account{Status: "canary"}, first: []string{account + "warning|does not know"}, senders: whole},
		"token and key": {change: withKey, first: []string{account + "ok", "twilio key ok TWILIO_API_SECRET"}, senders: whole},
		"wrong token beside a key": {
			change: func(o *Options) { withKey(o); o.AuthToken = "canary" },
			first:  []string{account + "failed TWILIO_AUTH_TOKEN", "twilio key ok"}, senders: lookupsSkipped,
		},
		"wrong key": {
			change: func(o *Options) { withKey(o); o.APISecret = "canary" },
			first:  []string{account + "ok", "twilio key failed TWILIO_API_SECRET is refused"}, senders: lookupsSkipped,
		},
		"a key alone": {
			change: func(o *Options) { withKey(o); o.AuthToken, o.PublicURL = "", "" },
			first:  []string{account + "skipped|may not read the account", "twilio key ok"}, senders: whole,
		},
		"a main key alone": {
			account: twiliotest.Account{MainKey: true},
			change:  func(o *Options) { withKey(o); o.AuthToken, o.PublicURL = "", "" },
			first:   []string{account + "ok TWILIO_ACCOUNT_SID", "twilio key ok"}, senders: whole,
		},
		"a wrong key alone": {
			change: func(o *Options) { withKey(o); o.AuthToken, o.PublicURL, o.APISecret = "", "", "canary" },
			first:  []string{account + "failed TWILIO_API_SECRET", "twilio key failed TWILIO_API_SECRET"}, senders: lookupsSkipped,
		},
		"foreign senders": {
			change: func(o *Options) {
				o.MessagingServiceSID = strings.Replace(o.MessagingServiceSID, "MG9", "MG0", 1)
				o.SMSFrom, o.VoiceFrom = "+12025550199", "+12025550199"
			},
			first: []string{account + "ok"},
			senders: []string{
				"messaging service failed TWILIO_MESSAGING_SERVICE_SID|does not have", "whatsapp",
				"sms sender warning TWILIO_SMS_FROM|not among the numbers", "voice number warning TWILIO_VOICE_FROM|not among the numbers",
			},
		},
		"a name, and no others": {
			change: func(o *Options) {
				o.SMSFrom, o.VoiceFrom, o.WhatsAppFrom, o.MessagingServiceSID = "Acme", "", "", ""
				o.Channels = []channel.Channel{channel.SMS}
			},
			first: []string{account + "ok"}, senders: []string{"sms sender skipped TWILIO_SMS_FROM|a short code or a name"},
		},
		"test credentials":   {script: new(twiliotest.Refuse(403, codeTestCredentials)), first: []string{account + "warning TWILIO_AUTH_TOKEN|test credentials"}, senders: []string{"skipped|may send, but not read", "skipped", "skipped|not read", "skipped|not read"}},
		"no such account":    {script: new(twiliotest.Refuse(404, codeNotFound)), first: []string{account + "failed TWILIO_ACCOUNT_SID|does not know"}, senders: lookupsSkipped},
		"a proxy refuses":    {script: new(twiliotest.Raw(403, "canary")), first: []string{account + "failed TWILIO_BASE_URL|something else than Twilio"}, senders: lookupsSkipped},
		"foreign":            {script: new(twiliotest.Raw(200, "<html>canary")), first: []string{account + "failed|not one of Twilio's"}, senders: lookupsSkipped},
		"another resource":   {script: new(twiliotest.Raw(200, `{"sid":"canary","status":"active"}`)), first: []string{account + "failed|not one of Twilio's"}, senders: lookupsSkipped},
		"huge":               {script: new(twiliotest.Raw(200, strings.Repeat(" ", 2*gateway.MaxBody)+`{"sid":"`+twiliotest.AccountSID+`","status":"active"}`)), first: []string{account + "failed|not one of Twilio's"}, senders: lookupsSkipped},
		"redirect":           {script: new(twiliotest.Redirect("http://canary.example")), first: []string{account + "failed|redirect"}, senders: lookupsSkipped},
		"too many":           {script: new(twiliotest.Refuse(429, 20429)), first: []string{account + "failed|too many requests"}, senders: lookupsSkipped},
		"server error":       {script: new(twiliotest.Refuse(503, 20500)), first: []string{account + "failed|server error (503)"}, senders: lookupsSkipped},
		"connection dropped": {script: new(twiliotest.Drop()), first: []string{account + "failed|broke"}, senders: lookupsSkipped},
	} {
		t.Run(name, func(t *testing.T) {
			server := twiliotest.Start(tc.account)
			defer server.Close()
			o := checkOptions(server.URL)
			if tc.change != nil {
				tc.change(&o)
			}
			if tc.script != nil {
				server.OnLookup(*tc.script)
			}
			wantFindings(t, o.Check(t.Context()), append(tc.first, tc.senders...)...)
			for _, c := range server.Calls() {
				if c.Method != http.MethodGet {
					t.Errorf("%s %s", c.Method, c.Path)
				}
			}
			if n := len(server.Accepted()); n != 0 || server.CallCount() > 5 || server.CallCount() == 0 {
				t.Errorf("%d messages, %d requests", n, server.CallCount())
			}
		})
	}
}

// If nothing listens, or the host does not exist, the finding says so.
func TestCheckWithoutAConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	listener.Close()
	wantFindings(t, checkOptions(base).Check(t.Context()), append([]string{"failed TWILIO_BASE_URL|no connection"}, lookupsSkipped...)...)
}

// A server that hangs ends with the context.
func TestCheckEndsWithTheContext(t *testing.T) {
	server := twiliotest.Start(twiliotest.Account{})
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	o := checkOptions(server.URL)
	server.OnLookup(twiliotest.Hang())
	inner := gateway.NewTransport()
	defer inner.CloseIdleConnections()
	o.Transport = notifytest.RoundTripper(func(req *http.Request) (*http.Response, error) {
		cancel()
		return inner.RoundTrip(req)
	})
	wantFindings(t, o.Check(ctx), append([]string{"failed|before the check was stopped"}, lookupsSkipped...)...)
}

// In Twilio's domain, messaging services have a host of their own, in the same region.
func TestMessagingServicesHaveTheirOwnHost(t *testing.T) {
	for base, want := range map[string]string{
		"https://api.twilio.com":            "https://messaging.twilio.com",
		"https://api.dublin.ie1.twilio.com": "https://messaging.dublin.ie1.twilio.com",
		"https://api.example.com":           "https://api.example.com",
		"https://twilio-proxy.example.com":  "https://twilio-proxy.example.com",
	} {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		if got := (lookups{base: u}).messaging().String(); got != want {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
	}
}
