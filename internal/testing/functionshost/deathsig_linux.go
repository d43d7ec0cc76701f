package functionshost

import "syscall"

// processAttributes makes the kernel kill the handler if the test process ends without
// closing the host, for example by a panic or a time-out of the test.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
