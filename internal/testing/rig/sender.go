package rig

import (
	"context"
	"slices"
	"sync"

	"twofa/internal/notify"
)

// Sender records what it is given and answers what a test says: nil by default.
type Sender struct {
	rig     *Rig
	channel notify.Channel

	mu     sync.Mutex
	sent   []notify.Message
	script []error
	always error
	blind  bool
	during func(m notify.Message)
}

// Answer says what the next messages are answered, one after the other.
func (s *Sender) Answer(answers ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, answers...)
}

// Always says what every message is answered that Answer says nothing of.
func (s *Sender) Always(answer error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = answer
}

// Blind makes a sender that cannot show amount and payee.
func (s *Sender) Blind(blind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = blind
}

// During runs while a message is on its way to the provider.
func (s *Sender) During(f func(m notify.Message)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.during = f
}

// Sent is the messages so far, whatever became of them.
func (s *Sender) Sent() []notify.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// Last is the last message.
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
	s.rig.mustBeKept(s.channel, m)
	s.mu.Lock()
	s.sent = append(s.sent, m)
	during, answer := s.during, s.always
	if len(s.script) > 0 {
		answer, s.script = s.script[0], s.script[1:]
	}
	s.mu.Unlock()
	if during != nil {
		during(m)
	}
	return answer
}

// ShowsContext implements notify.ContextShower.
func (s *Sender) ShowsContext() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.blind
}

// mustBeKept holds that a message is one that its recipient's row knows of, and
// that the row of the address that it goes to has counted it.
func (r *Rig) mustBeKept(channel notify.Channel, m notify.Message) {
	r.Secret("an address", m.To)
	r.Secret("a code", m.Code)
	if m.Alert {
		if m.Code != "" || m.Verification != "" || m.Attempt != 0 || m.Amount != "" || m.Payee != "" || m.CanDeny {
			r.TB.Errorf("an alert over %s says more than that", channel)
		}
		return
	}
	ctx := context.Background()
	row, err := r.Kept.Load(ctx, m.Verification.RowKey())
	if err != nil {
		r.TB.Errorf("a message over %s: its row: %v", channel, err)
		return
	}
	v, err := row.Find(m.Verification)
	if err != nil || m.Attempt < 1 || m.Attempt > len(v.Attempts) || v.Attempts[m.Attempt-1].Channel != string(channel) {
		r.TB.Errorf("attempt %d over %s is not in its row: %+v, %v", m.Attempt, channel, v.Attempts, err)
		return
	}
	if code, ok := v.Code(r.Keys); !ok || code != m.Code || m.To != row.AddressFor(v, string(channel)) || v.TestCode != "" {
		r.TB.Errorf("attempt %d over %s is not what its row says", m.Attempt, channel)
	}
	if other, err := r.Kept.Load(ctx, r.Kept.RowKey(m.To)); err != nil || other.Address != m.To || len(other.Sends) == 0 {
		r.TB.Errorf("attempt %d over %s was not counted for the address that it goes to: %v", m.Attempt, channel, err)
	}
}
