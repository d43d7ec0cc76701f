//go:build (linux && !android) || darwin || freebsd || netbsd || openbsd || dragonfly

package boltstore

import (
	"errors"
	"os"
	"syscall"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"
)

// lock takes bbolt's lock of the file before bbolt does, so that nobody writes while
// the file is checked. bbolt then has it at once. The error after the time limit is
// bbolt's.
func lock(f *os.File, limit time.Duration) error {
	for until := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(until) {
			return bolterrors.ErrTimeout
		}
	}
}

const canShare = true

// share takes a shared lock of the file, without waiting. The error is bbolt's if another
// process has the file open.
func share(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return bolterrors.ErrTimeout
	}
	return err
}
