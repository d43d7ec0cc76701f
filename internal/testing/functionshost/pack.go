package functionshost

import (
	"archive/zip"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Unzip unpacks a deployment package into dir, which it makes if it is missing,
// with the modes that the package stores: the platform runs what is in the
// package as it is. It refuses entries that would land outside dir or on top of
// each other, and anything but plain files and folders.
func Unzip(zipPath, dir string) error {
	r, err := zip.OpenReader(zipPath)
	if err != nil {
		return fmt.Errorf("functionshost: %s: %w", zipPath, err)
	}
	defer r.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // symbolic links can't lead out of it either
	if err != nil {
		return err
	}
	defer root.Close()
	for _, entry := range r.File {
		if err := unpack(root, entry); err != nil {
			return fmt.Errorf("functionshost: %s: entry %q: %w", zipPath, entry.Name, err)
		}
	}
	return nil
}

func unpack(root *os.Root, entry *zip.File) error {
	name := strings.TrimSuffix(entry.Name, "/")
	// The root refuses what leads out of it. Other systems' ways to write a path and
	// dots inside of one are not for a package either.
	if path.Clean(name) != name && "./"+path.Clean(name) != name || strings.Contains(name, `\`) {
		return errors.New("the name is not a plain path inside the package")
	}
	mode := entry.Mode()
	if mode.IsDir() {
		return root.MkdirAll(name, 0o755)
	}
	if !mode.IsRegular() {
		return fmt.Errorf("mode %v is not that of a plain file", mode)
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	content, err := entry.Open()
	if err == nil {
		_, err = io.Copy(file, content)
		err = errors.Join(err, content.Close())
	}
	// Chmod, not the mode of the opening: the umask would take bits away.
	return errors.Join(err, file.Chmod(mode.Perm()), file.Close())
}

// CheckPackage reports, all together, what keeps the unpacked package in dir from
// running on Azure or must not be published: faults of the app's files, a handler
// that is not a static executable for linux/amd64 at exactly the place that
// host.json names, Go sources, and local.settings.json.
func CheckPackage(dir string) error {
	var faults []error
	a, err := load(dir)
	if err != nil {
		faults = append(faults, err)
	} else if err := a.checkHandler(); err != nil {
		faults = append(faults, fmt.Errorf("handler %q: %w", a.executable, err))
	}
	err = filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && (filepath.Ext(file) == ".go" || entry.Name() == "local.settings.json") {
			name, _ := filepath.Rel(dir, file) // both begin with dir
			faults = append(faults, fmt.Errorf("%s must not be in the package", name))
		}
		return err
	})
	if err := errors.Join(append(faults, err)...); err != nil {
		return fmt.Errorf("functionshost: package %s: %w", dir, err)
	}
	return nil
}

func (a *app) checkHandler() error {
	// Publishing gives the exec bit to the entry with exactly this name, so
	// "./name" stays without.
	if !filepath.IsLocal(a.executable) || path.Clean(a.executable) != a.executable {
		return errors.New("defaultExecutablePath must be the entry's plain name")
	}
	file := filepath.Join(a.root, a.executable)
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	// All three bits: the host's user need not be the file's owner.
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 != 0o111 {
		return fmt.Errorf("mode %v is not that of an executable file", info.Mode())
	}
	binary, err := elf.Open(file)
	if err != nil {
		return err
	}
	defer binary.Close()
	// Linux binaries mostly name no system.
	if binary.Machine != elf.EM_X86_64 || binary.OSABI != elf.ELFOSABI_NONE && binary.OSABI != elf.ELFOSABI_LINUX {
		return fmt.Errorf("it is built for %v and %v, not for linux/amd64", binary.OSABI, binary.Machine)
	}
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is linked dynamically: build with CGO_ENABLED=0")
		}
	}
	return nil
}
