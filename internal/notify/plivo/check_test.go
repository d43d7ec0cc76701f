package plivo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/check"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/plivotest"
)

// checkOptions have every sender.
func checkOptions(base string) Options {
	o := options()
	o.BaseURL, o.Texts = base, nil
	return o
}

// wantFindings checks that each line, "name result setting text", has its parts, which are
// separated by "|". No finding holds a secret, a number or the provider's words.
func wantFindings(t *testing.T, found []check.Finding, want ...string) {
	t.Helper()
	var lines []string
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", f.Name, f.Result, f.Setting, f.Text))
	}
	text := strings.Join(lines, "\n")
	ok := len(lines) == len(want)
	for i := 0; ok && i < len(want); i++ {
		for part := range strings.SplitSeq(want[i], "|") {
			ok = ok && strings.Contains(lines[i], part)
		}
	}
	if !ok {
		t.Errorf("found\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
	notifytest.Secrets{
		"account": plivotest.AuthID, "token": plivotest.AuthToken, "WhatsApp sender": plivotest.WhatsAppFrom[1:], "SMS sender": plivotest.SMSFrom[1:],
		"powerpack": plivotest.PowerpackUUID, "address": "127.0.0.1", "provider word": "canary",
	}.Check(t, "a finding", text)
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	senders := []string{"plivo whatsapp sender skipped PLIVO_WHATSAPP_FROM|send yourself one", "plivo sms sender skipped PLIVO_SMS_FROM", "plivo call number skipped PLIVO_CALL_FROM"}
	for name, tc := range map[string]struct {
		account plivotest.Account
		change  func(*Options)
		script  *plivotest.Reply
		want    string // of the account
	}{
		"right":              {want: "ok PLIVO_AUTH_ID names an account that can be used"},
		"wrong token":        {change: func(o *Options) { o.AuthToken = "canary" }, want: "failed PLIVO_AUTH_TOKEN is refused"},
		"wrong account":      {change: func(o *Options) { o.AuthID = strings.Replace(o.AuthID, "Q", "A", 1) }, want: "failed PLIVO_AUTH_TOKEN"},
		"trial":              {account: plivotest.Account{Type: "developer"}, want: "warning PLIVO_AUTH_ID|trial"},
		"no credit":          {account: plivotest.Account{Credits: "0.00000"}, want: "failed PLIVO_AUTH_ID|without credit"},
		"debts":              {account: plivotest.Account{Credits: "-1.5"}, want: "failed PLIVO_AUTH_ID|without credit"},
		"paid later":         {account: plivotest.Account{Credits: "0.00000", BillingMode: "postpaid"}, want: "ok PLIVO_AUTH_ID"},
		"recharged":          {account: plivotest.Account{Credits: "0.00000", AutoRecharge: true}, want: "ok PLIVO_AUTH_ID"},
		"credit in words":    {account: plivotest.Account{Credits: "canary"}, want: "ok PLIVO_AUTH_ID"},
		"no such account":    {script: new(plivotest.Refuse(404)), want: "failed PLIVO_AUTH_ID|does not know"},
		"a proxy refuses":    {script: new(plivotest.Raw(403, "canary")), want: "failed PLIVO_BASE_URL|something else than Plivo"},
		"a bad request":      {script: new(plivotest.Refuse(400)), want: "skipped PLIVO_AUTH_ID|refuses the request (400)"},
		"foreign":            {script: new(plivotest.Raw(200, "<html>canary")), want: "failed|not one of Plivo's"},
		"another account":    {script: new(plivotest.Raw(200, `{"auth_id":"canary"}`)), want: "failed|not one of Plivo's"},
		"few fields":         {script: new(plivotest.Raw(200, `{"auth_id":"`+plivotest.AuthID+`"}`)), want: "ok PLIVO_AUTH_ID"},
		"credit as a number": {script: new(plivotest.Raw(200, `{"auth_id":"`+plivotest.AuthID+`","cash_credits":0,"account_type":7}`)), want: "failed|without credit"},
		"a list":             {script: new(plivotest.Raw(200, `["`+plivotest.AuthID+`"]`)), want: "failed|not one of Plivo's"},
		"huge":               {script: new(plivotest.Raw(200, strings.Repeat(" ", 2*gateway.MaxBody)+`{"auth_id":"`+plivotest.AuthID+`"}`)), want: "failed|not one of Plivo's"},
		"redirect":           {script: new(plivotest.Redirect("http://canary.example")), want: "failed PLIVO_BASE_URL|redirect"},
		"too many":           {script: new(plivotest.Refuse(429)), want: "failed|too many requests"},
		"server error":       {script: new(plivotest.Refuse(503)), want: "failed|server error (503)|status.plivo.com"},
		"connection dropped": {script: new(plivotest.Drop()), want: "failed|broke"},
		"settings at fault":  {change: func(o *Options) { o.AuthToken = "canary " }, want: "failed PLIVO_AUTH_ID|at fault"},
	} {
		t.Run(name, func(t *testing.T) {
			server := plivotest.Start(tc.account)
			defer server.Close()
			o := checkOptions(server.URL)
			if tc.change != nil {
				tc.change(&o)
			}
			if tc.script != nil {
				server.OnAccount(*tc.script)
			}
			wantFindings(t, o.Check(t.Context()), append([]string{"plivo account " + tc.want}, senders...)...)
			for _, c := range server.Calls() {
				if c.Method != http.MethodGet {
					t.Errorf("%s %s", c.Method, c.Path)
				}
			}
			if n := server.CallCount(); n > 1 || n == 0 && name != "settings at fault" {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// Plivo may not show a subaccount to itself. Only the senders that are set are listed.
func TestCheckOfASubaccount(t *testing.T) {
	id := "SA" + plivotest.AuthID[2:]
	server := plivotest.Start(plivotest.Account{AuthID: id})
	defer server.Close()
	o := checkOptions(server.URL)
	withPowerpack(&o)
	o.AuthID, o.WhatsAppFrom, o.CallFrom, o.Channels = id, "", "", []channel.Channel{channel.SMS}
	wantFindings(t, o.Check(t.Context()), "plivo account ok PLIVO_AUTH_ID", "plivo powerpack skipped PLIVO_POWERPACK_UUID")
	server.OnAccount(plivotest.Refuse(404))
	wantFindings(t, o.Check(t.Context()), "plivo account skipped PLIVO_AUTH_ID|subaccount", "plivo powerpack skipped")
}

// If nothing listens, or the check is stopped, the finding says so.
func TestCheckWithoutAnAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	listener.Close()
	o := checkOptions(base)
	if f := o.checkAccount(t.Context()); f.Setting != baseURLVariable || !strings.Contains(f.Text, "no connection") {
		t.Errorf("%+v", f)
	}

	server := plivotest.Start(plivotest.Account{})
	defer server.Close()
	server.OnAccount(plivotest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	transport := gateway.NewTransport()
	defer transport.CloseIdleConnections()
	o = checkOptions(server.URL)
	o.Transport = notifytest.RoundTripper(func(req *http.Request) (*http.Response, error) {
		cancel()
		return transport.RoundTrip(req)
	})
	if f := o.checkAccount(ctx); f.Result != check.Failed || !strings.Contains(f.Text, "before the check was stopped") {
		t.Errorf("%+v", f)
	}
}
