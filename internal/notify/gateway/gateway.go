// Package gateway is what the messengers over a provider's HTTP API have in common:
// the loop that repeats a failed call, the transport and one call over it, the reading of
// settings that they all have and of requests that the provider makes and signs, and what a
// check says of an API that does not answer.
//
// It knows no provider. What an answer says is judged by the provider's own package,
// and so is what is written to it. It must never repeat a call unless that package
// allows it, never follow a redirect, and never put a number, a code, a credential or
// the words of an answer into an error or a log.
package gateway

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/reqlog"
)

const (
	// MaxTries bounds the API calls for one message.
	MaxTries = 3
	// FirstPause doubles with each try. The actual pause is random, at least half as
	// long, so that instances that failed together do not retry together.
	FirstPause = 400 * time.Millisecond

	// DefaultTimeout limits one try, DefaultTotal a whole Send, which is enough for two
	// full tries.
	DefaultTimeout = 5 * time.Second
	DefaultTotal   = 12 * time.Second
)

// Outcome is the result of one try.
type Outcome struct {
	// Failure is nil if the message was accepted.
	Failure *notify.Failure
	// Again is true if another try may succeed. If Failure.MayHaveSent is true, it may
	// also send a second message, unless the calls are Repeatable.
	Again bool
	// Ended is context.DeadlineExceeded or context.Canceled if that ended the try. It is
	// no other error, because the texts of others quote addresses.
	Ended error
}

// Refuse returns a failure for a message that no provider may get, nil for any other.
// showsTransaction is false if the message goes out as a template that has no place for
// amount and payee, and template is the variable of that template.
func Refuse(m notify.Message, showsTransaction bool, template string) *notify.Failure {
	switch {
	case !IsE164(m.To):
		return &notify.Failure{Outcome: otp.OutcomeInvalidAddress, Next: otp.NextAddress, Detail: "the number is not in E.164"}
	case m.Alert && m.Code != "":
		// One of the two is a mistake. An alert must not carry a code, because it may go
		// to other addresses than the code.
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Detail: "an alert has no code"}
	case !m.Alert && !showsTransaction && (m.Amount != "" || m.Payee != ""):
		// Otherwise the person would approve a payment that they cannot see.
		return &notify.Failure{Outcome: otp.OutcomeMisconfigured, Setting: template, Detail: "the template cannot show amount and payee"}
	}
	return nil
}

// Sending is how one message is sent.
type Sending struct {
	Provider       string // its name, for the log
	Channel        channel.Channel
	Timeout, Total time.Duration // of one try, and of all of them with their pauses
	// Latest is when the last try may begin. Zero: whenever there is time.
	Latest time.Time
	// Repeatable is true if the provider recognizes the repetition of a call and does not
	// send a second message for it.
	Repeatable bool
	// Once is true if no try may follow one that may have sent the message.
	Once bool
	Log  *slog.Logger
}

// Send calls try until the message is accepted or nothing more may be done: at most
// three times, and, unless the calls are Repeatable, at most once more after the first
// try that may have sent the message, or not at all if that is the sending's Once.
// The context of a try ends after Timeout. The error is as [notify.Sender] says.
func (s Sending) Send(ctx context.Context, try func(context.Context) Outcome) error {
	ctx, cancel := context.WithTimeout(ctx, s.Total)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return (&notify.Failure{Outcome: otp.OutcomeUnavailable, Unasked: true, Detail: "the time was over before the first try"}).Wrap(err)
	}

	mayHaveSent := false
	for n := 1; ; n++ {
		o := s.once(ctx, try)
		f := o.Failure
		if f == nil {
			return nil
		}
		// After an ambiguous failure there is one repetition, and this try was it. If an
		// earlier try may have sent the message, that stays true whatever the result of a
		// later try.
		last := n == MaxTries || mayHaveSent && !s.Repeatable
		mayHaveSent = mayHaveSent || f.MayHaveSent
		f.MayHaveSent = mayHaveSent
		last = last || s.Once && mayHaveSent

		pause := pauseAfter(n, f.RetryAfter)
		if last || !o.Again || !s.hasTimeFor(ctx, pause) {
			return f.Wrap(o.Ended)
		}
		s.logRepetition(ctx, n, f, pause)
		if err := sleep(ctx, pause); err != nil {
			return f.Wrap(err)
		}
	}
}

// logRepetition says that try n (from 1) failed and that another one follows.
func (s Sending) logRepetition(ctx context.Context, n int, f *notify.Failure, pause time.Duration) {
	attrs := append(reqlog.Request(ctx), slog.String("channel", string(s.Channel)), slog.Int("try", n),
		slog.String("reason", f.Outcome.String()), slog.Int("provider_error", f.Code))
	if f.Word != "" {
		attrs = append(attrs, slog.String("provider_word", f.Word))
	}
	attrs = append(attrs, slog.String("detail", f.Detail), slog.Int64("pause_ms", pause.Milliseconds()))
	s.Log.LogAttrs(ctx, slog.LevelWarn, s.Provider+": trying again", attrs...)
}

func (s Sending) once(ctx context.Context, try func(context.Context) Outcome) Outcome {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	return try(ctx)
}

// pauseAfter is the pause after the given try (from 1), at least asked, the pause that
// the provider asks for.
func pauseAfter(try int, asked time.Duration) time.Duration {
	full := FirstPause << (try - 1)
	return max(asked, full/2+rand.N(full/2))
}

// hasTimeFor reports whether enough time is left for a try after the pause. A try that
// is cut off early would only add an ambiguous failure.
func (s Sending) hasTimeFor(ctx context.Context, pause time.Duration) bool {
	deadline, _ := ctx.Deadline() // Send has set one
	inTime := s.Latest.IsZero() || time.Until(s.Latest) >= pause
	return ctx.Err() == nil && inTime && time.Until(deadline) >= pause+s.Timeout/2
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
