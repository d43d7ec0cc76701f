//go:build !linux

package functionshost

import "syscall"

// bound does nothing where the kernel can't tie a child's life to its parent's.
func bound() *syscall.SysProcAttr { return nil }
