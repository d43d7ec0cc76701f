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

// Sender prints messages. Use New.
type Sender struct {
	mu sync.Mutex
	w  io.Writer
}

var (
	_ notify.Sender        = (*Sender)(nil)
	_ notify.ContextShower = (*Sender)(nil)
)

// New returns a Sender that prints on w, one message at a time and each with a
// single Write, so that w may be shared with a logger.
func New(w io.Writer) *Sender { return &Sender{w: w} }

// ShowsContext reports that amount and payee are printed.
func (*Sender) ShowsContext() bool { return true }

// Send prints the message as a framed block. It prints nothing if ctx has
// ended; a Write that blocks is not interrupted.
func (s *Sender) Send(ctx context.Context, m notify.Message) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w (%w)", &notify.Failure{Reason: notify.Unavailable, Detail: "the time was over before the message was printed"}, err)
	}

	const rule = "────────────────────────────────────────────────────────────"
	var b strings.Builder
	b.WriteString("┌" + rule + "\n")
	b.WriteString("│ To " + printable(m.To) + " (printed only; nothing was sent)\n")
	b.WriteString("│\n")
	b.WriteString("│ " + printable(notify.Text(m)) + "\n")
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
// bidi controls). notify.Text has cleaned the free texts already; the number
// and the code reach the terminal too.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
