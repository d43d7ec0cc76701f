package config

import (
	"slices"
	"strings"

	"twofa/internal/channel"
	"twofa/internal/notify/bird"
	"twofa/internal/notify/plivo"
)

// provider is a provider of messages to phones.
type provider struct {
	name    string // as the operator writes it
	has     []channel.Channel
	account func(environment) string // the setting without which it is not in use
}

var byPhone = []channel.Channel{channel.WhatsApp, channel.SMS, channel.Call}

// providers are all providers. A channel that TWOFA_ROUTES does not name goes over the first one
// that has an account, over Twilio if none has.
var providers = []provider{
	{channel.Twilio, byPhone, func(e environment) string { return e.TwilioAccountSID }},
	{plivo.Name, byPhone, func(e environment) string { return e.PlivoAuthID }},
	{bird.Name, byPhone[:2], func(e environment) string { return e.BirdAPIKey }},
}

const routesFault = "has to be channels with their providers in the order in which they are tried, like whatsapp=twilio,plivo; sms=plivo,twilio: each channel is one of whatsapp, sms and call, once; each provider is one of "

// routed is what TWOFA_ROUTES comes to.
type routed struct {
	// routes has no entry for a channel that goes over Twilio alone, if that is not in TWOFA_ROUTES:
	// its messages name no provider.
	routes channel.Routes
	// byDefault is the provider of the channels that TWOFA_ROUTES does not name.
	byDefault string
	// channels has, by provider, the channels of the workflow and of TWOFA_ROUTES that go over it.
	channels map[string][]channel.Channel
}

// route reads TWOFA_ROUTES for a workflow.
func (e environment) route(workflow []channel.Channel, faults *Faults) routed {
	r := routed{routes: e.readRoutes(faults), channels: make(map[string][]channel.Channel)}
	r.byDefault = providers[0].name
	if i := slices.IndexFunc(providers, func(p provider) bool { return p.account(e) != "" }); i >= 0 {
		r.byDefault = providers[i].name
	}
	for _, c := range byPhone {
		names, named := r.routes[c]
		if !named {
			names = []string{r.byDefault}
		}
		if named || slices.Contains(workflow, c) {
			for _, name := range names {
				r.channels[name] = append(r.channels[name], c)
			}
		}
		if !named && r.byDefault != channel.Twilio {
			if r.routes == nil {
				r.routes = make(channel.Routes)
			}
			r.routes[c] = names
		}
	}
	return r
}

func (e environment) readRoutes(faults *Faults) channel.Routes {
	if strings.TrimSpace(e.Routes) == "" {
		return nil
	}
	routes := make(channel.Routes)
	for entry := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(e.Routes), ";"), ";") {
		name, list, _ := strings.Cut(entry, "=")
		c := channel.Channel(strings.TrimSpace(name))
		ok := slices.Contains(byPhone, c) && routes[c] == nil
		for name := range strings.SplitSeq(list, ",") {
			name = strings.TrimSpace(name)
			i := slices.IndexFunc(providers, func(p provider) bool { return p.name == name })
			ok = ok && i >= 0 && slices.Contains(providers[i].has, c) && !slices.Contains(routes[c], name)
			routes[c] = append(routes[c], name)
		}
		if !ok {
			faults.add("TWOFA_ROUTES", "%s", routesFault+providerNames())
			return nil
		}
	}
	return routes
}

func providerNames() string {
	var names []string
	for _, p := range providers {
		name := p.name
		if len(p.has) < len(byPhone) {
			name += " (no calls)"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}
