package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"twofa/internal/app"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/problem"
	"twofa/internal/user"
)

const usage = `twofa is a one-time-code service. Without a command it serves.

usage:
  twofa                                       serve
  twofa users import [-directory D] FILE      import users from a CSV file
  twofa users export [-directory D] [-o FILE] [-force]
                                              export users as CSV, secrets included
  twofa clients new ID [--verify]             make a secret for a client, and its entry for TWOFA_CLIENTS
  twofa clients list                          print the clients of TWOFA_CLIENTS
  twofa clients check ID                      read a secret, and say whether it is this client's
  twofa check [--json]                        check the settings, storage and providers; sends nothing
  twofa version                               print version, commit and Go version
  twofa help                                  print this text

All settings are environment variables: see docs/settings.md.
`

const importUsage = `usage: twofa users import [-directory D] FILE
Imports users from a CSV file; - reads standard input.
  -directory D   import into the directory D; without it: main
See docs/migrating-users.md.
`

const exportUsage = `usage: twofa users export [-directory D] [-o FILE] [-force]
Exports the users of a directory as CSV to standard output, whole addresses and
secrets included.
  -directory D   export the directory D; without it: main
  -o FILE        write to FILE instead; only its owner can read it
  -force         write even to a terminal
See docs/migrating-users.md.
`

// Exit codes of the commands.
const (
	exitDone    = 0
	exitStopped = 1 // it could not begin, or not finish
	exitSkipped = 2 // it finished, but skipped some lines or users
)

// command is a run of the program that does not serve. Except in the output of an
// export, it must never print a name, an address or a secret.
type command struct {
	stdin  io.Reader
	stdout *os.File
	stderr io.Writer
	ticks  <-chan time.Time // each tick prints the progress
	began  time.Time

	mu sync.Mutex // of stderr
}

// runCommand runs the command that args name, and returns the exit code.
func runCommand(ctx context.Context, args []string) int {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	c := &command{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, ticks: ticker.C, began: time.Now()}
	return c.run(ctx, args)
}

func (c *command) run(ctx context.Context, args []string) int {
	switch name := strings.Join(args[:min(2, len(args))], " "); {
	case name == "users import":
		return c.importUsers(ctx, args[2:])
	case name == "users export":
		return c.exportUsers(ctx, args[2:])
	case name == "clients new", name == "clients list", name == "clients check":
		return c.clients(args[1], args[2:])
	case args[0] == "check":
		return c.check(ctx, args[1:])
	case name == "version":
		return c.print(version())
	case isHelp(args[0]), (args[0] == "users" || args[0] == "clients") && len(args) == 2 && isHelp(args[1]):
		return c.print(usage)
	}
	c.say("twofa has no command %q\n\n%s", strings.Join(args, " "), strings.TrimSuffix(usage, "\n"))
	return exitStopped
}

func isHelp(arg string) bool {
	return arg == "help" || arg == "-h" || arg == "-help" || arg == "--help"
}

// print answers a question on standard output.
func (c *command) print(text string) int {
	if _, err := io.WriteString(c.stdout, text); err != nil {
		return exitStopped
	}
	return exitDone
}

// version returns the version, the commit and the Go version of the build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "twofa " + app.Version() + " " + runtime.Version() + "\n"
	}
	commit := "unknown commit"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = "commit " + s.Value
		}
	}
	return fmt.Sprintf("twofa %s\n%s\n%s\n", app.Version(), commit, info.GoVersion)
}

// parse reads the flags of a command, which takes n arguments. It returns false
// and the exit code if the command must not run.
func (c *command) parse(flags *flag.FlagSet, usage string, args []string, n int) (code int, ok bool) {
	flags.SetOutput(io.Discard)
	if len(args) == 1 && args[0] == "help" {
		args = []string{"-h"}
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return c.print(usage), false
	case err == nil && flags.NArg() == n:
		return exitDone, true
	case err != nil:
		c.say("%v", err)
	}
	c.say("%s", strings.TrimSuffix(usage, "\n"))
	return exitStopped, false
}

// directoryFlag adds the flag -directory, whose default is the main directory.
func directoryFlag(flags *flag.FlagSet) *user.Directory {
	directory := user.Directory(client.MainDirectory)
	flags.Func("directory", "", func(text string) (err error) {
		directory, err = user.ParseDirectory(text)
		return err
	})
	return &directory
}

// say prints a line on stderr.
func (c *command) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.stderr, format+"\n", args...)
}

// importUsers imports the file that args name, "-" for standard input.
func (c *command) importUsers(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("users import", flag.ContinueOnError)
	directory := directoryFlag(flags)
	if code, ok := c.parse(flags, importUsage, args, 1); !ok {
		return code
	}
	file := c.stdin
	if path := flags.Arg(0); path != "-" {
		f, err := os.Open(path)
		if err != nil {
			c.say("%v", err)
			return exitStopped
		}
		defer f.Close()
		file = f
	}
	settings, parts, err := c.open()
	if err != nil {
		c.say("%v", err)
		return exitStopped
	}
	im := app.Import(settings, parts, *directory)
	im.Report = func(line int, text string) { c.say("line %d: %s", line, text) }
	err = c.withProgress(func() error { return im.Run(ctx, file) }, func() string {
		t := im.Tally()
		return fmt.Sprintf("read %d, skipped %d, %s", t.Read, t.Skipped, c.rate(t.Read))
	})
	memory := peakMemory()
	err = errors.Join(err, parts.Table.Close())

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

// exportUsers exports to standard output, or to the file that args name.
func (c *command) exportUsers(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("users export", flag.ContinueOnError)
	directory := directoryFlag(flags)
	path := flags.String("o", "", "")
	force := flags.Bool("force", false, "")
	if code, ok := c.parse(flags, exportUsage, args, 0); !ok {
		return code
	}
	if *path == "" && !*force && isTerminal(c.stdout) {
		c.say("not written: the export holds whole addresses and secrets, and this is a terminal. Write to a file with -o FILE, or give -force.")
		return exitStopped
	}
	c.say("The output holds whole addresses and the secrets of authenticator apps: whoever has it can make their codes. Keep it as you keep passwords, and delete it when it is moved.")
	out, err := c.output(*path)
	if err != nil {
		c.say("%v", err)
		return exitStopped
	}
	defer out.discard()
	settings, parts, err := c.open()
	if err != nil {
		c.say("%v", err)
		return exitStopped
	}
	ex := app.Export(settings, parts, *directory)
	ex.Report = func(text string) { c.say("%s", text) }
	err = c.withProgress(func() error { return ex.Run(ctx, out) }, func() string {
		t := ex.Tally()
		return fmt.Sprintf("wrote %d, %s", t.Users, c.rate(t.Users))
	})
	memory := peakMemory()
	err = errors.Join(err, parts.Table.Close())
	if err == nil {
		err = out.keep()
	}
	t := ex.Tally()
	c.say("wrote %d users in %d lines, skipped %d; %s, %s", t.Users, t.Lines, t.Skipped, c.rate(t.Users), memory)
	for _, d := range slices.Sorted(maps.Keys(t.Others)) {
		c.say("left out %d users of the directory %s: export them with -directory %s", t.Others[d], d, d)
	}
	switch {
	case err != nil && *path != "":
		c.say("stopped: %s. The file was not written.", why(ctx, err))
		return exitStopped
	case err != nil:
		c.say("stopped: %s. The output is not complete.", why(ctx, err))
		return exitStopped
	case t.Skipped > 0:
		return exitSkipped
	}
	return exitDone
}

// output is standard output, or a file that gets its name when it is complete.
type output struct {
	*os.File
	name string // "" for standard output
}

// output opens a temporary file beside path, which only its owner can read, or
// standard output if path is "".
func (c *command) output(path string) (output, error) {
	if path == "" {
		return output{c.stdout, ""}, nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	return output{f, path}, err
}

// keep gives a complete file its name.
func (o output) keep() error {
	if o.name == "" {
		return nil
	}
	if err := errors.Join(o.Sync(), o.Close()); err != nil {
		return err
	}
	return os.Rename(o.Name(), o.name)
}

// discard removes a file without its name. It does nothing after keep.
func (o output) discard() {
	if o.name != "" {
		_ = o.Close()
		_ = os.Remove(o.Name()) // fails after keep
	}
}

// open opens the parts of the service, for a run that sends no messages.
func (c *command) open() (config.Settings, app.Parts, error) {
	settings, err := config.Load(time.Now())
	if err != nil {
		return settings, app.Parts{}, err
	}
	for _, name := range settings.Unknown {
		c.say("this version does not know the setting %s; is it misspelled?", name)
	}
	parts, err := app.Open(settings, io.Discard, slog.New(slog.DiscardHandler))
	if errors.Is(err, app.ErrLocked) {
		err = fmt.Errorf("%w. Stop the service first, and start it again afterwards", err)
	}
	if err != nil {
		return settings, parts, err
	}
	if settings.Store == config.StoreAzure {
		c.say("store: Azure Table Storage, table prefix %s", settings.Tables.TablePrefix)
	} else {
		c.say("store: embedded, in %s", settings.DataDir)
	}
	return settings, parts, nil
}

// withProgress runs the work, and prints the progress about every second.
func (c *command) withProgress(work func() error, progress func() string) error {
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

// rate returns how long n items have taken so far.
func (c *command) rate(n int) string {
	seconds := time.Since(c.began).Seconds()
	return fmt.Sprintf("%.1f seconds, %.0f a second", seconds, float64(n)/max(seconds, 0.001))
}

// why returns the text of an error without any of the users' data.
func why(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "stopped by a signal"
	}
	if e, ok := errors.AsType[*problem.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// isTerminal reports whether f is a terminal, or another device but /dev/null.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// peakMemory returns the largest resident memory so far (VmHWM), and how much of
// the present one is pages of files (RssFile): the program's, and the embedded
// store's while it is open. Without /proc, it returns what the Go runtime has
// reserved.
func peakMemory() string {
	var peak, files float64
	status, _ := os.ReadFile("/proc/self/status") // empty without /proc
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %f kB", &peak) // does not match other lines
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
