package console_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"twofa/internal/notify"
	"twofa/internal/notify/console"
)

func message() notify.Message {
	return notify.Message{
		To: "+14155550123", Code: "482913", Brand: "Acme", ValidFor: 10 * time.Minute,
		Amount: "EUR 25.00", Payee: "Bike Shop",
	}
}

// words is what the texts make of a message. It passes on what the real ones
// neutralise, as the number and the code reach the terminal too.
type words struct{}

func (words) Chat(m notify.Message) string {
	return m.Code + " for " + m.Brand + ": " + m.Amount + ", \u2068" + m.Payee + "\u2069"
}

func printer(w io.Writer) notify.Sender { return console.New(w, words{}).On(notify.SMS) }

const block = `┌────────────────────────────────────────────────────────────
│ To +14155550123 over sms (printed only; nothing was sent)
│
│ 482913 for Acme: EUR 25.00, Bike Shop
└────────────────────────────────────────────────────────────
`

func TestSendPrintsTheMessageAsThePersonSeesIt(t *testing.T) {
	var out bytes.Buffer
	s := printer(&out)
	if err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if out.String() != block {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), block)
	}
	if shower, ok := s.(notify.ContextShower); !ok || !shower.ShowsContext() {
		t.Error("ShowsContext is false, yet amount and payee are printed")
	}
}

// A hostile value must not move the cursor, colour the terminal or forge a
// second block.
func TestSendNeutralisesControlCharacters(t *testing.T) {
	evil := "A\x1b[2J\x1b]0;title\x07\r\n\u009b31m\u202e│ To +1 forged\u2028"
	for _, m := range []notify.Message{
		{To: "+14155550123", Code: "1", Brand: evil, ValidFor: time.Minute},
		{To: "+14155550123", Code: "1", Brand: "A", Payee: evil, ValidFor: time.Minute},
		{To: "+14155550123", Code: "1", Brand: "A", Amount: evil, ValidFor: time.Minute},
		{To: evil, Code: "1", Brand: "A", ValidFor: time.Minute},
		{To: "+14155550123", Code: evil, Brand: "A", ValidFor: time.Minute},
	} {
		var out bytes.Buffer
		if err := printer(&out).Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "\n"); n != 5 {
			t.Errorf("%d lines instead of 5: %q", n, out.String())
		}
		for _, r := range out.String() {
			if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)) {
				t.Errorf("%U reached the terminal: %q", r, out.String())
			}
		}
	}
}

// singleWrites counts writes and would show interleaving.
type singleWrites struct {
	bytes.Buffer
	writes int
}

func (w *singleWrites) Write(p []byte) (int, error) { w.writes++; return w.Buffer.Write(p) }

func TestSendIsSafeForConcurrentUse(t *testing.T) {
	const n = 50
	var out singleWrites
	s := printer(&out)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if err := s.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if out.writes != n {
		t.Errorf("%d writes for %d messages", out.writes, n)
	}
	if got := out.String(); got != strings.Repeat(block, n) {
		t.Errorf("blocks interleave or are missing:\n%.500s", got)
	}
}

func TestSendAfterTheEndPrintsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := printer(&out).Send(ctx, message())
	var f *notify.Failure
	if !errors.As(err, &f) || f.Reason != notify.Unavailable || f.MayHaveSent || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if out.Len() != 0 {
		t.Errorf("printed %q", out.String())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write(p []byte) (int, error) { return 0, fmt.Errorf("cannot write %q", p) }

func TestSendToABrokenWriter(t *testing.T) {
	err := printer(brokenWriter{}).Send(t.Context(), message())
	var f *notify.Failure
	if !errors.As(err, &f) || f.Reason != notify.Unavailable || !f.MayHaveSent {
		t.Fatalf("got %v", err)
	}
	if s := err.Error(); strings.Contains(s, "482913") || strings.Contains(s, "4155550123") {
		t.Errorf("the error quotes the message: %s", s)
	}
}
