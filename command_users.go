package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"twofa/internal/app"
	"twofa/internal/client"
	"twofa/internal/config"
	"twofa/internal/user"
	"twofa/internal/userfile"
)

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

// directoryFlag adds the flag -directory, whose default is the main directory.
func directoryFlag(flags *flag.FlagSet) *user.Directory {
	directory := user.Directory(client.MainDirectory)
	flags.Func("directory", "", func(text string) (err error) {
		directory, err = user.ParseDirectory(text)
		return err
	})
	return &directory
}

// importUsers imports the file that args name, "-" for standard input.
func (c *command) importUsers(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("users import", flag.ContinueOnError)
	directory := directoryFlag(flags)
	if code, ok := c.parse(flags, importUsage, args, 1); !ok {
		return code
	}
	return c.importFile(ctx, flags.Arg(0), func(s config.Settings, p app.Parts, report func(int, string)) importer {
		im := app.Import(s, p, *directory)
		im.Report = report
		return im
	})
}

// importer reads a file into the store.
type importer interface {
	Run(ctx context.Context, file io.Reader) error
	Tally() userfile.Tally
}

// importFile imports a file, "-" for standard input, with the importer of the opened parts.
func (c *command) importFile(ctx context.Context, path string, importerOf func(s config.Settings, p app.Parts, report func(line int, text string)) importer) int {
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
	settings, parts, err := c.open()
	if err != nil {
		c.say("%v", err)
		return exitStopped
	}
	im := importerOf(settings, parts, func(line int, text string) { c.say("line %d: %s", line, text) })
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

// isTerminal reports whether f is a terminal, or another device but /dev/null.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
