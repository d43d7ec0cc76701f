package bird

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"twofa/internal/channel"
	"twofa/internal/check"
	"twofa/internal/notify/gateway"
)

var _ check.Checker = Options{}

var api = gateway.Checked{Provider: "Bird", StatusPage: "status.bird.com", BaseSetting: baseURLVariable}

// Check implements check.Checker: it reads the workspace of the key with one GET, and says
// how the senders and the webhook can be tested. The answer is not passed on: it holds the
// workspace's name.
func (o Options) Check(ctx context.Context) []check.Finding {
	webhook := check.Finding{Name: "bird webhook", Setting: secretVariable, Result: check.Skipped,
		Text: "cannot be checked without a report: send yourself a message"}
	if o.WebhookSecret == "" {
		webhook.Result = check.Warning
		webhook.Text = "is not set: a message that Bird accepts and cannot deliver is not noticed. Register a webhook to TWOFA_PUBLIC_URL" + StatusPath + " in the Bird console"
	}
	found := []check.Finding{o.checkKey(ctx), webhook}
	for _, s := range []struct {
		name, setting string
		isSet         bool
	}{
		{"bird whatsapp sender", senderVariables[channel.WhatsApp], o.WhatsAppFrom != ""},
		{"bird sms sender", senderVariables[channel.SMS], o.SMSFrom != ""},
	} {
		if s.isSet {
			found = append(found, gateway.Untested(s.name, s.setting))
		}
	}
	return found
}

// checkKey reads the workspace.
func (o Options) checkKey(ctx context.Context) check.Finding {
	f := check.Finding{Name: "bird key", Result: check.Failed, Setting: keyVariable}
	if len(o.Faults()) > 0 { // config has reported them
		f.Text = "cannot be checked: the settings are at fault"
		return f
	}
	base, _ := o.parseBaseURL() // Faults has checked it
	req := gateway.NewRequest(ctx, http.MethodGet, base, "/v1/workspace", nil)
	req.Header.Set("Authorization", "Bearer "+o.APIKey)
	x := gateway.Ask(o.Transport, req)

	_, isBirds := readRefusal(x.Body)
	if text := api.Trouble(ctx, x, o.isCustom(base) && !isBirds); text != "" {
		if f.Text = text; o.isCustom(base) {
			f.Setting = baseURLVariable
		}
		return f
	}
	var workspace struct {
		ID string `json:"id"`
	}
	switch {
	case x.Status == http.StatusUnauthorized:
		f.Text = "is refused: copy it again from the Bird console, or make a new one"
	case x.Status == http.StatusForbidden:
		f.Result, f.Text = check.Warning, "may not read the workspace: see in the Bird console that it may send SMS and WhatsApp messages"
	case x.Status == http.StatusMisdirectedRequest:
		f.Text = "belongs to another region than it names: copy it again from the Bird console"
	case x.Status == http.StatusNotFound:
		f.Result, f.Text = check.Skipped, "cannot be checked any further: Bird answers, but does not show the workspace"
	case x.Status >= 400:
		f.Result, f.Text = check.Skipped, "cannot be checked: Bird refuses the request ("+strconv.Itoa(x.Status)+")"
	case json.Unmarshal(x.Body, &workspace) != nil || workspace.ID == "":
		f.Text = api.NotTheirs()
	default:
		f.Result, f.Text = check.OK, "is right"
	}
	return f
}
