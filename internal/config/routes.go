package config

import (
	"slices"
	"strings"

	"twofa/internal/channel"
)

// providers are those of messages to phones, by the name that the operator writes.
var providers = []string{channel.Twilio}

const routesFault = "has to be channels with their providers in the order in which they are tried, like whatsapp=twilio,plivo; sms=plivo,twilio: each channel is one of TWOFA_CHANNELS but email, each once; each provider is one of "

// routes reads TWOFA_ROUTES. A channel that is not in it has one provider, Twilio.
func (e environment) routes(channels []channel.Channel, faults *Faults) channel.Routes {
	if strings.TrimSpace(e.Routes) == "" {
		return nil
	}
	routes := make(channel.Routes)
	for entry := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(e.Routes), ";"), ";") {
		name, list, _ := strings.Cut(entry, "=")
		c := channel.Channel(strings.TrimSpace(name))
		ok := slices.Contains(channels, c) && !c.NeedsEmail() && routes[c] == nil
		for provider := range strings.SplitSeq(list, ",") {
			provider = strings.TrimSpace(provider)
			ok = ok && slices.Contains(providers, provider) && !slices.Contains(routes[c], provider)
			routes[c] = append(routes[c], provider)
		}
		if !ok {
			faults.add("TWOFA_ROUTES", "%s", routesFault+strings.Join(providers, ", "))
			return nil
		}
	}
	return routes
}
