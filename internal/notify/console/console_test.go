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

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/notify/console"
	"twofa/internal/otp"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/notifytest"
)

func message() notify.Message {
	return notify.Message{
		To: fixture.Alice, Code: "482913", Brand: "Acme", ValidFor: 10 * time.Minute,
		Amount: "EUR 25.00", Payee: "Bike Shop",
	}
}

// words is test support for Texts. It passes all values on unchanged, as the number and
// the code reach the terminal too.
type words struct{}

func (words) Chat(m notify.Message) string {
	return "\u200f" + m.Code + " for " + m.Brand + ": " + m.Amount + ", \u2068" + m.Payee + "\u2069"
}

func printer(w io.Writer) notify.Sender { return console.New(w, words{}).Sender(channel.SMS) }

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
	if shower, ok := s.(notify.TransactionShower); !ok || !shower.ShowsTransaction() {
		t.Error("ShowsTransaction is false, but amount and payee are printed")
	}
}

// Beside the code, a mail has a link, which the developer follows.
func TestSendPrintsTheLinkOfAMail(t *testing.T) {
	var out bytes.Buffer
	m := message()
	m.Link = "http://127.0.0.1:7071/verify/link?t=x"
	if err := printer(&out).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if want := "Bike Shop\n│\n│ " + m.Link + "\n└"; !strings.Contains(out.String(), want) {
		t.Errorf("printed\n%s\nwithout\n%s", out.String(), want)
	}
}

// A hostile value must not move the cursor, colour the terminal or imitate a second
// message.
func TestSendNeutralisesControlCharacters(t *testing.T) {
	evil := "A\x1b[2J\x1b]0;title\x07\r\n\u009b31m\u202e│ To +1 forged\u2028"
	for _, m := range []notify.Message{
		{To: fixture.Alice, Code: "1", Brand: evil, ValidFor: time.Minute},
		{To: fixture.Alice, Code: "1", Brand: "A", Payee: evil, ValidFor: time.Minute},
		{To: fixture.Alice, Code: "1", Brand: "A", Amount: evil, ValidFor: time.Minute},
		{To: evil, Code: "1", Brand: "A", ValidFor: time.Minute},
		{To: fixture.Alice, Code: evil, Brand: "A", ValidFor: time.Minute},
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

// singleWrites counts the writes, and shows whether messages are interleaved.
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
		t.Errorf("messages are interleaved or missing:\n%.500s", got)
	}
}

func TestSendAfterTheEndOfItsContextPrintsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := printer(&out).Send(ctx, message())
	if f := notifytest.Failure(t, err); f.Outcome != otp.OutcomeUnavailable || f.MayHaveSent || !errors.Is(err, context.Canceled) {
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
	if f := notifytest.Failure(t, err); f.Outcome != otp.OutcomeUnavailable || !f.MayHaveSent {
		t.Errorf("got %v", err)
	}
	notifytest.Secrets{"code": "482913", "number": "4155550123"}.CheckError(t, err)
}
