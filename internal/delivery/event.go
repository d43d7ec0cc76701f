package delivery

import (
	"context"
	"slices"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/user"
)

// AlertEvent warns a user of an event, whose Event, Place and Device it takes from m. It
// tries the addresses that were proven: the mail address, which costs nothing, then the
// number if no mail was accepted. It returns the address and the channel over which the
// warning is on its way.
//
// The alert is counted in the row of each address that is tried, for the client of the
// request, as [otp.AlertEvent] decides: two storage round trips for each. An address
// that has no room for it ends the work, so that no second address gets what the limits
// keep from the first.
//
// Errors are those of otp.AlertEvent, and of kind Undeliverable if no address was proven
// that the service can reach, ProviderUnavailable if no provider accepted the warning,
// StorageUnavailable or Internal.
func (s *Sender) AlertEvent(ctx context.Context, u user.User, m notify.Message) (to string, over channel.Channel, err error) {
	unproven := true
	for _, to := range slices.Backward(u.Verified()) {
		if !s.Reaches(to) {
			continue
		}
		unproven = false
		err := s.count(ctx, to, s.Now(), func(old otp.Recipient, address string, now time.Time) (otp.Recipient, error) {
			return otp.AlertEvent(old, address, client.From(ctx).ID, string(m.Event), now)
		})
		if err != nil {
			return "", "", err
		}
		if over := s.tell(ctx, u, to, m); over != "" {
			return to, over, nil
		}
	}
	if unproven {
		return "", "", &problem.Error{
			Kind:   problem.Undeliverable,
			Detail: "The user has no proven address that this service can send alerts to: an address is proven when a code that was sent there comes back.",
		}
	}
	return "", "", &problem.Error{Kind: problem.ProviderUnavailable, Detail: "The provider did not accept the alert. It was counted all the same."}
}
