// Package console is the messenger for a developer's own machine: it prints each
// message instead of sending it.
//
// It masks neither the number nor the code, because the developer has to read
// them. So it must never run where others can read the output.
package console

import (
	"context"
	"io"
	"strings"
	"sync"
	"unicode"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
)

// Texts writes the messages.
type Texts interface {
	Chat(m notify.Message) string
}

// Printer prints messages. Use New.
type Printer struct {
	mu    sync.Mutex
	w     io.Writer
	texts Texts
}

// New returns a Printer on w. It prints one message at a time, each with a single
// Write, so that a logger may use w too.
func New(w io.Writer, texts Texts) *Printer { return &Printer{w: w, texts: texts} }

// Sender returns the sender of a channel. All channels print the same text, because
// HTML and calls cannot be shown in a terminal.
func (p *Printer) Sender(c channel.Channel) notify.Sender { return sender{p, c} }

type sender struct {
	*Printer
	channel channel.Channel
}

var (
	_ notify.TransactionShower = sender{}
	_ notify.Namer             = sender{}
)

// Provider implements notify.Namer.
func (sender) Provider() string { return "console" }

// ShowsTransaction implements notify.TransactionShower: amount and payee are
// always printed.
func (sender) ShowsTransaction() bool { return true }

// Send implements notify.Sender: it prints the message in a frame. It prints
// nothing if ctx has ended. It does not interrupt a Write that blocks.
func (s sender) Send(ctx context.Context, m notify.Message) error {
	if err := ctx.Err(); err != nil {
		return (&notify.Failure{Outcome: otp.OutcomeUnavailable, Detail: "the time was over before the message was printed"}).Wrap(err)
	}

	const rule = "────────────────────────────────────────────────────────────"
	var b strings.Builder
	b.WriteString("┌" + rule + "\n")
	b.WriteString("│ To " + printable(m.To) + " over " + string(s.channel) + " (printed only; nothing was sent)\n")
	b.WriteString("│\n")
	b.WriteString("│ " + printable(s.texts.Chat(m)) + "\n")
	if m.Link != "" { // the text of a chat has none
		b.WriteString("│\n│ " + printable(m.Link) + "\n")
	}
	b.WriteString("└" + rule + "\n")

	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.w.Write([]byte(b.String())); err != nil {
		// Not wrapped, because a writer's error may quote the message. Part of
		// the message may have been printed.
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, MayHaveSent: true, Detail: "the message could not be printed"}
	}
	return nil
}

// printable replaces the characters that control a terminal: escape sequences,
// line ends and bidi controls. The texts have removed them from values from
// outside, but not from the number and the code.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\u2068' || r == '\u2069' || r == '\u200f' {
			return -1 // the isolates and marks that the texts put around names and before codes; a terminal may not know them
		}
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
