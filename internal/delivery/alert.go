package delivery

import (
	"context"
	"log/slog"
	"slices"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/reqlog"
	"twofa/internal/user"
)

// Alert warns the person that wrong codes were tried until none were left. It
// reports whether the warning is on its way. A warning does not count as a message
// to the address.
func (s *Sender) Alert(ctx context.Context, r otp.Recipient, v otp.Verification) bool {
	var routes []route
	for _, by := range append([]channel.Channel{r.Preferred.Channel, v.Channel()}, v.Workflow...) {
		routes = append(routes, route{by, r.AddressFor(v, by), false})
	}
	return s.alert(ctx, routes, notify.Message{Purpose: v.Purpose, Locale: v.Locale})
}

// AlertUser tells a user that a recovery code was used, and how many are left,
// over the first of the user's channels that accepts the message, verified
// addresses before others. It counts as a message to the address, whose limits
// hold: two storage round trips each. It reports whether the message is on its way.
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
		if r := (route{by, to, true}); proven {
			verified = append(verified, r)
		} else {
			others = append(others, r)
		}
	}
	return s.alert(ctx, append(verified, others...), notify.Message{Locale: u.Locale, Recovered: true, CodesLeft: codesLeft})
}

// route is a channel and the address that it would reach, "" if there is none.
// counted tells whether the message counts towards the address's limits.
type route struct {
	channel channel.Channel
	to      string
	counted bool
}

// alert sends a warning over the first route that works. It stops at a sender that
// may have sent the message.
func (s *Sender) alert(ctx context.Context, routes []route, m notify.Message) bool {
	for i, r := range routes {
		if !s.Senders.Has(r.channel) || r.to == "" || slices.Contains(routes[:i], r) ||
			s.TestNumbers.Scenario(r.to, s.Now()) != (otp.Scenario{}) {
			continue
		}
		if r.counted && s.spend(ctx, r.to, s.Now()) != nil {
			reqlog.Add(ctx, slog.String("alert", "held back over "+string(r.channel)))
			continue
		}
		m.To, m.Brand, m.Alert = r.to, s.Brand, true
		err := s.Senders[r.channel].Send(ctx, m)
		if err == nil {
			return true
		}
		reqlog.Add(ctx, slog.String("alert", "failed over "+string(r.channel)))
		f, ok := asFailure(err)
		s.log(ctx, r.channel, f)
		if f.MayHaveSent {
			return ok
		}
	}
	return false
}
