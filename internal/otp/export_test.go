package otp

import "time"

// SendRefusal is the error of a message to the address, nil for none.
func (r Recipient) SendRefusal(p Policy, now time.Time) error {
	if err := r.maySend(p, now); err != nil {
		return err
	}
	return nil
}

// Replayed returns the remembered answer to a request, also to one that is under way.
// It returns false if there is none.
func (r Recipient) Replayed(i Idempotency) (Replay, bool, error) {
	_, err := r.replayed(i, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	if p, ok := err.(*Replay); ok {
		return *p, true, nil
	}
	return Replay{}, false, err
}
