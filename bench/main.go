// Command bench measures twofa and, for comparison, the yardsticks: two small servers that do
// only a part of the service's work. It prints one report in Markdown. All numbers in the
// report are from the same run.
//
//	go run ./bench              everything, about 7 minutes on two cores
//	go run ./bench -quick       a smoke test: the numbers mean little
//	go run ./bench -parts b,d   those parts only
//
// It needs Linux (/proc) and the go command, uses loopback only, and stops all processes that
// it has started.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// scale says how much is measured.
type scale struct {
	rounds    int
	one, many int // operations of a run with 1 connection and with more connections
	bareTimes int // factor of the operations for the bare server, which is fast
	starts    int
	rows      []int
	slow      int // operations with a storage latency of 5 ms
	benchtime string
	count     int
	profiled  int
	users     int // users to import
}

var (
	whole = scale{
		rounds: 3, one: 1500, many: 6000, bareTimes: 3, starts: 20, rows: []int{1_000, 100_000, 1_000_000},
		slow: 250, benchtime: "300ms", count: 3, profiled: 20_000, users: 100_000,
	}
	smoke = scale{
		rounds: 1, one: 50, many: 300, bareTimes: 1, starts: 3, rows: []int{1_000, 10_000},
		slow: 50, benchtime: "20x", count: 1, profiled: 1500, users: 2000,
	}
)

// part is one section of the report.
type part struct {
	letter, title string
	measure       func(*measurement, context.Context) error
}

var parts = []part{
	{"a", "The parts in process", (*measurement).goBenchmarks},
	{"b", "End to end under load", (*measurement).underLoad},
	{"c", "Start", (*measurement).startUp},
	{"d", "Size and memory", (*measurement).sizes},
	{"e", "Many rows", (*measurement).manyRows},
	{"f", "Slow storage", (*measurement).slowStorage},
	{"g", "Allocations", (*measurement).allocations},
	{"h", "Where the time goes", (*measurement).profile},
	{"i", "Import and export of users", (*measurement).importExport},
}

// measurement is one run of the command.
type measurement struct {
	scale
	report
	root string // of the module
	out  string // the folder for profiles
	bin  binaries
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	quick := flag.Bool("quick", false, "measure little: a check that the measurement works")
	chosen := flag.String("parts", "a,b,c,d,e,f,g,h,i", "the parts to measure, comma-separated")
	file := flag.String("o", "", "the file of the report (default dist/bench.md below the module)")
	flag.Parse()
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	m := &measurement{scale: whole, root: strings.TrimSpace(string(root))}
	if *quick {
		m.scale = smoke
	}
	if *file == "" {
		*file = filepath.Join(m.root, "dist", "bench.md")
	}
	m.out = filepath.Dir(*file)
	if err := os.MkdirAll(m.out, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "twofa-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if m.bin, err = build(ctx, m.root, dir); err != nil {
		return err
	}

	began, load := time.Now(), loadAverage()
	var sections report
	for _, p := range parts {
		if !strings.Contains(","+*chosen+",", ","+p.letter+",") {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s  (%s) %s\n", time.Now().Format("15:04:05"), p.letter, p.title)
		m.say("## (%s) %s\n", p.letter, p.title)
		if err := p.measure(m, ctx); err != nil {
			return fmt.Errorf("part %s: %w", p.letter, err)
		}
	}
	sections.say("# Benchmarks\n")
	sections.environment(ctx, m.root, began, load)
	if *quick {
		sections.say("\n**A quick run: it shows only that the measurement works.**")
	}
	text := sections.text.String() + "\n" + m.text.String()
	fmt.Print(text)
	return os.WriteFile(*file, []byte(text), 0o644)
}
