package console_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

const block = `┌────────────────────────────────────────────────────────────
│ To +14155550123 (printed only; nothing was sent)
│
│ 482913 is your Acme code to approve a payment of EUR 25.00 to Bike Shop. Valid for 10 minutes. Do not share it with anyone.
└────────────────────────────────────────────────────────────
`

func TestSendPrintsTheMessageAsThePersonSeesIt(t *testing.T) {
	var out bytes.Buffer
	s := console.New(&out)
	if err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if out.String() != block {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), block)
	}
	if !s.ShowsContext() {
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
		if err := console.New(&out).Send(t.Context(), m); err != nil {
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
	s := console.New(&out)
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
	err := console.New(&out).Send(ctx, message())
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
	err := console.New(brokenWriter{}).Send(t.Context(), message())
	var f *notify.Failure
	if !errors.As(err, &f) || f.Reason != notify.Unavailable || !f.MayHaveSent {
		t.Fatalf("got %v", err)
	}
	if s := err.Error(); strings.Contains(s, "482913") || strings.Contains(s, "4155550123") {
		t.Errorf("the error quotes the message: %s", s)
	}
}
