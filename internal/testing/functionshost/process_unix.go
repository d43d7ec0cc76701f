//go:build unix

package functionshost

import (
	"os"
	"syscall"
)

func signalNumber(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return int(status.Signal())
	}
	return 0
}
