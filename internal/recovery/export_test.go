package recovery

import (
	"io"
	"time"
)

// New and Attempt over another hash, for the tests that are not about the slow one.

func NewWith(hash func(code string, salt [16]byte) []byte, random io.Reader, keys Keys, now time.Time) ([]string, State, error) {
	return newSet(random, keys, now, hash)
}

func AttemptWith(hash func(code string, salt [16]byte) []byte, code string, keys Keys, now time.Time) func(State) (State, int, error) {
	return attempt(code, keys, now, hash)
}
