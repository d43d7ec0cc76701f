package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// levels are the numbers of connections; CPU is compared at compareAt.
var levels = []int{1, 16, 64}

const compareAt = 16

// The goals, as factors of what is measured beside.
const (
	goalCheck  = 1.7 // CPU of a check, of the yardstick's
	goalStart  = 2.0
	goalAllocs = 1.3
	goalBare   = 1.6  // start and memory, of the bare binary's
	goalSize   = 12.0 // MB
	goalTrips  = 2    // storage round trips in a check
)

// runs are all samples of one target, operation and level.
type runs map[string][]sample

func runName(t string, o operation, conns int) string { return fmt.Sprint(t, "/", o, "/", conns) }

func (b *bench) underLoad(context.Context) error {
	r, err := newRig(b.bin, false)
	if err != nil {
		return err
	}
	defer r.close()
	targets := []*target{r.twofa, r.yardstick, r.bare}
	for _, t := range targets { // warm up: connections, heaps, tables
		if _, err := r.all(t, slices.Max(levels), b.many/2); err != nil {
			return err
		}
	}
	all := runs{}
	for range b.rounds {
		for _, conns := range levels {
			passes := 1
			if conns == compareAt {
				passes = 2 // what is compared deserves more
			}
			for range passes {
				if err := b.pass(r, targets, conns, all); err != nil {
					return err
				}
				slices.Reverse(targets) // so that a slow minute does not always meet the same one
			}
		}
	}
	b.say("The service, the yardstick (the bare server, and between request and answer the same two calls of aztables with the same "+
		"tuning) and a bare net/http server, each a process of its own, over one table server in memory; all read the same JSON and "+
		"answer the same bytes. A send also posts the message to a provider on loopback. Driver, storage and provider share the machine's "+
		"processors, so requests a second say little beyond this machine. Medians of %d rounds, with two passes each at %d connections; ratios are taken pass by pass.", b.rounds, compareAt)
	b.say("\n### CPU time of the server's process, microseconds an operation, at %d connections", compareAt)
	b.cpuTable(r, all)
	b.say("### Requests a second and latency")
	b.loadTable([]*target{r.twofa, r.yardstick, r.bare}, all)
	rows := [][]string{}
	for _, t := range []*target{r.twofa, r.yardstick, r.bare} {
		now, err1 := t.proc.memory("VmRSS")
		peak, err2 := t.proc.memory("VmHWM")
		if err1 != nil || err2 != nil {
			return fmt.Errorf("memory of %s: %w", t.name, err1)
		}
		rows = append(rows, []string{t.name, num(now / mb), num(peak / mb)})
	}
	b.say("Resident memory after this load:")
	b.table([]string{"process", "MB now", "MB at its peak"}, rows)
	return nil
}

// pass puts each target through the operations once.
func (b *bench) pass(r *rig, targets []*target, conns int, all runs) error {
	for _, t := range targets {
		n := b.many
		if conns == 1 {
			n = b.one
		}
		if t == r.bare {
			n *= b.bareTimes
		}
		samples, err := r.all(t, conns, n)
		if err != nil {
			return err
		}
		for o, s := range samples {
			name := runName(t.name, operation(o), conns)
			all[name] = append(all[name], s)
		}
	}
	if conns != compareAt {
		return nil
	}
	s, err := r.yardstickPost.run(send, r.batch(b.many), conns)
	name := runName(r.yardstickPost.name, send, conns)
	all[name] = append(all[name], s)
	return err
}

// ratios are the quotients of two targets' CPU times, pass by pass, in order.
func ratios(a, c []sample) []float64 {
	q := make([]float64, len(a))
	for i := range a {
		q[i] = a[i].cpu / c[i].cpu
	}
	slices.Sort(q)
	return q
}

func span(q []float64) string { return num(q[0]) + " to " + num(q[len(q)-1]) }

func (b *bench) cpuTable(r *rig, all runs) {
	rows := [][]string{}
	cpu := func(s sample) float64 { return s.cpu }
	for o := range operations {
		goal := goalCheck
		if o == send {
			goal = goalStart
		}
		get := func(t *target) []sample { return all[runName(t.name, o, compareAt)] }
		ours, yard, bare := get(r.twofa), get(r.yardstick), get(r.bare)
		all := ratios(ours, yard)
		factor := median(all)
		rows = append(rows, []string{
			o.String(), num(of(bare, cpu)), num(of(yard, cpu)), num(of(ours, cpu)),
			num(median(ratios(ours, bare))), "**" + num(factor) + "**", span(all), num(goal), verdict(factor, goal),
		})
		if o == send {
			post := get(r.yardstickPost)
			rows = append(rows, []string{
				"send, the yardstick posting too", num(of(bare, cpu)), num(of(post, cpu)), num(of(ours, cpu)),
				num(median(ratios(ours, bare))), num(median(ratios(ours, post))), span(ratios(ours, post)), "", "",
			})
		}
	}
	b.table([]string{"operation", "bare server", "yardstick", "twofa", "twofa / bare", "twofa / yardstick", "from, to", "goal at most", "met"}, rows)
}

func (b *bench) loadTable(targets []*target, all runs) {
	rows := [][]string{}
	for _, conns := range levels {
		for o := range operations {
			for _, t := range targets {
				s := all[runName(t.name, o, conns)]
				rows = append(rows, []string{
					fmt.Sprint(conns), o.String(), t.name,
					num(of(s, func(s sample) float64 { return s.perSecond })),
					num(of(s, func(s sample) float64 { return s.p50 })),
					num(of(s, func(s sample) float64 { return s.p99 })),
				})
			}
		}
	}
	b.table([]string{"connections", "operation", "server", "requests/s", "p50 ms", "p99 ms"}, rows)
}

// manyRows checks codes with more and more rows of strangers in the table.
func (b *bench) manyRows(context.Context) error {
	r, err := newRig(b.bin, false)
	if err != nil {
		return err
	}
	defer r.close()
	if _, err := r.all(r.twofa, compareAt, b.many/2); err != nil {
		return err
	}
	rows := [][]string{}
	stored := 0
	var first float64
	for _, want := range b.rows {
		// The rows of the numbers that are measured come on top.
		if err := r.tell(fmt.Sprintf("/fill?table=%s&rows=%d&data=%d", table, want-stored, r.data)); err != nil {
			return err
		}
		stored = want
		if err := r.tell("/reset"); err != nil {
			return err
		}
		var checks []sample
		for range b.rounds {
			samples, err := r.all(r.twofa, compareAt, b.many/2)
			if err != nil {
				return err
			}
			checks = append(checks, samples[wrong])
		}
		cpu := of(checks, func(s sample) float64 { return s.cpu })
		if first == 0 {
			first = cpu
		}
		s, err := r.stats()
		if err != nil {
			return err
		}
		n := float64(int64(operations) * int64(b.rounds) * int64(b.many/2))
		rows = append(rows, []string{
			fmt.Sprint(want), num(cpu), num(cpu / first),
			num(of(checks, func(s sample) float64 { return s.p50 })),
			num(float64(s.Get) / n), num(float64(s.Insert+s.Replace) / n), fmt.Sprint(s.Query),
		})
	}
	b.say("Wrong checks at %d connections, with so many rows of %d bytes of data, the size of the service's own, in the same table. "+
		"Reads, writes and queries are those of all three operations, as the storage counted them.", compareAt, r.data)
	b.table([]string{"rows", "CPU µs a check", "of the first", "p50 ms", "point reads an operation", "writes an operation", "queries"}, rows)
	return nil
}

// slowStorage pauses before each answer of the storage.
func (b *bench) slowStorage(context.Context) error {
	r, err := newRig(b.bin, false)
	if err != nil {
		return err
	}
	defer r.close()
	const latency = 5 * time.Millisecond
	if err := r.tell("/latency?d=" + latency.String()); err != nil {
		return err
	}
	limit := float64(goalTrips*latency) / float64(time.Millisecond)
	rows := [][]string{}
	for _, t := range []*target{r.twofa, r.yardstick} {
		var checks []sample
		for range b.rounds {
			samples, err := r.all(t, 1, b.slow)
			if err != nil {
				return err
			}
			checks = append(checks, samples[right])
		}
		p50 := of(checks, func(s sample) float64 { return s.p50 })
		rows = append(rows, []string{t.name, num(p50), num(p50 / limit)})
	}
	b.say("Right checks, one at a time, over a storage that waits %s before each answer. Two trips are %s ms at least; what the wait takes "+
		"beyond its time, the yardstick shows.", latency, num(limit))
	b.table([]string{"server", "p50 ms", "of the limit"}, rows)

	const conns = 64
	if err := r.tell("/reset"); err != nil {
		return err
	}
	before, err := r.stats()
	if err != nil {
		return err
	}
	if _, err := r.all(r.twofa, conns, 20*b.slow); err != nil {
		return err
	}
	s, err := r.stats()
	if err != nil {
		return err
	}
	b.say("%d operations of the service over %d connections at the same latency: it opened **%d** connections to the storage, at most %d at a time "+
		"(%d of them idle ones from before), %s times the peak concurrency; goal at most 2: %s.",
		3*20*b.slow, conns, s.Connections, s.Peak, before.Peak, num(float64(s.Connections)/conns), verdict(float64(s.Connections)/conns, 2))
	b.say("")
	return nil
}
