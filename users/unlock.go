package users

import (
	"context"

	"twofa/internal/address"
	"twofa/internal/client"
	"twofa/internal/hostcall"
	"twofa/internal/otp"
	"twofa/internal/problem"
)

// Unlocked is what Unlock did.
type Unlocked struct {
	Addresses []UnlockedAddress `json:"addresses"`
}

// UnlockedAddress is an address with one allowance more.
type UnlockedAddress struct {
	To string `json:"to"` // masked
	// UnlocksLeft is how many more the client has at the address within the current 24
	// hours, if no other client unlocks it.
	UnlocksLeft int `json:"unlocks_left"`
}

// Unlock gives the client one allowance more of wrong codes and messages at each proven
// address of the user, for 24 hours, as [otp.AddUnlock] decides. It deletes no counter, and
// the limits that all clients share stay. A call that the Functions host delivers again
// counts once.
//
// An address that had all its unlocks is left out. The error is of kind TooManyChanges if
// that is so for all of them, and of kind Undeliverable if the user has no proven address.
// Others are InvalidRequest, NotFound, StorageUnavailable and Internal. One storage round
// trip, and two for each address.
func (s *Service) Unlock(ctx context.Context, name string) (Unlocked, error) {
	u, err := s.load(ctx, name)
	if err != nil {
		return Unlocked{}, err
	}
	proven := u.Verified()
	if len(proven) == 0 {
		return Unlocked{}, &problem.Error{
			Kind:   problem.Undeliverable,
			Detail: "No address of this user is proven, and only proven ones are unlocked. A code that was sent to an address and came back proves it.",
		}
	}
	now, done := s.Now(), Unlocked{}
	var refused error
	for _, a := range proven {
		left, err := s.Recipients.Unlock(ctx, a, otp.Caller{Client: client.From(ctx).ID}, hostcall.From(ctx), now)
		switch {
		case problem.Is(err, problem.TooManyChanges):
			refused = err
		case err != nil:
			return Unlocked{}, err
		default:
			done.Addresses = append(done.Addresses, UnlockedAddress{To: address.Mask(a), UnlocksLeft: left})
		}
	}
	if len(done.Addresses) == 0 {
		return Unlocked{}, refused
	}
	return done, nil
}
