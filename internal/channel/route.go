package channel

import "slices"

// Twilio is the provider of a message without the name of one: all were, before there were routes.
const Twilio = "twilio"

// Route is a way to a person: a channel over a provider, "" if the operator names none.
type Route struct {
	Channel  Channel
	Provider string
}

// Routes has the names of the providers of each channel, in the order in which they are tried.
// A channel that is not in it has one provider, without a name.
type Routes map[Channel][]string

// Of lists the routes of a channel.
func (r Routes) Of(c Channel) (list []Route) {
	for _, provider := range r[c] {
		list = append(list, Route{c, provider})
	}
	if list == nil {
		list = []Route{{Channel: c}}
	}
	return list
}

// Has reports whether a channel has the route.
func (r Routes) Has(route Route) bool { return slices.Contains(r.Of(route.Channel), route) }
