package email

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"

	"twofa/internal/notify"
)

// maxSubject is the longest subject, in characters. It keeps header lines far
// below the limit of 998.
const maxSubject = 200

// The isolates (UAX #9): text between them does not reorder the text outside, and does
// not decide the direction of the line.
const (
	firstStrongIsolate    = "\u2068"
	popDirectionalIsolate = "\u2069"
)

// subject returns the subject of a mail, safe for a header. Mail programs fold mails
// with the same subject into one conversation and show the oldest on top, so that
// people type an old code. So the subject of each code differs: it begins with the code
// or, without Options.CodeInSubject, ends with the time in UTC. A resent code has the
// same subject only if the code is in it.
func (s *Sender) subject(m notify.Message, text string, now time.Time) string {
	if m.Alert {
		return subjectText(text, maxSubject)
	}
	mark, before, after := headerText(m.Code, maxSubject/2), "", " - "
	if !s.codeInSubject {
		mark, before, after = now.UTC().Format("2006-01-02 15:04:05 UTC"), " (", ")"
	}
	text = subjectText(text, maxSubject-utf8.RuneCountInString(before+mark+after)-2) // 2 for the isolates
	if hasRightToLeft(text) {
		mark = firstStrongIsolate + mark + popDirectionalIsolate
	}
	if s.codeInSubject {
		return mark + after + text
	}
	return text + before + mark + after
}

// subjectText is headerText, except that it keeps isolates that are closed: the texts put
// them around a brand that is written in the other direction. A text of over limit
// characters loses its isolates, because the cut may remove one of a pair.
func subjectText(s string, limit int) string {
	var b strings.Builder
	for {
		before, rest, opened := strings.Cut(s, firstStrongIsolate)
		inside, after, closed := strings.Cut(rest, popDirectionalIsolate)
		if !opened || !closed {
			b.WriteString(part(s))
			break
		}
		b.WriteString(part(before) + firstStrongIsolate + part(inside) + popDirectionalIsolate)
		s = after
	}
	text := strings.TrimSpace(b.String())
	if utf8.RuneCountInString(text) > limit {
		return headerText(text, limit)
	}
	return text
}

// part is headerText for a part of a line: it keeps one space at each end.
func part(s string) string {
	const edge = "|"
	s = headerText(edge+s+edge, math.MaxInt)
	return s[len(edge) : len(s)-len(edge)]
}

// hasRightToLeft reports whether a text has letters that are written from right to left.
func hasRightToLeft(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		p, _ := bidi.LookupRune(r)
		return p.Class() == bidi.R || p.Class() == bidi.AL
	})
}
