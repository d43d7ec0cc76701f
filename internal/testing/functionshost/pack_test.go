package functionshost_test

import (
	"archive/zip"
	"debug/elf"
	"encoding/binary"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"twofa/internal/testing/functionshost"
)

type zipEntry struct {
	name string
	mode fs.FileMode
	text string
}

func newZip(t *testing.T, entries ...zipEntry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		header.SetMode(e.mode)
		entry, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnzipKeepsModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	err := functionshost.Unzip(newZip(t,
		zipEntry{"folder/", fs.ModeDir | 0o755, ""},
		zipEntry{"folder/plain", 0o666, "plain text"},
		zipEntry{"handler", 0o777, "program"},
		zipEntry{"deep/er/still", 0o400, ""},
	), dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]zipEntry{
		"folder/plain":  {mode: 0o666, text: "plain text"},
		"handler":       {mode: 0o777, text: "program"},
		"deep/er/still": {mode: 0o400},
	} {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || string(text) != want.text || info.Mode() != want.mode {
			t.Errorf("%s: %v, %q, %v", name, info.Mode(), text, err)
		}
	}
}

func TestUnzipRefuses(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]zipEntry{
		"climbing":   {{"../out", 0o644, "x"}},
		"deep climb": {{"a/../../out", 0o644, "x"}},
		"inner dots": {{"a/x", 0o644, "x"}, {"a/../out", 0o644, "x"}},
		"absolute":   {{"/out", 0o644, "x"}},
		"backslash":  {{`..\out`, 0o644, "x"}},
		"link":       {{"out", fs.ModeSymlink | 0o777, "/etc/passwd"}},
		"device":     {{"out", fs.ModeDevice | 0o666, ""}},
		"twice":      {{"out", 0o644, "x"}, {"out", 0o755, "y"}},
		"no name":    {{"", 0o644, "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			above := t.TempDir()
			if err := functionshost.Unzip(newZip(t, entries...), filepath.Join(above, "dir")); err == nil {
				t.Error("no error")
			}
			if _, err := os.Lstat(filepath.Join(above, "out")); err == nil {
				t.Error("the entry was written outside")
			}
		})
	}
	if err := functionshost.Unzip(filepath.Join(t.TempDir(), "none.zip"), t.TempDir()); err == nil {
		t.Error("no error for a missing package")
	}
	// A symbolic link in the folder must not lead out of it.
	above := t.TempDir()
	if err := os.Symlink(above, filepath.Join(above, "link")); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(above, "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(above, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := functionshost.Unzip(newZip(t, zipEntry{"link/out", 0o644, "x"}), dir); err == nil {
		t.Error("a symbolic link led out")
	}
}

// staticBinary builds a program that a package may contain, once.
var staticBinary = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "functionshost")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, out := filepath.Join(dir, "main.go"), filepath.Join(dir, "out")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-o", out, source)
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		return text, err
	}
	return os.ReadFile(out)
})

// elfFile is the header of a 64-bit ELF file with one program header.
func elfFile(t *testing.T, system elf.OSABI, machine elf.Machine, program elf.ProgType) string {
	t.Helper()
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	header.Ident[elf.EI_OSABI] = byte(system)
	text, err := binary.Append(nil, binary.LittleEndian, header)
	if err == nil {
		text, err = binary.Append(text, binary.LittleEndian, elf.Prog64{Type: uint32(program)})
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCheckPackage(t *testing.T) {
	t.Parallel()
	program, err := staticBinary()
	if err != nil {
		t.Fatalf("%v: %s", err, program)
	}
	handler := zipEntry{"handler", 0o755, string(program)}
	host := zipEntry{"host.json", 0o644, hostJSON}
	function := zipEntry{"echo/function.json", 0o644, httpFunction("echo", "anonymous")}
	named := func(name string) zipEntry {
		return zipEntry{"host.json", 0o644, strings.Replace(hostJSON, `"handler"`, `"`+name+`"`, 1)}
	}
	for _, c := range []struct {
		name    string
		entries []zipEntry
		want    []string // parts of the error; none for no error
	}{
		{"good", []zipEntry{host, function, handler}, nil},
		{"handmade ELF header", []zipEntry{host, function, {"handler", 0o755, elfFile(t, elf.ELFOSABI_NONE, elf.EM_X86_64, elf.PT_LOAD)}}, nil},
		{"no host.json", []zipEntry{function, handler}, []string{"host.json"}},
		{"no handler", []zipEntry{host, function}, []string{"handler"}},
		{"other name", []zipEntry{named("./handler"), function, handler}, []string{"plain name"}},
		{"outside", []zipEntry{named("/bin/sh"), function, handler}, []string{"plain name"}},
		{"no exec bit", []zipEntry{host, function, {"handler", 0o644, string(program)}}, []string{"executable file"}},
		{"exec bit of the owner only", []zipEntry{host, function, {"handler", 0o744, string(program)}}, []string{"executable file"}},
		{"a script", []zipEntry{host, function, {"handler", 0o755, "#!/bin/sh\n"}}, []string{"handler"}},
		{"dynamic", []zipEntry{host, function, {"handler", 0o755, elfFile(t, elf.ELFOSABI_NONE, elf.EM_X86_64, elf.PT_INTERP)}}, []string{"dynamically"}},
		{"other system", []zipEntry{host, function, {"handler", 0o755, elfFile(t, elf.ELFOSABI_FREEBSD, elf.EM_X86_64, elf.PT_LOAD)}}, []string{"FREEBSD"}},
		{"other machine", []zipEntry{host, function, {"handler", 0o755, elfFile(t, elf.ELFOSABI_NONE, elf.EM_AARCH64, elf.PT_LOAD)}}, []string{"EM_AARCH64"}},
		{"leftovers", []zipEntry{
			host, function, handler, {"echo/echo.go", 0o644, ""}, {"main_test.go", 0o644, ""}, {"local.settings.json", 0o600, ""},
		}, []string{"echo/echo.go", "main_test.go", "local.settings.json"}},
		{"bad function", []zipEntry{host, {"echo/function.json", 0o644, "{"}, handler}, []string{"function.json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := functionshost.Unzip(newZip(t, c.entries...), dir); err != nil {
				t.Fatal(err)
			}
			err := functionshost.CheckPackage(dir)
			if (err == nil) != (c.want == nil) {
				t.Errorf("error %v", err)
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), dir, ""), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
		})
	}
}
