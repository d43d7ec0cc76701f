package user

import (
	"context"
	"errors"

	"twofa/internal/client"
)

// Directory is a set of users that clients share: 1 to 32 of a-z 0-9 and -. Users of
// two directories are two users, also if they have one name. The zero Directory has no
// users.
type Directory string

// ErrDirectory: a text is not a directory.
var ErrDirectory = errors.New("a directory of users has 1 to 32 characters, of a-z, 0-9 and -")

// ParseDirectory reads a directory. The error is ErrDirectory.
func ParseDirectory(text string) (Directory, error) {
	if !client.IsDirectory(text) {
		return "", ErrDirectory
	}
	return Directory(text), nil
}

// DirectoryOf returns the directory of the client whose request the context is of.
func DirectoryOf(ctx context.Context) Directory { return Directory(client.From(ctx).Directory) }
