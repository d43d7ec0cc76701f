package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"twofa/internal/app"
	"twofa/internal/config"
	"twofa/internal/problem"
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
  twofa accounts add ADDRESS [ADDRESS] [--name NAME] [--locale LOCALE]
                                              give a person an account of sign-in, or a further address
  twofa accounts import FILE                  give accounts to the people of a CSV file
  twofa accounts show ADDRESS [--full]        say what the account of an address has
  twofa accounts unlock ADDRESS               let its person sign in with an address alone for an hour
  twofa accounts erase ADDRESS --yes ADDRESS  erase the account of an address
  twofa keys list                             print the keys that sign ID tokens, without their private parts
  twofa keys rotate [--now]                   let the next key sign
  twofa check [--json]                        check the settings, storage and providers; sends nothing
  twofa version                               print version, commit and Go version
  twofa help                                  print this text

All settings are environment variables: see docs/settings.md.
`

// Exit codes of the commands.
const (
	exitDone    = 0
	exitStopped = 1 // it could not begin, or not finish
	exitSkipped = 2 // it finished, but skipped some lines or users
)

// command is a run of the program that does not serve. Except in the output of an
// export and of accounts show --full, it must never print a name, an address or a secret.
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
	case strings.HasPrefix(name, "accounts ") && slices.Contains([]string{"add", "import", "show", "unlock", "erase"}, args[1]):
		return c.accounts(ctx, args[1], args[2:])
	case name == "keys list", name == "keys rotate":
		return c.keys(ctx, args[1], args[2:])
	case args[0] == "check":
		return c.check(ctx, args[1:])
	case name == "version":
		return c.print(version())
	case isHelp(args[0]), slices.Contains([]string{"users", "clients", "accounts", "keys"}, args[0]) && len(args) == 2 && isHelp(args[1]):
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

// parse reads the flags of a command, which takes as many arguments as one of n says. It
// returns false and the exit code if the command must not run.
func (c *command) parse(flags *flag.FlagSet, usage string, args []string, n ...int) (code int, ok bool) {
	flags.SetOutput(io.Discard)
	if len(args) == 1 && args[0] == "help" {
		args = []string{"-h"}
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return c.print(usage), false
	case err == nil && slices.Contains(n, flags.NArg()):
		return exitDone, true
	case err != nil:
		c.say("%v", err)
	}
	c.say("%s", strings.TrimSuffix(usage, "\n"))
	return exitStopped, false
}

// flagsFirst returns the arguments with the flags in front, where package flag looks for
// them, each with its value.
func flagsFirst(flags *flag.FlagSet, args []string) []string {
	var first, texts []string
	for len(args) > 0 && args[0] != "--" {
		arg, n := args[0], 1
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			texts = append(texts, arg)
			args = args[1:]
			continue
		}
		f := flags.Lookup(strings.TrimLeft(arg, "-"))
		switch {
		case f == nil || isSwitch(f):
		case len(args) == 1:
			return append(first, arg) // its value is missing
		default:
			n = 2
		}
		first, args = append(first, args[:n]...), args[n:]
	}
	if len(args) > 0 { // what follows has no flags
		first, args = append(first, "--"), args[1:]
	}
	return slices.Concat(first, texts, args)
}

// isSwitch reports whether a flag has no value.
func isSwitch(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// say prints a line on stderr.
func (c *command) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.stderr, format+"\n", args...)
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

// onStore runs the work on the store of the settings.
func (c *command) onStore(work func(s config.Settings, p app.Parts) int) (code int) {
	settings, parts, err := c.open()
	if err != nil {
		c.say("%v", err)
		return exitStopped
	}
	defer func() {
		if err := parts.Table.Close(); err != nil {
			c.say("the store cannot be closed: %v", err)
			code = exitStopped
		}
	}()
	return work(settings, parts)
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
