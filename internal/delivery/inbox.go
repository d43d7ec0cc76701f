package delivery

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/phone"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
)

// Texts knows the words of denials, approvals and replies.
type Texts interface {
	// Denies reports whether the text says, in that language, that the person did
	// not ask for a code. DeniesWithCode reports whether it says so with the code of m
	// in it, or with another number that could be a code.
	Denies(locale, text string) bool
	DeniesWithCode(m notify.Message, text string) bool
	// Approves reports whether the text says nothing but what the person was asked to
	// send for m. It is false for every text with another word than those.
	Approves(m notify.Message, text string) bool
	DeniedReply(m notify.Message) string
	ConfirmedReply(m notify.Message) string
	// UnknownSenderReply says, in English, that the provider did not report the
	// person's number.
	UnknownSenderReply(m notify.Message) string
}

// Inbox reads what people write to the service. Its fields are set once, before
// the first call.
type Inbox struct {
	Recipients *recipient.Store
	Texts      Texts
	// Brand is the name in the replies to what a client started.
	Brand func(client string) string
	Now   func() time.Time
}

// payloadDeny is the payload of a template's button for "it was not me".
const payloadDeny = "deny"

// Receive ends the pending verifications of the sender's number if the message
// denies them, or approves the verification whose code the message has. It returns
// the reply, "" for a message that does neither, for one that did so before (a message
// works once), and for one that the provider has answered.
//
// A provider may report a number in another spelling than the one that the service
// sends to ([phone.Variants]). Such a sender is looked up under both, the reported one
// first. A denial ends what is pending under both. An approval counts under the first
// one that has it. No row is made, and nothing is counted, under either.
//
// Two storage round trips, one if nothing changes. For a sender with two spellings:
// two if nothing changes, at most six.
func (b *Inbox) Receive(ctx context.Context, m notify.Inbound) (reply string, err error) {
	switch {
	case m.From == "":
		reqlog.Add(ctx, slog.String("inbound", "ignored: the sender is no phone number"))
		return b.replyToUnknown(m), nil
	case m.Keyword && !m.OptOut:
		reqlog.Add(ctx, slog.String("inbound", "ignored: a keyword of the provider"))
		return "", nil
	}
	now, spellings, denial := b.Now(), spellingsOf(m.From), false
	if len(spellings) > 1 {
		if spellings, denial, err = b.lookUp(ctx, spellings, m, now); err != nil {
			return "", err
		}
	}
	var first otp.Verification
	for _, address := range spellings {
		v, err := b.receiveAt(ctx, address, denial, m, now)
		if problem.Is(err, problem.NotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		if first.ID == "" {
			first = v
		}
		if v.Status != otp.Denied {
			break
		}
	}
	if first.ID == "" {
		reqlog.Add(ctx, slog.String("inbound", "ignored"))
		return "", nil
	}
	about := notify.Message{Brand: b.Brand(first.Client), Locale: first.Locale, Purpose: first.TextPurpose()}
	switch {
	case m.Answered:
		return "", nil
	case first.Status == otp.Denied:
		return b.Texts.DeniedReply(about), nil
	}
	return b.Texts.ConfirmedReply(about), nil
}

// spellingsOf returns the numbers in E.164 under which the sender may be known: the
// reported one first, then the other one, if there is one.
func spellingsOf(from string) []string {
	spellings := []string{phone.Current(from)}
	for _, variant := range append(phone.Variants(from), phone.Variants(spellings[0])...) {
		if variant = phone.Current(variant); !slices.Contains(spellings, variant) {
			spellings = append(spellings, variant)
		}
	}
	return spellings
}

// lookUp returns which of the addresses have something pending, and whether the
// message denies it. It returns none if the message had an effect at one of them
// before: a captured message must not have another one at the other. One round trip an
// address.
func (b *Inbox) lookUp(ctx context.Context, addresses []string, m notify.Inbound, now time.Time) (pending []string, denial bool, err error) {
	var all []otp.Verification
	for _, address := range addresses {
		r, err := b.Recipients.Load(ctx, b.Recipients.Key(address))
		switch {
		case err != nil:
			return nil, false, err
		case otp.HadEffect(r, otp.NewMessageHash(m.MessageID), now):
			return nil, false, nil
		case r.Address != address: // unknown, erased, or another address in this row
			continue
		}
		vs := r.Settle(now).Verifications
		if slices.ContainsFunc(vs, func(v otp.Verification) bool { return v.Status == otp.Pending }) {
			pending, all = append(pending, address), append(all, vs...)
		}
	}
	return pending, b.denies(all, m), nil
}

// receiveAt is Receive under one spelling of the sender's number. The error is of kind
// NotFound if the message has no effect there. denial: the message is known to be one.
func (b *Inbox) receiveAt(ctx context.Context, address string, denial bool, m notify.Inbound, now time.Time) (otp.Verification, error) {
	_, v, err := b.Recipients.Change(ctx, b.Recipients.Key(address), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		if r.Address != address { // unknown, or another address in this row
			return r, otp.Verification{}, &problem.Error{Kind: problem.NotFound}
		}
		return otp.Once(r, otp.NewMessageHash(m.MessageID), now, func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
			vs := r.Settle(now).Verifications
			if denial || b.denies(vs, m) {
				return otp.Deny(r, now)
			}
			return otp.Confirm(r, b.approved(vs, m.Text), b.Recipients.Keys, now)
		})
	})
	return v, err
}

// denies reports whether the message denies what is pending: the provider says so, or
// it is a denial in the language of one of the pending verifications.
func (b *Inbox) denies(vs []otp.Verification, m notify.Inbound) bool {
	switch {
	case m.OptOut:
		return true
	case m.Payload != "":
		return strings.EqualFold(m.Payload, payloadDeny)
	}
	return slices.ContainsFunc(vs, func(v otp.Verification) bool {
		return v.Status == otp.Pending && (b.Texts.Denies(v.Locale, m.Text) || b.Texts.DeniesWithCode(b.message(v), m.Text))
	})
}

// approved returns the codes of the pending inbound verifications that the text
// approves.
func (b *Inbox) approved(vs []otp.Verification, text string) (codes []string) {
	for _, v := range vs {
		if v.Status != otp.Pending || !v.Inbound() {
			continue
		}
		if m := b.message(v); b.Texts.Approves(m, text) {
			codes = append(codes, m.Code)
		}
	}
	return codes
}

// message is the message whose text the person was asked to send. Its code is "" if
// the secret that made it was removed.
func (b *Inbox) message(v otp.Verification) notify.Message {
	code, _ := v.Code(b.Recipients.Keys)
	return notify.Message{
		Code: code, Brand: b.Brand(v.Client), Purpose: v.TextPurpose(), Locale: v.Locale, Amount: v.Transaction.Amount, Payee: v.Transaction.Payee,
	}
}

// replyToUnknown is the reply to a person whose number the provider did not report. It
// answers only what may be meant for a verification, and only where a person writes:
// not to the short code or name of a sender of SMS, which may be a program that answers
// every message.
func (b *Inbox) replyToUnknown(m notify.Inbound) string {
	if m.Channel != channel.WhatsApp || m.Answered {
		return ""
	}
	_, isCode := otp.ReadTyped(m.Text) // every short word could be a code of letters
	isCode = isCode && strings.ContainsFunc(m.Text, unicode.IsDigit)
	if !isCode && !m.OptOut && !strings.EqualFold(m.Payload, payloadDeny) && !b.Texts.Denies("", m.Text) {
		return ""
	}
	return b.Texts.UnknownSenderReply(notify.Message{Brand: b.Brand("")})
}
