package rig

import (
	"context"
	"slices"
	"sync"

	"twofa/internal/channel"
	"twofa/internal/notify"
)

// Sender records messages, and answers as a test says. Without an answer it accepts
// them.
type Sender struct {
	rig     *Rig
	channel channel.Channel

	mu     sync.Mutex
	sent   []notify.Message
	script []error
	always error
	answer func(m notify.Message) error
	blind  bool
	during func(m notify.Message)
}

// Answer adds answers for the next messages, one for each. nil: accepted.
func (s *Sender) Answer(answers ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, answers...)
}

// Always sets the answer to all messages for which Answer has set none.
func (s *Sender) Always(answer error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = answer
}

// AnswerBy sets what answers all messages for which Answer has set nothing.
func (s *Sender) AnswerBy(answer func(m notify.Message) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// Blind sets whether the sender cannot show amount and payee.
func (s *Sender) Blind(blind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = blind
}

// During sets a function that runs while a message is on its way to the provider.
func (s *Sender) During(f func(m notify.Message)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.during = f
}

// Sent returns all messages so far, accepted or not.
func (s *Sender) Sent() []notify.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// Last returns the last message.
func (s *Sender) Last() notify.Message {
	s.rig.TB.Helper()
	sent := s.Sent()
	if len(sent) == 0 {
		s.rig.TB.Fatalf("nothing was sent over %s", s.channel)
	}
	return sent[len(sent)-1]
}

// Send implements notify.Sender.
func (s *Sender) Send(_ context.Context, m notify.Message) error {
	s.rig.mustBeStored(s.channel, m)
	s.mu.Lock()
	s.sent = append(s.sent, m)
	during, answer, by := s.during, s.always, s.answer
	if len(s.script) > 0 {
		answer, by, s.script = s.script[0], nil, s.script[1:]
	}
	s.mu.Unlock()
	if during != nil {
		during(m)
	}
	if by != nil {
		return by(m)
	}
	return answer
}

// Provider implements notify.Namer.
func (s *Sender) Provider() string { return "rig" }

// ShowsTransaction implements notify.TransactionShower.
func (s *Sender) ShowsTransaction() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.blind
}

// mustBeStored fails the test unless the message is stored in its recipient's row,
// and counted in the row of the address that it goes to.
func (r *Rig) mustBeStored(by channel.Channel, m notify.Message) {
	r.Secret("an address", m.To)
	r.Secret("a code", m.Code)
	if m.Alert {
		if m.Code != "" || m.Verification != "" || m.Attempt != 0 || m.Amount != "" || m.Payee != "" || m.CanDeny {
			r.TB.Errorf("an alert over %s has more than an alert: %+v", by, m)
		}
		return
	}
	ctx := context.Background()
	row, err := LoadAny(ctx, r.Kept, m.Verification)
	if err != nil {
		r.TB.Errorf("a message over %s: its row: %v", by, err)
		return
	}
	v, err := row.Find(m.Verification)
	if err != nil || m.Attempt < 1 || m.Attempt > len(v.Attempts) || v.Attempts[m.Attempt-1].Channel != by {
		r.TB.Errorf("attempt %d over %s is not in its row: %+v, %v", m.Attempt, by, v.Attempts, err)
		return
	}
	if code, ok := v.Code(r.Keys); !ok || code != m.Code || m.To != row.AddressFor(v, by) || v.TestCode != "" {
		r.TB.Errorf("attempt %d over %s is not what its row says", m.Attempt, by)
	}
	if other, err := r.Kept.Load(ctx, r.Kept.Key(m.To)); err != nil || other.Address != m.To || len(other.Tally(v.Caller).Sends) == 0 {
		r.TB.Errorf("attempt %d over %s was not counted for the address that it goes to: %v", m.Attempt, by, err)
	}
}
