package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"twofa/internal/store"
)

// ErrLocked is in Open's error while another process has the file open.
var ErrLocked = errors.New("another process holds the file")

// Open opens the file. If there is none, Open makes it with mode 0600; its folder has
// to exist. Only one process can have the file open: for others, the error wraps
// ErrLocked.
//
// A file that is damaged is an error. Open checks all pages of a file up to 64 MiB,
// which takes 0.1 seconds for the largest, and the first 64 MiB of a larger one. It
// never makes a new store in the place of a damaged one: all counters would be lost.
func Open(path string) (*Store, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(path)
	} else if err == nil {
		switch {
		case info.IsDir():
			return nil, fmt.Errorf("boltstore: %s is a folder, and has to be the file of the store: move the folder away", path)
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("boltstore: %s is not a regular file: put the file of the store there", path)
		case info.Size() == 0:
			return nil, damaged(path, errors.New("it is empty"))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
	}
	db, err := openChecked(path)
	if err != nil {
		return nil, err
	}
	return &Store{
		db:       db,
		pageSize: pageSize,
		writing:  make(chan struct{}, 1),
		commit:   (*bolt.Tx).Commit,
		broken:   make(chan struct{}),
	}, nil
}

// damaged is the error of a damaged file.
func damaged(path string, why error) error {
	return fmt.Errorf("boltstore: %s is damaged: %w. Restore it from a backup. To begin without users and counters instead, move it away, and the secret beside it, too", path, why)
}

// openChecked opens a file that exists, checks it, and makes what is missing in it.
func openChecked(path string) (*bolt.DB, error) {
	var file *os.File // to be closed if bbolt panics
	var wrong error
	opened := func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		if file, err = os.OpenFile(name, flag&^os.O_CREATE, mode); err != nil {
			return nil, err
		}
		if err = lock(file, lockTimeout); err == nil {
			var info os.FileInfo
			if info, err = file.Stat(); err == nil {
				wrong = check(file, info.Size(), maxChecked)
				err = wrong
			}
		}
		if err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return file, nil
	}
	var db *bolt.DB
	err := guard(func() (err error) {
		if db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, OpenFile: opened}); err == nil {
			err = prepare(db)
		}
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case wrong != nil:
		return nil, damaged(path, wrong)
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("boltstore: %w %s; the bolt store serves one process at a time", ErrLocked, path)
	}
	if file != nil {
		_ = file.Close() // releases the lock. bbolt may have closed it already
	}
	if errors.Is(err, errDamagedFile) {
		return nil, damaged(path, errors.New("bbolt cannot read it"))
	}
	return nil, fmt.Errorf("boltstore: open %s: %w", path, err)
}

// prepare makes the buckets, if they are missing.
func prepare(db *bolt.DB) error {
	missing := false
	if err := db.View(func(tx *bolt.Tx) error {
		missing = tx.Bucket(rowsBucket) == nil || tx.Bucket(expiryBucket) == nil
		return nil
	}); err != nil || !missing {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(rowsBucket)
		if err == nil {
			_, err = tx.CreateBucketIfNotExists(expiryBucket)
		}
		return err
	})
}

// create makes an empty store. After a power cut, the file is complete or missing: an
// empty file is therefore a damaged one.
func create(path string) error {
	folder, name := filepath.Split(path)
	made, err := os.CreateTemp(filepath.Clean(folder+"."), name+".new-") // mode 0600
	if err != nil {
		return err
	}
	temporary := made.Name()
	defer func() { _ = os.Remove(temporary) }()
	if err := made.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(temporary, 0o600, nil) // bbolt takes an empty file for a new one
	if err == nil {
		err = errors.Join(prepare(db), db.Close())
	}
	if err != nil {
		return err
	}
	// A link never replaces a file that another process has made meanwhile.
	if err = os.Link(temporary, path); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil { // some file systems have no links
		if err = os.Rename(temporary, path); err != nil {
			return err
		}
	}
	return syncFolder(path)
}

// syncFolder waits until the names in the file's folder are on the disk.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil || runtime.GOOS == "windows" { // which cannot do this
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// errDamagedFile: bbolt found a page that cannot be, or the file has become shorter.
var errDamagedFile = fmt.Errorf("%w: the file is damaged; stop the service and restore the file", store.ErrUnavailable)

// guard runs fn, which calls bbolt, and returns errDamagedFile if bbolt panics or
// reads beyond the end of the file. fn must not call a function of the store's user,
// whose panic is not bbolt's.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errDamagedFile
		}
	}()
	return fn()
}
