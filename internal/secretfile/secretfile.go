// Package secretfile keeps the secret of an embedded store in a file beside it.
//
// It must never replace a secret, or make one if there are rows: a new secret cannot
// open them, and all limits that they hold would be lost without an error.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"twofa/internal/charset"
	"twofa/internal/secret"
)

// Load reads the secret in the file. If there is no file, and empty reports that
// the store has no rows, Load makes the file with a new secret and mode 0600. It
// returns an error if the file is missing beside rows, has no valid secret, is not a
// regular file, or may be read or written by other users.
func Load(path string, empty func() (bool, error)) (*secret.Keyring, error) {
	text, err := readPrivate(path)
	if errors.Is(err, os.ErrNotExist) {
		text, err = create(path, empty)
	}
	if err != nil {
		return nil, fmt.Errorf("the secret beside the rows: %w", err)
	}
	return parse(path, text)
}

// Read is Load that makes no file: the error wraps fs.ErrNotExist if there is none.
func Read(path string) (*secret.Keyring, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text)
}

func parse(path string, text []byte) (*secret.Keyring, error) {
	text, err := charset.Text(text)
	if err != nil {
		return nil, fmt.Errorf("%s is in %w: save it as UTF-8", path, err)
	}
	keys, err := secret.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// CheckStore returns an error if there is a secret and no store beside it. The store
// is made before its secret, so it was lost. Call CheckStore before the store is
// opened: a new store would run with the old secret and without the counters.
func CheckStore(secretPath, storePath string) error {
	// The secret first: a process that starts now makes the store first.
	if _, err := os.Lstat(secretPath); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Lstat(storePath); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%s is missing, and %s belongs to it. Restore it from a backup. To begin without users and counters instead, move the secret away, too", storePath, secretPath)
}

// maxFile is more bytes than any file with a secret has.
const maxFile = 64 << 10

// readPrivate reads a file that only its owner can read and write. It follows no
// link: whoever can put a link there could choose the secret.
func readPrivate(path string) ([]byte, error) {
	named, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: put the file itself there, and not a link", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(named, opened) {
		return nil, fmt.Errorf("%s was replaced while it was read: start again", path)
	}
	if mode := opened.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" { // Windows has no such modes
		return nil, fmt.Errorf("%s has mode %04o, so other users can get at the secret: run chmod 600 %s, and make a new secret if somebody may have read it", path, mode, path)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

func create(path string, empty func() (bool, error)) ([]byte, error) {
	if ok, err := empty(); err != nil {
		return nil, err
	} else if !ok {
		return nil, fmt.Errorf("%s is missing, and the rows beside it need it: put it back, set TWOFA_SECRET, or remove the rows too", path)
	}
	text := []byte(secret.Generate() + "\n")
	return text, writeWhole(path, text)
}

// writeWhole writes a private file. After a power cut, the file is complete or
// missing. When writeWhole returns, it is on the disk: rows are sealed with its
// content from then on. It writes into no file that was there before, not even one
// that a link leads to.
func writeWhole(path string, content []byte) error {
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a power cut
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
