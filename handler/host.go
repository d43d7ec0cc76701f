package handler

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"twofa/internal/problem"
)

// The Functions host overwrites this header in every request that it proxies. It has no
// such header in the call of a timer.
const invocationHeader = "X-Ms-Invocation-Id"

// underHost reports whether the Functions host is in front of the service. The host
// checks keys, so there is no guard then.
func (a *API) underHost() bool { return a.Guard == nil }

// isRouted reports whether a request came to the host through a route of an HTTP
// function. The host itself sends requests without these headers: it calls timers, and
// asks whether the process is ready.
func isRouted(r *http.Request) bool {
	for name := range r.Header {
		if name == invocationHeader || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// fromTheHost serves what only the host itself may call. For a request that came
// through a route there is no such path.
func fromTheHost(e endpoint) endpoint {
	return func(r *http.Request) (answer, error) {
		if isRouted(r) {
			return answer{}, errNoRoute
		}
		return e(r)
	}
}

const textOldHost = "This Azure Functions host is too old for twofa: it does not know enableProxyingHttpRequest of host.json, which came in the middle of 2025. Update Azure Functions Core Tools, or the host's version in Azure."

// httpFunctions are the functions that the host calls over HTTP: the folders with a
// function.json that has an httpTrigger.
var httpFunctions = []string{"otpsend", "otpverify", "users", "pages", "oidc", "hooks", "health"}

// refuseOldHost answers a host that does not know the setting enableProxyingHttpRequest.
// Such a host wraps each request of a client into a JSON envelope, and posts it to
// /{function}. A host that knows the setting posts only the timer's envelope to such a
// path.
func (a *API) refuseOldHost(next http.Handler) http.Handler {
	refuse := a.serve("host", func(*http.Request) (answer, error) {
		a.Log.Error(textOldHost)
		return oldHostAnswer()
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && slices.Contains(httpFunctions, strings.TrimPrefix(r.URL.Path, "/")) && !isRouted(r) {
			refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// oldHostAnswer is an envelope that makes the old host answer its client with 501. The
// status of the envelope itself is 200, because the host turns any other into a 500
// without a body.
func oldHostAnswer() (answer, error) {
	body, err := json.Marshal(problemJSON{
		Type: "urn:twofa:" + string(problem.Internal), Title: "The Functions host is too old", Status: http.StatusNotImplemented, Detail: textOldHost,
	})
	if err != nil {
		return answer{}, problem.Unexpected(err)
	}
	type output struct {
		StatusCode int               `json:"statusCode"`
		Headers    map[string]string `json:"headers"`
		Body       string            `json:"body"`
	}
	result := invocationResult{
		Outputs: map[string]any{"res": output{http.StatusNotImplemented, map[string]string{"Content-Type": "application/problem+json"}, string(body)}},
		Logs:    []string{textOldHost},
	}
	return answer{status: http.StatusOK, body: result}, nil
}
