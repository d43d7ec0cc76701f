package app

import (
	"cmp"
	"runtime/debug"
)

// Version returns the version of the build, as the Go tool stamped it.
func Version() string {
	const unknown = "(unknown version)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	return cmp.Or(info.Main.Version, unknown)
}
