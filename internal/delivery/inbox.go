package delivery

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/recipient"
	"twofa/internal/reqlog"
)

// Texts knows the words of denials and replies.
type Texts interface {
	// Denies reports whether the text says, in that language, that the person did
	// not ask for a code.
	Denies(locale, text string) bool
	DeniedReply(m notify.Message) string
	ConfirmedReply(m notify.Message) string
}

// Inbox reads what people write to the service. Its fields are set once, before
// the first call.
type Inbox struct {
	Recipients *recipient.Store
	Texts      Texts
	Brand      string
	Now        func() time.Time
}

// payloadDeny is the payload of a template's button for "it was not me".
const payloadDeny = "deny"

// Receive ends the pending verifications of the sender's number if the message
// denies them, or approves the verification whose code the message has. It returns
// the reply, "" for a message that does neither, and for one that did so before: a
// message works once. Two storage round trips, one if nothing changes.
func (b *Inbox) Receive(ctx context.Context, m notify.Inbound) (reply string, err error) {
	now, codes := b.Now(), codesIn(m.Text)
	_, v, err := b.Recipients.Change(ctx, b.Recipients.Key(m.From), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		if r.Address != m.From { // unknown, or another address in this row
			return r, otp.Verification{}, &problem.Error{Kind: problem.NotFound}
		}
		return otp.Once(r, otp.NewMessageHash(m.MessageID), now, func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
			if b.denies(r, m) {
				return otp.Deny(r, now)
			}
			return otp.Confirm(r, codes, b.Recipients.Keys, now)
		})
	})
	if problem.Is(err, problem.NotFound) {
		reqlog.Add(ctx, slog.String("inbound", "ignored"))
		return "", nil
	}
	if err != nil {
		return "", err
	}
	about := notify.Message{Brand: b.Brand, Locale: v.Locale, Purpose: v.Purpose}
	if v.Status == otp.Denied {
		return b.Texts.DeniedReply(about), nil
	}
	return b.Texts.ConfirmedReply(about), nil
}

// denies reports whether the message is a denial in the language of one of the
// pending verifications.
func (b *Inbox) denies(r otp.Recipient, m notify.Inbound) bool {
	if m.Payload != "" {
		return strings.EqualFold(m.Payload, payloadDeny)
	}
	for _, v := range r.Verifications {
		if v.Status == otp.Pending && b.Texts.Denies(v.Locale, m.Text) {
			return true
		}
	}
	return false
}

// maxCodes is how many words of a message are tried as codes, from its end: the
// code is the last word of the text that people are asked to send.
const maxCodes = 8

// codesIn returns the words of a text that can be codes, the last ones first.
func codesIn(text string) (codes []string) {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i := len(words) - 1; i >= 0 && len(codes) < maxCodes; i-- {
		if code, ok := otp.ReadCode(words[i]); ok && len(code) >= otp.MinCodeLength && len(code) <= otp.MaxCodeLength {
			codes = append(codes, code)
		}
	}
	return codes
}
