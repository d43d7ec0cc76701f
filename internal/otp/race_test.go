//go:build race

package otp_test

// raceEnabled: the race detector makes HMACs about ten times slower.
const raceEnabled = true
