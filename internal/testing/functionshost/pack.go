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

// Unzip unpacks a deployment package into dir, with the file modes of the package, because the
// platform runs the files as they are in the package. It creates dir if necessary. It refuses
// entries outside dir, two entries with one name, and entries that are neither plain files
// nor folders.
func Unzip(zipPath, dir string) error {
	r, err := zip.OpenReader(zipPath)
	if err != nil {
		return fmt.Errorf("functionshost: %s: %w", zipPath, err)
	}
	defer r.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // no entry can leave this folder, not even by a symbolic link
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
	// The root refuses names that leave it. Backslashes and dot segments inside a name do
	// not belong into a package either.
	if path.Clean(name) != name && "./"+path.Clean(name) != name || strings.Contains(name, `\`) {
		return errors.New("the name is not a plain path inside the package")
	}
	mode := entry.Mode()
	if mode.IsDir() {
		return root.MkdirAll(name, 0o755)
	}
	if !mode.IsRegular() {
		return fmt.Errorf("mode %v is not the mode of a plain file", mode)
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
	// Chmod, because the umask would remove bits from the mode of OpenFile.
	return errors.Join(err, file.Chmod(mode.Perm()), file.Close())
}

// CheckPackage reports all faults of the unpacked package in dir together: faults of the app's
// files, a handler that is not a static executable for linux/amd64 with exactly the name in
// host.json, Go sources, and local.settings.json.
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
	// Publishing sets the exec bit of the entry with exactly this name. It would not do so
	// for "./name".
	if !filepath.IsLocal(a.executable) || path.Clean(a.executable) != a.executable {
		return errors.New("defaultExecutablePath must be the entry's plain name")
	}
	file := filepath.Join(a.root, a.executable)
	info, err := os.Lstat(file)
	if err != nil {
		return err
	}
	// All three exec bits, because the host's user may differ from the file's owner.
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 != 0o111 {
		return fmt.Errorf("mode %v is not the mode of an executable file", info.Mode())
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
