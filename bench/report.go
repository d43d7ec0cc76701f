package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is the Markdown that the driver prints.
type report struct{ text strings.Builder }

func (r *report) say(format string, args ...any) { fmt.Fprintf(&r.text, format+"\n", args...) }

// table writes a table. The cells after the first column are aligned right.
func (r *report) table(head []string, rows [][]string) {
	rule := make([]string, len(head))
	for i := range rule {
		rule[i] = "---:"
	}
	rule[0] = "---"
	r.say("")
	for _, row := range append([][]string{head, rule}, rows...) {
		r.say("| %s |", strings.Join(row, " | "))
	}
	r.say("")
}

func median[T cmp.Ordered](values []T) T {
	s := slices.Sorted(slices.Values(values))
	return s[len(s)/2]
}

// medianOf returns the median of the values that pick returns for the elements.
func medianOf[E any](all []E, pick func(E) float64) float64 {
	values := make([]float64, len(all))
	for i, e := range all {
		values[i] = pick(e)
	}
	return median(values)
}

// num formats a number with at least three digits.
func num(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

const mb = 1e6

// metText reports whether a value meets its goal.
func metText(value, goal float64) string {
	if value <= goal {
		return "yes"
	}
	return "**no**"
}

// environment reports the machine, the time and the commit of the measurement.
func (r *report) environment(ctx context.Context, root string, began time.Time, load string) {
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	state := ""
	if run("git", "status", "--porcelain", "--untracked-files=no") != "" {
		state = ", with changes"
	}
	r.say("%s, %s, %s/%s, %d × %s, commit %s%s. Load average before: %s; after: %s (1, 5, 15 min). Took %s.",
		began.UTC().Format("2006-01-02 15:04 UTC"), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpuModel(),
		run("git", "rev-parse", "--short", "HEAD"), state, load, loadAverage(), time.Since(began).Round(time.Second))
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "CPU"
}
