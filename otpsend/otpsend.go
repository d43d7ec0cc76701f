// Package otpsend is the use case behind the otpsend function: it starts,
// resends, looks up and cancels verifications.
//
// It persists before it sends, and sends before it answers; nothing is left to
// run after the answer. It must never return or log a code, except the one that
// a person is to send to us, which proves nothing.
package otpsend

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"twofa/internal/delivery"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/reqlog"
	"twofa/internal/user"
)

// Service sends codes. Its fields are set once, before the first call.
type Service struct {
	Carrier *delivery.Carrier
	Users   *user.Directory
	// Countries are the regions (ISO 3166-1 alpha-2) that may be sent to; nil
	// means all.
	Countries map[string]bool
	// Inbound is how people can write to us; nil if they cannot.
	Inbound *Inbound
}

// Request starts a verification, for an address or for a registered user.
type Request struct {
	To       string      `json:"to"`
	User     string      `json:"user"`
	Channel  string      `json:"channel"`
	Channels []string    `json:"channels"`
	Purpose  string      `json:"purpose"`
	Locale   string      `json:"locale"`
	Context  otp.Context `json:"context"`
	ClientIP string      `json:"client_ip"`
}

// ResendRequest may name another channel, or ask for the next one.
type ResendRequest struct {
	Channel string `json:"channel"`
}

// Start makes a verification and sends its code. Two storage round trips, three
// for a user; each message that a provider refuses, and each that goes to a
// person's second address, costs two more.
//
// A repeated request with the same idempotency key ("" for none) gets the answer
// of the first one and sends nothing; replayed is true then.
func (s *Service) Start(ctx context.Context, req Request, idempotencyKey string) (a Answer, replayed bool, err error) {
	idem, err := identify(idempotencyKey, "start", req)
	if err != nil {
		return Answer{}, false, err
	}
	start, err := s.read(ctx, req)
	if err != nil {
		return Answer{}, false, err
	}
	rowKey := s.Carrier.Book.RowKey(start.Address)
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(start.Nonce[:])
	start.ID = otp.NewID(rowKey, random)
	start.Key = s.Carrier.Book.Keys.Current()
	start.Idempotency = idem
	return s.send(ctx, rowKey, idem, func(r otp.Recipient, now time.Time) (otp.Recipient, otp.Verification, error) {
		return otp.Start(r, start, s.Carrier.Policy, now)
	})
}

// Resend sends the code of a pending verification again, over the channel of
// its last message unless that failed or the request names another. Round trips
// and repetitions are Start's.
func (s *Service) Resend(ctx context.Context, id string, req ResendRequest, idempotencyKey string) (a Answer, replayed bool, err error) {
	parsed, bad := otp.ParseID(id)
	if bad != nil {
		return Answer{}, false, bad
	}
	idem, err := identify(idempotencyKey, "resend "+id, req)
	if err != nil {
		return Answer{}, false, err
	}
	if req.Channel != "" && req.Channel != otp.ChannelNext && !s.has(req.Channel) {
		return Answer{}, false, problem.Invalid("channel", "%s", s.channelsText("next"))
	}
	resend := otp.ResendRequest{ID: parsed, Channel: req.Channel, Idempotency: idem}
	return s.send(ctx, parsed.RowKey(), idem, func(r otp.Recipient, now time.Time) (otp.Recipient, otp.Verification, error) {
		return s.resend(r, resend, now)
	})
}

// resend is otp.Resend over what this service has and may send to now, which may
// be less than at the start: the operator has set it anew.
func (s *Service) resend(r otp.Recipient, req otp.ResendRequest, now time.Time) (otp.Recipient, otp.Verification, error) {
	v, err := r.Find(req.ID)
	if err == nil {
		err = s.mayStillReach(r.Address)
	}
	if err != nil {
		return r, v, err
	}
	if req.Channel == "" && !s.has(v.Channel()) {
		if i := slices.IndexFunc(v.Workflow, s.has); i >= 0 {
			req.Channel = v.Workflow[i]
		}
	}
	next, resent, err := otp.Resend(r, req, s.Carrier.Policy, now)
	if err != nil {
		return next, resent, err
	}
	switch channel := resent.Channel(); {
	case next.AddressFor(resent, channel) == "":
		return r, v, problem.Invalid("channel", "%s", needs(channel))
	case !s.shows(channel, resent.Context):
		return r, v, problem.Invalid("context", "The %s template of this service cannot show an amount or a payee.", channel)
	}
	return next, resent, nil
}

// send keeps a transition that spends a send, and then sends.
func (s *Service) send(ctx context.Context, rowKey string, idem otp.Idempotency, t delivery.Transition) (Answer, bool, error) {
	var replay otp.Replay
	var replayed bool
	st, err := s.Carrier.Change(ctx, rowKey, func(r otp.Recipient, now time.Time) (_ otp.Recipient, v otp.Verification, err error) {
		settled := r.Settle(now)
		if replay, replayed, err = settled.Replayed(idem); replayed {
			v, _ = settled.Find(replay.ID) // it may be forgotten, and the answer is known all the same
			return r, v, nil
		} else if err != nil {
			return r, v, err
		}
		return t(r, now)
	})
	if err != nil {
		return Answer{}, false, err
	}
	if replayed {
		a, err := s.replay(st, replay)
		return a, true, err
	}
	if st.Verification.Inbound() {
		return s.answer(st), false, nil
	}
	st, err = s.Carrier.Carry(ctx, rowKey, st, idem)
	if err != nil {
		return Answer{}, false, err
	}
	return s.answer(st), false, nil
}

// Status looks a verification up, with all of its messages. One storage round
// trip; it changes nothing.
func (s *Service) Status(ctx context.Context, id string) (Answer, error) {
	parsed, bad := otp.ParseID(id)
	if bad != nil {
		return Answer{}, bad
	}
	r, err := s.Carrier.Book.Load(ctx, parsed.RowKey())
	if err != nil {
		return Answer{}, err
	}
	now := s.Carrier.Now()
	r = r.Settle(now)
	v, err := r.Find(parsed)
	if err != nil {
		return Answer{}, err
	}
	reqlog.Verification(ctx, r, v)
	a := s.answer(delivery.State{Recipient: r, Verification: v, Now: now})
	a.Delivery = deliveryOf(v)
	return a, nil
}

// Cancel ends a pending verification: its code is dead from then on.
func (s *Service) Cancel(ctx context.Context, id string) (Answer, error) {
	parsed, bad := otp.ParseID(id)
	if bad != nil {
		return Answer{}, bad
	}
	st, err := s.Carrier.Change(ctx, parsed.RowKey(), func(r otp.Recipient, now time.Time) (otp.Recipient, otp.Verification, error) {
		return otp.Cancel(r, parsed, now)
	})
	if err != nil {
		return Answer{}, err
	}
	return s.answer(st), nil
}
