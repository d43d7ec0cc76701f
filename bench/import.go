package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// importExport measures the import and the export of users.
func (m *measurement) importExport(ctx context.Context) error {
	r, err := newStorageRig(m.bin)
	if err != nil {
		return err
	}
	defer r.close()
	all, err := writeUsers(filepath.Join(m.bin.dir, "all.csv"), r.numbers, m.users)
	if err != nil {
		return err
	}
	few, err := writeUsers(filepath.Join(m.bin.dir, "few.csv"), r.numbers, m.users/10)
	if err != nil {
		return err
	}
	const latency = 5 * time.Millisecond
	azure := r.settings("")
	var rows [][]string
	for _, c := range []struct {
		store    string
		env      []string
		file     string
		users    int
		latency  time.Duration
		exported bool
	}{
		{"embedded", []string{"TWOFA_STORE=bolt", "TWOFA_COUNTRIES=US", "TWOFA_DATA_DIR=" + filepath.Join(m.bin.dir, "data")}, all, m.users, 0, true},
		// Without an export: the table server sorts the whole table for each page, so an
		// export of many rows would measure the table server.
		{"table server", append(azure, "TWOFA_TABLE_PREFIX=import"), all, m.users, 0, false},
		{"table server, " + latency.String() + " an answer", append(azure, "TWOFA_TABLE_PREFIX=slow"), few, m.users / 10, latency, true},
	} {
		if err := r.tell("/latency?d=" + c.latency.String()); err != nil {
			return err
		}
		runs := []string{"import", "import again"}
		if c.exported {
			runs = append(runs, "export")
		}
		for _, what := range runs {
			cells, err := m.timeCommand(ctx, c.env, what == "export", c.file)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.store, what, err)
			}
			rows = append(rows, append([]string{c.store, what, fmt.Sprint(c.users)}, cells...))
		}
	}
	m.say("`twofa users import` and `twofa users export`, as they ship, of users with a number, an e-mail address and an authenticator app each. "+
		"Memory is the peak of resident memory (VmHWM). It contains pages of files (the program, and the file of the embedded store), which the kernel can drop. "+
		"A line of the file has %d bytes.", bytesPerLine(all, m.users))
	m.table([]string{"store", "what", "users", "seconds", "users/s", "peak MB", "of that, pages of files"}, rows)
	return nil
}

// summary matches the last line of both commands.
var summary = regexp.MustCompile(`([\d.]+) seconds, (\d+) a second, peak memory ([\d.]+) MB, of it ([\d.]+) MB`)

// timeCommand runs the import or the export and returns the numbers of its summary.
func (m *measurement) timeCommand(ctx context.Context, env []string, export bool, file string) ([]string, error) {
	cmd := exec.CommandContext(ctx, m.bin.twofa, "users", "import", file)
	if export {
		cmd = exec.CommandContext(ctx, m.bin.twofa, "users", "export")
		out, err := os.Create(filepath.Join(m.bin.dir, "export.csv"))
		if err != nil {
			return nil, err
		}
		defer out.Close()
		cmd.Stdout = out
	}
	stderr := new(tail)
	cmd.Env, cmd.Stderr = env, stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.text)
	}
	found := summary.FindAllSubmatch(stderr.text, -1)
	if len(found) == 0 {
		return nil, errors.New("no summary")
	}
	var cells []string
	for _, cell := range found[len(found)-1][1:] {
		cells = append(cells, string(cell))
	}
	return cells, nil
}

// tail keeps the last 4096 bytes that are written to it.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-4096):]
	return len(p), nil
}

// writeUsers writes a file of n users and returns its path.
func writeUsers(path string, phones *numbers, n int) (string, error) {
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(f) // Flush returns the first error
	_, _ = fmt.Fprintln(w, "name,phone,email,secret,authenticator")
	app := make([]byte, 20)
	for i, phone := range phones.take(n) {
		_, _ = rand.Read(app) // never fails
		_, _ = fmt.Fprintf(w, "user-%d,%s,user-%d@example.com,%s,Phone\n", i, phone, i, base32.StdEncoding.EncodeToString(app))
	}
	return path, errors.Join(w.Flush(), f.Close())
}

func bytesPerLine(path string, lines int) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size() / int64(lines)
}
