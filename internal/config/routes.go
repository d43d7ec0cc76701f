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
	// read reads the settings, for the channels that need a sender, and returns their faults.
	read func(environment, *Settings, []channel.Channel) []string
}

var byPhone = []channel.Channel{channel.WhatsApp, channel.SMS, channel.Call}

// providers are all providers. A channel that TWOFA_ROUTES does not name goes over the first one
// that has an account and this channel, over Twilio if none has an account.
var providers = []provider{
	{channel.Twilio, byPhone, func(e environment) string { return e.TwilioAccountSID }, environment.twilio},
	{plivo.Name, byPhone, func(e environment) string { return e.PlivoAuthID }, environment.plivo},
	{bird.Name, byPhone[:2], func(e environment) string { return e.BirdAPIKey }, environment.bird},
}

const routesFault = "has to be channels with their providers in the order in which they are tried, like whatsapp=twilio,plivo; sms=plivo,twilio: each channel is one of whatsapp, sms and call, once; each provider is one of "

// routed is what TWOFA_ROUTES comes to.
type routed struct {
	// routes has every channel that goes over a provider. It is nil if all go over Twilio and the
	// operator names no providers: messages then name none.
	routes channel.Routes
	// channels has, by provider, the channels of the workflow and of TWOFA_ROUTES that go over it:
	// they need a sender.
	channels map[string][]channel.Channel
}

// route reads TWOFA_ROUTES for a workflow. A fault of it leaves all channels without a route, so that
// nothing else is called a fault because of it.
func (e environment) route(workflow []channel.Channel, faults *Faults) (r routed) {
	named, ok := e.readRoutes(faults)
	if !ok {
		return r
	}
	r.routes, r.channels = make(channel.Routes), make(map[string][]channel.Channel)
	onlyTwilio := len(named) == 0
	for _, c := range byPhone {
		names := named[c]
		needed := names != nil || slices.Contains(workflow, c)
		if names == nil {
			byDefault := e.byDefault(c)
			if byDefault == "" {
				if needed {
					faults.add("TWOFA_CHANNELS", "has %s, and no provider that has an account has this channel: set up another one (docs/providers.md)", c)
				}
				continue
			}
			names, onlyTwilio = []string{byDefault}, onlyTwilio && byDefault == channel.Twilio
		}
		r.routes[c] = names
		for _, name := range names {
			if needed {
				r.channels[name] = append(r.channels[name], c)
			}
		}
	}
	if onlyTwilio {
		r.routes = nil
	}
	return r
}

// byDefault is the provider of a channel that TWOFA_ROUTES does not name, "" if those that have an
// account do not have the channel.
func (e environment) byDefault(c channel.Channel) string {
	byDefault := channel.Twilio
	for _, p := range providers {
		if p.account(e) == "" {
			continue
		}
		if slices.Contains(p.has, c) {
			return p.name
		}
		byDefault = ""
	}
	return byDefault
}

func (e environment) readRoutes(faults *Faults) (routes channel.Routes, ok bool) {
	if strings.TrimSpace(e.Routes) == "" {
		return nil, true
	}
	routes = make(channel.Routes)
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
			return nil, false
		}
	}
	return routes, true
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
