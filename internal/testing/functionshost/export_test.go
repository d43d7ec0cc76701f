package functionshost

import (
	"context"
	"time"
)

// StartQuick is Start with short pauses: functionTimeout ends at once, a handler is started again
// at once, and the ten tries of a request take 90 ms. A body may have 30 MB.
func StartQuick(ctx context.Context, o Options) (*Host, error) {
	quick := timing{grace: time.Millisecond, restart: time.Millisecond, body: 30 << 20}
	for range realTiming.pauses {
		quick.pauses = append(quick.pauses, 10*time.Millisecond)
	}
	return start(ctx, o, quick)
}

// StartPatient is Start with tries for 20 s, for tests in which a new process has to be in time.
func StartPatient(ctx context.Context, o Options) (*Host, error) {
	patient := timing{grace: realTiming.grace, restart: time.Millisecond, body: realTiming.body}
	for range 400 {
		patient.pauses = append(patient.pauses, 50*time.Millisecond)
	}
	return start(ctx, o, patient)
}

// Tries is how often requests were tried to be sent.
func (h *Host) Tries() int { return int(h.tries.Load()) }
