// Package otpsend is the use case behind the otpsend function: it starts,
// resends, looks up and cancels verifications.
//
// It stores before it sends, and sends before it answers; nothing runs after the
// answer. It must never return or log a code, except the code of an inbound
// verification: the person sends that one to the service, so knowing it proves
// nothing.
//
// Each change is one transition of package otp: Start and Resend call Change and
// ChangeID of [recipient.Store], which call Update of package row, which runs the
// transition inside the store's compare-and-swap. Only then does send call the
// Sender.
package otpsend

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"time"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/delivery"
	"twofa/internal/guard"
	"twofa/internal/hostcall"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
	"twofa/internal/session"
	"twofa/internal/user"
)

// Service sends codes. Its fields are set once, before the first call.
type Service struct {
	Recipients *recipient.Store
	Users      *user.Store
	Sender     Sender
	Channels   Channels
	// Workflow lists the channels, in order, for requests and users without
	// channels of their own.
	Workflow    []channel.Channel
	Policy      otp.Policy
	TestNumbers otp.TestNumbers
	// Guard has the limits over many addresses. nil: there are none.
	Guard *guard.Guard
	// Countries are the regions (ISO 3166-1 alpha-2) that may be sent to. nil: all.
	Countries map[string]bool
	// Inbound is how people can write to the service. nil: they cannot.
	Inbound *Inbound
	Pages   session.Site
	// MagicLinks puts a link into the mails of page sessions.
	MagicLinks bool
	Now        func() time.Time
	// Wait waits between two looks at a request that is under way. nil: [sleep].
	Wait func(ctx context.Context, d time.Duration)
}

// Sender sends codes: see [delivery.Sender].
type Sender interface {
	// Down returns the providers of the channels that fail for everybody at present.
	Down(channels []channel.Channel) []string
	Send(ctx context.Context, st delivery.State, req delivery.Request) (delivery.State, error)
}

// Channels knows what the channels of the service can do: see [notify.Senders].
type Channels interface {
	Has(c channel.Channel) bool
	Channels() []channel.Channel
	ShowsTransaction(c channel.Channel) bool
}

// Request starts a verification, for an address or for a registered user.
type Request struct {
	To          string            `json:"to"`
	User        string            `json:"user"`
	Channel     channel.Channel   `json:"channel"`
	Channels    []channel.Channel `json:"channels"`
	Purpose     string            `json:"purpose"`
	Locale      string            `json:"locale"`
	Transaction otp.Transaction   `json:"context"`
	ClientIP    string            `json:"client_ip"`
	// Origin says where the client has the address from: see readOrigin.
	Origin string `json:"origin"`
	// Page asks for a page on which the person types the code: see StartPage.
	Page session.Asked `json:"page"`
}

// ResendRequest may name another channel, or ask for the next one.
type ResendRequest struct {
	Channel channel.Channel `json:"channel"`
	// Origin and ClientIP are for the limits, as those of a Request. Origin may be left
	// out, which costs one more round trip for an address that a person typed.
	Origin   string `json:"origin"`
	ClientIP string `json:"client_ip"`
}

// Start makes a verification, as [otp.Start] decides, and sends its code. Two
// storage round trips, three for a user, and two more with an idempotency key. Each
// message that a provider refuses costs two more, and so does each message to the
// person's second address.
//
// A repetition of a request with the same idempotency key ("": none) gets the
// answer of the first request and sends nothing; replayed is true then. While the
// first request is sending, the repetition is refused with IdempotencyConflict. It
// costs one round trip, two for a user. Two spellings of one request are the same
// request: see sameStart.
//
// A further delivery of the same call of the Functions host ([hostcall.From]) is not
// refused: it waits until the first one has ended, or cannot be under way any more. Each
// look costs one round trip.
func (s *Service) Start(ctx context.Context, req Request, idempotencyKey string) (a Answer, replayed bool, err error) {
	done, err := s.start(ctx, req, nil, idempotencyKey)
	return done.Answer, done.replayed, err
}

// start is Start for a page, nil for the client's server.
func (s *Service) start(ctx context.Context, req Request, page *onPage, idempotencyKey string) (none sent, err error) {
	idempotencyKey, err = readKey(idempotencyKey)
	if err != nil {
		return none, err
	}
	start, same, err := s.read(ctx, req, page)
	if err != nil {
		return none, err
	}
	if page != nil {
		page.start = start
	}
	key := same
	if page != nil && page.session != (otp.Session{}) { // the same form, from wherever it comes
		key.ClientIP, key.Locale = netip.Addr{}, ""
	}
	idem, err := identify(ctx, idempotencyKey, "start", key)
	if err != nil {
		return none, err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(start.Nonce[:])
	row := s.Recipients.Key(start.Address)
	if page != nil && page.random != [8]byte{} {
		random = page.random
		random[0] ^= byte(start.Origin) // the same form is another start once its browser is known
	}
	start.ID, start.Key, start.Idempotency = s.Recipients.NewID(row, random), s.Recipients.Keys.Current(), idem
	if page != nil {
		if start.Session, err = page.enter(ctx, s.Recipients.Keys, start.ID, row); err != nil {
			return none, err
		}
	}
	start.Down, start.Silent = s.Sender.Down(start.Workflow), page != nil && page.silent
	send := guarded(ctx, start.Origin, same.ClientIP)
	return s.once(ctx, transition{send, s.requestOf(page, idem), func(ctx context.Context, now time.Time, l limits) (otp.Recipient, otp.Verification, error) {
		return s.Recipients.Change(ctx, row, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
			r, v, err := otp.Start(old, start, s.Policy, now)
			return l.admit(old, r, v, err)
		})
	}})
}

// guarded is what the limits over many addresses need to know of a message.
func guarded(ctx context.Context, o otp.Origin, ip netip.Addr) guard.Send {
	c := client.From(ctx)
	return guard.Send{Client: c.ID, MaxPerDay: c.MaxSendsPerDay, Typed: o != otp.OriginServer, Proven: o == otp.OriginKnown, Addr: ip}
}

// Resend sends the code of a pending verification again, as [otp.Resend] decides:
// over the channel of the last message, unless that message failed or the request
// names another channel. Round trips are those of Start without a user, and so are
// repetitions.
//
// Without an idempotency key, the Functions host's id of the call is the key, so that a
// call that the host delivers again sends once. It costs what a client's key costs.
func (s *Service) Resend(ctx context.Context, id string, req ResendRequest, idempotencyKey string) (a Answer, replayed bool, err error) {
	done, err := s.resendFrom(ctx, id, req, nil, idempotencyKey)
	return done.Answer, done.replayed, err
}

// resendFrom is Resend for a page, nil for the client's server.
func (s *Service) resendFrom(ctx context.Context, id string, req ResendRequest, page *onPage, idempotencyKey string) (none sent, err error) {
	resend, same, err := s.readResend(ctx, id, req, page)
	if err != nil {
		return none, err
	}
	if idempotencyKey, err = readKey(idempotencyKey); err != nil {
		return none, err
	}
	if resend.Idempotency, err = identify(ctx, idempotencyKey, "resend "+id, same); err != nil {
		return none, err
	}
	if resend.Idempotency == (otp.Idempotency{}) && hostcall.From(ctx) != (hostcall.ID{}) {
		if resend.Idempotency, err = identifyCall(ctx, "resend "+id, same); err != nil {
			return none, err
		}
	}
	resend.Down, resend.Silent = s.Sender.Down(s.Channels.Channels()), page != nil && page.silent
	send := guarded(ctx, resend.Origin, same.ClientIP)
	return s.once(ctx, transition{send, s.requestOf(page, resend.Idempotency), func(ctx context.Context, now time.Time, l limits) (otp.Recipient, otp.Verification, error) {
		return s.Recipients.ChangeID(ctx, resend.Owner, resend.ID, func(old otp.Recipient) (otp.Recipient, otp.Verification, error) {
			r, v, err := s.resend(ctx, old, resend, now)
			return l.admit(old, r, v, err)
		})
	}})
}

// resend is [otp.Resend] within the operator's present settings, which may allow
// less than at the start. A refusal because of the settings changes nothing.
func (s *Service) resend(ctx context.Context, old otp.Recipient, req otp.ResendRequest, now time.Time) (otp.Recipient, otp.Verification, error) {
	v, err := old.FindOf(req.Owner, req.ID)
	if err == nil && req.Channel == "" && !s.Channels.Has(v.Channel()) {
		if i := slices.IndexFunc(v.Workflow, s.Channels.Has); i >= 0 {
			req.Channel = v.Workflow[i]
		}
	}
	r, resent, err := otp.Resend(old, req, s.Policy, now)
	if err == nil {
		if err = s.mayStillReach(ctx, r, resent); err != nil {
			return old, v, err
		}
	}
	return r, resent, err
}

// mayStillReach returns an error if the settings do not allow the last message of
// a verification any more.
func (s *Service) mayStillReach(ctx context.Context, r otp.Recipient, v otp.Verification) error {
	home, err := address.Parse(r.Address)
	if err != nil {
		return problem.Unexpected(err)
	}
	if err := s.mayReach(ctx, home); err != nil {
		return err
	}
	switch c := v.Channel(); {
	case r.AddressFor(v, c) == "":
		return problem.Invalid("channel", "%s", needs(c))
	case !s.shows(c, v.Transaction):
		return problem.Invalid("context", "%s", showsNothing(c))
	}
	return nil
}

// send sends the message of a transition that spent a send, which is stored. If the
// transition's error is a *otp.Replay, send sends nothing and gives the first answer
// again.
func (s *Service) send(ctx context.Context, st delivery.State, req delivery.Request, err error) (sent, error) {
	if replay, ok := errors.AsType[*otp.Replay](err); ok {
		a, err := s.replay(st, replay)
		return sent{a, st, true}, err
	}
	if err == nil && !st.Verification.Inbound() {
		st, err = s.Sender.Send(ctx, st, req)
	}
	if err != nil {
		return sent{}, err
	}
	return sent{s.answer(st), st, false}, nil
}

// Status looks a verification up, with all its messages, and changes nothing. Round
// trips are those of [recipient.Store.LoadID].
func (s *Service) Status(ctx context.Context, id string) (Answer, error) {
	parsed, err := otp.ParseID(id)
	if err != nil {
		return Answer{}, err
	}
	found, err := s.status(ctx, otp.Owner{Client: client.From(ctx).ID}, parsed)
	return found.Answer, err
}

func (s *Service) status(ctx context.Context, own otp.Owner, parsed otp.ID) (sent, error) {
	r, err := s.Recipients.LoadID(ctx, own, parsed)
	if err != nil {
		return sent{}, err
	}
	now := s.Now()
	r = r.Settle(now)
	v, err := r.FindOf(own, parsed)
	if err != nil {
		return sent{}, err
	}
	reqlog.Verification(ctx, r, v)
	st := delivery.State{Recipient: r, Verification: v, Now: now}
	a := s.answer(st)
	a.Delivery = deliveryOf(v)
	return sent{Answer: a, state: st}, nil
}

// Cancel ends a pending verification: its code does not work any more. It may be
// repeated. Two storage round trips, one for a repetition.
func (s *Service) Cancel(ctx context.Context, id string) (Answer, error) {
	parsed, err := otp.ParseID(id)
	if err != nil {
		return Answer{}, err
	}
	return s.cancel(ctx, otp.Owner{Client: client.From(ctx).ID}, parsed)
}

func (s *Service) cancel(ctx context.Context, own otp.Owner, parsed otp.ID) (Answer, error) {
	now := s.Now()
	r, v, err := s.Recipients.ChangeID(ctx, own, parsed, func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return otp.Cancel(r, own, parsed, now)
	})
	if err != nil {
		return Answer{}, err
	}
	return s.answer(delivery.State{Recipient: r, Verification: v, Now: now}), nil
}
