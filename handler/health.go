package handler

import (
	"net/http"

	"twofa/health"
)

// checkHealth answers a monitor. The service logs a change of storage's state itself, so
// that frequent probes leave no lines in the log.
func (a *API) checkHealth(r *http.Request) (answer, error) {
	state := a.Health.Check(r.Context())
	status := http.StatusOK
	if state.Storage != health.OK {
		status = http.StatusServiceUnavailable
	}
	return answer{status: status, body: state, quiet: true}, nil
}
