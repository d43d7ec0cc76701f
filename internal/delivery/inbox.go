package delivery

import (
	"context"
	"errors"
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

// Answers is the words that an Inbox reads and says.
type Answers interface {
	// Denies reports whether a text in that language says that it was not them.
	Denies(locale, text string) bool
	DeniedReply(m notify.Message) string
	ConfirmedReply(m notify.Message) string
}

// Inbox reads what people write to the service. Its fields are set once, before
// the first call.
type Inbox struct {
	Book  *recipient.Book
	Texts Answers
	Brand string
	Now   func() time.Time
}

// payloadDeny is that of a template's button for "it was not me".
const payloadDeny = "deny"

// Receive ends what is pending for the sender's number if the message denies it,
// or approves the verification whose code it has. It returns what to answer, ""
// for a message that means nothing to us. Two storage round trips.
func (b *Inbox) Receive(ctx context.Context, m notify.Inbound) (reply string, err error) {
	now := b.Now()
	codes := codesIn(m.Text)
	r, v, err := b.Book.Change(ctx, b.Book.RowKey(m.From), func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		if r.Address != m.From { // nobody, or another address at this place
			return r, otp.Verification{}, &problem.Error{Kind: problem.NotFound}
		}
		if b.denies(r, m) {
			return otp.Deny(r, now)
		}
		return otp.Confirm(r, codes, b.Book.Keys, now)
	})
	reqlog.Verification(ctx, r, v)
	if e, ok := errors.AsType[*problem.Error](err); ok && e.Kind == problem.NotFound {
		reqlog.Add(ctx, slog.String("inbound", "no concern of ours"))
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

// denies reports whether the message says no, in the language of one of the
// messages that it can be an answer to.
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

// maxCodes bounds how many words of a message are tried as codes. The text that
// people send has the code as its last word.
const maxCodes = 8

// codesIn is the words of a text that can be codes, the last ones first.
func codesIn(text string) (codes []string) {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i := len(words) - 1; i >= 0 && len(codes) < maxCodes; i-- {
		if code, ok := otp.ReadCode(words[i]); ok && len(code) >= otp.MinCodeLength && len(code) <= otp.MaxCodeLength {
			codes = append(codes, code)
		}
	}
	return codes
}
