package delivery

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/reqlog"
	"twofa/internal/user"
)

// Alert warns the person that wrong codes were tried until none were left. It
// reports whether the warning is on its way. It counts and is limited at each address
// that it goes to, as [otp.Alert] decides: two storage round trips for each. A silent
// warning is counted and not sent, and reports what one that was accepted does.
func (s *Sender) Alert(ctx context.Context, r otp.Recipient, v otp.Verification, silent bool) bool {
	count := func(old otp.Recipient, address string, now time.Time) (otp.Recipient, error) {
		return otp.Alert(old, address, v.Caller, now)
	}
	var routes []route
	for _, by := range append([]channel.Channel{r.PreferredBy(v.Client), v.Channel()}, v.Workflow...) {
		routes = append(routes, route{channel: by, to: r.AddressFor(v, by), count: count, silent: silent})
	}
	onItsWay := s.alert(ctx, routes, notify.Message{Brand: s.Brand(v.Client), Purpose: v.TextPurpose(), Locale: v.Locale}) != ""
	if silent {
		return onItsWay
	}
	return alerted(ctx, onItsWay)
}

// AlertUser tells a user that a recovery code was used, and how many are left,
// over the first of the user's channels that accepts the message, verified
// addresses before others. It counts and is limited at each address that it goes to,
// as [otp.AlertUsed] decides: two storage round trips for each. It reports whether the
// message is on its way.
func (s *Sender) AlertUser(ctx context.Context, u user.User, codesLeft int) bool {
	channels := u.Channels
	if len(channels) == 0 {
		channels = s.Workflow
	}
	var verified, others []route
	for _, by := range append(slices.Clone(channels), channel.Email) { // e-mail comes last
		to, proven := u.Phone, u.PhoneVerified
		if by.NeedsEmail() {
			to, proven = u.Email, u.EmailVerified
		}
		if r := (route{channel: by, to: to, count: otp.AlertUsed}); proven {
			verified = append(verified, r)
		} else {
			others = append(others, r)
		}
	}
	return alerted(ctx, s.alert(ctx, append(verified, others...), notify.Message{Brand: s.Brand(client.From(ctx).ID), Locale: u.Locale, Recovered: true, CodesLeft: codesLeft}) != "")
}

// alerted puts on the request's log line that an alert is on its way, if it is.
func alerted(ctx context.Context, onItsWay bool) bool {
	if onItsWay {
		reqlog.Add(ctx, slog.Bool("alerted", true))
	}
	return onItsWay
}

// route is a channel and the address that it would reach, "" if there is none.
// count is the transition that counts the message in the row of the address, or
// refuses it. nil: it is counted already.
type route struct {
	channel channel.Channel
	to      string
	count   counting
	silent  bool // it is counted, and nothing is sent
}

// alert sends a warning over the first route that works. It stops at a sender that
// may have sent the message. An address counts a warning once, over how many channels
// it may be tried. It returns the channel over which the warning is on its way, "" if it
// is not.
func (s *Sender) alert(ctx context.Context, routes []route, m notify.Message) channel.Channel {
	counted := make(map[string]bool) // by address: whether it may be warned
	for i, r := range routes {
		same := func(other route) bool { return other.channel == r.channel && other.to == r.to }
		if !s.Senders.Has(r.channel) || r.to == "" || slices.ContainsFunc(routes[:i], same) ||
			s.TestNumbers.Scenario(r.to, s.Now()) != (otp.Scenario{}) {
			continue
		}
		may, known := counted[r.to]
		if !known {
			may = r.count == nil || s.count(ctx, r.to, s.Now(), r.count) == nil
			counted[r.to] = may
		}
		if !may {
			reqlog.Add(ctx, slog.String("alert", "held back over "+string(r.channel)))
			continue
		}
		if r.silent {
			return r.channel
		}
		m.To, m.Alert = r.to, true
		if sent, ended := s.alertOver(ctx, r.channel, m); ended {
			return sent
		}
	}
	return ""
}

// alertOver sends a warning over the providers of one channel until one accepts it. A refusal that
// is the address's ends the channel. ended is true if no other channel may follow; sent is then the
// channel, "" if it is not known whether the warning is on its way.
func (s *Sender) alertOver(ctx context.Context, by channel.Channel, m notify.Message) (sent channel.Channel, ended bool) {
	list := s.Policy.Routes.Of(by)
	if len(list) > 1 {
		down := s.Down([]channel.Channel{by})
		slices.SortStableFunc(list, func(a, b channel.Route) int {
			return cmp.Compare(slices.Index(down, a.Provider), slices.Index(down, b.Provider)) // -1: it is not down
		})
	}
	for _, over := range list {
		m.Provider = over.Provider
		err := s.give(ctx, by, m)
		if err == nil {
			return by, true
		}
		reqlog.Add(ctx, slog.String("alert", "failed over "+string(by)))
		f, ok := asFailure(err)
		s.log(ctx, over, f)
		switch {
		case f.MayHaveSent && !ok:
			return "", true
		case f.MayHaveSent:
			return by, true
		case !mayRecover(f):
			return "", false
		}
	}
	return "", false
}
