package handler

import "twofa/internal/problem"

// For tests in package handler_test.
const (
	RequestTimeout = requestTimeout
	MaxEnvelope    = maxEnvelope
)

// HTTPFunctions are the functions that an old host would post an envelope to.
var HTTPFunctions = httpFunctions

// StatusOf returns the statuses of the error table.
func StatusOf() map[problem.Kind]int {
	table := make(map[problem.Kind]int)
	for kind, s := range statusOf {
		table[kind] = s.status
	}
	return table
}

// TitleOf returns the title of a kind in the error table.
func TitleOf(kind problem.Kind) string { return statusOf[kind].title }

// Anonymous are the functions that anybody may call without a key.
var Anonymous = anonymous

// Routes returns the scope of each route, by method and pattern.
func (a *API) Routes() map[string]string {
	all := make(map[string]string)
	for _, rt := range a.routes() {
		for method, m := range rt.methods {
			all[method+" "+rt.pattern] = string(m.scope)
		}
	}
	return all
}
