// Package otpsend is the use case behind the otpsend function: it starts,
// resends, looks up and cancels verifications.
//
// It persists before it sends, and sends before it answers; nothing is left to
// run after the answer. It must never return or log a code.
package otpsend

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
)

// Service sends codes. Its fields are set once, before the first call.
type Service struct {
	Book   *recipient.Book
	Policy otp.Policy
	// Senders carries the messages, by channel.
	Senders map[notify.Channel]notify.Sender
	// Default is the channel of a request that names none; it is in Senders.
	Default notify.Channel
	// Countries are the regions (ISO 3166-1 alpha-2) that may be sent to; nil
	// means all.
	Countries map[string]bool
	// Brand is the name in the messages.
	Brand string
	Now   func() time.Time
}

// Request starts a verification.
type Request struct {
	To       string      `json:"to"`
	Channel  string      `json:"channel"`
	Purpose  string      `json:"purpose"`
	Locale   string      `json:"locale"`
	Context  otp.Context `json:"context"`
	ClientIP string      `json:"client_ip"`
}

// ResendRequest may name another channel.
type ResendRequest struct {
	Channel string `json:"channel"`
}

// Answer is a verification as its client sees it.
type Answer struct {
	ID          otp.ID     `json:"id"`
	Status      otp.Status `json:"status"`
	To          string     `json:"to"`
	Channel     string     `json:"channel"`
	Purpose     string     `json:"purpose"`
	ExpiresAt   time.Time  `json:"expires_at"`
	ApprovedAt  time.Time  `json:"approved_at,omitzero"`
	ResendAfter time.Time  `json:"resend_after,omitzero"`
	SendsLeft   int        `json:"sends_left"`
	ChecksLeft  int        `json:"checks_left"`
}

// Start makes a verification and sends its code. Two storage round trips.
func (s *Service) Start(ctx context.Context, req Request) (Answer, error) {
	start, number, err := s.read(req)
	if err != nil {
		return Answer{}, err
	}
	reqlog.Number(ctx, number)
	if err := s.mayReach(number); err != nil {
		return Answer{}, err
	}

	rowKey := s.Book.RowKey(number.E164)
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	_, _ = rand.Read(start.Nonce[:])
	start.ID = otp.NewID(rowKey, random)
	start.Key = s.Book.Keys.Current()
	return s.send(ctx, rowKey, func(r otp.Recipient, now time.Time) (otp.Recipient, otp.Verification, error) {
		return otp.Start(r, start, s.Policy, now)
	})
}

// Resend sends the code of a pending verification again, over the channel of
// its last message unless the request names another.
func (s *Service) Resend(ctx context.Context, id string, req ResendRequest) (Answer, error) {
	parsed, bad := otp.ParseID(id)
	if bad != nil {
		return Answer{}, bad
	}
	if req.Channel != "" && s.Senders[notify.Channel(req.Channel)] == nil {
		return Answer{}, otp.Invalid("channel", "%s", s.channelsText())
	}
	return s.send(ctx, parsed.RowKey(), func(r otp.Recipient, now time.Time) (otp.Recipient, otp.Verification, error) {
		v, err := r.Find(parsed)
		if err != nil {
			return r, v, err
		}
		number, err := phone.Parse(r.Address)
		if err == nil {
			err = s.mayReach(number) // the operator may have closed the country since
		}
		if err != nil {
			return r, v, err
		}
		channel := cmp.Or(notify.Channel(req.Channel), notify.Channel(v.Channel))
		if s.Senders[channel] == nil { // taken out of service since
			channel = s.Default
		}
		if err := s.mayShow(channel, v.Context); err != nil {
			return r, v, err
		}
		return otp.Resend(r, parsed, string(channel), s.Policy, now)
	})
}

// Status looks a verification up. One storage round trip; it changes nothing.
func (s *Service) Status(ctx context.Context, id string) (Answer, error) {
	parsed, bad := otp.ParseID(id)
	if bad != nil {
		return Answer{}, bad
	}
	r, err := s.Book.Load(ctx, parsed.RowKey())
	if err != nil {
		return Answer{}, err
	}
	now := s.Now()
	r = r.Settle(now)
	v, err := r.Find(parsed)
	if err != nil {
		return Answer{}, err
	}
	reqlog.Verification(ctx, r, v)
	return s.answer(state{r, v, now}), nil
}

// Cancel ends a pending verification: its code is dead from then on.
func (s *Service) Cancel(ctx context.Context, id string) (Answer, error) {
	parsed, bad := otp.ParseID(id)
	if bad != nil {
		return Answer{}, bad
	}
	st, err := s.change(ctx, parsed.RowKey(), func(r otp.Recipient, now time.Time) (otp.Recipient, otp.Verification, error) {
		return otp.Cancel(r, parsed, now)
	})
	if err != nil {
		return Answer{}, err
	}
	return s.answer(st), nil
}

// read checks a start's fields, all of them, before anything is stored.
func (s *Service) read(req Request) (otp.StartRequest, phone.Number, error) {
	faults := &otp.Error{Kind: otp.InvalidRequest}
	number, err := phone.Parse(req.To)
	switch {
	case req.To == "":
		faults.Add("to", "The number to send to is missing.")
	case err != nil:
		faults.Add("to", "%s", err)
	}
	start := otp.StartRequest{
		Address: number.E164,
		Purpose: otp.CheckPurpose(req.Purpose, faults),
		Context: req.Context,
	}
	start.Context.Check(faults)
	channel := cmp.Or(notify.Channel(req.Channel), s.Default)
	if s.Senders[channel] == nil {
		faults.Add("channel", "%s", s.channelsText())
	} else if err := s.mayShow(channel, start.Context); err != nil {
		faults.Fields = append(faults.Fields, err.Fields...)
	}
	start.Channel = string(channel)
	otp.CheckLocale(req.Locale, faults)
	if req.ClientIP != "" {
		if _, err := netip.ParseAddr(req.ClientIP); err != nil {
			faults.Add("client_ip", "This is no IP address.")
		}
	}
	if len(faults.Fields) > 0 {
		return start, number, faults
	}
	return start, number, nil
}

func (s *Service) channelsText() string {
	var names []string
	for _, c := range slices.Sorted(maps.Keys(s.Senders)) {
		names = append(names, string(c))
	}
	return "This service sends over: " + strings.Join(names, ", ") + "."
}

// mayShow returns an error if the channel would leave out what the person has
// to see before approving it.
func (s *Service) mayShow(channel notify.Channel, c otp.Context) *otp.Error {
	if c == (otp.Context{}) {
		return nil
	}
	if shower, ok := s.Senders[channel].(notify.ContextShower); ok && !shower.ShowsContext() {
		return otp.Invalid("context", "The %s template of this service cannot show an amount or a payee.", channel)
	}
	return nil
}

// mayReach returns an error for numbers that are never sent to.
func (s *Service) mayReach(n phone.Number) error {
	if n.Refused() {
		return &otp.Error{Kind: otp.DestinationRefused, Detail: "Numbers of this kind are not sent to: they cost extra, or no person reads there."}
	}
	if s.Countries != nil && !s.Countries[n.Region] {
		return &otp.Error{Kind: otp.DestinationRefused, Detail: "This service does not send to the number's country (" + n.Region + ")."}
	}
	return nil
}
