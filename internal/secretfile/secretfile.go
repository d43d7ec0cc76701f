// Package secretfile keeps the secret of an embedded store in a file beside it.
//
// It must never replace a secret, or make one if there are rows: a new secret cannot
// open them, and all limits that they hold would be lost without an error.
package secretfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"twofa/internal/secret"
)

// Load reads the secret in the file. If there is no file, and empty reports that
// the store has no rows, Load makes the file with a new secret and mode 0600. It
// returns an error if the file is missing beside rows, or has no valid secret.
func Load(path string, empty func() (bool, error)) (*secret.Keyring, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text, err = create(path, empty)
	}
	if err != nil {
		return nil, fmt.Errorf("the secret beside the rows: %w", err)
	}
	keys, err := secret.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
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
// content from then on.
func writeWhole(path string, content []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
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
