package bird

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"twofa/internal/check"
	"twofa/internal/notify/gateway"
	"twofa/internal/testing/birdtest"
	"twofa/internal/testing/notifytest"
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
		"key": birdtest.APIKey, "webhook secret": birdtest.WebhookSecret[6:], "WhatsApp sender": birdtest.WhatsAppFrom[1:], "SMS sender": birdtest.SMSFrom[1:],
		"address": "127.0.0.1", "provider word": "canary", "workspace": "01krdgeqcxet5s7t44vh8rt9mg",
	}.Check(t, "a finding", text)
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	others := []string{"bird webhook skipped BIRD_WEBHOOK_SECRET|send yourself", "bird whatsapp sender skipped BIRD_WHATSAPP_FROM|send yourself one", "bird sms sender skipped BIRD_SMS_FROM"}
	for name, tc := range map[string]struct {
		change func(*Options)
		script *birdtest.Reply
		want   string // of the key
	}{
		"right":               {want: "ok BIRD_API_KEY is right"},
		"wrong key":           {change: func(o *Options) { o.APIKey = "bk_eu1_canary" }, want: "failed BIRD_API_KEY is refused"},
		"a key that may send": {script: new(refuse(403)), want: "warning BIRD_API_KEY may not read the workspace"},
		"another region":      {script: new(refuse(421)), want: "failed BIRD_API_KEY|another region"},
		"no such resource":    {script: new(refuse(404)), want: "skipped BIRD_API_KEY|answers"},
		"a bad request":       {script: new(refuse(400)), want: "skipped BIRD_API_KEY|refuses the request (400)"},
		"a proxy refuses":     {script: new(birdtest.Raw(403, "canary")), want: "failed BIRD_BASE_URL|something else than Bird"},
		"a proxy has no page": {script: new(birdtest.Raw(404, "canary")), want: "failed BIRD_BASE_URL|something else than Bird"},
		"foreign":             {script: new(birdtest.Raw(200, "<html>canary")), want: "failed|not one of Bird's"},
		"another resource":    {script: new(birdtest.Raw(200, `{"name":"canary"}`)), want: "failed|not one of Bird's"},
		"huge":                {script: new(birdtest.Raw(200, strings.Repeat(" ", 2*gateway.MaxBody)+`{"id":"ws_canary"}`)), want: "failed|not one of Bird's"},
		"redirect":            {script: new(birdtest.Redirect("http://canary.example")), want: "failed BIRD_BASE_URL|redirect"},
		"too many":            {script: new(refuse(429)), want: "failed|too many requests"},
		"server error":        {script: new(refuse(503)), want: "failed|server error (503)|status.bird.com"},
		"connection dropped":  {script: new(birdtest.Drop()), want: "failed|broke"},
		"settings at fault":   {change: func(o *Options) { o.APIKey = "canary" }, want: "failed BIRD_API_KEY|at fault"},
		"a secret at fault":   {change: func(o *Options) { o.WebhookSecret = "canary" }, want: "failed BIRD_API_KEY|at fault"},
	} {
		t.Run(name, func(t *testing.T) {
			server := birdtest.Start(birdtest.Account{})
			defer server.Close()
			o := checkOptions(server.URL)
			if tc.change != nil {
				tc.change(&o)
			}
			if tc.script != nil {
				server.OnWorkspace(*tc.script)
			}
			wantFindings(t, o.Check(t.Context()), append([]string{"bird key " + tc.want}, others...)...)
			for _, c := range server.Calls() {
				if c.Method != http.MethodGet {
					t.Errorf("%s %s", c.Method, c.Path)
				}
			}
			if n := server.CallCount(); n > 1 || n == 0 && !strings.Contains(name, "at fault") {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// Only the senders that are set are listed. Without a secret there are no reports.
func TestCheckOfFewSettings(t *testing.T) {
	server := birdtest.Start(birdtest.Account{})
	defer server.Close()
	o := checkOptions(server.URL)
	withManaged(&o)
	o.SMSFrom, o.Channels, o.WebhookSecret = "", nil, ""
	wantFindings(t, o.Check(t.Context()), "bird key ok", "bird webhook warning BIRD_WEBHOOK_SECRET is not set|/hooks/bird/status")
}

// If nothing listens, or the check is stopped, the finding says so.
func TestCheckWithoutAnAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + listener.Addr().String()
	listener.Close()
	if f := checkOptions(base).checkKey(t.Context()); f.Setting != baseURLVariable || !strings.Contains(f.Text, "no connection") {
		t.Errorf("%+v", f)
	}

	server := birdtest.Start(birdtest.Account{})
	defer server.Close()
	server.OnWorkspace(birdtest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	transport := gateway.NewTransport()
	defer transport.CloseIdleConnections()
	o := checkOptions(server.URL)
	o.Transport = notifytest.RoundTripper(func(req *http.Request) (*http.Response, error) {
		cancel()
		return transport.RoundTrip(req)
	})
	if f := o.checkKey(ctx); f.Result != check.Failed || !strings.Contains(f.Text, "before the check was stopped") {
		t.Errorf("%+v", f)
	}
}
