package delivery

import (
	"context"
	"log/slog"

	"twofa/internal/channel"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/reqlog"
)

// Report stores what a provider reports on a message, and sends the next one if
// the message failed. The error is nil if that next message fails. Two storage
// round trips, one if the report changes nothing, and those of Send for the next
// message.
func (s *Sender) Report(ctx context.Context, report notify.Report) error {
	g := otp.Progress{ID: report.Verification, Attempt: report.Attempt, Status: report.Status, Provider: report.Provider, Asks: report.Asks, Down: s.Down(channel.Sending)}
	if f := report.Failure; f != nil {
		g.Error, g.MayRecover, g.Next = f.Code, mayRecover(f), f.Next
	}
	var begun, news bool
	now := s.Now()
	st, err := s.change(ctx, g.ID, now, func(r otp.Recipient) (_ otp.Recipient, v otp.Verification, err error) {
		before, _ := r.Find(g.ID)
		r, v, begun, err = otp.Follow(r, g, s.Policy, now)
		news = err == nil && before.Attempts[g.Attempt-1] != v.Attempts[g.Attempt-1]
		return r, v, err
	})
	if err != nil {
		return err
	}
	if reqlog.Add(ctx, slog.Int("attempt", report.Attempt), slog.String("delivery", string(report.Status))); !news {
		return nil
	}
	if f := failureOf(report, st.Verification.Attempts[report.Attempt-1]); f != nil {
		s.logAttempt(ctx, st.Verification, report.Attempt, f)
		s.noteReported(st.Verification.Attempts[report.Attempt-1].Provider, f)
	}
	if !begun {
		return nil
	}
	if _, err = s.Send(ctx, st, Request{}); err != nil {
		// The provider that reports is not to blame and need not repeat it.
		reqlog.Add(ctx, slog.String("fallback", err.Error()))
	}
	return nil
}

// failureOf is why the message failed whose attempt is a, nil if it did not.
func failureOf(report notify.Report, a otp.Attempt) *notify.Failure {
	if report.Failure == nil && a.Status == otp.Failed {
		return &notify.Failure{Outcome: otp.OutcomeUnavailable, Detail: "the call was answered, and the provider never asked what it says"}
	}
	return report.Failure
}

// Answer returns what a call says that a person has answered, for the provider that asks. Its
// errors are those of [otp.Answer], and of kind Expired if the secret that made the code was
// removed, StorageUnavailable or Internal. Two storage round trips, one for a refusal.
func (s *Sender) Answer(ctx context.Context, q notify.Question) (notify.Message, error) {
	now := s.Now()
	st, err := s.change(ctx, q.Verification, now, func(r otp.Recipient) (otp.Recipient, otp.Verification, error) {
		return otp.Answer(r, otp.Question{
			ID: q.Verification, Attempt: q.Attempt, Provider: q.Provider, To: spellingsOf(q.To), Call: otp.NewMessageHash(q.CallID),
		}, now)
	})
	reqlog.Add(ctx, slog.Int("attempt", q.Attempt))
	if err != nil {
		return notify.Message{}, err
	}
	return s.message(st.Recipient, st.Verification, q.Attempt, now)
}
