package handler

import "twofa/internal/problem"

// What the tests of the package's outside may know of its inside.
const (
	RequestTimeout = requestTimeout
	MaxEnvelope    = maxEnvelope
)

// StatusOf is the error table of respond.go.
func StatusOf() map[problem.Kind]int {
	table := make(map[problem.Kind]int)
	for kind, s := range statusOf {
		table[kind] = s.status
	}
	return table
}
