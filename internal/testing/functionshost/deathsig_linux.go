package functionshost

import "syscall"

// bound makes the kernel kill the handler when the test process dies without
// closing the host, as it does at a panic or when a test runs out of time.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
