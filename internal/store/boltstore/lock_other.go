//go:build !((linux && !android) || darwin || freebsd || netbsd || openbsd || dragonfly)

package boltstore

import (
	"os"
	"time"
)

// lock does nothing: bbolt's lock of this system cannot be taken before bbolt does. A
// second process may then find the file damaged, because the first one is writing,
// instead of locked.
func lock(*os.File, time.Duration) error { return nil }

// canShare is false: Look does not check the pages of a file that may be written meanwhile.
const canShare = false

func share(*os.File) error { return nil }
