package otpsend

import (
	"net/url"
	"strings"
	"time"

	"twofa/internal/address"
	"twofa/internal/channel"
	"twofa/internal/delivery"
	"twofa/internal/notify"
	"twofa/internal/otp"
)

// Answer is a verification as its client sees it.
type Answer struct {
	ID          otp.ID          `json:"id"`
	Status      otp.Status      `json:"status"`
	To          string          `json:"to"`
	Channel     channel.Channel `json:"channel"`
	Purpose     string          `json:"purpose"`
	ExpiresAt   time.Time       `json:"expires_at"`
	ApprovedAt  time.Time       `json:"approved_at,omitzero"`
	ResendAfter time.Time       `json:"resend_after,omitzero"`
	SendsLeft   int             `json:"sends_left"`
	ChecksLeft  int             `json:"checks_left"`
	Delivery    *Delivery       `json:"delivery,omitempty"`
	Inbound     *InboundOffer   `json:"inbound,omitempty"`
}

// sent is what a start or a resend came to.
type sent struct {
	Answer
	state    delivery.State // its verification is zero if it is forgotten
	replayed bool           // by an earlier request
}

// Delivery is what became of the messages.
type Delivery struct {
	// Status is the one of the last message.
	Status   otp.DeliveryStatus `json:"status"`
	Attempts []Attempt          `json:"attempts"`
}

// Attempt is one message.
type Attempt struct {
	Channel channel.Channel `json:"channel"`
	// Provider is who sends it, "" if the operator names no providers.
	Provider string             `json:"provider,omitzero"`
	At       time.Time          `json:"at"`
	Status   otp.DeliveryStatus `json:"status"`
	// Error is the provider's own number of the failure, 0 if there is none.
	Error int `json:"error,omitzero"`
}

func deliveryOf(v otp.Verification) *Delivery {
	if len(v.Attempts) == 0 {
		return nil
	}
	d := &Delivery{Status: v.Attempts[len(v.Attempts)-1].Status}
	for _, a := range v.Attempts {
		d.Attempts = append(d.Attempts, Attempt{Channel: a.Channel, Provider: a.Provider, At: a.At.Truncate(time.Second), Status: a.Status, Error: a.Error})
	}
	return d
}

func (s *Service) answer(st delivery.State) Answer {
	r, v := st.Recipient, st.Verification
	v.Conceal(st.Now)
	a := Answer{
		ID: v.ID, Status: v.Status, To: address.Mask(r.AddressFor(v, v.Channel())), Channel: v.Channel(), Purpose: v.Purpose,
		ExpiresAt: v.ExpiresAt, ChecksLeft: r.ChecksLeft(v, s.Policy, st.Now),
	}
	if v.Status == otp.Approved {
		a.ApprovedAt = v.EndedAt.Truncate(time.Second)
	}
	if v.Status == otp.Pending {
		a.SendsLeft = r.SendsLeft(v.Caller, s.Policy, st.Now)
		a.ResendAfter = upToSecond(r.ResendAfter(v.Caller, s.Policy))
		a.Inbound = s.offer(v)
	}
	return a
}

// upToSecond rounds up to a whole second, so that a client never returns early.
func upToSecond(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(time.Second - 1).Truncate(time.Second)
}

// replay returns the answer, or the error, that the first of several equal requests
// got.
func (s *Service) replay(st delivery.State, p *otp.Replay) (Answer, error) {
	if p.Outcome != otp.OutcomeSent {
		return Answer{}, delivery.Refusal(p.Outcome, p.ID, p.Channel, p.RetryAfter, p.ExpiresAt.Sub(p.At))
	}
	v := st.Verification // zero if the row no longer has it
	a := Answer{
		ID: p.ID, Status: otp.Pending, To: address.Mask(st.Recipient.AddressFor(v, p.Channel)), Channel: p.Channel, Purpose: p.Purpose,
		ExpiresAt: p.ExpiresAt, ResendAfter: upToSecond(p.ResendAfter), SendsLeft: p.SendsLeft, ChecksLeft: p.ChecksLeft,
		Inbound: s.offer(v),
	}
	if v.Purpose == otp.SignInPurpose { // as if the first message had failed, of which nobody may learn
		a.ResendAfter = upToSecond(st.Recipient.ResendAfter(v.Caller, s.Policy))
	}
	return a, nil
}

// Inbound is how people write to the service.
type Inbound struct {
	// WhatsApp and SMS are the service's numbers in E.164. "": none; one is set.
	WhatsApp, SMS string
	Brand         func(client string) string
	Texts         Asker
}

// Asker words the text that a person sends to the service.
type Asker interface {
	Ask(m notify.Message) string
}

// InboundOffer is what the client shows to the person.
type InboundOffer struct {
	Number      string `json:"number"`
	Text        string `json:"text"`
	WhatsAppURL string `json:"whatsapp_url,omitempty"`
	SMSURL      string `json:"sms_url,omitempty"`
}

// offer returns nil unless the verification is inbound and its code can be made.
func (s *Service) offer(v otp.Verification) *InboundOffer {
	code, ok := v.Code(s.Recipients.Keys)
	if s.Inbound == nil || !v.Inbound() || !ok {
		return nil
	}
	text := s.Inbound.Texts.Ask(notify.Message{
		Code: code, Brand: s.Inbound.Brand(v.Client), Purpose: v.Purpose, Locale: v.Locale, Amount: v.Transaction.Amount, Payee: v.Transaction.Payee,
	})
	// Some apps read + as a plus sign; all read %20 as a space.
	escaped := strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	o := &InboundOffer{Number: s.Inbound.WhatsApp, Text: text}
	if s.Inbound.WhatsApp != "" {
		o.WhatsAppURL = "https://wa.me/" + strings.TrimPrefix(s.Inbound.WhatsApp, "+") + "?text=" + escaped
	}
	if s.Inbound.SMS != "" {
		o.SMSURL = "sms:" + s.Inbound.SMS + "?body=" + escaped // RFC 5724
		if o.Number == "" {
			o.Number = s.Inbound.SMS
		}
	}
	return o
}
