package notify

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// The longest forms of the free texts that a message shows, in characters.
// Whatever is longer is cut where the person sees it (an ellipsis), so that no
// caller can push the warning out of sight. Whoever takes such texts from
// outside should refuse longer ones: a cut payee is a payee not wholly shown.
const (
	MaxBrand  = 40
	MaxAmount = 40
	MaxPayee  = 60
)

// Text is the message as a person reads it, in English, on one line and without
// links. The code comes first, because a lock screen and a notification show
// only the beginning. Brand, amount and payee cannot add lines or characters
// that reorder what is shown; amount and payee, which come from outside, cannot
// add links either. The brand is the operator's, who may be called Booking.com.
func Text(m Message) string {
	var b strings.Builder
	b.WriteString(m.Code)
	b.WriteString(" is your ")
	if brand := plain(m.Brand, MaxBrand); brand != "" {
		b.WriteString(brand + " ")
	}
	b.WriteString("code")

	amount, payee := breakLinks(plain(m.Amount, MaxAmount)), breakLinks(plain(m.Payee, MaxPayee))
	switch {
	case amount != "" && payee != "":
		b.WriteString(" to approve a payment of " + amount + " to " + payee)
	case amount != "":
		b.WriteString(" to approve a payment of " + amount)
	case payee != "":
		b.WriteString(" to approve a payment to " + payee)
	}

	minutes, unit := max(1, int(m.ValidFor/time.Minute)), "minutes"
	if minutes == 1 {
		unit = "minute"
	}
	fmt.Fprintf(&b, ". Valid for %d %s. Do not share it with anyone.", minutes, unit)
	return b.String()
}

// plain makes a text from outside safe to stand inside a sentence: one line, no
// control characters, no invisible ones that reorder or hide text, at most
// limit characters.
func plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case r == '\u200c' || r == '\u200d':
			return r // the joiners are part of how Persian and Indic names are spelt
		case unicode.Is(unicode.Cf, r):
			return -1 // bidi controls, zero-width space, tag characters
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")

	if runes := []rune(s); len(runes) > limit {
		s = strings.TrimRight(string(runes[:limit-1]), " ") + "…"
	}
	return s
}

// breakLinks puts a space where an app would otherwise see a link: in "://" and
// after a dot that a letter follows. A visible space and not an invisible
// character, because the latter doubles the price of an SMS (UCS-2) and copies
// along. Amounts keep their dots, which digits follow.
func breakLinks(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		b.WriteRune(r)
		if i+1 == len(runes) {
			break
		}
		switch next := runes[i+1]; r {
		case ':':
			if next == '/' {
				b.WriteByte(' ')
			}
		case '.', '\u3002', '\uff0e', '\uff61': // the ideographic and full-width dots separate domain labels too
			if unicode.IsLetter(next) {
				b.WriteByte(' ')
			}
		}
	}
	return b.String()
}
