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

// moves times users on their way in and out.
func (b *bench) moves(ctx context.Context) error {
	r := &rig{bin: b.bin, provider: newProvider(), numbers: new(numbers)}
	defer r.close()
	if err := r.startStorage(); err != nil {
		return err
	}
	all, err := writeUsers(filepath.Join(b.bin.dir, "all.csv"), r.numbers, b.moved)
	if err != nil {
		return err
	}
	few, err := writeUsers(filepath.Join(b.bin.dir, "few.csv"), r.numbers, b.moved/10)
	if err != nil {
		return err
	}
	const latency = 5 * time.Millisecond
	azure := r.settings("")
	var rows [][]string
	for _, m := range []struct {
		store    string
		env      []string
		file     string
		users    int
		latency  time.Duration
		exported bool
	}{
		{"embedded", []string{"TWOFA_STORE=bolt", "TWOFA_COUNTRIES=US", "TWOFA_DATA_DIR=" + filepath.Join(b.bin.dir, "data")}, all, b.moved, 0, true},
		// The table server sorts the whole table for each page, so what an export
		// of many rows took would be its time.
		{"table server", append(azure, "TWOFA_TABLE_PREFIX=import"), all, b.moved, 0, false},
		{"table server, " + latency.String() + " an answer", append(azure, "TWOFA_TABLE_PREFIX=slow"), few, b.moved / 10, latency, true},
	} {
		if err := r.tell("/latency?d=" + m.latency.String()); err != nil {
			return err
		}
		runs := []string{"import", "the same again"}
		if m.exported {
			runs = append(runs, "export")
		}
		for _, what := range runs {
			cells, err := b.move(ctx, m.env, what == "export", m.file)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", m.store, what, err)
			}
			rows = append(rows, append([]string{m.store, what, fmt.Sprint(m.users)}, cells...))
		}
	}
	b.say("`twofa users import` and `twofa users export`, as they ship, of users with a number, an e-mail address and an authenticator app each. "+
		"Memory is the most that was resident (VmHWM); the pages of files among it are the program and, of the embedded store, its file, which the kernel can drop. "+
		"A line of the file takes %d bytes.", bytesPerLine(all, b.moved))
	b.table([]string{"store", "what", "users", "seconds", "users/s", "peak MB", "of it pages of files"}, rows)
	return nil
}

// summary is what both commands say at the end.
var summary = regexp.MustCompile(`([\d.]+) seconds, (\d+) a second, peak memory ([\d.]+) MB, of it ([\d.]+) MB`)

// move runs one of the commands and returns the numbers of its summary.
func (b *bench) move(ctx context.Context, env []string, export bool, file string) ([]string, error) {
	cmd := exec.CommandContext(ctx, b.bin.twofa, "users", "import", file)
	if export {
		cmd = exec.CommandContext(ctx, b.bin.twofa, "users", "export")
		out, err := os.Create(filepath.Join(b.bin.dir, "export.csv"))
		if err != nil {
			return nil, err
		}
		defer out.Close()
		cmd.Stdout = out
	}
	said := new(tail)
	cmd.Env, cmd.Stderr = env, said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, said.text)
	}
	found := summary.FindAllSubmatch(said.text, -1)
	if len(found) == 0 {
		return nil, errors.New("no summary")
	}
	var cells []string
	for _, cell := range found[len(found)-1][1:] {
		cells = append(cells, string(cell))
	}
	return cells, nil
}

// tail keeps the end of what is written to it.
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
	w := bufio.NewWriter(f) // remembers its first error for Flush
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
