package otp

import "time"

// SendRefusal is the error of a message to the address, nil for none.
func (r Recipient) SendRefusal(c Caller, p Policy, now time.Time) error {
	if err := r.maySend(c, p, now); err != nil {
		return err
	}
	return nil
}

// Replayed returns the remembered answer to a request, also to one that is under way.
// It returns false if there is none.
func (r Recipient) Replayed(c Caller, i Idempotency) (Replay, bool, error) {
	_, err := r.replayed(c, i, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	if p, ok := err.(*Replay); ok {
		return *p, true, nil
	}
	return Replay{}, false, err
}

// MaxSize and Size are the bound of a recipient, and what it is compared with.
const MaxSize = maxSize

func (r Recipient) Size() int { return r.size() }
