// Command pack makes the deployment package of a function app: the zip that
// `func azure functionapp publish` (or any zip deployment) would send.
//
//	go run ./internal/pack -root . -binary dist/twofa -out dist/twofa.zip
//
// The package has all files below the root except those that .funcignore lists, as the
// publishing tool reads that file, and the binary with the name that host.json gives it. If
// there are other files than host.json and function.json, the command fails, so that nothing
// is published by accident. The same files make the same bytes: entries are sorted and have a
// fixed time. The command must never add a file from outside the root, or follow a link.
package main

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	root := flag.String("root", ".", "the app's folder, with host.json")
	binary := flag.String("binary", "", "the built handler")
	out := flag.String("out", "", "the zip to write")
	flag.Parse()
	if err := pack(*root, *binary, *out); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// file is one entry of the package.
type file struct {
	name string // in the package, with slashes
	path string // where its content is
	mode fs.FileMode
}

// pack writes the package of the app at root to out. After an error, out is unchanged.
func pack(root, binary, out string) error {
	if binary == "" || out == "" {
		return errors.New("-binary and -out are needed")
	}
	files, err := collect(root, binary)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(out), filepath.Base(out)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }() // fails if the file was renamed
	if err := errors.Join(write(draft, files), draft.Chmod(0o644), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), out)
}

// collect lists the package's files, sorted by name.
func collect(root, binary string) ([]file, error) {
	executable, err := executableName(root)
	if err != nil {
		return nil, err
	}
	ignored, err := readIgnoreFile(filepath.Join(root, ".funcignore"))
	if err != nil {
		return nil, err
	}
	files := []file{{executable, binary, 0o755}}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		switch {
		case entry.IsDir() && neverFolder(entry.Name()):
			return fs.SkipDir
		case entry.IsDir(), neverFile(entry.Name()), ignored.denies(name):
			return nil
		case name == executable:
			return nil // -binary replaces this file
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is not a plain file", name)
		case name != "host.json" && (strings.Count(name, "/") != 1 || !strings.HasSuffix(name, "/function.json")):
			// Publishing would also send this file, which may be a log or a key.
			return fmt.Errorf("%s is no part of the app: move it away, or list it in .funcignore", name)
		}
		files = append(files, file{name, path, 0o644})
		return nil
	})
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, err
}

// executableName reads the handler's name from host.json. The platform sets the exec bit only
// for the entry with exactly this name.
func executableName(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "host.json"))
	if err != nil {
		return "", err
	}
	var host struct {
		CustomHandler struct {
			Description struct {
				DefaultExecutablePath string `json:"defaultExecutablePath"`
			} `json:"description"`
		} `json:"customHandler"`
	}
	if err := json.Unmarshal(text, &host); err != nil {
		return "", fmt.Errorf("host.json: %w", err)
	}
	name := host.CustomHandler.Description.DefaultExecutablePath
	if name == "" || name != filepath.Base(name) {
		return "", errors.New("host.json: defaultExecutablePath is not a plain file name")
	}
	return name, nil
}

// packed is the time of every entry. The ZIP format begins with 1980, in local time.
var packed = time.Date(1980, 1, 2, 0, 0, 0, 0, time.UTC)

func write(to io.Writer, files []file) error {
	archive := zip.NewWriter(to)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: packed}
		header.SetMode(f.mode)
		if err := add(archive, header, f.path); err != nil {
			return err
		}
	}
	return archive.Close()
}

func add(archive *zip.Writer, header *zip.FileHeader, path string) error {
	content, err := os.Open(path)
	if err != nil {
		return err
	}
	defer content.Close()
	entry, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, content)
	return err
}
