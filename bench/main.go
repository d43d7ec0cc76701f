// Command bench measures twofa against yardsticks that run beside it, and prints
// one report in Markdown. Every number in it is of that run.
//
//	go run ./bench              everything, about 7 minutes on two cores
//	go run ./bench -quick       a smoke test: the numbers mean little
//	go run ./bench -parts b,d   those parts only
//
// It needs Linux (/proc) and the go command, uses loopback only, and ends what
// it started.
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

// scale is how much is measured.
type scale struct {
	rounds    int
	one, many int // operations a run at 1 and at more connections
	bareTimes int // so many more for the bare server, which is quick
	starts    int
	rows      []int
	slow      int // operations at 5 ms of storage latency
	benchtime string
	count     int
	profiled  int
	moved     int // users that are imported
}

var (
	whole = scale{
		rounds: 3, one: 1500, many: 6000, bareTimes: 3, starts: 20, rows: []int{1_000, 100_000, 1_000_000},
		slow: 250, benchtime: "300ms", count: 3, profiled: 20_000, moved: 100_000,
	}
	smoke = scale{
		rounds: 1, one: 50, many: 300, bareTimes: 1, starts: 3, rows: []int{1_000, 10_000},
		slow: 50, benchtime: "20x", count: 1, profiled: 1500, moved: 2000,
	}
)

// part is one section of the report.
type part struct {
	letter, title string
	measure       func(*bench, context.Context) error
}

var parts = []part{
	{"a", "The parts in process", (*bench).goBenchmarks},
	{"b", "End to end under load", (*bench).underLoad},
	{"c", "Start", (*bench).startUp},
	{"d", "Size and memory", (*bench).sizes},
	{"e", "Many rows", (*bench).manyRows},
	{"f", "Slow storage", (*bench).slowStorage},
	{"g", "Allocations", (*bench).allocations},
	{"h", "Where the time goes", (*bench).profile},
	{"i", "Users moved in and out", (*bench).moves},
}

// bench is one run.
type bench struct {
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
	quick := flag.Bool("quick", false, "measure little, to see that all works")
	chosen := flag.String("parts", "a,b,c,d,e,f,g,h,i", "which parts, comma-separated")
	file := flag.String("o", "", "the report's file (default dist/bench.md under the module)")
	flag.Parse()
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	b := &bench{scale: whole, root: strings.TrimSpace(string(root))}
	if *quick {
		b.scale = smoke
	}
	if *file == "" {
		*file = filepath.Join(b.root, "dist", "bench.md")
	}
	b.out = filepath.Dir(*file)
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "twofa-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if b.bin, err = build(ctx, b.root, dir); err != nil {
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
		b.say("## (%s) %s\n", p.letter, p.title)
		if err := p.measure(b, ctx); err != nil {
			return fmt.Errorf("part %s: %w", p.letter, err)
		}
	}
	sections.say("# Benchmarks\n")
	sections.surroundings(ctx, b.root, began, load)
	if *quick {
		sections.say("\n**A quick run, which only shows that the measurement works.**")
	}
	text := sections.text.String() + "\n" + b.text.String()
	fmt.Print(text)
	return os.WriteFile(*file, []byte(text), 0o644)
}
