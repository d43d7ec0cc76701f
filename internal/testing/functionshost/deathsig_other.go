//go:build !linux

package functionshost

import "syscall"

// processAttributes is nil: this kernel cannot end a child together with its parent.
func processAttributes() *syscall.SysProcAttr { return nil }
