// Package console is the messenger for a developer's own machine: it prints
// each message on a writer instead of sending it.
//
// It masks nothing, neither the number nor the code, because reading the code
// is its purpose. So it must never run where anybody else reads the output.
package console

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"twofa/internal/notify"
)

// Texts puts messages into words.
type Texts interface {
	Chat(m notify.Message) string
}

// Printer prints messages. Use New.
type Printer struct {
	mu    sync.Mutex
	w     io.Writer
	texts Texts
}

// New returns a Printer on w: one message at a time and each with a single
// Write, so that w may be shared with a logger.
func New(w io.Writer, texts Texts) *Printer { return &Printer{w: w, texts: texts} }

// On returns the sender of a channel. All channels print alike: a page of HTML or
// a call cannot be read in a terminal.
func (p *Printer) On(channel notify.Channel) notify.Sender { return sender{p, channel} }

type sender struct {
	*Printer
	channel notify.Channel
}

var _ notify.ContextShower = sender{}

// ShowsContext reports that amount and payee are printed.
func (sender) ShowsContext() bool { return true }

// Send prints the message as a framed block. It prints nothing if ctx has
// ended; a Write that blocks is not interrupted.
func (s sender) Send(ctx context.Context, m notify.Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w (%w)", &notify.Failure{Reason: notify.Unavailable, Detail: "the time was over before the message was printed"}, err)
	}

	const rule = "────────────────────────────────────────────────────────────"
	var b strings.Builder
	b.WriteString("┌" + rule + "\n")
	b.WriteString("│ To " + printable(m.To) + " over " + string(s.channel) + " (printed only; nothing was sent)\n")
	b.WriteString("│\n")
	b.WriteString("│ " + printable(s.texts.Chat(m)) + "\n")
	b.WriteString("└" + rule + "\n")

	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.w.Write([]byte(b.String())); err != nil {
		// Not wrapped: a writer's error may quote what it was given. Part of
		// the block may be visible.
		return &notify.Failure{Reason: notify.Unavailable, MayHaveSent: true, Detail: "the message could not be printed"}
	}
	return nil
}

// printable replaces what a terminal would act on (escape sequences, line ends,
// bidi controls). The texts have cleaned what comes from outside; the number
// and the code reach the terminal too.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\u2068' || r == '\u2069' {
			return -1 // by which the texts keep a name in its place; a terminal may not know them
		}
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
