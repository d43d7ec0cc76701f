package delivery

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/hostcall"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/reqlog"
	"twofa/internal/user"
)

// Reaches reports whether the service can send a notice to the address. Nobody reads
// what is sent to a test number.
func (s *Sender) Reaches(address string) bool {
	return s.TestNumbers.Scenario(address, s.Now()) == (otp.Scenario{}) && len(s.noticeChannels(user.User{}, address)) > 0
}

// CountNotice counts a notice in the row of the address that it goes to, as
// [otp.NotifyOnce] decides. Two storage round trips.
func (s *Sender) CountNotice(ctx context.Context, address string, now time.Time) error {
	return s.count(ctx, address, now, func(old otp.Recipient, address string, now time.Time) (otp.Recipient, error) {
		return otp.NotifyOnce(old, address, hostcall.From(ctx), now)
	})
}

// SendNotice tells each of the addresses of a user what has changed. It reports
// whether one of these notices is on its way. The notices have to be counted: see
// CountNotice. If no address accepts its notice, SendNotice counts and sends one to
// the user's other verified address. It stores nothing else.
func (s *Sender) SendNotice(ctx context.Context, u user.User, to []string, what notify.Notice) bool {
	told := false
	for _, address := range to {
		told = s.tell(ctx, u, address, notify.Message{Notice: what}) != "" || told
	}
	if told {
		return true
	}
	for _, address := range u.Verified() {
		if slices.Contains(to, address) || !s.Reaches(address) {
			continue
		}
		if err := s.CountNotice(ctx, address, s.Now()); err != nil {
			reqlog.Add(ctx, slog.String("notice", "not counted for the other address"))
			continue
		}
		told = s.tell(ctx, u, address, notify.Message{Notice: what}) != "" || told
	}
	if !told {
		reqlog.Add(ctx, slog.String("notice", "failed"))
	}
	return told
}

// tell sends a counted message to one address of a user, over the first channel that
// accepts it. It returns that channel, "" if none does.
func (s *Sender) tell(ctx context.Context, u user.User, to string, m notify.Message) channel.Channel {
	var routes []route
	for _, by := range s.noticeChannels(u, to) {
		routes = append(routes, route{channel: by, to: to})
	}
	m.Brand, m.Locale = s.Brand(client.From(ctx).ID), u.Locale
	return s.alert(ctx, routes, m)
}

// noticeChannels returns the channels that reach the address: the user's, then the
// service's, then all others. SMS comes before WhatsApp, which accepts a free text and
// drops it later unless the person has written within 24 hours, and whose template
// does not say what has changed.
func (s *Sender) noticeChannels(u user.User, to string) (channels []channel.Channel) {
	mail := address.IsEmail(to)
	for _, by := range slices.Concat(u.Channels, s.Workflow, channel.Sending) {
		if s.Senders.Has(by) && by.NeedsEmail() == mail && !slices.Contains(channels, by) {
			channels = append(channels, by)
		}
	}
	whatsApp, sms := slices.Index(channels, channel.WhatsApp), slices.Index(channels, channel.SMS)
	if whatsApp >= 0 && whatsApp < sms {
		channels[whatsApp], channels[sms] = channel.SMS, channel.WhatsApp
	}
	return channels
}
