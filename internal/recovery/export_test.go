package recovery

import (
	"io"
	"time"
)

// IsCode is isCode.
var IsCode = isCode

// NewWith is New with another hash.
func NewWith(hash func(code string, salt [16]byte) []byte, random io.Reader, keys Keys, now time.Time) ([]string, State, error) {
	return newSet(random, keys, now, hash)
}

// AttemptWith is Attempt with another hash.
func AttemptWith(hash func(code string, salt [16]byte) []byte, code string, keys Keys, now time.Time) func(State) (State, int, error) {
	return attempt(code, keys, now, hash)
}
