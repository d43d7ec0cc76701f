package otp

// Replayed returns the remembered answer to a request, false if there is none.
func (r Recipient) Replayed(i Idempotency) (Replay, bool, error) {
	_, err := r.replayed(i)
	if p, ok := err.(*Replay); ok {
		return *p, true, nil
	}
	return Replay{}, false, err
}
