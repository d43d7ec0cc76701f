//go:build race

package phone

func init() { raceDetector = true }
