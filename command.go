package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"twofa/internal/config"
	"twofa/internal/problem"
	"twofa/internal/store"
	"twofa/internal/store/boltstore"
	"twofa/internal/texts"
	"twofa/users"
)

const usage = `usage:
  twofa                                serve
  twofa users import FILE.csv          take users in; - reads standard input
  twofa users export [-force] > FILE   write all users out, secrets included
The settings are those of the service: see docs/migrating-users.md.
`

// Exit codes of the commands.
const (
	exitDone    = 0
	exitStopped = 1 // it could not go on, or not begin
	exitSkipped = 2 // it is done but for some lines or users
)

// How much is under way at a time. A service needs a reply before the next request
// of a connection, so it gets more connections; a file on a disk gets more rows
// for each wait.
const (
	azureWorkers = 16
	boltBatch    = 512
)

// firstRetry is the pause before the first of five repetitions, of which each
// waits twice as long: half a minute in all.
const firstRetry = time.Second

// command is a run of the program that does not serve. It prints no name, address
// or secret, but for export's output.
type command struct {
	stdin  io.Reader
	stdout *os.File
	stderr io.Writer
	ticks  <-chan time.Time // when progress is told
	began  time.Time

	mu sync.Mutex // of stderr
}

// runCommand runs the command that args are, and returns the exit code.
func runCommand(ctx context.Context, args []string) int {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	c := &command{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, ticks: ticker.C, began: time.Now()}
	return c.run(ctx, args)
}

func (c *command) run(ctx context.Context, args []string) int {
	switch {
	case len(args) == 3 && args[0] == "users" && args[1] == "import":
		return c.importUsers(ctx, args[2])
	case len(args) == 2 && args[0] == "users" && args[1] == "export":
		return c.exportUsers(ctx, false)
	case len(args) == 3 && args[0] == "users" && args[1] == "export" && args[2] == "-force":
		return c.exportUsers(ctx, true)
	}
	_, _ = fmt.Fprint(c.stderr, usage)
	return exitStopped
}

func (c *command) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.stderr, format+"\n", args...)
}

func (c *command) importUsers(ctx context.Context, path string) int {
	file := c.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			c.say("%v", err)
			return exitStopped
		}
		defer f.Close()
		file = f
	}
	table, service, err := c.open()
	if err != nil {
		c.say("%v", err)
		return exitStopped
	}
	im := &users.Import{
		Users: service, Workers: azureWorkers, RetryAfter: firstRetry,
		Report: func(line int, text string) { c.say("line %d: %s", line, text) },
	}
	if t, ok := table.(interface {
		Together(context.Context, func(store.Table) error) error
	}); ok {
		im.Together, im.Batch, im.Workers = t.Together, boltBatch, 1
	}
	err = c.telling(func() error { return im.Run(ctx, file) }, func() string {
		t := im.Tally()
		return fmt.Sprintf("read %d, skipped %d, %s", t.Read, t.Skipped, c.rate(t.Read))
	})
	memory := peakMemory()
	err = errors.Join(err, table.Close())

	t := im.Tally()
	c.say("read %d, created %d, changed %d, unchanged %d, skipped %d; %s, %s",
		t.Read, t.Created, t.Changed, t.Unchanged, t.Skipped, c.rate(t.Read), memory)
	if t.Contradictions > 0 {
		c.say("%d lines contradict an earlier line about the same user: of each such user the last line counts", t.Contradictions)
	}
	switch {
	case err != nil && t.Line == 0:
		c.say("nothing was taken in: %s", why(ctx, err))
		return exitStopped
	case err != nil:
		c.say("stopped after line %d: %s. All lines up to it are done. It is safe to import the same file again.", t.Line, why(ctx, err))
		return exitStopped
	case t.Skipped > 0:
		c.say("the skipped lines were not taken in: mend them, and import the same file again; the others will be unchanged")
		return exitSkipped
	}
	return exitDone
}

func (c *command) exportUsers(ctx context.Context, force bool) int {
	if !force && isTerminal(c.stdout) {
		c.say("not written: the export holds whole addresses and secrets, and this is a terminal. Write to a file, or give -force.")
		return exitStopped
	}
	c.say("The output holds whole addresses and the secrets of authenticator apps: whoever has it can make their codes. Keep it as you keep passwords, and delete it when it is moved.")
	table, service, err := c.open()
	if err != nil {
		c.say("%v", err)
		return exitStopped
	}
	ex := &users.Export{Users: service, Workers: azureWorkers, Report: func(text string) { c.say("%s", text) }}
	err = c.telling(func() error { return ex.Run(ctx, c.stdout) }, func() string {
		t := ex.Tally()
		return fmt.Sprintf("wrote %d, %s", t.Users, c.rate(t.Users))
	})
	memory := peakMemory()
	err = errors.Join(err, table.Close())
	t := ex.Tally()
	c.say("wrote %d users in %d lines, skipped %d; %s, %s", t.Users, t.Lines, t.Skipped, c.rate(t.Users), memory)
	switch {
	case err != nil:
		c.say("stopped: %s. The file is not complete.", why(ctx, err))
		return exitStopped
	case t.Skipped > 0:
		return exitSkipped
	}
	return exitDone
}

// open opens what the service would, but listens to nobody and sends nothing.
func (c *command) open() (store.Table, *users.Service, error) {
	settings, err := config.Load(time.Now())
	if err != nil {
		return nil, nil, err
	}
	for _, name := range settings.Unknown {
		c.say("the setting %s means nothing to this version; is it misspelled?", name)
	}
	catalogue, err := texts.Load(settings.Texts)
	if err != nil {
		return nil, nil, err
	}
	silent := slog.New(slog.DiscardHandler)
	provider, err := openProvider(settings, catalogue, io.Discard, silent)
	if err != nil {
		return nil, nil, err
	}
	table, keys, err := openStore(settings)
	if errors.Is(err, boltstore.ErrLocked) {
		return nil, nil, fmt.Errorf("%w. Stop the service first, and start it again afterwards", err)
	}
	if err != nil {
		return nil, nil, err
	}
	if settings.Store == config.StoreAzure {
		c.say("store: Azure Table Storage, table prefix %s", settings.Tables.TablePrefix)
	} else {
		c.say("store: embedded, in %s", settings.DataDir)
	}
	return table, services(settings, table, keys, catalogue, provider, silent).Users, nil
}

// telling says about every second how far the work is.
func (c *command) telling(work func() error, progress func() string) error {
	done := make(chan error, 1)
	c.began = time.Now()
	go func() { done <- work() }()
	for {
		select {
		case err := <-done:
			return err
		case <-c.ticks:
			c.say("%s", progress())
		}
	}
}

func (c *command) rate(n int) string {
	seconds := time.Since(c.began).Seconds()
	return fmt.Sprintf("%.1f seconds, %.0f a second", seconds, float64(n)/max(seconds, 0.001))
}

// why is a failure in words that hold nothing of the users'.
func why(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "stopped by a signal"
	}
	if e, ok := errors.AsType[*problem.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// isTerminal also takes other devices for one, as they keep nothing.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// peakMemory is the most that was resident at a time (VmHWM), and how much of what
// is now are pages of files (RssFile): the program, and the embedded store, which
// has to be open still. Where there is no /proc, it is what the Go runtime has
// asked for.
func peakMemory() string {
	var peak, files float64
	status, _ := os.ReadFile("/proc/self/status") // none is an empty one
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %f kB", &peak) // leaves peak as it is in other lines
		_, _ = fmt.Sscanf(line, "RssFile: %f kB", &files)
	}
	if peak == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return fmt.Sprintf("peak memory %.1f MB", float64(m.Sys)/1e6)
	}
	const kib = 1024 / 1e6 // MB
	return fmt.Sprintf("peak memory %.1f MB, of it %.1f MB pages of files", peak*kib, files*kib)
}
