package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"twofa/internal/app"
	"twofa/internal/check"
	"twofa/internal/config"
)

const checkUsage = `usage: twofa check [--json]
Checks the settings, and whether what they name works: storage, the providers of messages,
and the public address. It sends no message and writes nothing, and may run beside the
service. It takes at most 7 seconds.
  --json  print the findings as one JSON object
The exit code is 0 if nothing failed (there may be warnings), 1 if something failed, and 2
if the settings are at fault.
See docs/runbooks/check.md.
`

// Exit codes of the command check.
const (
	exitFailed = 1 // something does not work, or the check cannot print
	exitFaulty = 2 // the settings or the arguments are at fault
)

// report is what the command prints.
type report struct {
	Result   check.Result    `json:"result"`
	Version  string          `json:"version"`
	Findings []check.Finding `json:"findings"`
}

// check checks the set-up.
func (c *command) check(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	if code, ok := c.parse(flags, checkUsage, args, 0); !ok {
		if code != exitDone {
			code = exitFaulty
		}
		return code
	}
	settings, err := config.Load(time.Now())
	if err != nil {
		if c.printReport(faultsOf(err), *asJSON) != nil {
			return exitFailed
		}
		return exitFaulty
	}
	found := []check.Finding{{Name: "settings", Result: check.OK, Text: "all settings can be read"}}
	for _, w := range warnings(settings) {
		text := "has a warning: " + strings.TrimPrefix(w.text, w.setting+": ")
		found = append(found, check.Finding{Name: "settings", Result: check.Warning, Setting: w.setting, Text: text})
	}
	found = append(found, check.Run(ctx, app.Checks(settings))...)
	if c.printReport(found, *asJSON) != nil || check.Worst(found) == check.Failed {
		return exitFailed
	}
	return exitDone
}

// faultsOf returns a finding for each fault of the settings. Each begins with its setting,
// and holds no value.
func faultsOf(err error) (found []check.Finding) {
	faults, ok := errors.AsType[config.Faults](err)
	if !ok {
		faults = config.Faults{"the settings cannot be read"}
	}
	for _, fault := range faults {
		f := check.Finding{Name: "settings", Result: check.Failed, Text: fault}
		if setting, rest, _ := strings.Cut(fault, " "); strings.Contains(setting, "_") {
			f.Setting, f.Text = setting, rest
		}
		found = append(found, f)
	}
	return found
}

// printReport prints a table, or JSON.
func (c *command) printReport(found []check.Finding, asJSON bool) error {
	if asJSON {
		text, err := json.Marshal(report{check.Worst(found), app.Version(), found}, jsontext.WithIndent("  "))
		if err == nil {
			_, err = c.stdout.Write(append(text, '\n'))
		}
		return err
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tRESULT\tWHAT TO DO") // Flush returns the error
	for _, f := range found {
		text := f.Text
		if f.Setting != "" {
			text = f.Setting + " " + text
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, f.Result, cmp.Or(text, "-"))
	}
	return w.Flush()
}
