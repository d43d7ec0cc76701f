package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"twofa/internal/store"
)

// Look reads a file as Open does, without changing or making anything, and returns the data
// of up to 2n rows: see Sample. It waits for nobody. The error wraps fs.ErrNotExist,
// fs.ErrPermission, ErrLocked while another process has the file open, or store.ErrDamaged.
func Look(path string, n int) (data [][]byte, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(), info.Size() == 0:
		return nil, store.ErrDamaged
	}
	writable, err := os.OpenFile(path, os.O_RDWR, 0) // as Open needs it
	if err != nil {
		return nil, err
	}
	if err := writable.Close(); err != nil {
		return nil, err
	}
	var file *os.File // to be closed if bbolt panics
	opened := func(name string, _ int, _ os.FileMode) (_ *os.File, err error) {
		if file, err = os.Open(name); err != nil {
			return nil, err
		}
		if err = share(file); err == nil && canShare {
			if info, err = file.Stat(); err == nil && check(file, info.Size(), maxChecked) != nil {
				err = store.ErrDamaged
			}
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return file, nil
	}
	err = guard(func() (err error) {
		// bbolt takes a shared lock. Below its first pause, it tries once.
		db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: 1, OpenFile: opened})
		if err != nil {
			return err
		}
		s := &Store{db: db}
		if s.hasTables() {
			data, err = s.Sample(n)
		}
		return errors.Join(err, db.Close())
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, errDamagedFile):
		_ = file.Close() // releases the lock. bbolt may have closed it already
		return nil, store.ErrDamaged
	case err != nil && !errors.Is(err, store.ErrDamaged) && !errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("boltstore: look: %w", err)
	}
	return data, err
}

// hasTables is false for a file whose making was interrupted.
func (s *Store) hasTables() (has bool) {
	_ = s.db.View(func(tx *bolt.Tx) error { // returns what the function does
		has = tx.Bucket(rowsBucket) != nil && tx.Bucket(expiryBucket) != nil
		return nil
	})
	return has
}
